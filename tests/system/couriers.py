"""Agents that send without pause and agents that receive, each with a ledger of its own that outlives any kill.

A line is on its way to the disk before what it announces is done, and each is one write at the end of a file: a kill
cuts a ledger off between two lines, never within one.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from edge.agents import Agent, Container, Message, action
from edge.errors import OpacaError, OutcomeUnknown

SENDERS = 8
_PADDING = "x" * 120
# Lane, and what is called: an agent for `send`, a channel for `broadcast`.
_ROUND = (
    *(("message", "send", f"taker-{number}") for number in range(4)),
    ("message", "broadcast", "news"),
    ("alarm", "broadcast", "alarms"),
    ("alarm", "send", "siren"),
    ("telemetry", "broadcast", "values"),
)
LANES = """
[bridge.lanes.alarm]
max_mb = 0.02
channels = ["alarms"]
agents = ["siren"]
[bridge.lanes.telemetry]
max_mb = 0.006
channels = ["values"]
"""


class Ledger:
    """A file of lines."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, line: str) -> None:
        """Add a line."""
        os.write(self._descriptor, f"{line}\n".encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


class Sender(Agent):
    """Sends numbered messages round the lanes, `per_second` of them, and writes down what became of each.

    `w NUMBER LANE TARGET` it is about to be sent; `a NUMBER` that was answered with success; `r NUMBER` it was refused;
    `d NUMBER` nobody knows.
    """

    def __init__(self, number: int, folder: Path, per_second: float) -> None:
        super().__init__(f"sender-{number}")
        self._path = folder / f"sent-{number}"
        self._number = number
        self._pause_s = 1 / per_second
        self._is_resting = False
        self._has_ended = asyncio.Event()
        self.start_task(self._send_all, "send")

    @action
    async def rest(self) -> int:
        """Stop sending; returns the number of the last message when what was under way is answered."""
        self._is_resting = True
        await self._has_ended.wait()
        return self._last

    async def _send_all(self) -> None:
        while not (self._path.parent / "go").exists():  # before that there is nobody to send to
            await asyncio.sleep(0.05)
        numbers = [int(line.split()[1]) for line in lines_of(self._path) if line.startswith("w")]
        self._last = max(numbers, default=0)
        ledger = Ledger(self._path)
        due_s = time.monotonic()
        try:
            while not self._is_resting:
                self._last += 1
                await self._send_one(ledger, self._last, *_ROUND[(self._last + self._number) % len(_ROUND)])
                due_s = max(due_s + self._pause_s, time.monotonic() - 1.0)
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        finally:
            ledger.close()
        self._has_ended.set()
        await asyncio.Event().wait()

    async def _send_one(self, ledger: Ledger, number: int, lane: str, kind: str, target: str) -> None:
        ledger.write(f"w {number} {lane} {target}")
        payload = {"id": f"{self._number}-{number}", "x": _PADDING}
        try:
            await (self.send(target, payload) if kind == "send" else self.broadcast(target, payload))
        except OutcomeUnknown as error:
            ledger.write(f"d {number} {error}")
        except OpacaError as error:
            ledger.write(f"r {number} {error}")
        else:
            ledger.write(f"a {number}")


class Taker(Agent):
    """Writes down the ID of each message, before it says that it has it."""

    def __init__(self, name: str, folder: Path, channels: tuple[str, ...] = ()) -> None:
        super().__init__(name)
        self._path = folder / f"seen-{name}"
        self._ledger: Ledger | None = None
        for channel in channels:
            self.subscribe_channel(channel)

    async def on_start(self) -> None:
        self._ledger = Ledger(self._path)

    async def on_stop(self) -> None:
        if self._ledger is not None:
            self._ledger.close()

    async def receive_message(self, message: Message) -> None:
        assert self._ledger is not None
        assert isinstance(message.payload, dict)
        self._ledger.write(str(message.payload["id"]))


def senders(folder: str, per_second: float) -> Container:
    """Return the container at home; `per_second` is of all of them together."""
    return Container("home", [Sender(number, Path(folder), per_second / SENDERS) for number in range(SENDERS)])


def takers(folder: str) -> Container:
    """Return the container in the cloud."""
    names = [target for _, kind, target in _ROUND if kind == "send"]
    channels = tuple(target for _, kind, target in _ROUND if kind == "broadcast")
    agents = [Taker(name, Path(folder)) for name in names]
    return Container("cloud", [*agents, Taker("listener", Path(folder), channels)])


def lines_of(path: Path) -> Iterator[str]:
    """Yield the lines of a ledger; a last one that was cut off is none."""
    if path.exists():
        yield from (line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n"))


class Sent:
    """What the senders wrote.

    Attributes:
        wished: The lane and the target of every message.
        accepted: Those that were answered with success.
        refused: Those that were refused, and why.
    """

    def __init__(self, folder: Path) -> None:
        self.wished: dict[str, tuple[str, str]] = {}
        self.accepted: set[str] = set()
        self.refused: dict[str, str] = {}
        for sender in range(SENDERS):
            for line in lines_of(folder / f"sent-{sender}"):
                kind, number, *more = line.rstrip("\n").split(" ", 2)
                name = f"{sender}-{number}"
                if kind == "w":
                    lane, target = more[0].split(" ")
                    self.wished[name] = lane, target
                elif kind == "a":
                    self.accepted.add(name)
                elif kind == "r":
                    self.refused[name] = more[0]

    def of(self, lane: str) -> set[str]:
        """Return the accepted ones of a lane."""
        return {name for name in self.accepted if self.wished[name][0] == lane}

    def doubtful(self, lane: str) -> set[str]:
        """Return those of a lane that were cut off by a kill, or whose outcome nobody knows."""
        known = self.accepted | self.refused.keys()
        return {name for name, (of, _) in self.wished.items() if of == lane and name not in known}


class Seen:
    """What the takers wrote.

    Attributes:
        times: How often each message was seen.
        order: What each target saw of each sender, first sightings only.
    """

    def __init__(self, folder: Path, sent: Sent) -> None:
        self.times: Counter[str] = Counter()
        self.order: dict[tuple[str, str], list[int]] = defaultdict(list)
        for path in sorted(folder.glob("seen-*")):
            for line in lines_of(path):
                name = line.strip()
                self.times[name] += 1
                if self.times[name] == 1:
                    sender, _, number = name.partition("-")
                    self.order[sender, sent.wished[name][1]].append(int(number))

    def of(self, lane: str, sent: Sent) -> set[str]:
        """Return those of a lane."""
        return {name for name in self.times if sent.wished[name][0] == lane}

    @property
    def repeated(self) -> int:
        """How many were seen again."""
        return self.times.total() - len(self.times)
