"""The broker as a service of systemd."""

from __future__ import annotations

import os
from pathlib import Path

from edge.cli.broker_certificate import files_of, own_authority
from edge.cli.broker_files import BrokerFiles
from edge.cli.failures import Failed
from edge.cli.service_install import python_path
from edge.cli.service_renewal import daily_units
from edge.cli.service_system import run_program, unit_path, write_file

UNIT = "opaca-edge-broker.service"
RENEWAL = "opaca-edge-broker-renew"
_START_S = 10.0
_SYSTEMD = Path("/run/systemd/system")


def unit_text(folder: Path, program: str) -> str:
    """Return the unit (pure).

    Args:
        folder: Where the broker's files are.
        program: Mosquitto.
    """
    return f"""\
# Written by `opaca-edge broker init`, which writes it anew; changes of your own: systemctl edit {UNIT}
[Unit]
Description=OPACA Edge, the broker that joins sites
After=network.target

[Service]
ExecStart={program} -c {folder}/mosquitto.conf
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=5s
UMask=0077
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths={folder}
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
# To listen below 1024, to become its own user, and to read its files before that.
CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_SETUID CAP_SETGID CAP_DAC_READ_SEARCH

[Install]
WantedBy=multi-user.target
"""


def has_systemd() -> bool:
    """Tell whether this is root on a machine that systemd runs."""
    return os.geteuid() == 0 and _SYSTEMD.is_dir()


def renewal_units(files: BrokerFiles) -> dict[str, str]:
    """Return the units that renew the broker's certificate, by their names; none if it speaks no TLS."""
    if "cert" not in files_of(files.facts):
        return {}
    authority = own_authority(files.facts)
    folders = [files.folder, *([] if authority is None else [authority.parent])]
    command = ("broker", "renew", "--folder", str(files.folder))
    return daily_units(RENEWAL, "broker init", command, folders, python_path(), "CAP_KILL")


def start_service(files: BrokerFiles, program: str) -> None:
    """Install and start the units, and wait until the broker listens; `Failed` with what systemd said."""
    write_file(unit_path(UNIT), unit_text(files.folder, program))
    renewal = renewal_units(files)
    for name, text in renewal.items():
        write_file(unit_path(name), text)
    run_program("systemctl", "daemon-reload")
    run_program("systemctl", "enable", UNIT)
    run_program("systemctl", "restart", UNIT)
    if renewal:
        run_program("systemctl", "enable", "--now", f"{RENEWAL}.timer")
    if not files.listens(_START_S):
        raise Failed(f"{UNIT} was started and does not listen; what it says: journalctl -u {UNIT} -n 20")
