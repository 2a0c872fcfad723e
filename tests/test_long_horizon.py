"""The long-horizon benchmark: which windows it counts, with what it scales them, and that training never sees the test part."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from tsattn.config import MODEL_CONFIGS
from tsattn.fitted import Settings, build_network

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "long_horizon.py"
PARTS = (60, 80, 110)
LOOKBACK, HORIZON = 12, 6


@pytest.fixture(scope="module")
def script() -> Any:
    """The benchmark as a module."""
    spec = importlib.util.spec_from_file_location("long_horizon", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["long_horizon"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def values() -> np.ndarray:
    """Three variates of different level and spread, 120 rows of which the last 10 belong to no part."""
    rng = np.random.default_rng(0)
    return rng.normal([0, 50, -3], [1, 9, 0.1], (120, 3)).cumsum(0)


def untrained_patch() -> Any:
    """A small attention model with fresh weights."""
    config = MODEL_CONFIGS["patch"](
        head="point", scaling="standard", patch_length=4, d_model=8, num_layers=1, num_heads=1, d_ff=16, positional="rotary"
    )
    return build_network(Settings(HORIZON, LOOKBACK, (0.5,), (0.5,), 0, architecture="patch", model=config), 0)


@pytest.mark.parametrize("batch", [1, 7, 512])
def test_the_metric_does_not_depend_on_the_batch_and_equals_a_loop_over_all_windows(script, values, batch):
    known = values[: PARTS[0]]
    z = (values - known.mean(0)) / known.std(0)
    squares, windows = [], 0
    for cut in range(PARTS[1], PARTS[2] - HORIZON + 1):
        windows += 1
        for variate in range(3):
            squares += [(z[cut + step, variate] - z[cut - 1, variate]) ** 2 for step in range(HORIZON)]
    table = script.make_table("small", values, PARTS)
    cuts = script.cuts_between(PARTS[1], PARTS[2], HORIZON)
    result = script.errors(script.repeat_last, table, cuts, lookback=LOOKBACK, horizon=HORIZON, batch=batch)
    assert result.windows == windows == 25
    assert result.values == len(squares) == 25 * 3 * HORIZON
    assert result.mse == pytest.approx(np.mean(squares), rel=1e-5)


def test_the_metric_of_a_network_is_the_same_at_every_batch(script, values):
    table = script.make_table("small", values, PARTS)
    forecast = script.network_forecast(untrained_patch())
    cuts = script.cuts_between(PARTS[1], PARTS[2], HORIZON)
    results = [
        script.errors(forecast, table, cuts, lookback=LOOKBACK, horizon=HORIZON, batch=batch) for batch in (1, 7, 20, 512)
    ]
    for result in results[1:]:
        assert result == pytest.approx(results[0], rel=1e-6)


def test_every_lookback_has_the_same_targets(script, values):
    table = script.make_table("small", values, PARTS)
    cuts = script.cuts_between(PARTS[1], PARTS[2], HORIZON)
    first, second = (
        script.errors(script.repeat_last, table, cuts, lookback=lookback, horizon=HORIZON) for lookback in (1, LOOKBACK)
    )
    assert first == second


def test_rows_after_the_train_part_do_not_move_the_scaling(script, values):
    other = values.copy()
    other[PARTS[0] :] += 1000
    first, second = (script.make_table("small", v, PARTS) for v in (values, other))
    rows = (first.panel.begin[:, None] + torch.arange(PARTS[0])).flatten()
    assert torch.equal(first.panel.values[rows], second.panel.values[rows])
    assert first.panel.values[rows].reshape(3, -1).mean(1).numpy() == pytest.approx(np.zeros(3), abs=1e-6)


def test_the_usual_splits_have_the_published_number_of_test_windows(script):
    assert script.split("ETTh1", 17420) == (8640, 11520, 14400)
    assert script.split("exchange", 7588) == (5311, 6071, 7588)
    assert len(script.cuts_between(11520, 14400, 96)) == 2785
    assert len(script.cuts_between(6071, 7588, 96)) == 1422


def test_training_never_reads_the_test_part(script, values, monkeypatch):
    monkeypatch.setitem(script.DATASETS, "small", script.Dataset("", "h", 4, PARTS, LOOKBACK, (HORIZON,)))
    changed = values.copy()
    changed[PARTS[1] :] = np.nan
    weights = []
    for table_values in (values, changed):
        table = script.make_table("small", table_values, PARTS)
        monkeypatch.setattr(script, "read_table", lambda *_, table=table, **__: table)
        choices = {
            "model.scaling": "standard",
            "model.patch_length": 4,
            "model.d_model": 8,
            "model.num_layers": 1,
            "trainer.max_steps": 4,
            "trainer.validate_every": 2,
            "trainer.batch_size": 8,
            "table_units": True,
        }
        outcome = script.fit(Path(), "small", HORIZON, "patch", 0, choices)
        weights.append(outcome.network.state_dict())
        assert outcome.facts["validation"]["windows"] == PARTS[1] - PARTS[0] - HORIZON + 1
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name


def test_the_loss_in_table_units_is_the_error_in_units_of_the_table(script, values):
    table = script.make_table("small", values, PARTS)
    network = untrained_patch()
    network.head.__class__ = script.TableUnits
    network.head.kind = "mse"
    cuts = script.cuts_between(PARTS[1], PARTS[2], HORIZON)
    expected = script.errors(script.network_forecast(network), table, cuts, lookback=LOOKBACK, horizon=HORIZON).mse
    series, cut = (torch.from_numpy(part) for part in script.each_series(cuts, 3))
    windows = script.gather(table.until(PARTS[2]), series, cut, context_length=LOOKBACK, horizon=HORIZON)
    with torch.inference_mode():
        raw, scale = network(windows.context, windows.observed, windows.features, HORIZON)
        loss = network.head.loss(raw, windows.target, windows.target_observed, scale)
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_the_table_shows_mean_and_deviation_over_seeds_beside_published_figures(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "RESULTS", tmp_path)
    for seed, mse in enumerate([0.1, 0.3]):
        for horizon in script.LONG:
            test = {"mse": mse, "mae": 0.5, "windows": 10, "values": 100}
            result = {"dataset": "ETTh1", "horizon": horizon, "model": "patch", "seed": seed, "test": test}
            (tmp_path / f"ETTh1_{horizon}_patch_{seed}.json").write_text(json.dumps(result))
    text = script.write_table()
    assert "| patch, 2 seeds | 0.200 ± 0.141 / 0.500 ± 0.000 |" in text
    assert "| 0.200 ± 0.141 / 0.500 ± 0.000 |\n" in text
    assert "PatchTST/42 *(published)* | 0.375 / 0.399" in text
    frame = pd.read_csv(tmp_path / "table.csv")
    assert set(frame["source"]) == {"run here", "published"}
    assert frame.loc[frame["model"] == "patch", "seeds"].tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize(("text", "value"), [("3", 3), ("0.5", 0.5), ("True", True), ("last", "last")])
def test_a_setting_of_a_trial_is_a_number_a_truth_value_or_a_word(script, text, value):
    assert script.value_of(text) == value
