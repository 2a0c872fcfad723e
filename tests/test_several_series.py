"""Series that one table holds are not taken as one, nor parts of the year as series; a column of notes stops no reading."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from tsattn.config import CovariatesConfig, ReadConfig
from tsattn.data.findings import DataError
from tsattn.data.frame import to_frame
from tsattn.data.read import Rows, read

DAYS = [str(day.date()) for day in pd.date_range("2024-01-01", periods=60)]
YEARS_AGO = [str(day.date()) for day in pd.date_range("2019-01-01", periods=30)]


def rows_of(table: dict[str, list], covariates: CovariatesConfig | None = None, **settings) -> Rows:
    return read(pd.DataFrame(table), ReadConfig(**settings), covariates=covariates)


def annotated(name: str, cells: list, dates: list[str] = DAYS) -> dict[str, list]:
    return {"date": dates, name: cells, "qty": list(range(len(dates)))}


# ---- one series or several ---------------------------------------------------------------------------------------------

MONTH_STARTS = [str(day.date()) for day in pd.date_range("2020-01-01", periods=24, freq="MS")]
QUARTERS = [str(day.date()) for day in pd.date_range("2020-01-01", periods=24, freq="QS")]
WEEKS = [str(day.date()) for day in pd.date_range("2021-01-04", periods=156, freq="7D")]
SEVERAL = {
    "by_turns": annotated("product", ["A", "B"] * 30),
    "by_turns_under_an_unknown_name": annotated("Filiale", ["Nord", "Ost", "West"] * 20),
    "months_by_turns": annotated("who", ["A", "B"] * 12, MONTH_STARTS),
    "by_turns_with_days_left_out": annotated("who", ["A", "B"] * 26, DAYS[:10] + DAYS[14:40] + DAYS[44:]),
    "years_apart": annotated("s", ["A"] * 30 + ["B"] * 30, YEARS_AGO + DAYS[:30]),
    "years_apart_the_later_first": annotated("who", ["A"] * 30 + ["B"] * 30, DAYS[:30] + YEARS_AGO),
    "one_below_the_other": annotated("who", ["A"] * 3 + ["B"] * 3, [DAYS[i] for i in (0, 4, 5, 1, 2, 3)]),
    "one_below_the_other_newest_first": annotated("who", ["A"] * 3 + ["B"] * 3, [DAYS[i] for i in (5, 4, 0, 3, 2, 1)]),
    "machines": annotated("machine", ["M1", "M2"] * 30),
    "sensors_by_months": annotated("sensor", ["S1", "S2"] * 12, MONTH_STARTS),
    "numbers_by_turns": annotated("store", [1, 2] * 30),
    "numbers_years_apart": annotated("store_id", [7] * 30 + [9] * 30, YEARS_AGO + DAYS[:30]),
    "beside_two_values": {**annotated("station", ["A", "B"] * 30), "wind": [i % 7 for i in range(60)]},
    "some_without_a_name": annotated("product", ["A", "B"] * 29 + ["", ""]),
}
NOTES = {
    "weekdays": annotated("weekday", [pd.Timestamp(day).day_name() for day in DAYS]),
    "months": annotated("m", [pd.Timestamp(day).month_name() for day in MONTH_STARTS], MONTH_STARTS),
    "quarters": annotated("q", [f"Q{pd.Timestamp(day).quarter}" for day in MONTH_STARTS], MONTH_STARTS),
    "quarters_of_quarters": annotated("q", ["Q3", "Q4", "Q1", "Q2"] * 6, QUARTERS),
    "weeks_of_weeks": annotated("w", [f"W{pd.Timestamp(day).isocalendar().week:02d}" for day in WEEKS], WEEKS),
    "seasons": annotated("season", ["winter"] * 30 + ["spring"] * 30),
    "holidays": annotated("holiday", ["yes" if i % 7 == 0 else "no" for i in range(60)]),
    "every_other_day": annotated("open", ["yes", "no"] * 30),
    "weather": annotated("weather", [("sun", "rain", "fog")[(i * i + i // 5) % 3] for i in range(60)]),
    "mostly_empty": annotated("promo", ["x" if i in (5, 6, 30) else "y" if i in (20, 40, 50) else "" for i in range(60)]),
    "state_of_the_figures": annotated("status", ["final"] * 50 + ["provisional"] * 10),
    "newest_first": annotated("status", ["provisional"] * 10 + ["final"] * 50, DAYS[::-1]),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_series_that_one_column_may_name_are_not_taken_as_one(name):
    column = list(SEVERAL[name])[1]
    with pytest.raises(DataError, match=f"the column {column} may name .*set read.id={column} .*leave the column out"):
        rows_of(SEVERAL[name])


def test_when_a_period_ends_is_a_note_beside_when_it_begins():
    begins = ["00:00", "08:00", "16:00"] * 20
    table = {"date": [day for day in DAYS[:20] for _ in range(3)], "from": begins, "until": [*begins[1:], "00:00"]}
    rows = rows_of({**table, "qty": list(range(60))}, time=["date", "from"])
    assert rows.df["unique_id"].nunique() == 1
    assert rows.df["y"].tolist() == list(range(60))


def test_numbers_that_name_series_are_no_notes_beside_a_named_value():
    with pytest.raises(DataError, match=r"the column store may name several series.*set read\.id=store"):
        rows_of(SEVERAL["numbers_by_turns"], value="qty")


def test_a_series_that_is_called_like_one_is_no_name():
    table = {"date": DAYS, "store": [i * i // 7 % 9 for i in range(60)], "sensor": [0, 1] * 30, "qty": list(range(60))}
    assert rows_of(table).df["unique_id"].unique().tolist() == ["store", "sensor", "qty"]


def test_the_ways_on_read_the_series():
    table = SEVERAL["by_turns"]
    assert rows_of(table, id="product").df["unique_id"].nunique() == 2
    assert rows_of({name: table[name] for name in ("date", "qty")}).df["unique_id"].nunique() == 1
    assert rows_of(table, CovariatesConfig(past=["product"])).df["unique_id"].nunique() == 1
    assert rows_of(table, count_per="D").df["unique_id"].nunique() == 1
    assert rows_of(SEVERAL["numbers_by_turns"], value=["store", "qty"]).df["unique_id"].unique().tolist() == ["store", "qty"]


@pytest.mark.parametrize("name", NOTES)
def test_a_column_of_notes_beside_one_series_is_left_out(name):
    table = NOTES[name]
    rows = rows_of(table)
    assert rows.df["ds"].tolist() == list(map(pd.Timestamp, table["date"]))
    assert rows.df["unique_id"].unique().tolist() == ["qty"]
    assert any("columns not used" in finding.message for finding in rows.findings)


# ---- a year and its part in two columns --------------------------------------------------------------------------------

GERMAN = ["Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"]
PARTS = {
    "Quarter": ([f"Q{i}" for i in (1, 2, 3, 4)], ["01", "04", "07", "10"]),
    "Quartal": ([f"{i}. Quartal" for i in (1, 2, 3, 4)], ["01", "04", "07", "10"]),
    "Monat": (GERMAN, [f"{i:02d}" for i in range(1, 13)]),
    "Period": ([f"M{i:02d}" for i in range(1, 13)], [f"{i:02d}" for i in range(1, 13)]),
}


def yearly(name: str, parts: list[str], years: range = range(2018, 2022)) -> dict[str, list]:
    pairs = [(year, part) for year in years for part in parts]
    return {"Year": [year for year, _ in pairs], name: [part for _, part in pairs], "v": list(range(len(pairs)))}


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_the_year_beside_a_year_are_no_series(name):
    parts, months = PARTS[name]
    expected = [pd.Timestamp(f"{year}-{month}-01") for year in range(2018, 2022) for month in months]
    with pytest.raises(DataError, match=r"Part holds parts of the year.*set read\.time=\[Year,Part\]"):
        rows_of(yearly("Part", parts))
    assert rows_of(yearly("Part", parts), time=["Year", "Part"]).df["ds"].tolist() == expected
    if name == "Period":  # may be anything
        with pytest.raises(DataError, match=r"set read\.time=\[Year,Period\]"):
            rows_of(yearly(name, parts))
    else:
        rows = rows_of(yearly(name, parts))
        assert rows.df["ds"].tolist() == expected
        assert f"the time is put together from the columns Year, {name}" in [finding.message for finding in rows.findings]
    assert rows_of(yearly(name, parts), id=name).df["unique_id"].nunique() == len(parts)


@pytest.mark.parametrize("name", ["week", "Week No", "KW", "iso_week", "semaine"])
@pytest.mark.parametrize("parts", [["W01", "W02"], [1, 2], ["1.0", "2.0"], ["01", "02"]])
def test_weeks_beside_a_year_are_no_series(name, parts):
    first = [pd.Timestamp(2018, 1, 1), pd.Timestamp(2018, 1, 8), pd.Timestamp(2018, 12, 31), pd.Timestamp(2019, 1, 7)]
    assert rows_of(yearly(name, parts)).df["ds"].tolist()[:4] == first
    assert rows_of(yearly(name, parts), time=["Year", name]).df["ds"].tolist()[:4] == first


def test_weeks_and_years_of_every_week_are_those_of_the_standard_library():
    days = [dt.date(2014, 12, 29) + dt.timedelta(weeks=week) for week in range(600)]  # 2015 and 2020 have 53 weeks
    years, weeks = zip(*(day.isocalendar()[:2] for day in days), strict=True)
    expected = [pd.Timestamp(day) for day in days]
    assert rows_of({"Year": years, "week": weeks, "v": range(600)}).df["ds"].tolist() == expected
    both = [100 * year + week for year, week in zip(years, weeks, strict=True)]
    assert rows_of({"yearweek": both, "v": range(600)}).df["ds"].tolist() == expected
    assert (
        rows_of({"week": [f"{number // 100}-{number % 100:02d}" for number in both], "v": range(600)}).df["ds"].tolist()
        == expected
    )


def test_hours_beside_dates_are_part_of_the_time_where_they_count_on():
    stamps = pd.date_range("2024-03-01", periods=96, freq="h")
    table = {"date": stamps.normalize(), "hour": stamps.hour, "v": range(96)}
    for dates in (stamps.normalize(), stamps.date, stamps.strftime("%d.%m.%Y")):
        assert rows_of({**table, "date": dates}).df["ds"].tolist() == list(stamps)
        assert rows_of({**table, "date": dates}, time=["date", "hour"]).df["ds"].tolist() == list(stamps)
    daily = rows_of({"date": stamps[:60:24].normalize(), "hour": [14, 9, 15], "v": [1, 2, 3]})  # when it was hottest
    assert daily.df["ds"].tolist() == list(stamps[:60:24].normalize())
    with pytest.raises(DataError, match="repeat the id and time"):
        to_frame(rows_of({**table, "hour": [7] * 96}))


@pytest.mark.parametrize("parts", [["H1", "H2"], ["spring", "summer", "autumn", "winter"], ["1. Halbjahr", "2. Halbjahr"]])
def test_halves_of_the_year_and_seasons_are_no_series(parts):
    with pytest.raises(DataError, match=r"half holds parts of the year.*write .* with its first day, as in 2024-07-01"):
        rows_of(yearly("half", parts))


def test_parts_of_the_year_beside_the_first_day_of_the_year_or_another_name_are_no_series():
    table = yearly("Part", ["Q1", "Q2", "Q3", "Q4"])
    dated = {**table, "Year": [f"{year}-01-01" for year in table["Year"]]}
    with pytest.raises(DataError, match="Part holds parts of the year"):
        rows_of(dated)
    with pytest.raises(DataError, match="Part holds parts of the year"):
        rows_of({**table, "region": ["a", "b"] * 8})


def test_the_mean_of_the_year_among_its_months_is_named():
    table = yearly("Period", [f"M{i:02d}" for i in range(1, 14)])
    with pytest.raises(DataError, match="Period holds parts of the year"):
        rows_of(table)
    with pytest.raises(DataError, match=r"'2018 M13'.*is the mean of the year: remove it"):
        rows_of(table, time=["Year", "Period"])


def test_months_written_as_2018M01_are_read():
    table = {"date": ["2018M01", "2018M02", "2018M11"], "y": [1, 2, 3]}
    assert rows_of(table).df["ds"].tolist() == [pd.Timestamp(2018, month, 1) for month in (1, 2, 11)]
