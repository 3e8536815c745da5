"""Containers come and go: adding, updating, removing, describing anew (contract, section 8)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from edge.errors import NotFound, ParameterMismatch, Undecodable, Unsupported
from edge.launcher.base import Launched, Launcher
from edge.model.requests import PostAgentContainer
from edge.runtime.directory import Directory, LocalContainer
from edge.runtime.provisions import Provisions

log = logging.getLogger(__name__)

_OURS = ("NATIVE", "ATTACHED")
_THEIRS = ("DOCKER", "KUBERNETES")


class Deployment:
    """Puts into the directory what the launchers run, and carries out the wishes of callers."""

    def __init__(self, directory: Directory, provisions: Provisions) -> None:
        self._directory = directory
        self._provisions = provisions
        self._launchers: list[Launcher] = []

    def use(self, launcher: Launcher) -> None:
        """Add a launcher; containers are looked for in the order of adding."""
        self._launchers.append(launcher)

    def appeared(self, launched: Launched) -> None:
        """List a container, or show its new description in the old one's place."""
        container_id = launched.description.container_id
        if self._directory.container(container_id) is None:
            log.info("container %s (%s) runs", launched.description.image.image_name, container_id)
        self._directory.put(
            LocalContainer(launched.description, launched.transport, launched.definitions, launched.launcher)
        )

    def vanished(self, container_id: str) -> None:
        """Take a container off the list."""
        gone = self._directory.remove(container_id)
        if gone is not None:
            log.info("container %s (%s) is gone", gone.description.image.image_name, container_id)

    async def add(self, wish: PostAgentContainer) -> str:
        """Start a container and return its ID.

        Raises:
            ParameterMismatch: configuration or requirements that this platform does not meet.
            Undecodable: a `clientConfig` that no platform knows.
            NotFound: no such image.
            Unsupported: a launcher that this platform does not have.
        """
        self._check(wish)
        if wish.client_config is not None and wish.client_config["type"] == "ATTACHED":
            raise Unsupported("clientConfig.type ATTACHED: this platform cannot attach running containers")
        raise NotFound(f"there is no image {wish.image.image_name} here; GET /containers shows what runs")

    async def update(self, wish: PostAgentContainer) -> str:
        """Replace the one running container of the same image and return the new one's ID.

        Raises:
            ParameterMismatch: not exactly one runs, or it is one that cannot be updated. Others as `add`.
        """
        self._check(wish)
        name = plain_image_name(wish.image.image_name)
        running = [
            container
            for container in self._directory.containers
            if plain_image_name(container.description.image.image_name) == name
        ]
        if len(running) != 1:
            raise ParameterMismatch(f"{len(running)} containers of image {name} run, expected exactly one to update")
        if running[0].launcher in ("bundled", "attached"):
            raise ParameterMismatch(f"the container of image {name} is {running[0].launcher}: it cannot be updated")
        return await self.add(wish)

    async def remove(self, container_id: str) -> bool:
        """Stop a container; False if there is none of that ID."""
        if self._directory.remove(container_id) is None:
            return False
        for launcher in self._launchers:
            if await launcher.stop(container_id):
                break
        return True

    async def notify(self, container_id: str) -> bool:
        """Ask a container what it is now; False if it does not answer, which takes it off the list.

        Raises:
            NotFound: no such container.
        """
        if self._directory.container(container_id) is None:
            raise NotFound(f"there is no container {container_id}")
        launched = await self._described(self._launchers, container_id)
        if launched is None:
            await self.remove(container_id)
            return False
        self.appeared(launched)
        return True

    async def _described(self, launchers: Sequence[Launcher], container_id: str) -> Launched | None:
        for launcher in launchers:
            launched = await launcher.describe(container_id)
            if launched is not None:
                return launched
        return None

    def _check(self, wish: PostAgentContainer) -> None:
        kind = None if wish.client_config is None else wish.client_config.get("type")
        if wish.client_config is not None and kind not in _OURS + _THEIRS:
            raise Undecodable(f"clientConfig.type {kind!r}: expected {' or '.join(_OURS)}")
        if kind in _THEIRS:
            # Clients look for these words (contract, section 1.3).
            raise ParameterMismatch(
                f"clientConfig.type {kind} does not match the container environment of this platform, which is NATIVE"
            )
        provided = set(self._provisions.all())
        missing = [requirement for requirement in wish.image.requires if requirement not in provided]
        if missing:
            raise ParameterMismatch(f"the image requires what this platform does not provide: {', '.join(missing)}")


def plain_image_name(image_name: str) -> str:
    """Return an image's name without `:tag` and `@digest`."""
    name = image_name.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]
