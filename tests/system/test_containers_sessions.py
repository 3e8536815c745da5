"""Which containers are there after the platform ended or was killed (contract, section 8.9 and Decision 11)."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.contract.wire import Wire, request_bytes
from tests.system.households import Household, household

pytestmark = pytest.mark.timeout(60)

ENDS = ["stop", "kill"]


def end(home: Household, how: str) -> None:
    """End the platform in order, or kill it."""
    home.stop() if how == "stop" else home.kill()


def settled(home: Household, ids: list[str]) -> None:
    """Wait until exactly these containers are listed and run, each with one process."""
    home.settles(lambda: sorted(home.listed()) == sorted(ids), f"{ids} are listed")
    home.settles(lambda: sorted(home.running().values()) == sorted(ids), f"{ids} run once each: {home.running()}")


@pytest.mark.parametrize("how", ENDS)
def test_restart_starts_them_again_as_who_they_were(tmp_path: Path, how: str) -> None:
    with household(tmp_path) as home:
        ids = [home.posted(arguments={"COLOUR": colour}) for colour in ("green", "blue")]
        described = {container_id: home.container(container_id) for container_id in ids}
        for container_id in ids:
            home.do(container_id, "Store", value=container_id)
        before = home.running()
        end(home, how)
        if how == "stop":
            assert home.running() == {}
        home.start()
        settled(home, ids)
        assert not set(before) & set(home.running())
        for container_id, colour in zip(ids, ("green", "blue"), strict=True):
            # Also on the same port: what was published of it is still true.
            assert home.container(container_id) == described[container_id]
            environment = home.do(container_id, "Environment")
            assert (environment["CONTAINER_ID"], environment["COLOUR"]) == (container_id, colour)
            assert home.do(container_id, "Stored") == container_id
        assert home.ask("GET", "/config").json()["sessionPolicy"] == "RESTART"


@pytest.mark.parametrize("how", ENDS)
def test_shutdown_leaves_nothing(tmp_path: Path, how: str) -> None:
    with household(tmp_path, SESSION_POLICY="shutdown") as home:
        container_id = home.posted()
        child = home.do(container_id, "Child", value=["/bin/sleep", "3600"])
        assert len(home.running()) == 2
        end(home, how)
        home.start()
        assert home.listed() == []
        assert home.running() == {}
        assert child not in home.running()
        assert list((home.folder / "state" / "containers").iterdir()) == []
        home.stop()
        home.start(SESSION_POLICY="restart")
        assert home.listed() == []


@pytest.mark.parametrize("how", ENDS)
def test_reconnect_takes_over_the_very_same_processes(tmp_path: Path, how: str) -> None:
    with household(tmp_path, SESSION_POLICY="reconnect") as home:
        ids = [home.posted() for _ in range(3)]
        home.do(ids[0], "Learn", value="Whisper")
        before, described = home.running(), home.ask("GET", "/containers").json()
        end(home, how)
        assert home.running() == before
        home.start()
        # At once: who asks after the start is not told that they are gone.
        assert sorted(home.listed()) == sorted(ids)
        assert home.running() == before
        again = {container["containerId"]: container for container in home.ask("GET", "/containers").json()}
        assert [again[container["containerId"]] for container in described[1:]] == described[1:]
        assert home.ask("POST", f"/invoke/Whisper?containerId={ids[0]}", json_body={}).status == 502  # known, and fails
        for container_id in ids:
            assert before[home.do(container_id, "Pid")] == container_id
        # They are supervised as before ...
        os.kill(home.do(ids[0], "Pid"), signal.SIGKILL)
        invoke = f"/invoke/Pid?containerId={ids[0]}"
        home.settles(lambda: home.ask("POST", invoke, json_body={}).status == 200, "one that was killed is back")
        # ... and can be removed.
        home.deleted(ids[1])
        settled(home, [ids[0], ids[2]])
        end(home, how)
        home.start()
        settled(home, [ids[0], ids[2]])


def test_reconnect_starts_anew_what_does_not_run_any_more(tmp_path: Path) -> None:
    with household(tmp_path, SESSION_POLICY="reconnect") as home:
        ids = [home.posted() for _ in range(2)]
        home.kill()
        os.kill(home.pid_of(ids[0]), signal.SIGKILL)
        kept = home.pid_of(ids[1])
        home.start()
        settled(home, ids)
        assert home.pid_of(ids[1]) == kept


def test_reconnect_starts_anew_what_does_not_answer_any_more(tmp_path: Path) -> None:
    with household(tmp_path, SESSION_POLICY="reconnect", CONTAINER_TIMEOUT_SEC="1") as home:
        ids = [home.posted() for _ in range(3)]
        for container_id in ids:
            home.do(container_id, "SleepInInfo")
        before = home.running()
        home.kill()
        home.start()
        settled(home, ids)
        assert not set(before) & set(home.running())


def test_what_starts_while_the_platform_is_stopped_is_left_to_nobody(tmp_path: Path) -> None:
    with household(tmp_path, SESSION_POLICY="reconnect") as home:
        ready = home.posted()
        waiting = threading.Thread(target=lambda: _ignored(home, "deaf"))
        waiting.start()
        home.settles(lambda: len(home.running()) == 2, "the other one is starting")
        home.stop()
        waiting.join()
        assert set(home.running().values()) == {ready}


def _ignored(home: Household, mode: str) -> None:
    body = json.dumps(home.wish(mode=mode)).encode()
    with Wire(home.process.address, timeout_s=30) as wire:
        wire.send(request_bytes("POST", "/containers", {"Content-Type": "application/json"}, body))
        wire.is_closed_within(20)


@pytest.mark.parametrize("policy", ["restart", "reconnect"])
def test_what_was_never_answered_is_gone(tmp_path: Path, policy: str) -> None:
    with household(tmp_path, SESSION_POLICY=policy) as home:
        waiting = threading.Thread(target=lambda: _ignored(home, "deaf"))
        waiting.start()
        home.settles(lambda: len(home.running()) == 1, "it is starting")
        home.kill()
        waiting.join()
        assert len(home.running()) == 1
        home.start()
        assert home.running() == {}
        assert home.listed() == []
        assert list((home.folder / "state" / "containers").iterdir()) == []


def test_what_was_removed_never_comes_back(tmp_path: Path) -> None:
    """Not even one that was still busy ending when the platform was killed."""
    with household(tmp_path, SESSION_POLICY="reconnect") as home:
        home.actor("slow", start="stop_grace_s = 60\n")
        kept, quick, slow = home.posted(), home.posted(), home.posted("slow", mode="stubborn")
        home.deleted(quick)
        home.deleted(slow)
        assert home.ask("DELETE", f"/containers/{slow}").text == "false"
        assert slow in home.running().values()
        home.kill()
        home.start()
        settled(home, [kept])
        assert [path.name for path in (home.folder / "state" / "containers").iterdir()] == [kept]


@pytest.mark.parametrize("policy", ["restart", "reconnect"])
def test_one_that_cannot_start_any_more_can_be_removed_and_keeps_nobody_waiting(tmp_path: Path, policy: str) -> None:
    with household(tmp_path, SESSION_POLICY=policy) as home:
        home.actor("passing")
        lost, kept = home.posted("passing"), home.posted()
        home.kill()
        os.kill(home.pid_of(lost), signal.SIGKILL)
        (home.images / "passing" / "image.json").rename(home.folder / "away.json")
        home.start()
        settled(home, [kept])
        home.settles(lambda: "there is no image passing" in home.process.log, "the log says why")
        home.deleted(lost)
        assert home.ask("DELETE", f"/containers/{lost}").text == "false"
        (home.folder / "away.json").rename(home.images / "passing" / "image.json")
        home.kill()
        home.start()
        settled(home, [kept])


def defaults(home: Household, **wishes: dict[str, Any] | str) -> None:
    """Write files of DEFAULT_IMAGE_DIRECTORY."""
    folder = home.folder / "defaults"
    folder.mkdir(exist_ok=True)
    for name, wish in wishes.items():
        (folder / name.replace("_", ".")).write_text(wish if isinstance(wish, str) else json.dumps(wish))
    home.settings["DEFAULT_IMAGE_DIRECTORY"] = str(folder)


@pytest.mark.parametrize("policy", ["shutdown", "restart", "reconnect"])
def test_default_images_start_once_under_every_policy(tmp_path: Path, policy: str) -> None:
    with household(tmp_path, SESSION_POLICY=policy) as home:
        home.stop()
        defaults(
            home,
            a_json=home.wish(arguments={"COLOUR": "green"}),
            b_JSON=home.wish(arguments={"COLOUR": "blue"}),
            broken_json="{",
            unknown_json=home.wish("no-such-image"),
            surplus_json={"image": {"imageName": "actor"}, "surplus": 1},
            note_txt=home.wish(),
        )
        home.start()
        home.settles(lambda: len(home.listed()) == 2, "both are started")
        first = home.listed()
        assert sorted(home.container(each)["arguments"]["COLOUR"] for each in first) == ["blue", "green"]
        for name in ("broken.json", "unknown.json", "surplus.json"):
            home.settles(lambda name=name: name in home.process.log, f"{name} is named")  # type: ignore[misc]
        for end_now in (home.stop, home.kill):
            end_now()
            home.start()
            home.settles(lambda: len(home.listed()) == 2, "both are there again")
            assert (sorted(home.listed()) == sorted(first)) == (policy != "shutdown")
            assert len(home.running()) == 2


def test_a_default_container_that_was_removed_comes_with_the_next_start(tmp_path: Path) -> None:
    with household(tmp_path) as home:
        home.stop()
        defaults(home, a_json=home.wish())
        home.start()
        home.settles(lambda: len(home.listed()) == 1, "it is started")
        [first] = home.listed()
        home.deleted(first)
        home.stop()
        home.start()
        home.settles(lambda: len(home.listed()) == 1, "it is there again")
        assert home.listed() != [first]


def test_a_default_container_that_was_updated_does_not_come_twice(tmp_path: Path) -> None:
    with household(tmp_path) as home:
        home.stop()
        defaults(home, a_json=home.wish())
        home.start()
        home.settles(lambda: len(home.listed()) == 1, "it is started")
        new = home.put().text
        home.kill()
        home.start()
        settled(home, [new])
