"""Clients that leave, containers that do not want to end, and the end of the platform (contract, Decision 13)."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.contract.wire import Wire, request_bytes
from tests.system.households import Household, household

pytestmark = pytest.mark.timeout(60)

# What real clients give a DELETE, less than their 5 s.
DELETE_S = 4.0
# What is promised for SIGTERM, whatever the containers do.
STOP_S = 8.0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Household]:
    with household(tmp_path) as home:
        yield home


def leave(home: Household, method: str, path: str, body: object = None) -> None:
    """Send a request and hang up as soon as the platform has begun with it."""
    calls = len(home.ask("GET", "/history").json())
    with Wire(home.process.address) as wire:
        content = b"" if body is None else json.dumps(body).encode()
        wire.send(request_bytes(method, path, {"Content-Type": "application/json"}, content))
        home.settles(lambda: len(home.ask("GET", "/history").json()) > calls, "it is under way")
        wire.reset()


def test_who_leaves_while_a_container_starts_cancels_nothing(home: Household) -> None:
    leave(home, "POST", "/containers", home.wish(mode="late"))
    home.settles(home.listed, "it came up")
    [container_id] = home.listed()
    assert home.do(container_id, "Echo", value=1) == 1
    home.kill()
    home.start()
    home.settles(lambda: home.listed() == [container_id], "it was kept")


def test_who_leaves_while_a_container_is_updated_cancels_nothing(home: Household) -> None:
    old = home.posted()
    leave(home, "PUT", "/containers", home.wish(mode="late"))
    home.settles(lambda: home.listed() not in ([old], []) and old not in home.listed(), "the new one took its place")
    home.settles(lambda: set(home.running().values()) == set(home.listed()), "the old one ended")


def test_who_leaves_while_a_container_stops_cancels_nothing(home: Household) -> None:
    container_id = home.posted(mode="stubborn")
    leave(home, "DELETE", f"/containers/{container_id}")
    home.settles(lambda: not home.running(), "it ended")
    assert home.listed() == []
    home.kill()
    home.start()
    assert home.running() == {}


def test_a_failed_start_that_nobody_waits_for_leaves_nothing(home: Household) -> None:
    leave(home, "POST", "/containers?timeout=1", home.wish(mode="deaf"))
    home.settles(home.running, "it starts")
    home.settles(lambda: not home.running(), "it was stopped")
    assert home.listed() == []
    assert "never retrieved" not in home.process.log
    assert "Traceback" not in home.process.log


def test_a_removal_answers_in_time_whatever_the_container_does(home: Household) -> None:
    """All of them are removed at the same time, while one is busy."""
    home.actor("patient", start="stop_grace_s = 4.5\n")
    ids = {
        "ignores it": home.posted(mode="stubborn"),
        "has a long grace": home.posted("patient", mode="stubborn"),
        "sleeps in info": home.posted(),
        "is busy": home.posted(),
        "is stopped": home.posted(),
        "has left children": home.posted(),
    }
    home.do(ids["sleeps in info"], "SleepInInfo")
    home.do(ids["is busy"], "Spin", number=1)
    os.kill(home.do(ids["is stopped"], "Pid"), signal.SIGSTOP)
    home.do(ids["has left children"], "Child", value=["/bin/sleep", "3600"])
    calling = threading.Thread(
        target=home.ask,
        args=("POST", f"/invoke/Sleep?containerId={ids['is busy']}"),
        kwargs={"json_body": {"number": 60}},
    )
    calling.start()
    took_s: dict[str, float] = {}

    def remove(trouble: str) -> None:
        began_s = time.monotonic()
        home.deleted(ids[trouble])
        took_s[trouble] = round(time.monotonic() - began_s, 1)

    with ThreadPoolExecutor(len(ids)) as pool:
        list(pool.map(remove, ids))
    assert max(took_s.values()) < DELETE_S, took_s
    assert home.listed() == []
    for container_id in ids.values():
        assert home.ask("DELETE", f"/containers/{container_id}").text == "false"
    home.settles(lambda: not home.running(), "nothing of them runs")
    calling.join()
    print(f"DELETE of what {took_s}")


def test_a_signal_ends_the_platform_in_time_with_ten_containers(home: Household) -> None:
    home.actor("patient", start="stop_grace_s = 60\n")
    wishes = [("actor", "")] * 5 + [("actor", "stubborn")] * 2 + [("patient", "stubborn")] * 2 + [("actor", "")]
    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda wish: home.posted(*wish), wishes))
    home.do(ids[0], "SleepInInfo")
    home.do(ids[1], "Child", value=["/bin/sleep", "3600"])
    os.kill(home.do(ids[2], "Pid"), signal.SIGSTOP)
    home.do(ids[3], "Spin", number=1)
    assert len(home.running()) == 12
    took_s = home.stop()
    assert took_s < STOP_S
    assert home.running() == {}
    print(f"SIGTERM with ten containers, four of them deaf to it: {took_s:.1f} s")


def test_a_signal_while_containers_start_stop_and_crash_leaves_nothing(home: Household) -> None:
    stubborn = home.posted(mode="stubborn")
    crashed = home.posted()
    home.ask("POST", f"/invoke/Crash?containerId={crashed}", json_body={"number": 1})
    leave(home, "POST", "/containers", home.wish(mode="deaf"))
    leave(home, "DELETE", f"/containers/{stubborn}")
    assert home.stop() < STOP_S
    assert home.running() == {}
    home.start()
    home.settles(lambda: home.listed() == [crashed], "only what was promised is there")


def test_what_is_stopped_by_hand_is_not_there_when_the_platform_ends_at_once(tmp_path: Path) -> None:
    """A second signal, as of an impatient user, ends it without order; the next start cleans up."""
    with household(tmp_path, SESSION_POLICY="shutdown") as home:
        home.posted(mode="stubborn")
        os.kill(home.process.pid, signal.SIGTERM)
        home.settles(lambda: "stopping" in home.process.log, "it has noticed")
        os.kill(home.process.pid, signal.SIGTERM)
        home.process.wait()
        home.start()
        assert home.running() == {}
