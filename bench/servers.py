"""The processes that are measured: started, watched from outside through /proc, stopped."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.machine import pin_to_core

ROOT = Path(__file__).resolve().parent.parent
SERVER_CORE, LOAD_CORE = 0, 1


@dataclass(frozen=True)
class Server:
    """A server under measurement.

    Attributes:
        name: For the table.
        tcp_port: Where it listens, on loopback.
        process: The process itself; its children do not count.
        start_s: From just before it was started until its first answer to GET /info, in seconds.
    """

    name: str
    tcp_port: int
    process: subprocess.Popen[bytes]
    start_s: float

    def memory_kib(self) -> tuple[int, int]:
        """Resident and proportional memory, in KiB."""
        found = {}
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            key, _, value = line.partition(":")
            found[key] = value
        return int(found["Rss"].split()[0]), int(found["Pss"].split()[0])

    def cpu_s(self) -> float:
        """Processor time that it has taken so far, in seconds; unlike a rate it hardly depends on what else runs."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


@contextmanager
def bare() -> Iterator[Server]:
    tcp_port = free_port()
    with running("bare aiohttp", [sys.executable, "-m", "bench.bare", str(tcp_port)], tcp_port) as server:
        yield server


@contextmanager
def platform(
    containers: int = 1, agents: int = 1, *, with_system: bool = False, images: Path | None = None
) -> Iterator[Server]:
    """A platform with `containers` bundled containers of `agents` agents each, its own `system` agent if wanted.

    Args:
        images: Folder of images for native containers.
    """
    tcp_port = free_port()
    with tempfile.TemporaryDirectory() as state:
        config = Path(state, "bench.toml")
        config.write_text(_configuration(containers, agents, with_system))
        command = [sys.executable, "-m", "edge", "run", "--config", str(config)]
        environment = {"PORT": str(tcp_port), "STATE_DIR": state, "LOG_LEVEL": "warning"}
        environment |= {} if images is None else {"IMAGE_DIRECTORY": str(images)}
        with running("platform", command, tcp_port, environment) as server:
            yield server


def _configuration(containers: int, agents: int, with_system: bool) -> str:
    sections = ['[[bundled]]\nname = "system"\nfactory = "edge.bundled.system:container"\n'] if with_system else []
    for number in range(containers):
        name, first = f"bench-{number}", number * agents
        sections.append(
            f'[[bundled]]\nname = "{name}"\nfactory = "bench.agents:container"\n'
            f'parameters = {{ name = "{name}", first = {first}, count = {agents} }}\n'
        )
    return "\n".join(sections)


@contextmanager
def running(
    name: str, command: list[str], tcp_port: int, environment: dict[str, str] | None = None
) -> Iterator[Server]:
    """A process that answers GET /info on a port, on the core of servers."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=kept | (environment or {}), stdout=subprocess.DEVNULL)
    try:
        pin_to_core(process.pid, SERVER_CORE)
        wait_for_info(process, tcp_port)
        yield Server(name, tcp_port, process, time.perf_counter() - started)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_info(process: subprocess.Popen[bytes], tcp_port: int, limit_s: float = 60) -> None:
    give_up_at = time.perf_counter() + limit_s
    while time.perf_counter() < give_up_at:
        if process.poll() is not None:
            raise SystemExit(f"{process.args!r} ended with {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", tcp_port), timeout=5) as asking:
                asking.sendall(b"GET /info HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                if asking.recv(100).startswith(b"HTTP/1.1 200"):
                    return
        except ConnectionRefusedError:
            pass
        time.sleep(0.002)
    raise SystemExit(f"no answer from {process.args!r} in {limit_s} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
