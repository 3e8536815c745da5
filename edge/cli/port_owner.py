"""Who listens on a TCP port of this machine, from /proc."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

_LISTEN = "0A"


def port_owner(tcp_port: int, proc: Path = Path("/proc")) -> str | None:
    """Return who listens on a port, as far as we may know: `python3 run.py (process 812 of pi)`; None if unknown."""
    found = [entry for table in ("tcp", "tcp6") for entry in _listening(proc / "net" / table, tcp_port)]
    if not found:
        return None
    inodes = {inode for inode, _ in found}
    for folder in proc.glob("[0-9]*"):
        if _holds(folder / "fd", inodes):
            return f"{_command(folder)} (process {folder.name}, user {_user(_owner_of(folder))})"
    return f"a process of the user {_user(found[0][1])}"


def why_not_listening(error: OSError, tcp_port: int) -> str:
    """Say why a port could not be listened on: by whom it is taken, else what the system said."""
    owner = port_owner(tcp_port)
    return f"is taken by {owner}" if owner else f"cannot be listened on ({error.strerror})"


def _listening(table: Path, tcp_port: int) -> list[tuple[str, int]]:
    """Return inode and user ID of each listening socket of a port."""
    found: list[tuple[str, int]] = []
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return found
    for line in lines:
        fields = line.split()
        if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == tcp_port:
            found.append((fields[9], int(fields[7])))
    return found


def _holds(descriptors: Path, inodes: set[str]) -> bool:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    try:
        for descriptor in descriptors.iterdir():
            try:
                if str(descriptor.readlink()) in wanted:
                    return True
            except OSError:  # closed meanwhile
                continue
    except OSError:  # another user's, or ended meanwhile
        return False
    return False


def _command(folder: Path) -> str:
    try:
        words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        name = (folder / "comm").read_text().strip()
    except OSError:
        return "a process"
    text = " ".join(word for word in words if word) or name
    return text if len(text) <= 100 else text[:99] + "…"


def _owner_of(folder: Path) -> int:
    try:
        return folder.stat().st_uid
    except OSError:
        return os.getuid()


def _user(user_id: int) -> str:
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)
