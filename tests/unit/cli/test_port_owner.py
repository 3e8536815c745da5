"""Who has a port, as far as this user may know."""

from __future__ import annotations

import os
import pwd
import socket
from pathlib import Path

from edge.cli.port_owner import port_owner


def test_own_process_is_named_with_its_command() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        owner = port_owner(listening.getsockname()[1])
    assert owner is not None
    assert f"(process {os.getpid()}, user {pwd.getpwuid(os.getuid()).pw_name})" in owner
    assert Path("/proc/self/cmdline").read_bytes().split(b"\0")[0].decode() in owner


def test_listener_on_ipv6_is_found() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
        assert str(os.getpid()) in (port_owner(listening.getsockname()[1]) or "")


def test_free_port_has_no_owner() -> None:
    with socket.socket() as bound:  # bound, but not listening
        bound.bind(("127.0.0.1", 0))
        assert port_owner(bound.getsockname()[1]) is None


def proc_with(tmp_path: Path, user_id: int) -> Path:
    (tmp_path / "net").mkdir()
    line = f"   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  {user_id}        0 4711 1 0\n"
    (tmp_path / "net/tcp").write_text("  sl  local_address ...\n" + line)
    return tmp_path


def test_process_of_another_user_is_named_by_the_user(tmp_path: Path) -> None:
    proc = proc_with(tmp_path, 0)
    (proc / "812").mkdir()
    assert port_owner(8000, proc) == "a process of the user root"


def test_user_without_a_name_is_named_by_number(tmp_path: Path) -> None:
    assert port_owner(8000, proc_with(tmp_path, 54321)) == "a process of the user 54321"


def test_long_commands_are_cut(tmp_path: Path) -> None:
    proc = proc_with(tmp_path, os.getuid())
    (proc / "812/fd").mkdir(parents=True)
    (proc / "812/fd/3").symlink_to("socket:[4711]")
    (proc / "812/cmdline").write_bytes(b"python3\0" + b"x" * 200)
    (proc / "812/comm").write_text("python3\n")
    owner = port_owner(8000, proc) or ""
    assert owner.startswith("python3 xxx")
    assert "x… (process 812," in owner
    (proc / "812/cmdline").write_bytes(b"")
    assert (port_owner(8000, proc) or "").startswith("python3 (process 812")
