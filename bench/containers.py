"""The measurements of native containers: calls forwarded to one, the start of one, what one costs the platform."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench import servers
from bench.measure import ECHO, alternate, median_of, ratio_of
from bench.servers import LOAD_CORE, ROOT, Server, free_port, running
from bench.table import Row

_STARTS = 9
_WISH = {"image": {"imageName": "echo"}}


def forwarded(full: bool) -> Iterator[Row]:
    """Invoke forwarded to a native process, against a bare reverse proxy in front of the same process."""
    with _images() as images, servers.platform(0, images=images) as ours:
        container_id = _start(ours)
        target = _ask(ours, "GET", f"/containers/{container_id}")["connectivity"]["apiPortMapping"]
        _keep_off_the_servers(ours, container_id)
        with _proxy(target) as bare:
            for connections in (1, 16):
                pairs = alternate((bare, ECHO), (ours, ECHO), connections, full)
                times = 1 / ratio_of(pairs, "per_second")
                yield Row(
                    what=f"invoke forwarded, {connections} connection{'s' if connections > 1 else ''}",
                    ours=median_of(pairs, 1, "per_second"),
                    bare=median_of(pairs, 0, "per_second"),
                    unit="/s",
                    ratio=1 / times,
                    budget="<= 1.3 x the time",
                    holds=times <= 1.3,
                )
                for what, key in (("p50", "p50_ms"), ("p99", "p99_ms"), ("processor time for a call", "cpu_us")):
                    yield Row(
                        what=f"   {what}",
                        ours=median_of(pairs, 1, key),
                        bare=median_of(pairs, 0, key),
                        unit=key[-2:],
                        ratio=ratio_of(pairs, key),
                    )


def container_start(full: bool) -> Iterator[Row]:
    """From the wish for a container to its ID, against the same program started by hand, to its first answer."""
    ours_s, bare_s = [], []
    with _images() as images, servers.platform(0, images=images) as ours:
        for _ in range(_STARTS):
            started = time.perf_counter()
            container_id = _start(ours)
            ours_s.append(time.perf_counter() - started)
            _ask(ours, "DELETE", f"/containers/{container_id}")
            with _alone() as bare:
                bare_s.append(bare.start_s)
    yield Row(
        what=f"start of a container to ready, median of {_STARTS}",
        ours=median(ours_s),
        bare=median(bare_s),
        unit="s",
        ratio=median(ours_s) / median(bare_s),
    )


def container_cost(full: bool) -> Iterator[Row]:
    """What each native container adds to the platform's own memory and descriptors."""
    containers = 30 if full else 10
    with _images() as images, servers.platform(0, images=images) as ours:
        for _ in range(2):  # what the first one loads is there then
            _start(ours)
        time.sleep(2)
        rss, descriptors = ours.memory_kib()[0], ours.descriptors()
        for _ in range(containers):
            _start(ours)
        time.sleep(2)
        grown, more = ours.memory_kib()[0] - rss, ours.descriptors() - descriptors
    yield Row(what="a native container adds to the platform, RSS", ours=grown / containers, unit="KiB")
    yield Row(what="   descriptors", ours=more / containers, unit="more")


@contextmanager
def _images() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "echo")
        image.mkdir()
        (image / "image.json").write_text('{"imageName": "echo"}')
        (image / "start.toml").write_text(f"command = {json.dumps(_command())}\n")
        yield Path(folder)


def _command() -> list[str]:
    return ["python", str(ROOT / "bench/echo.py")]


@contextmanager
def _alone() -> Iterator[Server]:
    tcp_port = free_port()
    command = [sys.executable, *_command()[1:]]
    with running("echo", command, tcp_port, {"PORT": str(tcp_port)}) as server:
        yield server


@contextmanager
def _proxy(target_port: int) -> Iterator[Server]:
    tcp_port = free_port()
    command = [sys.executable, "-m", "bench.proxy", str(tcp_port), str(target_port)]
    with running("bare proxy", command, tcp_port) as server:
        yield server


def _start(platform: Server) -> str:
    started = _ask(platform, "POST", "/containers", _WISH)
    assert isinstance(started, str)
    return started


def _keep_off_the_servers(platform: Server, container_id: str) -> None:
    """Give the container the core of the load, so that platform and proxy alike have theirs to themselves."""
    cores = sorted(os.sched_getaffinity(0))
    pids = [each["pid"] for each in _ask(platform, "GET", "/edge/containers") if each["id"] == container_id]
    os.sched_setaffinity(pids[0], {cores[-1 - LOAD_CORE % len(cores)]})


def _ask(platform: Server, method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{platform.tcp_port}{path}",
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read().decode()
    return text if answer.headers.get_content_type() == "text/plain" else json.loads(text)


ALL = {each.__name__: each for each in (forwarded, container_start, container_cost)}
