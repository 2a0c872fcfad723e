"""Times and values of every kind of column and table, clock changes, and the step after the last row of every frequency.

Expected times are made with datetime, zoneinfo and the calendar of the standard library.
"""

from __future__ import annotations

import calendar
import datetime as dt
import decimal
import re
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tsattn.config import ReadConfig
from tsattn.data.findings import DataError
from tsattn.data.frame import Frame, to_frame, to_rows
from tsattn.data.raw.objects import columns_of, without_blanks
from tsattn.forecaster import Forecaster

UTC = dt.UTC
DAY, HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)
NUM = 12
DAYS = [dt.datetime(2024, 2, 24) + i * DAY for i in range(NUM)]  # across 29 February
BERLIN = [day.replace(tzinfo=ZoneInfo("Europe/Berlin")) for day in DAYS]
EPOCH = dt.datetime(1970, 1, 1)
Y = np.arange(1.0, NUM + 1)


def frame_of(data, **settings) -> Frame:
    config = ReadConfig(**settings)
    return to_frame(to_rows(data, config), config)


def table(times) -> pd.DataFrame:
    return pd.DataFrame({"ds": times, "y": Y})


def times_of(data, **settings) -> list[dt.datetime]:
    """The times that are read, as plain datetimes; the values beside them are checked."""
    frame = frame_of(data, **settings)
    assert frame.df["y"].tolist() == Y.tolist()
    return [stamp.to_pydatetime() for stamp in frame.df["ds"]]


def months(year: int, month: int, day: int = 1, step: int = 1) -> Iterator[dt.datetime]:
    """Times `step` months apart; a day the month does not have is its last day."""
    while True:
        yield dt.datetime(year, month, min(day, calendar.monthrange(year, month)[1]))
        year, month = year + (month - 1 + step) // 12, (month - 1 + step) % 12 + 1


def first(num: int, times: Iterator[dt.datetime]) -> list[dt.datetime]:
    return [next(times) for _ in range(num)]


# ---- numbers as times --------------------------------------------------------------------------------------------------

SECONDS = [(day - EPOCH) // dt.timedelta(seconds=1) for day in DAYS]
NUMBERS = {
    "20240224": [int(f"{day:%Y%m%d}") for day in DAYS],
    "seconds": SECONDS,
    "milliseconds": [second * 10**3 for second in SECONDS],
    "microseconds": [second * 10**6 for second in SECONDS],
    "nanoseconds": [second * 10**9 for second in SECONDS],
}


@pytest.mark.parametrize("kind", ["int64", "float64", "Int64", "int64[pyarrow]", "object", "str"])
@pytest.mark.parametrize("written", NUMBERS)
def test_numbers_that_are_dates_are_read_as_dates(written, kind):
    times = times_of(table(pd.Series(NUMBERS[written]).astype(kind)))
    assert times == (DAYS if written == "20240224" else [day.replace(tzinfo=UTC) for day in DAYS])


@pytest.mark.parametrize("suffix", ["", ".0"])
@pytest.mark.parametrize("written", NUMBERS)
def test_numbers_that_are_dates_are_read_from_a_file_too(tmp_path, written, suffix):
    lines = [f"{number}{suffix},{y:g}" for number, y in zip(NUMBERS[written], Y, strict=True)]
    (tmp_path / "table.csv").write_text("\n".join(["ds,y", *lines]))
    assert times_of(tmp_path / "table.csv") == (DAYS if written == "20240224" else [day.replace(tzinfo=UTC) for day in DAYS])


@pytest.mark.parametrize("kind", ["int64", "float64", "str"])
def test_six_digits_are_months_and_four_are_whole_numbers(kind, tmp_path):
    stamps = first(NUM, months(2023, 6))
    data = table(pd.Series([100 * stamp.year + stamp.month for stamp in stamps]).astype(kind))
    assert times_of(data) == stamps
    data.to_csv(tmp_path / "table.csv", index=False)
    assert times_of(tmp_path / "table.csv") == stamps
    years = frame_of(table(pd.Series(range(2010, 2010 + NUM)).astype(kind)))
    assert (years.freq, years.df["ds"].tolist()) == ("1", list(range(2010, 2010 + NUM)))


def test_times_that_lost_their_digits_are_refused(tmp_path):
    table([1.7e18 + 86.4e12 * i for i in range(NUM)]).to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(DataError, match=r"line 3: .*e[+]18.*has lost its digits"):
        frame_of(tmp_path / "table.csv")


# ---- kinds of time columns ---------------------------------------------------------------------------------------------

UNITS = ["s", "ms", "us", "ns"]
TEXTS = [f"{day:%Y-%m-%d}" for day in DAYS]


def stamps(unit: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(DAYS).as_unit(unit)


NAIVE = {
    **{f"datetime64[{unit}]": stamps(unit) for unit in UNITS},
    **{f"objects of datetime64[{unit}]": pd.Series([np.datetime64(day, unit) for day in DAYS], dtype=object) for unit in UNITS},
    "objects of datetime": pd.Series(DAYS, dtype=object),
    "objects of date": pd.Series([day.date() for day in DAYS], dtype=object),
    "objects of Timestamp": pd.Series([pd.Timestamp(day) for day in DAYS], dtype=object),
    "objects of several kinds": pd.Series([DAYS[0], DAYS[1].date(), *map(pd.Timestamp, DAYS[2:])], dtype=object),
    "periods": pd.PeriodIndex(DAYS, freq="D"),
    "objects of Period": pd.Series(list(pd.PeriodIndex(DAYS, freq="D")), dtype=object),
    **{f"timestamp[{unit}][pyarrow]": pd.array(DAYS, dtype=pd.ArrowDtype(pa.timestamp(unit))) for unit in UNITS},
    "date32[pyarrow]": pd.array([day.date() for day in DAYS], dtype=pd.ArrowDtype(pa.date32())),
    "date64[pyarrow]": pd.array([day.date() for day in DAYS], dtype=pd.ArrowDtype(pa.date64())),
    "string[pyarrow]": pd.array(TEXTS, dtype="string[pyarrow]"),
    "string[python]": pd.array(TEXTS, dtype="string[python]"),
    "large string": pd.array(TEXTS, dtype=pd.ArrowDtype(pa.large_string())),
    "categories of text": pd.Categorical(TEXTS),
    "categories of times": pd.Categorical(DAYS),
}


@pytest.mark.parametrize("kind", NAIVE)
def test_every_kind_of_column_holds_the_same_times(kind):
    assert times_of(table(NAIVE[kind])) == DAYS


AWARE = {
    **{f"datetime64[{unit}]": stamps(unit).tz_localize("Europe/Berlin") for unit in UNITS},
    "objects of datetime": pd.Series(BERLIN, dtype=object),
    "objects of Timestamp": pd.Series([pd.Timestamp(day) for day in BERLIN], dtype=object),
    **{
        f"timestamp[{unit}][pyarrow]": pd.array(BERLIN, dtype=pd.ArrowDtype(pa.timestamp(unit, "Europe/Berlin")))
        for unit in UNITS
    },
    "string[pyarrow]": pd.array([day.isoformat() for day in BERLIN], dtype="string[pyarrow]"),
    "categories of text": pd.Categorical([day.isoformat() for day in BERLIN]),
}


@pytest.mark.parametrize("kind", AWARE)
def test_every_kind_of_column_with_a_zone_holds_the_same_instants(kind):
    assert times_of(table(AWARE[kind])) == BERLIN
    assert times_of(table(AWARE[kind]), tz="Europe/Berlin")[0].strftime("%H:%M%z") == "00:00+0100"


def test_objects_of_one_zone_keep_it_so_that_days_stay_days_across_a_clock_change():
    days = [dt.datetime(2024, 3, 25, tzinfo=ZoneInfo("Europe/Berlin")) + i * DAY for i in range(NUM)]
    frame = frame_of(table(pd.Series(days, dtype=object)))
    assert (frame.freq, str(frame.df["ds"].dt.tz)) == ("D", "Europe/Berlin")
    assert [stamp.to_pydatetime() for stamp in frame.df["ds"]] == days


@pytest.mark.parametrize("kind", ["text", "object"])
def test_mixed_offsets_are_instants(kind):
    east, west = (dt.timezone(dt.timedelta(hours=hours)) for hours in (9, -5))
    hours = [dt.datetime(2024, 3, 1, tzinfo=UTC) + i * HOUR for i in range(NUM)]
    mixed = [hour.astimezone(east if i % 2 else west) for i, hour in enumerate(hours)]
    times = [time.isoformat() for time in mixed] if kind == "text" else pd.Series(mixed, dtype=object)
    assert times_of(table(times)) == hours


def test_times_with_and_without_a_zone_do_not_go_together():
    mixed = pd.Series([day.replace(tzinfo=UTC) if i % 2 else day for i, day in enumerate(DAYS)], dtype=object)
    with pytest.raises(DataError, match="with and without a time zone"):
        frame_of(table(mixed))


@pytest.mark.parametrize("gone", [None, pd.NaT, np.nan], ids=str)
def test_a_row_without_a_time_is_named(gone):
    with pytest.raises(DataError, match=r"row 6: .*a row has no time"):
        frame_of(table(pd.Series([*DAYS[:5], gone, *DAYS[6:]], dtype=object)))
    with pytest.raises(DataError, match=r"row 6: .*a row has no time"):
        frame_of(table(pd.array([*range(5), None, *range(6, NUM)], dtype="Int64")))


@pytest.mark.parametrize("letter", ["M", "Q", "Y"])
def test_periods_are_their_starts(letter):
    begin = first(NUM, months(2020, 1, step={"M": 1, "Q": 3, "Y": 12}[letter]))
    periods = pd.period_range("2020-01", periods=NUM, freq=letter)
    assert times_of(table(periods)) == begin
    assert times_of(pd.DataFrame({"y": Y}, index=periods)) == begin


# ---- kinds of values ---------------------------------------------------------------------------------------------------

SOME = [1, 2, None, *range(4, NUM + 1)]
VALUES = {
    **{name: pd.array(SOME, dtype=name) for name in ("Int64", "Float64", "UInt8", "int64[pyarrow]", "double[pyarrow]")},
    "objects with None": pd.Series(SOME, dtype=object),
    "objects with pd.NA": pd.Series([pd.NA if value is None else value for value in SOME], dtype=object),
    "float64": pd.Series(SOME, dtype="float64"),
    "float16": pd.Series(SOME, dtype="float16"),
    "decimals": pd.Series([None if value is None else decimal.Decimal(value) for value in SOME], dtype=object),
    "decimal128[pyarrow]": pd.array(
        [None if value is None else decimal.Decimal(value) for value in SOME], dtype=pd.ArrowDtype(pa.decimal128(10, 2))
    ),
    "sparse": pd.arrays.SparseArray([np.nan if value is None else value for value in SOME]),
    "texts": pd.array(["" if value is None else str(value) for value in SOME], dtype="string[pyarrow]"),
    "categories": pd.Categorical(SOME),
}


@pytest.mark.parametrize("kind", VALUES)
def test_every_kind_of_number_column_holds_the_same_values(kind):
    y = frame_of(pd.DataFrame({"ds": DAYS, "y": VALUES[kind]})).df["y"]
    assert y.dtype == np.float64
    assert np.flatnonzero(y.isna()).tolist() == [2]
    assert y.dropna().tolist() == [1.0, 2.0, *map(float, range(4, NUM + 1))]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.arange(NUM) % 2 == 0, "true and false are no values"),
        (np.arange(NUM) * 1j, "complex numbers cannot be forecast"),
        (pd.to_timedelta(np.arange(NUM), unit="h"), "write plain numbers"),
    ],
    ids=["booleans", "complex", "durations"],
)
def test_what_is_no_number_is_refused(y, message):
    with pytest.raises(DataError, match=message):
        frame_of(pd.DataFrame({"ds": DAYS, "y": y}))


# ---- kinds of tables ---------------------------------------------------------------------------------------------------

PLAIN = {"ds": DAYS, "y": Y}
TABLES = {
    "polars": pl.DataFrame(PLAIN),
    "polars lazy": pl.LazyFrame(PLAIN),
    "polars dates": pl.DataFrame({"ds": [day.date() for day in DAYS], "y": Y}),
    **{f"polars {unit}": pl.DataFrame(PLAIN).with_columns(pl.col("ds").dt.cast_time_unit(unit)) for unit in ("ms", "us", "ns")},
    "pyarrow": pa.table(PLAIN),
    **{f"pyarrow {unit}": pa.table({"ds": pa.array(DAYS, pa.timestamp(unit)), "y": Y}) for unit in UNITS},
    "pyarrow batch": pa.RecordBatch.from_pydict({"ds": pa.array(DAYS), "y": pa.array(Y)}),
    "pyarrow dictionary": pa.table({"ds": pa.array(TEXTS).dictionary_encode(), "y": Y}),
    "dict": PLAIN,
    "time in the index": pd.DataFrame({"y": Y}, index=pd.DatetimeIndex(DAYS, name="ds")),
    "time in an index without a name": pd.DataFrame({"y": Y}, index=pd.DatetimeIndex(DAYS)),
    "texts in a named index": pd.DataFrame({"y": Y}, index=pd.Index(TEXTS, name="ds")),
    "dates in a named index": pd.DataFrame({"y": Y}, index=pd.Index([day.date() for day in DAYS], dtype=object, name="ds")),
    "dates in an index without a name": pd.DataFrame({"y": Y}, index=pd.Index([day.date() for day in DAYS], dtype=object)),
    "series": pd.Series(Y, index=pd.DatetimeIndex(DAYS)),
    "series of dates": pd.Series(Y, index=pd.Index([day.date() for day in DAYS], dtype=object)),
    "series of texts in a named index": pd.Series(Y, index=pd.Index(TEXTS, name="day")),
    "index of id and time": pd.DataFrame({"unique_id": "a", **PLAIN}).set_index(["unique_id", "ds"]),
    "series with an index of id and time": pd.DataFrame({"unique_id": "a", **PLAIN}).set_index(["unique_id", "ds"])["y"],
    "index of levels without names": pd.DataFrame({"y": Y}, index=pd.MultiIndex.from_arrays([["a"] * NUM, DAYS])),
}


@pytest.mark.parametrize("kind", TABLES)
def test_every_kind_of_table_holds_the_same_times(kind):
    assert times_of(TABLES[kind]) == DAYS


def test_polars_and_arrow_keep_zones_and_missing_values():
    with_zone = pl.DataFrame(PLAIN).with_columns(pl.col("ds").dt.replace_time_zone("Europe/Berlin"))
    for data in (with_zone, with_zone.to_arrow()):
        assert times_of(data) == BERLIN
    for data in (pl.DataFrame({"ds": DAYS, "y": SOME}), pa.table({"ds": DAYS, "y": pa.array(SOME)})):
        assert np.flatnonzero(frame_of(data).df["y"].isna()).tolist() == [2]


def test_ids_keep_their_order_of_first_appearance():
    ids = ["b"] * 6 + ["a"] * 6
    for column in (pd.Categorical(ids, categories=["c", "a", "b"]), pd.array(ids, dtype="string[pyarrow]")):
        frame = frame_of(pd.DataFrame({"unique_id": column, **PLAIN}))
        assert frame.df["unique_id"].unique().tolist() == ["b", "a"]
    categories = pl.DataFrame({"unique_id": ids, **PLAIN}).with_columns(pl.col("unique_id").cast(pl.Categorical))
    assert frame_of(categories).df["unique_id"].unique().tolist() == ["b", "a"]


def test_columns_of_several_levels_are_refused():
    columns = pd.MultiIndex.from_tuples([("north", "y"), ("south", "y")])
    with pytest.raises(DataError, match="several levels: give it a single row of names"):
        frame_of(pd.DataFrame(np.ones((NUM, 2)), index=pd.DatetimeIndex(DAYS), columns=columns))


# ---- clock changes -----------------------------------------------------------------------------------------------------

SWITCHES = [
    ("Europe/Berlin", "2024-03-31"),
    ("Europe/Berlin", "2024-10-27"),
    ("America/Sao_Paulo", "2018-11-04"),  # at midnight
    ("America/Sao_Paulo", "2018-02-18"),
    ("Australia/Lord_Howe", "2024-10-06"),  # by half an hour
    ("Australia/Lord_Howe", "2024-04-07"),
]
SKIPPED = {("America/Sao_Paulo", "2018-11-04"): "2018-11-04 01:00"}  # the day that has no midnight begins there


def shown(stamp) -> str:
    return f"{stamp:%Y-%m-%d %H:%M}"


WALL = "on the wall clock"
HALF_HOUR_TWICE = ("Australia/Lord_Howe", "2024-04-07", 60, WALL, 2)
CHANGES = [
    (zone, day, minutes, given, before)
    for zone, day in SWITCHES
    for minutes in ([30, 60] if zone == "Australia/Lord_Howe" else [60])
    for given in ("with the zone", WALL)
    for before in (9, 2)  # the change lies in the forecast, in the past
]


def hours_around(zone: str, day: str, minutes: int, given: str, before: int) -> tuple[pd.DataFrame, list[dt.datetime]]:
    """Eight days of rows from `before` days before the change on, and the times of the two days after them."""
    step, local = dt.timedelta(minutes=minutes), ZoneInfo(zone)
    start = (dt.datetime.fromisoformat(day) - before * DAY).replace(tzinfo=local).astimezone(UTC)
    per_day = DAY // step
    times = [start + i * step for i in range(10 * per_day)]
    past = times[: 8 * per_day]
    clock = pd.Series([time.astimezone(local).replace(tzinfo=None) for time in past])
    ds = clock if given == WALL else stamps_in(past, zone)
    return pd.DataFrame({"ds": ds, "y": np.arange(len(past)) % per_day + 1.0}), times[8 * per_day :]


@pytest.mark.parametrize(
    "change", [change for change in CHANGES if change != HALF_HOUR_TWICE], ids=lambda change: "-".join(map(str, change))
)
def test_hours_go_on_across_a_clock_change(change):
    (zone, *_, given, _), (data, ahead) = change, hours_around(*change)
    forecast = Forecaster(horizon=len(ahead)).fit_naive(data, read={"tz": zone} if given == WALL else None).predict()["ds"]
    assert str(forecast.dt.tz) == zone
    assert [stamp.to_pydatetime().astimezone(UTC) for stamp in forecast] == ahead
    assert [shown(stamp) for stamp in forecast] == [shown(time.astimezone(ZoneInfo(zone))) for time in ahead]


def test_an_hour_in_a_half_hour_that_comes_twice_is_named():
    with pytest.raises(DataError, match=r"2024-04-07 01:30:00 .*is ambiguous there; .*write UTC offsets"):
        frame_of(hours_around(*HALF_HOUR_TWICE)[0], tz="Australia/Lord_Howe")


def stamps_in(times: list[dt.datetime], zone: str) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(times).tz_convert(zone)


@pytest.mark.parametrize("before", [20, 5], ids=["in the forecast", "in the past"])
@pytest.mark.parametrize("given", ["with the zone", WALL])
@pytest.mark.parametrize(("zone", "day"), SWITCHES)
def test_days_go_on_at_midnight_across_a_clock_change(zone, day, given, before):
    clock = [dt.datetime.fromisoformat(day) + (i - before) * DAY for i in range(29)]
    wall = given == WALL
    ds = pd.Series(clock[:19])
    if not wall:
        ds = stamps_in([time.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for time in clock[:19]], zone)
    data = pd.DataFrame({"ds": ds, "y": np.arange(19) % 7 + 1.0})
    forecast = Forecaster(horizon=10).fit_naive(data, read={"tz": zone} if wall else None).predict()["ds"]
    assert [shown(stamp) for stamp in forecast] == [SKIPPED.get((zone, f"{time:%Y-%m-%d}"), shown(time)) for time in clock[19:]]
    assert all(stamp.tz_convert("UTC").tz_convert(zone) == stamp for stamp in forecast)


# ---- the step after the last row ---------------------------------------------------------------------------------------


def steady(start: str, step: dt.timedelta) -> Iterator[dt.datetime]:
    time = dt.datetime.fromisoformat(start)
    while True:
        yield time
        time += step


def workdays(start: str) -> Iterator[dt.datetime]:
    return (day for day in steady(start, DAY) if day.weekday() < 5)


NAMES = [name.upper() for name in calendar.month_abbr[1:]]
WEEKDAYS = [name.upper() for name in calendar.day_abbr]
STEPS = {
    "s": steady("2024-02-28 23:59:40", dt.timedelta(seconds=1)),
    "10s": steady("2024-02-28 23:58", dt.timedelta(seconds=10)),
    "min": steady("2024-02-28 23:50", dt.timedelta(minutes=1)),
    "15min": steady("2024-02-28 22:15", dt.timedelta(minutes=15)),
    "30min": steady("2024-02-28 17:00", dt.timedelta(minutes=30)),
    "h": steady("2024-02-28 05:00", HOUR),
    "7h": steady("2024-02-24 05:00", 7 * HOUR),
    "12h": steady("2024-02-20 05:00", 12 * HOUR),
    "D": steady("2024-02-11", DAY),
    "10D": steady("2023-08-01", 10 * DAY),
    "B": workdays("2024-02-07"),
    **{f"W-{day}": steady(f"2024-01-{1 + i:02d}", 7 * DAY) for i, day in enumerate(WEEKDAYS)},
    "2W-WED": steady("2023-11-01", 14 * DAY),
    "MS": months(2022, 9),
    "ME": months(2022, 7, 31),  # 31 January is followed by the last day of February
    "MS+14D": months(2022, 9, 15),
    "MS+27D": months(2022, 9, 28),
    "MS+28D": months(2022, 9, 29),
    "MS+29D": months(2022, 9, 30),
    "2MS": months(2021, 2, step=2),
    "6MS": months(2015, 2, step=6),
    **{f"QS-{NAMES[month]}": months(2019, month - 8, step=3) for month in (9, 10, 11)},
    **{f"QE-{NAMES[month]}": months(2019, month - 8, 31, step=3) for month in (9, 10, 11)},
    "QS-OCT+14D": months(2019, 1, 15, step=3),
    **{f"YS-{NAMES[month]}": months(2000, 1 + month, step=12) for month in (0, 3, 6, 11)},
    **{f"YE-{NAMES[month]}": months(2000, 1 + month, 31, step=12) for month in (1, 5, 8, 11)},
}
TIMES = {freq: first(24, times) for freq, times in STEPS.items()}


@pytest.mark.parametrize("freq", TIMES)
def test_the_first_forecast_is_one_step_after_the_last_row(freq):
    num = 20
    data = pd.DataFrame({"ds": TIMES[freq][:num], "y": np.arange(num) % 5 + 1.0})
    forecaster = Forecaster(horizon=4).fit_naive(data)
    assert forecaster.fitted_.schema.freq == freq
    assert [stamp.to_pydatetime() for stamp in forecaster.predict()["ds"]] == TIMES[freq][num : num + 4]


def test_leap_days_return_after_four_years():
    data = pd.DataFrame({"ds": first(21, months(1996, 2, 31, step=12)), "y": np.arange(21) % 5 + 1.0})
    assert data["ds"].iloc[[0, 20]].dt.strftime("%d.%m.%Y").tolist() == ["29.02.1996", "29.02.2016"]
    ahead = Forecaster(horizon=4).fit_naive(data).predict()["ds"]
    assert ahead.dt.strftime("%d.%m.%Y").tolist() == ["28.02.2017", "28.02.2018", "28.02.2019", "29.02.2020"]


@pytest.mark.parametrize("step", [1, 5, 10])
def test_whole_numbers_go_on_by_their_step(step):
    data = pd.DataFrame({"ds": 7 + step * np.arange(20), "y": np.arange(20) % 5 + 1.0})
    assert Forecaster(horizon=2).fit_naive(data).predict()["ds"].tolist() == [7 + 20 * step, 7 + 21 * step]


def test_whole_numbers_beyond_64_bits_in_a_frame_are_read_digit_by_digit():
    big = 12345678901234567890
    table = pd.DataFrame({"id": [big, big, big + 1, big + 1], "ds": ["2024-01-01", "2024-01-02"] * 2, "y": [1, 2, 3, 4]})
    frame = to_frame(to_rows(table.astype({"id": object}), ReadConfig()), ReadConfig())
    assert frame.df["unique_id"].unique().tolist() == ["12345678901234567890", "12345678901234567891"]
    assert frame.df["y"].tolist() == [1, 2, 3, 4]


def test_half_a_character_in_an_id_is_an_error_in_words():
    names = pd.Series(["a\ud800", "b"], dtype=object)
    with pytest.raises(DataError, match="holds half a character"):
        to_rows(pd.DataFrame({"id": names, "ds": ["2024-01-01"] * 2, "y": [1, 2]}), ReadConfig())


def test_a_repeated_hour_is_told_of_clocks_put_back():
    hours = ["2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 02:00", "2024-10-27 03:00", "2024-10-27 04:00"]
    rows = to_rows(pd.DataFrame({"ds": hours, "y": range(5)}), ReadConfig())
    with pytest.raises(DataError, match=r"read\.tz= if a clock was put back"):
        to_frame(rows, ReadConfig())


# ---- arrays, tensors and tables of Arrow --------------------------------------------------------------------------------

MASKED = np.ma.masked_array([3, -9999, 5, 6], mask=[False, True, False, False])
ARRAYS = {
    "masked whole numbers": MASKED,
    "masked decimals": MASKED.astype(np.float64),
    "masked objects": MASKED.astype(object),
    "one masked column": MASKED.reshape(-1, 1),
    "a list with a masked value": [3, np.ma.masked, 5, 6],
    "a list with None": [3, None, 5, 6],
    "a masked column": {"y": MASKED},
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_what_is_masked_is_missing(kind):
    np.testing.assert_array_equal(frame_of(ARRAYS[kind]).df["y"], [3, np.nan, 5, 6])


@pytest.mark.parametrize("data", [np.ma.stack([MASKED, MASKED + 1], axis=1), [[3, 4], [None, None], [5, 6], [6, 7]]])
def test_what_is_masked_in_an_array_of_several_series_is_missing(data):
    y = frame_of(data).df["y"]
    np.testing.assert_array_equal(y, [3, np.nan, 5, 6, 4, np.nan, 6, 7])


def test_a_masked_array_without_a_masked_value_is_an_array_and_is_left_as_it_was():
    assert frame_of(np.ma.masked_array([3, 4, 5])).df["y"].tolist() == [3, 4, 5]
    assert MASKED.data.tolist() == [3, -9999, 5, 6]


def test_tensors_are_read_whatever_they_are_for():
    plain = torch.tensor([1.5, 2.0, 3.0])
    for tensor in (plain, plain.clone().requires_grad_(), plain.bfloat16(), plain.half(), torch.nn.Parameter(plain)):
        assert frame_of(tensor).df["y"].tolist() == [1.5, 2.0, 3.0]


BIG = 2**60 + 1  # float64 keeps 2**60, and 2**60 + 256 behind it
WHOLE = {
    "list": [BIG, BIG + 1, 7],
    "list with a missing value": [BIG, BIG + 1, None],
    "array": np.array([BIG, BIG + 1, 7]),
    "negative": np.array([-BIG, -BIG - 1, -7]),
    "unsigned": np.array([2**64 - 1, 2**63 + 1, 2**63], dtype=np.uint64),
    "frame": pd.DataFrame({"y": [BIG, BIG + 1, 2**60]}),
    "nullable": pd.DataFrame({"y": pd.array([BIG, BIG + 1, None], dtype="Int64")}),
    "objects": pd.DataFrame({"y": pd.Series([BIG, BIG + 1, None], dtype=object)}),
    "polars": pl.DataFrame({"y": [BIG, BIG + 1, None]}),
    "arrow": pa.table({"y": pa.array([BIG, BIG + 1, 2**60 + 256])}),
}


@pytest.mark.parametrize("kind", [*WHOLE, "parquet"])
def test_whole_numbers_that_cannot_be_kept_are_said_to_be_rounded(kind, tmp_path):
    data = WHOLE.get(kind)
    if kind == "parquet":
        data = tmp_path / "a.parquet"
        pq.write_table(WHOLE["arrow"], data)
    (warning,) = [finding for finding in frame_of(data).findings if "rounded" in finding.message]
    assert warning.level == "warning"
    assert "more digits than a number can keep, so it was rounded" in warning.message
    numbers = re.findall(r": (-?\d{10,})", warning.message)
    assert numbers == [str(number) for number in ([2**64 - 1, 2**63 + 1] if kind == "unsigned" else [BIG, BIG + 1])] or (
        kind == "negative" and numbers == [str(-BIG), str(-BIG - 1)]
    )


@pytest.mark.parametrize("data", [[2**53, -(2**62), 3 * 2**60], np.array([2**63, 2**53], np.uint64), [-(2**63), 1], [1, 2]])
def test_whole_numbers_that_can_be_kept_raise_no_warning(data):
    assert not any("rounded" in finding.message for finding in frame_of(data).findings)


RUNS = pa.RunEndEncodedArray.from_arrays([2, 3], [1.5, 2.5])


def test_columns_of_arrow_that_are_written_in_runs_are_read():
    ids = pa.RunEndEncodedArray.from_arrays([3], ["a"])
    table = pa.table({"unique_id": ids, "ds": pa.array(DAYS[:3]), "y": pa.chunked_array([RUNS])})
    frame = frame_of(table)
    assert frame.df["y"].tolist() == [1.5, 1.5, 2.5]
    assert frame.df["unique_id"].tolist() == ["a", "a", "a"]


def test_periods_in_a_table_of_arrow_are_their_starts():
    frame = pd.DataFrame({"ds": pd.period_range("2024-01", periods=3, freq="M"), "y": [1, 2, 3]})
    assert frame_of(pa.Table.from_pandas(frame)).df["ds"].tolist() == list(pd.date_range("2024-01-01", periods=3, freq="MS"))


DOUBLE = pa.table([pa.array([1]), pa.array([2])], names=["y", "y"])
REFUSED = {
    "two columns of one name": (DOUBLE, "the table has columns with the same name: y"),
    "intervals": (pa.table({"y": pa.nulls(2, pa.month_day_nano_interval())}), "'y' is of the type month_day_nano_interval"),
    "objects of text": (np.array(["a", "b"], dtype=object), "an array of object with 1 dimensions is no series"),
    "objects of times": ([pd.Timestamp("2024-01-01")] * 2, "an array of object with 1 dimensions is no series"),
    "objects of booleans": ([True, None], "an array of object with 1 dimensions is no series"),
    "objects of anything": (np.array([{}, {}], dtype=object), "an array of object with 1 dimensions is no series"),
    "a sparse tensor": (torch.tensor([1.0, 2.0]).to_sparse(), "a Tensor cannot be read: can't convert Sparse"),
    "a tensor without content": (torch.zeros(2, device="meta"), "a Tensor cannot be read: can't convert meta"),
    "a list of tensors in training": ([torch.tensor(1.0, requires_grad=True)], "a list cannot be read: Can't call numpy"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_an_error_in_words(kind):
    data, message = REFUSED[kind]
    with pytest.raises(DataError, match=message):
        frame_of(data)


def test_two_columns_of_one_name_in_a_file_are_named(tmp_path):
    pq.write_table(DOUBLE, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: the file has columns with the same name: y"):
        frame_of(tmp_path / "a.parquet")


@pytest.mark.parametrize("kind", [pd.DataFrame, pd.Series], ids=["frame", "series"])
def test_an_unnamed_index_of_written_dates_is_the_time(kind):
    days = [f"2024-01-{day:02}" for day in range(20, 0, -1)]
    data = kind({"y": range(20, 0, -1)}, index=days) if kind is pd.DataFrame else kind(range(20, 0, -1), index=days)
    frame = to_frame(to_rows(data, ReadConfig()), ReadConfig())
    assert frame.df["y"].tolist() == list(range(1, 21))
    assert str(frame.df["ds"].iloc[0]) == "2024-01-01 00:00:00"


@pytest.mark.parametrize("dtype", ["str", "string", "string[python]", "object"])
def test_texts_of_every_storage_are_trimmed_and_a_missing_one_is_empty(dtype):
    texts = [" a", "b\t", None, "ä\u00a0", "", "12"]
    columns, trimmed = without_blanks(columns_of(pd.DataFrame({"name": pd.Series(texts, dtype=dtype), "y": range(6)}))[0])
    assert trimmed == {"name"}
    assert columns["name"].to_pylist() == ["a", "b", "", "ä", "", "12"]
