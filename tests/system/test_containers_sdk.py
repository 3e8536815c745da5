"""Containers of the PyPI package `opaca`, unmodified, and its client managing them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.system.households import Household, household

pytestmark = pytest.mark.timeout(90)

MANAGER = Path(__file__).with_name("opaca_manager.py")
COUNT = 10


@pytest.fixture(scope="module")
def home(real_part: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    with household(tmp_path_factory.mktemp("sdk"), CONTAINER_TIMEOUT_SEC="60") as home:
        home.sdk(real_part("opaca"))
        yield home


@pytest.fixture(scope="module")
def ids(home: Household) -> list[str]:
    """Ten containers of one image, started at the same time."""
    with ThreadPoolExecutor(COUNT) as pool:
        return list(pool.map(lambda _: home.posted("sdk"), range(COUNT)))


def test_the_sdks_client_manages_them(home: Household, real_part: Callable[[str], Path]) -> None:
    """Alone on the platform: each step takes less than the 5 s that such clients wait."""
    finished = subprocess.run(
        [real_part("opaca"), MANAGER, home.process.base_url], capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 0, finished.stderr
    done = json.loads(finished.stdout)
    posted, updated = done["post"], done["put"]
    assert done["listed"] == [posted]
    assert done["connectivity"]["apiPortMapping"] > 0
    assert done["where"] == posted
    # As the container wrote it: the client does not mind the quotes, the container takes them off.
    assert done["login"].strip('"') != done["login"]
    assert done["whoami"] == "eve"
    assert done["logout"] is True
    assert "Missing credentials" in done["whoami, logged out"]["cause"]["message"]
    assert done["login, wrong"]["cause"]["statusCode"] == 401
    assert done["stream"] == "0\n1\n2\n"
    assert done["notify"] is True
    assert done["listed, updated"] == [updated] != [posted]
    assert (done["delete"], done["delete, again"]) == (True, False)
    assert done["listed, deleted"] == []


def test_ten_of_one_image_run_at_once_each_reachable_by_its_id(home: Household, ids: list[str]) -> None:
    assert len(set(ids)) == COUNT
    assert sorted(home.listed()) == sorted(ids)
    containers = [home.container(container_id) for container_id in ids]
    assert len({container["connectivity"]["apiPortMapping"] for container in containers}) == COUNT
    assert {container["image"]["apiPort"] for container in containers} == {8082}
    for number, container_id in enumerate(ids):
        assert home.do(container_id, "Where") == container_id
        assert home.do(container_id, "Add", x=number, y=1) == number + 1


def test_types_are_checked_before_the_container_is_asked(home: Household, ids: list[str]) -> None:
    answer = home.ask("POST", f"/invoke/Add?containerId={ids[0]}", json_body={"x": "1", "y": 2})
    assert answer.status == 400  # it would answer "12"


def test_messages_without_an_answer_address_arrive(home: Household, ids: list[str]) -> None:
    for path in (f"/send/worker?containerId={ids[1]}", f"/broadcast/news?containerId={ids[1]}"):
        assert home.ask("POST", path, json_body={"payload": None, "replyTo": None}).status == 200
        assert home.ask("POST", path, headers={"Content-Type": "application/json"}, body=b"{}").status == 200
    assert [each["replyTo"] for each in home.do(ids[1], "Heard")] == [""] * 4


def test_a_broadcast_reaches_all_of_them(home: Household, ids: list[str]) -> None:
    before = {container_id: len(home.do(container_id, "Heard")) for container_id in ids}
    assert home.ask("POST", "/broadcast/news", json_body={"payload": {"a": 1}}).status == 200
    assert {container_id: len(home.do(container_id, "Heard")) - 1 for container_id in ids} == before


def test_a_stream_can_be_asked_of_one_agent(home: Household, ids: list[str]) -> None:
    """The SDK takes its ID from the query, and nowhere else."""
    for path in ("/stream/Count", "/stream/Count/worker"):
        answer = home.ask("GET", f"{path}?containerId={ids[2]}")
        assert (answer.status, answer.body) == (200, b"0\n1\n2\n")


def test_errors_of_an_action_are_told_with_their_text(home: Household, ids: list[str]) -> None:
    answer = home.ask("POST", f"/invoke/Fail?containerId={ids[0]}", json_body={})
    assert answer.status == 502
    assert answer.json()["cause"]["statusCode"] == 400
    assert "boom" in answer.json()["cause"]["message"]


def test_a_call_after_an_idle_time_does_not_meet_a_closed_connection(home: Household, ids: list[str]) -> None:
    """Its server closes connections after 5 s; a call that comes just then is neither lost nor made twice."""
    last_s = dict.fromkeys(ids, 0.0)
    for container_id in ids:
        home.do(container_id, "Add", x=1, y=1)
        last_s[container_id] = time.monotonic()
    for number, container_id in enumerate(ids):
        wanted_s = last_s[container_id] + 4.85 + number * 0.04
        time.sleep(max(0.0, wanted_s - time.monotonic()))
        assert home.do(container_id, "Add", x=number, y=1) == number + 1


def test_one_that_blocks_everything_holds_up_nobody_else(home: Household, ids: list[str]) -> None:
    """A sync action runs in its loop: not even /info answers meanwhile. It is called blocked, not dead."""
    pid = home.pid_of(ids[3])
    # On a busy machine the others may take as long as it does.
    assert any(_are_served_while_one_blocks(home, ids, seconds) for seconds in (3.0, 12.0))
    assert home.pid_of(ids[3]) == pid


def _are_served_while_one_blocks(home: Household, ids: list[str], seconds: float) -> bool:
    """Call all others while the fourth blocks; tells whether it was still blocked when they had answered."""
    answers: list[Any] = []
    calls: list[tuple[str, dict[str, Any]]] = [("Block", {"seconds": seconds}), ("Add", {"x": 1, "y": 2})]
    threads = [
        threading.Thread(target=lambda name=name, more=more: answers.append(home.do(ids[3], name, **more)))
        for name, more in calls
    ]
    for thread in threads:
        thread.start()
    for container_id in [*ids[:3], *ids[4:]] * 3:
        assert home.do(container_id, "Where") == container_id
    assert len(home.listed()) == COUNT
    is_blocked = threads[0].is_alive()
    for thread in threads:
        thread.join()
    assert sorted(answers, key=str) == [3, None]
    return is_blocked


def test_an_end_by_sigterm_is_no_crash(home: Household, ids: list[str]) -> None:
    before = home.process.log.count("WARNING")
    home.deleted(ids[9])
    assert ids[9] not in home.running().values()
    assert home.process.log.count("WARNING") == before
    # Somebody else who ends it is told of, and it comes back as itself.
    pid = home.pid_of(ids[8])
    os.kill(pid, signal.SIGTERM)
    invoke = f"/invoke/Where?containerId={ids[8]}"
    home.settles(lambda: pid not in home.running(), "it has ended")
    home.settles(lambda: home.ask("POST", invoke, json_body={}).text == json.dumps(ids[8]), "it is back")


def test_the_end_of_the_platform_takes_all_along(home: Household, ids: list[str]) -> None:
    assert home.stop() < 8.0
    assert home.running() == {}
