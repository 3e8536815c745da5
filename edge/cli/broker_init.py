"""`broker init`: a Mosquitto for sites, with a gateway's user."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from edge.cli.broker_certificate import own_authority
from edge.cli.broker_files import (
    BrokerFiles,
    broker_arguments,
    broker_folder,
    mosquitto,
    owner_argument,
    owner_of,
    service_user,
    write_secret,
)
from edge.cli.broker_toml import gateway_toml
from edge.cli.broker_unit import UNIT, has_systemd, start_service
from edge.cli.failures import ExitCode, Failed
from edge.cli.output import Output

# Where a platform that runs as a service looks for what only it may read.
SECRETS = Path("/etc/opaca-edge")


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
        "--output",
        "-o",
        metavar="FILE",
        type=Path,
        help=f"where the gateway's password goes ({SECRETS}/NAME.password for root, else beside the broker's files)",
    )
    owner_argument(parser)
    parser.add_argument(
        "--no-start", action="store_true", help="write the files only; else systemd starts it, for root"
    )
    broker_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Write the files; what users there are stay."""
    folder, output = broker_folder(arguments), Output(arguments.json)
    _check(arguments)
    mosquitto()
    owner = owner_of(arguments)
    files, password_file = make_broker(
        folder,
        gateway=arguments.gateway,
        host=arguments.host,
        tcp_port=arguments.port,
        cert=arguments.tls_cert,
        key=arguments.tls_key,
        client_ca=arguments.client_ca,
        password_file=_password_file(arguments),
        owner=owner,
    )
    section = gateway_toml(arguments.gateway, files.url, password_file, own_authority(files.facts))
    is_started = not arguments.no_start and has_systemd()
    if is_started:
        files.check_port()
        start_service(files, mosquitto())
    if output.is_json:
        output.json({"folder": str(folder), "broker": files.url, "gateway": arguments.gateway, "toml": section})
        return
    output.line(f"written: {files.plan.configuration}")
    option = f" --folder {folder}" if arguments.folder else ""
    if is_started:
        output.line(f"{UNIT} runs, and starts with the machine")
    elif files.process_id() is None:
        output.line(f"start it with: opaca-edge broker run{option}")
    else:
        output.line("it runs already, and must be started anew for another address")
    output.line(f"add a site with: opaca-edge broker add SITE{option}")
    output.line("and let the platform beside it be the gateway, in its configuration file:")
    print(f"\n{section}", end="")
    if os.geteuid() == 0:
        whose = f"belongs to {owner}" if owner else "belongs to root until opaca-edge service install hands it over"
        output.line(f"\n{password_file} {whose}; --owner names who else runs the platform")


def make_broker(
    folder: Path,
    *,
    gateway: str,
    host: str = "127.0.0.1",
    tcp_port: int | None = None,
    cert: Path | None = None,
    key: Path | None = None,
    client_ca: Path | None = None,
    password_file: Path | None = None,
    owner: str = "",
) -> tuple[BrokerFiles, Path]:
    """Write the files of a broker; what users there are stay.

    Args:
        password_file: Of the gateway; None puts it in the folder.
        owner: Whose that is; empty leaves it ours.

    Returns:
        The files, and the one that holds the gateway's password.

    Raises:
        Failed: what is there cannot be used, or the gateway's name is none.
    """
    files = BrokerFiles.read(folder, is_new_fine=True)
    files.facts |= {
        "host": host,
        "port": tcp_port or (1883 if cert is None else 8883),
        "cert": None if cert is None else str(cert.absolute()),
        "key": None if key is None else str(key.absolute()),
        "ca": None if client_ca is None else str(client_ca.absolute()),
        "user": service_user(),
    }
    password_file = password_file or folder / f"{gateway}.password"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if gateway not in files.users or not password_file.exists():
        write_secret(password_file, files.add(gateway, is_gateway=True), owner)
    files.write()
    return files, password_file


def _password_file(arguments: argparse.Namespace) -> Path | None:
    if arguments.output is not None:
        return Path(arguments.output).absolute()
    # Not beside the files of root's broker: those are Mosquitto's, whose folder nobody else may enter.
    is_roots = os.geteuid() == 0 and arguments.folder is None
    return SECRETS / f"{arguments.gateway}.password" if is_roots else None


def _check(arguments: argparse.Namespace) -> None:
    if arguments.port is not None and not 1 <= arguments.port <= 65535:
        raise Failed(f"--port {arguments.port}: expected a number from 1 to 65535", ExitCode.USAGE)
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
