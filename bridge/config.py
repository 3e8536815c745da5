"""Settings of the bridge: the `[bridge]` section of the configuration file, checked as a whole.

It reads no environment variable of its own. Secrets are in files of mode 0600, named here.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge import config_values as values
from bridge.access import Access
from bridge.config_values import ROLES, Table
from bridge.local import Administrator
from bridge.mqtt.client import Broker
from bridge.mqtt.topics import Topics

FREE_FROM = ("127.0.0.0/8", "::1/128")
_LANES = ("alarm", "message", "telemetry")


class BadBridge(ValueError):
    """Settings that cannot be used; one line each, naming the key and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """How to reach a broker.

    Attributes:
        host: Name or address.
        port: TCP port.
        user: User name and client identifier.
        password_file: File of mode 0600 with the password; None for none.
        is_tls: Whether the broker speaks TLS.
        ca_file: Authorities to trust instead of the system's.
        cert_file: Own certificate, if the broker asks for one.
        key_file: Its key, mode 0600.
        keep_alive_s: See `Broker`.
        longest_pause_s: See `Broker`.
    """

    host: str
    port: int
    user: str
    password_file: Path | None = None
    is_tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    keep_alive_s: int = 20
    longest_pause_s: float = 60.0

    def open(self) -> Broker:
        """Read the files; `BadBridge` if one cannot be used."""
        password = None if self.password_file is None else read_secret(self.password_file)
        return Broker(
            host=self.host,
            port=self.port,
            user=self.user,
            password=password,
            tls=self._context() if self.is_tls else None,
            keep_alive_s=self.keep_alive_s,
            longest_pause_s=self.longest_pause_s,
            again=self.open,
        )

    def _context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise BadBridge(f"ca_file={self.ca_file}: expected a PEM file of certificates ({error})") from error
        if self.cert_file is not None:
            check_secret(self.key_file or self.cert_file)
            try:
                context.load_cert_chain(self.cert_file, self.key_file)
            except (OSError, ssl.SSLError) as error:
                raise BadBridge(
                    f"cert_file={self.cert_file}, key_file={self.key_file}: expected a PEM certificate and its key"
                    f" ({error})"
                ) from error
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """This platform as a site on somebody's broker.

    Attributes:
        site: Its name there.
        gateway: Name of the gateway that serves it.
        broker: Where.
        access: What callers from the other side may do here.
        telemetry: Channels whose bare payloads also go to plain MQTT consumers.
        is_telemetry_retained: Whether the broker keeps the last of each.
    """

    site: str
    gateway: str
    broker: BrokerSettings
    access: Access
    telemetry: Sequence[str] = ()
    is_telemetry_retained: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """This bridge as the one that serves the sites of a broker.

    Attributes:
        name: Its name there.
        broker: Where.
        access: What the callers of each site may do here; `*` stands for all others.
    """

    name: str
    broker: BrokerSettings
    access: Mapping[str, Access] = field(default_factory=dict)

    def access_of(self, site: str) -> Access:
        """Return what a site may do; nothing, if nobody said so."""
        return self.access.get(site) or self.access.get("*") or Access()


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSettings:
    """Bounds of one lane, and what goes there.

    Attributes:
        max_mb: What may wait for one party, in MB; None takes the lane's own bound.
        expires_s: How long a message is worth playing, 0 for ever; None takes the lane's own: upwards for ever.
        is_buffered: Written once a second instead of before the answer; may lose 2 s at a power cut.
        channels: Patterns of channels whose broadcasts go here.
        agents: Patterns of agents whose messages go here.
    """

    max_mb: float | None = None
    expires_s: float | None = None
    is_buffered: bool = False
    channels: Sequence[str] = ()
    agents: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeConfig:
    """Settings of one bridge.

    Attributes:
        platform: Base URL of the platform beside it.
        administrator: Who manages connections there; None without authentication.
        ca_file: Authorities to trust if that platform speaks https.
        state_dir: Where its queues and its token are.
        keep_free_mb: What the queues leave free of that disk, in MB.
        software: Shown to the other end.
        host: Where its own base URLs are served.
        tcp_port: As above; 0 lets the system choose.
        public_url: How the platform reaches that; None takes host and port.
        free_from: Networks that may read `/info` and `/subscribe` without a token.
        topics: How topics begin.
        device: The role towards the cloud; None if it has none.
        gateway: The role towards sites; None if it has none.
        lanes: By name.
    """

    platform: str
    state_dir: Path
    keep_free_mb: float = 64.0
    software: str = "opaca-edge"
    administrator: Administrator | None = None
    ca_file: Path | None = None
    host: str = "127.0.0.1"
    tcp_port: int = 8070
    public_url: str | None = None
    free_from: Sequence[str] = FREE_FROM
    topics: Topics = field(default_factory=Topics)
    device: DeviceSettings | None = None
    gateway: GatewaySettings | None = None
    lanes: Mapping[str, LaneSettings] = field(default_factory=dict)


def read_secret(path: Path) -> str:
    """Return the text of a secret file without its line end.

    Raises:
        BadBridge: it cannot be read, or others can read it as well.
    """
    try:
        check_secret(path)
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except PermissionError as error:
        user = _own_name()
        raise BadBridge(f"{path}: the user {user} may not read this secret; run sudo chown {user} {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadBridge(f"{path}: expected a readable file with one secret ({error})") from error


def check_secret(path: Path) -> None:
    """Raise `BadBridge` if a file is not there, or others can read it as well."""
    try:
        is_open = bool(path.stat().st_mode & 0o077)
    except PermissionError as error:
        where = f"the user {_own_name()} may not enter its folder; move it to one that it may, such as /etc/opaca-edge"
        raise BadBridge(f"{path}: {where}") from error
    except OSError as error:
        raise BadBridge(f"{path}: expected a file of mode 0600 ({error.strerror})") from error
    if is_open:
        raise BadBridge(f"{path}: others can read this secret; run chmod 600 {path}")


def _own_name() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def load_bridge(
    section: Mapping[str, Any],
    folder: Path,
    *,
    platform_url: str,
    state_dir: Path,
    administrator: Administrator | None = None,
    requires_auth: bool = False,
    software: str = "opaca-edge",
) -> BridgeConfig:
    """Read the section.

    Args:
        section: As it stands in TOML.
        folder: What relative paths are relative to.
        platform_url: The platform beside it, unless the section names one.
        state_dir: The platform's state directory, unless the section names one.
        administrator: The platform's, as far as its own settings tell, unless the section names a password.
        requires_auth: Whether that platform asks who is calling.
        software: Shown to the other end.

    Raises:
        BadBridge: all that cannot be used, one line each.
    """
    problems: list[str] = []
    table = Table("bridge", section, folder, problems)
    host, port = table.take(
        "listen", values.endpoint, "an address and a port such as 127.0.0.1:8070", ("127.0.0.1", 8070)
    )
    device, gateway = table.table("device"), table.table("gateway")
    lanes = table.table("lanes")
    found: dict[str, Any] = {
        "platform": table.take("platform", values.base_url, "a URL such as http://127.0.0.1:8000", platform_url),
        "state_dir": table.take("state_dir", table.path, "a folder", state_dir),
        "keep_free_mb": table.take("keep_free_mb", values.positive, "megabytes above 0", 64.0),
        "administrator": _administrator(table) or administrator,
        "software": software,
        "ca_file": table.take("ca_file", table.path, "a PEM file", None),
        "host": host,
        "tcp_port": port,
        "public_url": table.take("public_url", values.base_url, "a URL such as http://bridge:8070", None),
        "free_from": table.take("free_from", values.networks, "networks such as 172.17.0.0/16", FREE_FROM),
        "topics": table.take("root", lambda value: Topics(values.text(value)), "a root such as opaca", Topics()),
        "device": None if device is None else _device(device),
        "gateway": None if gateway is None else _gateway(gateway),
        "lanes": {name: _lane(lanes, name) for name in _LANES},
    }
    if lanes is not None:
        lanes.end()
    table.end()
    if device is None and gateway is None and not problems:
        problems.append("[bridge]: expected [bridge.device], [bridge.gateway], or both")
    if requires_auth and found["administrator"] is None and not problems:
        problems.append(
            "[bridge] password_file: expected a file of mode 0600 with the administrator's password, because the"
            " platform asks who is calling (REQUIRE_AUTH)"
        )
    if problems:
        raise BadBridge("\n".join(problems))
    return BridgeConfig(**found)


def _administrator(table: Table) -> Administrator | None:
    name = table.take("admin", values.text, "a user name", "admin")
    path = table.take("password_file", table.path, "a file of mode 0600 with the administrator's password", None)
    if path is None:
        return None
    try:
        return Administrator(name, read_secret(path))
    except BadBridge as error:
        table.complain(f"password_file: {error}")
        return None


def _device(table: Table) -> DeviceSettings:
    site = table.take("site", values.site, "letters a-z, digits and -, at most 64", None) or ""
    if not site:
        table.complain("site: expected the name that this platform has on the broker")
    settings = DeviceSettings(
        site=site,
        gateway=table.take("gateway", values.site, "the gateway's name", "gateway"),
        broker=_broker(table, site),
        access=_access(table, "USER", ("*",)),
        telemetry=table.take("telemetry", values.texts, "a list of channels", ()),
        is_telemetry_retained=table.take("retain_telemetry", values.flag, "true or false", False),
    )
    table.end()
    return settings


def _gateway(table: Table) -> GatewaySettings:
    name = table.take("name", values.site, "letters a-z, digits and -, at most 64", "gateway")
    broker = _broker(table, name)
    access: dict[str, Access] = {}
    sites = table.table("sites")
    if sites is not None:
        for site in sites.tables():
            one = sites.table(site)
            if one is not None:
                access[site] = _access(one, "USER", ("*",))
                one.end()
    table.end()
    return GatewaySettings(name=name, broker=broker, access=access)


def _access(table: Table, role: str, allow: Sequence[str]) -> Access:
    return Access(
        table.take("role", values.role, f"one of {', '.join(ROLES)}", role),
        table.take("allow", values.texts, 'a list of patterns such as "invoke/Water"', allow),
    )


def _broker(table: Table, user: str) -> BrokerSettings:
    url = table.take("broker", values.broker_url, "a URL such as mqtts://broker.example:8883", None)
    if url is None:
        table.complain("broker: expected a URL such as mqtts://broker.example:8883")
    is_tls, host, port = url or (False, "localhost", 1883)
    return BrokerSettings(
        host=host,
        port=port,
        is_tls=is_tls,
        user=table.take("user", values.text, "a user name", user or "nobody"),
        password_file=table.take("password_file", table.path, "a file of mode 0600", None),
        ca_file=table.take("ca_file", table.path, "a PEM file", None),
        cert_file=table.take("cert_file", table.path, "a PEM file", None),
        key_file=table.take("key_file", table.path, "a PEM file of mode 0600", None),
        keep_alive_s=table.take("keep_alive_s", values.seconds, "seconds from 5 to 600", 20),
        longest_pause_s=table.take("retry_s", values.pause, "seconds from 1 to 600", 60),
    )


def _lane(lanes: Table | None, name: str) -> LaneSettings:
    table = None if lanes is None else lanes.table(name)
    if table is None:
        return LaneSettings()
    settings = LaneSettings(
        max_mb=table.take("max_mb", values.positive, "megabytes above 0", None),
        expires_s=table.take("expires_s", values.expiry, "seconds above 0, at most 10 years, or false for never", None),
        is_buffered=table.take("buffered", values.flag, "true or false", False),
        channels=table.take("channels", values.texts, "a list of patterns of channels", ()),
        agents=table.take("agents", values.texts, "a list of patterns of agents", ()),
    )
    table.end()
    return settings
