"""What one setting may hold and where its value came from: the pieces that `edge.config` is made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_TRUE = frozenset({"true", "on", "yes", "1"})
_FALSE = frozenset({"false", "off", "no", "0"})
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


class BadSetting(ValueError):
    """Settings that cannot be used; the message has one line for each, naming setting, value and expectation."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of value.

    Attributes:
        read: Makes the value from a variable's text or from what TOML gives; ValueError if it cannot.
        expected: What to write, for messages: `expected <...>`.
    """

    read: Callable[[object], T]
    expected: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: an environment variable, and in lower case the key of the configuration file.

    Attributes:
        variable: Its name.
        kind: What it may hold.
        secret: Whether its value is never shown.
        may_be_empty: Whether the empty text is a value; for all others it means unset (contract, Q35).
    """

    variable: str
    kind: Kind[Any]
    secret: bool = False
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """One place that gives values.

    Attributes:
        origin: What to call it: `argument`, `environment`, `file /etc/opaca-edge.toml`.
        values: What it gives, by variable.
        folder: What relative paths in it are relative to.
    """

    origin: str
    values: Mapping[str, object]
    folder: Path

    def has(self, setting: Setting) -> bool:
        """Tell whether the setting has a value here; empty text counts only where it may."""
        value = self.values.get(setting.variable)
        return value is not None and (setting.may_be_empty or value != "")

    def name_of(self, variable: str) -> str:
        """Name a setting as the user wrote it here: `--port`, `PORT`, `port`."""
        if self.origin == "argument":
            return "--" + variable.removeprefix("OPACA_EDGE_").lower().replace("_", "-")
        return variable.lower() if self.origin.startswith("file ") else variable


def setting(
    variable: str, kind: Kind[T], default: object = MISSING, *, secret: bool = False, may_be_empty: bool = False
) -> T:
    """Declare a dataclass field that is a setting; without `default` its value must be worked out while loading."""
    about = {"setting": Setting(variable, kind, secret, may_be_empty)}
    if default is MISSING:
        return cast(T, field(repr=not secret, metadata=about))
    return cast(T, field(default=default, repr=not secret, metadata=about))


def settings_of(config: Any) -> dict[str, Setting]:
    """Return the settings of a dataclass (or an instance of one) by field name, in order of declaration."""
    return {each.name: each.metadata["setting"] for each in fields(config) if "setting" in each.metadata}


def read_settings(
    settings: Mapping[str, Setting], sources: Iterable[Source], problems: list[str]
) -> dict[str, tuple[Any, str]]:
    """Return value and origin of each setting that a source has, by field name; the first source that has it wins.

    What cannot be read is described in `problems`.
    """
    found: dict[str, tuple[Any, str]] = {}
    sources = tuple(sources)
    for name, each in settings.items():
        source = next((source for source in sources if source.has(each)), None)
        if source is None:
            continue
        raw = source.values[each.variable]
        try:
            value = each.kind.read(raw)
        except ValueError:
            shown = " (value hidden)" if each.secret else f"={raw!r}"
            where = f" ({source.origin})" if source.origin.startswith("file ") else ""
            problems.append(f"{source.name_of(each.variable)}{shown}{where}: expected {each.kind.expected}")
            continue
        if isinstance(value, Path):
            value = source.folder / value.expanduser()
        found[name] = (value, source.origin)
    return found


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean …?)` for the known word that is nearest to a mistyped one, else nothing."""
    import difflib  # only when something is wrong

    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def whole_number(low: int, high: int | None = None) -> Kind[int]:
    """Whole numbers in a range, ends included."""

    def read(raw: object) -> int:
        if isinstance(raw, bool) or not isinstance(raw, (int, str)):
            raise ValueError
        if isinstance(raw, str) and not _WHOLE_NUMBER.fullmatch(raw.strip()):
            raise ValueError
        number = int(raw)
        if number < low or (high is not None and number > high):
            raise ValueError
        return number

    return Kind(read, f"a whole number from {low} to {high}" if high is not None else f"a whole number from {low} up")


def choice(options: type[E], also: Mapping[str, E] | None = None) -> Kind[E]:
    """The members of an enumeration by name, upper or lower case; `also` are further names for them."""
    by_name = {member.name: member for member in options} | {
        name.upper(): member for name, member in (also or {}).items()
    }

    def read(raw: object) -> E:
        member = by_name.get(_as_text(raw).upper())
        if member is None:
            raise ValueError
        return member

    return Kind(read, "one of " + ", ".join(member.name.lower() for member in options))


def _as_text(raw: object) -> str:
    if not isinstance(raw, str) or "\0" in raw:
        raise ValueError
    return raw.strip()


def _as_written(raw: object) -> str:
    if not isinstance(raw, str):
        raise ValueError
    return raw


def _as_switch(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    word = _as_text(raw).lower()
    if word not in _TRUE | _FALSE:
        raise ValueError
    return word in _TRUE


def _as_names(raw: object) -> tuple[str, ...]:
    if isinstance(raw, str):
        return tuple(re.split(r"[\s,]+", raw.strip(" \t\n,")))
    if not isinstance(raw, list):
        raise ValueError
    return tuple(_as_text(each) for each in raw)


def _as_host(raw: object) -> str:
    text = _as_text(raw).strip("[]")
    if not re.fullmatch(r"[A-Za-z0-9._:%-]+", text) or (":" in text and text.count(":") == 1):
        raise ValueError
    return text


def _as_signing_key(raw: object) -> bytes:
    """Decode base64 as the contract's section 7.2 does: padding optional, a leftover single character is dropped."""
    import base64
    import binascii

    text = _as_text(raw).rstrip("=")
    if len(text) % 4 == 1:
        text = text[:-1]
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError from error
    if len(key) < 32:
        raise ValueError
    return key


def _as_base_url(raw: object) -> str:
    from urllib.parse import urlsplit

    url = _as_text(raw)
    parts = urlsplit(url)
    has_more = parts.query or parts.fragment or parts.username or parts.password or re.search(r"\s", url)
    if parts.scheme not in ("http", "https") or not parts.hostname or has_more:
        raise ValueError
    _ = parts.port  # ValueError unless it is a port
    return url.rstrip("/")


SWITCH = Kind(_as_switch, "true or false")
TEXT = Kind(_as_text, "a text")
VERBATIM = Kind(_as_written, "a text")
FOLDER = Kind(lambda raw: Path(_as_text(raw)), "a path")
FILE = Kind(lambda raw: Path(_as_text(raw)), "a path of a file")
HOST = Kind(_as_host, "an address or host name to listen on, without a port")
SIGNING_KEY = Kind(_as_signing_key, "base64 of at least 32 bytes (43 characters; `openssl rand -base64 32` makes one)")
NAMES = Kind(_as_names, "names separated by commas")
BASE_URL = Kind(_as_base_url, "an absolute URL such as http://192.168.1.7:8000, without user, query or fragment")
