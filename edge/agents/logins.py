"""Users who are logged in at a container: each gets a token, and the agents are told."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

from edge.agents.calls import Calls
from edge.errors import NotLoggedIn, Unsupported
from edge.model.requests import Login

if TYPE_CHECKING:
    from edge.agents.agent import Agent

# The oldest login ends when one more comes.
_MOST_LOGINS = 1000


class Logins:
    """The login tokens of one container; forgotten when it stops."""

    def __init__(self, container_name: str, calls: Calls) -> None:
        self._container_name = container_name
        self._calls = calls
        self._tokens: dict[str, None] = {}

    def check(self, token: str | None) -> str:
        """Return the token of a user who is logged in.

        Raises:
            NotLoggedIn: there is none, or it is not known.
        """
        if token is None or token not in self._tokens:
            raise NotLoggedIn(
                f"missing or unknown credentials: log in at container {self._container_name!r} first (401)"
            )
        return token

    async def login(self, agents: Iterable[Agent], login: Login) -> str:
        """Ask every agent that knows users and return a new token.

        Raises:
            Unsupported: no agent knows users.
            NotLoggedIn: an agent refuses the credentials.
            ActionFailed: an agent's method raised.
        """
        asked = [agent for agent in agents if agent.defines("handle_login")]
        if not asked:
            raise Unsupported(f"container {self._container_name!r} knows no users: none of its agents handles logins")
        token = str(uuid.uuid4())
        accepted: list[Agent] = []
        try:
            for agent in asked:
                await self._calls.hook(agent, "handle_login", login, token)
                accepted.append(agent)
        except BaseException:
            await self._tell_logout(accepted, token)
            raise
        if len(self._tokens) >= _MOST_LOGINS:
            await self.logout(asked, next(iter(self._tokens)))
        self._tokens[token] = None
        return token

    async def logout(self, agents: Iterable[Agent], token: str | None) -> bool:
        """Forget a token and tell the agents; False if it is not known."""
        if token is None or token not in self._tokens:
            return False
        del self._tokens[token]
        await self._tell_logout(agents, token)
        return True

    async def _tell_logout(self, agents: Iterable[Agent], token: str) -> None:
        for agent in agents:
            if agent.defines("handle_logout"):
                await self._calls.hook(agent, "handle_logout", token)
