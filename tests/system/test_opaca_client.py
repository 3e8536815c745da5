"""The PyPI package `opaca`, unmodified, as a client of the platform."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.running import platform_process

DRIVER = Path(__file__).with_name("opaca_client.py")
CONTAINER = {"contract": "tests.contract.container:container"}


@pytest.fixture(scope="module")
def outcomes(real_part: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What every method of the client gave, in the order in which the driver calls them."""
    interpreter = real_part("opaca")
    with platform_process(tmp_path_factory.mktemp("opaca"), CONTAINER) as process:
        done = subprocess.run(
            [interpreter, DRIVER, process.base_url], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert isinstance(result, dict)
    return result


def test_descriptions_are_understood(outcomes: dict[str, Any]) -> None:
    info = outcomes["get_info"]
    assert [each["image"]["imageName"] for each in info["containers"]] == ["contract-container"]
    assert outcomes["get_containers"] == info["containers"]
    assert outcomes["get_agents"] == info["containers"][0]["agents"]
    assert outcomes["get_agent"] == outcomes["get_agents"][0]
    assert [action["name"] for action in outcomes["get_agent"]["actions"]][:2] == ["Say", "Add"]
    assert outcomes["get_config"]["containerEnvironment"] == "NATIVE"


def test_actions_give_their_results(outcomes: dict[str, Any]) -> None:
    assert outcomes["invoke"] == 3
    assert outcomes["invoke anybody"] == "ä"
    assert outcomes["invoke without arguments"] is None


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("invoke what is unknown", 404),
        ("invoke what fails", 502),
        ("invoke with what does not fit", 400),
        ("post_container", 404),
        ("put_container", 400),
    ],
)
def test_errors_are_errors_to_the_client(outcomes: dict[str, Any], name: str, status: int) -> None:
    assert outcomes[name]["error"] == status
    body = json.loads(outcomes[name]["body"])
    assert body["statusCode"] == status
    assert body.get("cause", {}) is not None


def test_messages_arrive(outcomes: dict[str, Any]) -> None:
    message = {"payload": {"temperature": 21.5}, "replyTo": ""}
    assert (outcomes["send_message"], outcomes["broadcast"]) == (None, None)
    assert outcomes["heard"] == [message, message]


def test_streams_arrive_in_both_directions(outcomes: dict[str, Any]) -> None:
    assert bytes.fromhex(outcomes["get_stream"]) == b"one\ntwo\nthree\n"
    assert outcomes["post_stream"] == ""
    assert bytes.fromhex(outcomes["collected"]) == b"onetwo\x00\xff"


def test_the_history_is_understood(outcomes: dict[str, Any]) -> None:
    kinds = {event["eventType"] for event in outcomes["get_history"]}
    assert kinds == {"CALL", "SUCCESS", "ERROR"}
    assert {event["statusCode"] for event in outcomes["get_history"]} == {None, 400, 404, 502}


def test_containers_are_managed(outcomes: dict[str, Any]) -> None:
    assert outcomes["get_connections"] == []
    assert outcomes["post_container_notify"] is True
    assert outcomes["delete_container, unknown"] is False
    assert outcomes["delete_container"] is True
    assert outcomes["get_containers, afterwards"] == []


def test_nothing_else_was_raised(outcomes: dict[str, Any]) -> None:
    raised = {name: value for name, value in outcomes.items() if isinstance(value, dict) and "exception" in value}
    assert raised == {}
