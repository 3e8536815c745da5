"""A restore is cut off at every step: then the state is the old or the restored one, wholly, at the next start."""

from __future__ import annotations

import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from edge.cli.main import main
from edge.state.backup import Sources, back_up
from edge.state.restore import restore
from edge.state.swap import finish_restore, is_of_a_restore
from tests.contract.running import REPOSITORY, platform_process
from tests.system.power_cut import Cut, Disk, Fate, contents
from tests.system.recorded_writes import Rename, recorder

Found = dict[Path, bytes | None]


def make_state(state: Path, images: Path, word: str) -> None:
    """Make a state of which every file holds a word."""
    for path in (state / "containers/c-1/stored", state / "secret", state / word, images / "pump/image.json"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(word * 300)
    (images / word).mkdir()
    with closing(sqlite3.connect(state / "state.sqlite3")) as database:
        database.executescript(f"CREATE TABLE t (word TEXT); INSERT INTO t VALUES ('{word}');")


def shown(folder: Path) -> Found:
    """Return what is in a state directory, without what restores and the lock leave there."""
    return {
        path: content
        for path, content in contents(folder).items()
        if not is_of_a_restore(path.parts[0]) and path != Path("lock")
    }


class Restoring:
    """A recorded `opaca-edge restore` of a state over another one.

    Args:
        images: Where images are, below the folder that is watched.
        are_in_archive: Whether the archive has any.
    """

    def __init__(self, folder: Path, images: str, *, are_in_archive: bool = True) -> None:
        self.watched, self.found = folder / "disk", folder / "found"
        self.state, self.images = Path("state"), Path(images)
        make_state(folder / "good/state", folder / "good" / images, "restored")
        archive = folder / "backup.tar.gz"
        pictures = folder / "good" / images if are_in_archive else None
        back_up(Sources(state=folder / "good/state", images=pictures, config=None), archive, {})
        make_state(self.watched / "state", self.watched / images, "old")
        self.old = self.now(self.watched)
        command = [sys.executable, "-m", "edge", "restore", str(archive), "--state-dir", str(self.watched / "state")]
        environ = {"IMAGE_DIRECTORY": str(self.watched / images), "HOME": str(folder)}
        with recorder(self.watched) as recording:
            recording.run(command, cwd=REPOSITORY, env=environ)
            self.disk = Disk(recording)
        self.disk.check(self.found)
        self.new = self.now(self.watched)

    def now(self, folder: Path) -> tuple[Found, Found]:
        return shown(folder / self.state), shown(folder / self.images)

    def after(self, cut: Cut) -> tuple[Found, Found]:
        """Return what there is after a cut and the next start of a platform."""
        self.rebuild(cut, self.found)
        finish_restore(self.found / self.state)
        assert not list((self.found / self.state).glob("restoring*")), cut
        return self.now(self.found)

    def rebuild(self, cut: Cut, target: Path) -> None:
        """Make the disk; its plan names images by where they were recorded."""
        cut.rebuild(target)
        plan = target / self.state / "restoring.json"
        if plan.exists():
            plan.write_text(plan.read_text().replace(str(self.disk.folder), str(target)))


@pytest.mark.parametrize(
    ("images", "are_in_archive"),
    [("state/images", True), ("state/images", False), ("elsewhere/images", True), ("state/deep/images", False)],
)
def test_after_a_cut_at_any_step_the_state_is_the_old_or_the_restored_one(
    tmp_path: Path, images: str, are_in_archive: bool, seed: int
) -> None:
    restoring = Restoring(tmp_path, images, are_in_archive=are_in_archive)
    assert restoring.new != restoring.old
    finished = was_new = 0
    for cut in restoring.disk.every_cut(random.Random(seed)):
        now = restoring.after(cut)
        assert now in (restoring.old, restoring.new), cut
        if now == restoring.new:
            was_new += 1
            [before] = (restoring.found / "state").glob("before-*")
            assert (before / "old").exists()
        if cut.said:
            finished += 1
            assert now == restoring.new, f"it was said to be done: {cut}"
    assert finished == len(Fate)
    assert was_new > finished


def test_the_next_start_may_be_cut_off_as_well(tmp_path: Path, seed: int) -> None:
    restoring = Restoring(tmp_path, "elsewhere/images")
    again = tmp_path / "again"
    restoring.rebuild(just_begun(restoring.disk), again)
    program = "import sys, pathlib, edge.state.swap as swap; swap.finish_restore(pathlib.Path(sys.argv[1]))"
    with recorder(again) as recording:
        recording.run([sys.executable, "-c", program, str(again / "state")], cwd=REPOSITORY)
        restoring.disk = Disk(recording)
    for cut in restoring.disk.every_cut(random.Random(seed)):
        assert restoring.after(cut) == restoring.new, cut


def just_begun(disk: Disk) -> Cut:
    """Return the cut after which a restore must go on."""
    [plan] = [step for step in disk.steps if isinstance(step, Rename) and step.target.name == "restoring.json"]
    return disk.cut(plan.ended, Fate.KEPT)


def test_a_platform_finishes_it_and_says_so(tmp_path: Path) -> None:
    restoring = Restoring(tmp_path, "state/images")
    folder = tmp_path / "platform"
    folder.mkdir()
    restoring.rebuild(just_begun(restoring.disk), folder)
    assert main(["backup", str(tmp_path / "b.tar.gz"), "--state-dir", str(folder / "state")]) == 1
    with platform_process(folder) as process:
        assert process.ask("GET", "/info").status == 200
        [before] = (folder / "state").glob("before-*")
        assert f"a restore is finished; what was there before is in {before}" in process.log
    assert (folder / "state/restored").exists()
    assert (folder / "state/images/restored").exists()
    assert (before / "old").exists()


def test_a_platform_does_not_start_on_half_a_restore(tmp_path: Path) -> None:
    restoring = Restoring(tmp_path, "state/images")
    folder = tmp_path / "platform"
    folder.mkdir()
    restoring.rebuild(just_begun(restoring.disk), folder)
    # What is in the way is not ours to remove.
    [before] = [
        folder / "state" / path.name.replace("restoring-", "before-") for path in folder.glob("state/restoring-*")
    ]
    before.write_text("in the way")
    process = platform_process(folder)
    process.start()
    assert process.wait() != 0
    assert "a restore was interrupted and cannot be finished" in process.log
    assert "Traceback" not in process.log
    before.unlink()
    with platform_process(folder) as process:
        assert process.ask("GET", "/info").status == 200
    assert (folder / "state/restored").exists()


def test_a_restore_that_never_began_leaves_nothing(tmp_path: Path) -> None:
    restoring = Restoring(tmp_path, "elsewhere/images")
    [move] = [step for step in restoring.disk.steps if isinstance(step, Rename) and ".restoring-" in step.target.name]
    restoring.disk.cut(move.ended, Fate.KEPT).rebuild(tmp_path / "left")
    state, images = tmp_path / "left/state", tmp_path / "left/elsewhere/images"
    assert len(list(images.parent.iterdir())) == 2
    restore(tmp_path / "backup.tar.gz", state, images)
    assert sorted(path.name.partition("-")[0] for path in images.parent.iterdir()) == ["images", "images.before"]
    assert (shown(state), shown(images)) == restoring.new
