"""Pulling the plug: drivers that kill real commands at random steps and moments, for the slow tests and `benchmarks/`."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tsattn import store

COMMAND = ("input=waves.csv", "horizon=4", "trainer.max_steps=60", "trainer.validate_every=8", "trainer.warmup_steps=5")
DROPOUT = ("model.dropout=0.2", "model.d_model=16")
KILLED_AT_BATCH = """
import os, signal, sys
at = int(sys.argv.pop(1))
from tsattn.training.stream import BatchStream
original, calls = BatchStream.batch, [0]
def batch(self, step):
    calls[0] += 1
    if calls[0] == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, step)
BatchStream.batch = batch
import runpy
runpy.run_module("tsattn.train", run_name="__main__", alter_sys=True)
"""


class Outcome(NamedTuple):
    """What became of a number of kills."""

    kills: int  # processes that were killed before their end
    expected: str  # SHA-256 of model.safetensors of the training that was left alone
    found: str  # ... of the one that was killed and went on


def write_waves(folder: Path) -> None:
    """Two count series of 120 days."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    days = pd.date_range("2024-01-01", periods=120)
    tables = [
        pd.DataFrame({"unique_id": name, "ds": days, "y": rng.poisson(level + 9 * (np.arange(120) % 7 < 5))})
        for name, level in (("a", 20), ("b", 40))
    ]
    pd.concat(tables).to_csv(folder / "waves.csv", index=False)


def train(folder: Path, *settings: str, kill_at_batch: int | None = None, **environment: str) -> subprocess.Popen:
    """A training of `waves.csv` in `folder`, in a process of its own."""
    start = ["-m", "tsattn.train"] if kill_at_batch is None else ["-c", KILLED_AT_BATCH, str(kill_at_batch)]
    return subprocess.Popen(
        [sys.executable, *start, *COMMAND, *settings],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> None:
    """Let it end, as it should."""
    out, err = process.communicate()
    assert process.returncode == 0, out + err


def digest(folder: Path) -> str:
    """SHA-256 of the weights in a run folder."""
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def kill_at_steps(folder: Path, *, times: int, seed: int) -> Outcome:
    """SIGKILL one training at `times` random batches, each attempt under another PYTHONHASHSEED, then let it end."""
    write_waves(folder)
    finish(train(folder, *DROPOUT, "output=whole", PYTHONHASHSEED="1"))
    draw, kills = random.Random(seed), 0
    for attempt in range(times):
        process = train(folder, *DROPOUT, "output=cut", kill_at_batch=draw.randint(2, 40), PYTHONHASHSEED=str(attempt + 2))
        process.communicate()
        kills += process.returncode == -9
    finish(train(folder, *DROPOUT, "output=cut", PYTHONHASHSEED="99"))
    return Outcome(kills, digest(folder / "whole"), digest(folder / "cut"))


def kill_at_moments(folder: Path, *, times: int, seed: int, tmpdir: Path | None = None) -> tuple[int, int, list[str]]:
    """SIGKILL trainings into a folder that holds a model, at random moments: (kills, loads that worked, left-overs at the end).

    Each attempt trains with another seed, so that old and new models differ; what loads must be whole.
    """
    write_waves(folder)
    environment = {} if tmpdir is None else {"TMPDIR": str(tmpdir)}
    finish(train(folder, "output=run", **environment))
    draw, kills, loaded = random.Random(seed), 0, 0
    for attempt in range(times):
        process = train(folder, "output=run", f"seed={attempt // 3}", **environment)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("  head:") or "parameters" in line or "goes on" in line:
                break
        time.sleep(draw.uniform(0.0, 3.0))
        process.kill()
        process.communicate()
        kills += process.returncode == -9
        loaded += store.load(folder / "run").fitted.network is not None
    finish(train(folder, "output=run", "seed=1000", **environment))
    known = {"model.safetensors", "config.json", "findings.json", "manifest.json", "train.json", "verdict_windows.csv", "logs"}
    return kills, loaded, sorted(path.name for path in (folder / "run").iterdir() if path.name not in known)
