"""Whatever is sent, the platform answers as the contract says or hangs up; never a 500, and it does not grow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.running import PlatformThread, Process, platform_process, until
from tests.contract.wire import Address, BadHttp, Wire, WireClosed, ask
from tests.integration.hostile import ALLOWED, SMUGGLED, Generator, Hostile

CONTAINERS = {"contract": "tests.contract.container:container"}
MIB = 1024 * 1024

# Who gets no answer within this time has sent something that is not over yet.
_SILENCE_S = 0.03
_MOST_ANSWERS = 20


def answers(address: Address, data: bytes) -> list[int]:
    """Send and return the statuses of what came back until silence or the end of the connection."""
    statuses: list[int] = []
    method = "HEAD" if data.lstrip(b"\r\n").startswith(b"HEAD") else "GET"
    with Wire(address, timeout_s=20) as wire:
        wire.send(data)
        wire.socket.settimeout(_SILENCE_S)
        try:
            while len(statuses) < _MOST_ANSWERS and _answers(wire, address):
                statuses.append(wire.read_response(method).status)
                if statuses[-1] == 101:
                    break
        except (TimeoutError, WireClosed):
            pass
    return statuses


def _answers(wire: Wire, address: Address) -> bool:
    """Wait a little; on a busy machine until somebody who asked later has been answered."""
    if wire.has_received(_SILENCE_S):
        return True
    ask(address, "GET", "/info")
    return wire.has_received(0)


def attack(address: Address, inputs: list[Hostile]) -> Counter[int]:
    """Send every input on a connection of its own."""
    seen: Counter[int] = Counter()
    for one in inputs:
        try:
            statuses = answers(address, one.data)
        except BadHttp as error:
            raise AssertionError(
                f"{one.kind}: {one.data[:500]!r} was answered with what is no HTTP: {error}"
            ) from error
        wrong = set(statuses) - ALLOWED
        assert not wrong, f"{one.kind}: {one.data[:500]!r} was answered with {wrong}"
        seen.update(statuses)
    return seen


@pytest.mark.timeout(1800)
def test_no_hostile_request_harms_the_platform(tmp_path: Path, at_size: Callable[[int, int], int], seed: int) -> None:
    count = at_size(300, 10_000)
    with platform_process(tmp_path, CONTAINERS) as process:
        # Documents are rendered and modules imported at the first request for them.
        attack(process.address, list(Generator(seed + 1).inputs(count // 3)))
        before_bytes, open_before = process.rss_bytes(), process.open_files()
        seen = attack(process.address, list(Generator(seed).inputs(count)))
        assert set(seen) >= {200, 400, 404, 405, 406, 422, 431}, f"the inputs are too tame: {seen}"
        until(lambda: process.open_files() <= open_before, "every connection is closed")
        assert process.rss_bytes() - before_bytes < 8 * MIB
        _is_well(process)


def _is_well(process: Process) -> None:
    assert process.is_running()
    assert process.ask("POST", "/invoke/Add", json_body={"x": 1, "y": 2}).text == "3"
    heard = process.ask("POST", "/invoke/Heard", json_body={}).body
    assert SMUGGLED not in heard
    assert "Traceback" not in process.log


def test_no_hostile_request_leaves_a_task(tmp_path: Path, seed: int) -> None:
    with PlatformThread(tmp_path, CONTAINERS) as platform:
        platform.ask("GET", "/v3/api-docs/actions?format=YAML")
        before = platform.tasks()
        attack(platform.address, list(Generator(seed + 2).inputs(100)))
        until(lambda: platform.tasks() <= before, "every task is gone")


def test_the_same_seed_makes_the_same_inputs(seed: int) -> None:
    assert list(Generator(seed).inputs(100)) == list(Generator(seed).inputs(100))
    assert list(Generator(seed).inputs(100)) != list(Generator(seed + 1).inputs(100))
