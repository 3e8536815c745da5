from typing import Never

from microdot import Microdot
from opaca_micro.container import Container

class Rest:
    app: Microdot
    def __init__(
        self,
        container: Container,
        port: int = 80,
        host: str = "0.0.0.0",
        connections: int = 3,
        body_bytes: int = 4096,
    ) -> None: ...
    async def serve(self) -> Never: ...
