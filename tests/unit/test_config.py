"""Settings: where each value comes from, what it may be, and what the user is told if it cannot be."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge.config import (
    WITHOUT_EFFECT,
    ClientConfig,
    ContainerConfig,
    Environment,
    LogLevel,
    PlatformConfig,
    SessionPolicy,
    is_loopback,
)
from edge.config_file import SYSTEM, BundledContainer
from edge.settings import BadSetting

KEY = bytes(range(32))
REFERENCE_VARIABLES = {
    "PORT",
    "PUBLIC_URL",
    "CONTAINER_ENVIRONMENT",
    "PLATFORM_ENVIRONMENT",
    "SESSION_POLICY",
    "CONTAINER_TIMEOUT_SEC",
    "DEFAULT_IMAGE_DIRECTORY",
    "EVENT_HISTORY_SIZE",
    "ALWAYS_PULL_IMAGES",
    "LOG_LEVEL",
    "REQUIRE_AUTH",
    "SECRET",
    "PLATFORM_ADMIN_USER",
    "PLATFORM_ADMIN_PWD",
    "DB_EMBED",
    "DB_URI",
    "DB_NAME",
    "REGISTRY_NAMES",
    "REGISTRY_LOGINS",
    "REGISTRY_PASSWORDS",
    "REGISTRY_SEPARATOR",
    "REMOTE_DOCKER_HOST",
    "REMOTE_DOCKER_PORT",
    "KUBERNETES_NAMESPACE",
    "KUBERNETES_CONFIG",
}


def read(**variables: str) -> PlatformConfig:
    return PlatformConfig.from_environ(variables)


def problems(**variables: str) -> str:
    with pytest.raises(BadSetting) as caught:
        read(**variables)
    return str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "opaca-edge.toml"


def load(file: Path, environ: Mapping[str, str] | None = None, **arguments: object) -> PlatformConfig:
    return PlatformConfig.load(arguments, environ or {}, config_file=file)


def file_problems(file: Path, text: str) -> str:
    file.write_text(text)
    with pytest.raises(BadSetting) as caught:
        load(file)
    return str(caught.value).replace(str(file), "FILE")


def test_defaults() -> None:
    config = read(HOME="/home/pi")
    assert config.host == "127.0.0.1"
    assert config.tcp_port == 8000
    assert config.public_url is None
    assert config.session_policy is SessionPolicy.RESTART
    assert config.container_timeout_s == 10
    assert config.event_history_size == 50
    assert config.log_level is LogLevel.INFO
    assert (config.require_auth, config.insecure_lan, config.db_embed) == (False, False, True)
    assert (config.secret, config.platform_admin_user, config.platform_admin_pwd) == (None, "admin", None)
    assert config.state_dir == Path("/home/pi/.local/state/opaca-edge")
    assert config.image_directory == config.state_dir / "images"
    assert config.bundled == (SYSTEM,)
    assert config.warnings == ()


def test_every_variable_of_the_reference_is_known() -> None:
    known = {each.metadata["setting"].variable for each in dataclasses.fields(PlatformConfig) if each.metadata}
    assert known | set(WITHOUT_EFFECT) >= REFERENCE_VARIABLES
