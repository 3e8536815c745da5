"""The containers of a platform as the verbs see them, and which of them a word means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from edge.cli.failures import ExitCode, Failed
from edge.cli.platform import Platform
from edge.errors import RemoteError
from edge.launcher.base import ContainerState, ContainerStatus, OfferedImage
from edge.model.descriptions import AgentContainer
from edge.model.image_names import plain_image_name
from edge.settings import nearest

T = TypeVar("T")

_SHORTEST_ID = 8


async def statuses(platform: Platform) -> list[ContainerStatus]:
    """Return how every container is doing; of a platform that cannot tell, which ones run."""
    try:
        return await platform.get("/edge/containers", list[ContainerStatus])
    except RemoteError as error:
        if not _is_unknown_route(error):
            raise
    return [_of_opaca(each) for each in await platform.get("/containers", list[AgentContainer])]


async def offered_images(platform: Platform) -> list[OfferedImage]:
    """Return the images that a platform offers.

    Raises:
        Failed: it cannot tell.
    """
    try:
        return await platform.get("/edge/images", list[OfferedImage])
    except RemoteError as error:
        if _is_unknown_route(error):
            raise Failed(f"{platform.config.url} does not tell which images it has") from error
        raise


async def find(platform: Platform, words: Iterable[str]) -> list[ContainerStatus]:
    """Return the container that each word means: an ID or the beginning of one, a name, an image, an agent.

    Raises:
        Failed: a word means none, or several, which are listed.
    """
    known = await statuses(platform)
    described = {each.container_id: each for each in await platform.get("/containers", list[AgentContainer])}
    return [_meant(word, known, described) for word in words]


def short_ids(known: Sequence[ContainerStatus]) -> dict[str, str]:
    """Return for each ID a beginning of it that no other has."""
    ids = [each.id for each in known]
    length = _SHORTEST_ID
    while len({each[:length] for each in ids}) < len(set(ids)):
        length += 4
    return {each: each[:length] for each in ids}


def label(status: ContainerStatus) -> str:
    """Return what to call a container in a sentence."""
    return f"{status.name} ({status.id})"


def _meant(word: str, known: list[ContainerStatus], described: dict[str, AgentContainer]) -> ContainerStatus:
    agents = {
        each.id: [agent.agent_id for agent in described[each.id].agents] if each.id in described else []
        for each in known
    }
    # What fits better is not ambiguous because of what fits less.
    ways = (
        [each for each in known if each.id == word],
        [each for each in known if each.name == word or each.image == word],
        [each for each in known if plain_image_name(each.image) == plain_image_name(word)],
        [each for each in known if word in agents[each.id]],
        [each for each in known if word and each.id.startswith(word)],
    )
    for fitting in ways:
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise Failed(_several(word, fitting), ExitCode.USAGE)
    names = [name for each in known for name in (each.name, each.image, *agents[each.id])]
    raise Failed(f"there is no container {word!r}{nearest(word, names)}; opaca-edge containers lists them")


def _several(word: str, fitting: list[ContainerStatus]) -> str:
    lines = [f"  {each.id}  {each.name}, {each.state.value}" for each in fitting]
    return "\n".join([f"{word!r} means {len(fitting)} containers; name one by its ID:", *lines])


def _is_unknown_route(error: RemoteError) -> bool:
    return error.cause is not None and error.cause.status in (404, 405)


def _of_opaca(container: AgentContainer) -> ContainerStatus:
    port = None if container.connectivity is None else container.connectivity.api_port_mapping or None
    return ContainerStatus(
        id=container.container_id,
        name=container.image.name or container.image.image_name,
        image=container.image.image_name,
        launcher="",
        state=ContainerState.RUNNING,
        since=container.running_since,
        host_port=port,
    )
