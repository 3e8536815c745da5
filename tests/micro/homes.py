"""A home for boards: a real platform that asks who is calling, and boards as processes that attach themselves to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from tests.contract.ports import free_port
from tests.contract.running import until
from tests.contract.wire import Response
from tests.integration.signed import SECRET, token_for
from tests.micro.boards import ROOT, micropython
from tests.system.households import Household

AUTH = {"REQUIRE_AUTH": "true", "HOST": "127.0.0.1", "SECRET": SECRET, "PLATFORM_ADMIN_PWD": "admin-pw"}
INTERPRETERS = ("micropython", "cpython")

# What takes minutes on a board takes seconds here.
HASTE = """
from opaca_micro import announce, board, boot, network
from opaca_micro.agent import Agent

announce.Announcer.silence_ms = 1000
announce.Announcer.first_pause_s = announce.Announcer.last_pause_s = 0.2
announce.Announcer.refused_pause_s = 0.4
boot.Boot.good_after_s = 1
"""
CLIMATE = """
climate = Agent("climate", "Air of the greenhouse.")

@climate.action("GetTemperature", result="number", description="Air [unit=°C range=-40..80 class=temperature]")
def temperature():
    return 21.5
"""
PROGRAM = HASTE + CLIMATE + "\nboard.run(climate)\n"


class Home:
    """A platform with authentication, always at the same address.

    Args:
        settings: Environment variables besides those of every such platform.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        folder.mkdir(exist_ok=True)
        self.tcp_port = free_port()
        self.url = f"http://127.0.0.1:{self.tcp_port}"
        self.household = Household(folder, {**AUTH, "PORT": str(self.tcp_port), **settings})

    def start(self) -> None:
        self.household.start()

    def ask(self, user: str, method: str, path: str, body: Any = None) -> Response:
        headers = {"Authorization": f"Bearer {token_for(user)}"}
        return self.household.ask(method, path, headers=headers, json_body=body, timeout_s=20)

    def token(self, name: str = "board-1") -> str:
        """Log a board's user in, which ends the token that it had; makes the user if there is none."""
        body = {"username": name, "password": "board-pw", "role": "USER", "privileges": ["attach"]}
        assert self.ask("admin", "POST", "/users", body).status in (201, 409)
        answer = self.household.ask("POST", "/login", json_body={"username": name, "password": "board-pw"})
        assert answer.status == 200, answer.text
        return answer.text

    def containers(self) -> dict[str, dict[str, Any]]:
        """Return the attached containers by their ID."""
        listed: list[dict[str, Any]] = self.ask("admin", "GET", "/containers").json()
        return {each["containerId"]: each for each in listed}

    def temperature(self) -> Any:
        """Ask the board through the platform; None if it cannot be asked."""
        answer = self.ask("admin", "POST", "/invoke/GetTemperature", {})
        return answer.json() if answer.status == 200 else None


class VirtualBoard:
    """A board as a process in a folder of its own; the test is its power supply.

    Args:
        interpreter: One of INTERPRETERS.
        built: Folder of bytecode for MicroPython, with the stand-ins in `host` and in `firmware`.
        settings: Of `opaca.json`, besides what every board has.
    """

    def __init__(
        self,
        interpreter: str,
        built: Path,
        folder: Path,
        program: str,
        heap: str = "128k",
        stand_ins: str = "host",
        **settings: Any,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.tcp_port = free_port()
        self.settings: dict[str, Any] = {
            "name": "greenhouse-1",
            "port": self.tcp_port,
            "wifi": {"ssid": "home", "password": "sesame-street"},
            "ntp": "",
            **settings,
        }
        self.write("main.py", program)
        self.surround(unique_id="0011223344556677")
        self.set()
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        if interpreter == "micropython":
            self._command = [str(micropython()), "-X", f"heapsize={heap}", "main.py"]
            self._environment = environment | {"MICROPYPATH": f"{built}:{built / stand_ins}:.frozen"}
        else:
            self._command = [sys.executable, "-u", "main.py"]
            searched = f"{ROOT / 'micro'}:{ROOT / 'micro/host'}"
            self._environment = environment | {"PYTHONPATH": searched, "PYTHONDONTWRITEBYTECODE": "1"}
        self._popen: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None

    def write(self, name: str, text: str) -> None:
        """Put a file on the board at one stroke."""
        (self.folder / ".new").write_text(text)
        (self.folder / ".new").rename(self.folder / name)

    def set(self, **settings: Any) -> None:
        """Change settings; the board is not told."""
        self.settings.update(settings)
        self.write("opaca.json", json.dumps(self.settings))

    def surround(self, **host: Any) -> None:
        """Change what surrounds the board: Wi-Fi, address, reason of the reset."""
        before = self.folder / "host.json"
        known = json.loads(before.read_text()) if before.exists() else {}
        self.write("host.json", json.dumps(known | host))

    def start(self) -> None:
        """Switch it on."""
        self.stop()
        self._output = (self.folder / "log").open("wb")
        self._popen = subprocess.Popen(
            self._command,
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )

    def stop(self) -> None:
        """Pull its plug."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()
            self._popen = None
        if self._output is not None:
            self._output.close()
            self._output = None

    def ended(self, timeout_s: float = 20.0) -> int:
        """Wait until it resets itself, and return how."""
        assert self._popen is not None
        return self._popen.wait(timeout_s)

    @property
    def is_on(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace")

    def until_says(self, words: str, times: int = 1, timeout_s: float = 20.0) -> None:
        """Wait for words in its output."""
        self.until(lambda: self.log.count(words) >= times, f"it says {words!r} {times} times", timeout_s)

    def until(self, claim: Callable[[], object], what: str, timeout_s: float = 20.0) -> None:
        """Wait until something holds; fails with the board's output."""
        try:
            until(claim, what, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; it said:\n{self.log}") from None

    def attached_id(self, times: int = 1) -> str:
        """Wait until it has attached itself so many times since it was switched on, and return its container's ID."""
        self.until_says("attached to", times)
        lines = [line for line in self.log.splitlines() if line.startswith("attached to")]
        return lines[-1].rpartition(" ")[2]
