"""A platform under what the service's unit takes from it, where no systemd runs: another user without any right to
become more, every file system read-only but its own folders, homes hidden but for what the unit shows of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edge.cli.service_install import plan_of
from edge.config import PlatformConfig
from tests.contract.running import REPOSITORY, Process

NOBODY = 65534
COUNTER = """
from edge.agents import Agent, Container, action

class Counter(Agent):
    @action
    async def Count(self, by: int) -> int:
        return by + 1

    @action
    async def Touch(self, path: str) -> str:
        try:
            open(path, "w").close()
        except OSError as error:
            return error.strerror
        return "written"

container = Container("counter", [Counter("counter")])
"""


def cannot() -> str | None:
    """Why this machine cannot do it."""
    if os.geteuid() != 0:
        return "only root may take a file system from a process"
    for program in ("unshare", "setpriv", "mount"):
        if shutil.which(program) is None:
            return f"{program} is missing"
    tried = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "mount", "-o", "remount,bind,ro", "/"], capture_output=True
    )
    return None if tried.returncode == 0 else "no mount namespaces here"


class Restricted(Process):
    """A platform in a mount namespace of its own."""

    def __init__(self, folder: Path, state: Path, runtime: Path, shown: Sequence[Path]) -> None:
        super().__init__(["run", "--port", "0"], folder, {"STATE_DIRECTORY": str(state), "HOME": str(state)})
        self.writable = (state, runtime)
        self.runtime = runtime
        self.shown = shown

    def start(self) -> None:
        lines = ["set -e", *(f'mount --bind "{path}" "{path}"' for path in self.writable)]
        for home in sorted({Path(*path.parts[:2]) for path in self.shown}):
            # As ProtectHome=tmpfs and BindReadOnlyPaths do.
            lines.append('kept=$(mktemp -d "$STATE_DIRECTORY.XXXX")')
            lines.append(f'mount --rbind "{home}" "$kept"')
            lines.append(f'mount -t tmpfs -o mode=755 tmpfs "{home}"')
            lines += [
                f'mkdir -p "{path}"; mount --bind "$kept/{path.relative_to(home)}" "{path}"'
                for path in self.shown
                if path.is_relative_to(home)
            ]
            lines.append(f'mount -o remount,ro "{home}"; umount -l "$kept"; rmdir "$kept"')
        lines.append("mount -o remount,bind,ro /")
        lines.append(f'cd "{self.runtime}"')
        lines.append(
            f"exec setpriv --no-new-privs --reuid {NOBODY} --regid {NOBODY} --clear-groups --bounding-set=-all"
            f' --inh-caps=-all "{sys.executable}" -m edge run --port 0'
        )
        self._output = self.log_file.open("wb")
        self._popen = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines)],
            env=self.environment, stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._output,
        )  # fmt: skip


@pytest.fixture
def service() -> Iterator[Restricted]:
    if reason := cannot():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="opaca-edge-service-"))
    try:
        folder.chmod(0o711)  # pytest's own folders are closed to others
        state, runtime = folder / "state", folder / "runtime"
        image = state / "images/counter"
        image.mkdir(parents=True)
        runtime.mkdir()
        (image / "image.json").write_text('{"imageName": "counter"}')
        (image / "start.toml").write_text('command = ["python", "-m", "edge", "agents", "run", "counter:container"]')
        (image / "counter.py").write_text(COUNTER)
        for path in (runtime, state, *state.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        config = PlatformConfig.from_environ({"STATE_DIR": str(state)})
        process = Restricted(folder, state, runtime, plan_of("nobody", config, None, None).readable)
        # For an installation that is no checkout, the unit needs none.
        process.environment["PYTHONPATH"] = str(REPOSITORY)
        with process:
            yield process
    finally:
        shutil.rmtree(folder)


@pytest.mark.timeout(60)
def test_a_platform_does_its_work_with_what_the_service_leaves_it(service: Restricted) -> None:
    status = Path(f"/proc/{service.pid}/status").read_text()
    assert f"Uid:\t{NOBODY}\t{NOBODY}\t{NOBODY}\t{NOBODY}" in status
    assert "NoNewPrivs:\t1" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "CapEff:\t0000000000000000" in status

    assert service.ask("POST", "/invoke/GetMemory", json_body={}).status == 200
    added = service.ask("POST", "/containers", json_body={"image": {"imageName": "counter"}}, timeout_s=25)
    assert added.status == 200, service.log
    assert service.ask("POST", "/invoke/Count", json_body={"by": 41}).json() == 42

    folder = service.folder
    for path in (folder / "x", REPOSITORY / "x", Path("/etc/x"), Path("/var/tmp/x")):
        answer = service.ask("POST", "/invoke/Touch", json_body={"path": str(path)}).json()
        assert answer in ("Read-only file system", "Permission denied"), path
    own = folder / "state/containers" / added.text / "data/x"
    assert service.ask("POST", "/invoke/Touch", json_body={"path": str(own)}).json() == "written"

    assert service.stop() == 0
    assert "ERROR" not in service.log
    assert (folder / "state/state.sqlite3").stat().st_uid == NOBODY
    assert list((folder / "runtime").iterdir()) == []
    assert sorted(path.name for path in folder.iterdir()) == ["log", "runtime", "state"]
