"""What this platform and its containers provide, for requirements of images (contract, section 8.5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge.runtime.directory import Directory


class Provisions:
    """The platform's own provisions, then those of each container."""

    def __init__(self, directory: Directory, own: Sequence[str]) -> None:
        self._directory = directory
        self._own = tuple(own)

    def all(self) -> list[str]:
        """Return every provision once, in the contract's order."""
        return list(dict.fromkeys(self._each()))

    def _each(self) -> Iterator[str]:
        yield from self._own
        for container in self._directory.containers:
            image = container.description.image
            yield f"image:{image.image_name}"
            yield from image.provides
            for agent in container.description.agents:
                yield f"agent:{'null' if agent.agent_type is None else agent.agent_type}"
                for action in agent.actions:
                    yield f"action:{action.name}"
