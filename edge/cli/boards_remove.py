"""`boards remove`: the end of a board's user, its token and its container."""

from __future__ import annotations

import argparse
from urllib.parse import quote

from edge.cli.boards_known import Board, known_boards, name_argument, named
from edge.cli.containers_known import statuses
from edge.cli.output import Output
from edge.cli.platform import ANSWER_S, Platform, call_platform, client_arguments
from edge.cli.users_known import user_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `boards remove` takes."""
    name_argument(parser, is_many=True)
    client_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Remove them one after the other; nothing happens unless each name means exactly one."""

    async def remove(platform: Platform, output: Output) -> None:
        boards = await known_boards(platform)
        chosen = [named(name, boards) for name in dict.fromkeys(arguments.names)]
        for board in chosen:
            said = await _remove(platform, board)
            if not output.is_json:
                output.line(f"{board.name} is removed: {said}")
        if output.is_json:
            output.json({"removed": [board.name for board in chosen]})

    call_platform(arguments, remove)


async def _remove(platform: Platform, board: Board) -> str:
    """Take first its token and then its container, so that it cannot come back in between."""
    said = []
    if board.user:
        await _delete(platform, user_path(board.user))
        said.append("its user and token")
        ids = [each.id for each in await statuses(platform) if each.attached_by == board.user]
    else:
        ids = [] if board.status is None else [board.status.id]
    for container_id in ids:
        await _delete(platform, f"/containers/{quote(container_id, safe='')}")
        said.append(f"container {container_id}")
    return ", ".join(said)


async def _delete(platform: Platform, path: str) -> None:
    async with platform.patience(ANSWER_S):
        await platform.transport.request("DELETE", path)
