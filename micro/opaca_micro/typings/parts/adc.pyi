from opaca_micro.agent import Agent

class Analog:
    def __init__(self, pin: int, low: int = 0, high: int = 65535) -> None: ...
    def raw(self) -> int: ...
    def percent(self) -> float: ...
    def offer(
        self,
        agent: Agent,
        name: str,
        description: str = "",
        device_class: str = "",
        channel: str = "",
        every_s: float = 60,
    ) -> None: ...
