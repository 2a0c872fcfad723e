"""Seeded synthetic panels, shared by the tests."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: for tiny tensors more threads only cost

import numpy as np
import pandas as pd
import pytest

from tsattn.config import EncoderConfig, FitConfig, TrainerConfig
from tsattn.data.panel import Panel
from tsattn.forecaster import Forecaster

LENGTHS = [9, 0, 1, 14]
STARTS = [5, 0, 3, 2]  # calendar row of the first row of each series
CALENDAR_ROWS = 25


@pytest.fixture
def ragged_panel() -> Panel:
    """Four series of 9, 0, 1 and 14 rows with two variates, gaps, and a calendar of three columns that reaches 6 rows on."""
    rng = np.random.default_rng(0)
    values = rng.normal(10, 3, (sum(LENGTHS), 2)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    calendar = rng.uniform(-1, 1, (CALENDAR_ROWS, 3)).astype(np.float32)
    indptr = np.cumsum([0, *LENGTHS]).astype(np.int64)
    return Panel(
        values, indptr, np.array(STARTS, np.int64), calendar, "D", ("a", "empty", "single", "long"), np.zeros(4, np.int64)
    )


@pytest.fixture(scope="session")
def quick() -> Any:
    """`quick(**changes)`: a FitConfig that trains for 20 steps on the CPU, silently."""

    def configured(*, head: str = "quantile", model: EncoderConfig | None = None, **changes: Any) -> FitConfig:
        few = {"accelerator": "cpu", "max_steps": 20, "validate_every": 10, "warmup_steps": 5}
        trainer = TrainerConfig(**{**few, **changes.pop("trainer", {})})
        return FitConfig(**{"horizon": 5, "model": model or EncoderConfig(head=head), "trainer": trainer, **changes})

    return configured


@pytest.fixture(scope="session")
def two_waves() -> pd.DataFrame:
    """Counts of two shops over 120 days with a weekly wave, in columns named by a user: shop, day, sold."""
    rng = np.random.default_rng(0)
    days = np.arange(120)
    sold = [level + level / 2 * np.sin(2 * np.pi * days / 7) + rng.normal(0, 2, 120) for level in (20, 60)]
    stamps = pd.date_range("2024-01-01", periods=120).strftime("%Y-%m-%d")
    shops = np.repeat(["north", "south"], 120)
    return pd.DataFrame({"shop": shops, "day": [*stamps, *stamps], "sold": np.concatenate(sold).round().astype(int)})


@pytest.fixture(scope="session")
def answered_by_network() -> Callable[[Forecaster], Forecaster]:
    """The forecaster with its network answering, whatever the verdict says: 20 steps seldom beat a naive forecast."""

    def changed(forecaster: Forecaster) -> Forecaster:
        verdict = replace(forecaster.fitted_.verdict, answer="network")
        forecaster.fitted_ = replace(forecaster.fitted_, verdict=verdict)
        return forecaster

    return changed


@pytest.fixture(scope="session")
def trained(two_waves: pd.DataFrame, quick: Any, answered_by_network: Any) -> Forecaster:
    """A forecaster of horizon 5 for `two_waves` whose network answers."""
    return answered_by_network(Forecaster(config=quick()).fit(two_waves))


@pytest.fixture(scope="session")
def trained_folder(trained: Forecaster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder of `trained`."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    trained.save(folder)
    return folder


@pytest.fixture
def waves_csv(two_waves: pd.DataFrame, tmp_path: Path) -> Path:
    """`two_waves` as a file."""
    path = tmp_path / "waves.csv"
    two_waves.to_csv(path, index=False)
    return path


def pytest_collection_finish() -> None:
    """What is loaded by now stays: the garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
