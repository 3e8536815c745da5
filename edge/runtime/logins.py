"""Users of the platform who are logged in at containers (contract, section 7.7)."""

from __future__ import annotations

from edge.errors import NotFound
from edge.model.requests import Login
from edge.runtime.call import Call
from edge.runtime.directory import Directory, LocalContainer


class Logins:
    """The login tokens that containers gave, by user and container; passed on verbatim in both directions."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._tokens: dict[tuple[str, str], str] = {}

    def token(self, user: str, container_id: str) -> str | None:
        """Return a user's token at a container, None if not logged in there."""
        return self._tokens.get((user, container_id)) if self._tokens else None

    async def login(self, call: Call, container_id: str, login: Login) -> str:
        """Log the calling user in at a container and return the token as the container wrote it.

        Raises:
            NotFound: no such container.
            CalleeError: the container refused, or did not answer.
        """
        token = await self._container(container_id).transport.login(login, call.options())
        self._tokens[call.caller.name, container_id] = token
        return token

    async def logout(self, call: Call, container_id: str) -> bool:
        """Log the calling user out; False without asking the container if not logged in there.

        Raises:
            NotFound: no such container.
            CalleeError: the container failed; the token is forgotten all the same.
        """
        container = self._container(container_id)
        token = self._tokens.pop((call.caller.name, container_id), None)
        return False if token is None else await container.transport.logout(call.options(token))

    def forget(self, container_id: str) -> None:
        """Forget all tokens of a container that is gone."""
        for key in [key for key in self._tokens if key[1] == container_id]:
            del self._tokens[key]

    def _container(self, container_id: str) -> LocalContainer:
        container = self._directory.container(container_id)
        if container is None:
            raise NotFound(f"there is no container {container_id}")
        return container
