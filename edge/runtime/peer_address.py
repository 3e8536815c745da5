"""Base URLs of other platforms: which are accepted, and which mean the same (contract, section 9.1)."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from edge.errors import ParameterMismatch

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST = 2048
# What stands in a base URL; anything else could end up in a request line or a header as something different.
_SAFE = re.compile(r"[^\s?#@\\\x00-\x20\x7f]+")
_HOST = re.compile(r"[\w.:%-]+")


def base_url_of(text: str) -> str:
    """Return the base URL that a caller named: trimmed, without a pair of quotes and without final slashes.

    Raises:
        ParameterMismatch: no absolute http or https URL, or one with user, query or fragment.
    """
    url = text.strip().removeprefix('"').removesuffix('"').rstrip("/")
    scheme, separator, rest = url.partition("://")
    url = scheme.lower() + separator + rest
    try:
        parts = urlsplit(url)
        is_usable = _is_usable(url, parts)
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ParameterMismatch(
            f"url {text[:200]!r}: expected the base URL of a platform such as http://192.168.1.7:8000,"
            " without user, query or fragment"
        )
    return url


def identity(base_url: str) -> str:
    """Return what all ways to write a base URL have in common: host and scheme in lower case, the port always there."""
    parts = urlsplit(base_url)
    scheme = parts.scheme.lower()
    port = parts.port if parts.port is not None else _DEFAULT_PORTS[scheme]
    return f"{scheme}://{(parts.hostname or '').lower()}:{port}{parts.path.rstrip('/')}"


def _is_usable(url: str, parts: SplitResult) -> bool:
    return (
        len(url) <= _LONGEST
        and parts.scheme.lower() in _DEFAULT_PORTS
        and parts.hostname is not None
        and _HOST.fullmatch(parts.hostname) is not None
        and parts.port != 0
        and url.isprintable()
        and _SAFE.fullmatch(url) is not None
        and not any(segment in (".", "..") for segment in parts.path.split("/"))
    )
