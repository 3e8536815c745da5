"""One platform at a time in a state directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.state.lock import InUse, StateLock
from tests.contract.running import until

HOLD = """
import sys
from pathlib import Path
from edge.state.lock import StateLock
lock = StateLock(Path(sys.argv[1])).take()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_one_is_told_of_the_first(tmp_path: Path) -> None:
    lock = StateLock(tmp_path).take()
    try:
        with pytest.raises(InUse, match=f"process ID {os.getpid()}"):
            StateLock(tmp_path).take()
        with pytest.raises(InUse):  # the refused one has freed nothing
            StateLock(tmp_path).take()
    finally:
        lock.release()
    StateLock(tmp_path).take().release()


def test_it_is_free_when_its_holder_is_killed(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(InUse, match=str(holder.pid)):
            StateLock(tmp_path).take()
        holder.kill()
    StateLock(tmp_path).take().release()


def test_a_child_does_not_inherit_it(tmp_path: Path) -> None:
    lock = StateLock(tmp_path).take()
    with subprocess.Popen(["/bin/sleep", "60"], close_fds=False) as child:
        lock.release()
        try:
            # Popen may return an instant before the child has dropped what it must not have.
            until(lambda: _is_free(tmp_path), "nobody holds it")
            assert child.poll() is None
        finally:
            child.kill()


def _is_free(folder: Path) -> bool:
    try:
        StateLock(folder).take().release()
    except InUse:
        return False
    return True


def test_a_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    StateLock(tmp_path / "a" / "state").take().release()
    assert (tmp_path / "a" / "state").stat().st_mode & 0o777 == 0o700


def test_where_nothing_can_be_written_there_is_nothing_to_hold(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    lock = StateLock(tmp_path / "file" / "state").take()
    lock.release()
    lock.release()
    assert str(tmp_path / "file" / "state") in caplog.text


def test_what_a_link_leads_to_is_not_written(tmp_path: Path) -> None:
    """Root restores a state that belongs to the service, which could have put a link there."""
    (tmp_path / "precious").write_text("all of it")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "lock").symlink_to(tmp_path / "precious")
    StateLock(tmp_path / "state").take().release()
    assert (tmp_path / "precious").read_text() == "all of it"
