"""As whom containers run, whose they are, and who may end them (contract, sections 7.5 and 7.6, Decision 21)."""

from __future__ import annotations

import logging

from edge.errors import NotAllowed, NotFound, NotStored
from edge.http.caller import Caller, Role
from edge.model.requests import PostAgentContainer
from edge.model.users import RoleName
from edge.runtime.passwords import LOCKED
from edge.runtime.session import Session, StoredContainer
from edge.runtime.tokens import CONTAINER_S, Tokens
from edge.runtime.users import User, Users

log = logging.getLogger(__name__)

# Containers of this launcher are started by the platform, which can hand them a token.
PROCESS = "process"


class Tenants:
    """The rules about containers and their users; without authentication nobody is refused and nobody owns."""

    def __init__(self, users: Users, tokens: Tokens, session: Session, administrator: str, requires_auth: bool) -> None:
        """Args:
        administrator: Name of the platform's administrator, to whom belongs what nobody asked for.
        """
        self._users = users
        self._tokens = tokens
        self._session = session
        self._administrator = administrator
        self._requires_auth = requires_auth
        # Who starts what nobody asked for (contract, Q18).
        self._platform = Caller(name=administrator, role=Role.CONTRIBUTOR, is_authenticated=True)

    def owner(self, caller: Caller | None) -> str:
        """Return whose a container is that a caller starts; None stands for the platform itself.

        What a board attaches belongs to whoever made the board's user.
        """
        if not self._requires_auth:
            return ""
        caller = caller or self._platform
        user = self._users.get(caller.name) if _is_board(caller) else None
        return caller.name if user is None else user.made_by or self._administrator

    def board(self, caller: Caller | None) -> str:
        """Return the name of the board's user who attaches a container; empty for everybody else."""
        return caller.name if self._requires_auth and caller is not None and _is_board(caller) else ""

    def turns(self, caller: Caller | None, identity: str | None) -> list[tuple[str, str]]:
        """Return by which names a wish must wait for its turn: the board's, which is one container, and its own.

        Args:
            identity: What tells the wish from others of its owner, None if nothing does.
        """
        board = self.board(caller)
        # A board's comes first for everybody who has both, so that no two wait for each other.
        return ([("board", board)] if board else []) + ([(self.owner(caller), identity)] if identity else [])

    def has_left(self, caller: Caller | None) -> bool:
        """Whether it is a board whose user was removed meanwhile."""
        board = self.board(caller)
        return bool(board) and self._users.get(board) is None

    def token(self, container_id: str, launcher: str) -> str:
        """Return a new token for a container; empty where it cannot be handed one or needs none."""
        if not self._requires_auth or launcher != PROCESS:
            return ""
        return self._tokens.issue(container_id, CONTAINER_S)

    async def move_in(self, stored: StoredContainer, caller: Caller | None) -> None:
        """Make the user that a stored container acts as, before it starts.

        Raises:
            Conflict, NotStored: as their names say.
        """
        if stored.launcher != PROCESS:
            return
        role, privileges = RoleName.USER, frozenset[str]()
        if self._requires_auth:
            role, privileges = RoleName((caller or self._platform).role.name), (caller or self._platform).privileges
        await self._users.add(
            User(
                name=stored.container_id,
                password=LOCKED,
                role=role,
                privileges=tuple(sorted(privileges)),
                kind="container",
                made_by=stored.owner,
                token=stored.token,
            )
        )

    async def move_out(self, container_id: str) -> None:
        """Remove the user of a container that is being stopped for good; without a disk it goes from memory only."""
        try:
            await self._users.remove(container_id)
        except NotStored:
            self._users.container_gone(container_id)

    async def settle(self) -> None:
        """Give users and tokens to containers that were stored while authentication was off."""
        if not self._requires_auth:
            return
        for stored in self._session.all():
            if stored.launcher != PROCESS or stored.token or stored.is_removed:
                continue
            token, owner = self.token(stored.container_id, stored.launcher), stored.owner or self._administrator
            try:
                await self._session.change(stored.container_id, token=token, owner=owner)
                await self._users.remove(stored.container_id)
                current = self._session.get(stored.container_id)
                if current is not None:
                    await self.move_in(current, None)
            except NotStored:
                return
            log.info("container %s has got a token; one that outlived the platform has it when it is started anew",
                     stored.container_id)  # fmt: skip

    def check_attaching(self, caller: Caller | None, wish: PostAgentContainer) -> None:
        """Refuse what a board may not start: anything but itself.

        Raises:
            NotAllowed: it may not.
        """
        board = self.board(caller)
        config = wish.client_config or {}
        if board and (config.get("type") != "ATTACHED" or not config.get("key")):
            raise NotAllowed(f"{board} may only attach itself, with its own key")

    def check_place(self, caller: Caller | None, existing_id: str | None) -> None:
        """Refuse a board that has another key than before, or the key of a container that is none of its own.

        Args:
            existing_id: The container whose place it would take; None if it would be a new one.
        Raises:
            NotAllowed: it may not.
        """
        board = self.board(caller)
        if not board:
            return
        for stored in self._session.all():
            if stored.is_removed:
                continue
            if stored.container_id == existing_id and stored.attached_by != board:
                raise NotAllowed(f"the key belongs to a container that {board} did not attach")
            if stored.attached_by == board and stored.container_id != existing_id:
                raise NotAllowed(f"{board} is attached with another key as container {stored.container_id}")

    def check_notifying(self, caller: Caller | None, container_id: str) -> None:
        """Refuse a board that speaks for another container.

        Raises:
            NotAllowed: it did not attach this one.
            NotFound: there is none of that ID.
        """
        board = self.board(caller)
        if not board:
            return
        stored = self._session.get(container_id)
        if stored is None:
            raise NotFound(f"there is no container {container_id}")
        if stored.attached_by != board:
            raise NotAllowed(f"{board} may only speak for what it attached")

    def check_removing(self, caller: Caller | None, container_id: str, owner: str) -> None:
        """Refuse who is neither administrator nor owner (contract, section 7.5), nor the board that attached it.

        Raises:
            NotAllowed: the container belongs to somebody else.
        """
        if not self._requires_auth or caller is None or caller.role >= Role.ADMIN:
            return
        board = self.board(caller)
        if board:
            stored = self._session.get(container_id)
            if stored is not None and stored.attached_by == board:
                return
        elif caller.name in (self._administrator, owner):
            return
        raise NotAllowed(f"container {container_id} belongs to somebody else")


def _is_board(caller: Caller) -> bool:
    """Whether a caller who got as far as managing containers did so as a board."""
    return caller.role < Role.CONTRIBUTOR
