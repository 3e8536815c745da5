"""`tls show`: how long the certificates are valid, and for whom."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from edge.cli.authority import CA_CERT, SERVER_CERT
from edge.cli.output import Output
from edge.cli.tls_files import folder_argument, folder_of, read_names, read_validity
from edge.config import environment, is_colour_wanted
from edge.model.json_value import JsonValue


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `tls show` takes."""
    folder_argument(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")


def run(arguments: argparse.Namespace) -> None:
    """Show them."""
    output = Output(arguments.json, is_colour_wanted(environment()))
    folder = folder_of(arguments)
    now = datetime.now(UTC)
    rows: list[tuple[str, str, str, str, str]] = []
    shown: list[JsonValue] = []
    for path in (folder / CA_CERT, folder / SERVER_CERT):
        starts, ends = read_validity(path)
        state = "not yet valid" if now < starts else "valid" if now < ends else "expired"
        names = None if path.name == CA_CERT else read_names(path)
        whom = [] if names is None else [*names.hosts, *names.addresses]
        rows.append((path.name, state, f"{starts:%Y-%m-%d}", f"{ends:%Y-%m-%d}", ", ".join(whom) or "-"))
        shown.append(
            {"file": str(path), "state": state, "from": starts.isoformat(), "until": ends.isoformat(), "names": [*whom]}
        )
    if output.is_json:
        output.json(shown)
    else:
        output.table(("FILE", "STATE", "FROM", "UNTIL", "FOR"), rows)
