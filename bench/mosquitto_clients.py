"""A sender and a receiver of plain MQTT with ledgers as in `tests.system.couriers`.

Run as `python -m bench.mosquitto_clients (send | receive) PORT FOLDER`; the sender ends when there is a file `rest`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.system.couriers import Ledger
from tests.system.town import PER_SECOND

TOPIC = "home/news"
_CONFIRMED_S = 15.0


def send(tcp_port: int, folder: Path) -> None:
    """Publish numbered messages of QoS 1; what the broker confirms is accepted."""
    ledger = Ledger(folder / "sent-0")
    numbers: dict[int, int] = {}
    client = _client("sender")

    def confirmed(client: Client, data: object, mid: int, *_: Any) -> None:
        ledger.write(f"a {numbers.pop(mid)}")

    client.on_publish = confirmed
    client.connect_async("127.0.0.1", tcp_port)
    client.loop_start()
    number, due_s = 0, time.monotonic()
    while not (folder / "rest").exists():
        number += 1
        ledger.write(f"w {number} message news")
        if client.is_connected():
            with client._out_message_mutex:  # the confirmation may come before its number is known
                info = client.publish(TOPIC, f"0-{number} {'x' * 200}", qos=1)
                numbers[info.mid] = number
        else:
            ledger.write(f"r {number} not connected")
        due_s = max(due_s + 1 / PER_SECOND, time.monotonic() - 1.0)
        time.sleep(max(0.0, due_s - time.monotonic()))
    end_s = time.monotonic() + _CONFIRMED_S
    while numbers and time.monotonic() < end_s:
        time.sleep(0.05)
    client.loop_stop()


def receive(tcp_port: int, folder: Path) -> None:
    """Write down each message before it is acknowledged."""
    ledger = Ledger(folder / "seen-news")
    client = _client("receiver")

    def received(client: Client, data: object, message: MQTTMessage) -> None:
        ledger.write(message.payload.partition(b" ")[0].decode())
        client.ack(message.mid, message.qos)

    client.on_connect = lambda client, *_: client.subscribe(TOPIC, 1)
    client.on_message = received
    client.connect_async("127.0.0.1", tcp_port)
    client.loop_forever(retry_first_connection=True)


def _client(name: str) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=False, manual_ack=name == "receiver")
    client.reconnect_delay_set(0.2, 1.0)  # type: ignore[arg-type]
    return client


if __name__ == "__main__":
    {"send": send, "receive": receive}[sys.argv[1]](int(sys.argv[2]), Path(sys.argv[3]))
