"""Files for one pair of eyes: the secret of a platform, the tokens of `login`."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import pytest

from edge.config import ClientConfig
from edge.kept_tokens import forget_token, keep_token, read_token, token_file
from edge.settings import SIGNING_KEY
from edge.state.secret import kept_secret

URL = "http://pi.local:8000"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_secret_is_made_once(tmp_path: Path) -> None:
    made = kept_secret(tmp_path, SIGNING_KEY.read)
    assert len(made) == 32
    assert kept_secret(tmp_path, SIGNING_KEY.read) == made
    assert [(path.name, mode(path)) for path in tmp_path.iterdir()] == [("secret", 0o600)]


def test_a_secret_that_was_not_finished_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / ".secret.new").write_bytes(b"half")
    assert len(kept_secret(tmp_path, SIGNING_KEY.read)) == 32


@pytest.mark.parametrize("content", [b"", b"short", b"\xff\xfe", b"!" * 43])
def test_something_else_in_its_place_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(ValueError):
        kept_secret(tmp_path, SIGNING_KEY.read)
    assert (tmp_path / "secret").read_bytes() == content


def test_without_a_disk_there_is_a_secret_for_a_while(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    first, second = (kept_secret(tmp_path / "missing", SIGNING_KEY.read) for _ in range(2))
    assert first != second
    assert "until the platform stops" in caplog.text


def test_a_token_is_kept_for_its_platform_and_nobody_else(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    path = token_file(environ, URL)
    keep_token(path, "first")
    before = os.umask(0)
    try:
        keep_token(path, "second")
    finally:
        os.umask(before)
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert ClientConfig.load({"OPACA_EDGE_URL": URL}, environ).token == "second"
    assert ClientConfig.load({"OPACA_EDGE_URL": f"{URL}/"}, environ).token == "second"
    assert ClientConfig.load({"OPACA_EDGE_URL": "http://pi.local:8001"}, environ).token == ""
    assert ClientConfig.load({"OPACA_EDGE_URL": URL, "OPACA_EDGE_TOKEN": "given"}, environ).token == "given"
    assert forget_token(path) and not forget_token(path)
    assert ClientConfig.load({"OPACA_EDGE_URL": URL}, environ).token == ""


def test_the_folder_of_settings_may_be_elsewhere(tmp_path: Path) -> None:
    environ = {"HOME": "/nowhere", "XDG_CONFIG_HOME": str(tmp_path)}
    assert token_file(environ, URL).parent == tmp_path / "opaca-edge" / "tokens"
    assert len(token_file(environ, f"{URL}/{'x' * 500}").name) == 64


@pytest.mark.parametrize("content", [b"\xff", b"a\nb", b"a\x1bb"])
def test_a_token_that_could_not_be_sent_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    assert read_token(tmp_path / "token") == ""
    assert read_token(tmp_path) == read_token(tmp_path / "missing") == ""
