"""Writing files: the old content or the new, nothing left behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tsattn import files
from tsattn.files import newest, replace_together, write_file


@pytest.fixture
def full_disk(monkeypatch):
    def fail(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)


def test_an_interrupted_write_leaves_the_old_file_and_names_it(tmp_path, full_disk):
    target = tmp_path / "a.json"
    target.write_bytes(b"old")
    with pytest.raises(OSError, match=r"No space left on device: .*a\.json"):
        write_file(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write_file(tmp_path / "a", b"1")
    stale = tmp_path / f"{files.PREFIX}{files._host()}-{ended.pid}-0.tmp"
    living = tmp_path / f"{files.PREFIX}{files._host()}-{os.getppid()}-0.tmp"
    elsewhere = tmp_path / f"{files.PREFIX}another_machine-{ended.pid}-0.tmp"
    for path in (stale, living, elsewhere):
        path.write_bytes(b"half")
    write_file(tmp_path / "a", b"2")
    assert {path.name for path in tmp_path.iterdir()} == {"a", living.name, elsewhere.name}


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.csv").write_bytes(b"old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "far" / "a.csv")
    write_file(tmp_path / "link.csv", b"new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "far" / "a.csv").read_bytes() == b"new"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_device_is_written_to_and_never_replaced():
    write_file("/dev/null", b"gone")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OSError, match="/dev/full"):
        write_file("/dev/full", b"gone")
    assert Path("/dev/full").is_char_device()


def test_the_longest_possible_name_can_be_written(tmp_path):
    write_file(tmp_path / ("x" * 255), b"1")
    assert [len(path.name) for path in tmp_path.iterdir()] == [255]


# ---- several files at once ---------------------------------------------------------------------------------------------


def test_files_that_a_killed_process_left_on_their_way_count_and_are_moved_by_the_next_one(tmp_path):
    (tmp_path / files.NEXT).mkdir()
    (tmp_path / "a").write_bytes(b"new")
    (tmp_path / "b").write_bytes(b"old")
    (tmp_path / files.NEXT / "b").write_bytes(b"new")
    assert [newest(tmp_path, name).read_bytes() for name in ("a", "b")] == [b"new", b"new"]
    replace_together(tmp_path, {"a": b"newer", "b": b"newer"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"newer", "b": b"newer"}


def test_a_folder_that_a_killed_process_was_filling_counts_for_nothing_and_goes(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    stage = tmp_path / f"{files.PREFIX}{files._host()}-{ended.pid}-0.tmp"
    stage.mkdir()
    (stage / "a").write_bytes(b"half")
    (tmp_path / "a").write_bytes(b"old")
    assert newest(tmp_path, "a").read_bytes() == b"old"
    replace_together(tmp_path, {"a": b"new"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"new"}


def test_a_link_in_the_place_of_the_waiting_folder_is_never_followed(tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "a").write_bytes(b"secret")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / files.NEXT).symlink_to(tmp_path / "secret")
    assert newest(tmp_path / "model", "a") == tmp_path / "model" / "a"
    with pytest.raises(OSError, match=str(tmp_path / "model")):
        replace_together(tmp_path / "model", {"a": b"new"})
    assert (tmp_path / "secret" / "a").read_bytes() == b"secret"
    assert [path.name for path in (tmp_path / "model").iterdir()] == [files.NEXT]


def test_who_may_read_a_file_stays_as_it_was(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"old")
    (tmp_path / "a.csv").chmod(0o600)
    write_file(tmp_path / "a.csv", b"new")
    assert (tmp_path / "a.csv").stat().st_mode & 0o777 == 0o600
