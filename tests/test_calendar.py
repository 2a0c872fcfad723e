"""Time grids: each frequency text continues itself and is found again from its own stamps."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from tsattn.data import calendar, cycles, frequency

WEEKDAYS = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"]
FIRST = {
    "min": "2024-02-28 23:50",
    "15min": "2024-02-28 23:45",
    "30min": "2024-12-31 12:00",
    "h": "2024-02-28 20:00",
    "6h": "2024-02-27 06:00",
    "s": "2024-02-28 23:59:50",
    "D": "2024-02-25",
    "10D": "2024-02-25",
    "B": "2024-02-26",
    **{f"W-{day}": f"2024-01-{i + 1:02d}" for i, day in enumerate(WEEKDAYS)},
    "2W-MON": "2024-01-01",
    "MS": "2023-11-01",
    "ME": "2023-11-30",
    "MS+14D": "2023-11-15",
    "MS+27D": "2022-12-28",
    "MS+28D": "2022-12-29",
    "MS+29D": "2022-12-30",
    "2MS": "2023-11-01",
    "QS-OCT": "2023-10-01",
    "QS-NOV": "2023-11-01",
    "QS-DEC": "2023-12-01",
    "QE-OCT": "2023-10-31",
    "QE-NOV": "2023-11-30",
    "QE-DEC": "2023-12-31",
    "QS-OCT+14D": "2023-10-15",
    "YS-JAN": "2000-01-01",
    "YS-JUL": "2000-07-01",
    "YE-DEC": "2000-12-31",
    "YE-FEB": "2000-02-29",
}


@pytest.mark.parametrize("freq", FIRST)
def test_every_frequency_is_found_again_from_its_stamps_and_continues_them(freq):
    stamps = calendar.stamps_from(FIRST[freq], 30, freq)
    assert calendar.canonical(freq) == freq
    assert frequency.infer_freq(stamps) == freq
    assert calendar.positions(stamps, freq).index.tolist() == list(range(30))
    longer = calendar.stamps_from(FIRST[freq], 33, freq)
    assert calendar.future_stamps(stamps[-1], 3, freq).tolist() == longer[30:].tolist()


@pytest.mark.parametrize("freq", [freq for freq in FIRST if "+" not in freq and freq not in ("10D", "2MS")])
def test_stamps_equal_those_of_pandas_where_pandas_knows_the_frequency(freq):
    expected = pd.date_range(FIRST[freq], periods=40, freq=freq)
    assert calendar.stamps_from(FIRST[freq], 40, freq).tolist() == expected.tolist()


@pytest.mark.parametrize("step", ["1", "10"])
def test_integer_time_continues_by_its_step(step):
    assert calendar.future_stamps(30, 3, step).tolist() == [30 + int(step) * i for i in (1, 2, 3)]
    assert frequency.infer_freq(calendar.stamps_from(5, 6, step)) == step


def test_monthly_on_the_30th_takes_the_last_day_of_february():
    days = [f"{stamp:%m-%d}" for stamp in calendar.stamps_from("2023-12-30", 5, "MS+29D")]
    assert days == ["12-30", "01-30", "02-29", "03-30", "04-30"]
    assert f"{calendar.future_stamps('2023-02-28', 1, 'MS+29D')[0]:%m-%d}" == "03-30"


def test_leap_years_do_not_shift_yearly_and_daily_stamps():
    assert calendar.future_stamps("2024-02-28", 2, "D").tolist() == [pd.Timestamp("2024-02-29"), pd.Timestamp("2024-03-01")]
    assert calendar.future_stamps("2023-12-31", 1, "YE").tolist() == [pd.Timestamp("2024-12-31")]


@pytest.mark.parametrize(
    ("zone", "start", "hours"),
    [
        ("Europe/Berlin", "2024-03-30", 23),
        ("Europe/Berlin", "2024-10-26", 25),
        ("America/Sao_Paulo", "2018-11-03", 23),
        ("America/Sao_Paulo", "2018-02-16", 25),
        ("Australia/Lord_Howe", "2024-10-05", 23.5),
        ("Australia/Lord_Howe", "2024-04-06", 24.5),
    ],
)
def test_half_hours_and_days_cross_clock_changes(zone, start, hours):
    first = pd.Timestamp(start, tz=zone)
    half_hours = calendar.stamps_from(first, 200, "30min")
    assert frequency.infer_freq(half_hours) == "30min"
    assert set(np.diff(half_hours.tz_convert("UTC").asi8)) == {1_800_000_000_000}
    days = calendar.stamps_from(first, 10, "D")
    assert frequency.infer_freq(days) == "D"
    assert calendar.positions(days, "D").fits.all()
    assert [f"{day:%m-%d}" for day in days] == [f"{day:%m-%d}" for day in pd.date_range(start, periods=10)]
    lengths = np.diff(days.tz_convert("UTC").asi8) / 3.6e12
    assert hours in lengths


def test_the_majority_of_steps_decides_and_others_are_marked():
    stamps = pd.DatetimeIndex(["2024-01-01", "2024-01-08", "2024-01-15", "2024-01-23", "2024-01-29", "2024-02-05"])
    assert frequency.infer_freq(stamps) == "W-MON"
    assert calendar.positions(stamps, "W-MON").fits.tolist() == [True, True, True, False, True, True]


def test_series_on_their_own_weekdays_share_seven_days():
    stamps = pd.date_range("2024-01-01", periods=5, freq="W-MON").append(pd.date_range("2024-01-03", periods=5, freq="W-WED"))
    codes = np.repeat([0, 1], 5)
    assert frequency.infer_freq(stamps, codes) == "7D"
    assert calendar.positions(stamps, "7D", codes).index.tolist() == [0, 1, 2, 3, 4] * 2


def test_business_days_need_a_weekend_that_was_passed_over():
    assert frequency.infer_freq(pd.date_range("2024-01-01", periods=5)) == "D"
    assert frequency.infer_freq(pd.bdate_range("2024-01-01", periods=12)) == "B"
    gap = pd.bdate_range("2024-01-01", periods=12).delete(7)
    assert frequency.infer_freq(gap) == "B"


def test_ninety_day_steps_are_days_and_not_quarters():
    assert frequency.infer_freq(pd.date_range("2024-01-01", periods=12, freq="90D")) == "90D"
    assert frequency.infer_freq(pd.date_range("2024-01-01", periods=12, freq="28D")) == "4W-MON"


def test_old_spellings_become_the_canonical_ones():
    pairs = {
        "M": "ME",
        "QS": "QS-OCT",
        "QS-JAN": "QS-OCT",
        "Q": "QE-DEC",
        "Y": "YE-DEC",
        "60min": "h",
        "24h": "D",
        "W": "W-SUN",
    }
    assert {freq: calendar.canonical(freq) for freq in pairs} == pairs


def test_unknown_frequencies_list_the_known_ones():
    for freq in ("fortnight", "W-XXX", "0D", "MS-JAN", "D-MON"):
        with pytest.raises(ValueError, match="is not known: use D, B"):
            calendar.parse(freq)


def test_a_stamp_off_the_grid_cannot_be_continued():
    with pytest.raises(ValueError, match="not on the grid 'W-MON'"):
        calendar.future_stamps("2024-01-02", 1, "W-MON")
    with pytest.raises(ValueError, match="does not go with"):
        calendar.future_stamps(3, 1, "D")


@pytest.mark.parametrize(
    ("freq", "rows", "season"),
    [("h", 100, 24), ("30min", 100, 48), ("15min", 200, 96), ("D", 14, 7), ("D", 13, 1), ("B", 10, 5), ("W-MON", 104, 52)]
    + [("W-MON", 103, 1), ("MS", 24, 12), ("ME", 23, 1), ("QS-OCT", 8, 4), ("YS-JAN", 50, 1), ("1", 500, 1), ("6MS", 8, 2)],
)
def test_the_season_is_the_usual_one_when_two_fit(freq, rows, season):
    length, reason = cycles.season_length(freq, rows)
    assert length == season
    assert reason


def test_features_are_offered_only_for_cycles_seen_twice():
    def offered(freq, rows):
        return {name.rsplit("_", 1)[0] for name in cycles.feature_names(freq, rows)}

    assert offered("1", 10_000) == set()
    assert offered("D", 13) == set()
    assert offered("D", 60) == {"day_of_week"}
    assert offered("D", 400) == {"day_of_week", "day_of_month"}
    assert offered("D", 731) == {"day_of_week", "day_of_month", "day_of_year"}
    assert offered("h", 47) == set()
    assert offered("h", 24 * 14) == {"time_of_day", "day_of_week"}
    assert offered("W-MON", 104) == {"day_of_year"}
    assert offered("MS", 24) == {"month_of_year"}
    assert offered("MS", 23) == set()
    assert len(cycles.feature_names("MS", 24)) == 11
    assert cycles.feature_names("QS-OCT", 8) == [f"month_of_year_{wave}{k}" for k in (1, 2) for wave in ("sin", "cos")]


def test_features_are_sines_of_the_wall_clock():
    stamps = pd.DatetimeIndex(["2024-01-01 06:00", "2024-01-07 18:00"]).tz_localize("Europe/Berlin")
    values = cycles.features(stamps, ["time_of_day_sin1", "day_of_week_sin1", "day_of_week_cos1"])
    sunday = 2 * np.pi * 6 / 7
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, [[1, 0, 1], [-1, np.sin(sunday), np.cos(sunday)]], atol=1e-6)


def test_features_stay_within_one_and_tell_all_weekdays_apart():
    stamps = calendar.stamps_from("2022-01-01", 1000, "D")
    names = cycles.feature_names("D", 1000)
    values = cycles.features(stamps, names)
    assert values.shape == (1000, len(names))
    assert np.abs(values).max() <= 1
    week = cycles.features(stamps[:7], [name for name in names if name.startswith("day_of_week")])
    assert np.linalg.matrix_rank(np.c_[np.ones(7), week]) == 7
    with pytest.raises(ValueError, match="is not known"):
        cycles.features(stamps, ["moon_sin1"])


def test_daily_stamps_keep_their_time_of_day():
    stamps = pd.date_range("2024-02-27 17:30", periods=4)
    assert frequency.infer_freq(stamps) == "D"
    assert calendar.future_stamps(stamps[-1], 1, "D").tolist() == [pd.Timestamp("2024-03-02 17:30")]


def test_stamps_beyond_the_last_year_are_refused_instead_of_wrapping_around():
    with pytest.raises(ValueError, match="1678 to 2261"):
        calendar.future_stamps("2024-01-01", 300, "YS-JAN")
    with pytest.raises(ValueError, match="1678 to 2261"):
        calendar.future_stamps("2024-01-01", 10**8, "h")


def test_whole_numbers_are_refused_instead_of_wrapping_around():
    assert calendar.future_stamps(2**63 - 3, 2, "1").tolist() == [2**63 - 2, 2**63 - 1]
    with pytest.raises(ValueError, match="4 steps of 1 go beyond 9223372036854775807"):
        calendar.future_stamps(2**63 - 3, 3, "1")


MIDNIGHT_IS_SKIPPED = {"Africa/Cairo": "2024-04-26", "America/Sao_Paulo": "2018-11-04"}


@pytest.mark.parametrize("zone", MIDNIGHT_IS_SKIPPED)
def test_a_day_without_midnight_is_written_with_its_first_hour(zone):
    day = pd.Timestamp(MIDNIGHT_IS_SKIPPED[zone])
    first, second = pd.DatetimeIndex([day + pd.Timedelta(hours=1), day + pd.Timedelta(days=1)]).tz_localize(zone)
    assert calendar.written(first).startswith(f"{MIDNIGHT_IS_SKIPPED[zone]} 01:00:00")
    assert calendar.written(second) == str(second.date())


@pytest.mark.parametrize("freq", ["h", "D", "B", "W-MON", "MS", "QS-OCT", "3"])
def test_a_grid_without_its_first_stamps_is_the_rest_of_it(freq):
    first = pd.Index([30, 60]) if freq == "3" else pd.DatetimeIndex(["2024-01-01", "2024-04-01"])
    lengths, starts = np.array([5, 4]), [0, 5]
    whole = calendar.grid(first, lengths, freq)
    expected = [whole[start + i] for start, length in zip(starts, lengths, strict=True) for i in range(2, length)]
    assert list(calendar.grid(first, lengths, freq, skipped=2)) == expected


@pytest.mark.parametrize("zone", MIDNIGHT_IS_SKIPPED)
def test_the_usual_time_of_day_returns_after_a_day_without_midnight(zone):
    day = pd.Timestamp(MIDNIGHT_IS_SKIPPED[zone])
    stamps = calendar.stamps_from((day - pd.Timedelta(days=3)).tz_localize(zone), 4, "D")
    assert stamps[-1].hour == 1
    clock = calendar.clocks(stamps, "D")
    following = calendar.grid(stamps[-1:], np.array([3]), "D", clock[-1:])
    assert [(stamp.day, stamp.hour) for stamp in following] == [(day.day, 1), (day.day + 1, 0), (day.day + 2, 0)]


@pytest.mark.parametrize(
    ("zone", "day", "clock", "end"),
    [
        ("Australia/Lord_Howe", "2024-10-06", "02:00", "02:30:00+11:00"),
        ("Australia/Lord_Howe", "2024-10-06", "02:15", "02:30:00+11:00"),
        ("Europe/Berlin", "2024-03-31", "02:30", "03:00:00+02:00"),
        ("America/Sao_Paulo", "2018-11-04", "00:00", "01:00:00-02:00"),
    ],
)
def test_a_time_that_the_clock_skips_moves_to_the_end_of_the_skip(zone, day, clock, end):
    first = pd.Timestamp(f"{day} {clock}") - pd.Timedelta(days=2)
    stamps = calendar.stamps_from(first.tz_localize(zone), 4, "D")
    assert str(stamps[2]) == f"{day} {end}"
    assert [f"{stamp:%H:%M}" for stamp in stamps[[0, 1, 3]]] == [clock] * 3


# ---- public holidays: in Germany in 2024 on 1/1, 29/3, 1/4, 1/5, 9/5, 20/5, 3/10, 25/12 and 26/12 -------------------------


def holidays_of(stamps: pd.Index, place: str = "DE", freq: str | None = None) -> list[float]:
    return cycles.features(stamps, [f"holiday:{place}"], freq)[:, 0].tolist()


def test_a_day_is_a_holiday_or_not():
    stamps = pd.date_range("2024-12-23", periods=6)
    assert holidays_of(stamps) == [0, 0, 1, 1, 0, 0]
    assert holidays_of(stamps[2:3]) == [1]
    assert holidays_of(pd.DatetimeIndex(["2024-01-01 17:30", "2024-01-02 17:30"])) == [1, 0]
    business = pd.bdate_range("2024-03-25", periods=12)
    assert holidays_of(business, freq="B") == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]


def test_holidays_stand_beside_other_features():
    stamps = pd.date_range("2024-01-01", periods=3)
    values = cycles.features(stamps, ["day_of_week_cos1", "holiday:DE", "holiday:FR"])
    np.testing.assert_allclose(values[:, 1:], [[1, 1], [0, 0], [0, 0]])
    assert values[0, 0] == 1
    assert values.dtype == np.float32


def test_hours_are_on_a_holiday_by_their_own_clock():
    hours = pd.date_range("2024-09-30 21:00", periods=100, freq="h", tz="UTC")
    local = [stamp.tz_convert("Europe/Berlin") for stamp in hours]
    assert holidays_of(hours.tz_convert("Europe/Berlin")) == [float((s.month, s.day) == (10, 3)) for s in local]


@pytest.mark.parametrize(
    ("freq", "stamps", "shares"),
    [
        ("W-MON", ["2024-04-29", "2024-05-06", "2024-05-13", "2024-05-20"], [1 / 7, 1 / 7, 0, 1 / 7]),
        ("2W-MON", ["2024-04-29", "2024-05-13"], [2 / 14, 1 / 14]),
        ("7D", ["2024-12-20", "2024-12-27"], [2 / 7, 1 / 7]),
        ("MS", ["2024-03-01", "2024-04-01", "2024-05-01", "2024-06-01"], [1 / 31, 1 / 30, 3 / 31, 0]),
        ("MS+14D", ["2024-03-15", "2024-04-15"], [2 / 31, 2 / 30]),
        ("ME", ["2024-03-31", "2024-04-30", "2024-05-31", "2024-06-30"], [1 / 31, 1 / 30, 3 / 31, 0]),
        ("QE-DEC", ["2024-03-31", "2024-06-30"], [2 / 91, 4 / 91]),
        ("YS-JAN", ["2023-01-01", "2024-01-01"], [9 / 365, 9 / 366]),
    ],
)
def test_a_longer_period_has_the_share_of_its_days(freq, stamps, shares):
    np.testing.assert_allclose(holidays_of(pd.DatetimeIndex(stamps), freq=freq), shares, rtol=1e-6)
    assert holidays_of(pd.DatetimeIndex(stamps)[:0], freq=freq) == []


def test_without_a_frequency_it_is_seen_from_the_stamps():
    stamps = pd.date_range("2023-01-01", periods=24, freq="MS")
    assert holidays_of(stamps) == holidays_of(stamps, freq="MS")
    assert sum(holidays_of(stamps)[12:]) == pytest.approx(6 / 31 + 1 / 30 + 2 / 31, abs=1e-6)


def test_a_part_of_a_country_has_holidays_of_its_own():
    stamps = pd.DatetimeIndex(["2024-01-05", "2024-01-06"])
    assert holidays_of(stamps, "DE-BY") == [0, 1]
    assert holidays_of(stamps, "de") == [0, 0]


@pytest.mark.parametrize(
    ("place", "message"),
    [("DEE", r"'DEE' are not known: countries are ISO codes such as .*DE"), ("DE-XX", "parts of DE are BB, BE, BW, BY")],
)
def test_an_unknown_place_lists_close_ones(place, message):
    with pytest.raises(ValueError, match=message):
        holidays_of(pd.date_range("2024-01-01", periods=3), place)


def test_whole_numbers_have_no_holidays():
    with pytest.raises(ValueError, match="public holidays need dates"):
        holidays_of(pd.Index([1, 2, 3]))


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "holidays", None)
    with pytest.raises(ValueError, match=r"pip install 'tsattn\[holidays\]'"):
        holidays_of(pd.date_range("2024-01-01", periods=3))


def test_where_there_are_no_stamps_the_step_is_a_day_or_1():
    assert frequency.infer_freq(pd.DatetimeIndex([])) == "D"
    assert frequency.infer_freq(pd.Index([], dtype="int64")) == "1"


@pytest.mark.parametrize("late", [0, 1], ids=["even", "with a gap"])
def test_places_of_series_of_other_starts_are_counted_from_their_own_first_row(late):
    first, second = pd.date_range("2024-01-01", periods=4, freq="7D"), pd.date_range("2024-01-03", periods=3, freq="7D")
    second = second[:2].append(second[2:] + late * pd.Timedelta(days=7))
    found = calendar.positions(first.append(second).as_unit("ns"), "W-MON", np.array([0, 0, 0, 0, 1, 1, 1]))
    assert found.index.tolist() == [0, 1, 2, 3, 0, 1, 2 + late]
    assert found.fits.tolist() == [True] * 4 + [False] * 3


@pytest.mark.parametrize("freq", ["D", "3h", "2", "W-MON"])
@pytest.mark.parametrize("gap", [None, 1, 3, 4, 5, 8, 11])
def test_places_of_rows_looked_at_in_parts_are_those_of_a_loop(freq, gap, monkeypatch):
    """`gap`: the row before which a step is left out; series of 5, 1 and 7 rows, looked at four at a time."""
    monkeypatch.setattr(calendar, "PART", 4)
    codes = np.repeat([0, 1, 2], [5, 1, 7])
    expected, steps = [], []
    for row, code in enumerate(codes):
        new = row == 0 or codes[row - 1] != code
        expected.append(0 if new else expected[-1] + 1 + (row == gap))
        steps.append(3 * code + expected[-1])
    if freq == "2":
        stamps = pd.Index(2 * np.array(steps))
    else:
        stamps = pd.DatetimeIndex(
            [pd.Timestamp("2024-01-01") + step * pd.tseries.frequencies.to_offset(freq) for step in steps]
        )
    found = calendar.positions(stamps, freq, codes)
    assert found.index.tolist() == expected
    assert found.fits.all()
