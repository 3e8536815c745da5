"""Secrets that the bridge's section names, and whom the service runs as."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.cli.output import Output
from edge.cli.service_secrets import bridge_files, closed_folder, hand_over
from edge.config import PlatformConfig

NOBODY = "nobody"


def config(folder: Path, text: str) -> PlatformConfig:
    path = folder / "edge.toml"
    path.write_text(text)
    return PlatformConfig.load(config_file=path)


def test_all_files_that_the_bridge_reads_are_known(tmp_path: Path) -> None:
    read = config(
        tmp_path,
        '[bridge]\npassword_file = "admin"\nca_file = 7\n[bridge.device]\nsite = "a"\npassword_file = "/etc/home"\n'
        '[bridge.gateway]\nkey_file = "keys/own"\nca_file = "ca.pem"\n',
    )
    assert bridge_files(read) == [
        tmp_path / "admin",
        Path("/etc/home"),
        tmp_path / "keys/own",
        tmp_path / "ca.pem",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_s_secret_is_given_to_the_service_and_nobody_else_s(
    open_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import pwd

    for name in ("root", "other"):
        (open_folder / name).touch(0o600)
    os.chown(open_folder / "other", 1, 1)
    read = config(
        open_folder,
        '[bridge]\npassword_file = "missing"\n[bridge.device]\npassword_file = "root"\nkey_file = "other"\n',
    )
    hand_over(read, NOBODY, Output())
    assert (open_folder / "root").stat().st_uid == pwd.getpwnam(NOBODY).pw_uid
    assert (open_folder / "root").stat().st_mode & 0o777 == 0o600
    assert (open_folder / "other").stat().st_uid == 1
    captured = capsys.readouterr()
    said = captured.out + captured.err
    assert f"{open_folder / 'root'} belongs to {NOBODY} from now on" in said
    assert f"sudo chown {NOBODY} {open_folder / 'other'}" in said
    assert "missing, which [bridge] names, is not there" in said


def test_a_folder_that_the_service_may_not_enter_is_named(
    open_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = open_folder / "closed"
    closed.mkdir(0o700)
    secret = closed / "password"
    secret.touch(0o600)
    if os.geteuid() == 0:
        os.chown(closed, 1, 1)
    assert closed_folder(NOBODY, secret) == closed
    assert closed_folder(NOBODY, open_folder / "password") is None
    hand_over(config(open_folder, f'[bridge.device]\npassword_file = "{secret}"\n'), NOBODY, Output())
    assert f"{NOBODY} may not enter {closed}" in capsys.readouterr().err
