"""What is left when the plug is pulled, the disk is full, or somebody says stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from crashes import kill_at_moments, kill_at_steps, train, write_waves

from tsattn import store


@pytest.mark.slow
def test_a_training_killed_at_five_random_steps_gives_the_model_of_one_that_was_left_alone(tmp_path):
    outcome = kill_at_steps(tmp_path, times=5, seed=4)
    assert outcome.kills >= 4  # a late step may lie beyond the end
    assert outcome.found == outcome.expected


@pytest.mark.slow
@pytest.mark.parametrize("elsewhere", [False, True], ids=["same file system", "TMPDIR on another"])
def test_killed_at_random_moments_the_old_or_the_new_model_always_loads(tmp_path, elsewhere):
    tmpdir = Path("/dev/shm") if elsewhere else None
    if tmpdir is not None and not os.access(tmpdir, os.W_OK):
        pytest.skip("no /dev/shm")
    kills, loaded, left = kill_at_moments(tmp_path, times=10, seed=5, tmpdir=tmpdir)
    assert kills >= 6
    assert loaded == 10
    assert left == []


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (signal.SIGHUP, 129),
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
    assert [path.name for path in (tmp_path / "my run" / "checkpoints").iterdir()] == ["quantile_head.ckpt"]


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
