"""The `format`s that JSON Schema draft-07 asserts, as small checks of text (contract, section 6).

Every check takes linear time, whatever the text. Formats that are not listed accept everything.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import date
from urllib.parse import urlsplit
from uuid import UUID

# Everything but links is short by nature; a longer text is no date, address or name.
_LONGEST = 4096
# A link may be a whole picture (`data:`): beyond this only its beginning is looked at.
_LONGEST_LINK = 65_536

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.\d{1,30})?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII)
_DURATION = re.compile(
    r"P(?:\d+W|(?=\d|T)(?:\d+Y(?:\d+M(?:\d+D)?)?|\d+M(?:\d+D)?|\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?)", re.ASCII
)
_HOST_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.ASCII)
_QUOTED_PART = re.compile(r'"(?:[^"\\\x00-\x1f]|\\[\x20-\x7e])*"')
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:", re.ASCII)
_URI_CHARACTERS = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*", re.ASCII)
_IRI_CHARACTERS = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=\u00a0-\U0010ffff]|%[0-9A-Fa-f]{2})*")
_TEMPLATE = re.compile(r"(?:[^\x00-\x20\"'<>\\^`{|}]|\{[+#./;?&=,!@|]?[A-Za-z0-9_.%,*:]+\})*")
_POINTER = re.compile(r"(?:/(?:[^/~]|~[01])*)*")
_RELATIVE_POINTER = re.compile(r"(?:0|[1-9]\d*)(?:#|(?:/(?:[^/~]|~[01])*)*)", re.ASCII)


def is_date(text: str) -> bool:
    if not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def is_time(text: str) -> bool:
    """RFC 3339: with a zone; second 60 only where it is 23:59:60 in UTC."""
    match = _TIME.fullmatch(text)
    if not match:
        return False
    hour, minute, second = (int(part) for part in match.group(1, 2, 3))
    offset_hour, offset_minute = int(match[5] or 0), int(match[6] or 0)
    if hour > 23 or minute > 59 or second > 60 or offset_hour > 23 or offset_minute > 59:
        return False
    offset_min = (offset_hour * 60 + offset_minute) * (-1 if match[4] == "-" else 1)
    return second < 60 or (hour * 60 + minute - offset_min) % 1440 == 1439


def is_date_time(text: str) -> bool:
    return text[10:11] in ("T", "t") and is_date(text[:10]) and is_time(text[11:])


def is_duration(text: str) -> bool:
    return bool(_DURATION.fullmatch(text))


def is_hostname(text: str) -> bool:
    return 0 < len(text) <= 253 and all(_HOST_LABEL.fullmatch(label) for label in text.split("."))


def is_idn_hostname(text: str) -> bool:
    if not text or len(text) > 253:
        return False
    try:
        return is_hostname(text.encode("idna").decode("ascii"))
    except UnicodeError:
        return False


def is_email(text: str) -> bool:
    local, at, domain = text.rpartition("@")
    if not at or not (_LOCAL_PART.fullmatch(local) or _QUOTED_PART.fullmatch(local)):
        return False
    if domain.startswith("[") and domain.endswith("]"):
        literal = domain[1:-1]
        return is_ipv6(literal[5:]) if literal[:5].lower() == "ipv6:" else is_ipv4(literal)
    return is_hostname(domain)


def is_idn_email(text: str) -> bool:
    local, at, domain = text.rpartition("@")
    return bool(at and local and domain) and not any(character <= " " for character in text)


def is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return text.isascii()


def is_ipv6(text: str) -> bool:
    if "%" in text:
        return False
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return text.isascii()


def is_uuid(text: str) -> bool:
    return bool(_UUID.fullmatch(text)) and bool(UUID(text))


def _is_link(text: str, characters: re.Pattern[str], *, absolute: bool) -> bool:
    if absolute and not _SCHEME.match(text):
        return False
    beginning = text[:_LONGEST_LINK]
    if len(text) > _LONGEST_LINK:
        # The cut may fall into a %41.
        beginning = beginning.rsplit("%", 1)[0]
    if not characters.fullmatch(beginning):
        return False
    try:
        # A port that is no number or a bracket left open shows only here.
        urlsplit(beginning).port  # noqa: B018
    except ValueError:
        return False
    return True


def is_uri(text: str) -> bool:
    return _is_link(text, _URI_CHARACTERS, absolute=True)


def is_uri_reference(text: str) -> bool:
    return _is_link(text, _URI_CHARACTERS, absolute=False)


def is_iri(text: str) -> bool:
    return _is_link(text, _IRI_CHARACTERS, absolute=True)


def is_iri_reference(text: str) -> bool:
    return _is_link(text, _IRI_CHARACTERS, absolute=False)


def is_uri_template(text: str) -> bool:
    return bool(_TEMPLATE.fullmatch(text))


def is_json_pointer(text: str) -> bool:
    return bool(_POINTER.fullmatch(text))


def is_relative_json_pointer(text: str) -> bool:
    return bool(_RELATIVE_POINTER.fullmatch(text))


def is_regex(text: str) -> bool:
    # Imported late: 5 MB that only schemas with patterns need.
    import regex

    from edge.runtime.patterns import compiled

    try:
        compiled(text)
    except (regex.error, ValueError, OverflowError, RecursionError):
        return False
    return True


def _short(check: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda text: len(text) <= _LONGEST and check(text)


FORMATS: dict[str, Callable[[str], bool]] = {
    "date": _short(is_date),
    "time": _short(is_time),
    "date-time": _short(is_date_time),
    "duration": _short(is_duration),
    "hostname": _short(is_hostname),
    "idn-hostname": _short(is_idn_hostname),
    "email": _short(is_email),
    "idn-email": _short(is_idn_email),
    "ipv4": _short(is_ipv4),
    "ip-address": _short(is_ipv4),
    "ipv6": _short(is_ipv6),
    "uuid": _short(is_uuid),
    "uri": is_uri,
    "uri-reference": is_uri_reference,
    "iri": is_iri,
    "iri-reference": is_iri_reference,
    "uri-template": _short(is_uri_template),
    "json-pointer": _short(is_json_pointer),
    "relative-json-pointer": _short(is_relative_json_pointer),
    "regex": is_regex,
}
