"""Whoever asks, and whatever they show: no token that does not count opens anything, and nothing harms the platform."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.contract.running import PlatformThread, Process, platform_process, until
from tests.contract.wire import Address, BadHttp, Wire, WireClosed
from tests.integration.hostile_calls import CallForger
from tests.integration.hostile_tokens import TokenForger, Trial
from tests.integration.house import SETTINGS
from tests.integration.signed import KEY, token_for

CONTAINERS = {"contract": "tests.contract.container:container"}
ADMIN = {"Authorization": f"Bearer {token_for('admin', 36_000)}"}
MIB = 1024 * 1024
SEEN_ROLES = ("guest", "user", "contributor")


class Attack:
    """Sends requests, each on a connection of its own.

    Attributes:
        seen: How often each status came.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self.seen: Counter[int] = Counter()

    def send(self, trials: Iterable[Trial]) -> None:
        """Send them all; each must be answered, and as it may be."""
        for trial in trials:
            try:
                status = self._status(trial)
            except (BadHttp, WireClosed, TimeoutError) as error:
                raise AssertionError(f"{trial.kind}: {trial.data[:1500]!r} got no answer: {error!r}") from error
            assert status in trial.allowed, f"{trial.kind}: {trial.data[:1500]!r} was answered with {status}"
            self.seen[status] += 1

    def _status(self, trial: Trial) -> int:
        with Wire(self._address) as wire:
            wire.send(trial.data)
            answer = wire.read_head(interim=True)
            if answer.status == 100:  # it waits for what it has already got
                answer = wire.read_head()
            for _ in wire.read_pieces(answer, "HEAD" if trial.data.startswith(b"HEAD") else "GET"):
                pass
            return answer.status


@pytest.fixture
def process(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Process]:
    needs_login = getattr(request, "param", "true")
    with platform_process(tmp_path, CONTAINERS, {**SETTINGS, "REQUIRE_AUTH": needs_login}) as process:
        for name in (*SEEN_ROLES, "gone", "former"):
            body = {"username": name, "password": "", "role": name.upper() if name in SEEN_ROLES else "ADMIN"}
            assert process.ask("POST", "/users", headers=ADMIN, json_body=body).status == 201
        assert process.ask("DELETE", "/users/gone", headers=ADMIN).text == "true"
        assert process.ask("PUT", "/users/former", headers=ADMIN, json_body={"username": "latter"}).status == 200
        yield process


def forger(seed: int) -> TokenForger:
    genuine = [token_for(name, 36_000) for name in ("admin", *SEEN_ROLES)]
    void = [token_for("gone", 36_000), token_for("former", 36_000), token_for("nobody"), token_for("admin", -1)]
    return TokenForger(seed, genuine, void)


@pytest.mark.timeout(1800)
def test_no_token_opens_what_it_should_not(process: Process, at_size: Callable[[int, int], int], seed: int) -> None:
    count = at_size(1200, 30_000)
    attack = Attack(process.address)
    attack.send(forger(seed + 1).trials(count // 4))
    before_bytes, open_before = process.rss_bytes(), process.open_files()
    attack.send(forger(seed).trials(count))
    assert set(attack.seen) >= {200, 401, 400, 431}, f"the tokens are too tame: {attack.seen}"
    is_well(process, before_bytes, open_before)
    assert not [token for token in (*forger(seed)._genuine, *forger(seed)._void) if token in process.log]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("process", ["true", "false"], ids=["with login", "without login"], indirect=True)
def test_no_call_harms_the_platform(process: Process, at_size: Callable[[int, int], int], seed: int) -> None:
    count = at_size(1200, 30_000)
    needs_login = process.environment["REQUIRE_AUTH"] == "true"
    token = token_for("admin", 36_000) if needs_login else ""
    attack = Attack(process.address)
    attack.send(CallForger(seed + 1, token, process.base_url).trials(count // 4))
    before_bytes, open_before = process.rss_bytes(), process.open_files()
    attack.send(CallForger(seed, token, process.base_url).trials(count))
    wanted = {101, 200, 400, 401 if needs_login else 403, 404, 406, 409, 415, 422, 502}
    assert set(attack.seen) >= wanted, f"the calls are too tame: {attack.seen}"
    is_well(process, before_bytes, open_before)


def is_well(process: Process, before_bytes: int, open_before: int) -> None:
    assert process.is_running()
    until(lambda: process.open_files() <= open_before, "every connection is closed")
    assert process.rss_bytes() - before_bytes < 8 * MIB
    assert process.ask("POST", "/invoke/Add", headers=ADMIN, json_body={"x": 1, "y": 2}).text == "3"
    names = {user["username"] for user in process.ask("GET", "/users", headers=ADMIN).json()}
    assert names >= {"admin", "guest", "user", "contributor", "latter"}
    assert process.ask("GET", "/connections", headers=ADMIN).json() == []
    assert "Traceback" not in process.log


def test_no_caller_leaves_a_task(tmp_path: Path, seed: int) -> None:
    with PlatformThread(tmp_path, CONTAINERS, secret=KEY, require_auth=True, platform_admin_pwd="pw") as platform:
        token = token_for("admin")
        Attack(platform.address).send(CallForger(seed + 2, token, platform.base_url).trials(24))
        before = platform.tasks()
        Attack(platform.address).send(CallForger(seed + 3, token, platform.base_url).trials(100))
        gc.collect()
        until(lambda: platform.tasks() <= before, "every task is gone")


def test_the_same_seed_makes_the_same_callers(seed: int) -> None:
    def calls(seed: int) -> list[Trial]:
        return list(CallForger(seed, "token", "http://here").trials(100))

    assert calls(seed) == calls(seed)
    assert calls(seed) != calls(seed + 1)
