"""`connections`: the platforms that a platform is connected to, and how they are doing."""

from __future__ import annotations

import argparse

from edge.cli.containers_figures import age_s, duration_text
from edge.cli.output import Output, local_time
from edge.cli.platform import Platform, call_platform, client_arguments
from edge.errors import RemoteError
from edge.runtime.peer_status import ConnectionStatus, PeerState

HEADER = ("URL", "STATE", "FOR", "CONTAINERS", "AGENTS", "TOKEN", "REASON")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `connections` takes."""
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """List the connections."""

    async def work(platform: Platform, output: Output) -> None:
        try:
            known = await platform.get("/edge/connections", list[ConnectionStatus])
        except RemoteError as error:
            if error.cause is None or error.cause.status not in (404, 405):
                raise
            await _list_urls(platform, output)
            return
        if output.is_json:
            import msgspec

            output.json(msgspec.to_builtins(known))
        elif known:
            output.table(HEADER, [_row(each) for each in known])
        else:
            _say_none(output)

    call_platform(arguments, work)


async def _list_urls(platform: Platform, output: Output) -> None:
    """List what a platform tells that is none of ours."""
    urls = await platform.get("/connections", list[str])
    if output.is_json:
        output.json([*urls])
    elif urls:
        output.table(("URL",), [(url,) for url in urls])
    else:
        _say_none(output)


def _say_none(output: Output) -> None:
    output.note("no connections; opaca-edge connections add URL makes one")


def _row(status: ConnectionStatus) -> tuple[str, ...]:
    return (
        status.url,
        status.state.value,
        duration_text(age_s(status.since)),
        str(status.containers),
        str(status.agents),
        _token_text(status),
        "" if status.state is PeerState.CONNECTED else status.reason.partition("\n")[0],
    )


def _token_text(status: ConnectionStatus) -> str:
    if not status.has_token:
        return "none"
    return "kept" if status.token_until is None else f"until {local_time(status.token_until)}"
