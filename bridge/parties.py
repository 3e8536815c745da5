"""What the parties said of themselves, kept over a restart.

Without it a bridge that starts while its broker is away would know nobody, and refuse what it is there to keep.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from bridge.mqtt.topics import GATEWAYS, is_site
from bridge.remote import MAX_INFO_BYTES, Remote
from bridge.station import Station
from bridge.whole_file import write_whole

log = logging.getLogger(__name__)

_SUFFIX = ".json"
# Changes come in bursts; and one that changes all the time wears out no card.
_GATHERED_S = 1.0
_NOT_BEFORE_S = 60.0


class Parties:
    """One file for each party of a station; losing one costs nothing but knowing it before it is seen again."""

    def __init__(self, folder: Path, station: Station) -> None:
        """Args:
        folder: Where the files are; made when there is the first.
        station: Whose parties they are.
        """
        # A bridge may have one name in both of its roles.
        self._folder = (folder / GATEWAYS if station.identity.is_gateway else folder) / station.identity.name
        self._station = station
        self._written: dict[str, bytes] = {}
        self._written_s: dict[str, float] = {}
        self._changed = asyncio.Event()
        station.on_remote.append(self._watch)
        station.on_gone.append(lambda _: self._changed.set())

    async def restore(self) -> None:
        """Have the station know them; called before it has a link."""
        for name, info in await asyncio.to_thread(self._read):
            self._written[name] = info
            self._station.restore(name, info)

    async def run(self) -> None:
        """Write what changes, for as long as the bridge runs."""
        is_behind = False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_NOT_BEFORE_S if is_behind else None):
                    await self._changed.wait()
            await asyncio.sleep(_GATHERED_S)
            self._changed.clear()
            is_behind = await self._write_changes()

    async def _write_changes(self) -> bool:
        """Write what has changed; returns whether some of it has to wait, having been written just before."""
        known = {name: remote.info for name, remote in self._station.remotes.items() if remote.info is not None}
        is_behind, now_s = False, asyncio.get_running_loop().time()
        for name, info in known.items():
            if self._written.get(name) == info:
                continue
            if now_s - self._written_s.get(name, float("-inf")) < _NOT_BEFORE_S:
                is_behind = True
                continue
            self._written[name], self._written_s[name] = info, now_s
            await self._try(lambda name=name, info=info: self._write(name, info))  # type: ignore[misc]
        for name in self._written.keys() - known.keys():
            del self._written[name]
            self._written_s.pop(name, None)
            await self._try(lambda name=name: self._path(name).unlink(missing_ok=True))  # type: ignore[misc]
        return is_behind

    def _watch(self, remote: Remote) -> None:
        remote.on_change.append(self._changed.set)

    async def _try(self, write: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(write)
        except OSError as error:
            log.warning("what is known of the parties is not kept over a restart: %s", error)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"

    def _write(self, name: str, info: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(self._path(name), info)

    def _read(self) -> list[tuple[str, bytes]]:
        found: list[tuple[str, bytes]] = []
        try:
            for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
                if is_site(path.stem) and path.stat().st_size <= MAX_INFO_BYTES:
                    found += [(path.stem, path.read_bytes())]
        except OSError as error:
            log.warning("what is known of the parties cannot be read: %s", error)
        return found


def by_name(stations: list[Station]) -> Mapping[str, Remote]:
    """Return a view of the parties of all stations."""
    return _Parties(stations)


class _Parties(Mapping[str, Remote]):
    """The parties of several stations, by name."""

    def __init__(self, stations: list[Station]) -> None:
        self._stations = stations

    def __getitem__(self, name: str) -> Remote:
        for station in self._stations:
            if name in station.remotes:
                return station.remotes[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for station in self._stations for name in station.remotes)

    def __len__(self) -> int:
        return sum(len(station.remotes) for station in self._stations)
