"""What a wish and an image come to together (contract, Decision 8)."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from edge.errors import ParameterMismatch, Undecodable
from edge.launcher.images import Image, Restart
from edge.model.codec import as_model
from edge.model.descriptions import AgentContainerImage, ImageParameter, PortDescription
from edge.model.json_value import JsonValue
from edge.model.requests import NativeConfig, PostAgentContainer

log = logging.getLogger(__name__)

_T = TypeVar("_T", int, Restart)
_DEFAULT_API_PORT = 8082

# What the platform itself says to a container (contract, section 8.2).
OURS = frozenset(("CONTAINER_ID", "PLATFORM_URL", "TOKEN", "OWNER", "PORT_MAPPING", "PORT"))
# What would let a poster decide which code runs, or where; an image's author may still set them in start.toml.
_POWERFUL = frozenset(
    (
        "PATH", "HOME", "LANG", "SHELL", "USER", "LOGNAME", "TMPDIR", "IFS", "ENV", "BASH_ENV", "SHELLOPTS", "BASHOPTS",
        "PS4", "CDPATH", "GLOBIGNORE", "NODE_OPTIONS", "NODE_PATH", "PERL5OPT", "PERL5LIB", "PERL5DB", "PERLLIB",
        "RUBYOPT", "RUBYLIB", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "JAVA_OPTIONS", "CLASSPATH",
        "GLIBC_TUNABLES", "GCONV_PATH", "LOCPATH", "NLSPATH", "HOSTALIASES", "RES_OPTIONS", "WEB_CONCURRENCY",
        "OPENSSL_CONF", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
    )
)  # fmt: skip
_POWERFUL_BEGINNINGS = ("LD_", "PYTHON", "MALLOC_", "DYLD_", "NPM_CONFIG_", "UVICORN_", "BASH_FUNC_", "OPACA_EDGE_")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a container is to run; nothing of it changes any more.

    Attributes:
        image: What it is started from.
        image_name: As it was asked for.
        api_port: Where the container believes to listen.
        extra_ports: Its further ports.
        requires: What the platform must provide, of wish and image.
        parameters: Variables with the values of its parameters.
        confidential: Names of parameters that are never shown.
        memory_mb: Most memory of all its processes together, in MiB; None for no limit.
        cpu_percent: Most computing time, 100 is one core; None for no limit.
        restart: When it is started again.
    """

    image: Image
    image_name: str
    api_port: int
    extra_ports: Mapping[int, PortDescription]
    requires: tuple[str, ...]
    parameters: Mapping[str, str]
    confidential: frozenset[str]
    memory_mb: int | None
    cpu_percent: int | None
    restart: Restart

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that must not be shown, not even in what the container writes."""
        return tuple(self.parameters[name] for name in self.confidential if self.parameters.get(name))


def make_plan(wish: PostAgentContainer, image: Image) -> Plan:
    """Return what wish and image come to together.

    Raises:
        ParameterMismatch: a required argument is missing, or a value cannot be used.
        Undecodable: a `clientConfig` that is none.
    """
    config = native_config(wish.client_config)
    declared = _declared(wish.image, image.description)
    dropped = sorted(set(wish.arguments) - declared.keys())
    if dropped:
        log.warning("image %s declares no parameter %s: dropped", wish.image.image_name, ", ".join(dropped))
    restart = None if config.restart is None else Restart.named(config.restart)
    return Plan(
        image=image,
        image_name=wish.image.image_name,
        api_port=_api_port(wish.image, image.description),
        extra_ports=_extra_ports(wish.image, image.description),
        requires=tuple(dict.fromkeys([*wish.image.requires, *image.description.requires])),
        parameters=_values(declared, wish.arguments),
        confidential=frozenset(name for name, parameter in declared.items() if parameter.confidential),
        memory_mb=_smaller(config.memory_mb, image.memory_mb),
        cpu_percent=_smaller(config.cpu_percent, image.cpu_percent),
        restart=_smaller_policy(restart, image.restart),
    )


def native_config(given: dict[str, JsonValue] | None) -> NativeConfig:
    if given is None:
        return NativeConfig()
    try:
        config = as_model({**given, "type": "NATIVE"}, NativeConfig)
    except Undecodable as error:
        raise Undecodable(f"clientConfig: {error.message}", error.cause) from error
    for name, value in (("memoryMb", config.memory_mb), ("cpuPercent", config.cpu_percent)):
        if value is not None and value < 1:
            raise ParameterMismatch(f"clientConfig.{name} {value}: expected a whole number above 0")
    return config


def _declared(wished: AgentContainerImage, image: AgentContainerImage) -> dict[str, ImageParameter]:
    """Return the parameters that the image allows, each as the wish describes it, if it does."""
    described = {parameter.name: parameter for parameter in wished.parameters}
    declared: dict[str, ImageParameter] = {}
    for own in image.parameters:
        if own.name is None:
            continue
        if not is_allowed(own.name):
            log.warning("image %s: its parameter %s cannot be declared, it is left out", image.image_name, own.name)
            continue
        asked = described.get(own.name, own)
        declared[own.name] = ImageParameter(
            name=own.name,
            type=own.type,
            required=asked.required,
            confidential=own.confidential or asked.confidential,
            default_value=asked.default_value,
        )
    unknown = sorted(name for name in described if name is not None and name not in declared)
    if unknown:
        log.warning("image %s allows no parameter %s: dropped", wished.image_name, ", ".join(unknown))
    return declared


def is_allowed(name: str) -> bool:
    """Tell whether an image may declare a parameter of this name."""
    upper = name.upper()
    return (
        _VARIABLE.fullmatch(name) is not None
        and upper not in OURS
        and upper not in _POWERFUL
        and not upper.startswith(_POWERFUL_BEGINNINGS)
    )


def _values(declared: Mapping[str, ImageParameter], arguments: Mapping[str, str | None]) -> dict[str, str]:
    values: dict[str, str] = {}
    missing: list[str] = []
    for name, parameter in declared.items():
        if (given := arguments.get(name)) is not None:
            values[name] = given
        elif parameter.required:
            missing.append(name)
        elif parameter.default_value is not None:
            values[name] = parameter.default_value
    if missing:
        raise ParameterMismatch(f"required parameters of the image have no value: {', '.join(missing)}")
    for name, value in values.items():
        if "\0" in value:
            raise ParameterMismatch(f"parameter {name}: a NUL character can stand in no variable")
    return values


def _api_port(wished: AgentContainerImage, image: AgentContainerImage) -> int:
    return image.api_port if wished.api_port == _DEFAULT_API_PORT else wished.api_port


def _extra_ports(wished: AgentContainerImage, image: AgentContainerImage) -> dict[int, PortDescription]:
    ports = {**image.extra_ports, **wished.extra_ports}
    for number in ports:
        if not 1 <= number <= 65535:
            raise ParameterMismatch(f"extraPorts {number}: expected 1 to 65535")
    return ports


def _smaller(first: _T | None, second: _T | None) -> _T | None:
    given = [value for value in (first, second) if value is not None]
    return min(given) if given else None


def _smaller_policy(first: Restart | None, second: Restart | None) -> Restart:
    smaller = _smaller(first, second)
    return Restart.ON_FAILURE if smaller is None else smaller
