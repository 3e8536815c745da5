"""The broker of this machine: its files, and the program that serves them."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.cli.broker_certificate import copies_of, copy_all, hosts_of
from edge.cli.failures import ExitCode, Failed
from edge.cli.port_owner import why_not_listening
from edge.config import PlatformConfig
from edge.state.whole_file import write_whole

if TYPE_CHECKING:
    from bridge.mqtt.broker import BrokerPlan

_FACTS = "broker.json"
# Mosquitto, started by root, becomes a user who cannot read in root's home.
_OF_ROOT = Path("/var/lib/opaca-edge-broker")
_PLACES = "/usr/local/sbin:/usr/sbin:/sbin"


def broker_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what all verbs about the broker have."""
    parser.add_argument(
        "--folder",
        metavar="FOLDER",
        type=Path,
        help=f"where its files are (`broker` in STATE_DIR; {_OF_ROOT} for root)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")


def broker_folder(arguments: argparse.Namespace) -> Path:
    """Return where the broker's files are."""
    if arguments.folder is not None:
        return Path(arguments.folder).absolute()
    if os.geteuid() == 0:
        return _OF_ROOT
    return (PlatformConfig.load(bundled=False).state_dir / "broker").absolute()


class BrokerFiles:
    """What `broker init` made: users and gateways, kept as one document from which Mosquitto's files are written."""

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.folder = folder
        self.facts = facts

    @classmethod
    def read(cls, folder: Path, *, is_new_fine: bool = False) -> BrokerFiles:
        """Return what is there; `Failed` if nothing is, or it cannot be read.

        Args:
            folder: Where they are.
            is_new_fine: Begin with no users where nothing is.
        """
        try:
            facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            if is_new_fine:
                return cls(folder, {"users": {}, "gateways": []})
            raise Failed(
                f"there is no broker in {folder}; opaca-edge broker init makes one, --folder names another"
            ) from error
        except (OSError, ValueError) as error:
            raise Failed(f"{folder / _FACTS} cannot be read: {error}") from error
        return cls(folder, facts)

    @property
    def plan(self) -> BrokerPlan:
        """What Mosquitto is to be."""
        from bridge.mqtt.broker import BrokerPlan

        facts = self.facts
        return BrokerPlan(
            folder=self.folder,
            host=facts["host"],
            port=facts["port"],
            user=facts.get("user", ""),
            root=facts.get("root", "opaca"),
            **copies_of(facts, self.folder),
        )

    @property
    def url(self) -> str:
        """How a bridge on this machine reaches it."""
        return self._url(hosts_of(self.facts)[0])

    @property
    def public_url(self) -> str:
        """How other machines reach it, by the best of the names that its certificate has."""
        return self._url(hosts_of(self.facts)[1])

    @property
    def local_host(self) -> str:
        """An address of this machine where it listens."""
        host: str = self.facts["host"]
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)

    @property
    def users(self) -> dict[str, str]:
        """Line of the password file by name."""
        users: dict[str, str] = self.facts["users"]
        return users

    @property
    def gateways(self) -> Mapping[str, object]:
        """The gateways among them."""
        return dict.fromkeys(self.facts["gateways"])

    def add(self, name: str, *, is_gateway: bool) -> str:
        """Make a user, or give it another password; returns the password."""
        from bridge.mqtt.broker import new_password, password_line
        from bridge.mqtt.topics import is_site

        if not is_site(name):
            raise Failed(f"{name!r}: expected letters a-z, digits and -, at most 64", ExitCode.USAGE)
        password = new_password()
        self.users[name] = password_line(name, password)
        gateways = set(self.facts["gateways"])
        self.facts["gateways"] = sorted(gateways | {name} if is_gateway else gateways - {name})
        return password

    def write(self) -> None:
        """Write all files, each whole or not at all, and have a running Mosquitto read them."""
        from bridge.mqtt.broker import access_text, configuration_text

        plan = self.plan
        owner = plan.user if os.geteuid() == 0 else ""
        self._make_folders(owner)
        copy_all(self.facts, self.folder)
        write_whole(plan.configuration, configuration_text(plan).encode(), owner=owner)
        write_whole(plan.access_list, access_text(plan.root, self.gateways).encode(), owner=owner)
        passwords = "".join(f"{line}\n" for line in self.users.values())
        write_whole(plan.passwords, passwords.encode(), owner=owner)
        write_whole(self.folder / _FACTS, json.dumps(self.facts, indent=2).encode() + b"\n")
        self.reload()

    def _make_folders(self, owner: str) -> None:
        """Make the folder, and in it the one that Mosquitto writes to, for a user if one is named.

        The folder itself stays root's: what is in it decides which files root reads and gives away later.
        """
        import pwd

        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not owner:
            self.folder.chmod(0o700)
            return
        known = pwd.getpwnam(owner)
        os.chown(self.folder, 0, known.pw_gid)
        self.folder.chmod(0o710)
        os.chown(data, known.pw_uid, known.pw_gid, follow_symlinks=False)

    def reload(self) -> bool:
        """Have a running Mosquitto read its files again; False if none runs."""
        number = self.process_id()
        if number is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGHUP)
        return True

    def process_id(self) -> int | None:
        """Return the number of the Mosquitto that runs with these files; None if none does."""
        try:
            number = int(self.plan.process_id.read_text())
            is_mosquitto = "mosquitto" in Path(f"/proc/{number}/comm").read_text()
        except (OSError, ValueError):
            return None
        return number if is_mosquitto else None

    def listens(self, limit_s: float) -> bool:
        """Wait until it takes connections; False if it does not within so many seconds."""
        give_up_at_s = time.monotonic() + limit_s
        while time.monotonic() < give_up_at_s:
            with contextlib.suppress(OSError):
                socket.create_connection((self.local_host, self.facts["port"]), 1.0).close()
                return True
            time.sleep(0.1)
        return False

    def check_port(self) -> None:
        """Raise `Failed` if somebody else has the port, and say who."""
        host, port = self.facts["host"], self.facts["port"]
        if self.process_id() is not None:
            return
        try:
            with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
                return
        except OSError as error:
            why = why_not_listening(error, port)
            hint = "; opaca-edge broker init --port takes another"
            if "mosquitto" in why:
                hint = f": the one of Debian's package, it seems; sudo systemctl disable --now mosquitto ends it{hint}"
            raise Failed(f"{host}:{port} {why}{hint}") from error

    def _url(self, host: str) -> str:
        scheme = "mqtt" if self.facts.get("cert") is None else "mqtts"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.facts['port']}"


def mosquitto() -> str:
    """Return the broker's program; `Failed` with how to install it."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path=_PLACES)
    if found is None:
        raise Failed("Mosquitto is not on this machine: sudo apt-get install -y mosquitto")
    return found


def service_user() -> str:
    """Return whom Mosquitto becomes when root starts it; empty for anybody else."""
    import pwd

    if os.geteuid() != 0:
        return ""
    try:
        return pwd.getpwnam("mosquitto").pw_name
    except KeyError:
        return "root"


def owner_argument(parser: argparse.ArgumentParser) -> None:
    """Declare whose a file with a password is."""
    parser.add_argument(
        "--owner", metavar="USER", help="for root: whose that file is (the user of the installed service, else root)"
    )


def owner_of(arguments: argparse.Namespace) -> str:
    """Return whose a file with a password is: whoever runs the platform; empty leaves it ours.

    Raises:
        Failed: there is no such user.
    """
    import pwd

    from edge.cli.service_unit import NAME

    for name in (arguments.owner, NAME if os.geteuid() == 0 else None):
        if name is None:
            continue
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError as error:
            if name == arguments.owner:
                raise Failed(f"--owner {name}: there is no such user", ExitCode.USAGE) from error
    return ""


def write_secret(path: Path, secret: str, owner: str = "") -> None:
    """Write a secret file of mode 0600, for a user if one is named; `Failed` if that is not possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, f"{secret}\n".encode(), owner=owner)
    except OSError as error:
        raise Failed(f"{path}: {error.strerror}") from error
