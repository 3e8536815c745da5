from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from opaca_micro.agent import Agent

class Container:
    container_id: str
    owner: str
    api_port: int
    token: str
    agents: list[Agent]
    image_name: str
    name: str
    description: str
    version: str
    provides: Sequence[str]
    definitions: Mapping[str, Any]
    started_s: float
    on_change: Callable[[], None] | None
    def __init__(
        self,
        config: Any,
        agents: Iterable[Agent],
        image_name: str = "board",
        description: str = "",
        version: str = "1",
        provides: Sequence[str] = (),
        definitions: Mapping[str, Any] | None = None,
    ) -> None: ...
    def admits(self, headers: Mapping[str, str]) -> bool: ...
    async def answer(
        self, method: str, path: str, query: str | None, headers: Mapping[str, str], body: bytes | bytearray
    ) -> tuple[int, str | None, bytes | Iterator[str] | AsyncIterator[bytes]]: ...
