"""The broker of this machine: its files, and the program that serves them."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.cli.failures import ExitCode, Failed
from edge.config import PlatformConfig

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
            raise Failed(f"there is no broker in {folder}; opaca-edge broker init makes one") from error
        except (OSError, ValueError) as error:
            raise Failed(f"{folder / _FACTS} cannot be read: {error}") from error
        return cls(folder, facts)

    @property
    def plan(self) -> BrokerPlan:
        """What Mosquitto is to be."""
        from bridge.mqtt.broker import BrokerPlan

        facts = self.facts
        paths = {name: Path(facts[name]) for name in ("cert", "key", "ca") if facts.get(name)}
        return BrokerPlan(
            folder=self.folder,
            host=facts["host"],
            port=facts["port"],
            user=facts.get("user", ""),
            root=facts.get("root", "opaca"),
            **paths,
        )

    @property
    def url(self) -> str:
        """How a bridge on this machine reaches it."""
        scheme = "mqtt" if self.facts.get("cert") is None else "mqtts"
        host = self.facts["host"]
        host = "127.0.0.1" if host in ("0.0.0.0", "::") else host
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.facts['port']}"

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
        (self.folder / "data").mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        _put(plan.configuration, configuration_text(plan))
        _put(plan.access_list, access_text(plan.root, self.gateways))
        _put(plan.passwords, "".join(f"{line}\n" for line in self.users.values()))
        _put(self.folder / _FACTS, json.dumps(self.facts, indent=2) + "\n")
        if plan.user and os.geteuid() == 0:
            for path in (self.folder, self.folder / "data", plan.configuration, plan.access_list, plan.passwords):
                shutil.chown(path, plan.user)
        self.reload()

    def reload(self) -> bool:
        """Have a running Mosquitto read its files again; False if none runs."""
        try:
            number = int(self.plan.process_id.read_text())
            if "mosquitto" not in Path(f"/proc/{number}/comm").read_text():
                return False
            os.kill(number, signal.SIGHUP)
        except (OSError, ValueError):
            return False
        return True


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


def write_secret(path: Path, secret: str) -> None:
    """Write a secret file of mode 0600."""
    _put(path, secret + "\n")


def _put(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
