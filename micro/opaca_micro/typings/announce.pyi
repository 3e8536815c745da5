from collections.abc import Callable
from typing import Any

from opaca_micro.config import Config
from opaca_micro.container import Container
from opaca_micro.network import Network

class Announcer:
    silence_ms: int
    first_pause_s: float
    last_pause_s: float
    refused_pause_s: float
    doubt_ms: int
    container: Container
    is_attached: bool
    def __init__(
        self, config: Config, container: Container, network: Network, reload: Callable[[], Config] | None = None
    ) -> None: ...
    def heard(self) -> None: ...
    def changed(self) -> None: ...
    def moved(self) -> None: ...
    async def keep(self) -> None: ...
    async def broadcast(self, channel: str, payload: Any) -> bool: ...
    async def attach(self) -> tuple[bool, bool]: ...
