"""`agents`: who is there and what they offer."""

from __future__ import annotations

import argparse

from edge.cli.failures import Failed
from edge.cli.output import Output, text_of
from edge.cli.platform import Platform, call_platform, client_arguments
from edge.cli.values import signature
from edge.model.descriptions import AgentDescription
from edge.model.json_value import JsonValue
from edge.settings import nearest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `agents` takes."""
    parser.add_argument("agent", metavar="ID", nargs="?", help="one agent only, with all its descriptions")
    parser.add_argument("--connected", action="store_true", help="include the agents of connected platforms")
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """List the agents."""
    query = (("includeConnected", "true" if arguments.connected or arguments.agent else "false"),)

    async def work(platform: Platform, output: Output) -> None:
        if output.is_json:
            documents = await platform.get("/agents", list[dict[str, JsonValue]], query)
            wanted = [each for each in documents if arguments.agent in (None, each.get("agentId"))]
            if arguments.agent is not None and not wanted:
                raise _unknown(arguments.agent, [text_of(each.get("agentId")) for each in documents])
            output.json(wanted if arguments.agent is None else wanted[0])
            return
        agents = await platform.get("/agents", list[AgentDescription], query)
        if arguments.agent is not None:
            _show_one(agents, arguments.agent, output)
        elif agents:
            output.table(("AGENT", "OFFERS", "DESCRIPTION"), [row for agent in agents for row in _rows(agent)])
        else:
            output.note("no agents")

    call_platform(arguments, work)


def _rows(agent: AgentDescription) -> list[tuple[str, str, str]]:
    """Return the table rows of an agent; its name stands in the first only."""
    offers = [(signature(action), text_of(action.description)) for action in agent.actions]
    offers += [(f"stream {stream.name} ({stream.mode})", text_of(stream.description)) for stream in agent.streams]
    offers = offers or [("", text_of(agent.description))]
    names = [agent.agent_id] + [""] * (len(offers) - 1)
    return [(name, offer, _first_line(text)) for name, (offer, text) in zip(names, offers, strict=True)]


def _show_one(agents: list[AgentDescription], agent_id: str, output: Output) -> None:
    agent = next((agent for agent in agents if agent.agent_id == agent_id), None)
    if agent is None:
        raise _unknown(agent_id, [agent.agent_id for agent in agents])
    output.pairs([("agent", agent.agent_id), ("type", text_of(agent.agent_type)), ("is", text_of(agent.description))])
    offers = [(signature(action), text_of(action.description)) for action in agent.actions]
    offers += [(f"stream {stream.name} ({stream.mode})", text_of(stream.description)) for stream in agent.streams]
    for offer, description in offers:
        print()
        output.line(offer)
        for line in description.splitlines():
            output.line(f"    {line}")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _unknown(agent_id: str, known: list[str]) -> Failed:
    return Failed(f"there is no agent {agent_id!r}{nearest(agent_id, known)}; opaca-edge agents lists them")
