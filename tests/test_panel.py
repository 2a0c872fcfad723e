"""Panels against plain loops over series and rows, and their calendar against pandas stamps."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from tsattn.data.frame import to_frame
from tsattn.data.panel import make_panel, right_aligned, section, select
from tsattn.data.read import Names, Rows
from tsattn.data.windows import features_at_end

HORIZON = 4


def frame_of(*series):
    """The frame of (id, stamps, values) triples."""
    parts = [pd.DataFrame({"unique_id": name, "ds": stamps, "y": values}) for name, stamps, values in series]
    return to_frame(Rows(pd.concat(parts, ignore_index=True), Names(None, None, None), ()))


def days(first, num, freq="D"):
    return pd.date_range(first, periods=num, freq=freq).as_unit("ns")


def wave(share):
    return [math.sin(2 * math.pi * share), math.cos(2 * math.pi * share)]


def year_share(stamp):
    return (stamp.day_of_year - 1) / (366 if stamp.is_leap_year else 365)


def assert_calendar(panel, firsts, step, expected_row):
    """Every row of every series and `HORIZON` more have the features of their own stamp."""
    for s, first in enumerate(firsts):
        for t in range(panel.lengths[s] + HORIZON):
            expected = expected_row(first + t * step)
            np.testing.assert_allclose(panel.calendar[panel.start[s] + t], expected, atol=1e-6)


@pytest.mark.parametrize("length", [1, 5, 20])
def test_right_aligned_equals_a_loop(ragged_panel, length):
    result = right_aligned(ragged_panel, length)
    assert result.shape == (4, length, 2)
    assert result.dtype == np.float32
    for s in range(4):
        rows = [ragged_panel.values[r] for r in range(ragged_panel.indptr[s], ragged_panel.indptr[s + 1])][-length:]
        padding = [[np.nan, np.nan]] * (length - len(rows))
        np.testing.assert_array_equal(result[s], np.array([*padding, *rows], np.float32))


@pytest.mark.parametrize(
    ("first", "last"),
    [([0, 0, 0, 0], [9, 0, 1, 14]), ([2, 0, 0, 5], [7, 0, 1, 6]), ([0, 0, 1, 9], [0, 0, 1, 3])],
    ids=["all", "some", "hardly any"],
)
def test_rows_of_series_equal_a_loop_with_stamps_and_empty_series_kept(ragged_panel, first, last):
    before = ragged_panel.values.copy()
    taken = select(ragged_panel, np.arange(4), np.array(first), np.array(last))
    for s in range(4):
        rows = [ragged_panel.values[ragged_panel.indptr[s] + r] for r in range(first[s], last[s])]
        expected = np.array(rows, np.float32).reshape(-1, 2)
        np.testing.assert_array_equal(taken.values[taken.indptr[s] : taken.indptr[s + 1]], expected)
        assert taken.start[s] == ragged_panel.start[s] + first[s]
        assert taken.lengths[s] == len(rows)
    assert taken.ids == ragged_panel.ids
    np.testing.assert_array_equal(ragged_panel.values, before)


@pytest.mark.parametrize(("first", "last"), [(0, 4), (1, 3), (2, 3), (3, 4)])
def test_a_section_equals_a_loop_over_its_series_and_shares_their_memory(ragged_panel, first, last):
    part = section(ragged_panel, first, last)
    assert part.ids == ragged_panel.ids[first:last]
    assert np.shares_memory(part.values, ragged_panel.values)
    for place, s in enumerate(range(first, last)):
        rows = ragged_panel.values[ragged_panel.indptr[s] : ragged_panel.indptr[s + 1]]
        np.testing.assert_array_equal(part.values[part.indptr[place] : part.indptr[place + 1]], rows)
        assert part.start[place] == ragged_panel.start[s]
        assert part.behind[place] == ragged_panel.behind[s]
    assert len(part.values) == part.lengths.sum()


@pytest.mark.parametrize("second", [days("2024-01-20", 11), days("2024-01-24", 3)], ids=["long enough", "shorter"])
def test_a_calendar_of_the_recent_rows_says_the_same_of_them(second):
    frame = frame_of(("a", days("2024-01-01", 30), np.arange(30.0)), ("b", second, np.arange(float(len(second)))))
    names = ["day_of_week_sin1", "day_of_year_cos1"]
    whole = make_panel(frame, horizon=HORIZON, features=names)
    recent = make_panel(frame, horizon=HORIZON, features=names, recent=10)
    assert len(recent.calendar) < len(whole.calendar)
    features = features_at_end(recent, 10, HORIZON)
    np.testing.assert_array_equal(features, features_at_end(whole, 10, HORIZON))
    for s, last in enumerate((pd.Timestamp("2024-01-30"), second[-1])):
        for step in range(-10, HORIZON):
            stamp = last + pd.Timedelta(days=step + 1)
            expected = [math.sin(2 * math.pi * stamp.weekday() / 7), math.cos(2 * math.pi * year_share(stamp))]
            np.testing.assert_allclose(features[s, 10 + step], expected, atol=1e-6)


def test_a_frame_becomes_a_panel_series_by_series_with_gaps_as_nan():
    frame = frame_of(
        ("late", days("2024-01-03", 5), [1.0, 2.0, np.nan, 4.0, 5.0]),
        ("early", days("2024-01-01", 4).delete(1), [7.0, 8.0, 9.0]),
        ("007", days("2024-01-09", 1), [3.0]),
    )
    panel = make_panel(frame, horizon=HORIZON, features=["day_of_week_sin1", "day_of_week_cos1"])
    assert panel.ids == ("late", "early", "007")
    assert panel.freq == "D"
    assert panel.values.dtype == np.float32
    np.testing.assert_array_equal(panel.values[:, 0], [1, 2, np.nan, 4, 5, 7, np.nan, 8, 9, 3])
    np.testing.assert_array_equal(panel.lengths, [5, 4, 1])
    np.testing.assert_array_equal(panel.start, [2, 0, 8])
    assert len(panel.calendar) == 8 + 1 + HORIZON  # shared: from the earliest first row to the latest last one
    firsts = [pd.Timestamp(day) for day in ("2024-01-03", "2024-01-01", "2024-01-09")]
    assert_calendar(panel, firsts, pd.Timedelta(days=1), lambda stamp: wave(stamp.weekday() / 7))


def test_weeks_from_sunday_beside_weeks_from_monday_have_calendar_rows_of_their_own():
    firsts = [pd.Timestamp(day) for day in ("2023-12-03", "2023-11-06", "2023-11-19", "2024-02-05")]  # Sun Mon Sun Mon
    week = pd.Timedelta(days=7)
    names = ["day_of_year_sin1", "day_of_year_cos1"]
    frame = frame_of(*((f"s{i}", days(first, 6 + i, week), np.arange(6.0 + i)) for i, first in enumerate(firsts)))
    panel = make_panel(frame, horizon=HORIZON, features=names)
    assert_calendar(panel, firsts, week, lambda stamp: wave(year_share(stamp)))
    sundays, mondays = 2 + 6 + HORIZON, 13 + 9 + HORIZON  # of the longest reach, from the earliest series of each phase
    assert len(panel.calendar) == sundays + mondays
    assert panel.start[0] - panel.start[2] == 2
    assert panel.start[3] - panel.start[1] == 13


def test_half_hours_beside_full_hours_have_calendar_rows_of_their_own():
    firsts, hour = [pd.Timestamp("2024-03-01 22:00"), pd.Timestamp("2024-03-01 20:30")], pd.Timedelta(hours=1)
    frame = frame_of(*((f"s{i}", days(first, 7, hour), np.arange(7.0)) for i, first in enumerate(firsts)))
    panel = make_panel(frame, horizon=HORIZON, features=["time_of_day_sin1", "time_of_day_cos1"])
    assert_calendar(panel, firsts, hour, lambda stamp: wave((stamp.hour + stamp.minute / 60) / 24))
    assert len(panel.calendar) == 2 * (7 + HORIZON)


def test_months_of_different_series_share_the_calendar():
    firsts = [pd.Timestamp("2023-11-01"), pd.Timestamp("2023-06-01")]
    frame = frame_of(*((f"s{i}", days(first, 5, "MS"), np.arange(5.0)) for i, first in enumerate(firsts)))
    panel = make_panel(frame, horizon=HORIZON, features=["month_of_year_sin1", "month_of_year_cos1"])
    np.testing.assert_array_equal(panel.start, [5, 0])
    assert len(panel.calendar) == 5 + 5 + HORIZON
    for s, first in enumerate(firsts):
        for t in range(5 + HORIZON):
            month = (first.month - 1 + t) % 12
            np.testing.assert_allclose(panel.calendar[panel.start[s] + t], wave(month / 12), atol=1e-6)


def test_business_days_share_the_calendar_across_a_weekend():
    firsts = [pd.Timestamp("2024-03-04"), pd.Timestamp("2024-02-29")]  # Monday, Thursday before it
    frame = frame_of(*((f"s{i}", days(first, 8, "B"), np.arange(8.0)) for i, first in enumerate(firsts)))
    assert frame.freq == "B"
    panel = make_panel(frame, horizon=HORIZON, features=["day_of_week_sin1", "day_of_week_cos1"])
    np.testing.assert_array_equal(panel.start, [2, 0])
    for s, first in enumerate(firsts):
        for t, stamp in enumerate(pd.bdate_range(first, periods=8 + HORIZON)):
            np.testing.assert_allclose(panel.calendar[panel.start[s] + t], wave(stamp.weekday() / 7), atol=1e-6)


def test_integer_time_has_an_empty_calendar():
    frame = frame_of(("a", [10, 15, 25], [1.0, 2.0, 3.0]), ("b", [0, 5], [4.0, 5.0]))
    panel = make_panel(frame, horizon=HORIZON, features=[])
    assert panel.freq == "5"
    np.testing.assert_array_equal(panel.values[:, 0], [1, 2, np.nan, 3, 4, 5])
    np.testing.assert_array_equal(panel.indptr, [0, 4, 6])
    assert panel.calendar.shape[1] == 0


def test_values_beyond_the_reach_of_float32_are_kept_without_a_word(recwarn):
    values = [1e39, -3e45, np.nan, 2.5]
    panel = make_panel(frame_of(("a", days("2024-01-01", 4), values)), horizon=HORIZON, features=[])
    assert panel.values.dtype == np.float64
    np.testing.assert_array_equal(panel.values[:, 0], values)
    assert not recwarn.list
