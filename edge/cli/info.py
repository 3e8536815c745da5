"""`info`: what a platform is and what runs on it."""

from __future__ import annotations

import argparse

from edge.cli.output import Output, counted, local_time
from edge.cli.platform import Platform, call_platform, client_arguments
from edge.model.descriptions import RuntimePlatform
from edge.model.json_value import JsonValue


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `info` takes."""
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Show the platform."""
    call_platform(arguments, show)


async def show(platform: Platform, output: Output) -> None:
    """Print the platform's description."""
    if output.is_json:
        output.json(await platform.get("/info", dict[str, JsonValue]))
        return
    info = await platform.get("/info", RuntimePlatform)
    agents = [agent for container in info.containers for agent in container.agents]
    actions = counted(sum(len(agent.actions) for agent in agents), "action")
    streams = counted(sum(len(agent.streams) for agent in agents), "stream")
    own = [provision.removeprefix("config:") for provision in info.provides if provision.startswith("config:")]
    output.pairs(
        [
            ("base URL", info.base_url),
            ("platform ID", info.platform_id),
            ("running since", local_time(info.running_since)),
            ("settings", " ".join(own)),
            (
                "offers",
                f"{counted(len(agents), 'agent')} with {actions} and {streams}",
            ),
            ("connected to", ", ".join(info.connections) or "no other platform"),
        ]
    )
    if info.containers:
        print()
        output.table(
            ("CONTAINER", "IMAGE", "AGENTS", "SINCE"),
            [
                (
                    container.container_id,
                    container.image.image_name,
                    ", ".join(agent.agent_id for agent in container.agents),
                    local_time(container.running_since),
                )
                for container in info.containers
            ],
        )
