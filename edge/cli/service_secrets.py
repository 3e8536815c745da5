"""Files that the section [bridge] names and only their owner may read: they are given to whom the service runs as."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from edge.cli.output import Output
from edge.cli.service_renewal import can_read, has_right
from edge.config import PlatformConfig

_SECRETS = ("password_file", "key_file")
_FILES = (*_SECRETS, "cert_file", "ca_file")


def hand_over(config: PlatformConfig, user: str, output: Output) -> None:
    """See to it that the service can read them; what belongs to another user than root stays with that one."""
    import pwd

    for path in _named(config, _SECRETS):
        if not path.exists():
            output.note(f"warning: {path}, which [bridge] names, is not there")
            continue
        closed = closed_folder(user, path)
        if closed is not None:
            output.note(f"warning: {user} may not enter {closed}: move {path.name} to /etc/opaca-edge")
        elif not can_read(user, path):
            if path.stat().st_uid != 0:
                output.note(f"warning: {user} may not read {path}: sudo chown {user} {path}")
                continue
            known = pwd.getpwnam(user)
            os.chown(path, known.pw_uid, known.pw_gid)
            output.line(f"{path} belongs to {user} from now on")


def bridge_files(config: PlatformConfig) -> list[Path]:
    """Return the files that the bridge reads."""
    return list(_named(config, _FILES))


def _named(config: PlatformConfig, keys: Sequence[str]) -> Iterator[Path]:
    """Yield the files that the bridge's section names; what is no text there is complained of when it is used."""
    folder = Path.cwd() if config.config_file is None else config.config_file.absolute().parent
    for table in (config.bridge, config.bridge.get("device"), config.bridge.get("gateway")):
        if isinstance(table, Mapping):
            names = [table.get(key) for key in keys]
            yield from (folder / Path(name).expanduser() for name in names if isinstance(name, str) and name)


def closed_folder(user: str, path: Path) -> Path | None:
    """Return the first folder above a file that a user may not enter; None if it may enter all."""
    return next((folder for folder in reversed(path.parents) if not has_right(user, folder, stat.S_IXOTH)), None)
