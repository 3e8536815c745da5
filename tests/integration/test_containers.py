"""Bundled containers: listed, changed, deleted, started again (contract, sections 8.5 to 8.8, Decisions 8, 11, 12)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.contract.running import PlatformThread, platform_process, until
from tests.contract.wire import Wire, WireClosed, request_bytes
from tests.integration.laboratory import FACTORY, Laboratory
from tests.integration.websocket import CLOSE, WebSocket

SEVERAL = "tests.integration.several"


def container_id(platform: PlatformThread) -> str:
    found = platform.ask("GET", "/containers").json()[0]["containerId"]
    assert isinstance(found, str)
    return found


def names(platform: PlatformThread) -> list[str]:
    return [each["image"]["imageName"] for each in platform.ask("GET", "/containers").json()]


def test_a_bundled_container_keeps_its_id(tmp_path: Path) -> None:
    containers = {"one": FACTORY, "two": f"{SEVERAL}:alpha"}

    def started(folder: Path) -> list[str]:
        with PlatformThread(folder, containers) as platform:
            return [each["containerId"] for each in platform.ask("GET", "/containers").json()]

    (tmp_path / "here").mkdir()
    first = started(tmp_path / "here")
    assert len(set(first)) == 2
    assert started(tmp_path / "here") == first
    assert not set(started(tmp_path / "there")) & set(first)


def test_a_bundled_container_has_no_port(platform: PlatformThread) -> None:
    [container] = platform.ask("GET", "/containers").json()
    assert container["connectivity"] == {
        "publicUrl": "http://127.0.0.1",
        "apiPortMapping": 0,
        "extraPortMappings": {},
    }


def test_what_an_agent_learns_is_listed_at_once(platform: PlatformThread) -> None:
    before = platform.ask("GET", f"/containers/{container_id(platform)}").json()
    assert platform.ask("POST", "/invoke/Learn", json_body={"name": "Whisper"}).status == 200
    actions = [action["name"] for action in platform.ask("GET", "/agents/lab").json()["actions"]]
    assert "Whisper" in actions
    assert "action:Whisper" in platform.ask("GET", "/info").json()["provides"]
    assert platform.ask("POST", "/invoke/Whisper", json_body={"text": "a"}).json() == "a"
    after = platform.ask("GET", f"/containers/{container_id(platform)}").json()
    assert {**after, "agents": before["agents"]} == before


def test_notifying_keeps_what_the_platform_knows(platform: PlatformThread) -> None:
    before = platform.ask("GET", "/containers").json()
    assert platform.ask("POST", "/containers/notify", body=container_id(platform).encode()).text == "true"
    assert platform.ask("GET", "/containers").json() == before


def test_deleting_takes_it_away_with_all_it_offers(platform: PlatformThread, lab: Laboratory) -> None:
    deleted = container_id(platform)
    before = platform.tasks()
    assert platform.ask("DELETE", f"/containers/{deleted}").text == "true"
    assert platform.ask("GET", "/containers").json() == []
    assert platform.ask("GET", f"/containers/{deleted}").body == b""
    assert platform.ask("GET", "/agents").json() == []
    assert platform.ask("GET", "/agents/lab").body == b""
    assert len(platform.ask("GET", "/info").json()["provides"]) == 4
    assert platform.ask("POST", "/invoke/Say", json_body={"text": "a"}).status == 404
    assert platform.ask("POST", "/send/lab", json_body={}).status == 404
    assert platform.ask("GET", "/stream/Drip").status == 404
    assert platform.ask("POST", "/containers/notify", body=deleted.encode()).status == 404
    assert platform.ask("DELETE", f"/containers/{deleted}").text == "false"
    until(lambda: lab.seen == ["stopped"], "its stop hook has run")
    until(lambda: len(platform.tasks()) < len(before), "its task is gone")


def test_deleting_ends_what_it_was_doing(platform: PlatformThread, lab: Laboratory) -> None:
    with Wire(platform.address) as caller, Wire(platform.address) as reader:
        caller.send(request_bytes("POST", "/invoke/Wait", {"Content-Type": "application/json"}, b"{}"))
        reader.send(request_bytes("GET", "/stream/Drip"))
        until(lambda: sorted(lab.seen) == ["drips", "waits"], "both are at it")
        head = reader.read_head()
        assert platform.ask("DELETE", f"/containers/{container_id(platform)}", timeout_s=4).text == "true"
        assert caller.read_response("POST").status == 502
        until(lambda: {"drips no more", "waits no more", "stopped"} <= set(lab.seen), "all has ended")
        with pytest.raises(WireClosed):
            list(reader.read_pieces(head))


def test_deleting_is_told_to_subscribers(platform: PlatformThread) -> None:
    with WebSocket(platform.address) as socket:
        socket.subscribe("/containers")
        deleted = container_id(platform)
        platform.ask("DELETE", f"/containers/{deleted}")
        assert socket.event()["route"] == f"DELETE /containers/{deleted}"
        socket.send(CLOSE, b"")


def test_deleting_holds_until_the_next_start_and_says_so(tmp_path: Path) -> None:
    def deleted_id() -> str:
        with platform_process(tmp_path, {"lab": FACTORY}) as process:
            [container] = process.ask("GET", "/containers").json()
            assert process.ask("DELETE", f"/containers/{container['containerId']}").text == "true"
            assert process.ask("GET", "/containers").json() == []
            assert re.search(r"bundled container lab .*starts again", process.log)
        return str(container["containerId"])

    assert deleted_id() == deleted_id()


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("image", ["laboratory", "laboratory:1", "laboratory@sha256:00"])
def test_a_bundled_container_is_neither_posted_nor_updated(platform: PlatformThread, method: str, image: str) -> None:
    """There is no such image to start; what runs stays untouched."""
    before = platform.ask("GET", "/containers").json()
    answer = platform.ask(method, "/containers", json_body={"image": {"imageName": image}})
    assert answer.status == (404 if method == "POST" else 400)
    assert platform.ask("GET", "/containers").json() == before


@pytest.mark.parametrize(
    ("config", "status"),
    [
        ({"type": "NATIVE"}, 404),
        ({"type": "NATIVE", "memoryMb": 64, "cpuPercent": 50, "restart": "always"}, 404),
        ({"type": "NATIVE", "restart": "sometimes"}, 422),
        ({"type": "NATIVE", "memoryMb": "much"}, 422),
        ({"type": "NATIVE", "url": "http://127.0.0.1:1"}, 422),
        ({"type": "DOCKER"}, 400),
        ({"type": "KUBERNETES"}, 400),
    ],
)
def test_how_a_container_shall_run_is_checked(platform: PlatformThread, config: dict[str, Any], status: int) -> None:
    body = {"image": {"imageName": "no-such-image"}, "clientConfig": config}
    assert platform.ask("POST", "/containers", json_body=body).status == status


@pytest.mark.parametrize("factory", [f"{SEVERAL}:broken", f"{SEVERAL}:sour", f"{SEVERAL}:nothing", "no_such_module:x"])
def test_a_container_that_does_not_start_harms_no_other(tmp_path: Path, factory: str) -> None:
    with platform_process(tmp_path, {"bad": factory, "good": f"{SEVERAL}:beta"}) as process:
        assert [each["image"]["imageName"] for each in process.ask("GET", "/containers").json()] == ["beta"]
        assert process.ask("POST", "/invoke/Where", body=b"{}").json() == "beta worker"
        assert "bundled container bad" in process.log
        reasons = {
            "broken": "there is no greenhouse here",
            "sour": "the sensor is missing",
            "nothing": "has no nothing",
        }
        assert reasons.get(factory.rpartition(":")[2], "no_such_module") in process.log


def test_the_same_container_may_run_twice_under_two_names(tmp_path: Path) -> None:
    with PlatformThread(tmp_path, {"one": f"{SEVERAL}:beta", "two": f"{SEVERAL}:beta"}) as platform:
        assert names(platform) == ["beta", "beta"]
        assert len({each["containerId"] for each in platform.ask("GET", "/containers").json()}) == 2
        answer = platform.ask("PUT", "/containers", json_body={"image": {"imageName": "beta"}})
        assert answer.status == 400
