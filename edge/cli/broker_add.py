"""`broker add`: a site's user on the broker, and what goes on the device."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.cli.broker_certificate import own_authority
from edge.cli.broker_farewell import say_away
from edge.cli.broker_files import (
    BrokerFiles,
    broker_arguments,
    broker_folder,
    owner_argument,
    owner_of,
    write_secret,
)
from edge.cli.broker_toml import access_toml, device_toml, gateway_toml
from edge.cli.failures import ExitCode, Failed
from edge.cli.output import Output

# Where its files go on the other machine.
_PLACE = Path("/etc/opaca-edge")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `broker add` takes."""
    parser.add_argument("site", metavar="SITE", help="its name: letters a-z, digits and -")
    parser.add_argument("--is-gateway", action="store_true", help="it serves the sites instead of being one")
    parser.add_argument("--broker-url", metavar="URL", help="how the device reaches the broker (mqtts://host:8883)")
    parser.add_argument("--output", "-o", metavar="FILE", type=Path, help="write the password there, mode 0600")
    owner_argument(parser)
    broker_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Make the user, or give it another password."""
    site, output = arguments.site, Output(arguments.json)
    files = BrokerFiles.read(broker_folder(arguments))
    if site in files.gateways and not arguments.is_gateway:
        raise Failed(
            f"{site} is the gateway, which would serve nobody any more; --is-gateway gives it another password, and a"
            " site needs a name of its own",
            ExitCode.USAGE,
        )
    # Whose it is on another machine, nobody knows here.
    owner = owner_of(arguments) if arguments.owner or arguments.is_gateway else ""
    is_new = site not in files.users
    password = files.add(site, is_gateway=arguments.is_gateway)
    files.write()
    is_running = files.process_id() is not None
    if is_running and not is_new and not arguments.is_gateway:
        say_away(files, site, password)
    if arguments.output is not None:
        write_secret(arguments.output, password, owner)
    section = _section(files, site, arguments.broker_url or files.public_url, is_gateway=arguments.is_gateway)
    access = "" if arguments.is_gateway else access_toml(site)
    if output.is_json:
        output.json({"site": site, "password": password, "toml": section, "gatewayToml": access, "isNew": is_new})
        return
    output.line(f"{site} {'may connect' if is_new else 'has another password'} from now on")
    if not is_running:
        folder = f" --folder {arguments.folder}" if arguments.folder else ""
        output.line(f"the broker does not run yet: opaca-edge broker run{folder}")
    output.line(f"where {site} runs, in the configuration file of its platform:")
    print(f"\n{section}")
    if arguments.broker_url is None:
        output.line("If that machine reaches the broker by another name, --broker-url tells it.")
    rights = "(chmod 600, owned by whom the platform runs as)"
    if arguments.output is None:
        output.line(f"Its password_file holds this {rights}:")
        print(f"\n{password}\n")
    else:
        output.line(f"Its password_file is a copy of {arguments.output} {rights}.")
    authority = own_authority(files.facts)
    if authority is not None:
        output.line(f"Its ca_file is a copy of {authority}, which is no secret.")
    if access:
        gateway = next(iter(files.gateways), "the gateway")
        output.line(f"Beside {gateway}, in its platform's file, what {site} may call there (else nothing):")
        print(f"\n{access}", end="")


def _section(files: BrokerFiles, name: str, url: str, *, is_gateway: bool) -> str:
    """Return what stands in the configuration file where a site runs, or another gateway."""
    password_file = _PLACE / f"{name}.password"
    ca_file = _PLACE / "ca.pem" if url.startswith("mqtts") and own_authority(files.facts) is not None else None
    if is_gateway:
        return gateway_toml(name, url, password_file, ca_file)
    return device_toml(name, next(iter(files.gateways), "gateway"), url, password_file, ca_file)
