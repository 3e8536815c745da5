from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Never

from opaca_micro.container import Container

_Answer = tuple[int, str | None, bytes | Iterator[str] | AsyncIterator[bytes]]

class Rest:
    answer: Callable[[str, str, str | None, Mapping[str, str], bytes], Awaitable[_Answer]]
    def __init__(
        self,
        container: Container,
        port: int = 80,
        host: str = "0.0.0.0",
        connections: int = 3,
        body_bytes: int = 4096,
    ) -> None: ...
    async def serve(self) -> Never: ...
