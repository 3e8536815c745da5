"""The renewal of the service's certificate: a timer of systemd, where the certificate is of an authority of one's own.

Not by the platform itself, because it need not be able to read the authority's key: containers run as its user.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.cli.authority import CA_KEY, SERVER_CERT, SERVER_KEY
from edge.cli.output import Output
from edge.cli.service_system import run_program, unit_path, write_file
from edge.cli.service_unit import NAME, words
from edge.config import PlatformConfig

SERVICE, TIMER = f"{NAME}-renew.service", f"{NAME}-renew.timer"

# New files belong to whom the old ones belong to.
_RIGHTS = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER"

_SERVICE = """\
# Written by `opaca-edge %(by)s`, which writes it anew; changes of your own: systemctl edit %(name)s.service
[Unit]
Description=Renews the certificate of OPACA Edge in time

[Service]
Type=oneshot
ExecStart=%(command)s
%(own)s
UMask=0077
CapabilityBoundingSet=%(rights)s
NoNewPrivileges=yes
ProtectSystem=strict
PrivateNetwork=yes
PrivateTmp=yes
PrivateDevices=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictAddressFamilies=none
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
"""

_TIMER = """\
# Written by `opaca-edge %(by)s`, which writes it anew; changes of your own: systemctl edit %(name)s.timer
[Unit]
Description=Looks every day whether the certificate of OPACA Edge ends soon

[Timer]
OnCalendar=daily
RandomizedDelaySec=1h
# For machines that are off at night.
Persistent=yes

[Install]
WantedBy=timers.target
"""


def own_folder(config: PlatformConfig) -> Path | None:
    """Return where the certificate lies beside the authority that signed it, as `tls init` makes them; else None."""
    if config.tls_cert is None or config.tls_key is None:
        return None
    folder = config.tls_cert.absolute().parent
    is_own = config.tls_cert.absolute() == folder / SERVER_CERT and config.tls_key.absolute() == folder / SERVER_KEY
    return folder if is_own and (folder / CA_KEY).exists() else None


def renewal_units(folder: Path, environment: Sequence[tuple[str, str]] = ()) -> dict[str, str]:
    """Return the units by their names.

    Args:
        folder: With the certificate and the authority; nothing else is written to.
        environment: Variables of the program, by name.
    """
    command = ("tls", "renew", "--if-due", "--out", str(folder))
    return daily_units(f"{NAME}-renew", "service install", command, [folder], environment)


def daily_units(
    name: str,
    by: str,
    command: Sequence[str],
    folders: Sequence[Path],
    environment: Sequence[tuple[str, str]] = (),
    rights: str = "",
) -> dict[str, str]:
    """Return a service that renews something and the timer that starts it every day, by their names.

    Args:
        name: Of both, without what they end with.
        by: The verb that writes them.
        command: The verb that they run.
        folders: Nothing else is written to.
        environment: Variables of the program, by name.
        rights: Capabilities besides those to write what belongs to others.
    """
    own = [f"Environment={words([f'{variable}={value}'])}" for variable, value in environment]
    own.append(f"ReadWritePaths={words([str(folder) for folder in folders])}")
    facts = {
        "name": name,
        "by": by,
        "command": words([sys.executable, "-m", "edge", *command]).replace("$", "$$"),
        "own": "\n".join(own),
        "rights": f"{_RIGHTS} {rights}".rstrip(),
    }
    return {f"{name}.service": _SERVICE % facts, f"{name}.timer": _TIMER % facts}


def install_renewal(folder: Path | None, environment: Sequence[tuple[str, str]], output: Output) -> None:
    """Write and start the timer; where there is nothing that could be renewed, remove that of an earlier installation.

    systemd must be told to read its units anew before the service is started.
    """
    if folder is None:
        remove_renewal(output)
        return
    for name, text in renewal_units(folder, environment).items():
        write_file(unit_path(name), text)
    run_program("systemctl", "daemon-reload")
    run_program("systemctl", "enable", "--now", TIMER)
    output.line(f"written: {unit_path(TIMER)}; the certificate in {folder} is renewed 30 days before it ends")


def remove_renewal(output: Output) -> None:
    """Stop and remove the timer, if there is one."""
    files = [unit_path(name) for name in (TIMER, SERVICE)]
    if not any(file.exists() for file in files):
        return
    run_program("systemctl", "disable", "--now", TIMER)
    for file in files:
        file.unlink(missing_ok=True)
    output.line(f"removed: {files[0]}")


def share_key(config: PlatformConfig, user: str, output: Output) -> None:
    """See to it that the service can read its key: that of an own authority is given to the group of its user."""
    key = config.tls_key
    if key is None or not key.exists() or can_read(user, key):
        return
    if own_folder(config) is None:
        group = f"sudo chgrp {user} {key} && sudo chmod g+r {key}"
        output.note(f"warning: the user {user} may not be able to read {key}: {group}")
        return
    import pwd

    os.chown(key, -1, pwd.getpwnam(user).pw_gid)
    key.chmod(0o640)
    output.line(f"the group of {user} may read {key} from now on")


def can_read(user: str, file: Path) -> bool:
    """Tell whether a user may read a file, as its mode says."""
    return has_right(user, file, stat.S_IROTH)


def has_right(user: str, path: Path, right: int) -> bool:
    """Tell whether the mode of a file or folder gives a user a right; root has all.

    Args:
        user: Name of one that exists.
        path: Of what is there.
        right: As others have it: `stat.S_IROTH` to read a file, `stat.S_IXOTH` to enter a folder.
    """
    import pwd

    known, about = pwd.getpwnam(user), path.stat()
    if known.pw_uid == 0:
        return True
    if about.st_uid == known.pw_uid:
        right <<= 6
    elif about.st_gid in os.getgrouplist(user, known.pw_gid):
        right <<= 3
    return bool(about.st_mode & right)
