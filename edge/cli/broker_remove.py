"""`broker remove`: a site that may not connect any more."""

from __future__ import annotations

import argparse

from edge.cli.broker_farewell import say_gone
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
    removed = [site for site in dict.fromkeys(arguments.site) if site in files.users]
    missing = [site for site in arguments.site if site not in files.users]
    remembered = [site for site in removed if not _is_forgotten(files, site)]
    for site in removed:
        files.users.pop(site)
    files.facts["gateways"] = [name for name in files.facts["gateways"] if name not in removed]
    files.write()
    if output.is_json:
        output.json({"removed": [*removed], "unknown": [*missing], "remembered": [*remembered]})
    else:
        for site in removed:
            output.line(f"{site} may not connect any more")
        for site in remembered:
            output.note(f"{site} stays among the sites that the gateway shows: {_way_out(files, site)}")
    if missing:
        raise Failed(f"the broker knows no {', '.join(missing)}; it knows {', '.join(sorted(files.users)) or 'nobody'}")


def _is_forgotten(files: BrokerFiles, site: str) -> bool:
    """Throw a site out by another password, with which the gateway is told; true for a gateway, which has none."""
    if site in files.gateways:
        return True
    password = files.add(site, is_gateway=False)
    files.write()
    return files.process_id() is not None and say_gone(files, site, password)


def _way_out(files: BrokerFiles, site: str) -> str:
    """Return why the broker could not be told, and what helps."""
    if not files.facts.get("ca"):
        return f"the broker could not be told; broker add {site}, and remove again while it runs, has it forgotten"
    from bridge.envelope import Presence, write
    from bridge.mqtt.topics import Topics

    topic = Topics(files.facts.get("root", "opaca")).own(site, "st")
    gone = write(Presence(on=0, ep=0, gone=1)).decode()
    return f"only its own certificate may say that it is gone; as the gateway, mosquitto_pub -r -t {topic} -m '{gone}'"
