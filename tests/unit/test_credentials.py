"""Secrets that the service manager hands over."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest

from edge.config import PlatformConfig
from edge.settings import BadSetting

KEY = bytes(range(32))


def load(folder: Path, **variables: str) -> PlatformConfig:
    return PlatformConfig.from_environ({"CREDENTIALS_DIRECTORY": str(folder), **variables})


def test_secrets_are_read_from_credentials_and_their_origin_says_so(tmp_path: Path) -> None:
    (tmp_path / "SECRET").write_bytes(b64encode(KEY) + b"\n")
    (tmp_path / "PLATFORM_ADMIN_PWD").write_text(" with spaces \n\n")
    config = load(tmp_path)
    assert config.secret == KEY
    assert config.platform_admin_pwd == " with spaces \n"
    assert {config.origins[name] for name in ("secret", "platform_admin_pwd")} == {"credential"}


def test_a_variable_wins_over_a_credential_and_that_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "PLATFORM_ADMIN_PWD").write_text("from credential")
    file = tmp_path / "edge.toml"
    file.write_text('[platform]\nplatform_admin_pwd = "from file"\n')
    file.chmod(0o600)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert PlatformConfig.load(environ=environ, config_file=file).platform_admin_pwd == "from credential"
    assert load(tmp_path, PLATFORM_ADMIN_PWD="from variable").platform_admin_pwd == "from variable"


def test_only_secrets_are_credentials(tmp_path: Path) -> None:
    (tmp_path / "PORT").write_text("1234")
    assert load(tmp_path).tcp_port == 8000


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("SECRET", b"short", "SECRET (value hidden)"),
        ("PLATFORM_ADMIN_PWD", b"\xff\xfe", "text"),
        ("PLATFORM_ADMIN_PWD", b"x" * 70_000, "64 KiB"),
    ],
)
def test_a_bad_credential_is_named_without_its_value(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadSetting) as caught:
        load(tmp_path)
    assert said in str(caught.value)
    assert "short" not in str(caught.value)


def test_a_credential_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "SECRET").mkdir()
    with pytest.raises(BadSetting, match="SECRET"):
        load(tmp_path)
