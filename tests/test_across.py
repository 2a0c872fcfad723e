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
