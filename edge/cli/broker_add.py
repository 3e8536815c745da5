"""`broker add`: a site's user on the broker, and what goes on the device."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.cli.broker_files import BrokerFiles, broker_arguments, broker_folder, write_secret
from edge.cli.output import Output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `broker add` takes."""
    parser.add_argument("site", metavar="SITE", help="its name: letters a-z, digits and -")
    parser.add_argument("--is-gateway", action="store_true", help="it serves the sites instead of being one")
    parser.add_argument("--broker-url", metavar="URL", help="how the device reaches the broker (mqtts://host:8883)")
    parser.add_argument("--output", "-o", metavar="FILE", type=Path, help="write the password there, mode 0600")
    broker_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Make the user, or give it another password."""
    files, output = BrokerFiles.read(broker_folder(arguments)), Output(arguments.json)
    is_new = arguments.site not in files.users
    password = files.add(arguments.site, is_gateway=arguments.is_gateway)
    files.write()
    is_reloaded = files.reload()
    gateway = next(iter(files.gateways), "gateway")
    url = arguments.broker_url or files.url
    section = (
        f'[bridge.gateway]\nname = "{arguments.site}"\n'
        if arguments.is_gateway
        else f'[bridge.device]\nsite = "{arguments.site}"\ngateway = "{gateway}"\n'
    )
    section += f'broker = "{url}"\npassword_file = "/etc/opaca-edge/{arguments.site}.password"\n'
    if url.startswith("mqtts"):
        section += 'ca_file = "/etc/opaca-edge/ca.pem"\n'
    if arguments.output is not None:
        write_secret(arguments.output, password)
    if output.is_json:
        access = "" if arguments.is_gateway else access_toml(arguments.site)
        output.json(
            {"site": arguments.site, "password": password, "toml": section, "gatewayToml": access, "isNew": is_new}
        )
        return
    output.line(f"{arguments.site} {'may connect' if is_new else 'has another password'} from now on")
    if not is_reloaded:
        folder = f" --folder {arguments.folder}" if arguments.folder else ""
        output.line(f"the broker does not run yet: opaca-edge broker run{folder}")
    output.line(f"where {arguments.site} runs, in the configuration file of its platform:")
    print(f"\n{section}")
    if arguments.broker_url is None:
        output.line("(the broker's address on this machine; --broker-url names the one that other machines reach)")
    if arguments.output is None:
        output.line("and this password in that file, which only the service may read (chmod 600):")
        print(f"\n{password}")
    else:
        output.line(f"and its password, which is in {arguments.output}, in that file (chmod 600)")
    if not arguments.is_gateway:
        output.line(f"beside {gateway}, in its platform's file, what {arguments.site} may call there (else nothing):")
        print(f"\n{access_toml(arguments.site)}", end="")


def access_toml(site: str) -> str:
    """Return what stands in the gateway's configuration so that a site may call agents there."""
    return f'[bridge.gateway.sites.{site}]\nrole = "USER"\nallow = ["*"]\n'
