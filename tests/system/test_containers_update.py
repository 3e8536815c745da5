"""Updates of running containers (contract, section 8.6 and Decision 12)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.wire import Response
from tests.system.households import Household, household

pytestmark = pytest.mark.timeout(40)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    with household(tmp_path_factory.mktemp("update")) as home:
        yield home


@pytest.fixture
def home(shared: Household) -> Iterator[Household]:
    shared.actor()
    yield shared
    for container_id in shared.listed():
        shared.deleted(container_id)
    assert shared.running() == {}


def refused(answer: Response, status: int, words: str) -> None:
    assert answer.status == status, answer.text
    assert words in answer.json()["message"]


def test_the_new_one_takes_the_place_of_the_old_under_a_new_id(home: Household) -> None:
    old, pid = home.posted(), home.do(home.listed()[0], "Pid")
    home.actor(start='[env]\nEDITION = "2"\n')
    answer = home.put()
    assert (answer.status, answer.header("content-type")) == (200, "text/plain;charset=UTF-8")
    assert home.listed() == [answer.text]
    assert answer.text != old
    assert home.container(answer.text)["image"]["version"] == "2"
    assert pid not in home.running()
    assert home.ask("DELETE", f"/containers/{old}").text == "false"


def test_only_the_new_one_is_there_after_a_kill(tmp_path: Path) -> None:
    with household(tmp_path) as home:
        home.posted()
        new = home.put().text
        home.kill()
        home.start()
        home.settles(lambda: home.listed() == [new], "only the new one is there")
        assert set(home.running().values()) == {new}


@pytest.mark.parametrize(
    ("mode", "words"), [("dies", "I forgot my text"), ("other id", "somebody-else"), ("deaf", "did not answer")]
)
@pytest.mark.parametrize("start", ["", "exclusive = true\n"])
def test_a_failure_leaves_the_old_one_as_it_was(home: Household, mode: str, words: str, start: str) -> None:
    home.actor(start=start)
    container_id = home.posted(arguments={"COLOUR": "blue"})
    described = home.container(container_id)
    home.do(container_id, "Store", value="kept")
    pid = home.do(container_id, "Pid")
    refused(home.put(mode=mode, timeout=1), 502, words)
    assert home.listed() == [container_id]
    home.settles(lambda: home.ask("POST", "/invoke/Echo", json_body={}).status == 200, "the old one is called")
    # Same ID, same port; a description may have been read anew.
    assert home.container(container_id) == described
    assert home.do(container_id, "Stored") == "kept"
    assert home.do(container_id, "Environment")["COLOUR"] == "blue"
    assert (home.do(container_id, "Pid") == pid) == (not start)
    assert len(home.running()) == 1


def test_what_does_not_fit_disturbs_nobody(home: Household) -> None:
    home.actor(start="exclusive = true\n", parameters=[{"name": "NEEDED", "required": True}])
    container_id = home.posted(arguments={"NEEDED": "1"})
    pid = home.do(container_id, "Pid")
    refused(home.put(arguments={}), 400, "NEEDED")
    refused(home.put(requires=["agent:Nobody"]), 400, "agent:Nobody")
    refused(home.put(clientConfig={"type": "DOCKER"}), 400, "does not match")
    refused(home.put(clientConfig={"type": "NATIVE", "memoryMb": -1}), 400, "memoryMb")
    assert home.do(container_id, "Pid") == pid


def test_an_exclusive_one_has_stopped_before_the_new_one_starts(home: Household) -> None:
    """The new one takes a second to come up, the old one ignores being asked to end."""
    home.actor(start="exclusive = true\nstop_grace_s = 0.5\n")
    old = home.posted(mode="stubborn")
    pid = home.do(old, "Pid")
    together: list[dict[int, str]] = []
    answers: list[Response] = []
    updating = threading.Thread(target=lambda: answers.append(home.put(mode="late")))
    updating.start()
    while updating.is_alive():
        found = home.running()
        if len(set(found.values())) > 1:
            together.append(found)
    updating.join()
    assert answers[0].status == 200, answers[0].text
    assert together == []
    assert pid not in home.running()
    assert home.listed() == [answers[0].text]
    assert not (home.folder / "state" / "containers" / old).exists()


def test_others_run_beside_each_other_while_the_new_one_comes_up(home: Household) -> None:
    old = home.posted()
    answers: list[Response] = []
    updating = threading.Thread(target=lambda: answers.append(home.put(mode="late")))
    updating.start()
    calls = 0
    while updating.is_alive():
        home.ask("POST", "/invoke/Echo", json_body={"value": 1}).json()
        assert home.listed() != []
        calls += 1
    updating.join()
    assert calls > 10
    assert home.listed() == [answers[0].text] != [old]


@pytest.mark.parametrize("asked", ["actor:2.0", "actor@sha256:00", "actor"])
def test_tags_and_digests_do_not_count(home: Household, asked: str) -> None:
    old = home.posted("actor:1.0")
    answer = home.put(asked)
    assert answer.status == 200, answer.text
    assert home.listed() == [answer.text] != [old]


def test_the_name_that_the_container_reports_counts_as_well(home: Household) -> None:
    home.actor("posted-name", start='[env]\nREPORTED = "reported-name"\n')
    home.actor("reported-name", folder="other")
    for asked in ("posted-name", "reported-name"):
        old = home.posted("posted-name")
        answer = home.put(asked)
        assert answer.status == 200, answer.text
        assert home.listed() == [answer.text] != [old]
        home.deleted(answer.text)


def test_it_must_be_exactly_one(home: Household) -> None:
    refused(home.put(), 400, "0 containers")
    first, second = home.posted(), home.posted()
    refused(home.put(), 400, "2 containers")
    assert home.listed() == [first, second]
    home.deleted(second)
    assert home.put().status == 200


def test_a_crashed_one_can_be_updated(home: Household) -> None:
    home.actor(start='restart = "never"\n')
    old = home.posted()
    home.ask("POST", "/invoke/Crash", json_body={"number": 3})
    answer = home.put()
    assert answer.status == 200, answer.text
    assert home.listed() == [answer.text] != [old]
    assert home.do(answer.text, "Echo", value=1) == 1


def test_several_updates_at_once_leave_one(home: Household) -> None:
    home.posted()
    answers: list[Response] = []
    threads = [threading.Thread(target=lambda: answers.append(home.put())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [200] * 4
    [left] = home.listed()
    assert left in [answer.text for answer in answers]
    assert set(home.running().values()) == {left}


def test_the_login_at_the_old_one_is_not_carried_over(home: Household) -> None:
    old = home.posted()
    home.ask("POST", f"/containers/login/{old}", json_body={"username": "eve", "password": "sesame"})
    new = home.put().text
    assert home.ask("POST", f"/containers/logout/{old}").status == 404
    assert home.ask("POST", f"/containers/logout/{new}").text == "false"
