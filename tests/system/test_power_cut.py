"""The disks that `power_cut` makes are what POSIX allows: what is not synced can be lost, torn, and kept."""

from __future__ import annotations

import random
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.system.power_cut import Disk, Fate, contents
from tests.system.recorded_writes import recorder

Record = Callable[[str], Disk]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Record a program that finds its folder, which holds a file `old`, in `here`."""
    watched = tmp_path / "disk"
    watched.mkdir()
    (watched / "old").write_bytes(b"o" * 2000)

    def run(program: str) -> Disk:
        with recorder(watched) as recording:
            recording.run([sys.executable, "-S", "-E", "-c", f"here = {str(watched)!r}\n{program}"])
            disk = Disk(recording)
        disk.check(tmp_path / "made")
        return disk

    return run


def found(disk: Disk, target: Path, *fates: Fate) -> list[dict[str, bytes | None]]:
    """Return each different folder that may be found after a cut at any time."""
    all_found: list[dict[str, bytes | None]] = []
    for cut in disk.every_cut(random.Random(1), fates or Fate):
        cut.rebuild(target)
        one = {str(path): content for path, content in contents(target).items()}
        if one not in all_found:
            all_found.append(one)
    return all_found


OLD = {"old": b"o" * 2000}


def test_what_is_not_synced_can_be_lost_although_the_program_went_on(record: Record, tmp_path: Path) -> None:
    disk = record("open(here + '/new', 'w').write('x'); print('done', flush=True); open(here + '/more', 'w')")
    cut = disk.cut(disk.steps[-1].ended, Fate.LOST)
    assert cut.said == ["done"]
    assert found(disk, tmp_path / "t", Fate.LOST) == [OLD]
    kept = found(disk, tmp_path / "t", Fate.KEPT)
    assert {**OLD, "new": b"x", "more": b""} in kept


def test_a_synced_file_is_there_only_with_its_folder(record: Record, tmp_path: Path) -> None:
    sync = "f = os.open(here, os.O_RDONLY); os.fsync(f)"
    disk = record(f"import os; f = os.open(here + '/new', 66); os.write(f, b'x'); os.fsync(f); {sync}")
    assert found(disk, tmp_path / "t", Fate.LOST) == [OLD, {**OLD, "new": b"x"}]
    before_last = disk.cut(disk.steps[-1].began, Fate.LOST)
    before_last.rebuild(tmp_path / "t")
    assert not (tmp_path / "t/new").exists()


def test_a_rename_is_there_as_a_whole_or_not_at_all(record: Record, tmp_path: Path) -> None:
    disk = record("import os; os.mkdir(here + '/a'); os.rename(here + '/old', here + '/a/new')")
    assert found(disk, tmp_path / "t") == [
        OLD,
        {**OLD, "a": None},
        {"a": None, "a/new": OLD["old"]},
    ]


def test_a_rename_may_come_before_what_the_file_holds(record: Record, tmp_path: Path) -> None:
    """The classic: written, renamed, not synced."""
    disk = record("import os; open(here + '/new', 'w').write('x' * 9); os.rename(here + '/new', here + '/old')")
    assert {"old": b""} in found(disk, tmp_path / "t")
    synced = record(
        "import os; f = os.open(here + '/new', 66); os.write(f, b'x'); os.fsync(f)\n"
        "os.rename(here + '/new', here + '/old')"
    )
    assert {each.get("old") for each in found(synced, tmp_path / "t")} == {b"x" * 9, b"x"}


def test_files_are_torn_at_sectors_and_their_size_comes_apart(record: Record, tmp_path: Path) -> None:
    disk = record("import os; f = os.open(here + '/old', 2); os.pwrite(f, b'n' * 4000, 100); os.ftruncate(f, 3000)")
    sizes, mixed = set(), 0
    for cut in disk.cuts(400, random.Random(2)):
        cut.rebuild(tmp_path / "t")
        content = (tmp_path / "t/old").read_bytes()
        sizes.add(len(content))
        for start in range(512, 1536, 512):
            assert len(set(content[start : start + 512])) == 1
        mixed += content[512:513] == b"n" and content[1024:1025] == b"o"
    assert sizes == {2000, 3000, 4100}
    assert mixed > 10


def test_what_was_written_meanwhile_may_be_there_or_not(record: Record, tmp_path: Path) -> None:
    """A sync covers what was written before it began, and no more."""
    disk = record(
        "import os; f = os.open(here + '/old', 2); os.pwrite(f, b'1', 0); os.fdatasync(f); os.pwrite(f, b'2', 0)"
    )
    assert [each["old"][:1] for each in found(disk, tmp_path / "t", Fate.LOST) if each["old"]] == [b"o", b"1"]
    assert [each["old"][:1] for each in found(disk, tmp_path / "t") if each["old"]] == [b"o", b"1", b"2"]


def test_a_way_to_write_that_is_not_understood_is_no_half_truth(record: Record) -> None:
    with pytest.raises(AssertionError, match="not understood: symlink"):
        record("import os; os.symlink('old', here + '/link')")
    with pytest.raises(AssertionError, match="not understood: mmap"):
        record("import mmap; f = open(here + '/old', 'r+b'); mmap.mmap(f.fileno(), 100)[0] = 1")


@pytest.mark.parametrize(("synchronous", "is_lost"), [("OFF", True), ("NORMAL", True), ("FULL", False)])
def test_a_database_loses_what_it_was_told_not_to_sync(
    record: Record, tmp_path: Path, synchronous: str, is_lost: bool
) -> None:
    disk = record(
        f"""
import sqlite3
database = sqlite3.connect(here + '/d', isolation_level=None)
database.execute('PRAGMA journal_mode=WAL')
database.execute('PRAGMA synchronous=FULL')
database.execute('CREATE TABLE t (n)')
database.execute('PRAGMA synchronous={synchronous}')
for number in range(20):
    database.execute('INSERT INTO t VALUES (?)', (number,))
    print(number, flush=True)
"""
    )
    lost = 0
    for cut in disk.cuts(60, random.Random(3)):
        cut.rebuild(tmp_path / "t")
        if cut.said:
            with closing(sqlite3.connect(tmp_path / "t/d")) as database:
                lost += len(database.execute("SELECT * FROM t").fetchall()) < len(cut.said)
    assert (lost > 0) == is_lost
