"""The containers that are measured: as many agents as asked for, each with one action that answers with what it got."""

from __future__ import annotations

from typing import Any

from edge.agents import Agent, Container, action


class Echo(Agent):
    """Answers with its arguments."""

    @action
    async def echo(self, text: str, times: int) -> dict[str, Any]:
        return {"text": text, "times": times}


def container(name: str, first: int, count: int) -> Container:
    """A container `name` with the agents echo-<first>, echo-<first + 1>, ..."""
    return Container(name, [Echo(f"echo-{number}") for number in range(first, first + count)])
