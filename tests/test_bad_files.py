"""Every file of bad_files.py: what can be read for certain is read and said, what is in doubt is refused with a way on."""

from __future__ import annotations

import datetime as dt
import re
import runpy
import signal
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from bad_files import FILES, KNOWN, OWN, write_all

from tsattn import cli, predict
from tsattn.config import PredictConfig, ReadConfig
from tsattn.data.findings import DataError
from tsattn.data.frame import Frame, to_frame, to_rows

REFERENCE = Path(__file__).parents[1].parent / "shared" / "reference" / "bad_csv.py"
Row = tuple[str, str, float | None]  # id, time, value


class Reads(NamedTuple):
    """A file that is read."""

    rows: list[Row]
    freq: str | None = None
    says: tuple[str, ...] = ()  # a word of every repair and every warning


class Refused(NamedTuple):
    """A file that is not: words of the error, and the settings with which it can be read as `mended`."""

    words: tuple[str, ...]
    settings: dict[str, Any] | None = None
    mended: Reads | None = None


def read(rows: list[Row], freq: str | None = None, *says: str) -> Reads:
    return Reads(rows, freq, says)


def refused(*words: str, mended: Reads | None = None, **settings: Any) -> Refused:
    return Refused(words, settings or None, mended)


def days(*values: float | None, name: str = "y", start: str = "2024-01-01") -> list[Row]:
    """A value for each day from `start` on."""
    first = dt.date.fromisoformat(start)
    return [(name, str(first + dt.timedelta(days=i)), value) for i, value in enumerate(values)]


def at(*times: str, values: list[float | None] | None = None, name: str = "y") -> list[Row]:
    """Values 1, 2, 3 ... at the times."""
    return [(name, time, value) for time, value in zip(times, values or range(1, len(times) + 1), strict=True)]


def ids(*names: str) -> list[Row]:
    """Three days of each id, values counted on from 1."""
    return [row for i, name in enumerate(names) for row in days(3 * i + 1, 3 * i + 2, 3 * i + 3, name=name)]


FIVE = days(0, 1, 2, 3, 4)
TWO = days(1, 2)
THREE = days(1, 2, 3)
OTHER_SCRIPT = "another script"
SORTED = "have been sorted"
DATES = "set read.date_format="

KNOWN_ANSWERS: dict[str, Reads | Refused] = {
    "empty_0_bytes": refused("the file is empty"),
    "only_newlines": refused("the file is empty"),
    "header_only": refused("no row of data"),
    "no_header": refused("the first row (2024-01-01, 0) looks like data", "header"),
    "bom_utf8": read(FIVE, "D"),
    "utf16": read(FIVE, "D"),
    "latin1": read(days(0, 1, 2, 3, 4, name="é"), "D", "cp1252"),
    "nul_bytes": refused("line 3", "2024-", "NUL", "damaged"),
    "all_nul_blockhole": refused("line 7", "4096 NUL"),
    "semicolon": read(FIVE, "D"),
    "tab": read(FIVE, "D"),
    "decimal_comma": read(days(1.5, 2.5), "D"),
    "decimal_comma_in_comma_csv": refused("line 2", "2024-01-01,1,5", "decimal comma"),
    "thousands": refused("1,234", thousands=",", mended=read(days(1234, 2345))),
    "currency": refused("line 2: '$12.5'", "line 3: '$13'", "without a currency"),
    "percent": refused("line 2: '12%'", "without %"),
    "accounting_neg": refused("line 2: '(5)'", "parentheses"),
    "unicode_minus": read(days(-5, 6), "D", OTHER_SCRIPT),
    "fullwidth_digits": read(days(5, 6), "D", OTHER_SCRIPT),
    "nbsp": read(days(5, 6), "D"),
    "leading_zero_id": read([*days(1, name="007"), *days(2, name="7")], "D", "'007' and '7'"),
    "id_NA_namibia": read([*days(1, name="NA"), *days(2, name="US")], "D"),
    "id_null_None_nan": read([*days(1, name="null"), *days(2, name="None"), *days(3, name="nan")], "D"),
    "id_1e5": read([*days(1, name="1e5"), *days(2, name="100000")], "D", "'1e5' and '100000'"),
    "id_true": read([*days(1, name="True"), *days(2, name="FALSE")], "D"),
    "id_bigint": read([*days(1, name="12345678901234567890"), *days(2, name="12345678901234567891")], "D"),
    "id_bigint_with_missing": refused("line 3: ''", "has no id"),
    "y_int64_overflow": read(days(1e23, 1), "D", "rounded"),
    "y_1e400": refused("line 2: '1e400'", "infinite"),
    "y_inf_text": refused("line 2: 'inf'", "line 3: '-Infinity'", "infinite"),
    "y_hex": refused("line 2: '0x1F'", "decimal digits"),
    "y_1_000": refused("line 2: '1_000'", "without _"),
    "y_dash_missing": read(days(None, 2), "D", "1 of 2 values are missing"),
    "y_excel_REF": refused("line 2: '#REF!'", "spreadsheet"),
    "y_excel_NA": read(days(None, 2), "D", "1 of 2 values are missing"),
    "y_bool": refused("line 2: 'True'", "write 1 and 0"),
    "dup_header": refused("'y' more than once"),
    "empty_header": refused("column 2 has values but no name"),
    "space_header": read(days(1), "D"),
    "row_too_long": refused("2 fields", "line 3 has 3", "2024-01-02,2,9"),
    "row_too_short": refused("3 fields", "line 3 has 2", "2024-01-02,3"),
    "all_rows_extra_trailing_comma": read(TWO, "D", "every row ends in a separator"),
    "all_rows_extra_value": refused("2 fields", "line 2 has 3", "A,2024-01-01,1"),
    "unclosed_quote": refused("line 2", "quote", "never closed"),
    "quoted_newline": read(days(1), "D"),
    "cr_only": read(FIVE, "D"),
    "crlf_mixed": read(TWO, "D"),
    "blank_lines_mid": read(TWO, "D"),
    "title_lines_above": refused("line 3", "remove the lines above"),
    "total_row": refused("line 4: 'Total'", "remove it"),
    "repeated_header_mid": refused("line 3", "ds,y", "again"),
    "comment_lines": read(days(1), "D", "comment"),
    "sep_directive": read(days(1), "D"),
    "truncated_last_row": refused("line 3", "2024-01-0", "cut off"),
    "truncated_last_value": read(days(1234, 12), "D", "cut off"),
    "git_lfs_pointer": refused("Git LFS pointer"),
    "html_404": refused("web page"),
    "json": refused("JSON", "pandas"),
    "gz_named_csv": read(FIVE, "D"),
    "xlsx_magic": refused("Excel or zip"),
    "random_bytes": refused("line 1", "is no text"),
    "merge_conflict": refused("line 2", "<<<<<<< HEAD", "merge conflict"),
    "ddmm_ambiguous": refused(
        "01/02/2024", DATES + "%d/%m/%Y", date_format="%d/%m/%Y", mended=read(days(1, 2, 3, start="2024-02-01"))
    ),
    "ddmm_switch_at_13": read(days(1, 2, start="2024-01-12"), "D", "13/01/2024"),
    "mixed_formats": refused("line 3: '01/02/2024'", "form of the others (2024-01-01)"),
    "bad_date_feb30": refused("line 3: '2024-02-30'", "no such day"),
    "excel_serial": read(at("45292", "45293"), "1", "45292 is 2024-01-01"),
    "unix_s": read(at("2024-01-01 00:00:00+00:00", "2024-01-02 00:00:00+00:00"), "D", "seconds since 1970"),
    "unix_ms": read(at("2024-01-01 00:00:00+00:00", "2024-01-02 00:00:00+00:00"), "D", "milliseconds since 1970"),
    "yyyymmdd_int": read(TWO, "D", "20240101 = 2024-01-01"),
    "year_only_int": read(at("2020", "2021"), "1"),
    "yyyymm_int": read(at("2020-01-01", "2020-02-01"), "MS", "202001 = 2020-01"),
    "quarter": read(at("2020-01-01", "2020-04-01"), "QS-OCT"),
    "iso_week": read(at("2019-12-30", "2020-01-06"), "W-MON"),
    "two_digit_year": read(at("1968-01-01", "1969-01-01"), "YS-JAN", "two-digit years"),
    "year_0001": refused("line 2: '0001-01-01'", "line 3: '9999-12-31'", "years go from 1678"),
    "mixed_offsets": read(at("2024-03-30 23:00:00+00:00", "2024-03-31 22:00:00+00:00"), None, "converted to UTC"),
    "mixed_tz_naive": refused("line 3: '2024-04-01 00:00'", "no UTC offset"),
    "am_pm": read(at("2024-01-01", "2024-01-01 13:00:00"), "13h"),
    "leap_second": refused("line 2: '2016-12-31 23:59:60'", "leap second", "2017-01-01 00:00"),
    "24h": refused("line 2: '2024-01-01 24:00'", "2024-01-02 00:00"),
    "blank_date": refused("line 3: ''", "has no time"),
    "month_name_de": read(days(1, 2, start="2024-03-01"), "D"),
    "long_field": refused("line 2: '9999", "infinite"),
    "formula_id": read(days(1, name='=HYPERLINK("http://x")'), "D"),
    "path_id": read(days(1, name="../../etc/passwd"), "D"),
    "html_id": read(days(1, name="<script>alert(1)</script>"), "D"),
    "casefold_ids": read([*days(1, name="A"), *days(2, name="a")], "D", "'A' and 'a'"),
    "nfc_nfd_ids": read(
        [("caf\u00e9", "2024-01-01", 1), ("cafe\u0301", "2024-01-02", 2)], "D", "differ only in case, blanks, unseen marks"
    ),
    "trailing_space_ids": read(days(1, 2, name="A"), "D", "blanks around the ids"),
    "lone_surrogate_invalid_utf8": refused("line 2", "2024-01-01,1", "surrogate"),
}

OWN_ANSWERS: dict[str, Reads | Refused] = {
    # ---- spreadsheets of other countries
    "excel_semicolon_decimal_comma_bom": read(days(1234.5, -2.5, 3, name="Wert", start="2024-02-12"), "D", "between thousands"),
    "excel_sep_line": read(days(1.5, 2.5, name="Wert", start="2024-02-12"), "D", "day before month"),
    "excel_trailing_semicolons": read(TWO, "D", "2 empty columns"),
    "excel_utf16_tabs": read(days(1.5, 2.5, name="Wert", start="2024-01-13"), "D"),
    "excel_error_cells": refused("line 3: '#DIV/0!'", "line 4: '#VALUE!'", "line 5: '#NAME?'", "spreadsheet"),
    "excel_formula_cells": refused("line 3: '=1+1'", "formula"),
    "excel_apostrophe_before_numbers": refused('line 2: "\'5"', "without the '"),
    "excel_serial_with_fraction": refused("line 2: '45292.5'", "spreadsheet counts days"),
    "excel_serial_named_date": read(at("45292", "45293", "45294"), "1", "45292 is 2024-01-01"),
    "excel_hashes": refused("line 3: '########'", "too narrow"),
    "german_dates_day_13": read(days(1, 2, 3, start="2024-01-12"), "D", "day before month, as 13.01.2024"),
    "us_dates_day_13": read(days(1, 2, 3, start="2024-01-12"), "D", "month before day, as 1/13/2024"),
    "swiss_apostrophe": read(days(1234.5, 1234567.25, 12), "D", "an apostrophe between thousands"),
    "swiss_typographic_apostrophe": read(days(1234.5, 12.25), "D", "an apostrophe between thousands", OTHER_SCRIPT),
    "indian_grouping": read(days(123456, 1234567.5, 7), "D", "',' between thousands"),
    "french_no_break_space": read(days(1234.5, 2.5), "D", "a blank between thousands"),
    "french_narrow_no_break_space": read(days(1234.5, 1234567.5), "D", "a blank between thousands"),
    "french_plain_blank": refused(
        "line 2: '1 234,50'", "read.thousands=' '", thousands=" ", mended=read(days(1234.5, 2.5), None)
    ),
    "decimal_points_after_semicolons": read(days(1.25, 2.5), "D"),
    "three_decimals_after_semicolons": refused("1.250", "read.decimal=.", decimal=".", mended=read(days(1.25, 2.5))),
    "thousands_points_between_commas": refused("1.234", "read.thousands=.", thousands=".", mended=read(days(1234, 987, 12345))),
    "thousands_points_between_tabs": refused(
        "2.037",
        "read.thousands=. (1.234 is 1234) or read.decimal=.",
        thousands=".",
        mended=read(days(2037, 12000, name="Wert", start="2024-01-13")),
    ),
    "thousands_points_in_one_column": refused(
        "2.037", "read.decimal=.", decimal=".", mended=read(at("1", "2", values=[2.037, 12], name="Wert"))
    ),
    "thousands_points_in_one_column_without_a_header": refused(
        "12.000", "read.thousands=.", thousands=".", mended=read(at("1", "2", values=[12000, 2037], name="series"), None)
    ),
    "thousands_points_beside_german_dates": refused(
        "2.037", "read.thousands=.", thousands=".", mended=read(days(2037, 12000, name="Wert", start="2024-01-13"))
    ),
    "decimal_points_proved_beside_german_dates": read(days(2.037, 12.5, name="Wert", start="2024-01-13"), "D"),
    "three_decimals_between_commas": read(days(1.25, 2.5), "D"),
    "points_and_commas_contradict": refused("contradict", "read.decimal= and read.thousands="),
    # ---- digits and marks of other scripts
    "arabic_indic_digits": read(days(12, 3.5, 4), "D", OTHER_SCRIPT),
    "persian_digits": read(days(12, 3), "D", OTHER_SCRIPT),
    "devanagari_digits": read(days(12, 3), "D", OTHER_SCRIPT),
    "fullwidth_decimals": read(days(1.5, -2), "D", OTHER_SCRIPT),
    "fullwidth_dates": read(TWO, "D"),
    "superscript_is_no_digit": refused("line 2: '5²'"),
    "vulgar_fraction": refused("line 2: '1½'"),
    "right_to_left_marks_around_numbers": read(days(5, -6, 7), "D", OTHER_SCRIPT),
    "right_to_left_mark_in_an_id": read(ids("A", "A\u200f"), "D", "'A' and 'A\\u200f'", "marks that nobody sees"),
    "zero_width_space_in_numbers_and_dates": read(TWO, "D", OTHER_SCRIPT),
    "zero_width_space_inside_a_number": refused("line 2: '1\\u200b234'", "nobody sees"),
    "soft_hyphen_before_a_number": refused("line 2: '\\xad5'", "no minus sign"),
    "en_dash_before_a_number": refused("line 2: '–5'", "no minus sign"),
    "byte_order_mark_in_a_cell": read(days(5, 6), "D"),
    # ---- units, signs and spellings of numbers
    "euro_before": refused("line 2: '€ 12'", "without a currency"),
    "currency_code_after": refused("line 2: '12 EUR'", "without a currency"),
    "unit_after": refused("line 2: '12 kWh'", "without units"),
    "percent_with_blank": refused("line 2: '12 %'", "without %"),
    "accounting_with_thousands": refused("line 2: '(1,234.50)'", "parentheses"),
    "trailing_minus": refused("line 2: '5-'", "minus sign before"),
    "plus_sign": read(days(5, 6.5), "D"),
    "blank_after_sign": refused("line 2: '- 5'", "blank after the sign"),
    "scientific": read(days(100_000, 0.0025), "D"),
    "scientific_with_decimal_comma": read(days(150_000, 0.00225), "D"),
    "fortran_exponent": refused("line 2: '1.5D+03'"),
    "binary_and_octal": refused("line 2: '0b101'", "line 3: '0o17'", "decimal digits"),
    "k_and_m": refused("line 2: '1.2k'", "line 3: '3M'", "without units"),
    "less_than": refused("line 2: '<5'"),
    "approximate": refused("line 2: '~5'", "line 3: '6*'"),
    "range_of_numbers": refused("line 2: '5-6'"),
    "two_points": refused("line 2: '1.2.3'"),
    "point_alone_before_and_after": read(days(0.5, 5), "D"),
    "huge_but_finite": read(days(1e308, -1e308, 1), "D"),
    "subnormal": read(days(1e-320, 2e-320), "D"),
    "minus_zero": read(days(0, 0, 1), "D"),
    "leading_zeros": read(days(7, 10), "D"),
    "decimals_5000_digits": read(days(1 / 3, 1), "D"),
    "whole_numbers_beyond_2_53": read(days(9007199254740992, 1), "D", "rounded"),
    "infinity_spellings": refused("line 2: 'Inf'", "line 3: '+inf'", "line 4: '∞'", "infinite"),
    "nan_spellings": read(days(None, None, None, 1), "D", "3 of 4 values are missing"),
    "nan_of_printf": refused("line 2: '-nan(ind)'", "line 3: '1.#QNAN'", "leave a missing value empty"),
    "yes_and_no": refused("line 2: 'yes'", "write 1 and 0"),
    "true_in_german": refused("line 2: 'WAHR'", "write 1 and 0"),
    "zeros_and_ones": read(days(0, 1, 1), "D"),
    "numbers_in_quotes": read(days(1.5, 2.5), "D"),
    "numbers_in_single_quotes": refused("line 2: \"'1.5'\"", "without the '"),
    "missing_markers_mixed": read(days(1, *[None] * 7, 2), "D", "7 of 9 values are missing"),
    "null_in_parentheses": read(days(1, None, 2), "D", "1 of 3 values are missing"),
    "mysql_dump_backslash_n": read(days(1, None, 3), "D", "1 of 3 values are missing"),
    "only_missing_values": read(days(None, None, None), "D", "3 of 3 values are missing", "no value at all"),
    # ---- dumps, logs and other layouts
    "psql_output": refused("line 2", "------------+---"),
    "markdown_table": refused("line 2: '---'", "draws the table"),
    "fixed_width": refused("no column of numbers", "read.value="),
    "blank_separated_numbers": refused("line 2: '1 234'", "read.sep=' '"),
    "log_lines_in_brackets": read(at("2024-01-01 10:00:00", "2024-01-01 11:00:00"), "h"),
    "sql_insert": refused("SQL"),
    "python_dicts": refused("JSON"),
    "json_lines": refused("JSON"),
    "xml": refused("XML"),
    "arff": refused("line 5", "2024-01-01,1"),
    "access_denied_page": refused("XML"),
    "totals_in_german": refused("line 4: 'Summe'", "remove it"),
    "total_without_a_date": refused("line 4: ''", "has no time"),
    "subtotals": refused("line 4: 'Subtotal January'", "remove it"),
    "source_line_below": refused("line 4: 'Source: national office'", "remove it"),
    "two_tables": refused("line 5: 'ds'"),
    "units_below_the_header": refused("line 2: '[date]'", "units"),
    "header_over_two_lines": refused("line 2: 'north'"),
    "transposed": read(
        [*days(1, 2, 3, name="north"), *days(4, 5, 6, name="south")], "D", "read as times, each row as a series"
    ),
    "transposed_years": read(
        [*at("2020", "2021", "2022", name="north"), *at("2020", "2021", "2022", values=[4, 5, 6], name="south")], "1"
    ),
    "years_down_months_across": read(
        [
            ("series", f"{year}-{month:02d}-01", year - 2020 + month - 1)
            for year in (2020, 2021, 2022)
            for month in range(1, 13)
        ],
        "MS",
        "the columns Jan to Dec are read as the months of a year",
    ),
    "too_many_columns": refused("10002 columns", "10000", "read.sep="),
    "row_numbers_in_front": read(days(5, 6), "D"),
    "no_header_and_no_dates": refused("the first row (z, -4) looks like data"),
    "dates_as_numbers_beside_other_dates": refused(
        "may be in date, valid_until", "read.time=", time="date", mended=read(days(5, 6), "D", "20240101 = 2024-01-01")
    ),
    "value_only_with_header": read(at("1", "2", "3", values=[5, 6, 7]), "1", "there is no time column"),
    # ---- ids
    "ids_in_mixed_case_with_blanks_and_accents": read(
        ids("caf\u00e9", "CAFE\u0301", "caf\u00e9 x", "caf\u00e9  x"), "D", "2 ids in unique_id differ only in case"
    ),
    "ids_that_look_like_dates": read(ids("2024-01-01", "2024-02-30"), "D"),
    "ids_damaged_by_a_spreadsheet": read(ids("1.23E+11", "4.56E+11"), "D"),
    "id_with_line_end": read(days(1, 2, name="a\nb"), "D"),
    "id_with_soft_hyphen": read(ids("a\u00adb", "ab"), "D", "'a\\xadb' and 'ab'", "marks that nobody sees"),
    "id_of_300_characters": read(ids("x" * 300), "D"),
    "id_with_quotes": read(ids('say "hi"'), "D"),
    "ids_as_numbers_with_and_without_decimals": read(ids("1", "1.0"), "D", "'1' and '1.0'"),
    "some_ids_blank": refused("line 3: ''", "has no id"),
    # ---- times
    "german_two_digit_years": read(days(1, 2, 3, start="2023-01-12"), "D", "two-digit years"),
    "german_two_digit_month_ends": read(at("2020-12-31", "2021-12-31", "2022-12-31"), "YE-DEC", "two-digit years"),
    "day_and_month_swapped_by_a_spreadsheet": refused(
        "12/1/2024 and 13/01/2024", "spreadsheet", date_format="%d/%m/%Y", mended=read(days(1, 2, 3, start="2024-01-12"))
    ),
    "two_separators": refused("12-01-2024 and 1/13/2024", "in two ways"),
    "am_pm_in_some_rows": refused("line 3: '1/13/2024 2:00'", "no AM or PM"),
    "browser_dates_with_narrow_blanks": read(at("2024-01-13 13:00:00", "2024-01-13 14:00:00"), "h"),
    "hyphens_that_do_not_break": read(TWO, "D"),
    "east_asian_dates": read(TWO, "D"),
    "german_weekdays": read(days(1, 2, start="2024-01-12"), "D"),
    "seasons_over_two_years": refused(
        "2001/02 may be a season", DATES, date_format="%Y/%m", mended=read(at("2001-02-01", "2002-03-01", "2003-04-01"))
    ),
    "october_without_its_zero": refused("2020.1 may be January, or October"),
    "years_as_decimals": refused("line 2: '2020.0'", "no such month"),
    "month_and_day_or_year": refused(
        "Jan-01 may be a day or a year", date_format="%b-%y", mended=read(at("2001-01-01", "2002-01-01", "2003-01-01"))
    ),
    "year_and_day_of_year": refused(
        "2023364", DATES + "%Y%j", date_format="%Y%j", mended=read(days(1, 2, 3, start="2023-12-30"))
    ),
    "offset_of_99_hours": refused("line 2: '2024-01-01 00:00+99:99'", "no zone has"),
    "padded_title_above": refused("line 4", "remove the lines above"),
    "quarter_in_french": read(at("2020-01-01", "2020-04-01", "2020-07-01"), "QS-OCT"),
    "quarter_digit_first": read(at("2020-01-01", "2020-04-01", "2020-07-01"), "QS-OCT"),
    "quarter_in_german": read(at("2020-01-01", "2020-04-01", "2020-07-01"), "QS-OCT"),
    "year_named_in_german": read(at("2019", "2020", "2021", values=[5, 6, 7]), "1"),
    "months_with_a_point": read(at("2023-11-01", "2023-12-01", "2024-01-01", values=[5, 6, 7]), "MS"),
    "months_with_a_point_under_another_name": refused(
        "Bericht may hold the times (such as 11.2023): set read.time=Bericht, or"
    ),
    "months_with_a_point_beside_numbers": refused("Bericht may hold the times, as months: set read.time=Bericht"),
    "not_available_in_letters_with_points": read(days(1, None, None, 4), "D", "2 of 4 values are missing"),
    "shares_in_per_cent": refused("share holds '61,5 %': write plain numbers without %"),
    "amounts_in_dollars": refused("sales holds '$1,201.50': write plain numbers without a currency"),
    "fiscal_year": read(at("1", "2", "3", values=[7, 6, 5]), "1", "is fiscal_year the time?"),
    "week_with_a_slash": refused("1/2024 may be a week or a month"),
    "year_and_week_in_two_columns": read(
        at("2024-01-01", "2024-01-08", values=[5, 6]), "W-MON", "put together from the columns year, week", "ISO weeks"
    ),
    "german_year_and_week": read(at("2020-12-21", "2020-12-28", "2021-01-04", values=[5, 6, 7], name="Anzahl"), "W-MON"),
    "date_and_hour": read(
        at(*(f"2024-01-0{day}" + f" {hour:02d}:00:00" * (hour > 0) for day in (1, 2) for hour in range(24)), name="n"),
        "h",
        "put together from the columns date and hour",
    ),
    "date_and_hours_to_24": refused("'2024-01-01 24:00'", "2024-01-02 00:00"),
    "milliseconds_called_ts": read(
        at("2024-01-01 00:00:00+00:00", "2024-01-01 00:00:01+00:00", "2024-01-01 00:00:02+00:00"), "s", "milliseconds"
    ),
    "iso_t_z_fraction": read(at(*(f"2024-01-01 00:00:0{i}.500000+00:00" for i in range(3))), "s"),
    "iso_basic_digits": read(at("2024-01-01 10:00:00", "2024-01-01 11:00:00"), "h"),
    "digits_to_the_hour": read(at("2024-01-01 22:00:00", "2024-01-01 23:00:00", "2024-01-02"), "h", "to the hour"),
    "digits_to_the_minute": read(at("2024-01-01 22:00:00", "2024-01-01 23:00:00", "2024-01-02"), "h", "to the minute"),
    "digits_to_the_second": read(at("2024-01-01 22:00:00", "2024-01-01 23:00:00", "2024-01-02"), "h", "to the second"),
    "day_month_year_digits": refused("30012024", DATES, date_format="%d%m%Y", mended=read(days(1, 2, 3, start="2024-01-30"))),
    "two_digit_year_first": refused("24-01-01", DATES, date_format="%y-%m-%d", mended=read(THREE, "D")),
    "yymmdd_over_a_month_end": refused("240130", DATES, date_format="%y%m%d", mended=read(days(1, 2, 3, start="2024-01-30"))),
    "yymmdd_or_yyyymm": refused("200101", DATES, date_format="%y%m%d", mended=read(days(1, 2, 3, start="2020-01-01"))),
    "yyyymmdd_with_february_30": refused("line 4: '20240230'", "is not a date"),
    "yyyymm_with_month_13": refused("202013 is no month", "2020-W13"),
    "week_numbers_as_whole_numbers": read(
        at("2020-12-14", "2020-12-21", "2020-12-28", "2021-01-04"), "W-MON", "202051 = 2020-12-14"
    ),
    "weeks_of_one_quarter_as_whole_numbers": read(at("2024-01-01", "2024-01-08", "2024-01-15"), "W-MON", "ISO weeks"),
    "weeks_with_a_hyphen": read(at("2019-12-30", "2020-01-06", "2020-01-13"), "W-MON", "ISO weeks"),
    "week_53_with_a_hyphen": read(at("2020-12-21", "2020-12-28", "2021-01-04"), "W-MON", "ISO weeks"),
    "week_2020w01": read(at("2019-12-30", "2020-01-06", "2020-01-13"), "W-MON"),
    "week_60": refused("line 4: '2024-W60'", "not a possible ISO week", "first day"),
    "week_53_of_a_year_without": refused("line 3: '2024-W53'", "not a possible ISO week"),
    "quarter_first": read(at("2020-01-01", "2020-04-01", "2020-07-01"), "QS-OCT"),
    "quarter_with_hyphen": read(at("2020-01-01", "2020-04-01", "2020-07-01"), "QS-OCT"),
    "quarter_5": refused("line 3: '2020-Q5'", "form of the others (2020-Q4)"),
    "weekday_before_iso": read(THREE, "D"),
    "weekday_in_words": read(TWO, "D"),
    "weekday_that_contradicts": refused("line 3: 'Mon 2024-01-02'", "is no Monday"),
    "mail_header_dates": read(at("2024-01-01 00:00:00+00:00", "2024-01-02 00:00:00+00:00"), "D"),
    "ctime_dates": refused(
        "line 2: 'Mon Jan ",
        DATES,
        date_format="%a %b %d %H:%M:%S %Y",
        mended=read(at("2024-01-01 10:00:00", "2024-01-01 11:00:00"), "h"),
    ),
    "months_german": read(at("2024-01-01", "2024-02-01", "2024-03-01"), "MS"),
    "months_german_short": read(TWO, "D"),
    "months_french": read(days(1, 2, 3, start="2024-02-01"), "D"),
    "months_french_short": read(at("2023-12-01", "2024-01-01", "2024-02-01"), "MS"),
    "months_spanish": read(TWO, "D"),
    "months_italian": read(at("2024-01-01", "2024-02-01", "2024-03-01"), "MS"),
    "months_dutch": read(days(1, 2, start="2024-03-01"), "D"),
    "months_portuguese": read(at("2024-03-01", "2024-04-01", "2024-05-01"), "MS"),
    "months_decomposed": read(days(1, 2, start="2024-03-01"), "D"),
    "months_polish": refused("line 2: '1 stycznia 2024'", "no month in English"),
    "english_ordinals": read(THREE, "D"),
    "months_without_a_year": refused("line 2: 'Jan'", "line 4: 'Mar'", "no year"),
    "epoch_microseconds": read(at("2024-01-01 00:00:00+00:00", "2024-01-02 00:00:00+00:00"), "D", "microseconds since 1970"),
    "epoch_nanoseconds": read(at("2024-01-01 00:00:00+00:00", "2024-01-02 00:00:00+00:00"), "D", "nanoseconds since 1970"),
    "epoch_as_float": read(
        at("2024-01-01 00:00:00+00:00", "2024-01-02 00:00:00+00:00"),
        "D",
        "seconds since 1970",
        "without what follows the point",
    ),
    "epoch_with_fraction": refused("line 2: '1704067200.25'", "without decimals"),
    "epoch_damaged_by_a_spreadsheet": refused("line 2: '1.70407E+09'", "lost its digits"),
    "epoch_of_two_units": refused("line 4: '1704240000000'", "seconds since 1970"),
    "epoch_with_a_zero": refused("line 3: '0'", "seconds since 1970"),
    "date_and_time_in_two_columns": read(at("2024-01-01 10:00:00", "2024-01-01 11:00:00"), "h", "columns date and time"),
    "descending_dates": read(THREE, "D", SORTED),
    "duplicated_rows": refused("2024-01-02", "read.duplicates=", duplicates="last", mended=read(TWO, "D", "repeat")),
    "conflicting_rows": refused("2024-01-02", "read.duplicates=", duplicates="mean", mended=read(days(1, 2.5), "D", "repeat")),
    "year_1500": refused("line 2: '1500-01-01'", "years go from 1678"),
    "february_29_of_2023": refused("line 3: '2023-02-29'", "no such day"),
    "buddhist_years": refused("line 2: '2567-01-01'", "years go from 1678"),
    "zone_short_name": refused(
        "line 2: '2024-01-01 10:00 CET'",
        "set read.tz=",
        date_format="%Y-%m-%d %H:%M CET",
        tz="Europe/Berlin",
        mended=read(at("2024-01-01 10:00:00+01:00", "2024-01-01 11:00:00+01:00"), "h"),
    ),
    "zone_long_name": refused(
        "line 2: '2024-01-01 10:00 Europe/Berlin'",
        "set read.tz=",
        date_format="%Y-%m-%d %H:%M Europe/Berlin",
        tz="Europe/Berlin",
        mended=read(at("2024-01-01 10:00:00+01:00", "2024-01-01 11:00:00+01:00"), "h"),
    ),
    "autumn_hour_twice": refused(
        "2024-10-27 02:00",
        "read.duplicates=",
        tz="Europe/Berlin",
        mended=read(at(*(f"2024-10-27 0{hour}:00:00+0{offset}:00" for hour, offset in ((1, 2), (2, 2), (2, 1), (3, 1)))), "h"),
    ),
    "web_server_log_newest_first": read(at("2024-01-11 00:00:00+01:00", "2024-01-12 00:00:00+01:00"), "D", SORTED),
    "photograph_times": read(at("2024-01-01 10:00:00", "2024-01-01 11:00:00"), "h"),
    "log_without_a_year": refused("when may hold the times", "00:00:01", "read.time=when with read.date_format="),
    "zone_newest_first_under_another_name": refused(
        "when may hold the times", "read.tz=", time="when", date_format="%Y-%m-%d %H:%M CET", mended=read(TWO, "D", SORTED)
    ),
    "zone_in_brackets": refused("when may hold the times", "remove it and its brackets"),
    "day_of_the_year_newest_first": refused(
        "when may hold the times", "read.date_format=", time="when", date_format="%Y-%j", mended=read(TWO, "D", SORTED)
    ),
    "dates_as_formulas": refused("when may hold the times", "is a formula"),
    "digits_newest_first_under_another_name": refused("when may hold the times", time="when", mended=read(TWO, "D", SORTED)),
    "line_end_in_a_date": read(TWO, "D"),
    "hour_25": refused("line 2: '2024-01-01 25:00'", "hours go from 0 to 23"),
    "minute_60": refused("line 2: '2024-01-01 10:60'", "from 0 to 59"),
    "midnight_as_24_on_new_years_eve": refused("line 3: '2023-12-31 24:00'", "2024-01-01 00:00"),
    "far_future_typing_error": refused("2204-01-02", "far away"),
}
ANSWERS = KNOWN_ANSWERS | OWN_ANSWERS
REFUSED = [name for name, answer in ANSWERS.items() if isinstance(answer, Refused)]
UNFIT = {  # read as they are, but nothing can be forecast from them
    "huge_but_finite": refused("values beyond 1e+150"),
    "only_missing_values": refused("every value is missing"),
}
READ = [name for name, answer in ANSWERS.items() if isinstance(answer, Reads)]
MENDED = [name for name in REFUSED if ANSWERS[name].mended]
SMALL = ("short", "frequency", "constant", "gaps")  # what is said of tables of a few rows, and tested elsewhere


@pytest.fixture(scope="session")
def bad_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_all(tmp_path_factory.mktemp("bad"))


def frame_of(path: Path, **settings: Any) -> Frame:
    config = ReadConfig(**settings)
    return to_frame(to_rows(path, config), config)


def assert_is(frame: Frame, expected: Reads) -> None:
    """The rows as expected, with the frequency where one is given, and every repair and warning said."""
    ids, stamps = frame.df["unique_id"].tolist(), [str(stamp).removesuffix(" 00:00:00") for stamp in frame.df["ds"]]
    assert list(zip(ids, stamps, strict=True)) == [row[:2] for row in expected.rows]
    values = [np.nan if row[2] is None else row[2] for row in expected.rows]
    np.testing.assert_array_equal(frame.df["y"].to_numpy(), np.array(values, dtype=np.float64))
    assert expected.freq in (None, frame.freq)
    changed = [finding.message for finding in frame.findings if finding.level != "info" and finding.topic not in SMALL]
    for message in changed:
        assert any(word in message for word in expected.says), message
    for word in expected.says:
        assert any(word in finding.message for finding in frame.findings), word


def test_the_known_files_are_those_of_the_reference():
    if not REFERENCE.exists():
        pytest.skip("the reference is not here")
    reference = runpy.run_path(str(REFERENCE))["C"]
    assert list(reference) == list(KNOWN)
    changing = {"gz_named_csv", "xlsx_magic", "random_bytes"}  # they hold a time or chance
    assert {name for name in reference if reference[name] != KNOWN[name]} <= changing


def test_every_file_has_its_answer():
    assert list(ANSWERS) == list(FILES)
    assert len(KNOWN) == 91
    assert len(OWN) >= 45


@pytest.mark.parametrize("name", READ)
def test_what_is_certain_is_read_and_what_was_changed_is_said(bad_files, name):
    assert_is(frame_of(bad_files[name]), ANSWERS[name])


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_in_doubt_is_refused_with_the_place_and_the_way_on(bad_files, name):
    with pytest.raises(DataError) as caught:
        frame_of(bad_files[name])
    message = str(caught.value)
    for word in ANSWERS[name].words:
        assert word in message, message
    assert not re.search(r"(line|row) 0\b", message)
    assert len(message) < 1000


@pytest.mark.parametrize("name", MENDED)
def test_the_setting_of_the_error_mends_it(bad_files, name):
    answer = ANSWERS[name]
    frame = frame_of(bad_files[name], **answer.settings)
    assert_is(frame, answer.mended)


@pytest.fixture
def predicted(monkeypatch, capsys, tmp_path):
    """`predicted(path)`: (exit code, stdout, stderr) of `python -m tsattn.predict input=path horizon=2` in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # so that what the command sets is taken back
    handler = signal.getsignal(signal.SIGTERM)

    def called(path: Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["predict", f"input={path}", "horizon=2"])
        capsys.readouterr()
        return cli.exit_code("predict", PredictConfig, predict.main), *capsys.readouterr()

    yield called
    signal.signal(signal.SIGTERM, handler)


def assert_ends_well(ended: tuple[int, str, str], answer: Reads | Refused) -> None:
    """Code 0 with nothing but warnings on stderr, or code 2 with one line on it."""
    code, out, err = ended
    assert "Traceback" not in out + err
    if isinstance(answer, Reads):
        assert code == 0, err
        assert all(line.startswith("! ") for line in err.splitlines()), err
        return
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1, err
    for word in answer.words:
        assert word in err


@pytest.mark.parametrize("name", ["currency", "months_french"])
def test_the_command_ends_well(bad_files, predicted, name):
    assert_ends_well(predicted(bad_files[name]), ANSWERS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ANSWERS)
def test_the_command_ends_well_for_every_file(bad_files, predicted, name):
    assert_ends_well(predicted(bad_files[name]), UNFIT.get(name, ANSWERS[name]))
