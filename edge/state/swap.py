"""How a restored state takes the place of the one before, whenever the power fails: wholly, or not at all. Blocks.

It is laid out inside the state directory, which the service may write while it may not write beside it. Then a plan is
written: from there on the restored state is the state, and whoever comes next carries out what is left of the plan.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from edge.state.folders import make_folder, sync_folder

log = logging.getLogger(__name__)

_PLAN = "restoring.json"
# Of folders: where an archive is unpacked, and where what was there before is kept.
WORK, BEFORE = "restoring-", "before-"
_OURS = re.compile(rf"({WORK}|{BEFORE})\d{{8}}-\d{{6}}(-\d+)?")


class NotFinished(Exception):
    """A restore that has begun cannot be finished now; the message says why, and what comes next."""


def is_of_a_restore(name: str) -> bool:
    """Tell whether an entry of a state directory belongs to a restore: it is neither copied nor replaced."""
    return name == _PLAN or name.startswith(f"{_PLAN}.") or _OURS.fullmatch(name) is not None


def is_under_way(state: Path) -> bool:
    """Tell whether a restore has begun and was not finished."""
    return os.path.lexists(state / _PLAN)  # False where we may not look, unlike Path.exists


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is moved, by names that are there when the plan is made.

    Attributes:
        stamp: Tells this restore from others.
        old: What the state directory holds until now.
        fresh: Where below the state directory that is which it is to hold.
        new: What it is to hold.
        carried: Folder below the state directory that is to stay as it is; None if there is none.
        images: A folder elsewhere that is replaced as well; None if there is none.
    """

    stamp: str
    old: Sequence[str]
    fresh: str
    new: Sequence[str]
    carried: str | None = None
    images: str | None = None

    @classmethod
    def read(cls, state: Path) -> Self | None:
        """Read the plan of a restore; None if none is under way.

        Raises:
            ValueError: it would move something that is not below the state directory. Root may carry out the plan, and
                whoever the directory belongs to may have written it.
        """
        try:
            plan = cls(**json.loads((state / _PLAN).read_bytes()))
        except FileNotFoundError:
            return None
        names = (
            *plan.old,
            *plan.new,
            plan.before(state).name,
            *Path(plan.fresh).parts,
            *Path(plan.carried or "").parts,
        )
        if "/" in plan.stamp or any("/" in name or name in ("", ".", "..") for name in names):
            raise ValueError("its plan leads out of the state directory")
        if plan.before(state).is_symlink() or not (state / plan.fresh).resolve().is_relative_to(state.resolve()):
            raise ValueError("its plan leads out of the state directory by a link")
        return plan

    def write(self, state: Path) -> None:
        """Have it on the disk; what it speaks of is there before."""
        unfinished = state / f"{_PLAN}.new"
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            give_like(unfinished, state)
            file.write(json.dumps(asdict(self)).encode())
            file.flush()
            os.fsync(descriptor)
        unfinished.rename(state / _PLAN)
        sync_folder(state)

    def before(self, state: Path) -> Path:
        """Return where that goes which was there before."""
        return state / f"{BEFORE}{self.stamp}"

    def near_images(self) -> tuple[Path, Path, Path] | None:
        """Return the images elsewhere, where the new ones are laid out, and where the old ones go; or None."""
        if self.images is None:
            return None
        images = Path(self.images)
        return (
            images,
            images.with_name(f"{images.name}.{WORK}{self.stamp}"),
            images.with_name(f"{images.name}.{BEFORE}{self.stamp}"),
        )


def new_stamp(state: Path) -> str:
    """Return a stamp that no restore in this directory has."""
    now = time.strftime("%Y%m%d-%H%M%S")
    stamps = (now, *(f"{now}-{number}" for number in range(2, 1000)))
    return next(each for each in stamps if not any((state / f"{kind}{each}").exists() for kind in (WORK, BEFORE)))


def finish_restore(state: Path) -> None:
    """Carry out what is left of a restore; what is left of one that has not begun to replace anything is removed.

    Args:
        state: A state directory that is locked; it need not be there.
    Raises:
        NotFinished: something cannot be moved.
    """
    try:
        plan = Plan.read(state)
        if plan is not None:
            carry_out(plan, state)
            log.warning("a restore is finished; what was there before is in %s", plan.before(state))
        for entry in list(state.iterdir()) if state.is_dir() else ():
            if is_of_a_restore(entry.name) and not entry.name.startswith(BEFORE):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    except (OSError, ValueError, TypeError) as error:
        if is_under_way(state):
            raise NotFinished(f"a restore was interrupted and cannot be finished: {error}") from error
        log.warning("what may be left of a restore stays: %s", error)


def carry_out(plan: Plan, state: Path) -> None:
    """Do what is not done of a plan that was written.

    Each step can be done again, and is on the disk before the next kind of step.
    """
    if (folders := plan.near_images()) is not None:
        images, near, images_before = folders
        if near.exists():
            if images.exists():
                images.rename(images_before)
            near.rename(images)
            sync_folder(images.parent)
    before, fresh = plan.before(state), state / plan.fresh
    if plan.old:
        before.mkdir(mode=0o700, exist_ok=True)
        give_like(before, state)
        for name in plan.old:
            # What is in the way afterwards is the new one.
            if os.path.lexists(state / name) and not os.path.lexists(before / name):
                (state / name).rename(before / name)
        sync_folder(before)
        sync_folder(state)
    for name in plan.new:
        if os.path.lexists(fresh / name):
            (fresh / name).rename(state / name)
    sync_folder(state)
    if plan.carried is not None and (before / plan.carried).exists() and not (state / plan.carried).exists():
        make_folder((state / plan.carried).parent)
        give_like((state / plan.carried).parent, state)
        (before / plan.carried).rename(state / plan.carried)
        sync_folder((state / plan.carried).parent)
    (state / _PLAN).unlink()
    sync_folder(state)


def give_like(path: Path, folder: Path) -> None:
    """Give something that root made to whose the folder is; nobody else can, or need."""
    if os.geteuid() == 0:
        about = folder.stat()
        os.chown(path, about.st_uid, about.st_gid)
