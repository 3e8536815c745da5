"""`python -m bench [--full] [--json] [NAME ...]`"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from bench import board_memory, bridge, containers, measure, mosquitto_bridge, outbox
from bench.machine import facts
from bench.table import Row, write

ALL = measure.ALL | containers.ALL | outbox.ALL | bridge.ALL | mosquitto_bridge.ALL
# A table of its own, without a bare server beside it; it needs MicroPython, so it is measured only where it is named.
BOARDS = "board_memory"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the platform beside a bare server.")
    known = f"what to measure, of {', '.join(ALL)}; default: these; or {BOARDS}, for itself"
    parser.add_argument("names", metavar="NAME", nargs="*", help=known)
    parser.add_argument("--full", action="store_true", help="the sizes of docs/benchmarks.md; takes about 45 minutes")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    if options.names == [BOARDS]:
        _boards(options.full, options.json)
        return
    if unknown := set(options.names) - ALL.keys():
        there = f"there are {', '.join(ALL)}, and {BOARDS} for itself"
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}; {there}")
    machine = facts()
    rows: list[Row] = []
    for name in options.names or ALL:
        print(f"measuring {name} ...", file=sys.stderr)
        rows += ALL[name](options.full)
    if options.json:
        json.dump({"machine": machine, "rows": [asdict(row) for row in rows]}, sys.stdout, indent=2)
        print()
    else:
        print("\n".join(f"- {key}: {value}" for key, value in machine.items()), "", write(rows), sep="\n")


def _boards(full: bool, as_json: bool) -> None:
    memory = board_memory.board_memory(full)
    print(json.dumps(asdict(memory), indent=2) if as_json else board_memory.write(memory))


if __name__ == "__main__":
    main()
