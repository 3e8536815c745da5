from typing import Any

from opaca_micro.agent import Agent

def report(agent: Agent, channel: str, value: Any, config: str = "opaca.json", every_s: int = 3600) -> int: ...
