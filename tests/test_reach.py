"""Rows years away from all others are named, and a grid that cannot be held is refused before it is made."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from tsattn.config import ReadConfig
from tsattn.data.findings import DataError
from tsattn.data.frame import Frame, to_frame, to_rows
from tsattn.data.panel import make_panel
from tsattn.data.reach import check_size
from tsattn.forecaster import Forecaster


def frame_of(data: pd.DataFrame, freq: str | None = None, **settings) -> Frame:
    config = ReadConfig(**settings)
    return to_frame(to_rows(data, config), config, freq=freq)


def table(stamps, **columns) -> pd.DataFrame:
    return pd.DataFrame({**columns, "ds": stamps, "y": np.arange(len(stamps)) % 7 + 1.0})


def warnings_of(frame: Frame) -> list[str]:
    return [finding.message for finding in frame.findings if finding.level == "warning" and "far away" in finding.message]


@pytest.mark.parametrize("freq", ["min", "h", "D", "B", "W-MON", "MS"])
@pytest.mark.parametrize("stray", ["2204-03-01", "1900-01-01"])
def test_a_row_years_away_is_an_error_that_names_it(freq, stray):
    stamps = pd.date_range("2020-01-06", periods=40, freq=freq).append(pd.DatetimeIndex([stray]))
    with pytest.raises(DataError, match=f"1 row lies far away from all others: {stray}[.] Correct or remove .*read.missing="):
        frame_of(table(stamps))


def test_strays_of_a_trained_model_are_named_with_their_series():
    days = pd.date_range("2024-01-01", periods=60)
    forecaster = Forecaster(horizon=3).fit_naive(table(days))
    parts = [
        table(days, unique_id="north"),
        table([*days[:58], *pd.to_datetime(["2204-01-01", "2204-01-02"])], unique_id="south"),
    ]
    with pytest.raises(DataError, match=r"2 rows lie far away from all others: south at 2204-01-01, south at 2204-01-02[.]"):
        forecaster.predict(pd.concat(parts))


def test_three_rows_are_enough_to_see_the_stray_one():
    with pytest.raises(DataError, match="far away from all others: 1970-01-01"):
        frame_of(table(pd.to_datetime(["1970-01-01", "2024-05-01", "2024-05-02"])))
    with pytest.raises(DataError, match="far away from all others: 10000000000000"):
        frame_of(table([1, 2, 10**13]))


def test_a_row_that_might_be_meant_is_a_warning():
    days = pd.date_range("2024-01-01", periods=30)
    later = frame_of(table([*days, pd.Timestamp("2025-01-01")]))
    assert len(later.df) == 367
    assert warnings_of(later) == ["1 row lies far away from all others: 2025-01-01; is the time mistyped?"]
    years = pd.date_range("1990-01-01", periods=30, freq="YS")
    assert warnings_of(frame_of(table([*years, pd.Timestamp("2204-01-01")])))
    assert not warnings_of(frame_of(table([*days, pd.Timestamp("2024-02-20")])))


def test_declared_gaps_may_be_as_wide_as_they_are():
    stamps = [pd.Timestamp("1999-01-01"), *pd.date_range("2024-01-01", periods=40)]
    zeros = frame_of(table(stamps), missing="zero")
    assert len(zeros.df) == 9131 + 40
    assert warnings_of(zeros)
    assert len(frame_of(table(stamps), missing="skip").df) == 41


def test_long_breaks_between_many_rows_are_no_strays():
    stamps = pd.date_range("1990-01-01", periods=50).append(pd.date_range("2020-01-01", periods=50))
    frame = frame_of(table(stamps))
    assert len(frame.df) == 11_007
    assert not warnings_of(frame)


def test_an_event_years_away_is_named_before_it_is_counted():
    events = pd.DataFrame({"ds": [pd.Timestamp("1970-01-01"), *pd.date_range("2024-01-01", periods=300, freq="7h")]})
    for period in ("h", "D", "MS"):
        with pytest.raises(DataError, match=f"far away from all others: 1970-01-01; read.count_per={period} would fill"):
            frame_of(events, count_per=period)


def test_periods_by_the_million_are_refused_before_they_are_made():
    events = pd.DataFrame({"ds": pd.to_datetime(["2020-01-01", "2021-01-01", "2022-01-01", "2023-01-01"])})
    with pytest.raises(DataError, match=r"read.count_per=s gives 94,694,401 periods of 1 series"):
        frame_of(events, count_per="s")


def test_neighbours_that_int64_cannot_count_between_are_refused():
    with pytest.raises(DataError, match="too far apart to count the steps between: 1700-01-01 and 2200-01-01"):
        frame_of(table(pd.to_datetime(["1700-01-01", "2200-01-01"])))
    with pytest.raises(DataError, match="too far apart to count the steps between"):
        frame_of(table([-9 * 10**18, 1, 9 * 10**18]))


def test_a_grid_too_large_to_hold_says_its_size_and_the_way_out():
    message = "30,000,000 rows: 3,000 series, 10,000 steps of min each, for 1,000,000 rows .*read.resample= .*read.missing=skip"
    with pytest.raises(DataError, match=message):
        check_size(30_000_000, 1_000_000, 3_000, "min")
    check_size(30_000_000, 10_000_000, 3_000, "min")


def test_more_steps_ahead_than_can_be_held_are_refused():
    forecaster = Forecaster(horizon=3).fit_naive(table(pd.date_range("2024-01-01", periods=60)))
    with pytest.raises(DataError, match=r"horizon=1000000000 for 1 series makes 1,000,000,000 rows .*fewer steps"):
        forecaster.predict(horizon=10**9)
    with pytest.raises(ValueError, match="horizon=100000000 must be at most 100000"):
        Forecaster(horizon=10**8).fit_naive(table(pd.date_range("2024-01-01", periods=60)))


def test_bombs_are_refused_in_little_memory():
    seconds = pd.date_range("2024-01-01", periods=50, freq="s")
    forecaster = Forecaster(horizon=3).fit_naive(table(seconds))
    pair = table(pd.to_datetime(["2020-01-01 00:00:00", "2024-01-01 00:00:01"]))
    tracemalloc.start()
    with pytest.raises(DataError, match="only 2 of 126230402 steps have a row"):
        forecaster.predict(pair)
    with pytest.raises(DataError, match="only 3 of"):
        frame_of(table(pd.to_datetime(["2020-01-01 00:00:00", "2020-01-01 00:00:01", "2024-01-01 00:00:00"])))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_series_decades_apart_share_no_calendar_between_them():
    parts = [table(pd.date_range(f"{year}-01-01", periods=300, freq="s"), unique_id=str(year)) for year in (2024, 1990, 2000)]
    late = table(pd.date_range("1990-01-01 00:10", periods=300, freq="s"), unique_id="ten minutes later")
    frame = frame_of(pd.concat([*parts, late]))
    panel = make_panel(frame, horizon=5, features=["time_of_day_sin1"])
    assert panel.start.tolist() == [905 + 305, 0, 905, 600]
    assert len(panel.calendar) == 905 + 305 + 305
    sine = np.sin(2 * np.pi * np.arange(305) / 86_400)
    for s in (0, 1, 2):
        np.testing.assert_allclose(panel.calendar[panel.start[s] + np.arange(305), 0], sine, atol=1e-6)
    np.testing.assert_allclose(panel.calendar[600:905, 0], np.sin(2 * np.pi * np.arange(600, 905) / 86_400), atol=1e-6)
