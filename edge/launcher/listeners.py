"""Which TCP ports a container's processes listen on, as the kernel says it. Reads files: to be called in a thread."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTENING = "0A"


def listening_ports(pids: Collection[int]) -> frozenset[int]:
    """Return the TCP ports on which any of the processes listens; those that have ended count for nothing."""
    inodes = _sockets(pids)
    return frozenset(port for table in _TABLES for inode, port in _listeners(table) if inode in inodes)


def _listeners(table: Path) -> list[tuple[str, int]]:
    """Return inode and port of every listening socket of a table."""
    try:
        rows = table.read_text().splitlines()[1:]
    except FileNotFoundError:
        return []  # no IPv6 here
    found = []
    for row in rows:
        words = row.split()
        if words[3] == _LISTENING:
            found.append((words[9], int(words[1].rpartition(":")[2], 16)))
    return found


def _sockets(pids: Collection[int]) -> set[str]:
    """Return the inodes of all sockets that the processes hold."""
    found: set[str] = set()
    for pid in pids:
        folder = Path(f"/proc/{pid}/fd")
        try:
            names = list(folder.iterdir())
        except OSError:
            continue  # it ended, or is another user's
        for name in names:
            try:
                target = os.readlink(name)  # noqa: PTH115 - a socket is no path
            except OSError:
                continue
            if target.startswith("socket:["):
                found.add(target[len("socket:[") : -1])
    return found
