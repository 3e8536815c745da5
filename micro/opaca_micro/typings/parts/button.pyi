from collections.abc import Callable
from typing import Any

from opaca_micro.agent import Agent

class Button:
    presses: int
    def __init__(self, pin: int) -> None: ...
    def is_pressed(self) -> bool: ...
    def count(self) -> int: ...
    def offer(
        self,
        agent: Agent,
        name: str = "Button",
        channel: str | None = None,
        on_press: Callable[[], Any] | None = None,
    ) -> None: ...
    async def watch(self, pressed: Callable[[], Any] | None = None) -> None: ...
