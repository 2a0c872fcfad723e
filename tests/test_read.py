"""Reading: strict conversion, detection that says what it did, and errors that say how to go on."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tsattn.config import CovariatesConfig, ReadConfig
from tsattn.data.findings import DataError
from tsattn.data.frame import to_frame
from tsattn.data.read import Names, Rows, future_rows, read


def rows_of(tmp_path, content: str | bytes, name: str = "a.csv", **settings) -> Rows:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(path, ReadConfig(**settings))


def daily(num: int = 3, sep: str = ",", header: str = "ds,y") -> str:
    return header + "\n" + "".join(f"2024-01-{i + 1:02d}{sep}{i + 1}\n" for i in range(num))


def words(rows: Rows) -> str:
    return "\n".join(str(finding) for finding in rows.findings)


def days(*texts: str) -> list[pd.Timestamp]:
    return [pd.Timestamp(text) for text in texts]


THREE_DAYS = days("2024-01-01", "2024-01-02", "2024-01-03")


# ---- text files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        daily().encode(),
        ("\ufeff" + daily()).encode(),
        daily().encode("utf-16"),
        gzip.compress(daily().encode(), mtime=0),
        daily().replace("\n", "\r").encode(),
        daily().replace("\n", "\r\n").encode(),
        daily(sep=";", header="ds;y").encode(),
        daily(sep="\t", header="ds\ty").encode(),
        daily(sep="|", header="ds|y").encode(),
        daily(sep=", ", header="ds , y").encode(),
        ("# made by hand\n# twice\n" + daily()).encode(),
        ("\n" + daily().replace("01-02,2", "01-02,2\n\n,")).encode(),
        b"ds,y,,\n2024-01-01,1,,\n2024-01-02,2,,\n2024-01-03,3,,\n",
        b'"ds","y"\n"2024-01-01","1"\n"2024-01-02","2"\n"2024-01-03","3"',
    ],
)
def test_the_same_table_is_read_from_any_ordinary_file(tmp_path, content):
    rows = rows_of(tmp_path, content)
    assert rows.df["ds"].tolist() == THREE_DAYS
    assert rows.df["y"].tolist() == [1.0, 2.0, 3.0]
    assert rows.names == Names(None, "ds", "y")
    assert rows.df["ds"].dtype == "datetime64[ns]"


def test_text_that_is_not_utf8_is_read_as_cp1252_and_said_so(tmp_path):
    rows = rows_of(tmp_path, daily(header="ds,é").encode("latin-1"))
    assert rows.names.value == "é"
    assert "read as cp1252" in words(rows)


def test_ids_stay_text(tmp_path):
    ids = ["007", "7", "NA", "1e5", "True", "null", "9007199254740993"]
    content = "unique_id,ds,y\n" + "".join(f"{name},2024-01-01,1\n{name},2024-01-02,2\n" for name in ids)
    rows = rows_of(tmp_path, content)
    assert rows.df["unique_id"].unique().tolist() == ids
    assert all(type(name) is str for name in rows.df["unique_id"])


def test_blanks_around_ids_are_removed_and_reported(tmp_path):
    rows = rows_of(tmp_path, "unique_id,ds,y\nA,2024-01-01,1\nA ,2024-01-02,2\n")
    assert rows.df["unique_id"].tolist() == ["A", "A"]
    assert "blanks around the ids" in words(rows)


@pytest.mark.parametrize("marker", ["", "NA", "N/A", "NaN", "null", "None", "-", "#N/A", "..", "…", ":", "***"])
def test_missing_markers_become_nan(tmp_path, marker):
    rows = rows_of(tmp_path, f"ds,y\n2024-01-01,1\n2024-01-02,{marker}\n2024-01-03,3\n")
    assert np.isnan(rows.df["y"]).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("cells", "expected", "settings"),
    [
        (["1,5", "2,25"], [1.5, 2.25], {}),
        (["1.234,5", "2"], [1234.5, 2.0], {}),
        (['"1,193.91"', "160"], [1193.91, 160.0], {"sep": ","}),
        (['"1,234,567"', '"1,234"'], [1234567.0, 1234.0], {"sep": ","}),
        (['"1,234"', "5"], [1234.0, 5.0], {"sep": ",", "thousands": ","}),
        (['"1,234"', "5"], [1.234, 5.0], {"sep": ",", "decimal": ","}),
        (["1 234", "5"], [1234.0, 5.0], {"thousands": " "}),
        (["12 345,50", "5"], [12345.5, 5.0], {"thousands": " "}),
        (["1.5e3", "-2.5"], [1500.0, -2.5], {}),
    ],
)
def test_decimal_signs_and_thousands(tmp_path, cells, expected, settings):
    sep = settings.get("sep", ";")
    rows = rows_of(tmp_path, f"ds{sep}y\n2024-01-01{sep}{cells[0]}\n2024-01-02{sep}{cells[1]}\n", **settings)
    assert rows.df["y"].tolist() == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("ds,y\n", "no row of data"),
        ("2024-01-01,1\n2024-01-02,2\n", "looks like data"),
        ("ds,y\n2024-01-01,1\n2024-01-02,2,9\n", "the header has 2 fields but line 3 has 3"),
        ("ds,x,y\n2024-01-01,1,2\n2024-01-02,3\n", "line 3 has 2"),
        ("ds,y,y\n2024-01-01,1,2\n", "'y' more than once"),
        ("ds,,y\n2024-01-01,1,2\n", "column 2 has values but no name"),
        ('ds,y\n2024-01-01,"1,234"\n', r"read.thousands=, .1,234 is 1234. or read.decimal=,"),
        ("ds;y\n2024-01-01;1.234\n2024-01-02;2.345\n", "read.thousands=. .1.234 is 1234. or read.decimal=."),
        ("ds;y\n2024-01-01;1.234,5\n2024-01-02;1,234.5\n", "contradict each other"),
        ("ds,y\n2024-01-01,12%\n2024-01-02,3\n", "a.csv, line 2: '12%': write plain numbers"),
        ("ds,y\n2024-01-01,1\n2024-01-02,inf\n", "line 3: 'inf': an infinite value"),
        ("ds,y\n2024-01-01,1e400\n2024-01-02,1\n", "an infinite value"),
        ("ds,y\n2024-01-01,True\n2024-01-02,False\n", "true and false are no values"),
        ("ds,y\n2024-01-01,0x1F\n2024-01-02,2\n", "'0x1F'"),
        ("ds,y\n2024-01-01,1\n,2\n", "line 3: '': a row has no time"),
        ("unique_id,ds,y\na,2024-01-01,1\n,2024-01-01,2\n", "line 3: '': a row has no id"),
        ("ds,y\n2024-02-29,1\n2024-02-30,2\n", "line 3: '2024-02-30': is not a possible date"),
        ("ds,y\n2024-01-01 24:00,1\n2024-01-02 01:00,2\n", "not a possible date"),
        ("ds,y\n2024-01-01,1\n2024-01-02,2\nTotal,3\n", "line 4: 'Total': is not a date of the form of the others"),
        ("ds,y\n2024-01-01,1\n01/02/2024,2\n", "not a date of the form of the others"),
        ("ds,y\n2024-03-31 00:00Z,1\n2024-04-01 00:00,2\n", "has no UTC offset while others have one"),
        ("ds,y\n12/13/24,1\n13/12/24,2\n", "set read.date_format="),
        ("ds,y\n01-Jan-99,1\n01-Jan-01,2\n", "may be of two centuries"),
        ("ds\n2024-01-01\n2024-01-02\n", "read.count_per=D"),
        ("Month,y\nMärz 98,1\nApril 98,2\n", "is not a date that is understood: set read.date_format="),
        ("kind,y\na,1\na,2\nb,1\nb,2\nc,oops\nc,3\n", "'oops'"),
        ("y\n1\n\n3\n", "line 3 is blank"),
        ("<!DOCTYPE html><html>\n", "a web page"),
    ],
)
def test_what_cannot_be_read_for_certain_is_an_error_that_says_where_and_how(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        rows_of(tmp_path, content)


def test_all_problems_of_a_table_are_reported_together(tmp_path):
    content = "ds,y\n" + "".join(f"2024-01-{i + 1:02d},x{i}\n" for i in range(9)) + "2024-02-01,1\n" * 20 + "2024-02-30,7\n"
    with pytest.raises(DataError) as caught:
        rows_of(tmp_path, content)
    message = str(caught.value)
    assert "line 31: '2024-02-30'" in message
    assert "line 2: 'x0'; a.csv, line 3: 'x1'" in message
    assert "(9 in all)" in message


def test_line_numbers_count_comments_blank_lines_and_quoted_line_ends(tmp_path):
    content = '# note\nunique_id,ds,y\n"a\nb",2024-01-01,1\n\na,2024-01-01,oops\na,2024-01-02,3\n'
    with pytest.raises(DataError, match="line 6: 'oops'"):
        rows_of(tmp_path, content)


def test_a_single_column_of_numbers_needs_no_header(tmp_path):
    rows = rows_of(tmp_path, "5\n7\n9\n")
    assert rows.df["y"].tolist() == [5.0, 7.0, 9.0]
    assert rows.df["ds"].tolist() == [1, 2, 3]
    assert rows.df["ds"].dtype == "int64"
    assert rows.names == Names(None, None, None)


# ---- columns -----------------------------------------------------------------------------------------------------------


def test_both_long_dialects_are_known_by_name_in_any_case(tmp_path):
    rows = rows_of(tmp_path, "Item_ID,Timestamp,price,Target\nA,2024-01-01,9,1\nA,2024-01-02,9,2\n")
    assert rows.names == Names("Item_ID", "Timestamp", "Target")
    assert rows.df["y"].tolist() == [1.0, 2.0]
    assert "columns not used: price" in words(rows)


def test_a_wide_table_is_one_series_per_column_in_their_order(tmp_path):
    rows = rows_of(tmp_path, "date,north,south\n2024-01-01,1,3\n2024-01-02,2,\n")
    assert rows.df["unique_id"].tolist() == ["north", "north", "south", "south"]
    assert rows.df["y"].fillna(-1).tolist() == [1, 2, 3, -1]
    assert rows.names == Names(None, "date", None)


def test_wide_columns_may_have_numbers_as_names(tmp_path):
    rows = rows_of(tmp_path, "ds,1,2\n2024-01-01,1,3\n2024-01-02,2,4\n")
    assert rows.df["unique_id"].tolist() == ["1", "1", "2", "2"]


def test_a_repeating_text_column_names_the_series(tmp_path):
    rows = rows_of(tmp_path, "day,shop,sold\n" + "".join(f"2024-01-{d:02d},{s},{d}\n" for s in "xy" for d in (1, 2, 3)))
    assert rows.names == Names("shop", "day", "sold")
    assert "named by the column shop" in words(rows)


@pytest.mark.parametrize(
    ("header", "line", "message"),
    [
        ("date,shop,item,sold", "2024-01-01,{},{},1", "set read.id= to one of them"),
        ("unique_id,date,sold,price", "{},2024-01-0{},1,2", "may be in sold, price: set read.value="),
        ("date,store,sold", "2024-01-01,{0}1,{0}2", "set read.value= to the column to forecast and read.id="),
    ],
)
def test_a_doubt_about_columns_is_an_error(tmp_path, header, line, message):
    values = "12" if header.startswith(("unique_id", "date,store")) else "ab"
    content = header + "\n" + "".join(line.format(a, b) + "\n" for a in values for b in values)
    with pytest.raises(DataError, match=message):
        rows_of(tmp_path, content)


def test_explicit_names_win_and_unknown_ones_list_the_columns(tmp_path):
    content = "ds,y,other,kind\n2024-01-01,1,5,a\n2024-01-02,2,6,a\n"
    rows = rows_of(tmp_path, content, value="other", id="kind")
    assert rows.df["y"].tolist() == [5.0, 6.0]
    assert rows.names == Names("kind", "ds", "other")
    with pytest.raises(DataError, match=r"read.value=sales: there is no such column; the table has ds, y, other, kind"):
        rows_of(tmp_path, content, value="sales")


def test_row_numbers_and_parts_of_the_date_are_no_series(tmp_path):
    rows = rows_of(tmp_path, ",date,year,sold\n0,2024-01-01,2024,5\n1,2024-01-02,2024,6\n")
    assert rows.df["y"].tolist() == [5.0, 6.0]
    assert rows.names.value == "sold"
    for name in ("order_id", "orderID", "order id"):
        numbered = rows_of(tmp_path, f"date,{name},amount\n2024-01-01,4000,5\n2024-01-02,4002,6\n2024-01-03,4001,7\n")
        assert (numbered.df["y"].tolist(), numbered.names.value) == ([5.0, 6.0, 7.0], "amount")
    alone = "date,image_id\n2024-01-01,4000\n2024-01-02,4900\n2024-01-03,4001\n"
    with pytest.raises(
        DataError, match=r"image_id, which names each row: count the rows with read.count_per=D .* read.value=image_id"
    ):
        rows_of(tmp_path, alone)
    assert rows_of(tmp_path, alone, value="image_id").df["y"].tolist() == [4000.0, 4900.0, 4001.0]
    assert rows_of(tmp_path, alone.replace("4001", "4000")).df["y"].tolist() == [4000.0, 4900.0, 4000.0]  # it names no row
    paid = rows_of(tmp_path, "date,paid,amount\n2024-01-01,4000,5\n2024-01-02,4001,6\n")
    assert paid.df["unique_id"].unique().tolist() == ["paid", "amount"]


def test_time_columns_are_joined(tmp_path):
    split = rows_of(tmp_path, "Date,Time,y\n2024-01-01,11:59:30 AM,1\n2024-01-01,12:30 PM,2\n")
    assert split.df["ds"].tolist() == days("2024-01-01 11:59:30", "2024-01-01 12:30")
    assert split.names.time == "Date Time"
    parts = rows_of(tmp_path, "year,month,day,hour,y\n2024,1,31,23,1\n2024,2,1,0,2\n")
    assert parts.df["ds"].tolist() == days("2024-01-31 23:00", "2024-02-01 00:00")
    named = rows_of(tmp_path, "a,b,y\n2024,1,1\n2024,2,2\n", time=["a", "b"])
    assert named.df["ds"].tolist() == days("2024-01-01", "2024-02-01")


# ---- times -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["2024-01-31T06:05", "2024-02-01T06:05:07.25"], ["2024-01-31 06:05", "2024-02-01 06:05:07.25"]),
        (["2016/7/1 0:00", "2016/7/1 1:00"], ["2016-07-01 00:00", "2016-07-01 01:00"]),
        (["1962-01", "1962-02"], ["1962-01-01", "1962-02-01"]),
        (["Jan 1998", "Apr 1998"], ["1998-01-01", "1998-04-01"]),
        (["January-2005", "March-2005"], ["2005-01-01", "2005-03-01"]),
        (["2024Q1", "2024 Q2"], ["2024-01-01", "2024-04-01"]),
        (["2024-W01", "2024-W02"], ["2024-01-01", "2024-01-08"]),
        (["31/01/2024", "01/02/2024"], ["2024-01-31", "2024-02-01"]),
        (["01/31/2024", "02/1/2024"], ["2024-01-31", "2024-02-01"]),
        (["31.01.2024 18.30", "01.02.2024 19.30"], ["2024-01-31 18:30", "2024-02-01 19:30"]),
        (["01-Jan-1940 00:00:00", "02-Jan-1940 00:00:00"], ["1940-01-01", "1940-01-02"]),
        (["Sept 5, 2020", "Sept 6, 2020"], ["2020-09-05", "2020-09-06"]),
        (["Jan-98", "Feb-98"], ["1998-01-01", "1998-02-01"]),
        (["20240131", "20240201"], ["2024-01-31", "2024-02-01"]),
        (["202412", "202501"], ["2024-12-01", "2025-01-01"]),
        (["2024-01-01 12:00 AM", "2024-01-01 1:00 PM"], ["2024-01-01 00:00", "2024-01-01 13:00"]),
    ],
)
def test_dates_are_understood_in_their_usual_forms(tmp_path, texts, expected):
    content = "ds,y\n" + "".join(f'"{text}",{i}\n' for i, text in enumerate(texts))
    assert rows_of(tmp_path, content).df["ds"].tolist() == days(*expected)


def test_ambiguous_days_and_months_are_an_error_with_both_readings(tmp_path):
    with pytest.raises(DataError) as caught:
        rows_of(tmp_path, "ds,y\n01/02/2024,1\n02/02/2024,2\n03/02/2024,3\n")
    assert "01/02/2024 may be 2024-02-01 or 2024-01-02" in str(caught.value)
    assert "read.date_format=%d/%m/%Y or read.date_format=%m/%d/%Y" in str(caught.value)
    settled = rows_of(tmp_path, "ds,y\n01/02/2024,1\n02/02/2024,2\n", date_format="%d/%m/%Y")
    assert settled.df["ds"].tolist() == days("2024-02-01", "2024-02-02")


def test_the_only_regular_reading_is_taken_with_a_warning(tmp_path):
    months = "".join(f"01/{month:02d}/{year},1\n" for year in (2022, 2023) for month in range(1, 13))
    rows = rows_of(tmp_path, "ds,y\n" + months)
    assert rows.df["ds"].tolist()[:2] == days("2022-01-01", "2022-02-01")
    assert any(finding.level == "warning" and "evenly spaced" in finding.message for finding in rows.findings)


def test_two_digit_years_never_lie_in_the_future(tmp_path):
    rows = rows_of(tmp_path, "ds,y\n01-Jan-68,1\n01-Jan-69,2\n")
    assert rows.df["ds"].tolist() == days("1968-01-01", "1969-01-01")
    assert "two-digit years" in words(rows)
    with pytest.raises(DataError, match="in the future"):
        rows_of(tmp_path, "ds,y\n01-Jan-68,1\n01-Jan-69,2\n", date_format="%d-%b-%y")


@pytest.mark.parametrize("factor", [1, 1000, 1_000_000, 1_000_000_000])
def test_unix_times_are_recognised_by_their_size(tmp_path, factor):
    rows = rows_of(tmp_path, f"ds,y\n{1704067200 * factor},1\n{1704153600 * factor},2\n")
    assert rows.df["ds"].tolist() == [pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2024-01-02", tz="UTC")]
    assert "since 1970" in words(rows)


def test_small_whole_numbers_and_years_stay_integers(tmp_path):
    assert rows_of(tmp_path, "ds,y\n1,1\n2,2\n").df["ds"].tolist() == [1, 2]
    years = rows_of(tmp_path, "year,y\n1990,1\n1991,2\n").df["ds"]
    assert years.tolist() == [1990, 1991]
    assert years.dtype == "int64"
    with pytest.raises(DataError, match="must be whole"):
        read(pd.DataFrame({"ds": [1.0, 2.5], "y": [1, 2]}))


@pytest.mark.parametrize(
    ("stamps", "message"),
    [
        ([20240101, 20240230, 20240103], "row 2: 20240230: is not a date, as 20240101"),
        ([1704067200, 0, 1704153600], "row 2: 0: is not a time in seconds since 1970"),
        ([1, 2, 2**63], "row 3: .*: is too large for a time"),
        ([1.0, 2.0, np.inf], "row 3: inf: is too large for a time"),
        ([31012024, 1022024, 2022024], "set read.date_format=%d%m%Y"),
        ([202401, 202402, 202413], "202413 is no month|row 3: 202413: is not a month"),
    ],
)
def test_whole_numbers_in_a_frame_that_are_no_times_are_named(stamps, message):
    with pytest.raises(DataError, match=message):
        read(pd.DataFrame({"ds": stamps, "y": [1, 2, 3]}))


@pytest.mark.parametrize(
    ("name", "stamps"),
    [("step", [200101, 200102, 200103]), ("t", [12012001, 12012002, 12012003]), ("ds", [45292, 45293, 45294])],
)
def test_columns_that_count_stay_whole_numbers(name, stamps):
    assert read(pd.DataFrame({name: stamps, "y": [1, 2, 3]})).df["ds"].tolist() == stamps


def test_times_of_several_parts_may_be_quarters(tmp_path):
    content = "year,quarter,y\n2024,1,1\n2024,4,2\n"
    assert rows_of(tmp_path, content, time=["year", "quarter"]).df["ds"].tolist() == days("2024-01-01", "2024-10-01")
    with pytest.raises(DataError, match="line 3: '2024 5': is not a possible date: there is no such quarter"):
        rows_of(tmp_path, content.replace("2024,4", "2024,5"), time=["year", "quarter"])
    with pytest.raises(DataError, match="line 3: '2024 60': is not a possible ISO week"):
        rows_of(tmp_path, content.replace("quarter", "week").replace("2024,4", "2024,60"), time=["year", "week"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"date_format": "%d.%m"}, "has no year"),
        ({"date_format": "%Y-%m-%d %Q"}, "is no date format"),
        ({"decimal": ";"}, "read.decimal=; must be . or ,"),
        ({"thousands": "2"}, "read.thousands=2 must be a single sign"),
        ({"thousands": "-"}, "read.thousands=- must be a single sign"),
        ({"thousands": ",", "decimal": ","}, "other than read.decimal"),
    ],
)
def test_settings_of_numbers_and_times_that_make_no_sense_are_refused(tmp_path, settings, message):
    with pytest.raises(DataError, match=message):
        rows_of(tmp_path, daily(), **settings)


def test_years_that_do_not_fit_are_refused_whatever_the_form(tmp_path):  # pandas 2 does not read them in the first place
    with pytest.raises(DataError, match=r"line 2: '1000-01-01'.*(years go from 1678 to 2261|is not of the form)"):
        rows_of(tmp_path, "ds,y\n1000-01-01,1\n1000-01-02,2\n", date_format="%Y-%m-%d")


def test_one_offset_is_kept_and_several_become_utc(tmp_path):
    one = rows_of(tmp_path, "ds,y\n2024-01-01T00:00+01:00,1\n2024-01-02T00:00+01:00,2\n")
    assert str(one.df["ds"].iloc[0]) == "2024-01-01 00:00:00+01:00"
    several = rows_of(tmp_path, "ds,y\n2024-03-31T00:00+01:00,1\n2024-04-01T00:00+02:00,2\n")
    assert several.df["ds"].tolist() == [pd.Timestamp("2024-03-30 23:00Z"), pd.Timestamp("2024-03-31 22:00Z")]
    assert "read.tz=" in words(several)
    zoned = rows_of(tmp_path, "ds,y\n2024-03-31T00:00+01:00,1\n2024-04-01T00:00+02:00,2\n", tz="Europe/Berlin")
    assert [f"{stamp:%m-%d %H:%M}" for stamp in zoned.df["ds"]] == ["03-31 00:00", "04-01 00:00"]
    assert str(zoned.df["ds"].dt.tz) == "Europe/Berlin"


def test_the_repeated_autumn_hour_is_told_apart_by_the_order_of_rows(tmp_path):
    hours = ["01:00", "02:00", "02:00", "03:00"]
    rising = "ds,y\n" + "".join(f"2024-10-27 {hour},1\n" for hour in hours)
    offsets = [str(stamp)[-6:] for stamp in rows_of(tmp_path, rising, tz="Europe/Berlin").df["ds"]]
    assert offsets == ["+02:00", "+02:00", "+01:00", "+01:00"]
    falling = "ds,y\n" + "".join(f"2024-10-27 {hour},1\n" for hour in reversed(hours))
    offsets = [str(stamp)[-6:] for stamp in rows_of(tmp_path, falling, tz="Europe/Berlin").df["ds"]]
    assert offsets == ["+01:00", "+01:00", "+02:00", "+02:00"]


@pytest.mark.parametrize(
    ("stamps", "message"),
    [
        (["2024-10-27 02:00", "2024-10-27 03:00"], "2024-10-27 02:00:00 .1 in all. is ambiguous"),
        (["2024-03-31 02:30", "2024-03-31 03:30"], "2024-03-31 02:30:00 .1 in all. does not exist"),
    ],
)
def test_times_a_zone_does_not_settle_are_named(tmp_path, stamps, message):
    with pytest.raises(DataError, match=message):
        rows_of(tmp_path, f"ds,y\n{stamps[0]},1\n{stamps[1]},2\n", tz="Europe/Berlin")


def test_an_unknown_zone_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"read\.tz=Mars/Olympus is not a known zone"):
        rows_of(tmp_path, daily(), tz="Mars/Olympus")


# ---- objects -----------------------------------------------------------------------------------------------------------

LONG = pd.DataFrame({"unique_id": ["a", "a", "b"], "ds": days("2024-01-01", "2024-01-02", "2024-01-01"), "y": [1, 2, 3]})


@pytest.mark.parametrize(
    "table",
    [
        LONG,
        LONG.astype({"unique_id": "category", "y": "Int64"}),
        LONG.astype({"unique_id": "string[pyarrow]", "ds": "timestamp[us][pyarrow]", "y": "int32[pyarrow]"}),
        LONG.astype({"unique_id": object, "y": object}),
        LONG.assign(ds=LONG["ds"].dt.date),
        LONG.assign(ds=LONG["ds"].dt.to_period("D")),
        LONG.assign(ds=LONG["ds"].dt.strftime("%d.%m.%Y").replace({"02.01.2024": "2.1.2024"}), y=["1", "2", "3"]),
        LONG.set_index("ds"),
        LONG.set_index(["unique_id", "ds"]),
        LONG.set_index(["unique_id", "ds"])["y"],
        pl.DataFrame({"unique_id": ["a", "a", "b"], "ds": LONG["ds"].to_list(), "y": [1, 2, 3]}),
        pa.Table.from_pandas(LONG.assign(unique_id=LONG["unique_id"].astype("category"))),
        {"unique_id": ["a", "a", "b"], "ds": ["2024-01-01", "2024-01-02", "2024-01-01"], "y": [1, 2, 3]},
    ],
)
def test_the_same_rows_come_from_any_frame(table):
    date_format = "%d.%m.%Y" if isinstance(table, pd.DataFrame) and "2.1.2024" in table.values else None
    rows = read(table, ReadConfig(date_format=date_format))
    assert rows.df["unique_id"].tolist() == ["a", "a", "b"]
    assert rows.df["ds"].tolist() == LONG["ds"].tolist()
    assert rows.df["ds"].dtype == "datetime64[ns]"
    assert rows.df["y"].tolist() == [1.0, 2.0, 3.0]
    assert rows.df["y"].dtype == "float64"
    assert rows.names == Names("unique_id", "ds", "y")


def test_parquet_and_globs_are_read(tmp_path):
    LONG.to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet").df["y"].tolist() == [1.0, 2.0, 3.0]
    LONG.iloc[:1].to_csv(tmp_path / "p1.csv", index=False)
    LONG.iloc[1:].to_csv(tmp_path / "p2.csv", index=False)
    rows = read(str(tmp_path / "p*.csv"))
    assert rows.df["unique_id"].tolist() == ["a", "a", "b"]
    assert "2 files were read: p1.csv, p2.csv" in words(rows)


def test_files_over_the_same_times_are_series_named_by_their_files(tmp_path):
    for name in ("north", "south"):
        (tmp_path / f"{name}.csv").write_text(daily())
    rows = read(tmp_path / "*.csv")
    assert rows.df["unique_id"].unique().tolist() == ["north", "south"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["sales.north.csv", "sales.south.csv"], ["sales.north", "sales.south"]),
        (["v1.2/a.csv", "v1.3/a.csv"], ["v1.2/a", "v1.3/a"]),
        (["a.CSV.gz", "a.csv"], ["a.CSV.gz", "a.csv"]),
        (["north.2024.csv.gz", "south.2024.tsv"], ["north.2024", "south.2024"]),
    ],
)
def test_files_that_are_series_have_names_of_their_own(tmp_path, names, expected):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        content = b"y\n3\n2\n1\n"
        (tmp_path / name).write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    rows = read(tmp_path / ("*/*" if "/" in names[0] else "*"))
    assert rows.df["unique_id"].unique().tolist() == expected
    assert "2 files are 2 series" in words(rows)


def test_files_that_share_few_times_are_series_with_a_warning(tmp_path):
    (tmp_path / "february.csv").write_text("ds,y\n2024-01-03,3\n2024-01-04,4\n2024-01-05,5\n")
    (tmp_path / "january.csv").write_text(daily(3))
    rows = read(tmp_path / "*.csv")
    assert rows.df["unique_id"].unique().tolist() == ["february", "january"]
    (finding,) = (finding for finding in rows.findings if finding.level == "warning")
    assert finding.message.endswith(
        "only 1 rows repeat a time of another file: remove them if the files are parts of one series"
    )


def test_a_time_twice_in_one_file_makes_no_series_of_the_files(tmp_path):
    (tmp_path / "february.csv").write_text("ds,y\n2024-02-01,3\n2024-02-01,4\n")
    (tmp_path / "january.csv").write_text(daily(3))
    assert read(tmp_path / "*.csv", ReadConfig(duplicates="last")).df["unique_id"].unique().tolist() == ["y"]


def test_a_file_that_is_read_twice_is_no_second_series(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.csv").write_text("y\n3\n2\n1\n")
    with pytest.raises(DataError, match=r"the file a.csv is read twice"):
        read(tmp_path / "**/**/a.csv")


def test_missing_files_and_folders_say_so(tmp_path):
    with pytest.raises(DataError, match="there is no such file"):
        read(tmp_path / "none.csv")
    with pytest.raises(DataError, match="is a folder"):
        read(tmp_path)


def test_series_arrays_and_lists_are_values():
    index = pd.period_range("2020-01", periods=2, freq="M", name="month")
    rows = read(pd.Series([3, 4], index=index, name="births"))
    assert rows.df["ds"].tolist() == days("2020-01-01", "2020-02-01")
    assert rows.names == Names(None, "month", "births")
    for values in ([2, None, 5], np.array([2, np.nan, 5]), (2, float("nan"), 5), pd.Series([2, None, 5])):
        rows = read(values)
        assert rows.df["y"].fillna(-1).tolist() == [2, -1, 5]
        assert rows.df["ds"].tolist() == [1, 2, 3]
        assert rows.names == Names(None, None, None)
    assert read(np.arange(6).reshape(3, 2)).df["unique_id"].tolist() == ["series_1"] * 3 + ["series_2"] * 3


@pytest.mark.parametrize("data", [[True, False], np.array(["a"]), np.zeros((2, 2, 2)), [], ["1", "2"], 7, [1.0, np.inf]])
def test_objects_without_usable_numbers_are_errors(data):
    with pytest.raises(DataError):
        read(data)


def test_the_callers_frame_is_not_changed():
    table = LONG.astype({"unique_id": "category"}).sample(frac=1, random_state=1)
    before = table.copy(deep=True)
    read(table, ReadConfig(tz="Europe/Berlin"))
    pd.testing.assert_frame_equal(table, before)


def test_what_is_found_does_not_depend_on_how_large_the_values_are(tmp_path):
    table = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=60), "y": np.arange(60.0)})
    changed = {
        "times": table["y"] * 3 + 100,
        "blank": table["y"].where(table.index < 40),
        "half": table["y"] + 0.5 * (table.index >= 40),
    }
    first = read(table)
    for y in changed.values():
        other = read(table.assign(y=y))
        assert other.findings == first.findings
        assert other.names == first.names
        assert other.df["ds"].equals(first.df["ds"])
        path = tmp_path / "poisoned.csv"
        table.assign(y=y).to_csv(path, index=False)
        assert read(path).findings == first.findings


# ---- covariates --------------------------------------------------------------------------------------------------------


def with_covariates(tmp_path, content: str, settings=None, texts: list[str] | None = None, **declared) -> Rows:
    path = tmp_path / "a.csv"
    path.write_text(content)
    return read(path, ReadConfig(**(settings or {})), None, CovariatesConfig(**declared), texts=texts)


def columns_of(rows: Rows) -> dict[str, list]:
    """The covariates as lists, NaN written as None."""
    return {name: [None if pd.isna(v) else v for v in rows.df[name]] for name in rows.df.columns[3:]}


SALES = """shop,day,sold,price,promo,region,temp
a,2024-01-01,5,1.5,yes,north,-3
a,2024-01-02,6,NA,,north,
b,2024-01-01,7,2,no,süd,4
b,2024-01-02,8,2.5,yes,süd,5
"""


def test_declared_columns_come_along_as_numbers_or_text_in_the_order_of_their_roles(tmp_path):
    rows = with_covariates(tmp_path, SALES, known=["promo", "price"], past=["temp"], static=["region"])
    assert rows.df.columns.tolist() == ["unique_id", "ds", "y", "x:temp", "x:promo", "x:price", "x:region"]
    assert columns_of(rows) == {
        "x:temp": [-3, None, 4, 5],
        "x:promo": ["yes", None, "no", "yes"],
        "x:price": [1.5, None, 2, 2.5],
        "x:region": ["north", "north", "süd", "süd"],
    }
    assert rows.df["x:price"].dtype == "float64"
    assert rows.df["x:promo"].dtype == object
    assert rows.df["x:promo"].iloc[1] is None
    assert rows.names == Names("shop", "day", "sold")
    assert rows.covariates is not None
    assert rows.covariates.known == ["promo", "price"]


def test_without_declared_columns_the_rows_are_as_before(tmp_path):
    rows = with_covariates(tmp_path, "ds,y\n2024-01-01,1\n2024-01-02,2\n", holidays=["DE"])
    assert rows.df.columns.tolist() == ["unique_id", "ds", "y"]


def test_declared_columns_are_no_time_no_id_and_no_value(tmp_path):
    content = "date,sold,price,opened,store\n2024-01-01,1,3.5,2020-05-05,a\n2024-01-02,2,3.0,2020-05-05,a\n"
    content += "2024-01-03,1,3.5,2021-05-05,b\n2024-01-04,2,3.0,2021-05-05,b\n"
    rows = with_covariates(tmp_path, content, known=["price", "store"], past=["opened"])
    assert rows.names == Names(None, "date", "sold")
    assert rows.df["x:opened"].tolist() == ["2020-05-05"] * 2 + ["2021-05-05"] * 2
    assert "price" not in words(rows)


def test_covariates_may_be_called_like_our_own_columns(tmp_path):
    rows = with_covariates(tmp_path, "day,n,y,ds,weight\n2024-01-01,1,7,a,3\n2024-01-02,2,8,b,4\n", known=["y", "ds", "weight"])
    assert rows.df["y"].tolist() == [1, 2]
    assert columns_of(rows) == {"x:y": [7, 8], "x:ds": ["a", "b"], "x:weight": [3, 4]}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "2"], [1, 2]),
        (["1,5", "NA"], [1.5, None]),
        (["1.234,5", ""], [1234.5, None]),
        (["", "-"], [None, None]),
        (["x", ""], ["x", None]),
        (["x", "NA"], ["x", "NA"]),
        (["01", "A1"], ["01", "A1"]),
        (["true", "false"], ["true", "false"]),
        (["2024-01-01", "2024-01-02"], ["2024-01-01", "2024-01-02"]),
    ],
)
def test_a_text_column_is_numbers_only_where_every_cell_is_one(tmp_path, cells, expected):
    content = f"day;n;x\n2024-01-01;0,5;{cells[0]}\n2024-01-02;2,5;{cells[1]}\n"
    assert columns_of(with_covariates(tmp_path, content, known=["x"])) == {"x:x": expected}


def test_a_column_of_numbers_with_a_few_errors_is_taken_as_text_with_a_warning(tmp_path):
    content = "day,n,price\n2024-01-01,1,3\n2024-01-02,2,4\n2024-01-03,2,4 Euro\n"
    rows = with_covariates(tmp_path, content, known=["price"])
    assert rows.df["x:price"].tolist() == ["3", "4", "4 Euro"]
    assert "a.csv, line 4: '4 Euro': no number, so every different cell of the column counts as a category" in words(rows)


def test_infinite_covariates_are_an_error(tmp_path):
    with pytest.raises(DataError, match=r"column 'x': a.csv, line 3: 'inf': an infinite value"):
        with_covariates(tmp_path, "day,n,x\n2024-01-01,1,3\n2024-01-02,2,inf\n", known=["x"])
    with pytest.raises(DataError, match=r"column 'x': row 2: inf: an infinite value"):
        read(LONG.assign(x=[1, np.inf, 2]), None, None, CovariatesConfig(past=["x"]))


def test_what_an_earlier_fit_took_as_text_stays_text_and_numbers_stay_numbers(tmp_path):
    content = "day,n,code,price\n2024-01-01,1,01,3\n2024-01-02,2,02,4\n"
    rows = with_covariates(tmp_path, content, texts=["code"], known=["code", "price"])
    assert columns_of(rows) == {"x:code": ["01", "02"], "x:price": [3, 4]}
    with pytest.raises(DataError, match=r"column 'price': a.csv, line 3: 'x': write plain numbers"):
        with_covariates(tmp_path, content.replace("02,4", "02,x"), texts=["code"], known=["code", "price"])
    frame = pd.DataFrame({"ds": THREE_DAYS, "y": [1, 2, 3], "code": [1.0, 2.5, np.nan]})
    assert columns_of(read(frame, None, None, CovariatesConfig(known=["code"]), texts=["code"])) == {
        "x:code": ["1", "2.5", None]
    }


def test_frames_give_numbers_as_numbers_and_all_else_as_text():
    table = pd.DataFrame(
        {
            "ds": THREE_DAYS,
            "y": [1, 2, 3],
            "whole": pd.array([1, None, 3], dtype="Int64"),
            "flag": [True, False, True],
            "maybe": pd.array([True, None, False], dtype="boolean"),
            "kind": pd.Categorical(["a", None, "b"]),
            "word": ["a", None, "b"],
            "since": pd.DatetimeIndex(["2024-01-01", "NaT", "2024-01-02 12:00"]),
        }
    )
    names = table.columns[2:].tolist()
    for given in (table, pl.from_pandas(table), pa.Table.from_pandas(table)):
        rows = read(given, None, None, CovariatesConfig(known=names))
        assert columns_of(rows) == {
            "x:whole": [1, None, 3],
            "x:flag": ["True", "False", "True"],
            "x:maybe": ["True", None, "False"],
            "x:kind": ["a", None, "b"],
            "x:word": ["a", None, "b"],
            "x:since": ["2024-01-01", None, "2024-01-02 12:00:00"],
        }
        assert rows.df["x:whole"].dtype == "float64"
        assert all(rows.df[f"x:{name}"].dtype == object for name in names[1:])


def test_columns_that_are_not_there_are_one_error_with_all_that_were_expected(tmp_path):
    with pytest.raises(DataError) as caught:
        with_covariates(tmp_path, SALES, known=["prices", "promo"], static=["land"])
    assert str(caught.value) == (
        "covariates: expected columns prices (did you mean price?), promo, land; the table has shop, day, sold, price, promo, "
        "region, temp; missing: prices, land"
    )
    rows = with_covariates(
        tmp_path, SALES, {"id": "shop", "value": "sold"}, known=["Price"]
    )  # as for every other name, case is no matter
    assert rows.df["x:Price"].notna().tolist() == [True, False, True, True]


def test_a_static_column_has_one_value_per_series(tmp_path):
    gap = SALES.replace("b,2024-01-01,7,2,no,süd", "b,2024-01-01,7,2,no,")
    filled = with_covariates(tmp_path, gap, {"value": "sold", "id": "shop"}, static=["region"])
    assert filled.df["x:region"].tolist() == ["north", "north", "süd", "süd"]
    with pytest.raises(DataError) as caught:
        with_covariates(tmp_path, SALES, static=["price", "region", "promo", "temp"])
    lines = str(caught.value).splitlines()
    assert lines[0] == "covariates.static=price: the column price must have one value per series, but b has 2 and 2.5"
    assert lines[1].endswith("the column promo must have one value per series, but b has 'no' and 'yes'")
    assert lines[2].endswith("b has 4 and 5")
    with pytest.raises(DataError, match="a has 5 and 6, and varies within 1 more series"):
        with_covariates(tmp_path, SALES, settings={"value": "price", "id": "shop"}, static=["sold"])


def test_an_id_may_be_static_and_is_then_a_category(tmp_path):
    content = "store,item,day,sold\n1,x,2024-01-01,1\n1,x,2024-01-02,2\n2,x,2024-01-01,3\n2,x,2024-01-02,4\n"
    rows = with_covariates(tmp_path, content, settings={"id": ["store", "item"]}, static=["store"])
    assert rows.df["x:store"].tolist() == ["1", "1", "2", "2"]
    with pytest.raises(DataError, match=r"the column store names the series: it can only be declared in covariates.static="):
        with_covariates(tmp_path, content, settings={"id": ["store", "item"]}, known=["store"])


@pytest.mark.parametrize(
    ("settings", "declared", "message"),
    [
        ({"value": "price"}, {"known": ["price"]}, r"the column price is the value to forecast \(read.value=\) and cannot"),
        ({"time": "day"}, {"past": ["day"]}, r"the column day is the time \(read.time=\)"),
        (
            {"count_per": "D"},
            {"known": ["price"]},
            "read.count_per makes new rows, which the covariates price do not belong to",
        ),
        ({"resample": "W-MON"}, {"static": ["region"]}, "read.resample makes new rows.*count or sum first"),
    ],
)
def test_settings_that_exclude_covariates_say_so(tmp_path, settings, declared, message):
    with pytest.raises(DataError, match=message):
        with_covariates(tmp_path, SALES, settings=settings, **declared)


def test_in_a_wide_table_the_covariates_of_a_row_belong_to_every_series(tmp_path):
    content = "day,north,south,temp,kind\n2024-01-01,1,3,9.5,a\n2024-01-02,2,4,,b\n"
    rows = with_covariates(tmp_path, content, past=["temp"], known=["kind"])
    assert rows.df["unique_id"].tolist() == ["north", "north", "south", "south"]
    assert columns_of(rows) == {"x:temp": [9.5, None, 9.5, None], "x:kind": ["a", "b", "a", "b"]}
    with pytest.raises(DataError, match=r"covariates.static=kind: 2 columns are 2 series here"):
        with_covariates(tmp_path, content, past=["temp"], static=["kind"])


# ---- ids of several columns, weights -----------------------------------------------------------------------------------

STOCK = pd.DataFrame(
    {
        "agency": ["A", "A", "B", "B"],
        "sku": [1, 1, 1, 2],
        "ds": days("2024-01-01", "2024-01-02", "2024-01-01", "2024-01-01"),
        "y": [1, 2, 3, 4],
        "share": [0.5, 0.5, 2.0, 1.0],
    }
)


def test_an_id_of_several_columns_is_joined():
    config = ReadConfig(id=["agency", "SKU"], value="y")
    rows = read(STOCK, config)
    assert rows.df["unique_id"].tolist() == ["A/1", "A/1", "B/1", "B/2"]
    assert rows.names == Names("agency/sku", "ds", "y")
    again = read(STOCK.assign(y=9), ReadConfig(), rows.names)  # known by the name of the fit
    assert again.df["unique_id"].tolist() == ["A/1", "A/1", "B/1", "B/2"]
    assert again.names == rows.names
    assert read(STOCK.drop(columns="share").assign(**{"agency/sku": "x"}).head(2), None, rows.names).names.id == "agency/sku"
    assert read(STOCK, ReadConfig(id=["sku"], value="y", duplicates="last")).names.id_dtype == "int64"


def test_ids_that_would_run_into_each_other_are_an_error():
    table = pd.DataFrame({"a": ["x/y", "x"], "b": ["z", "y/z"], "ds": THREE_DAYS[:2], "y": [1, 2]})
    with pytest.raises(DataError, match=r"read.id=\[a,b\]: different series would both be called 'x/y/z'"):
        read(table, ReadConfig(id=["a", "b"]))


def test_all_names_that_are_not_there_are_reported_together():
    with pytest.raises(DataError) as caught:
        read(STOCK, ReadConfig(id=["agency", "skew"], value="volume"))
    assert str(caught.value).splitlines() == [
        "read.id=skew: there is no such column; the table has agency, sku, ds, y, share",
        "read.value=volume: there is no such column; the table has agency, sku, ds, y, share",
    ]


def test_a_weight_comes_along_and_is_never_a_value():
    rows = read(STOCK, ReadConfig(id=["agency", "sku"], weight="share"))
    assert rows.df["weight"].tolist() == [0.5, 0.5, 2, 1]
    assert rows.names.value == "y"
    assert "share" not in words(rows)


@pytest.mark.parametrize(
    ("share", "message"),
    [
        ([0.5, 0.6, 2, 1], "read.weight: the weight must have one value per series, but A/1 has 0.5 and 0.6"),
        ([0.5, 0.5, 0, -1], "read.weight: a weight must be a number above 0, but B/1 has 0, B/2 has -1"),
        ([0.5, 0.5, np.nan, 1], "a weight must be a number above 0, but B/1 has none"),
        ([0.5, 0.5, np.inf, 1], "column 'share': row 3: inf: an infinite value"),
        (["0.5", "0.5", "x", "1"], "column 'share': row 3: 'x': write plain numbers"),
    ],
)
def test_a_weight_is_a_positive_number_per_series(share, message):
    with pytest.raises(DataError, match=message):
        read(STOCK.assign(share=share), ReadConfig(id=["agency", "sku"], value="y", weight="share"))


def test_a_weight_goes_with_series_in_rows_of_their_own(tmp_path):
    with pytest.raises(DataError, match=r"read.weight=share already is the id, the time or the value"):
        read(STOCK, ReadConfig(id=["agency", "sku"], value="share", weight="share"))
    with pytest.raises(DataError, match=r"read.weight=z needs a table with a column for the ids"):
        rows_of(tmp_path, "ds,x,y,z\n2024-01-01,1,2,3\n2024-01-02,1,2,3\n", value=["x", "y"], weight="z")
    with pytest.raises(DataError, match=r"read.weight=shares: there is no such column"):
        read(STOCK, ReadConfig(id=["agency", "sku"], weight="shares"))
    known = Names("agency/sku", "ds", "y")  # a forecast needs no weights
    assert "weight" not in read(STOCK.drop(columns="share"), ReadConfig(weight="share"), known).df


# ---- what is known ahead -----------------------------------------------------------------------------------------------

AHEAD = pd.DataFrame(
    {
        "sku": [1, 2],
        "agency": ["A", "B"],
        "promo": ["yes", None],
        "date": days("2024-02-01", "2024-02-01"),
        "price": [3.5, np.nan],
        "volume": [7.0, 8.0],
    }
)
NAMES = Names("agency/sku", "date", "volume")
KNOWN = CovariatesConfig(known=["price", "promo"], past=["temp"], static=["region"], holidays=["DE"])


@pytest.mark.parametrize("value", ["with", "without"])
def test_the_future_is_read_without_a_value(tmp_path, value):
    table = AHEAD if value == "with" else AHEAD.drop(columns="volume")
    table.to_csv(tmp_path / "ahead.csv", index=False)
    for data in (table, tmp_path / "ahead.csv"):
        rows = future_rows(data, ReadConfig(weight="share", missing="zero"), NAMES, KNOWN, texts=["promo"])
        assert rows.df["unique_id"].tolist() == ["A/1", "B/2"]
        assert rows.df["ds"].tolist() == AHEAD["date"].tolist()
        assert rows.df["y"].isna().all()
        assert columns_of(rows) == {"x:price": [3.5, None], "x:promo": ["yes", None]}
        assert rows.names.id == "agency/sku"


def test_renamed_columns_of_the_future_are_listed_as_expected_against_found():
    with pytest.raises(DataError) as caught:
        future_rows(AHEAD.rename(columns={"sku": "item", "price": "prices"}), ReadConfig(), NAMES, KNOWN)
    assert str(caught.value) == (
        "future: expected columns agency, sku, date, price (did you mean prices?), promo; the table has item, agency, promo, "
        "date, prices, volume; missing: sku, price"
    )


def test_the_future_of_a_single_series_has_its_name():
    history = read(
        pd.DataFrame({"day": THREE_DAYS, "sold": [1, 2, 3], "price": [1, 1, 2]}), None, None, CovariatesConfig(known=["price"])
    )
    ahead = pd.DataFrame({"day": days("2024-01-04"), "price": [2], "note": ["a"]})
    rows = future_rows(ahead, ReadConfig(), history.names, CovariatesConfig(known=["price"]))
    assert rows.df["unique_id"].tolist() == history.df["unique_id"].unique().tolist()
    assert rows.df["x:price"].tolist() == [2]


def test_a_future_without_times_counts_the_steps():
    rows = future_rows(pd.DataFrame({"price": [5, 6]}), ReadConfig(), Names(None, None, "y"), CovariatesConfig(known=["price"]))
    assert rows.df["ds"].tolist() == [1, 2]


def test_times_of_several_columns_are_found_again():
    table = pd.DataFrame({"year": [2024, 2024], "month": [1, 2], "n": [1, 2], "price": [5, 6]})
    known = CovariatesConfig(known=["price"])
    history = read(table, None, None, known)
    assert history.names.time == "year month"
    ahead = future_rows(table.drop(columns="n").assign(month=[3, 4]), ReadConfig(), history.names, known)
    assert ahead.df["ds"].tolist() == days("2024-03-01", "2024-04-01")


def test_a_future_that_repeats_a_step_is_an_error_unless_the_last_one_counts():
    twice = pd.concat([AHEAD, AHEAD.assign(price=9.0)])
    with pytest.raises(DataError, match="future: 2 rows repeat the id and time of another row: A/1 at 2024-02-01, B/2 at"):
        future_rows(twice, ReadConfig(), NAMES, KNOWN)
    assert future_rows(twice, ReadConfig(duplicates="last"), NAMES, KNOWN).df["x:price"].tolist() == [9, 9]


# ---- whole numbers as pandas writes them, months in other digits --------------------------------------------------------


def test_whole_numbers_written_with_a_point_and_zeros_are_times(tmp_path):
    rows = rows_of(tmp_path, "date,y\n20240217.0,3\n20240216.0,2\n20240215.0,1\n")
    assert rows.df["ds"].tolist() == days("2024-02-17", "2024-02-16", "2024-02-15")
    assert "~ time: date holds whole numbers such as 20240217.0, which were read without what follows the point" in words(rows)
    rows = rows_of(tmp_path, "y,year\n3,2021.0\n2,2020.0\n1,2019.0\n")
    assert rows.df["ds"].tolist() == [2021, 2020, 2019]


def test_a_year_that_is_missing_among_numbers_with_a_point_is_refused(tmp_path):
    with pytest.raises(DataError, match="line 3: '': a row has no time"):
        rows_of(tmp_path, "year,y\n2021.0,3\n,2\n2019.0,1\n")


MONTHS_2022_2023 = [(year, month) for year in (2022, 2023) for month in range(1, 13)]


@pytest.mark.parametrize(
    ("form", "settings"),
    [
        ("{month:02d}{year}", "read.date_format=%m%Y"),
        ("{month}{year}", "read.date_format=%m%Y"),
        ("{short}{month:02d}", "read.date_format=%y%m"),
        ("{month:02d}{short}", "read.date_format=%m%y"),
        ("{month}{short}", "read.date_format=%m%y"),
    ],
)
def test_months_in_other_digits_are_not_counted(tmp_path, form, settings):
    cells = [form.format(year=year, month=month, short=year % 100) for year, month in MONTHS_2022_2023]
    table = "month,y\n" + "".join(f"{cell},{i}\n" for i, cell in enumerate(cells))
    with pytest.raises(DataError, match=f"{cells[0]} may be a month: set .*{settings}"):
        rows_of(tmp_path, table)
    rows = rows_of(tmp_path, table, date_format=settings.partition("=")[2])
    assert rows.df["ds"].tolist() == [pd.Timestamp(year, month, 1) for year, month in MONTHS_2022_2023]


@pytest.mark.parametrize("cells", [["0001", "0002", "0005"], ["101", "201", "301"], ["2001", "2002", "2003"], ["3", "7", "12"]])
def test_numbers_that_count_are_no_months(tmp_path, cells):
    rows = rows_of(tmp_path, "month,y\n" + "".join(f"{cell},1\n" for cell in cells))
    assert rows.df["ds"].tolist() == [int(cell) for cell in cells]


def test_a_form_of_digits_alone_is_met_by_numbers_that_lost_their_first_zero(tmp_path):
    rows = rows_of(tmp_path, "date,y\n1012024,1\n2012024,2\n11012024,3\n", date_format="%d%m%Y")
    assert rows.df["ds"].tolist() == days("2024-01-01", "2024-01-02", "2024-01-11")
    frame = pd.DataFrame({"month": [101, 102, 1012], "y": [1.0, 2.0, 3.0]})
    assert read(frame, ReadConfig(date_format="%y%m")).df["ds"].tolist() == days("2001-01-01", "2001-02-01", "2010-12-01")
    with pytest.raises(DataError, match=r"'112024'.*is not of the form"):
        rows_of(tmp_path, "date,y\n112024,1\n", date_format="%d%m%Y")


# ---- numbers that may stand for missing values -------------------------------------------------------------------------


@pytest.mark.parametrize("code", [-99, -999, -9999])
def test_a_number_far_below_all_others_that_repeats_is_asked_about(code):
    y = [0.0, 5.0, code, 7.0, code, 3.0]
    frame = to_frame(read(pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=6), "y": y})))
    assert f"! missing: 2 values are {code}, far below all others: if they mean missing, leave them empty" in [
        str(finding) for finding in frame.findings
    ]
    assert frame.df["y"].tolist() == y


@pytest.mark.parametrize("y", [[0.0, -999.0, 1.0, 2.0], [-1.0, -999.0, -999.0, 2.0], [-99.0, -99.0], [-98.0, -98.0, 1.0]])
def test_other_low_numbers_are_not_asked_about(y):
    frame = to_frame(read(pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=len(y)), "y": y})))
    assert not any("far below" in finding.message for finding in frame.findings)


def test_years_and_months_written_with_a_point_and_zeros_are_put_together(tmp_path):
    table = "year,month,y\n2020.0,11.0,1\n2020.0,12.0,2\n2021.0,1.0,3\n"
    for rows in (rows_of(tmp_path, table), rows_of(tmp_path, table, time=["year", "month"])):
        assert rows.df["ds"].tolist() == days("2020-11-01", "2020-12-01", "2021-01-01")


@pytest.mark.parametrize("name", ["date", "Datum"])
def test_a_date_that_is_no_whole_number_is_refused(tmp_path, name):
    with pytest.raises(DataError, match=r"line 2: '45000.5'.*may be a date as a spreadsheet counts days"):
        rows_of(tmp_path, f"{name},y\n45000.5,1\n45001.5,2\n45002.5,3\n")
