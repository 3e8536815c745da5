from collections.abc import Awaitable, Callable
from typing import Any

from opaca_micro.agent import Agent

class Sampled:
    def __init__(self, name: str, interval_ms: int, measure: Callable[[], Awaitable[Any]]) -> None: ...
    async def read(self) -> Any: ...

def offered(
    agent: Agent,
    action: str,
    read: Callable[[], Any],
    text: str,
    quantity: str,
    channel: str | None = None,
    every_s: float = 60,
    result: str = "number",
) -> None: ...
def described(text: str, quantity: str, channel: str | None = None) -> str: ...
