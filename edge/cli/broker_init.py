"""`broker init`: a Mosquitto for sites, with a gateway's user."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.cli.broker_files import (
    BrokerFiles,
    broker_arguments,
    broker_folder,
    mosquitto,
    service_user,
    write_secret,
)
from edge.cli.broker_unit import UNIT, has_systemd, start_service
from edge.cli.failures import ExitCode, Failed
from edge.cli.output import Output


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `broker init` takes."""
    parser.add_argument("--gateway", metavar="NAME", default="gateway", help="who serves the sites (gateway)")
    parser.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", metavar="PORT", type=int, help="where to listen (1883; 8883 with TLS)")
    parser.add_argument("--tls-cert", metavar="FILE", type=Path, help="PEM certificate to speak TLS with")
    parser.add_argument("--tls-key", metavar="FILE", type=Path, help="its key")
    parser.add_argument("--client-ca", metavar="FILE", type=Path, help="devices log in with certificates of this CA")
    parser.add_argument("--insecure-lan", action="store_true", help="listen to the network without TLS all the same")
    parser.add_argument(
        "--no-start", action="store_true", help="write the files only; else systemd starts it, for root"
    )
    broker_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Write the files; what users there are stay."""
    folder, output = broker_folder(arguments), Output(arguments.json)
    _check(arguments)
    mosquitto()
    try:
        files = BrokerFiles.read(folder)
    except Failed:
        files = BrokerFiles(folder, {"users": {}, "gateways": []})
    has_tls = arguments.tls_cert is not None
    files.facts |= {
        "host": arguments.host,
        "port": arguments.port or (8883 if has_tls else 1883),
        "cert": str(arguments.tls_cert.absolute()) if has_tls else None,
        "key": str(arguments.tls_key.absolute()) if has_tls else None,
        "ca": str(arguments.client_ca.absolute()) if arguments.client_ca else None,
        "user": service_user(),
    }
    password_file = folder / f"{arguments.gateway}.password"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if arguments.gateway not in files.users or not password_file.exists():
        write_secret(password_file, files.add(arguments.gateway, is_gateway=True))
    files.write()
    section = (
        f'[bridge.gateway]\nname = "{arguments.gateway}"\nbroker = "{files.url}"\npassword_file = "{password_file}"\n'
    )
    if output.is_json:
        output.json({"folder": str(folder), "broker": files.url, "gateway": arguments.gateway, "toml": section})
        return
    output.line(f"written: {files.plan.configuration}")
    if not arguments.no_start and has_systemd():
        start_service(folder, mosquitto())
        output.line(f"{UNIT} runs, and starts with the machine")
    else:
        output.line("start it with: opaca-edge broker run" + (f" --folder {folder}" if arguments.folder else ""))
    output.line("add a site with: opaca-edge broker add SITE")
    output.line("and let the platform beside it be the gateway, in its configuration file:")
    print(f"\n{section}", end="")


def _check(arguments: argparse.Namespace) -> None:
    if (arguments.tls_cert is None) != (arguments.tls_key is None):
        raise Failed("--tls-cert and --tls-key belong together", ExitCode.USAGE)
    for path in (arguments.tls_cert, arguments.tls_key, arguments.client_ca):
        if path is not None and not path.is_file():
            raise Failed(f"{path}: expected a PEM file", ExitCode.USAGE)
    is_loopback = arguments.host.startswith("127.") or arguments.host in ("::1", "localhost")
    if not is_loopback and arguments.tls_cert is None and not arguments.insecure_lan:
        raise Failed(
            f"--host {arguments.host}: passwords would cross the network in the clear; make a certificate with"
            " opaca-edge tls init and give --tls-cert and --tls-key, or --insecure-lan if that is all right here",
            ExitCode.USAGE,
        )
