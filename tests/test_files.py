"""Writing files: the old content or the new, nothing left behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tsattn.files import write_file


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
    from tsattn import files

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
