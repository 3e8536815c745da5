from collections.abc import Callable
from typing import Never

TIMEOUT_MS: int
FEED_S: float

class Watchdog:
    def __init__(self, is_wanted: bool = True) -> None: ...
    def feed(self) -> None: ...
    async def keep(self, is_serving: Callable[[], bool]) -> Never: ...
