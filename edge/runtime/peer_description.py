"""What other platforms say of themselves: strictly read first, then as far as it can be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from edge.errors import BadAnswer, BadInput
from edge.model.codec import decode
from edge.model.definitions import Definitions
from edge.model.descriptions import AgentContainer, AgentContainerImage, RuntimePlatform
from edge.runtime.catalogue import Catalogue

DefinitionsOf = Callable[[str, AgentContainerImage], Definitions]


def read_description(url: str, body: bytes) -> tuple[RuntimePlatform, set[str]]:
    """Return a platform's `/info`, and the names of unknown properties that were dropped from it.

    Raises:
        BadAnswer: it cannot be used.
    """
    try:
        return decode(body, RuntimePlatform), set()
    except BadInput:
        pass
    unknown: set[str] = set()
    try:
        return decode(body, RuntimePlatform, unknown), unknown
    except BadInput as error:
        raise BadAnswer(f"{url}/info: {error.message}", error.cause) from error


class PeerDefinitions:
    """The defined types of a platform's containers; those of an image that is as it was are kept with their schemas."""

    def __init__(self, url: str, definitions_of: DefinitionsOf) -> None:
        self._url = url
        self._definitions_of = definitions_of
        self._kept: dict[str, tuple[AgentContainerImage, Definitions]] = {}

    def catalogue(self, containers: Iterable[AgentContainer]) -> Catalogue:
        """Return what all containers of the platform offer together."""
        before, self._kept = self._kept, {}
        return Catalogue(self._each(containers, before))

    def _each(
        self, containers: Iterable[AgentContainer], before: dict[str, tuple[AgentContainerImage, Definitions]]
    ) -> Iterator[tuple[AgentContainer, Definitions]]:
        for container in containers:
            known = before.get(container.container_id)
            if known is None or known[0] != container.image:
                image = container.image
                known = (image, self._definitions_of(f"{container.container_id} of {self._url}", image))
            self._kept[container.container_id] = known
            yield container, known[1]
