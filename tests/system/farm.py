"""A platform that wants a login, and boards on its network: real servers that attach themselves as boards do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.signed import SECRET, token_for
from tests.system.joined import Answer, Caller, platform
from tests.unit.launcher.stand_ins import Board

AUTH = {"REQUIRE_AUTH": "true", "SECRET": SECRET, "PLATFORM_ADMIN_PWD": "admin-pw"}


@dataclass
class Farm:
    """The platform as its administrator and its boards see it.

    Attributes:
        tokens: What each board shows to the platform, by name.
    """

    platform: Caller
    requires_auth: bool = True
    tokens: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, path: str, json: Any = None, token: str | None = None, **more: Any) -> Answer:
        """Ask as somebody, as the administrator where no token is given."""
        token = token_for("admin") if token is None else token
        headers = {"Authorization": f"Bearer {token}"} if self.requires_auth else {}
        return await self.platform.ask(method, path, json, headers=headers, **more)

    async def enrol(self, *names: str) -> None:
        """Make the users of boards, and have each log in."""
        if not self.requires_auth:
            return
        for name in names:
            user = {"username": f"board-{name}", "password": "pw", "role": "USER", "privileges": ["attach"]}
            assert (await self.ask("POST", "/users", user)).status == 201
            login = await self.platform.ask("POST", "/login", {"username": f"board-{name}", "password": "pw"})
            self.tokens[name] = login.body.decode()

    async def attach(self, name: str, url: str, key: str | None = None, **config: Any) -> Answer:
        """Attach a board; its key is its name unless another is given."""
        config = {"type": "ATTACHED", "url": url, "key": name if key is None else key, **config}
        wish = {"image": {"imageName": "greenhouse"}, "clientConfig": config}
        return await self.ask("POST", "/containers", wish, self.tokens.get(name, ""))

    async def ids(self) -> list[str]:
        return [each["containerId"] for each in (await self.ask("GET", "/containers")).json]

    async def states(self) -> dict[str, str]:
        """Return how the containers are doing, by ID."""
        return {each["id"]: each["state"] for each in (await self.ask("GET", "/edge/containers")).json}

    async def blink(self, container_id: str) -> int:
        """Call a board; returns the status."""
        return (await self.ask("POST", f"/invoke/Blink?containerId={container_id}", {})).status

    def said(self, words: str) -> list[str]:
        """Return the lines of the platform's log that have these words."""
        return [line for line in self.platform.process.log.splitlines() if words in line]


@asynccontextmanager
async def farm(folder: Path, requires_auth: bool = True, **settings: str) -> AsyncIterator[Farm]:
    """Run the platform as a process."""
    async with platform(folder, **(AUTH if requires_auth else {}), **settings) as caller:
        yield Farm(caller, requires_auth)


@asynccontextmanager
async def boards(number: int) -> AsyncIterator[list[Board]]:
    """Run so many boards."""
    made = [Board() for _ in range(number)]
    try:
        for each in made:
            await each.up()
        yield made
    finally:
        for each in made:
            each.gate.set()
            each.call_gate.set()
        await asyncio.gather(*(each.down() for each in made))
