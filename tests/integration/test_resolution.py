"""Who is asked when several could answer (contract, section 5 with Decisions 2 and 3)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.runtime import forwarding
from tests.contract.running import PlatformThread, until
from tests.contract.wire import Response, Wire, request_bytes
from tests.integration.several import DONE

CONTAINERS = {"a": "tests.integration.several:alpha", "b": "tests.integration.several:beta"}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[PlatformThread]:
    """A platform with alpha and beta, in this order."""
    with PlatformThread(tmp_path, CONTAINERS) as platform:
        yield platform


def ids(platform: PlatformThread) -> dict[str, str]:
    return {each["image"]["imageName"]: each["containerId"] for each in platform.ask("GET", "/containers").json()}


def invoke(platform: PlatformThread, path: str, **arguments: Any) -> Response:
    return platform.ask("POST", f"/invoke/{path}", body=json.dumps(arguments).encode())


def test_containers_are_asked_in_the_order_of_the_configuration(pair: PlatformThread) -> None:
    assert list(ids(pair)) == ["alpha", "beta"]
    assert invoke(pair, "Where").json() == "alpha worker"


@pytest.mark.parametrize("forward", ["true", "false"])
def test_a_container_is_chosen_by_its_id(pair: PlatformThread, forward: str) -> None:
    query = f"?containerId={ids(pair)['beta']}&forward={forward}"
    assert invoke(pair, f"Where{query}").json() == "beta worker"
    assert invoke(pair, f"Where/only-beta{query}").json() == "beta only-beta"


@pytest.mark.parametrize("agent", ["only-alpha", "nobody"])
def test_an_agent_of_another_container_is_not_found(pair: PlatformThread, agent: str) -> None:
    query = f"?containerId={ids(pair)['beta']}"
    assert invoke(pair, f"Where/{agent}{query}").status == 404
    assert pair.ask("POST", f"/send/{agent}{query}", json_body={}).status == 404


def test_an_agent_is_found_in_any_container(pair: PlatformThread) -> None:
    assert invoke(pair, "Where/only-beta").json() == "beta only-beta"


def test_the_next_is_asked_where_the_first_failed(pair: PlatformThread) -> None:
    assert invoke(pair, "TryIt").json() == "beta"
    assert DONE == ["alpha failed", "beta succeeded"]


def test_if_all_fail_the_last_failure_is_told(pair: PlatformThread) -> None:
    answer = invoke(pair, "FailAll")
    assert answer.status == 502
    assert "not in beta" in answer.json()["cause"]["message"]
    assert DONE == ["alpha failed", "beta failed"]


def test_after_a_time_out_nobody_else_is_asked(pair: PlatformThread, monkeypatch: pytest.MonkeyPatch) -> None:
    """The action may have run: things move."""
    assert forwarding._GRACE_S == 5
    monkeypatch.setattr(forwarding, "_GRACE_S", 0.2)
    answer = invoke(pair, "Hang?timeout=1")
    assert answer.status == 502
    assert DONE == ["alpha hangs"]


def test_without_a_time_limit_an_action_has_an_hour(pair: PlatformThread, monkeypatch: pytest.MonkeyPatch) -> None:
    assert forwarding._LONGEST_ACTION_S == 3600
    monkeypatch.setattr(forwarding, "_LONGEST_ACTION_S", 0.2)
    assert invoke(pair, "Hang").status == 502
    assert DONE == ["alpha hangs"]


@pytest.mark.parametrize(("level", "answer"), [(5, "alpha 5"), ("high", "beta high")])
def test_the_arguments_decide(pair: PlatformThread, level: object, answer: str) -> None:
    assert invoke(pair, "Level", level=level).json() == answer
    assert invoke(pair, "Level/worker", level=level).json() == answer


def test_arguments_that_fit_nobody_are_400(pair: PlatformThread) -> None:
    assert invoke(pair, "Level", level=[]).status == 400


def test_arguments_that_fit_elsewhere_do_not_help_a_chosen_container(pair: PlatformThread) -> None:
    assert invoke(pair, f"Level?containerId={ids(pair)['beta']}", level=5).status == 400


def test_a_failure_counts_more_than_a_mismatch(pair: PlatformThread) -> None:
    answer = invoke(pair, "Fragile", level=5)
    assert (answer.status, DONE) == (502, [])
    assert "alpha broke at 5" in answer.json()["cause"]["message"]


def test_a_message_goes_to_the_first_who_takes_it(pair: PlatformThread) -> None:
    assert pair.ask("POST", "/send/worker", json_body={"payload": "hello"}).status == 200
    until(lambda: DONE, "it is heard")
    assert pair.ask("POST", "/send/only-beta", json_body={"payload": "later"}).status == 200
    until(lambda: len(DONE) > 1, "the later one is heard")
    assert DONE == ["alpha heard hello", "beta heard later"]


def test_a_broadcast_reaches_every_container(pair: PlatformThread) -> None:
    assert pair.ask("POST", "/broadcast/news", json_body={"payload": 1}).status == 200
    until(lambda: len(DONE) == 4, "all four agents have heard it")
    assert sorted(DONE) == ["alpha heard 1"] * 2 + ["beta heard 1"] * 2


def test_a_broadcast_to_one_container_reaches_no_other(pair: PlatformThread) -> None:
    query = f"?containerId={ids(pair)['beta']}"
    assert pair.ask("POST", f"/broadcast/news{query}", json_body={"payload": 1}).status == 200
    until(lambda: len(DONE) == 2, "both agents have heard it")
    assert DONE == ["beta heard 1"] * 2


def test_a_stream_of_the_right_mode_is_preferred(pair: PlatformThread) -> None:
    assert pair.ask("GET", "/stream/Feed").body == b"beta"
    assert pair.ask("POST", "/stream/Feed", body=b"grain").status == 200
    assert DONE == ["alpha took grain"]


def test_a_stream_that_does_not_open_is_read_elsewhere(pair: PlatformThread) -> None:
    assert pair.ask("GET", "/stream/Read").body == b"beta"


def test_a_stream_that_is_refused_unread_goes_to_the_next(pair: PlatformThread) -> None:
    assert pair.ask("POST", "/stream/Pour", body=b"water").status == 200
    assert DONE == ["alpha refused", "beta took water"]


def test_a_stream_that_was_begun_goes_to_nobody_else(pair: PlatformThread) -> None:
    with Wire(pair.address) as wire:
        wire.send(request_bytes("POST", "/stream/Spill", {"Content-Length": "5"}) + b"water")
        assert wire.read_response("POST").status == 502
    assert DONE == ["alpha spilled water"]


def test_provisions_stand_in_the_contracts_order(pair: PlatformThread) -> None:
    assert pair.ask("GET", "/info").json()["provides"] == [
        "config:container-env=NATIVE",
        "config:platform-env=NATIVE",
        "config:session-policy=RESTART",
        "config:require-auth=false",
        "image:alpha",
        "shared",
        "of:alpha",
        "agent:Alpha",
        "action:Where",
        "action:TryIt",
        "action:FailAll",
        "action:Hang",
        "action:Level",
        "action:Fragile",
        "agent:Worker",
        "image:beta",
        "of:beta",
        "agent:Beta",
    ]


def test_agents_are_listed_container_by_container(pair: PlatformThread) -> None:
    assert [agent["agentId"] for agent in pair.ask("GET", "/agents").json()] == [
        "worker",
        "only-alpha",
        "worker",
        "only-beta",
    ]
