from collections.abc import AsyncIterator, Iterator, Mapping

from microdot import Microdot
from opaca_micro.container import Container

class Pages:
    app: Microdot
    def __init__(self, container: Container) -> None: ...
    async def answer(
        self, method: str, path: str, query: str | None, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, str | None, bytes | Iterator[str] | AsyncIterator[bytes]]: ...
