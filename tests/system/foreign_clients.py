"""`mosquitto_pub` and `mosquitto_sub`: MQTT clients that know nothing of the bridge."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.system.brokers import Mosquitto

_START_S = 20.0


def program(name: str) -> str:
    """Return a client's program; missing, it fails under CI and is a skip at home."""
    found = shutil.which(name)
    if found is None:
        complaint = f"{name} is not installed: run scripts/test, which installs it where it may"
        pytest.fail(complaint) if os.environ.get("CI") else pytest.skip(complaint)
    return found


def publish(broker: Mosquitto, topic: str, payload: str | bytes = b"", *, retain: bool = False) -> None:
    """Publish with QoS 1; an empty payload with `retain` removes what the broker keeps."""
    arguments = [program("mosquitto_pub"), "-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-t", topic]
    data = payload.encode() if isinstance(payload, str) else payload
    arguments.append("-s" if data else "-n")
    subprocess.run([*arguments, *(["-r"] if retain else [])], input=data, check=True, timeout=20)


class Subscriber:
    """What `mosquitto_sub` has printed: topic and payload, in order."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.heard: list[tuple[str, str]] = []
        self.is_ready = threading.Event()
        self._process = process
        self._reading = threading.Thread(target=self._read, name="mosquitto_sub")
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "received SUBACK" in line:
                self.is_ready.set()
            elif line.startswith("> "):
                topic, _, payload = line[2:].rstrip("\n").partition(" ")
                self.heard.append((topic, payload))

    def end(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._reading.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def subscribed(broker: Mosquitto, topic: str) -> Iterator[Subscriber]:
    """Subscribe; on entering, the broker has agreed."""
    arguments = ["-h", "127.0.0.1", "-p", str(broker.port), "-q", "1", "-t", topic, "-F", "> %t %p", "-d"]
    process = subprocess.Popen(
        ["stdbuf", "-oL", program("mosquitto_sub"), *arguments], stdout=subprocess.PIPE, text=True
    )
    subscriber = Subscriber(process)
    try:
        give_up_at = time.monotonic() + _START_S
        while not subscriber.is_ready.wait(0.1):
            assert time.monotonic() < give_up_at, "mosquitto_sub did not subscribe"
        yield subscriber
    finally:
        subscriber.end()
