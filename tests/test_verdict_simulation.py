"""Is the verdict honest? Nothing beats the last value of a random walk; on a lag that no baseline uses the model does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tsattn import FitConfig, Forecaster

ROWS, HORIZON, REPEATS = 600, 7, 20


def random_walk(seed: int) -> np.ndarray:
    return 50 + np.cumsum(np.random.default_rng(seed).normal(size=ROWS))


def driven_by_lag(seed: int, lag: int = 10, strength: float = 0.9) -> np.ndarray:
    """y_t = strength y_{t - lag} + e_t; the season that the baselines use is 7."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=ROWS + 200)
    for t in range(lag, len(y)):
        y[t] += strength * y[t - lag]
    return 50 + y[-ROWS:]


def decisions(make: object) -> list[str]:
    found = []
    for seed in range(REPEATS):
        series = pd.Series(make(seed), index=pd.date_range("2022-01-01", periods=ROWS))  # type: ignore[operator]
        forecaster = Forecaster(horizon=HORIZON, config=FitConfig(refit=False)).fit(series)
        found.append(forecaster.verdict_.decision)
    return found


@pytest.mark.slow
def test_on_twenty_random_walks_the_verdict_says_use_it_at_most_twice() -> None:
    assert decisions(random_walk).count("use it") <= 2


@pytest.mark.slow
def test_on_twenty_series_driven_by_an_unused_lag_the_verdict_says_use_it_at_least_eighteen_times() -> None:
    assert decisions(driven_by_lag).count("use it") >= 18
