"""What the demo is made of while it runs: processes in one folder, of which nothing is left in the end."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from edge.cli.failures import Failed
from edge.config import environment

# Not what this shell says of other platforms; PATH leads to Mosquitto and MicroPython.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "PYTHONPATH")
_SHOWN_LINES = 12
_END_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A program of the demo.

    Attributes:
        name: For people: "the platform at home".
        log_file: What it writes.
        process: It.
    """

    name: str
    log_file: Path
    process: asyncio.subprocess.Process

    def log(self) -> str:
        """Return what it has written."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")


class Parts:
    """The programs of the demo; a context manager that ends all of them and removes their folder.

    That is the work of another process, so that it is done even if this one is killed.

    Attributes:
        folder: Where everything is.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="opaca-edge-demo-"))
        self._parts: list[Part] = []
        self._guard: asyncio.subprocess.Process | None = None
        self._watching = asyncio.TaskGroup()
        self._lost: asyncio.Queue[Failed] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        try:
            await self._watching.__aenter__()
            if os.geteuid() == 0:
                # Mosquitto becomes a user of its own, who must reach its files.
                self.folder.chmod(0o711)
            self._guard = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "edge.cli.demo_guard", str(self.folder),
                env=_environment({}), stdin=asyncio.subprocess.PIPE, process_group=0,
            )  # fmt: skip
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        guard = self._guard
        assert guard is not None
        assert guard.stdin is not None
        guard.stdin.close()
        async with asyncio.timeout(_END_S):
            await guard.wait()
            await self._watching.__aexit__(kind, error, trace)

    async def start(self, name: str, words: Sequence[str], **settings: str) -> Part:
        """Start a verb of the command.

        Args:
            name: For people.
            words: The verb and its arguments.
            settings: Variables of its environment.
        """
        assert self._guard is not None
        log_file = self.folder / f"{len(self._parts)}.log"
        with log_file.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "edge", *words,
                cwd=self.folder, env=_environment(settings),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, process_group=self._guard.pid,
            )  # fmt: skip
        part = Part(name=name, log_file=log_file, process=process)
        self._parts.append(part)
        self._watching.create_task(self._watch(part), name=name)
        return part

    async def lost(self) -> Failed:
        """Wait until one of the programs ends by itself; returns what to tell."""
        return await self._lost.get()

    async def _watch(self, part: Part) -> None:
        code = await part.process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        lines = part.log().splitlines()[-_SHOWN_LINES:] if part.log_file.exists() else []
        said = "".join(f"\n  {line}" for line in lines) or " nothing"
        self._lost.put_nowait(Failed(f"{part.name} has ended ({how}), and the demo with it; it said last:{said}"))


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    own = environment()
    return {name: own[name] for name in _PASSED_ON if name in own} | {"PYTHONUNBUFFERED": "1", **settings}
