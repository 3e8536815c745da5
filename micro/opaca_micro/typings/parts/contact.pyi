from collections.abc import Callable
from typing import Any

from opaca_micro.agent import Agent

LONGEST_S: int

class Contact:
    def __init__(self, pin: int, is_open_when_closed: bool = False) -> None: ...
    def is_open(self) -> bool: ...
    def offer(
        self, agent: Agent, name: str = "Door", channel: str | None = None, device_class: str = "door"
    ) -> None: ...
    async def watch(self, changed: Callable[[bool], Any]) -> None: ...
