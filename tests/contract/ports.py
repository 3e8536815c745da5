"""TCP ports for programs that cannot take any and tell: nobody has them, and no test beside this one gets the same.

They lie below those that platforms give to containers and those that the system gives to connections, so that nobody
takes them between the look and the program's start, or while the program is down. The random numbers of tests, which
are the same in every process, choose none of them.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from random import SystemRandom

from edge.launcher.process.ports import is_free

_LOWEST = 10_000
# A slice for each process of pytest-xdist.
_SLICE = 1_250
_SLICES = 8


def free_port() -> int:
    """Return a TCP port that nobody has."""
    return two_free_ports()


def two_free_ports() -> int:
    """Return the lower of two neighbours that nobody has."""
    return next(port for port in _LOWER if is_free(port) and is_free(port + 1))


def _lower() -> Iterator[int]:
    """Go round in this process's slice, beginning anywhere: others may run the same tests on this machine."""
    own_slice = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SLICES
    lowest = _LOWEST + own_slice * _SLICE
    ports = range(lowest, lowest + _SLICE, 2)
    return itertools.islice(itertools.cycle(ports), SystemRandom().randrange(len(ports)), None)


_LOWER = _lower()
