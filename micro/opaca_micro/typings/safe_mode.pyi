from collections.abc import Callable

from opaca_micro.agent import Agent
from opaca_micro.boot import Boot

LASTS_S: int

def describe(boot: Boot, reset: Callable[[], None]) -> tuple[list[Agent], str]: ...
