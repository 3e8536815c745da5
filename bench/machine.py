"""The machine that was measured on, and how to keep the measured and the measuring process apart."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

from edge import __version__


def facts() -> dict[str, str]:
    """What a figure depends on, for the head of the table."""
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB",
        "system": f"{_distribution()}, Linux {platform.release()}, {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": f"aiohttp {version('aiohttp')}, msgspec {version('msgspec')}, opaca-edge {__version__}",
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def pin_to_core(process_id: int, core: int) -> None:
    """Keep a process on one core, counted from the last one that we may use; does nothing where there is only one."""
    cores = sorted(os.sched_getaffinity(0) if process_id == 0 else os.sched_getaffinity(process_id))
    if len(cores) > 1:
        os.sched_setaffinity(process_id, {cores[-1 - core % len(cores)]})


def _processor() -> str:
    described = {"model name": "", "Model": ""}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() in described:
            described[key.strip()] = value.strip()
    return described["Model"] or described["model name"] or platform.processor()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return sys.platform
