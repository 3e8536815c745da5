"""Settings: where each value comes from, what it may be, and what the user is told if it cannot be."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path

import pytest

from edge.config import (
    WITHOUT_EFFECT,
    Environment,
    LogLevel,
    PlatformConfig,
    SessionPolicy,
    is_loopback,
)
from edge.config_file import SYSTEM
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


# Values.


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


@pytest.mark.parametrize("value", ["shutdown", "SHUTDOWN", " Shutdown "])
def test_choices_may_be_written_in_any_case(value: str) -> None:
    assert read(SESSION_POLICY=value).session_policy is SessionPolicy.SHUTDOWN


@pytest.mark.parametrize(
    ("value", "level"), [("trace", LogLevel.DEBUG), ("warn", LogLevel.WARNING), ("ERROR", LogLevel.ERROR)]
)
def test_log_levels_of_the_reference_are_understood(value: str, level: LogLevel) -> None:
    assert read(LOG_LEVEL=value).log_level is level


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("ON", True), ("1", True), ("no", False), ("0", False)]
)
def test_switches(value: str, expected: bool) -> None:
    assert read(REQUIRE_AUTH=value).require_auth is expected


def test_empty_variables_count_as_unset() -> None:
    empty = {each.metadata["setting"].variable: "" for each in dataclasses.fields(PlatformConfig) if each.metadata}
    del empty["PLATFORM_ADMIN_PWD"]
    config = PlatformConfig.from_environ(empty | {"HOME": "/h"})
    assert dataclasses.replace(config, origins={}) == dataclasses.replace(read(HOME="/h"), origins={})


def test_empty_admin_password_is_a_password() -> None:
    assert read(PLATFORM_ADMIN_PWD="").platform_admin_pwd == ""
    assert read(PLATFORM_ADMIN_PWD=" a ").platform_admin_pwd == " a "


@pytest.mark.parametrize("text", [base64.b64encode(KEY).decode(), base64.b64encode(KEY).decode().rstrip("=")])
def test_secret_is_decoded_with_and_without_padding(text: str) -> None:
    assert read(SECRET=text).secret == KEY


def test_leftover_character_of_a_secret_is_dropped() -> None:
    assert read(SECRET=base64.b64encode(bytes(33)).decode() + "A").secret == bytes(33)


def test_names_are_split_at_commas_and_blanks() -> None:
    config = read(ALLOWED_HOSTS="pi.local, greenhouse", ALLOWED_ORIGINS="http://a")
    assert config.allowed_hosts == ("pi.local", "greenhouse")
    assert config.allowed_origins == ("http://a",)


@pytest.mark.parametrize("environment", ["native", "Docker", "KUBERNETES"])
def test_platform_is_native_whatever_the_environment_says(environment: str) -> None:
    config = read(CONTAINER_ENVIRONMENT=environment, PLATFORM_ENVIRONMENT=environment)
    assert config.container_environment is config.platform_environment is Environment.NATIVE
    assert len(config.warnings) == (0 if environment == "native" else 2)


def test_settings_without_effect_are_accepted_with_a_warning() -> None:
    config = read(DB_EMBED="false", DB_URI="mongodb://x", REMOTE_DOCKER_HOST="", KUBERNETES_NAMESPACE="agents")
    assert config.db_embed is True
    assert [warning.split(" ")[0] for warning in config.warnings] == [
        "DB_EMBED=false",
        "DB_URI",
        "KUBERNETES_NAMESPACE",
    ]


# Where the state is, where to listen.


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"STATE_DIR": "/a", "STATE_DIRECTORY": "/b"}, "/a"),
        ({"STATE_DIRECTORY": "/b:/c", "HOME": "/h"}, "/b"),
        ({"HOME": "/h"}, "/h/.local/state/opaca-edge"),
    ],
)
def test_state_folder(variables: dict[str, str], folder: str) -> None:
    config = read(**variables)
    assert config.state_dir == Path(folder)
    assert config.image_directory == Path(folder) / "images"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "greenhouse.local"])
def test_network_is_served_only_if_users_log_in_or_it_is_asked_for(host: str) -> None:
    assert problems(HOST=host).startswith(f"HOST={host!r}: expected a loopback address")
    assert "--insecure-lan" in problems(HOST=host)
    assert read(HOST=host, INSECURE_LAN="true").host == host
    assert read(HOST=host, REQUIRE_AUTH="true").host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_loopback_is_always_served(host: str) -> None:
    assert is_loopback(read(HOST=host).host)


@pytest.mark.parametrize("variable", ["INSECURE_LAN", "REQUIRE_AUTH"])
def test_default_is_to_serve_the_network_once_that_is_allowed(variable: str) -> None:
    assert read(**{variable: "true"}).host == "0.0.0.0"


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "http://127.0.0.1:8123"),
        ({"HOST": "::1"}, "http://[::1]:8123"),
        ({"HOST": "192.168.1.7", "INSECURE_LAN": "1"}, "http://192.168.1.7:8123"),
        ({"PUBLIC_URL": "https://pi.example/opaca/"}, "https://pi.example/opaca"),
    ],
)
def test_own_base_url(variables: dict[str, str], url: str) -> None:
    assert read(**variables).base_url(8123) == url


def test_own_base_url_names_an_address_where_all_are_served() -> None:
    assert "0.0.0.0" not in read(INSECURE_LAN="true").base_url(8123)


def test_home_is_expanded_in_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/pi")
    assert read(STATE_DIR="~/s").state_dir == Path("/home/pi/s")


def test_public_view_has_the_contracts_keys_in_order_and_no_secret() -> None:
    config = read(SECRET=base64.b64encode(KEY).decode(), DEFAULT_IMAGE_DIRECTORY="/i", PORT="81")
    assert config.public_view() == {
        "publicUrl": None,
        "serverPort": 81,
        "containerEnvironment": "NATIVE",
        "platformEnvironment": "NATIVE",
        "sessionPolicy": "RESTART",
        "containerTimeoutSec": 10,
        "defaultImageDirectory": "/i",
        "eventHistorySize": 50,
        "alwaysPullImages": False,
        "requireAuth": False,
        "dbEmbed": True,
        "registryNames": "",
    }
    assert list(config.public_view())[:3] == ["publicUrl", "serverPort", "containerEnvironment"]


# What is wrong.


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("PORT", "x", "PORT='x': expected a whole number from 0 to 65535"),
        ("PORT", "65536", "PORT='65536': expected a whole number from 0 to 65535"),
        ("PORT", "8_000", "PORT='8_000': expected a whole number from 0 to 65535"),
        ("PORT", "٣", "PORT='٣': expected a whole number from 0 to 65535"),
        ("CONTAINER_TIMEOUT_SEC", "0", "CONTAINER_TIMEOUT_SEC='0': expected a whole number from 1 to 86400"),
        ("EVENT_HISTORY_SIZE", "9" * 30, "EVENT_HISTORY_SIZE='" + "9" * 30 + "': expected a whole number from -1"),
        ("REQUIRE_AUTH", "maybe", "REQUIRE_AUTH='maybe': expected true or false"),
        ("SESSION_POLICY", "stay", "SESSION_POLICY='stay': expected one of shutdown, restart, reconnect"),
        ("PUBLIC_URL", "pi:8000", "PUBLIC_URL='pi:8000': expected an absolute URL"),
        ("PUBLIC_URL", "http://pi?x", "PUBLIC_URL='http://pi?x': expected an absolute URL"),
        ("PUBLIC_URL", "http://pi:99999", "PUBLIC_URL='http://pi:99999': expected an absolute URL"),
        ("HOST", "127.0.0.1:80", "HOST='127.0.0.1:80': expected an address or host name"),
        ("STATE_DIR", "a\0b", "STATE_DIR='a\\x00b': expected a path"),
    ],
)
def test_bad_value_is_named_with_what_was_expected(variable: str, value: str, expected: str) -> None:
    assert problems(**{variable: value}).startswith(expected)


@pytest.mark.parametrize("value", ["short", "!" * 44, base64.b64encode(bytes(31)).decode()])
def test_bad_secret_is_refused_but_never_shown(value: str) -> None:
    message = problems(SECRET=value)
    assert message.startswith("SECRET (value hidden): expected base64 of at least 32 bytes")
    assert value not in message


def test_all_bad_values_are_named_at_once() -> None:
    assert [line.split("=")[0] for line in problems(PORT="x", HOST="1.2.3.4", LOG_LEVEL="loud").splitlines()] == [
        "PORT",
        "LOG_LEVEL",
        "HOST",
    ]


def test_secrets_are_not_in_the_text_of_a_configuration() -> None:
    config = read(SECRET=base64.b64encode(KEY).decode(), PLATFORM_ADMIN_PWD="hunter2")
    assert "hunter2" not in repr(config)
    assert repr(KEY) not in repr(config)
