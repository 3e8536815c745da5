"""Users of the platform who are logged in at containers (contract, section 7.7)."""

from __future__ import annotations

import logging

from edge.errors import NotFound, NotStored
from edge.model.requests import Login
from edge.runtime.call import Call
from edge.runtime.directory import Directory, LocalContainer
from edge.state.database import Database

log = logging.getLogger(__name__)


class Logins:
    """The login tokens that containers gave, by user and container; passed on verbatim in both directions.

    They are part of the user and survive a restart where the disk allows it.
    """

    def __init__(self, directory: Directory, database: Database) -> None:
        self._directory = directory
        self._database = database
        self._tokens: dict[tuple[str, str], str] = {}

    async def load(self) -> None:
        """Read what is stored."""
        rows = await self._database.read("SELECT user_name, container_id, token FROM logins")
        self._tokens = {(user, container_id): token for user, container_id, token in rows}

    def token(self, user: str, container_id: str) -> str | None:
        """Return a user's token at a container, None if not logged in there."""
        return self._tokens.get((user, container_id)) if self._tokens else None

    def of_user(self, user: str) -> dict[str, str]:
        """Return a user's tokens by container."""
        return {container_id: token for (name, container_id), token in self._tokens.items() if name == user}

    async def login(self, call: Call, container_id: str, login: Login) -> str:
        """Log the calling user in at a container and return the token as the container wrote it.

        Raises:
            NotFound: no such container.
            CalleeError: the container refused, or did not answer.
        """
        user = call.caller.name
        token = await self._container(container_id).transport.login(login, call.options())
        self._tokens[user, container_id] = token
        await self._write(
            "INSERT INTO logins (user_name, container_id, token) VALUES (?, ?, ?)"
            " ON CONFLICT (user_name, container_id) DO UPDATE SET token = excluded.token",
            (user, container_id, token),
        )
        return token

    async def logout(self, call: Call, container_id: str) -> bool:
        """Log the calling user out; False without asking the container if not logged in there.

        Raises:
            NotFound: no such container.
            CalleeError: the container failed; the token is forgotten all the same.
        """
        container = self._container(container_id)
        token = self._tokens.pop((call.caller.name, container_id), None)
        if token is None:
            return False
        await self._write(
            "DELETE FROM logins WHERE user_name = ? AND container_id = ?", (call.caller.name, container_id)
        )
        return await container.transport.logout(call.options(token))

    def forget(self, container_id: str) -> None:
        """Forget all tokens of a container that is gone; those on the disk go with the container's row."""
        for key in [key for key in self._tokens if key[1] == container_id]:
            del self._tokens[key]

    def user_gone(self, user: str) -> None:
        """Forget all tokens of a user that was removed; those on the disk went with it."""
        for key in [key for key in self._tokens if key[0] == user]:
            del self._tokens[key]

    def user_renamed(self, user: str, new_name: str) -> None:
        """Keep the tokens of a user under its new name, as on the disk."""
        for key in [key for key in self._tokens if key[0] == user]:
            self._tokens[new_name, key[1]] = self._tokens.pop(key)

    async def _write(self, statement: str, values: tuple[str, ...]) -> None:
        """A login holds without a disk too, until the platform stops."""
        try:
            await self._database.write((statement, values))
        except NotStored as error:
            log.warning("who is logged in at containers is not kept over a restart: %s", error.message)

    def _container(self, container_id: str) -> LocalContainer:
        container = self._directory.container(container_id)
        if container is None:
            raise NotFound(f"there is no container {container_id}")
        return container
