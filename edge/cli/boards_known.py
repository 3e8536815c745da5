"""The boards of a platform as the verbs about them see them: users that may attach, and what they attached."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass

from edge.cli.containers_known import statuses
from edge.cli.failures import ExitCode, Failed
from edge.cli.platform import Platform
from edge.cli.users_known import known_users
from edge.errors import RemoteError
from edge.launcher.base import ContainerStatus
from edge.model.descriptions import AgentContainer
from edge.model.json_value import JsonValue
from edge.model.users import RoleName, UserView
from edge.settings import nearest

PREFIX = "board-"
ATTACH = "attach"
# Of a board that has a token and was never seen.
WAITING = "waiting"
# What is a board's name on a broker and in the network as well.
_NAME = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board.

    Attributes:
        name: As people call it.
        user: As whom it attaches; empty if it needs no token.
        status: How it is doing; None if it was never seen.
        description: What it offers; None if it was never seen.
    """

    name: str
    user: str = ""
    status: ContainerStatus | None = None
    description: AgentContainer | None = None

    @property
    def state(self) -> str:
        """How it is doing, in a word."""
        return WAITING if self.status is None else self.status.state.value

    @property
    def address(self) -> str:
        """Where the platform calls it; empty if it was never seen or is never called."""
        found = None if self.description is None else self.description.connectivity
        return "" if found is None else f"{found.public_url}:{found.api_port_mapping}"

    @property
    def agents(self) -> list[str]:
        """The IDs of its agents."""
        return [] if self.description is None else [agent.agent_id for agent in self.description.agents]

    def as_json(self) -> dict[str, JsonValue]:
        """Return it for scripts."""
        status = self.status
        return {
            "name": self.name,
            "user": self.user or None,
            "state": self.state,
            "since": None if status is None else status.since,
            "reason": "" if status is None else status.reason,
            "container": None if status is None else status.id,
            "key": None if status is None else status.name,
            "address": self.address or None,
            "agents": [*self.agents],
        }


def name_argument(parser: argparse.ArgumentParser, *, is_many: bool = False) -> None:
    """Declare the name of a board."""
    if is_many:
        parser.add_argument("names", metavar="NAME", nargs="+", help="of a board")
    else:
        parser.add_argument("name", metavar="NAME", help="of the board: 1 to 64 of a-z, 0-9 and -")


def user_of(name: str) -> str:
    """Return as whom a board of this name attaches.

    Raises:
        Failed: it is no name for a board.
    """
    if not _NAME.fullmatch(name):
        raise Failed(f"{name!r} is no name for a board: expected 1 to 64 of a-z, 0-9 and -", ExitCode.USAGE)
    return PREFIX + name


async def known_boards(platform: Platform) -> list[Board]:
    """Return the boards: those that have a user, and where nobody needs one whatever is attached."""
    users = [user.username for user in await known_users(platform) if is_board(user)]
    attached = [each for each in await statuses(platform) if each.launcher == "attached"]
    described = {each.container_id: each for each in await platform.get("/containers", list[AgentContainer])}
    boards = []
    for user in users:
        status = next((each for each in attached if each.attached_by == user), None)
        description = None if status is None else described.get(status.id)
        boards.append(Board(name=user.removeprefix(PREFIX), user=user, status=status, description=description))
    if not await requires_auth(platform):
        others = [(each, described.get(each.id)) for each in attached if each.attached_by not in users]
        boards += [Board(name=_own_name(each, about), status=each, description=about) for each, about in others]
    return boards


def _own_name(status: ContainerStatus, description: AgentContainer | None) -> str:
    """Return what a board calls itself; a stub of ours says its name beside that of its program."""
    return status.image if description is None else description.image.name or status.image


def is_board(user: UserView) -> bool:
    """Tell whether a user may attach itself and nothing else."""
    return user.role is RoleName.USER and ATTACH in user.privileges


async def requires_auth(platform: Platform) -> bool:
    """Tell whether a platform wants to know who is calling."""
    try:
        settings = await platform.get("/config", dict[str, JsonValue])
    except RemoteError as error:
        if error.cause is not None and error.cause.status == 401:
            return True
        raise
    return settings.get("requireAuth") is True


def named(name: str, boards: list[Board]) -> Board:
    """Return the board of a name.

    Raises:
        Failed: there is none, or there are several.
    """
    fitting = [board for board in boards if board.name == name]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        ids = ", ".join(board.status.id for board in fitting if board.status is not None)
        raise Failed(f"{name} means {len(fitting)} boards; opaca-edge containers remove takes an ID: {ids}")
    hint = nearest(name, [board.name for board in boards])
    raise Failed(f"there is no board {name!r}{hint}; opaca-edge boards list shows them")
