"""`invoke`: call an action with arguments typed by its own description."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.cli.failures import ExitCode, Failed
from edge.cli.output import Output
from edge.cli.platform import Platform, call_platform, client_arguments
from edge.cli.values import Assignment, best_fit, parse_assignment, signature
from edge.errors import BadInput, RemoteError
from edge.model.codec import decode
from edge.model.descriptions import Action, AgentDescription
from edge.model.json_value import JsonValue
from edge.settings import nearest
from edge.transport.base import CallOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `invoke` takes."""
    parser.add_argument("action", metavar="ACTION", help="name of the action")
    parser.add_argument("assignments", metavar="key=value", nargs="*", help="arguments; key:=value gives JSON as it is")
    parser.add_argument("--arguments", metavar="JSON", help="all arguments as a JSON object; @FILE or - reads them")
    parser.add_argument("--agent", metavar="ID", help="the agent to ask; else any that offers the action")
    parser.add_argument("--container", metavar="ID", help="the container to ask")
    parser.add_argument(
        "--timeout", metavar="S", type=int, default=-1, help="seconds that the action may take (-1: as the agent likes)"
    )
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Invoke the action and print its result."""
    try:
        assignments = [parse_assignment(word) for word in arguments.assignments]
    except ValueError as error:
        raise Failed(str(error), ExitCode.USAGE) from error
    if assignments and arguments.arguments is not None:
        raise Failed("give arguments as key=value or as --arguments, not both", ExitCode.USAGE)
    whole = None if arguments.arguments is None else read_object(arguments.arguments)

    async def invoke(platform: Platform, output: Output) -> None:
        options = CallOptions(container_id=arguments.container, timeout_s=arguments.timeout, forward=True)
        fitting = await _typed(platform, arguments, assignments) if whole is None else whole
        try:
            async with platform.patience(_patience_s(arguments.timeout)):
                result = await platform.transport.invoke(arguments.action, fitting, arguments.agent, options)
        except RemoteError as error:
            if whole is not None and error.cause is not None and error.cause.status == 404:
                # The platform only says that there is none; its list may hold what was meant.
                find_actions(await platform.agents(arguments.container), arguments.action, arguments.agent)
            raise
        output.value(result)

    call_platform(arguments, invoke)


def _patience_s(timeout_s: int) -> float:
    """Return how long to wait for a result: a little longer than the platform itself (contract, Decision 3)."""
    return timeout_s + 15.0 if timeout_s > 0 else 3_660.0


async def _typed(
    platform: Platform, arguments: argparse.Namespace, assignments: Sequence[Assignment]
) -> dict[str, JsonValue]:
    actions = find_actions(await platform.agents(arguments.container), arguments.action, arguments.agent)
    action, outcome = best_fit(actions, assignments)
    if outcome.problems:
        lines = [*outcome.problems, f"the action is {signature(action)}"]
        raise Failed("\n".join(lines), ExitCode.USAGE)
    return outcome.arguments


def find_actions(agents: Sequence[AgentDescription], name: str, agent_id: str | None) -> list[Action]:
    """Return the actions of a name, of one agent or of all.

    Raises:
        Failed: there is none; the nearest name is suggested.
    """
    if agent_id is not None:
        known = [agent.agent_id for agent in agents]
        agents = [agent for agent in agents if agent.agent_id == agent_id]
        if not agents:
            raise Failed(f"there is no agent {agent_id!r}{nearest(agent_id, known)}; opaca-edge agents lists them")
    actions = [action for agent in agents for action in agent.actions]
    found = [action for action in actions if action.name == name]
    if not found:
        whose = "no agent offers" if agent_id is None else f"agent {agent_id!r} does not offer"
        hint = nearest(name, {action.name for action in actions})
        raise Failed(f"{whose} an action {name!r}{hint}; opaca-edge agents lists what there is")
    return found


def read_object(text: str) -> dict[str, JsonValue]:
    """Return the JSON object of `--arguments`: the text itself, `@FILE`, or `-` for standard input."""
    if text == "-":
        body, source = sys.stdin.buffer.read(), "standard input"
    elif text.startswith("@"):
        source = text[1:]
        try:
            body = Path(source).read_bytes()
        except OSError as error:
            raise Failed(f"{source}: {error.strerror or error}", ExitCode.USAGE) from error
    else:
        body, source = text.encode(errors="surrogateescape"), "--arguments"
    try:
        return decode(body, dict[str, JsonValue])
    except BadInput as error:
        raise Failed(f"{source}: expected a JSON object; {error.message}", ExitCode.USAGE) from error
