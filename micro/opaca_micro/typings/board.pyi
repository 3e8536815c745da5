from collections.abc import Callable, Sequence
from typing import Never

from opaca_micro.agent import Agent
from opaca_micro.config import Config

RESTART_S: float
HOPELESS_S: int

_Agents = Agent | Sequence[Agent]

def run(
    *agents: _Agents | Callable[[], _Agents],
    config: str = "opaca.json",
    image_name: str = "",
    description: str = "",
    version: str = "1",
) -> Never: ...
def load(path: str) -> Config: ...
def reset(is_soft: bool = False) -> Never: ...
