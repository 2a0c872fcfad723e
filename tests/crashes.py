"""Pulling the plug: drivers that kill real commands at random steps and moments, for the slow tests and `benchmarks/`."""

from __future__ import annotations

import hashlib
import os
import random
import re
import shlex
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


def train(folder: Path, *settings: str, kill_at_batch: int | None = None, **variables: str) -> subprocess.Popen:
    """A training of `waves.csv` in `folder`, in a process of its own."""
    start = ["-m", "tsattn.train"] if kill_at_batch is None else ["-c", KILLED_AT_BATCH, str(kill_at_batch)]
    return subprocess.Popen(
        [sys.executable, *start, *COMMAND, *settings],
        cwd=folder,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def environment(**variables: str) -> dict[str, str]:
    """That of this process, with one thread and these variables."""
    return {**os.environ, "OMP_NUM_THREADS": "1", **variables}


def finish(process: subprocess.Popen) -> None:
    """Let it end, as it should."""
    out, err = process.communicate()
    assert process.returncode == 0, out + err


def digest(folder: Path) -> str:
    """SHA-256 of the weights in a run folder."""
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def kill_at_steps(folder: Path, *, times: int, seed: int) -> Outcome:
    """SIGKILL one training at `times` random batches, each attempt under another PYTHONHASHSEED, then let it end.

    What goes on is the command that the killed one printed.
    """
    write_waves(folder)
    finish(train(folder, *DROPOUT, "output=whole", PYTHONHASHSEED="1"))
    draw, kills, printed = random.Random(seed), 0, ""
    while kills < times:
        process = train(folder, *DROPOUT, "output=cut", kill_at_batch=draw.randint(2, 25), PYTHONHASHSEED=str(kills + 2))
        out, err = process.communicate()
        assert process.returncode == -9, out + err
        kills += 1
        [printed] = re.findall(r"it goes on with: python (.*)", out)
    again, hashes = [sys.executable, *shlex.split(printed)], environment(PYTHONHASHSEED="99")
    last = subprocess.run(again, cwd=folder, env=hashes, capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    assert re.search("goes on from step|trained before", last.stdout)
    assert "begins anew" not in last.stdout
    return Outcome(kills, digest(folder / "whole"), digest(folder / "cut"))


def kill_at_moments(folder: Path, *, times: int, seed: int, tmpdir: Path | None = None) -> tuple[int, int, list[str]]:
    """SIGKILL trainings into a folder that holds a model, at random moments: (kills, whole models found, left-overs).

    Each training has another seed, so that the old model and the new one differ; one of the two must be there, and what a
    killed one noted of its state must be whole, or its end be the first thing of it.
    """
    write_waves(folder)
    elsewhere = {} if tmpdir is None else {"TMPDIR": str(tmpdir)}
    finish(train(folder, "output=run", "seed=0", **elsewhere))
    draw, kills, whole, current, said = random.Random(seed), 0, 0, 0, ""
    while kills < times:
        following = current + 1 + kills // 3
        process = train(folder, "output=run", f"seed={following}", **elsewhere)
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if "goes on with" in line:
                break
        time.sleep(draw.uniform(0.0, 2.5))
        process.kill()
        said += process.communicate()[0]
        kills += process.returncode == -9
        found = store.load(folder / "run").fitted.settings.seed
        whole += found in (current, following) and process.returncode == -9
        current = found
    assert "is damaged" not in said
    finish(train(folder, "output=run", "seed=1000", **elsewhere))
    known = {"model.safetensors", "config.json", "findings.json", "manifest.json", "train.json", "verdict_windows.csv", "logs"}
    unfinished = {"checkpoints"}  # of trainings with other seeds, which may go on
    return kills, whole, sorted(path.name for path in (folder / "run").iterdir() if path.name not in known | unfinished)
