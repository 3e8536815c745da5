"""What `backup` and `restore` have in common: which state it is about, and a bar that shows how far it has come."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from edge.cli.service_unit import STATE_DIR
from edge.config import PlatformConfig, environment


def keeping_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what both take."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the archive (.tar.gz)")
    parser.add_argument("--config", metavar="FILE", type=Path, help="configuration file of the platform, as for run")
    parser.add_argument(
        "--state-dir", metavar="FOLDER", help=f"the platform's state (STATE_DIR; else the service's, {STATE_DIR})"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")


def load_config(arguments: argparse.Namespace) -> PlatformConfig:
    """Read the settings of the platform that this is about: for root the service's, unless another is named."""
    environ = dict(environment())
    if os.geteuid() == 0 or os.access(STATE_DIR, os.R_OK | os.X_OK):
        environ.setdefault("STATE_DIRECTORY", str(STATE_DIR))
    return PlatformConfig.load({"STATE_DIR": arguments.state_dir}, environ, config_file=arguments.config)


class Bar:
    """Shows bytes and the time that is left, where somebody reads along; else nothing.

    Args:
        what: What is being done.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._is_shown = sys.stderr.isatty()
        self._began_s = time.monotonic()
        self._drawn_s = 0.0

    def show(self, done_bytes: int, total_bytes: int) -> None:
        """Draw it anew, at most ten times a second."""
        now_s = time.monotonic()
        if self._is_shown and (now_s - self._drawn_s > 0.1 or done_bytes >= total_bytes):
            self._drawn_s = now_s
            line = progress_line(self._what, done_bytes, total_bytes, now_s - self._began_s)
            print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._is_shown and self._drawn_s:
            print(file=sys.stderr, flush=True)


def progress_line(what: str, done_bytes: int, total_bytes: int, elapsed_s: float) -> str:
    """Return how far it has come as one line."""
    part = min(1.0, done_bytes / total_bytes) if total_bytes else 1.0
    filled = round(part * 20)
    left_s = elapsed_s / part - elapsed_s if part else 0.0
    left = f", {left_s:.0f} s left" if 0 < part < 1 else ""
    bar = "#" * filled + "-" * (20 - filled)
    return f"{what} [{bar}] {part:4.0%}  {mib(done_bytes)} of {mib(total_bytes)}{left}"


def mib(size_bytes: int) -> str:
    """Return a size in MiB."""
    return f"{size_bytes / 1024 / 1024:.1f} MiB"
