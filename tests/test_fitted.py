"""Forecasts from a fit: rolled horizons, counts, and digits that single precision would lose."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tsattn import FitConfig, Forecaster, fitted, tables
from tsattn.config import EncoderConfig, TrainerConfig
from tsattn.data.frame import to_frame, to_rows
from tsattn.data.panel import make_panel
from tsattn.fitted import Fitted, Schema, Settings
from tsattn.verdict import Verdict

LEVELS = (0.1, 0.4, 0.5, 0.9)


def fit_of(head: str, *, integer: bool, horizon: int = 2) -> Fitted:
    schema = Schema(None, None, None, "D", 1, integer, (), 1, 10, "")
    settings = Settings(horizon, 4, LEVELS, LEVELS, 0, "encoder", EncoderConfig(head=head))
    return Fitted(schema, settings, Verdict("network", "use it", ""))


def blocks(monkeypatch: pytest.MonkeyPatch, *quantiles: list[list[float]]) -> list[np.ndarray]:
    """Let the network answer these quantiles, block after block; returns the contexts that it was given."""
    given: list[np.ndarray] = []

    def forward(fit: Fitted, context: np.ndarray, features: object) -> tuple[np.ndarray, np.ndarray]:
        answer = np.array([quantiles[len(given)]])
        given.append(context)
        return answer.mean(-1), answer

    monkeypatch.setattr(fitted, "forward", forward)
    return given


def test_a_rolled_block_is_as_wide_as_the_errors_of_both_blocks_together(monkeypatch: pytest.MonkeyPatch) -> None:
    given = blocks(monkeypatch, [[0, 3, 4, 7], [1, 3, 4, 8]], [[6, 9, 10, 14], [10, 10, 10, 10]])
    result = fitted.roll(fit_of("point", integer=False), np.array([[[1.0], [2.0], [3.0], [4.0]]]), None, 4)
    first = [[0, 3, 4, 7], [1, 3, 4, 8]]
    # distances from the median joined with those at the end of the first block, (3, 1, 0, 4), also where the block has none
    second = [[10 - 5, 10 - 2**0.5, 10, 10 + 32**0.5], [10 - 3, 10 - 1, 10, 10 + 4]]
    np.testing.assert_allclose(result.quantiles[0], [*first, *second])
    assert given[1].ravel().tolist() == [3, 4, 4, 4]  # the medians are the next block's history


def test_rolled_counts_never_fall_below_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks(monkeypatch, [[0, 1, 1, 4], [0, 1, 1, 4]], [[0, 1, 1, 3], [1, 1, 1, 1]])
    result = fitted.roll(fit_of("negative_binomial", integer=True), np.ones((1, 4, 1)), None, 4)
    # 1 - hypot(1, 1) would be below 0, and the upper distances are hypot(2, 3) and 3
    np.testing.assert_allclose(result.quantiles[0, 2:], [[0, 1, 1, 1 + 13**0.5], [0, 1, 1, 4]])


def test_the_mean_of_counts_is_that_of_the_quantiles_as_they_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks(monkeypatch, [[-4, -1, 0, 5], [-4, -1, 0, 5]])
    result = fitted.roll(fit_of("quantile", integer=True), np.ones((1, 4, 1)), None, 2)
    assert result.quantiles[0, 0].tolist() == [0, 0, 0, 5]
    # the quantile function is 0 up to 0.5, rises to 5 at 0.9 and stays: 0.4 * 2.5 + 0.1 * 5
    assert result.mean[0].tolist() == pytest.approx([1.5, 1.5])


def test_counts_are_held_in_single_precision_and_everything_that_needs_more_in_double() -> None:
    def panel(values: list[float]) -> np.ndarray:
        frame = to_frame(to_rows(pd.Series(values, index=pd.date_range("2024-01-01", periods=len(values)))))
        return make_panel(frame, horizon=1, features=[]).values

    assert panel([3.0, 4.0, np.nan]).dtype == np.float32
    large = panel([16777217.0, 16777219.0])
    assert large.dtype == np.float64
    assert large.ravel().tolist() == [16777217.0, 16777219.0]


def test_a_level_of_a_billion_keeps_its_last_digits() -> None:
    values = [1e9 + value for value in (3, 8, 1, 9, 4, 7, 2, 6)]
    assert Forecaster(horizon=1, config=FitConfig()).fit(values).predict()["forecast"].iloc[0] % 1e9 < 10
    assert Forecaster(horizon=1).fit([16777217] * 3).predict()["forecast"].tolist() == [16777217]


def test_a_series_without_a_value_in_the_context_is_answered_by_a_naive_forecast() -> None:
    rng = np.random.default_rng(0)
    days = pd.date_range("2023-01-01", periods=400)
    table = pd.DataFrame({"ds": [*days[:300], *days[361:]], "y": rng.poisson(20, 339).astype(float)})  # an outage of 61 days
    config = FitConfig(trainer=TrainerConfig(max_steps=6, validate_every=3), model=EncoderConfig(head="quantile"))
    forecaster = Forecaster(horizon=5, config=config).fit(table)  # its verdict windows begin within the outage
    assert forecaster.fitted_.network is not None
    network = replace(forecaster.fitted_, verdict=replace(forecaster.verdict_, answer="network", best_baseline="drift"))
    frame = to_frame(to_rows(table.assign(y=table["y"].where(table["ds"] < "2023-10-01"))))  # nothing for four months
    answer = tables.forecast_table(network, frame, 5)
    assert answer["model"].tolist() == ["last_value"] * 5
    assert answer["forecast"].tolist() == [table.loc[table["ds"] < "2023-10-01", "y"].iloc[-1]] * 5
    assert tables.forecast_table(network, to_frame(to_rows(table)), 5)["model"].tolist() == ["network"] * 5


def test_a_network_that_gives_no_finite_number_is_an_error_and_no_forecast(trained):
    forecaster = copy.deepcopy(trained)
    with torch.no_grad():
        for parameter in forecaster.fitted_.network.parameters():
            parameter.fill_(1e38)
    with pytest.raises(ValueError, match=r"the model forecasts no finite number for '\w+' \(2 of 2 series\)"):
        forecaster.predict()
