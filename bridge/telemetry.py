"""Sensor values for plain MQTT consumers: the bare payload of some channels, beside what goes to the gateway."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.config import DeviceSettings
from bridge.mqtt.failures import LinkError
from bridge.remote import Remote
from bridge.station import Station
from bridge.tasks import Tasks

# What waits for a confirmation; more is passed over and counted: the broker keeps no queue for these.
_MAX_WAITING = 64


class Telemetry:
    """Publishes the payloads of the channels that are configured so.

    Attributes:
        passed_over: How many were not published, for want of a connection.
    """

    def __init__(self, device: DeviceSettings | None, tasks: Tasks) -> None:
        self.passed_over = 0
        self._device = device
        self._tasks = tasks
        self._station: Station | None = None
        self._waiting = 0

    def use(self, stations: Sequence[Station]) -> None:
        """Publish over the device's own station."""
        self._station = next((each for each in stations if not each.identity.is_gateway), None)

    def tell(self, remote: Remote, channel: str, payload: bytes) -> None:
        """Publish a payload if its channel is one of those; never waits."""
        device, station = self._device, self._station
        if device is None or station is None or remote.name != device.gateway or channel not in device.telemetry:
            return
        if self._waiting >= _MAX_WAITING:
            self.passed_over += 1
            return
        self._waiting += 1
        self._tasks.start(self._publish(station, remote.wires.telemetry(channel), payload), f"telemetry {channel}")

    async def _publish(self, station: Station, topic: str, payload: bytes) -> None:
        assert self._device is not None
        try:
            await station.link.deliver(topic, payload, retain=self._device.is_telemetry_retained)
        except LinkError:
            self.passed_over += 1
        finally:
            self._waiting -= 1
