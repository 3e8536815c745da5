"""`broker remove`: a site that may not connect any more."""

from __future__ import annotations

import argparse

from edge.cli.broker_files import BrokerFiles, broker_arguments, broker_folder
from edge.cli.failures import Failed
from edge.cli.output import Output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `broker remove` takes."""
    parser.add_argument("site", metavar="SITE", nargs="+", help="its name")
    broker_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Remove users; who is connected is thrown out at once."""
    files, output = BrokerFiles.read(broker_folder(arguments)), Output(arguments.json)
    missing = [site for site in arguments.site if files.users.pop(site, None) is None]
    files.facts["gateways"] = [name for name in files.facts["gateways"] if name not in arguments.site]
    files.write()
    removed = [site for site in arguments.site if site not in missing]
    if output.is_json:
        output.json({"removed": [*removed], "unknown": [*missing]})
    else:
        for site in removed:
            output.line(f"{site} may not connect any more")
    if missing:
        raise Failed(f"the broker knows no {', '.join(missing)}; it knows {', '.join(sorted(files.users)) or 'nobody'}")
