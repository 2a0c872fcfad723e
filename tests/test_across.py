"""Tables with a row per year and a column per month or quarter."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tsattn import Forecaster, ReadConfig
from tsattn.data.findings import DataError
from tsattn.data.frame import Frame, to_frame, to_rows

ENGLISH = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
HEADERS = {
    "English": ENGLISH,
    "German": [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dez",
    ],
    "numbers": [str(i) for i in range(1, 13)],
    "quarters": ["Q1", "Q2", "Q3", "Q4"],
    "German quarters": [f"{i}. Quartal" for i in range(1, 5)],
}


def frame_of(table: dict, **settings) -> Frame:
    config = ReadConfig(**settings)
    return to_frame(to_rows(pd.DataFrame(table), config), config)


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("year", ["Year", "Jahr"])
def test_a_row_per_year_is_a_row_per_month(header, year):
    names = HEADERS[header]
    step = 12 // len(names)
    table = {year: [2021, 2020, 2022]} | {name: [12 + i, i, 24 + i] for i, name in enumerate(names)}
    frame = frame_of(table)
    expected = [
        (pd.Timestamp(y, 1 + step * i, 1), 12.0 * (y - 2020) + i) for y in (2020, 2021, 2022) for i in range(len(names))
    ]
    assert list(zip(frame.df["ds"], frame.df["y"], strict=True)) == expected
    assert frame.season_length == len(names)


def test_columns_in_any_order_beside_others_of_several_series():
    shuffled = [ENGLISH[i] for i in np.random.default_rng(0).permutation(12)]
    places, years = ["north", "north", "south", "south"], [2020, 2021, 2020, 2021]
    value = {(row, name): 100 * row + ENGLISH.index(name) for row in range(4) for name in ENGLISH}
    table = {"place": places, "year": years, "Annual": [9, 9, 9, 9]}
    table |= {name: [value[row, name] for row in range(4)] for name in shuffled}
    frame = frame_of(table)
    assert frame.names.id == "place"
    assert frame.df["unique_id"].tolist() == ["north"] * 24 + ["south"] * 24
    assert frame.df["y"].tolist() == [value[row, name] for row in range(4) for name in ENGLISH]
    forecast = Forecaster(horizon=2).fit_naive(pd.DataFrame(table)).predict()
    assert forecast["ds"].tolist() == [pd.Timestamp(2022, 1, 1), pd.Timestamp(2022, 2, 1)] * 2


@pytest.mark.parametrize("missing", ["mask", "zero"])
def test_months_before_the_first_and_after_the_last_value_are_no_rows(missing):
    table = {"year": [2020, 2021, 2022]} | {name: [i, 12.0 + i, 24 + i] for i, name in enumerate(ENGLISH)}
    table["Jan"], table["Feb"] = [None, 12, 24], [None, None, 25]  # begins in March 2020, nothing known of February 2021
    for name in ENGLISH[5:]:
        table[name][2] = None  # the year is not over
    frame = frame_of(table, missing=missing)
    assert (frame.df["ds"].iloc[0], frame.df["ds"].iloc[-1]) == (pd.Timestamp(2020, 3, 1), pd.Timestamp(2022, 5, 1))
    known = frame.df["y"].fillna(-1).tolist()
    assert known == [0.0 if i == 13 and missing == "zero" else -1.0 if i == 13 else float(i) for i in range(2, 29)]
    assert any("9 empty cells before the first or after the last value" in finding.message for finding in frame.findings)


def test_months_that_are_series_or_of_other_times_are_as_before():
    table = {"year": [2020, 2021, 2022]} | {name: [1.0, 2, 3] for name in ENGLISH}
    assert frame_of(table, value=ENGLISH).lengths.tolist() == [3] * 12
    days = table | {"year": ["2020-02-03", "2020-02-04", "2020-02-05"]}
    with pytest.raises(DataError, match=r"Jan, Feb.*are months of one time"):
        frame_of(days)
    with pytest.raises(DataError, match=r"the time 2020 stands in more than one row and 12 columns"):
        frame_of(table | {"year": [2020, 2020, 2022]})
    week = {"year": [2020, 2021, 2022]} | {name: [1.0, 2, 3] for name in ("Mon", "Tue", "Wed", "Thu", "Fri")}
    with pytest.raises(DataError, match=r"Mon, Tue.*are weekdays of one time"):
        frame_of(week)


@pytest.mark.parametrize("name", ["{:02d}:00", "H{}", "{} h", "{:02d}"])
def test_hours_side_by_side_are_no_series(name):
    table = {"date": ["2024-01-01", "2024-01-02", "2024-01-03"]} | {name.format(hour): [1.0, 2, 3] for hour in range(24)}
    with pytest.raises(DataError, match=r"are hours of one time: write a row for each"):
        frame_of(table)


# ---- times in the header -----------------------------------------------------------------------------------------------

DAYS = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]


HEADER_TIMES = {
    "days": (DAYS, DAYS),
    "German": (
        ["01.02.2024", "15.02.2024", "29.02.2024", "14.03.2024"],
        ["2024-02-01", "2024-02-15", "2024-02-29", "2024-03-14"],
    ),
    "quarters": (["2024-Q1", "2024-Q2", "2024-Q3", "2024-Q4"], ["2024-01-01", "2024-04-01", "2024-07-01", "2024-10-01"]),
    "months": (["Jan 2024", "Feb 2024", "Mar 2024", "Apr 2024"], ["2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01"]),
    "years": (["2020", "2021", "2022", "2023"], None),
}


@pytest.mark.parametrize("kind", HEADER_TIMES)
@pytest.mark.parametrize("name", ["Country Name", "store"])
def test_times_in_the_header_are_times(tmp_path, kind, name):
    header, dates = HEADER_TIMES[kind]
    expected = [int(year) for year in header] if dates is None else list(pd.to_datetime(dates))
    ids = ["b", "a"] if name == "Country Name" else [20, 10]
    table = {name: ids, "code": ["x", "x"], **{stamp: [i, 10.0 + i] for i, stamp in enumerate(header)}}
    path = tmp_path / "turned.csv"
    pd.DataFrame(table).to_csv(path, index=False)
    for given in (pd.DataFrame(table), str(path)):
        frame = to_frame(to_rows(given))
        assert frame.df["unique_id"].tolist() == [str(ids[0])] * 4 + [str(ids[1])] * 4
        assert frame.df["ds"].tolist() == expected * 2
        assert frame.df["y"].tolist() == [0, 1, 2, 3, 10, 11, 12, 13]
        assert frame.names.id == name
        assert any("are read as times, each row as a series" in finding.message for finding in frame.findings)
    forecast = Forecaster(horizon=1).fit_naive(pd.DataFrame(table)).predict()
    assert forecast[name].tolist() == ids


def test_a_table_that_is_turned_round_gives_the_series_of_the_other_one(tmp_path):
    table = pd.DataFrame({"day": DAYS, "late": [None, None, 3.0, 4], "ended": [1.0, 2, None, None], "gap": [1.0, None, 3, 4]})
    turned = table.set_index("day").T.rename_axis("name").reset_index()
    turned.columns.name = None
    long = table.melt("day", var_name="name", value_name="n")
    long = long[long["n"].notna() | ((long["name"] == "gap") & (long["day"] == DAYS[1]))]
    expected = to_frame(to_rows(long)).df
    pd.testing.assert_frame_equal(to_frame(to_rows(turned)).df, expected)
    turned.to_csv(tmp_path / "turned.csv", index=False)
    pd.testing.assert_frame_equal(to_frame(to_rows(str(tmp_path / "turned.csv"))).df, expected)


def test_rows_that_nothing_names_are_refused_and_named_by_two_columns_if_asked():
    table = {"country": ["a", "a", "b"], "kind": ["x", "y", "x"], **{day: [1.0, 2, 3] for day in DAYS}}
    with pytest.raises(DataError, match=r"no column names the 3 rows: set read.id= .*read.id=\[country,kind\]"):
        frame_of(table)
    with pytest.raises(DataError, match=r"no column names the 3 rows: add one that does"):
        frame_of({day: [1.0, 2, 3] for day in DAYS})
    assert frame_of(table, id=["country", "kind"]).df["unique_id"].unique().tolist() == ["a/x", "a/y", "b/x"]
    single = frame_of({day: [i] for i, day in enumerate(DAYS)})
    assert single.df["y"].tolist() == [0, 1, 2, 3]
    assert single.names.id is None
    with pytest.raises(DataError, match=r"repeat the id and time"):
        frame_of(table, id="country")
