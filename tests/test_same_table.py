"""The same numbers in another order or form of table are the same series, and what was done to them is said."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from tsattn.config import ReadConfig, check_horizon
from tsattn.data.findings import DataError
from tsattn.data.frame import Frame, to_frame, to_rows
from tsattn.forecaster import Forecaster

DAYS = pd.date_range("2024-01-01", periods=60)


def frame_of(data, **settings) -> Frame:
    config = ReadConfig(**settings)
    return to_frame(to_rows(data, config), config)


def said(frame: Frame, topic: str) -> list[str]:
    return [finding.message for finding in frame.findings if finding.topic == topic]


# ---- order and row numbers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["as it is", "shuffled", "rows left out"])
def test_the_index_that_pandas_writes_is_no_series(tmp_path, order):
    table = pd.DataFrame({"date": DAYS, "sales": np.arange(60) % 7})
    table = table.drop(index=[10, 11]) if order == "rows left out" else table
    table = table.sample(frac=1, random_state=0) if order == "shuffled" else table
    table.to_csv(tmp_path / "with.csv")
    table.to_csv(tmp_path / "without.csv", index=False)
    with_index, without = (frame_of(tmp_path / f"{name}.csv") for name in ("with", "without"))
    pd.testing.assert_frame_equal(with_index.df, without.df)
    assert any("Unnamed: 0 only numbers the rows" in message for message in said(with_index, "columns"))


def test_whole_numbers_called_index_that_repeat_or_lie_far_apart_are_values():
    for values in (np.arange(60) // 2, 100 * np.arange(60)):
        assert len(frame_of(pd.DataFrame({"date": DAYS, "index": values, "sales": 1.5})).lengths) == 2


@pytest.mark.parametrize("shuffled", [False, True])
def test_stores_one_after_the_other_are_two_series_in_any_order(shuffled):
    table = pd.DataFrame({"date": DAYS, "store": ["A"] * 30 + ["B"] * 30, "sales": range(60)})
    frame = frame_of(table.sample(frac=1, random_state=0) if shuffled else table)
    assert frame.lengths.tolist() == [30, 30]


def quarters_of_october() -> pd.DataFrame:
    """Quarters of hours of two days in Berlin, on the second of which the clock is put back; y numbers them."""
    stamps = pd.date_range("2024-10-26", "2024-10-28", freq="15min", tz="Europe/Berlin")
    return pd.DataFrame({"ds": stamps.tz_localize(None), "y": np.arange(float(len(stamps)))})


def test_a_repeated_hour_is_read_in_the_order_of_each_series():
    up, down = quarters_of_october(), quarters_of_october()[::-1]
    mixed = pd.concat([down.assign(id=name, at=range(len(down))) for name in "abc"]).sort_values(["at", "id"])
    for table in (mixed.drop(columns="at"), pd.concat([up.assign(id="a"), down.assign(id="b")])):
        frame = frame_of(table, tz="Europe/Berlin", id="id")
        for _, rows in frame.df.groupby("unique_id"):
            assert rows["y"].tolist() == up["y"].tolist()


def test_a_repeated_hour_among_rows_without_order_is_refused():
    with pytest.raises(DataError, match=r"is ambiguous there.*or sort the rows by time"):
        frame_of(quarters_of_october().sample(frac=1, random_state=0), tz="Europe/Berlin")


# ---- form --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "frame", "parquet"])
def test_blanks_around_ids_are_removed_and_said(tmp_path, form):
    table = pd.DataFrame({"store": ["a"] * 60 + ["b "] * 60, "date": [*DAYS, *DAYS], "y": 1.0})
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    frame = frame_of({"csv": tmp_path / "t.csv", "frame": table, "parquet": tmp_path / "t.parquet"}[form])
    assert frame.df["unique_id"].unique().tolist() == ["a", "b"]
    assert "blanks around the ids in store were removed" in said(frame, "columns")


def test_stamps_of_several_offsets_become_utc_and_it_is_said():
    stamps = [dt.datetime(2024, 3, 31, hour, tzinfo=dt.timezone(dt.timedelta(hours=1 + (hour > 2)))) for hour in (0, 1, 3, 4)]
    objects = pd.DataFrame({"ds": pd.Series(stamps, dtype=object), "y": 1.0})
    texts = pd.DataFrame({"ds": [stamp.isoformat() for stamp in stamps], "y": 1.0})
    found = [frame_of(table) for table in (objects, texts)]
    pd.testing.assert_frame_equal(found[0].df, found[1].df)
    assert any("2 different UTC offsets" in message for message in said(found[0], "time"))


@pytest.mark.parametrize("change", ["zone", "other zone", "text", "bool", "nothing"])
def test_parquet_files_of_other_kinds_are_refused_by_name(tmp_path, change):
    first = pd.DataFrame({"date": DAYS, "y": 1.0})
    second = first.assign(date=DAYS + pd.Timedelta(days=60))
    if change == "other zone":
        first = first.assign(date=first["date"].dt.tz_localize("Europe/Berlin"))
    if "zone" in change:
        second = second.assign(date=second["date"].dt.tz_localize("UTC"))
    else:
        second = second.assign(y={"text": "many", "bool": True, "nothing": None}[change])
    first.to_parquet(tmp_path / "a.parquet")
    second.to_parquet(tmp_path / "b.parquet")
    if change == "nothing":
        assert np.isnan(frame_of(tmp_path / "*.parquet").df["y"]).sum() == 60
        return
    with pytest.raises(DataError, match=r"b\.parquet: the column '\w+' holds .*, but in a\.parquet .*: convert one of them"):
        frame_of(tmp_path / "*.parquet")


def test_large_numbers_name_series_and_columns_of_unequal_length_are_refused():
    table = pd.DataFrame({"id": np.repeat([1e20, 2e20], 60), "date": [*DAYS, *DAYS], "y": 1.0})
    assert frame_of(table, id="id").lengths.tolist() == [60, 60]
    with pytest.raises(DataError, match="columns of one length"):
        frame_of({"a": [1, 2, 3], "b": [1, 2]})


# ---- steps and sums ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [28, 30, 31, 90, 91, 364, 365])
@pytest.mark.parametrize("num", [2, 3, 5, 13])
def test_even_steps_of_days_about_as_long_as_months_are_a_grid(days, num):
    stamps = pd.date_range("2024-01-31", periods=num, freq=f"{days}D")
    frame = frame_of(pd.DataFrame({"ds": stamps, "y": 1.0}))
    assert frame.df["ds"].tolist() == stamps.tolist()


@pytest.mark.parametrize("end", ["2024-07-10 22:00", "2024-07-10 23:00", "2024-07-11 00:00"])
def test_the_last_sum_of_hours_is_kept_where_it_is_whole_across_a_clock_change(end):
    stamps = pd.date_range("2024-02-01", end, freq="h", tz="Europe/Berlin")
    frame = frame_of(pd.DataFrame({"ds": stamps, "y": 1.0}), resample="6h")
    assert frame.df["y"].tolist() == [6.0] * (len(stamps) // 6)


@pytest.mark.parametrize(("rule", "second"), [("mask", np.nan), ("skip", np.nan), ("zero", 6.0), ("ffill", 7.0)])
@pytest.mark.parametrize("even", [True, False])
def test_an_unknown_value_in_a_summed_period_is_taken_by_the_rule_and_named(rule, second, even):
    minutes = np.random.default_rng(0).integers(0, 1440, 28)
    minutes[[0, -1]] = 0, 1380  # so that the first and the last week are whole
    stamps = DAYS[:28] if even else DAYS[:28] + pd.to_timedelta(minutes, unit="min")
    table = pd.DataFrame({"ds": stamps, "y": 1.0})
    table.loc[9, "y"] = np.nan
    frame = frame_of(table, resample="W-MON", missing=rule)
    known = {key: value for key, value in zip(range(4), frame.df["y"], strict=False) if value == value}
    wanted = {0: 7.0, 1: second, 2: 7.0, 3: 7.0}
    if rule == "skip":  # rows without a value are left out
        known = dict(zip([0, 2, 3], frame.df["y"], strict=True))
    assert known == {key: value for key, value in wanted.items() if value == value}
    assert any("1 of 28 values are missing" in message for message in said(frame, "missing"))


def test_gaps_that_are_filled_before_a_sum_are_named():
    table = pd.DataFrame({"ds": DAYS[:56], "y": 1.0}).drop(index=[10, 30])
    frame = frame_of(table, resample="W-MON", missing="zero")
    assert frame.df["y"].tolist() == [7.0, 6.0, 7.0, 7.0, 6.0, 7.0, 7.0, 7.0]
    assert any("2 of 56 times (D) have no row" in message and "set to zero" in message for message in said(frame, "gaps"))


def test_a_horizon_may_be_a_whole_number_of_numpy():
    check_horizon(np.int64(3))
    for horizon in (True, 2.0, np.float64(2.0), np.int64(0), "2"):
        with pytest.raises(ValueError, match="whole number of steps"):
            check_horizon(horizon)


def test_a_horizon_beyond_the_calendar_is_refused_by_its_name():
    forecaster = Forecaster(3).fit_naive(pd.DataFrame({"ds": DAYS, "y": 1.0}))
    with pytest.raises(DataError, match=r"horizon=100000: the times go beyond .*take fewer steps"):
        forecaster.predict(horizon=100_000)
