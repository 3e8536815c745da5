"""Starting the process of a container. Everything here blocks, for milliseconds."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.errors import NotReady
from edge.launcher.process.kin import Process, boot_id, read_process
from edge.launcher.process.limits import CgroupLeaf, moderate
from edge.launcher.process.output import OutputLog


@dataclass(frozen=True, slots=True)
class Spawned:
    """A process that was just started.

    Attributes:
        pid: Its ID, that of its session and that of its group.
        descriptor: Its pidfd; whoever gets this object closes it.
        started: When it started, in the kernel's ticks since boot.
    """

    pid: int
    descriptor: int
    started: int


def spawn(
    command: Sequence[str], working_folder: Path, variables: Mapping[str, str], log: OutputLog, leaf: CgroupLeaf | None
) -> Spawned:
    """Start a process in a session of its own: no terminal, no input, its output in a file, nothing else inherited.

    Raises:
        NotReady: it cannot be started; the message says why.
    """
    output = log.open()
    try:
        process = subprocess.Popen(  # noqa: S603 - images are trusted like the service's own user
            command,
            cwd=working_folder,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except OSError as error:
        raise NotReady(f"cannot be started: {command[0]}: {error.strerror or error}") from error
    finally:
        os.close(output)
    # Its end is noticed and reaped by its pidfd; the object must not do that as well.
    process.returncode = 0
    descriptor = os.pidfd_open(process.pid)
    if leaf is not None:
        leaf.add(process.pid)
    moderate(process.pid)
    found = read_process(process.pid)
    return Spawned(process.pid, descriptor, 0 if found is None else found.started)


def find_again(pid: int, started: int, of_boot: str) -> Spawned | None:
    """Return the process of an earlier run of the platform; None if it is gone, or its ID is another's by now."""
    if of_boot != boot_id():
        return None
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return None
    found: Process | None = read_process(pid)
    if found is None or found.started != started or found.is_zombie:
        os.close(descriptor)
        return None
    return Spawned(pid, descriptor, started)
