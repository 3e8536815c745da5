"""Where a board finds its platform: by the name that Avahi announces in the network, else by address."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from edge.cli.failures import Failed
from edge.cli.platform import Platform
from edge.config import is_loopback
from edge.model.descriptions import RuntimePlatform
from edge.model.json_value import JsonValue

AVAHI_SOCKET = Path("/run/avahi-daemon/socket")
_LOCAL = ".local"


@dataclass(frozen=True, slots=True)
class Address:
    """A platform as boards reach it.

    Attributes:
        url: Base URL.
        others: Further ones, if a board cannot use that.
        warning: Why no board will reach it; empty if all is well.
    """

    url: str
    others: tuple[str, ...] = ()
    warning: str = ""


async def address_for_boards(platform: Platform, given: str | None) -> Address:
    """Return what stands as `platform` in the settings of a board.

    Args:
        given: What the user wants to stand there.
    Raises:
        Failed: boards cannot use it.
    """
    info = await platform.get("/info", RuntimePlatform)
    settings = await platform.get("/config", dict[str, JsonValue])
    found = Address(given.rstrip("/")) if given else _address(info.base_url, platform.config.url, settings)
    scheme, _, rest = found.url.partition("://")
    if scheme != "http" or not rest or any(mark in rest for mark in "/[?#@"):
        raise Failed(
            f"{found.url}: boards speak http with a host name or an IPv4 address, no https:\n"
            "  name with --platform where they reach this platform, such as http://192.168.1.7:8000"
        )
    return found


def _address(base_url: str, called_url: str, settings: Mapping[str, JsonValue]) -> Address:
    own, called = urlsplit(base_url), urlsplit(called_url)
    if is_loopback(own.hostname or ""):
        auth = "" if settings.get("requireAuth") is True else " and REQUIRE_AUTH=true"
        return Address(
            base_url,
            warning=f"{base_url} is this machine only, no board in the network reaches it:"
            f" start the platform with HOST=0.0.0.0{auth}, then make the settings anew",
        )
    name = _name(called.hostname or "")
    if settings.get("publicUrl") or not name or own.port is None:
        return Address(base_url)
    return Address(f"{own.scheme}://{name}:{own.port}", (base_url,))


def _name(called_host: str) -> str:
    """Return the name of the platform's machine in the local network, empty if it has none that is known here."""
    if called_host.endswith(_LOCAL):
        return called_host
    own = socket.gethostname().partition(".")[0].lower()
    is_here = is_loopback(called_host) or called_host in (own, socket.gethostname().lower())
    return own + _LOCAL if is_here and AVAHI_SOCKET.exists() else ""
