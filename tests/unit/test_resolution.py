"""Who may answer an invoke: what was found among local containers is remembered, until they change."""

from __future__ import annotations

from edge.http.caller import Caller, Role
from edge.model.definitions import NoDefinitions
from edge.model.descriptions import (
    Action,
    AgentContainer,
    AgentContainerImage,
    AgentDescription,
    RuntimePlatform,
)
from edge.runtime import resolution
from edge.runtime.call import Call
from edge.runtime.catalogue import Catalogue
from edge.runtime.directory import Directory, LocalContainer, Peer
from edge.transport.fake import FakeTransport

SINCE = "2026-04-21T13:13:39.120Z"
CALL = Call(caller=Caller(name="x", role=Role.USER))


def described(container_id: str, *actions: str) -> AgentContainer:
    agent = AgentDescription(agent_id="a", agent_type="A", actions=[Action(name=name) for name in actions])
    image = AgentContainerImage(image_name=container_id)
    return AgentContainer(container_id=container_id, image=image, agents=[agent], running_since=SINCE)


def local(container_id: str, *actions: str) -> LocalContainer:
    return LocalContainer(described(container_id, *actions), FakeTransport(container_id), NoDefinitions(), "bundled")


def found(directory: Directory, action: str, agent_id: str | None = None, call: Call = CALL) -> list[str]:
    return [each.target.transport.name for each in resolution.for_invoke(directory, call, action, agent_id)]


def test_a_change_of_the_containers_is_seen_by_the_next_call() -> None:
    directory = Directory()
    directory.put(local("one", "Open"))
    assert found(directory, "Open") == found(directory, "Open", "a") == ["one"]
    directory.put(local("two", "Open"))
    assert found(directory, "Open") == found(directory, "Open", "a") == ["one", "two"]
    directory.put(local("one", "Shut"))
    assert found(directory, "Open") == found(directory, "Open", "a") == ["two"]
    directory.remove("two")
    assert found(directory, "Open") == found(directory, "Open", "a") == []


def test_a_change_of_a_peer_is_seen_by_the_next_call() -> None:
    directory = Directory()
    directory.put(local("one", "Open"))
    assert found(directory, "Open") == ["one"]
    info = RuntimePlatform(platform_id="p", base_url="http://p", running_since=SINCE)
    peer = Peer("http://p", info, FakeTransport("http://p"), Catalogue(()))
    directory.put_peer(peer)
    assert found(directory, "Open") == ["one"]
    peer.catalogue = Catalogue([(described("far", "Open"), NoDefinitions())])
    assert found(directory, "Open") == ["one", "http://p"]
    assert found(directory, "Open", call=Call(caller=CALL.caller, forward=False)) == ["one"]
    assert found(directory, "Open", call=Call(caller=CALL.caller, container_id="far")) == ["http://p"]


def test_names_that_callers_make_up_are_not_remembered() -> None:
    directory = Directory()
    directory.put(local("one", "Open"))
    for number in range(100):
        assert found(directory, f"Nope{number}") == found(directory, "Open", f"nobody-{number}") == []
    assert found(directory, "Open") == ["one"]
    assert list(directory.found) == [("Open", None)]


def test_what_is_remembered_is_bounded() -> None:
    directory = Directory()
    names = [f"Open{number}" for number in range(3000)]
    directory.put(local("one", *names))
    assert all(found(directory, name) == ["one"] for name in names)
    assert len(directory.found) <= 1024
