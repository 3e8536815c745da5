"""The token that the local platform shows to the bridge: made once, kept from others, there after a power cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.app import _kept_token
from bridge.config import BadBridge


def test_it_is_made_once_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    state = tmp_path / "state"
    token = _kept_token(state)
    assert len(token) > 40
    assert _kept_token(state) == token
    (path,) = state.iterdir()
    assert (path.read_text(), path.stat().st_mode & 0o777) == (f"{token}\n", 0o600)


def test_a_file_that_a_power_cut_left_empty_is_no_token(tmp_path: Path) -> None:
    """Nobody would ever be let in with it, the platform least of all."""
    (tmp_path / "bridge-token").touch()
    (tmp_path / "bridge-token.new").write_text("half of")
    token = _kept_token(tmp_path)
    assert len(token) > 40
    assert _kept_token(tmp_path) == token


def test_a_file_that_is_no_token_is_named(tmp_path: Path) -> None:
    (tmp_path / "bridge-token").write_bytes(b"\xff\xfe")
    with pytest.raises(BadBridge, match="bridge-token: the bridge cannot keep its token there"):
        _kept_token(tmp_path)
