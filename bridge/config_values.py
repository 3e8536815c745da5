"""What one value of the configuration may be: each function returns it as it is used, or raises ValueError."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from math import inf
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from bridge.mqtt.topics import is_site

T = TypeVar("T")
D = TypeVar("D")

ROLES = ("GUEST", "USER", "CONTRIBUTOR")
_LONGEST_EXPIRY_S = 10 * 365 * 86_400.0


class Table:
    """One TOML table; what is taken from it is checked, what is left over is named."""

    def __init__(self, name: str, values: Mapping[str, Any], folder: Path, problems: list[str]) -> None:
        self.name = name
        self._values = dict(values)
        self._folder = folder
        self._problems = problems

    def path(self, value: object) -> Path:
        """Read a path, relative to the file."""
        if not isinstance(value, str) or not value:
            raise ValueError
        return self._folder / Path(value).expanduser()

    def take(self, key: str, read: Callable[[object], T], expected: str, default: D) -> T | D:
        """Return a value; what cannot be read becomes a problem and the default."""
        if key not in self._values:
            return default
        value = self._values.pop(key)
        try:
            return read(value)
        except (ValueError, TypeError):
            self.complain(f"{key}={value!r}: expected {expected}")
            return default

    def complain(self, problem: str) -> None:
        """Note what cannot be used."""
        self._problems.append(f"[{self.name}] {problem}")

    def table(self, key: str) -> Table | None:
        """Return a table within this one."""
        value = self._values.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.complain(f"{key}: expected a table [{self.name}.{key}]")
            return None
        return Table(f"{self.name}.{key}", value, self._folder, self._problems)

    def tables(self) -> list[str]:
        """Return the names of what is left."""
        return list(self._values)

    def end(self) -> None:
        """Name what is left over."""
        self._problems.extend(f"[{self.name}] {key}: there is no such setting" for key in self._values)


def text(value: object) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def texts(value: object) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise ValueError
    return tuple(value)


def flag(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError
    return value


def positive(value: object) -> float:
    """A number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < inf:
        raise ValueError
    return float(value)


def expiry(value: object) -> float:
    """Seconds, at most 10 years, or false for never, which becomes 0."""
    if value is False:
        return 0.0
    lasts_s = positive(value)
    if lasts_s > _LONGEST_EXPIRY_S:
        raise ValueError
    return lasts_s


def seconds(value: object) -> int:
    """Whole seconds from 5 to 600."""
    return _whole(value, 5)


def pause(value: object) -> int:
    """Whole seconds from 1 to 600."""
    return _whole(value, 1)


def site(value: object) -> str:
    """The name of a site."""
    name = text(value)
    if not is_site(name):
        raise ValueError
    return name


def role(value: object) -> str:
    """A role that a remote party may have, in upper case."""
    name = text(value).upper()
    if name not in ROLES:
        raise ValueError
    return name


def networks(value: object) -> tuple[str, ...]:
    """Networks in CIDR form."""
    return tuple(str(ipaddress.ip_network(each)) for each in texts(value))


def base_url(value: object) -> str:
    """A base URL, without a final slash."""
    parts = urlsplit(text(value))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError
    return text(value).rstrip("/")


def broker_url(value: object) -> tuple[bool, str, int]:
    """Whether it is TLS, host and port of `mqtt://` or `mqtts://`."""
    parts = urlsplit(text(value))
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path.strip("/") or "@" in parts.netloc:
        raise ValueError
    is_tls = parts.scheme == "mqtts"
    return is_tls, parts.hostname, parts.port or (8883 if is_tls else 1883)


def endpoint(value: object) -> tuple[str, int]:
    """Host and port to listen on."""
    host, _, port = text(value).rpartition(":")
    number = int(port)
    if not host or not 0 <= number <= 65535:
        raise ValueError
    return host.strip("[]"), number


def _whole(value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 600:
        raise ValueError
    return value
