"""Which containers and platforms may answer a call, in the order they are asked (contract, section 5.1). Pure.

The first candidate usually succeeds, so those behind it are looked for when they are asked for; and what invokes found
among the local containers is remembered until one of them changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import TypeAlias

from msgspec import Struct

from edge.model.definitions import Definitions
from edge.model.descriptions import Action, StreamMode
from edge.runtime.call import Call
from edge.runtime.directory import Directory, LocalContainer, Peer

Target: TypeAlias = LocalContainer | Peer


# Of local containers; beyond that it is looked up anew.
_MAX_FOUND = 1024


class ActionCandidate(Struct, frozen=True):
    """An action that matches in everything but perhaps the arguments.

    Attributes:
        target: Who would be asked.
        agent_id: The agent to name in the call; None leaves the choice to the target.
        action: The action as it is described.
        definitions: The defined types of the container that offers it.
    """

    target: Target
    agent_id: str | None
    action: Action
    definitions: Definitions


def for_invoke(directory: Directory, call: Call, action: str, agent_id: str | None) -> Iterable[ActionCandidate]:
    """Return the candidates of an invoke; several of one target where several of its agents offer the action."""
    if call.container_id is not None:
        local = directory.with_action(action) if agent_id is None else directory.with_agent(agent_id)
        return _offering(_targets(directory, call, local), call.container_id, action, agent_id)
    found = directory.found
    candidates: Sequence[ActionCandidate] | None = found.get((action, agent_id))
    if candidates is None:
        local = directory.with_action(action) if agent_id is None else directory.with_agent(agent_id)
        candidates = tuple(_offering(local, None, action, agent_id))
        if candidates:  # callers must not fill the memory with names that they make up
            if len(found) >= _MAX_FOUND:
                found.clear()
            found[action, agent_id] = candidates
    if not call.forward or not directory.peers:
        return candidates
    return chain(candidates, _offering(directory.peers, None, action, agent_id))


def _offering(
    targets: Iterable[Target], container_id: str | None, action: str, agent_id: str | None
) -> Iterator[ActionCandidate]:
    for target in targets:
        for offer in target.catalogue.actions.get(action, ()):
            if container_id in (None, offer.container_id) and agent_id in (None, offer.agent_id):
                # Who is asked without an agent takes its first that offers the action, whatever its parameters; another
                # one must be named (contract, Q3).
                named = agent_id if agent_id is not None or offer.is_first else offer.agent_id
                yield ActionCandidate(target, named, offer.action, offer.definitions)


def for_message(directory: Directory, call: Call, agent_id: str) -> Iterator[Target]:
    """Yield who holds the agent that a message is for."""
    for target in _targets(directory, call, directory.with_agent(agent_id)):
        holders = target.catalogue.agents.get(agent_id, ())
        if any(call.container_id in (None, container_id) for container_id, _ in holders):
            yield target


def for_broadcast(directory: Directory, call: Call) -> Iterable[Target]:
    """Return who gets a broadcast: everybody, unless one container is asked for."""
    return _targets(directory, call, directory.containers)


def for_stream(
    directory: Directory, call: Call, stream: str, mode: StreamMode, agent_id: str | None
) -> Iterator[tuple[Target, str | None]]:
    """Yield who offers a stream, and the agent to name; those with the asked mode first (contract, Q7)."""
    others: list[tuple[Target, str | None]] = []
    local = directory.with_stream(stream) if agent_id is None else directory.with_agent(agent_id)
    for target in _targets(directory, call, local):
        offers = [
            offer
            for offer in target.catalogue.streams.get(stream, ())
            if call.container_id in (None, offer.container_id) and agent_id in (None, offer.agent_id)
        ]
        right = next((offer for offer in offers if offer.mode is mode), None)
        if right is not None:
            yield target, agent_id if agent_id is not None or right is offers[0] else right.agent_id
        elif offers:
            others.append((target, agent_id))
    yield from others


def _targets(directory: Directory, call: Call, local: Sequence[LocalContainer]) -> Iterable[Target]:
    """Return candidates in order: local containers, then connected platforms if the call may leave."""
    wanted = call.container_id
    if wanted is None:
        return chain(local, directory.peers) if call.forward else local
    targets: list[Target] = [container for container in local if container.container_id == wanted]
    if call.forward:
        targets += [peer for peer in directory.peers if wanted in peer.catalogue.container_ids]
    return targets
