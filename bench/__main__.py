"""`python -m bench [--full] [--json] [NAME ...]`"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from bench import bridge, containers, measure, mosquitto_bridge, outbox
from bench.machine import facts
from bench.table import Row, write

ALL = measure.ALL | containers.ALL | outbox.ALL | bridge.ALL | mosquitto_bridge.ALL


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the platform beside a bare server.")
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"what to measure, of {', '.join(ALL)}; default: all")
    parser.add_argument("--full", action="store_true", help="the sizes of docs/benchmarks.md; takes about 20 minutes")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args()
    if unknown := set(options.names) - ALL.keys():
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
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


if __name__ == "__main__":
    main()
