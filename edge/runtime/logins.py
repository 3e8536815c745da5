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
        try:
            await self._database.write(
                (
                    "INSERT INTO logins (user_name, container_id, token) VALUES (?, ?, ?)"
                    " ON CONFLICT (user_name, container_id) DO UPDATE SET token = excluded.token",
                    (user, container_id, token),
                )
            )
        except NotStored as error:
            log.warning("that %s is logged in at %s is not kept over a restart: %s", user, container_id, error.message)
        return token

    async def logout(self, call: Call, container_id: str) -> bool:
        """Log the calling user out; False without asking the container if not logged in there.

        Raises:
            NotFound: no such container.
            CalleeError: the container failed; the token is forgotten all the same.
            NotStored: it is forgotten, but will be there again after a restart.
        """
        container = self._container(container_id)
        user = call.caller.name
        token = self._tokens.pop((user, container_id), None)
        if token is None:
            return False
        which = "FROM logins WHERE user_name = ? AND container_id = ?", (user, container_id)
        failure = ""
        try:
            await self._database.write((f"DELETE {which[0]}", which[1]))
        except NotStored as error:
            if await self._database.read(f"SELECT 1 {which[0]}", which[1]):  # what never was kept need not go
                failure = error.message
        was_logged_in = await container.transport.logout(call.options(token))
        if failure:
            raise NotStored(f"{user} is logged out, but only until the platform is started again: {failure}")
        return was_logged_in

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

    def _container(self, container_id: str) -> LocalContainer:
        container = self._directory.container(container_id)
        if container is None:
            raise NotFound(f"there is no container {container_id}")
        return container
