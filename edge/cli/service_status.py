"""`service status`: how the service is doing."""

from __future__ import annotations

import argparse

from edge.cli.failures import Failed
from edge.cli.output import Output
from edge.cli.service_system import properties
from edge.config import environment, is_colour_wanted
from edge.model.json_value import JsonValue

# Property of systemd -> what it is called here.
_SHOWN = {
    "ActiveState": "state",
    "SubState": "detail",
    "StatusText": "says",
    "ActiveEnterTimestamp": "since",
    "Result": "last end",
    "NRestarts": "restarts",
    "MainPID": "process",
    "User": "user",
    "MemoryCurrent": "memory",
    "UnitFileState": "at boot",
    "KillMode": "kill mode",
}
_UNSET = ("", "[not set]", "18446744073709551615")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `service status` takes."""
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")


def run(arguments: argparse.Namespace) -> None:
    """Show what systemd knows of the service; `Failed` unless it runs."""
    output = Output(arguments.json, is_colour_wanted(environment()))
    found = properties(tuple(_SHOWN))
    values = {name: "-" if found.get(key, "") in _UNSET else found[key] for key, name in _SHOWN.items()}
    if values["memory"].isdigit():
        values["memory"] = f"{int(values['memory']) / 1024 / 1024:.1f} MiB, with its containers"
    if output.is_json:
        shown: JsonValue = {name.replace(" ", "_"): value for name, value in values.items()}
        output.json(shown)
    else:
        output.pairs(list(values.items()))
    if values["state"] not in ("active", "reloading"):
        raise Failed(f"the service is {values['state']}: opaca-edge service logs tells why")
