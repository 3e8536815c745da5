"""What the cloud's platform of `opaca-edge demo` offers: something to ask from home, and somebody who listens."""

from __future__ import annotations

from collections import deque

from edge.agents import Agent, Container, Message, action
from edge.model.json_value import JsonValue

# On which the virtual board broadcasts what it measures.
_CHANNEL = "climate-temperature"
_KEPT = 100


class Weather(Agent):
    """Knows the weather, as a service in the cloud would."""

    def __init__(self) -> None:
        super().__init__("weather")

    @action
    async def get_forecast(self, city: str) -> str:
        """Tell tomorrow's weather."""
        return f"{city}: rain in the morning, sunny later"


class Collector(Agent):
    """Notes the temperatures that boards broadcast, wherever they are."""

    def __init__(self) -> None:
        super().__init__("collector")
        self._heard: deque[JsonValue] = deque(maxlen=_KEPT)
        self.subscribe_channel(_CHANNEL)

    async def receive_message(self, message: Message) -> None:
        self._heard.append(message.payload)

    @action
    async def get_heard(self) -> list[JsonValue]:
        """Return the last temperatures, the newest at the end."""
        return list(self._heard)


container = Container("demo", [Weather(), Collector()])
