"""Times in a form that is not understood are no reason to count the rows as they come; names, codes and addresses are none."""

from __future__ import annotations

import pandas as pd
import pytest

from tsattn.config import CovariatesConfig, ReadConfig
from tsattn.data.findings import DataError
from tsattn.data.read import Rows, read

HIDDEN = {
    "log_without_a_year": ["Jan  3 00:00:01", "Jan  2 00:00:01", "Jan  1 00:00:01"],
    "zone": ["2024-01-02 00:00 CET", "2024-01-01 00:00 CET"],
    "zone_in_brackets": ["2024-01-02T00:00+01:00[Europe/Berlin]", "2024-01-01T00:00+01:00[Europe/Berlin]"],
    "day_of_the_year": ["2024-003", "2024-002", "2024-001"],
    "formulas": ['="2024-01-02"', '="2024-01-01"'],
    "quoted": ["'2024-01-03", "'2024-01-02"],
    "seasons": ["Winter 2024", "Autumn 2023", "Summer 2023"],
    "polish": ["3 stycznia 2024", "2 stycznia 2024"],
    "polish_months": ["luty 2024", "stycze\u0144 2024"],
    "russian": ["3 \u044f\u043d\u0432\u0430\u0440\u044f 2024 \u0433.", "2 \u044f\u043d\u0432\u0430\u0440\u044f 2024 \u0433."],
    "japanese_era": ["\u4ee4\u548c6\u5e741\u67083\u65e5", "\u4ee4\u548c6\u5e741\u67082\u65e5"],
    "half_years": ["H1 2024", "H2 2023"],
    "fiscal_years": ["FY2024", "FY2023"],
    "fiscal_quarters": ["FY24-Q1", "FY23-Q4"],
    "short_quarters": ["1Q24", "4Q23"],
    "german_weeks": ["KW 12/24", "KW 11/24"],
    "weeks_newest_first": ["Week 12", "Week 11"],
    "days_with_a_gap": ["Day 1", "Day 2", "Day 5"],
    "months": ["Mar", "Feb", "Jan"],
    "days_of_a_month": ["Jan 3", "Jan 2", "Jan 1"],
    "german_days": ["13.1.", "12.1.", "11.1."],
    "american_days": ["1/13", "1/12", "1/11"],
    "hours": ["12:00", "11:00", "10:00"],
    "digits": ["20240103", "20240102", "20240101"],
    "digits_with_points": ["20240103.0", "20240102.0", "20240101.0"],
    "digits_day_first": ["31012024", "30012024"],
    "digits_with_gaps": ["20240103", "", "20240101"],
    "years_with_marks": ["2024p", "2023p", "2022r"],
    "digits_with_clock": ["20240103120000", "20240102120000"],
    "file_names": ["IMG_20240103_120000.jpg", "IMG_20240102_120000.jpg"],
    "ranges": ["08.01.2024 - 14.01.2024", "01.01.2024 - 07.01.2024"],
    "points": ["2024.01.03.", "2024.01.02."],
    "half_understood": ["2024-01-03", "?2024-01-02?", "~2024-01-01"],
    "browser": ["Wed Jan 03 2024 00:00:00 GMT+0100 (CET)", "Tue Jan 02 2024 00:00:00 GMT+0100 (CET)"],
    "sas": ["03JAN2024:00:00:00", "02JAN2024:00:00:00"],
}
NO_TIMES = {
    "days_that_count_the_rows": ["Day 1", "Day 2", "Day 3"],
    "part_numbers": ["AB-12-34", "AB-12-35", "CD-13-01"],
    "versions": ["1.2.3", "1.2.4", "2.0.0"],
    "versions_with_letters": ["v1.2.3-rc1", "v1.10.0", "v2.0.12"],
    "phone_numbers": ["+49 30 123456", "+49 89 2024123", "+49 40 998877"],
    "short_phone_numbers": ["555-1234", "555-1987", "212-5550"],
    "german_postcodes": ["D-10115", "D-20095", "D-80331"],
    "american_postcodes": ["12345-6789", "20012-1999", "90210-1234"],
    "british_postcodes": ["SW1A 1AA", "EC1A 1BB", "W1A 0AX"],
    "network_addresses": ["192.168.1.1", "10.0.0.12", "172.16.5.4"],
    "long_network_addresses": ["2001:db8::1", "2001:db8::2", "2001:0db8:85a3:0000:0000:8a2e:0370:7334"],
    "hardware_addresses": ["00:1A:2B:3C:4D:5E", "00:11:22:33:44:55", "10:22:33:44:55:66"],
    "addresses": ["12 Main St 4", "7 Oak Rd 3", "2024 Elm St 5"],
    "films": ["Toy Story (1995)", "Heat City (1995)", "Se7en Part 2 (1995)"],
    "invoices": ["RE-2024-0012", "RE-2024-0013", "RE-2024-0014"],
    "file_names": ["img_01_0001.png", "img_01_0002.png", "img_01_0003.png"],
    "sizes": ["1920x1080", "1280x720", "2048x1536"],
    "ages": ["0-4", "5-9", "10-14", "15-19", "80-84"],
    "scores": ["2-1", "0-0", "3-2"],
    "people": ["April", "Bob", "Carol", "Dave"],
    "sets": ["Set 1", "Set 2", "Set 3"],
    "questions": ["Q1", "Q3", "Q2"],
    "remarks": ["fine", "bad weather", "holiday"],
    "places": ["52.52N 13.40E", "48.13N 11.58E", "53.55N 9.99E"],
    "books": ["978-3-16-148410-0", "978-0-306-40615-7", "978-0-13-110362-7"],
    "norms": ["ISO 9001", "ISO 14001", "ISO 2768"],
    "flights": ["LH 2024", "LH 1998", "BA 12", "AF 345"],
    "large_numbers": ["900123456", "4800123456", "3900123456"],
    "numbers_that_rise": ["10115", "20095", "80331"],
}


def rows_of(table: dict[str, list], covariates: CovariatesConfig | None = None, **settings) -> Rows:
    return read(pd.DataFrame(table), ReadConfig(**settings), covariates=covariates)


def with_values(cells: list[str], name: str = "when") -> dict[str, list]:
    return {name: cells, "y": [i * i + 5 for i in range(len(cells))]}


def warnings(rows: Rows) -> list[str]:
    return [finding.message for finding in rows.findings if finding.level == "warning"]


@pytest.mark.parametrize("name", HIDDEN)
def test_rows_beside_what_may_be_their_times_are_not_counted(name):
    with pytest.raises(DataError, match="no time column was found, but when may hold the times") as caught:
        rows_of(with_values(HIDDEN[name]))
    assert "set read.time=when" in str(caught.value)
    assert "leave the column out" in str(caught.value)


@pytest.mark.parametrize("name", NO_TIMES)
def test_rows_beside_what_is_no_time_are_counted_without_a_warning(name):
    rows = rows_of(with_values(NO_TIMES[name]))
    assert rows.df["ds"].tolist() == [i + 1 for i in range(len(NO_TIMES[name]))]
    assert not warnings(rows)


def test_the_setting_of_the_error_reads_the_times():
    rows = rows_of(with_values(HIDDEN["day_of_the_year"]), time="when", date_format="%Y-%j")
    assert rows.df["ds"].tolist() == [pd.Timestamp(2024, 1, day) for day in (3, 2, 1)]


@pytest.mark.parametrize(
    ("cells", "hint"),
    [(HIDDEN["formulas"], "is a formula"), (HIDDEN["zone"], "set read.tz="), (HIDDEN["zone_in_brackets"], "its brackets")],
)
def test_the_error_says_how_to_mend_such_times(cells, hint):
    with pytest.raises(DataError, match=hint):
        rows_of(with_values(cells))


def test_times_that_repeat_for_every_series_are_found():
    when = ["2024-01-02 00:00 CET", "2024-01-01 00:00 CET"]
    table = {"sensor": ["a", "a", "b", "b", "c", "c"], "when": when * 3, "y": [1, 2, 3, 4, 5, 6]}
    with pytest.raises(DataError, match="when may hold the times"):
        rows_of(table, id="sensor")


def test_times_are_not_taken_as_the_names_of_series():
    table = with_values([day for day in ("2024-01-02 00:00 CET", "2024-01-01 00:00 CET") for _ in range(2)])
    with pytest.raises(DataError, match=r"when, which may name the series, holds '2024-01-02 00:00 CET': set read\.time=when"):
        rows_of(table)
    assert rows_of(table, id="when").df["ds"].tolist() == [1, 2, 1, 2]
    assert rows_of(with_values(["2024-001"] * 2 + ["2024-002"] * 2, "batch")).df["ds"].tolist() == [1, 2, 1, 2]


def test_labels_of_series_are_no_times():
    rows = rows_of({"shop": ["a"] * 3 + ["b"] * 3, "since": ["2024-01-02 CET"] * 6, "y": [1, 2, 3, 4, 5, 6]})
    assert rows.df["ds"].tolist() == [1, 2, 3, 1, 2, 3]


def test_dates_in_digits_are_seen_where_the_value_is_named():
    table = {"when": [20240103, 20240102, 20240101], "a": [1, 2, 3], "b": [5, 5, 6]}
    with pytest.raises(DataError, match=r"when may hold the times .such as 20240103.: set read\.time=when, or leave"):
        rows_of(table, value="a")


@pytest.mark.parametrize(
    "cells",
    [
        [45294, 45293, 45292],
        [2024.5, 2024.25, 2024.0],
        [1704067200, 1704153600, 1704240100],
        [2024, 2022, 2023],
        ["2024*", "2022", "2023"],
        [202403, 202401, 202352],
        [2024003, 2024001, 2024002],
        ["3", "2", "1"],
    ],
)
def test_numbers_that_may_be_times_are_asked_about(cells):
    (message,) = warnings(rows_of(with_values(cells)))
    assert message.endswith("as times 1, 2, 3 ...; is when the time?")


@pytest.mark.parametrize("cells", [[1704153600, 1704067200], [2024, 2023], [20.5, 10.5, 5.5]])
def test_numbers_that_may_be_times_are_asked_about_where_they_repeat_for_every_series(cells):
    shops = [shop for shop in "ab" for _ in cells]
    (message,) = warnings(rows_of({"shop": shops, "when": cells * 2, "y": range(len(shops))}, id="shop"))
    assert message.endswith("is when the time?")


def test_logs_of_web_servers_and_times_of_photographs_are_read():
    stamps = ["12/Jan/2024:23:00:00 +0100", "12/Jan/2024:22:00:00 +0100"]
    rows = rows_of(with_values(stamps))
    assert rows.df["ds"].tolist() == [pd.Timestamp("2024-01-12 23:00+01:00"), pd.Timestamp("2024-01-12 22:00+01:00")]
    assert rows_of(with_values([f"[{stamp}]" for stamp in stamps])).df["ds"].tolist() == rows.df["ds"].tolist()
    rows = rows_of(with_values(["2024:01:12 23:00:00", "2024:01:13 22:00:00"]))
    assert rows.df["ds"].tolist() == [pd.Timestamp("2024-01-12 23:00"), pd.Timestamp("2024-01-13 22:00")]
    with pytest.raises(DataError, match="no such day"):
        rows_of(with_values(["31/Apr/2024:23:00:00 +0100", "12/Jan/2024:22:00:00 +0100"]))


@pytest.mark.parametrize(
    ("cells", "hint"),
    [
        (["01.01.2024 - 07.01.2024", "08.01.2024 - 14.01.2024"], "is a range of dates: keep its first day"),
        (["2024-01-01/2024-01-07", "2024-01-08/2024-01-14"], "is a range of dates: keep its first day"),
        (["KW 01/2024", "KW 02/2024"], "is a week: write it as 2024-W01"),
        (["Week 1/2024", "Week 2/2024"], "is a week: write it as 2024-W01"),
        (["00:00", "01:00"], "is a time of day without a date"),
        (["FY23-Q1", "FY23-Q2"], "is a quarter of a business year: write it as 2023Q1"),
        (["Q1 FY2023", "Q2 FY2023"], "is a quarter of a business year: write it as 2023Q1"),
    ],
)
def test_the_error_of_a_time_column_says_how_to_write_its_times(cells, hint):
    with pytest.raises(DataError, match=f"{hint}$"):
        rows_of(with_values(cells, "date"))
