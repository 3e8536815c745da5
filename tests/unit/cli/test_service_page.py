"""docs/service.md, followed line by line on a machine whose systemd only writes down how it is called."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.cli import keeping, restore, service_renewal
from edge.cli.main import main
from edge.cli.service_renewal import SERVICE, TIMER
from edge.cli.tls_renew import DUE
from edge.state.archive import DATABASE
from edge.state.database import Database
from tests.contract.running import REPOSITORY
from tests.unit.cli.test_service import called, machine, values

__all__ = ["machine"]

PAGE = (REPOSITORY / "docs/service.md").read_text("utf-8")
_BLOCK = re.compile(
    r"(?:^`(?P<file>[^`\n]+)`:\n\n)?^ *```(?P<language>\w+)\n(?P<text>.*?)^ *```", re.DOTALL | re.MULTILINE
)
# What fetches from the network, or belongs to the machine.
_NOT_HERE = ("apt-get", "python3 -m venv", "pip install", "ln -s", "systemctl")


@pytest.fixture
def reader(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    yield Reader(machine, monkeypatch)


class Reader:
    """Somebody at a shell of root; what the page says of /etc, /var/lib and /media is below a folder of the test.

    Attributes:
        state: The service's state.
    """

    def __init__(self, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._machine = machine
        self.state = machine / "state"
        self.config = machine / "opaca-edge.toml"
        for module in (keeping, restore):
            monkeypatch.setattr(module, "STATE_DIR", self.state)
        monkeypatch.setattr(service_renewal.os, "chown", lambda *_, **__: None)
        monkeypatch.setattr(os, "chown", lambda *_, **__: None)
        (machine / "media").mkdir()

    def meant(self, text: str) -> str:
        for said, ours in (
            ("/etc/opaca-edge/credentials", f"{self._machine}/credentials"),
            ("/etc/opaca-edge.toml", str(self.config)),
            ("/etc/opaca-edge/tls", f"{self._machine}/tls"),
            ("/media/usb", f"{self._machine}/media"),
        ):
            text = text.replace(said, ours)
        return text

    def type(self, line: str) -> None:
        """Type a line of a shell block."""
        words = shlex.split(self.meant(line.removeprefix("sudo ")), comments=True)
        if words[:1] != ["opaca-edge"]:
            command = self.meant(line).replace("sudo ", "")
            subprocess.run(["bash", "-e", "-c", command], check=True, cwd=self._machine)
            return
        words = words[1:]
        if words[:2] == ["service", "install"]:
            # A user that every machine has, in place of one that would be made.
            words += ["--user", "daemon"]
            words += ["--config", str(self.config)] if self.config.exists() else []
        assert main(words) == 0, line


async def make_state(folder: Path) -> None:
    folder.mkdir()
    async with Database(folder):
        pass


def test_the_page_does_what_it_says(reader: Reader, machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(make_state(reader.state))
    typed: list[str] = []
    for found in _BLOCK.finditer(PAGE):
        if found["file"]:
            Path(reader.meant(found["file"])).write_text(reader.meant(found["text"]))
        if found["language"] != "sh":
            continue
        for line in found["text"].splitlines():
            line = line.strip()
            if any(f"{what}" in line for what in _NOT_HERE):
                continue
            if " restore " in line:
                # A new SD card.
                (reader.state / DATABASE).unlink()
                for file in reader.state.iterdir():
                    file.unlink()
                reader.state.rmdir()
            reader.type(line)
            typed.append(line)
    assert len(typed) > 9
    units = machine / "units"
    text = (units / "opaca-edge.service").read_text()
    assert values(text, "LoadCredential") == [f"PLATFORM_ADMIN_PWD:{machine}/credentials/PLATFORM_ADMIN_PWD"]
    assert (machine / "credentials/PLATFORM_ADMIN_PWD").read_text() == "a long password"
    assert (machine / "credentials/PLATFORM_ADMIN_PWD").stat().st_mode & 0o777 == 0o600
    assert {file.name for file in units.iterdir()} == {"opaca-edge.service", SERVICE, TIMER}
    assert "TLS_CERT" not in text, "it stands in the configuration file"
    assert oct((machine / "media/pi.tar.gz").stat().st_mode & 0o777) == "0o600"
    assert (reader.state / DATABASE).exists()
    assert "journalctl --unit=opaca-edge.service --lines=100 --no-pager --follow" in called(machine)
    assert "disable --now opaca-edge.service" in "\n".join(called(machine))
    assert f"renews](tls.md) the certificate {DUE.days} days" in PAGE
    capsys.readouterr()
