"""Rows at their own times (read.missing=skip), forecast by a model that knows the time of each (model.positional=calendar)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from tsattn import EncoderConfig, Forecaster
from tsattn.config import ReadConfig
from tsattn.data.findings import DataError
from tsattn.data.frame import to_frame, to_rows
from tsattn.data.panel import ELAPSED, make_panel
from tsattn.data.windows import gather, panel_tensors
from tsattn.nn.tokens import elapsed_time
from tsattn.tables import stamps_after

SKIP = {"missing": "skip"}
TIMED = EncoderConfig(positional="calendar", head="quantile", d_model=8, num_layers=1, num_heads=1, d_ff=8, patch_length=1)


@pytest.fixture(scope="module")
def visits() -> pd.DataFrame:
    """Two sensors read every 5 to 40 minutes, a wave of 8 hours in real time; some readings are blank."""
    rng = np.random.default_rng(3)
    parts = []
    for name, num in (("a", 150), ("b", 110)):
        minutes = np.cumsum(rng.choice([5, 10, 10, 10, 25, 40], size=num))
        value = 100 + 50 * np.sin(2 * np.pi * minutes / 480) + rng.normal(0, 2, num)
        value[rng.random(num) < 0.05] = np.nan
        when = pd.Timestamp("2024-03-01") + pd.to_timedelta(minutes, unit="min")
        parts.append(pd.DataFrame({"sensor": name, "when": when, "reading": value.round(2)}))
    return pd.concat(parts, ignore_index=True)


def frame_of(data: pd.DataFrame):
    config = ReadConfig(missing="skip")
    return to_frame(to_rows(data, config), config)


def test_rows_stay_at_their_times_and_blank_ones_are_left_out(visits):
    frame = frame_of(visits)
    expected = visits.dropna().reset_index(drop=True)
    assert frame.df["ds"].tolist() == expected["when"].tolist()
    assert frame.df["y"].tolist() == expected["reading"].tolist()
    assert not frame.regular
    assert frame.season_length == 1
    assert f"{visits['reading'].isna().sum()} rows without a value are left out" in " ".join(map(str, frame.findings))


def test_a_series_without_any_value_keeps_one_row(visits):
    data = pd.concat([visits, pd.DataFrame({"sensor": "c", "when": visits["when"][:3], "reading": np.nan})])
    frame = frame_of(data)
    assert frame.df["unique_id"].unique().tolist() == ["a", "b", "c"]
    assert (frame.df["unique_id"] == "c").sum() == 1


def test_elapsed_is_the_time_since_the_first_row_in_usual_steps(visits):
    frame = frame_of(visits)
    ahead = stamps_after(frame, 3)
    panel = make_panel(frame, horizon=3, features=[ELAPSED, "time_of_day_sin1"], ahead=pd.Index(ahead["ds"]))
    assert panel.calendar.shape == (len(frame.df) + 6, 2)
    for s, name in enumerate(("a", "b")):
        times = [*frame.df.loc[frame.df["unique_id"] == name, "ds"], *ahead.loc[ahead["unique_id"] == name, "ds"]]
        for t, time in enumerate(times):
            expected = (time - times[0]) / pd.Timedelta("10min")
            assert panel.calendar[panel.start[s] + t, 0] == pytest.approx(expected, rel=1e-6, abs=1e-4)
            angle = 2 * np.pi * (time.hour * 60 + time.minute) / 1440
            assert panel.calendar[panel.start[s] + t, 1] == pytest.approx(np.sin(angle), abs=1e-5)


def test_a_step_counts_in_full_after_a_year_of_seconds():
    seconds = np.concatenate([np.arange(50) + day * 86400 for day in (0, 366)])
    data = pd.DataFrame({"ds": pd.Timestamp("2024-01-01") + pd.to_timedelta(seconds, unit="s"), "y": np.arange(100.0)})
    frame = frame_of(data)
    panel = make_panel(frame, horizon=2, features=[ELAPSED], ahead=pd.Index(stamps_after(frame, 2)["ds"]))
    np.testing.assert_array_equal(np.diff(panel.calendar[50:, 0]), 1.0)
    batch = gather(panel_tensors(panel), torch.tensor([0]), torch.tensor([98]), context_length=20, horizon=2)
    elapsed = elapsed_time(batch.features[..., 0], batch.observed, 2, 1)
    assert elapsed[0].tolist() == list(range(-20, 2))


@pytest.fixture(scope="module")
def trained(visits, quick) -> Forecaster:
    return Forecaster(config=quick(model=TIMED, context_length=20, horizon=4)).fit(visits, read=SKIP)


def test_it_goes_on_by_usual_steps_and_comes_back_from_a_folder(trained, visits, tmp_path):
    table = trained.predict()
    last = visits.dropna().groupby("sensor")["when"].last()
    for name, steps in table.groupby("sensor"):
        assert steps["when"].tolist() == [last[name] + k * pd.Timedelta("10min") for k in (1, 2, 3, 4)]
    trained.save(tmp_path / "model")
    pd.testing.assert_frame_equal(Forecaster.load(tmp_path / "model").predict(visits), table)


def test_times_that_are_given_are_the_ones_forecast(trained, visits):
    last = visits.dropna().groupby("sensor")["when"].last()
    minutes = {"a": [7, 100], "b": [1, 2, 3, 50]}
    future = pd.DataFrame(
        [{"sensor": name, "when": last[name] + pd.Timedelta(minutes=m)} for name in minutes for m in minutes[name]]
    )
    table = trained.predict(future=future)
    a, b = (table.loc[table["sensor"] == name, "when"].tolist() for name in ("a", "b"))
    assert a == [last["a"] + pd.Timedelta(minutes=m) for m in (7, 100, 110, 120)]  # usual steps after the given ones
    assert b == [last["b"] + pd.Timedelta(minutes=m) for m in (1, 2, 3, 50)]
    usual = trained.predict()
    if trained.verdict_.answer == "network":
        assert not np.allclose(usual["forecast"], table["forecast"])


def test_a_back_test_asks_for_the_times_of_the_rows_that_follow(trained, visits):
    table = trained.backtest(windows=2)
    rows = visits.dropna().rename(columns={"reading": "y"})
    joined = table.merge(rows, on=["sensor", "when"], suffixes=("", "_true"), how="left")
    np.testing.assert_array_equal(joined["y"], joined["y_true"])
    assert joined["y"].notna().all()
    assert len(table) == 2 * 2 * 4


def test_a_usual_step_that_is_another_before_the_cut_off_is_no_hindrance(quick):
    rng = np.random.default_rng(0)
    when = pd.Timestamp("2024-03-01") + pd.to_timedelta(np.cumsum(rng.integers(60, 600, 60)), unit="s")
    table = pd.DataFrame({"when": when, "reading": rng.normal(50, 5, 60)})
    assert frame_of(table.iloc[:51]).freq != frame_of(table).freq
    found = Forecaster(config=quick(model=TIMED, horizon=3)).fit(table, read=SKIP).backtest(windows=3)
    assert found["when"].tolist() == table["when"].iloc[-9:].tolist()


def test_what_comes_after_a_cut_off_has_no_say_but_its_times(visits, quick):
    changed = visits.copy()
    tail = changed.groupby("sensor").cumcount(ascending=False) < 4
    changed.loc[tail & changed["reading"].notna(), "reading"] += 1000
    config = quick(model=TIMED, context_length=20, horizon=4, refit=False, trainer={"max_steps": 6, "validate_every": 3})
    tables = []
    for data in (visits, changed):
        forecaster = Forecaster(config=config)
        forecaster.read_ = ReadConfig(missing="skip")
        tables.append(forecaster.backtest(data, windows=1))
    columns = ["forecast", "q0.1", "q0.9", "network"]
    np.testing.assert_array_equal(tables[0][columns], tables[1][columns])
    assert not np.array_equal(tables[0]["y"], tables[1]["y"])


def test_models_that_do_not_know_the_time_refuse_such_rows(visits, quick):
    with pytest.raises(DataError, match=r"needs model=encoder model\.positional=calendar"):
        Forecaster(config=quick(horizon=4)).fit(visits, read=SKIP)
    with pytest.raises(DataError, match=r"read\.missing=skip takes the rows .*model\.positional=calendar"):
        Forecaster(config=quick(horizon=4)).fit(visits)
    naive = Forecaster(horizon=4).fit_naive(visits, read=SKIP)
    assert naive.predict()["forecast"].notna().all()


def test_gaps_may_be_left_out_of_a_regular_table(two_waves, quick):
    gappy = two_waves.drop(index=[30, 31, 32, 50, 170])
    config = quick(model=TIMED, context_length=20, horizon=4)
    skipped = Forecaster(config=config).fit(gappy, read=SKIP)
    assert len(skipped.predict()) == 8
    assert skipped.fitted_.schema.features[0] == ELAPSED
