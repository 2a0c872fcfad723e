"""What is left when the plug is pulled, the disk is full, or somebody says stop."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from crashes import COMMAND, finish, kill_at_moments, kill_at_steps, train, write_waves

from tsattn import cli, store
from tsattn.config import PredictConfig
from tsattn.train import only_run_in, refuse_links


@pytest.mark.slow
def test_a_training_killed_at_five_random_steps_gives_the_model_of_one_that_was_left_alone(tmp_path):
    outcome = kill_at_steps(tmp_path, times=5, seed=4)
    assert outcome.kills == 5
    assert outcome.found == outcome.expected


@pytest.mark.slow
@pytest.mark.parametrize("elsewhere", [False, True], ids=["same file system", "TMPDIR on another"])
def test_killed_at_random_moments_the_old_or_the_new_model_always_loads(tmp_path, elsewhere):
    tmpdir = Path("/dev/shm") if elsewhere else None
    if tmpdir is not None and not os.access(tmpdir, os.W_OK):
        pytest.skip("no /dev/shm")
    kills, loaded, left = kill_at_moments(tmp_path, times=10, seed=5, tmpdir=tmpdir)
    assert (kills, loaded, left) == (10, 10, [])


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
    ],
)
def test_a_signal_keeps_the_checkpoint_and_prints_the_command_that_goes_on(tmp_path, sent, code):
    write_waves(tmp_path)
    process = train(tmp_path, "trainer.max_steps=100000", "trainer.patience=100000", "trainer.log_every=1", "output=my run")
    assert process.stdout is not None
    for line in process.stdout:
        if "step 16 " in line:
            break
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    last = err.strip().splitlines()[-1] if code != 130 else err.strip().splitlines()[0]
    assert last.startswith("it goes on with: python -m tsattn.train input=waves.csv ")
    assert last.endswith("'output=my run'")
    assert [path.name for path in (tmp_path / "my run" / "checkpoints").rglob("*.ckpt")] == ["quantile_head.ckpt"]


@pytest.mark.slow
def test_nohup_is_respected(tmp_path):
    write_waves(tmp_path)
    ignoring = "import signal, runpy; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    process = subprocess.Popen(
        [sys.executable, "-c", ignoring + "runpy.run_module('tsattn.train', run_name='__main__', alter_sys=True)"]
        + ["input=waves.csv", "horizon=4", "trainer.max_steps=40", "trainer.log_every=1", "output=run"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "step 8 " in line:
            break
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert store.load(tmp_path / "run").fitted.settings.horizon == 4


# ---- a full disk, a folder that is gone, two runs at once --------------------------------------------------------------


def predict(*settings: str, cwd: Path, stdout: str | None = None) -> subprocess.CompletedProcess:
    with open(stdout or os.devnull, "w") as out:
        return subprocess.run(
            [sys.executable, "-m", "tsattn.predict", "values=[1,2,3,4]", "horizon=2", *settings],
            cwd=cwd,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_that_cannot_be_written_is_one_line_and_code_2(tmp_path):
    printed = predict(cwd=tmp_path, stdout="/dev/full")
    assert (printed.returncode, printed.stderr) == (2, "error: standard output: No space left on device\n")
    written = predict("output=/dev/full", cwd=tmp_path)
    assert (written.returncode, written.stderr) == (2, "error: /dev/full: No space left on device\n")


def test_a_folder_that_was_removed_under_the_command_is_said(tmp_path, monkeypatch, capsys):
    def gone():
        raise FileNotFoundError

    monkeypatch.setattr(os, "getcwd", gone)
    assert cli.exit_code("predict", PredictConfig, pytest.fail) == 2
    assert capsys.readouterr().err == "error: the folder you are in has been removed: cd to another one\n"


def test_two_runs_never_write_into_one_folder_and_one_that_left_nothing_leaves_no_folder(tmp_path):
    folder = tmp_path / "run"
    refused = pytest.raises(ValueError, match=r"another run is writing into .*run: wait for its end")
    with only_run_in(folder), refused, only_run_in(folder):
        pytest.fail("two at once")
    assert not folder.exists()
    with only_run_in(folder):
        (folder / "model").touch()
    assert [path.name for path in folder.iterdir()] == ["model"]


def test_a_lock_that_another_run_has_just_removed_is_no_lock(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()
    opened = []

    def open_and_lose(path, mode):
        file = open(path, mode)  # noqa: SIM115
        if not opened:
            os.unlink(path)  # what the end of another run does, between our opening and locking
        opened.append(file)
        return file

    monkeypatch.setattr("tsattn.train.open", open_and_lose, raising=False)
    with only_run_in(folder):
        assert len(opened) == 2
        monkeypatch.undo()
        with pytest.raises(ValueError, match="another run is writing"), only_run_in(folder):
            pytest.fail("two at once")


def test_a_file_that_is_missing_is_still_missing_inside_a_run(tmp_path):
    with pytest.raises(FileNotFoundError), only_run_in(tmp_path / "run"):
        (tmp_path / "no such file").read_bytes()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", [".running", "logs/quantile_head/metrics.csv", "checkpoints", "verdict_windows.csv"])
def test_a_run_folder_with_links_is_refused_before_anything_is_written(tmp_path, name):
    precious, folder = tmp_path / "precious", tmp_path / "run"
    precious.write_text("mine")
    (folder / name).parent.mkdir(parents=True)
    (folder / name).symlink_to(precious)
    with pytest.raises(ValueError, match="is no plain file or folder"):
        refuse_links(folder)
    (folder / name).unlink()
    refuse_links(folder)


def test_runs_that_start_in_the_same_second_get_folders_of_their_own(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: cli.claimed(tmp_path / "runs" / "x"), range(8)))
    assert sorted(path.name for path in folders) == ["x", *(f"x-{number}" for number in range(2, 9))]


@pytest.mark.slow
def test_a_disk_that_fills_up_while_training_keeps_the_model_that_was_there(tmp_path):
    write_waves(tmp_path)
    finish(train(tmp_path, "output=run"))
    before = store.load(tmp_path / "run").fitted
    full = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, 6_000)); "
    process = subprocess.run(
        [sys.executable, "-c", full + "runpy.run_module('tsattn.train', run_name='__main__', alter_sys=True)"]
        + [*COMMAND, "seed=5", "output=run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.returncode == 2, process.stderr
    assert re.fullmatch(r"error: .*run.*: File too large\n", process.stderr)
    assert "! no checkpoint from here on: " in process.stdout
    assert store.load(tmp_path / "run").fitted.settings == before.settings


@pytest.mark.slow
def test_a_learning_rate_of_a_million_ends_with_code_3_and_what_to_try(tmp_path):
    write_waves(tmp_path)
    process = train(tmp_path, "trainer.learning_rate=1e6", "output=run")
    _, err = process.communicate()
    assert process.returncode == 3
    assert re.match(r"error: training stopped: loss or gradient is not finite in step \d+, whose batch holds series ", err)
    assert "trainer.learning_rate (now 1e+06)" in err
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.slow
def test_an_infinite_covariate_is_refused_with_its_line(tmp_path):
    write_waves(tmp_path)
    lines = (tmp_path / "waves.csv").read_text().splitlines()
    priced = [f"{line},{'price' if i == 0 else 'inf' if i == 7 else i}" for i, line in enumerate(lines)]
    (tmp_path / "waves.csv").write_text("\n".join(priced) + "\n")
    process = train(tmp_path, "covariates.past=price", "output=run")
    _, err = process.communicate()
    assert process.returncode == 2
    assert "waves.csv, line 8: 'inf'" in err
    assert not (tmp_path / "run").exists()
