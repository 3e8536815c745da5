"""The `[bridge]` section: what is read, and what is said of what cannot be."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from bridge.config import BadBridge, BridgeConfig, load_bridge
from bridge.store import Lane

DEVICE = """
[device]
site = "greenhouse"
gateway = "cloud"
broker = "mqtts://broker.example"
allow = ["invoke/Get*"]
telemetry = ["temp"]
[lanes.alarm]
channels = ["alarm-*"]
expires_s = 60
"""


def load(text: str, folder: Path, *, requires_auth: bool = False) -> BridgeConfig:
    section = tomllib.loads(text)
    return load_bridge(
        section, folder, platform_url="http://127.0.0.1:8000", state_dir=folder, requires_auth=requires_auth
    )


def test_a_device_is_read_with_its_defaults(tmp_path: Path) -> None:
    config = load(DEVICE, tmp_path)
    assert config.device is not None
    broker = config.device.broker
    assert (broker.host, broker.port, broker.is_tls, broker.user) == ("broker.example", 8883, True, "greenhouse")
    assert config.device.access.refuses("POST /invoke/GetLevel/tank") is None
    assert config.device.access.refuses("POST /invoke/Water") is not None
    assert config.lanes["alarm"].channels == ("alarm-*",)
    assert (config.host, config.tcp_port, config.keep_free_mb) == ("127.0.0.1", 8070, 64)


def test_a_site_that_nobody_named_may_only_be_seen(tmp_path: Path) -> None:
    config = load('[gateway]\nbroker = "mqtt://localhost"\n[gateway.sites.home]\nallow = ["*"]', tmp_path)
    assert config.gateway is not None
    assert config.gateway.access_of("home").refuses("POST /send/x") is None
    assert "nothing yet" in str(config.gateway.access_of("stranger").refuses("POST /send/x"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected [bridge.device], [bridge.gateway], or both"),
        ('[device]\nbroker = "mqtt://x"', "site: expected the name"),
        ('[device]\nsite = "A b"\nbroker = "mqtt://x"', "site='A b': expected letters a-z"),
        ('[device]\nsite = "a"\nbroker = "http://x"', "broker='http://x': expected a URL such as mqtts://"),
        ('[device]\nsite = "a"\nbroker = "mqtt://user:word@x"', "expected a URL such as mqtts://"),
        ('[device]\nsite = "a"\nbroker = "mqtt://x"\nrole = "ADMIN"', "role='ADMIN': expected one of GUEST, USER"),
        ('[device]\nsite = "a"\nbroker = "mqtt://x"\ncolour = 1', "colour: there is no such setting"),
        ('root = "a/b/c"\n[device]\nsite = "a"\nbroker = "mqtt://x"', "root='a/b/c': expected a root"),
        ("listen = 8070", "listen=8070: expected an address and a port"),
        ("[lanes.alarm]\nmax_mb = -1", "max_mb=-1: expected megabytes above 0"),
        ("[lanes.alarm]\nmax_mb = inf", "max_mb=inf: expected megabytes above 0"),
        ("[lanes.alarm]\nexpires_s = inf", "expires_s=inf: expected seconds above 0, at most 10 years, or false"),
        ("[lanes.alarm]\nexpires_s = 1e12", "expires_s=1000000000000.0: expected seconds above 0, at most 10 years"),
        ("keep_free_mb = inf", "keep_free_mb=inf: expected megabytes above 0"),
    ],
)
def test_what_cannot_be_used_is_named_with_what_was_expected(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadBridge) as problem:
        load(text, tmp_path)
    assert said in str(problem.value)


def test_a_platform_that_asks_who_is_calling_needs_a_password(tmp_path: Path) -> None:
    with pytest.raises(BadBridge, match="password_file"):
        load(DEVICE, tmp_path, requires_auth=True)


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("word\n")
    secret.chmod(0o644)
    with pytest.raises(BadBridge, match="chmod 600"):
        load('password_file = "secret"\n' + DEVICE, tmp_path)
    secret.chmod(0o600)
    config = load('password_file = "secret"\n' + DEVICE, tmp_path, requires_auth=True)
    assert config.administrator is not None
    assert config.administrator.password == "word"


def test_lanes_are_numbered_by_urgency() -> None:
    assert [lane.word for lane in Lane] == ["alarm", "message", "telemetry"]
