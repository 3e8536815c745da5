"""Settings of the programs; the only reader of the environment (contract, section 11 and Decisions 14 and 19).

An argument of the command wins over an environment variable, that over a credential of the service manager (secrets
only), that over the configuration file, that over the default.
"""

# ruff: noqa: RUF009 - `setting` only declares a field, as `dataclasses.field` does
from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from edge import settings as kinds
from edge.config_file import (
    STANDARD_FILES,
    SYSTEM,
    BundledContainer,
    bundled_section,
    find_file,
    platform_section,
    read_toml,
)
from edge.credentials import credentials
from edge.kept_tokens import read_token, token_file
from edge.settings import BadSetting, Source, read_settings, setting, settings_of

DEFAULT_URL = "http://127.0.0.1:8000"

_USERS_ARE_OURS = "users are kept in STATE_DIR"
_NO_ENGINE = "containers are native processes, without a container engine"
# Variables of the reference that mean nothing here: a file of settings that was written for it must still do.
WITHOUT_EFFECT = {
    "DB_URI": _USERS_ARE_OURS,
    "DB_NAME": _USERS_ARE_OURS,
    "REGISTRY_LOGINS": _NO_ENGINE,
    "REGISTRY_PASSWORDS": _NO_ENGINE,
    "REGISTRY_SEPARATOR": _NO_ENGINE,
    "REMOTE_DOCKER_HOST": _NO_ENGINE,
    "REMOTE_DOCKER_PORT": _NO_ENGINE,
    "KUBERNETES_NAMESPACE": _NO_ENGINE,
    "KUBERNETES_CONFIG": _NO_ENGINE,
}


class Environment(StrEnum):
    """What runs containers, or the platform; this platform accepts all and is always NATIVE."""

    NATIVE = "NATIVE"
    DOCKER = "DOCKER"
    KUBERNETES = "KUBERNETES"


class SessionPolicy(StrEnum):
    """What becomes of containers when the platform stops and starts again (contract, section 8.9)."""

    SHUTDOWN = "SHUTDOWN"
    RESTART = "RESTART"
    RECONNECT = "RECONNECT"


class LogLevel(StrEnum):
    """The least severe messages that are logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


_LOG_LEVEL = kinds.choice(
    LogLevel,
    {"trace": LogLevel.DEBUG, "warn": LogLevel.WARNING, "fatal": LogLevel.ERROR, "critical": LogLevel.ERROR},
)
_ENVIRONMENT = kinds.choice(Environment)
_PORT = kinds.whole_number(0, 65535)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformConfig:
    """Settings of one runtime platform; fixed once it runs.

    Attributes:
        state_dir: Folder of everything that must survive a restart.
        image_directory: Folder whose sub-folders are the images of native processes.
        host: Address to listen on; loopback unless users must log in or `insecure_lan` is set.
        tcp_port: Where the OPACA API listens; 0 lets the system choose.
        insecure_lan: Whether anyone in the network may use the platform without logging in.
        public_url: Own base URL as others see it, without a final slash; None if it follows from host and port.
        tls_cert: PEM file of the certificate that callers are shown; None serves without TLS.
        tls_key: PEM file of its key; there if and only if `tls_cert` is.
        ca_file: PEM file of authorities that calls to others trust besides the system's; None for none.
        container_environment: What runs containers; always NATIVE after loading.
        platform_environment: What runs the platform; always NATIVE after loading.
        session_policy: What becomes of containers when the platform starts again.
        container_timeout_s: Longest wait for a new container's first /info, in seconds.
        default_image_directory: Folder of containers to start with the platform; None if there is none.
        event_history_size: Entries that the history keeps; 0 keeps none, a negative number all.
        always_pull_images: Shown in /config; nothing is pulled here.
        log_level: The least severe messages that are logged.
        require_auth: Whether callers must log in.
        secret: Key that signs tokens, at least 32 bytes; None if the platform makes and keeps its own.
        platform_admin_user: Name of the platform's administrator.
        platform_admin_pwd: Password to give the administrator at every start, may be empty; None keeps the one
            that was made at the first start.
        db_embed: Shown in /config; users are always kept in `state_dir`.
        registry_names: Shown in /config; nothing is pulled here.
        allowed_origins: Web pages that may manage the platform besides its own, as in the Origin header.
        allowed_hosts: Host names that managing calls may be addressed to besides the platform's own.
        bundled: Containers that run inside the platform's process.
        bridge: The `[bridge]` section, as it stands in TOML.
        config_file: The configuration file that was read; None if there was none.
        origins: Where each setting came from, by field name; missing ones are defaults.
        warnings: What the user should know about the settings; to be logged at start.
    """

    state_dir: Path = setting("STATE_DIR", kinds.FOLDER)
    image_directory: Path = setting("IMAGE_DIRECTORY", kinds.FOLDER)
    host: str = setting("HOST", kinds.HOST, "127.0.0.1")
    tcp_port: int = setting("PORT", _PORT, 8000)
    insecure_lan: bool = setting("INSECURE_LAN", kinds.SWITCH, False)
    public_url: str | None = setting("PUBLIC_URL", kinds.BASE_URL, None)
    tls_cert: Path | None = setting("TLS_CERT", kinds.FILE, None)
    tls_key: Path | None = setting("TLS_KEY", kinds.FILE, None)
    ca_file: Path | None = setting("CA_FILE", kinds.FILE, None)
    container_environment: Environment = setting("CONTAINER_ENVIRONMENT", _ENVIRONMENT, Environment.NATIVE)
    platform_environment: Environment = setting("PLATFORM_ENVIRONMENT", _ENVIRONMENT, Environment.NATIVE)
    session_policy: SessionPolicy = setting("SESSION_POLICY", kinds.choice(SessionPolicy), SessionPolicy.RESTART)
    container_timeout_s: int = setting("CONTAINER_TIMEOUT_SEC", kinds.whole_number(1, 86_400), 10)
    default_image_directory: Path | None = setting("DEFAULT_IMAGE_DIRECTORY", kinds.FOLDER, None)
    event_history_size: int = setting("EVENT_HISTORY_SIZE", kinds.whole_number(-1, 1_000_000), 50)
    always_pull_images: bool = setting("ALWAYS_PULL_IMAGES", kinds.SWITCH, False)
    log_level: LogLevel = setting("LOG_LEVEL", _LOG_LEVEL, LogLevel.INFO)
    require_auth: bool = setting("REQUIRE_AUTH", kinds.SWITCH, False)
    secret: bytes | None = setting("SECRET", kinds.SIGNING_KEY, None, secret=True)
    platform_admin_user: str = setting("PLATFORM_ADMIN_USER", kinds.TEXT, "admin")
    platform_admin_pwd: str | None = setting("PLATFORM_ADMIN_PWD", kinds.VERBATIM, None, secret=True, may_be_empty=True)
    db_embed: bool = setting("DB_EMBED", kinds.SWITCH, True)
    registry_names: str = setting("REGISTRY_NAMES", kinds.VERBATIM, "", may_be_empty=True)
    allowed_origins: tuple[str, ...] = setting("ALLOWED_ORIGINS", kinds.NAMES, ())
    allowed_hosts: tuple[str, ...] = setting("ALLOWED_HOSTS", kinds.NAMES, ())
    bundled: tuple[BundledContainer, ...] = (SYSTEM,)
    bridge: Mapping[str, Any] = field(default_factory=dict, repr=False)
    config_file: Path | None = None
    origins: Mapping[str, str] = field(default_factory=dict, repr=False)
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read settings from variables alone, without a file; `BadSetting` names every one that does not fit."""
        return cls.load(environ=environ, standard_files=())

    @classmethod
    def load(
        cls,
        arguments: Mapping[str, object] | None = None,
        environ: Mapping[str, str] | None = None,
        *,
        config_file: Path | None = None,
        standard_files: Sequence[Path] = STANDARD_FILES,
        bundled: bool = True,
    ) -> Self:
        """Read settings from arguments, variables and the configuration file.

        Args:
            arguments: Values from the command line by variable; None stands for not given.
            environ: The environment; None is that of this process.
            config_file: A file that must exist; None takes `OPACA_EDGE_CONFIG` or the first standard file there is.
            standard_files: Where to look for a file that may be missing.
            bundled: False starts no bundled container, whatever the file lists.
        Raises:
            BadSetting: values, keys or files that cannot be used; all of them, one line each.
        """
        environ = environ if environ is not None else environment()
        here = Path.cwd()
        path = find_file(config_file, environ, standard_files)
        document = read_toml(path) if path else {}
        problems: list[str] = []
        sources = [Source("argument", arguments or {}, here), Source("environment", environ, here)]
        declared = settings_of(cls)
        secrets = [each.variable for each in declared.values() if each.secret]
        sources.append(credentials(environ, secrets, problems))
        if path:
            known = [each.variable for each in declared.values()] + list(WITHOUT_EFFECT)
            sources.append(platform_section(document, path, known, problems))
        found = read_settings(declared, sources, problems)
        values = {name: value for name, (value, _) in found.items()}
        origins = {name: origin for name, (_, origin) in found.items()}
        _derive(values, origins, environ, problems)
        containers = bundled_section(document, path, problems) if bundled else ()
        bridge = document.get("bridge", {})
        if not isinstance(bridge, dict):
            problems.append(f"bridge ({path}): expected a section [bridge]")
        if problems:
            raise BadSetting("\n".join(problems))
        config = cls(**values, bundled=containers, bridge=bridge, config_file=path, origins=origins)
        return replace(
            config,
            container_environment=Environment.NATIVE,
            platform_environment=Environment.NATIVE,
            db_embed=True,
            warnings=tuple(_warnings(config, sources)),
        )

    def public_view(self) -> dict[str, str | int | bool | None]:
        """Return what `GET /config` shows, in the contract's order (10.2); no secrets."""
        folder = self.default_image_directory
        return {
            "publicUrl": self.public_url,
            "serverPort": self.tcp_port,
            "containerEnvironment": self.container_environment.value,
            "platformEnvironment": self.platform_environment.value,
            "sessionPolicy": self.session_policy.value,
            "containerTimeoutSec": self.container_timeout_s,
            "defaultImageDirectory": None if folder is None else str(folder),
            "eventHistorySize": self.event_history_size,
            "alwaysPullImages": self.always_pull_images,
            "requireAuth": self.require_auth,
            "dbEmbed": self.db_embed,
            "registryNames": self.registry_names,
        }

    def base_url(self, tcp_port: int) -> str:
        """Return the own base URL when listening on `tcp_port`; asks the system for the outbound address if it must."""
        if self.public_url is not None:
            return self.public_url
        host = outbound_address() if self.host in ("0.0.0.0", "::") else self.host
        scheme = "http" if self.tls_cert is None else "https"
        return f"{scheme}://[{host}]:{tcp_port}" if ":" in host else f"{scheme}://{host}:{tcp_port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerConfig:
    """What an agent container that runs alone is told by the platform that started it (contract, section 8.2).

    Attributes:
        container_id: The ID it was given; None if nobody did.
        platform_url: Base URL of its platform; None if it has none.
        token: What it shows to its platform and expects from it; empty if neither checks.
        owner: Who started it; may be empty.
        host: Address to listen on.
        tcp_port: Where to listen; None leaves it to the image.
        ca_file: PEM file of authorities to trust besides the system's if the platform speaks TLS.
        port_mapping: Host port of each of its ports.
        log_level: The least severe messages that are logged.
        values: All variables, for the parameters that its image declares.
    """

    container_id: str | None = setting("CONTAINER_ID", kinds.TEXT, None)
    platform_url: str | None = setting("PLATFORM_URL", kinds.BASE_URL, None)
    token: str = setting("TOKEN", kinds.TEXT, "", secret=True)
    owner: str = setting("OWNER", kinds.TEXT, "")
    host: str = setting("HOST", kinds.HOST, "127.0.0.1")
    tcp_port: int | None = setting("PORT", _PORT, None)
    ca_file: Path | None = setting("CA_FILE", kinds.FILE, None)
    port_mapping: Mapping[int, int] = field(default_factory=dict)
    log_level: LogLevel = setting("LOG_LEVEL", _LOG_LEVEL, LogLevel.INFO)
    values: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], arguments: Mapping[str, object] | None = None) -> Self:
        """Read what the platform (or a developer's shell) set; `BadSetting` names every value that does not fit."""
        problems: list[str] = []
        sources = [Source("argument", arguments or {}, Path()), Source("environment", environ, Path())]
        found = read_settings(settings_of(cls), sources, problems)
        mapping: dict[int, int] = {}
        text = environ.get("PORT_MAPPING", "")
        if text and not re.fullmatch(r"\d{1,5}:\d{1,5}(,\d{1,5}:\d{1,5})*", text, re.ASCII):
            problems.append(f"PORT_MAPPING={text!r}: expected pairs such as 8082:8090,1883:1884")
        elif text:
            pairs = (pair.split(":") for pair in text.split(","))
            mapping = {int(inner): int(outer) for inner, outer in pairs}
        if problems:
            raise BadSetting("\n".join(problems))
        return cls(**{name: value for name, (value, _) in found.items()}, port_mapping=mapping, values=environ)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """What the command's client verbs need to know.

    Attributes:
        url: Base URL of the platform to talk to.
        token: Bearer token, else the one kept by `login` for this platform; empty if none is sent.
        ca_file: PEM file of authorities to trust besides the system's.
        is_colour_wanted: False if the user asked for plain text.
    """

    url: str = setting("OPACA_EDGE_URL", kinds.BASE_URL, DEFAULT_URL)
    token: str = setting("OPACA_EDGE_TOKEN", kinds.TEXT, "", secret=True)
    ca_file: Path | None = setting("OPACA_EDGE_CA_FILE", kinds.FILE, None)
    is_colour_wanted: bool = True

    @classmethod
    def load(cls, arguments: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None) -> Self:
        """Read arguments and variables; `BadSetting` names every value that does not fit."""
        environ = environ if environ is not None else environment()
        problems: list[str] = []
        sources = [Source("argument", arguments or {}, Path()), Source("environment", environ, Path())]
        found = read_settings(settings_of(cls), sources, problems)
        if problems:
            raise BadSetting("\n".join(problems))
        values = {name: value for name, (value, _) in found.items()}
        config = cls(**values, is_colour_wanted=is_colour_wanted(environ))
        return config if config.token else replace(config, token=read_token(token_file(environ, config.url)))


def is_colour_wanted(environ: Mapping[str, str]) -> bool:
    """Tell whether coloured text may be printed to a terminal (https://no-color.org)."""
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def environment() -> Mapping[str, str]:
    """Return a copy of this process's environment."""
    return dict(os.environ)  # noqa: TID251 - the one place that may


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in ("localhost", "ip6-localhost")


def _derive(values: dict[str, Any], origins: dict[str, str], environ: Mapping[str, str], problems: list[str]) -> None:
    """Add the values that follow from others, and check those that must fit each other."""
    if "state_dir" not in values:
        values["state_dir"], origins["state_dir"] = _state_dir(environ)
    values.setdefault("image_directory", values["state_dir"] / "images")
    is_open = values.get("require_auth", False) or values.get("insecure_lan", False)
    if ("tls_cert" in values) != ("tls_key" in values):
        there, missing = ("TLS_CERT", "TLS_KEY") if "tls_cert" in values else ("TLS_KEY", "TLS_CERT")
        problems.append(f"{there} is set, but not {missing}: expected both, or neither to serve without TLS")
    host = values.setdefault("host", "0.0.0.0" if is_open else "127.0.0.1")
    if not is_open and not is_loopback(host):
        problems.append(
            f"HOST={host!r}: expected a loopback address such as 127.0.0.1 while callers need not log in;"
            " to serve the network, set REQUIRE_AUTH=true,"
            " or give --insecure-lan to let anyone there start programs here"
        )


def state_folder(environ: Mapping[str, str]) -> Path:
    """Return where a client verb keeps what must survive; no configuration file counts."""
    return Path(environ["STATE_DIR"]) if environ.get("STATE_DIR") else _state_dir(environ)[0]


def _state_dir(environ: Mapping[str, str]) -> tuple[Path, str]:
    """Return the folder for what must survive and where that came from; systemd names it for a service."""
    from_systemd = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if from_systemd:
        return Path(from_systemd), "environment STATE_DIRECTORY"
    home = Path(environ["HOME"]) if environ.get("HOME") else Path("~").expanduser()
    return home / ".local/state/opaca-edge", "default"


def _warnings(config: PlatformConfig, sources: Sequence[Source]) -> list[str]:
    """Say what was asked for and is not done, and what is dangerous."""
    found: list[str] = []
    for name in ("container_environment", "platform_environment"):
        value = getattr(config, name)
        if value is not Environment.NATIVE:
            found.append(f"{name.upper()}={value.lower()}: this platform is native and reports NATIVE")
    if not config.db_embed:
        found.append(f"DB_EMBED=false has no effect: {_USERS_ARE_OURS}")
    for variable, reason in WITHOUT_EFFECT.items():
        if any(source.values.get(variable) for source in sources):
            found.append(f"{variable} has no effect: {reason}")
    in_file = [name for name in ("secret", "platform_admin_pwd") if config.origins.get(name, "").startswith("file ")]
    if in_file and config.config_file is not None and config.config_file.stat().st_mode & 0o077:
        found.append(
            f"{config.config_file} holds {' and '.join(in_file)} but others may read it: chmod 600 {config.config_file}"
        )
    return found


def outbound_address() -> str:
    """Return this machine's address on the way out, as the system would choose it; nothing is sent."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address: only the choice of route matters
            return str(probe.getsockname()[0])
        except OSError:  # no route out: nobody else is there to use it either
            return "127.0.0.1"
