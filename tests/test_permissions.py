"""Files and folders that may not be read or written: one line, exit code 2, and nothing is left; in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest
from permissions import binding

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="permissions of another kind")]
SHORT = [
    "horizon=2",
    "trainer=cpu",
    "trainer.max_steps=4",
    "trainer.validate_every=2",
    "model.d_model=8",
    "model.head=quantile",
]


@pytest.fixture(scope="module")
def bound(tmp_path_factory) -> list[str]:
    """What stands before a command so that permissions bind it."""
    return binding(tmp_path_factory.mktemp("closed"))


@pytest.fixture
def place(tmp_path, two_waves, trained_folder):
    """A folder with a table in two forms, a model, a file and a folder that may not be written; all opened again at the end."""
    two_waves.to_csv(tmp_path / "in.csv", index=False)
    two_waves.to_parquet(tmp_path / "in.parquet")
    copytree(trained_folder, tmp_path / "model")
    (tmp_path / "old.csv").write_text("old")
    (tmp_path / "closed").mkdir()
    for name in ("closed", "old.csv"):
        (tmp_path / name).chmod(0o555)
    yield tmp_path
    for folder, _, names in os.walk(tmp_path):
        os.chmod(folder, 0o755)
        for name in names:
            os.chmod(Path(folder, name), 0o644)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"a folder" for path in folder.rglob("*")}


def called(bound: list[str], place: Path, name: str, *arguments: str, cwd: str = ".") -> tuple[int, str, str]:
    """Code, stdout and stderr of a command."""
    command = [*bound, sys.executable, "-m", f"tsattn.{name}", *arguments]
    ran = subprocess.run(command, cwd=place / cwd, capture_output=True, text=True, timeout=300)
    return ran.returncode, ran.stdout, ran.stderr


REFUSED = {  # what is closed first, the command, words of the line
    "train into a folder": ([], ["train", "input=in.csv", *SHORT, "output=closed/model"], "closed"),
    "train into a folder below": ([], ["train", "input=in.csv", *SHORT, "output=closed/a/b"], "closed"),
    "train into an old model": (["model"], ["train", "input=in.csv", *SHORT, "output=model"], "model"),
    "train from a table": (["in.csv"], ["train", "input=in.csv", *SHORT, "output=m"], "in.csv"),
    "predict into a folder": ([], ["predict", "input=in.csv", "load=model", "output=closed/o.csv"], "closed/o.csv"),
    "draw into a folder": ([], ["predict", "input=in.csv", "load=model", "plot=closed/o.png"], "closed/o.png"),
    "predict over a file": ([], ["predict", "input=in.csv", "load=model", "output=old.csv"], "write-protected"),
    "predict from a table": (["in.csv"], ["predict", "input=in.csv", "horizon=2", "output=o.csv"], "in.csv"),
    "predict from parquet": (["in.parquet"], ["predict", "input=in.parquet", "horizon=2", "output=o.csv"], "in.parquet"),
    "predict by weights": (["model/model.safetensors"], ["predict", "input=in.csv", "load=model"], "model.safetensors"),
    "predict by settings": (["model/config.json"], ["predict", "input=in.csv", "load=model"], "config.json"),
    "predict by a model": (["model"], ["predict", "input=in.csv", "load=model"], "model"),
    "backtest into a folder": ([], ["backtest", "input=in.csv", *SHORT, "output=closed/o.csv"], "closed/o.csv"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_may_not_be_read_or_written_is_one_line_and_nothing_is_left(bound, place, case):
    closed, command, words = REFUSED[case]
    before = contents(place)
    for name in closed:
        (place / name).chmod(0)
    code, _, err = called(bound, place, *command)
    for name in closed:
        (place / name).chmod(0o755)
    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith("error: ")
    assert words in err
    assert "ermission denied" in err or "may not read" in err or "write-protected" in err
    assert contents(place) == before


def test_a_table_in_a_folder_that_may_not_be_searched_is_refused(bound, place):
    (place / "inner").mkdir()
    (place / "in.csv").rename(place / "inner" / "in.csv")
    (place / "inner").chmod(0)
    code, _, err = called(bound, place, "predict", "input=inner/in.csv", "horizon=2", "output=o.csv")
    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith("error: inner/in.csv: ")
    assert not (place / "o.csv").exists()


def test_in_a_current_folder_that_may_not_be_written_a_forecast_is_made_and_a_training_refused(bound, place):
    code, _, err = called(bound, place, "predict", "input=../in.csv", "load=../model", "output=../o.csv", cwd="closed")
    assert (code, err) == (0, "")
    assert (place / "o.csv").read_text().count("\n") == 1 + 2 * 5
    code, _, err = called(bound, place, "train", "input=../in.csv", *SHORT, cwd="closed")
    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith("error: ")
    assert list((place / "closed").iterdir()) == []
    code, _, err = called(bound, place, "train", "input=../in.csv", *SHORT, "output=../m", cwd="closed")
    assert (code, err) == (0, "")
    assert (place / "m" / "model.safetensors").exists()
    assert list((place / "closed").iterdir()) == []


def test_a_model_that_may_be_read_alone_forecasts(bound, place):
    for path in (place / "model").rglob("*"):
        path.chmod(0o444 if path.is_file() else 0o555)
    (place / "model").chmod(0o555)
    before = contents(place / "model")
    code, _, err = called(bound, place, "predict", "input=in.csv", "load=model", "output=o.csv")
    assert (code, err) == (0, "")
    assert contents(place / "model") == before
