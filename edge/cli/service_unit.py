"""The unit of the service as text (pure): what systemd gives the platform, and what it keeps from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.config import SessionPolicy

NAME = "opaca-edge"
UNIT = f"{NAME}.service"
STATE_DIR = Path("/var/lib") / NAME

# Of the groups that own devices, those that a machine has.
DEVICE_GROUPS = ("dialout", "gpio", "i2c", "spi")
_PRIVILEGED_PORTS = 1024

_HEAD = f"""\
# Written by `opaca-edge service install`, which writes it anew; changes of your own: systemctl edit {NAME}
[Unit]
Description=OPACA Edge, a runtime platform for agents
# Not network-online.target: agents and devices work without a network.
After=network.target
# Gives up after ten minutes of nothing but failures.
StartLimitIntervalSec=1h
StartLimitBurst=60

[Service]
Type=notify
NotifyAccess=main
"""

_LIFE = f"""\
StateDirectory={NAME}
StateDirectoryMode=0700
RuntimeDirectory={NAME}
RuntimeDirectoryMode=0700
# lgpio writes a pipe into the working directory.
WorkingDirectory=%t/{NAME}
UMask=0077
Restart=on-failure
RestartSec=10s
# Settings that cannot be used do not get better by trying.
RestartPreventExitStatus=2
# Pinged only while the event loop and the thread of the database get on.
WatchdogSec=60s
TimeoutStartSec=120s
TimeoutStopSec=60s
# A container that the kernel ends for its memory does not take the platform along.
OOMPolicy=continue
OOMScoreAdjust=-250
LimitNOFILE=16384
TasksMax=4096
"""

# RECONNECT: containers outlive the platform, and the next one finds them again.
_CONTAINERS_STAY = """\
KillMode=process
# Control groups are not delegated: before systemd 254 a group that is divided, with processes left in it, cannot be
# started again. The platform itself watches the memory of containers; their computing time is not limited.
ProtectControlGroups=yes
# Not PrivateTmp: systemd would remove it under containers that go on.
TemporaryFileSystem=/tmp:mode=1777 /var/tmp:mode=1777
"""

_CONTAINERS_END = """\
# The platform ends its containers in order; what is left of them after that is killed.
KillMode=mixed
# For the limits of containers.
Delegate=cpu memory
ProtectControlGroups=no
PrivateTmp=yes
RemoveIPC=yes
"""

# Left open, on purpose: MemoryDenyWriteExecute (Node.js and others compile while they run), ProcSubset (the `system`
# agent reads /proc/meminfo and the like), setpriority (containers give way to the platform).
_HARDENING = """\
NoNewPrivileges=yes
DevicePolicy=closed
DeviceAllow=char-gpiochip rw
DeviceAllow=char-i2c rw
DeviceAllow=char-spi rw
DeviceAllow=char-ttyACM rw
DeviceAllow=char-ttyAMA rw
DeviceAllow=char-ttyS rw
DeviceAllow=char-ttyUSB rw
LockPersonality=yes
PrivateMounts=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallFilter=setpriority
"""

_FOOT = """
[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePlan:
    """What is particular to one installation of the service.

    Attributes:
        user: Whom it runs as.
        command: The program, as an absolute path, and its arguments.
        groups: Further groups of its user, for devices.
        policy: What becomes of containers; decides how the unit ends.
        environment: Variables, by name; no secrets.
        credentials: Files with secrets, by name.
        writable: Folders outside its state directory that it writes to.
        tcp_port: Where it listens; below 1024 it may do so although it is not root.
        readable: Folders and files below /home or /root that it reads; all others there are hidden from it.
    """

    user: str
    command: tuple[str, ...]
    groups: tuple[str, ...] = ()
    policy: SessionPolicy = SessionPolicy.RESTART
    environment: tuple[tuple[str, str], ...] = ()
    credentials: tuple[tuple[str, Path], ...] = ()
    writable: tuple[Path, ...] = ()
    tcp_port: int = 8000
    readable: tuple[Path, ...] = ()


def unit_text(plan: ServicePlan) -> str:
    """Return the unit file."""
    own = [f"ExecStart={words(plan.command).replace('$', '$$')}", f"User={plan.user}"]
    if plan.groups:
        own.append(f"SupplementaryGroups={' '.join(plan.groups)}")
    own += [f"Environment={words([f'{name}={value}'])}" for name, value in plan.environment]
    own += [f"LoadCredential={words([f'{name}:{path}'])}" for name, path in plan.credentials]
    own += [f"ReadWritePaths={words([str(path)])}" for path in plan.writable]
    own.append(f"ProtectHome={'tmpfs' if plan.readable else 'yes'}")
    own += [f"BindReadOnlyPaths={words([str(path)])}" for path in plan.readable]
    if 0 < plan.tcp_port < _PRIVILEGED_PORTS:
        own += ["AmbientCapabilities=CAP_NET_BIND_SERVICE", "CapabilityBoundingSet=CAP_NET_BIND_SERVICE"]
    else:
        own.append("CapabilityBoundingSet=")
    ending = _CONTAINERS_STAY if plan.policy is SessionPolicy.RECONNECT else _CONTAINERS_END
    return _HEAD + "\n".join(own) + "\n" + _LIFE + ending + _HARDENING + _FOOT


def words(arguments: Sequence[str]) -> str:
    """Return words as a unit file has them: quoted where needed, nothing replaced in them.

    Raises:
        ValueError: a word has a line break or another control character in it.
    """
    return " ".join(map(_word, arguments))


def _word(word: str) -> str:
    text = _escaped(word)
    if not text or any(letter in text for letter in " \"'\\;"):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def _escaped(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"{text!r} cannot stand in a unit file")
    return text.replace("%", "%%")
