"""`version`: of OPACA Edge and of what it stands on."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of

from edge import __version__
from edge.cli.output import Output

_PARTS = ("aiohttp", "msgspec")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `version` takes."""
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")


def run(arguments: argparse.Namespace) -> None:
    """Show the versions."""
    versions = {"opaca-edge": __version__, "python": platform.python_version()} | {
        part: _version(part) for part in _PARTS
    }
    output = Output(arguments.json)
    if output.is_json:
        output.json(versions)
    else:
        parts = ", ".join(f"{name} {number}" for name, number in versions.items() if name != "opaca-edge")
        output.line(f"opaca-edge {__version__} ({parts})")


def _version(distribution: str) -> str:
    try:
        return version_of(distribution)
    except PackageNotFoundError:
        return "missing"
