"""Broken and treacherous table files: `python tests/bad_files.py FOLDER` writes them. What each gives: test_bad_files.py.

`KNOWN` are 91 files that tools of this kind are tried on; `OWN` are what people send: exports of spreadsheets and databases,
other countries, other calendars, logs.
"""

from __future__ import annotations

import gzip
import random
import sys
from collections.abc import Iterable
from pathlib import Path


def known(*lines: str, header: str = "ds,y", end: str = "\n") -> bytes:
    """A small table, every line ended."""
    return "".join(line + end for line in (header, *lines)).encode()


def values(*cells: str, header: str = "ds,y", sep: str = ",", end: str = "\n") -> bytes:
    """Cells of values on 1, 2, 3 ... January 2024; with a comma as separator they are quoted where they hold one."""
    quoted = [f'"{cell}"' if sep in cell else cell for cell in cells]
    return known(*(f"2024-01-{i + 1:02d}{sep}{cell}" for i, cell in enumerate(quoted)), header=header, end=end)


def times(*texts: str, header: str = "ds,y") -> bytes:
    """Values 1, 2, 3 ... at times written as given, all of them quoted."""
    return known(*(f'"{text}",{i + 1}' for i, text in enumerate(texts)), header=header)


def hours(of_day: Iterable[int]) -> bytes:
    """Values 1, 2, 3 ... of two days whose hours stand in a column of their own."""
    pairs = [(day, hour) for day in (1, 2) for hour in of_day]
    return known(*(f"2024-01-0{day},{hour},{i + 1}" for i, (day, hour) in enumerate(pairs)), header="date,hour,n")


def ids(*names: str, header: str = "unique_id,ds,y") -> bytes:
    """Three days of each id, values counted on from 1."""
    rows = ((name, day) for name in names for day in (1, 2, 3))
    return known(*(f"{name},2024-01-{day:02d},{i + 1}" for i, (name, day) in enumerate(rows)), header=header)


FIVE = values(*"01234").decode()
SEMICOLON = FIVE.replace(",", ";").encode()

KNOWN: dict[str, bytes] = {
    "empty_0_bytes": b"",
    "only_newlines": b"\n\n\n",
    "header_only": b"ds,y\n",
    "no_header": FIVE.partition("\n")[2].encode(),
    "bom_utf8": ("\ufeff" + FIVE).encode(),
    "utf16": FIVE.encode("utf-16"),
    "latin1": FIVE.replace("ds,y", "ds,é").encode("latin-1"),
    "nul_bytes": FIVE.replace("2024-01-02", "2024-\x0001-02").encode(),
    "all_nul_blockhole": FIVE.encode() + b"\0" * 4096,
    "semicolon": SEMICOLON,
    "tab": FIVE.replace(",", "\t").encode(),
    "decimal_comma": values("1,5", "2,5", header="ds;y", sep=";"),
    "decimal_comma_in_comma_csv": known("2024-01-01,1,5", "2024-01-02,2,5"),
    "thousands": values("1,234", "2,345"),
    "currency": values("$12.5", "$13"),
    "percent": values("12%", "13%"),
    "accounting_neg": values("(5)", "6"),
    "unicode_minus": values("\u22125", "6"),
    "fullwidth_digits": values("\uff15", "6"),
    "nbsp": values("\u00a05", "6"),
    "leading_zero_id": known("007,2024-01-01,1", "7,2024-01-01,2", header="unique_id,ds,y"),
    "id_NA_namibia": known("NA,2024-01-01,1", "US,2024-01-01,2", header="unique_id,ds,y"),
    "id_null_None_nan": known("null,2024-01-01,1", "None,2024-01-01,2", "nan,2024-01-01,3", header="unique_id,ds,y"),
    "id_1e5": known("1e5,2024-01-01,1", "100000,2024-01-01,2", header="unique_id,ds,y"),
    "id_true": known("True,2024-01-01,1", "FALSE,2024-01-01,2", header="unique_id,ds,y"),
    "id_bigint": known("12345678901234567890,2024-01-01,1", "12345678901234567891,2024-01-01,2", header="unique_id,ds,y"),
    "id_bigint_with_missing": known(
        "9007199254740993,2024-01-01,1", ",2024-01-01,2", "9007199254740992,2024-01-02,3", header="unique_id,ds,y"
    ),
    "y_int64_overflow": values("9" * 23, "1"),
    "y_1e400": values("1e400", "1"),
    "y_inf_text": values("inf", "-Infinity"),
    "y_hex": values("0x1F", "2"),
    "y_1_000": values("1_000", "2"),
    "y_dash_missing": values("-", "2"),
    "y_excel_REF": values("#REF!", "2"),
    "y_excel_NA": values("#N/A", "2"),
    "y_bool": values("True", "False"),
    "dup_header": known("2024-01-01,1,2", header="ds,y,y"),
    "empty_header": known("2024-01-01,1,2", header="ds,,y"),
    "space_header": known("2024-01-01, 1", header="ds , y"),
    "row_too_long": known("2024-01-01,1", "2024-01-02,2,9"),
    "row_too_short": known("2024-01-01,1,2", "2024-01-02,3", header="ds,x,y"),
    "all_rows_extra_trailing_comma": known("2024-01-01,1,", "2024-01-02,2,"),
    "all_rows_extra_value": known("A,2024-01-01,1", "A,2024-01-02,2"),
    "unclosed_quote": known('2024-01-01,"1', "2024-01-02,2", "2024-01-03,3"),
    "quoted_newline": b'ds,y\n"2024-01-01\n",1\n',
    "cr_only": FIVE.replace("\n", "\r").encode(),
    "crlf_mixed": b"ds,y\r\n2024-01-01,1\n2024-01-02,2\r\n",
    "blank_lines_mid": known("2024-01-01,1", "", "", "2024-01-02,2"),
    "title_lines_above": known("Generated 2024", "ds,y", "2024-01-01,1", header="Sales report"),
    "total_row": known("2024-01-01,1", "2024-01-02,2", "Total,3"),
    "repeated_header_mid": known("2024-01-01,1", "ds,y", "2024-01-02,2"),
    "comment_lines": known("ds,y", "2024-01-01,1", header="# source"),
    "sep_directive": known("ds;y", "2024-01-01;1", header="sep=;"),
    "truncated_last_row": b"ds,y\n2024-01-01,1\n2024-01-0",
    "truncated_last_value": b"ds,y\n2024-01-01,1234\n2024-01-02,12",
    "git_lfs_pointer": known("oid sha256:abc", "size 123", header="version https://git-lfs.github.com/spec/v1"),
    "html_404": known(header="<!DOCTYPE html><html><body>404, not found</body></html>"),
    "json": b'[{"ds":"2024-01-01","y":1}]',
    "gz_named_csv": gzip.compress(FIVE.encode(), mtime=0),
    "xlsx_magic": b"PK\x03\x04" + random.Random(0).randbytes(64),
    "random_bytes": random.Random(1).randbytes(300),
    "merge_conflict": known("<<<<<<< HEAD", "2024-01-01,1", "=======", "2024-01-01,2", ">>>>>>> b"),
    "ddmm_ambiguous": known("01/02/2024,1", "02/02/2024,2", "03/02/2024,3"),
    "ddmm_switch_at_13": known("12/01/2024,1", "13/01/2024,2"),
    "mixed_formats": known("2024-01-01,1", "01/02/2024,2"),
    "bad_date_feb30": known("2024-02-29,1", "2024-02-30,2"),
    "excel_serial": known("45292,1", "45293,2"),
    "unix_s": known("1704067200,1", "1704153600,2"),
    "unix_ms": known("1704067200000,1", "1704153600000,2"),
    "yyyymmdd_int": known("20240101,1", "20240102,2"),
    "year_only_int": known("2020,1", "2021,2"),
    "yyyymm_int": known("202001,1", "202002,2"),
    "quarter": known("2020Q1,1", "2020Q2,2"),
    "iso_week": known("2020-W01,1", "2020-W02,2"),
    "two_digit_year": known("01-Jan-68,1", "01-Jan-69,2"),
    "year_0001": known("0001-01-01,1", "9999-12-31,2"),
    "mixed_offsets": known("2024-03-31 00:00+01:00,1", "2024-04-01 00:00+02:00,2"),
    "mixed_tz_naive": known("2024-03-31 00:00Z,1", "2024-04-01 00:00,2"),
    "am_pm": known("2024-01-01 12:00 AM,1", "2024-01-01 1:00 PM,2"),
    "leap_second": known("2016-12-31 23:59:60,1", "2017-01-01 00:00:00,2"),
    "24h": known("2024-01-01 24:00,1", "2024-01-02 01:00,2"),
    "blank_date": known("2024-01-01,1", ",2", "2024-01-03,3"),
    "month_name_de": known("1. März 2024,1", "2. März 2024,2"),
    "long_field": values("9" * 5000, "1"),
    "formula_id": known('"=HYPERLINK(""http://x"")",2024-01-01,1', header="unique_id,ds,y"),
    "path_id": known("../../etc/passwd,2024-01-01,1", header="unique_id,ds,y"),
    "html_id": known("<script>alert(1)</script>,2024-01-01,1", header="unique_id,ds,y"),
    "casefold_ids": known("A,2024-01-01,1", "a,2024-01-01,2", header="unique_id,ds,y"),
    "nfc_nfd_ids": known("caf\u00e9,2024-01-01,1", "cafe\u0301,2024-01-02,2", header="unique_id,ds,y"),
    "trailing_space_ids": known("A,2024-01-01,1", "A ,2024-01-02,2", header="unique_id,ds,y"),
    "lone_surrogate_invalid_utf8": b"unique_id,ds,y\n\xed\xa0\x80,2024-01-01,1\n",
}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

OWN: dict[str, bytes] = {
    # ---- spreadsheets of other countries
    "excel_semicolon_decimal_comma_bom": b"\xef\xbb\xbf"
    + known("12.02.2024;1.234,50", "13.02.2024;-2,5", "14.02.2024;3", header="Datum;Wert", end="\r\n"),
    "excel_sep_line": known("Datum;Wert", "12.02.2024;1,5", "13.02.2024;2,5", header="sep=;", end="\r\n"),
    "excel_trailing_semicolons": known("2024-01-01;1;;", "2024-01-02;2;;", header="ds;y;;", end="\r\n"),
    "excel_utf16_tabs": "Datum\tWert\r\n13.01.2024\t1,5\r\n14.01.2024\t2,5\r\n".encode("utf-16"),
    "excel_error_cells": values("1", "#DIV/0!", "#VALUE!", "#NAME?"),
    "excel_formula_cells": values("1", "=1+1", "=SUM(B2:B3)"),
    "excel_apostrophe_before_numbers": values("'5", "'6"),
    "excel_serial_with_fraction": times("45292.5", "45293.5"),
    "excel_serial_named_date": known("45292,1", "45293,2", "45294,3", header="Order Date,y"),
    "excel_hashes": values("1", "########"),
    "german_dates_day_13": known("12.01.2024,1", "13.01.2024,2", "14.01.2024,3"),
    "us_dates_day_13": known("1/12/2024,1", "1/13/2024,2", "1/14/2024,3"),
    "swiss_apostrophe": values("1'234.50", "1'234'567.25", "12"),
    "swiss_typographic_apostrophe": values("1\u2019234.50", "12.25"),
    "indian_grouping": values("1,23,456", "12,34,567.5", "7"),
    "french_no_break_space": values("1\u00a0234,50", "2,5", header="ds;y", sep=";"),
    "french_narrow_no_break_space": values("1\u202f234,50", "1\u202f234\u202f567,5", header="ds;y", sep=";"),
    "french_plain_blank": values("1 234,50", "2,5", header="ds;y", sep=";"),
    "decimal_points_after_semicolons": values("1.25", "2.5", header="ds;y", sep=";"),
    "three_decimals_after_semicolons": values("1.250", "2.500", header="ds;y", sep=";"),
    "thousands_points_between_commas": values("1.234", "987", "12.345"),
    "thousands_points_between_tabs": "Datum\tWert\r\n13.01.2024\t2.037\r\n14.01.2024\t12.000\r\n".encode("utf-16"),
    "thousands_points_in_one_column": known("2.037", "12.000", header="Wert"),
    "thousands_points_in_one_column_without_a_header": known("2.037", header="12.000"),
    "thousands_points_beside_german_dates": known("13.01.2024,2.037", "14.01.2024,12.000", header="Datum,Wert"),
    "decimal_points_proved_beside_german_dates": known("13.01.2024\t2.037", "14.01.2024\t12.5", header="Datum\tWert"),
    "three_decimals_between_commas": values("1.250", "2.500"),
    "points_and_commas_contradict": values("1.234,5", "1,234.5", header="ds;y", sep=";"),
    # ---- digits and marks of other scripts
    "arabic_indic_digits": values("\u0661\u0662", "\u0663\u066b\u0665", "\u0664"),
    "persian_digits": values("\u06f1\u06f2", "\u06f3"),
    "devanagari_digits": values("\u0967\u0968", "\u0969"),
    "fullwidth_decimals": values("\uff11\uff0e\uff15", "\uff0d\uff12"),
    "fullwidth_dates": times("\uff12\uff10\uff12\uff14-\uff10\uff11-\uff10\uff11", "2024-01-02"),
    "superscript_is_no_digit": values("5\u00b2", "6"),
    "vulgar_fraction": values("1\u00bd", "2"),
    "right_to_left_marks_around_numbers": values("\u200f5\u200f", "\u202b-6\u202c", "\u20677\u2069"),
    "right_to_left_mark_in_an_id": ids("A", "A\u200f"),
    "zero_width_space_in_numbers_and_dates": times("\u200b2024-01-01", "2024-01-02\u200b", header="ds,y").replace(
        b",2\n", ",\u200b2\n".encode()
    ),
    "zero_width_space_inside_a_number": values("1\u200b234", "2"),
    "soft_hyphen_before_a_number": values("\u00ad5", "6"),
    "en_dash_before_a_number": values("\u20135", "6"),
    "byte_order_mark_in_a_cell": values("\ufeff5", "6"),
    # ---- units, signs and spellings of numbers
    "euro_before": values("\u20ac 12", "\u20ac 13"),
    "currency_code_after": values("12 EUR", "13 EUR"),
    "unit_after": values("12 kWh", "13 kWh"),
    "percent_with_blank": values("12 %", "13 %"),
    "accounting_with_thousands": values("(1,234.50)", "1,000.25"),
    "trailing_minus": values("5-", "6"),
    "plus_sign": values("+5", "+6.5"),
    "blank_after_sign": values("- 5", "6"),
    "scientific": values("1E+05", "2.5e-3"),
    "scientific_with_decimal_comma": values("1,5E+05", "2,25E-03", header="ds;y", sep=";"),
    "fortran_exponent": values("1.5D+03", "2"),
    "binary_and_octal": values("0b101", "0o17"),
    "k_and_m": values("1.2k", "3M"),
    "less_than": values("<5", "6"),
    "approximate": values("~5", "6*"),
    "range_of_numbers": values("5-6", "7"),
    "two_points": values("1.2.3", "4"),
    "point_alone_before_and_after": values(".5", "5."),
    "huge_but_finite": values("1e308", "-1e308", "1"),
    "subnormal": values("1e-320", "2e-320"),
    "minus_zero": values("-0", "-0.0", "1"),
    "leading_zeros": values("007", "0010"),
    "decimals_5000_digits": values("0." + "3" * 5000, "1"),
    "whole_numbers_beyond_2_53": values("9007199254740993", "1"),
    "infinity_spellings": values("Inf", "+inf", "\u221e", "1"),
    "nan_spellings": values("NaN", "nan", "NAN", "1"),
    "nan_of_printf": values("-nan(ind)", "1.#QNAN", "1"),
    "yes_and_no": values("yes", "no"),
    "true_in_german": values("WAHR", "FALSCH"),
    "zeros_and_ones": values("0", "1", "1"),
    "numbers_in_quotes": known('"2024-01-01","1.5"', '"2024-01-02","2.5"', header='"ds","y"'),
    "numbers_in_single_quotes": values("'1.5'", "'2.5'"),
    "missing_markers_mixed": values("1", "NA", "n/a", "NULL", "-", "", "#N/A", "?", "2"),
    "null_in_parentheses": values("1", "(null)", "2"),
    "mysql_dump_backslash_n": known("2024-01-01\t1", "2024-01-02\t\\N", "2024-01-03\t3", header="ds\ty"),
    "only_missing_values": values("NA", "NA", "NA"),
    # ---- dumps, logs and other layouts
    "psql_output": known("------------+---", " 2024-01-01 | 1", " 2024-01-02 | 2", "(2 rows)", header="     ds     | y "),
    "markdown_table": known("|---|---|", "| 2024-01-01 | 1 |", "| 2024-01-02 | 2 |", header="| ds | y |"),
    "fixed_width": known("2024-01-01      1", "2024-01-02     22", header="ds              y"),
    "blank_separated_numbers": known("1 234", "2 345", header="x y"),
    "log_lines_in_brackets": known("[2024-01-01 10:00:00],1", "[2024-01-01 11:00:00],2", header="time,y"),
    "sql_insert": known("INSERT INTO t VALUES ('2024-01-02',2);", header="INSERT INTO t VALUES ('2024-01-01',1);"),
    "python_dicts": known("{'ds': '2024-01-02', 'y': 2}", header="{'ds': '2024-01-01', 'y': 1}"),
    "json_lines": known('{"ds": "2024-01-02", "y": 2}', header='{"ds": "2024-01-01", "y": 1}'),
    "xml": b'<?xml version="1.0"?><rows><row ds="2024-01-01" y="1"/></rows>\n',
    "arff": known("@ATTRIBUTE ds DATE", "@ATTRIBUTE y REAL", "@DATA", "2024-01-01,1", header="@RELATION r"),
    "access_denied_page": known("<Error><Code>AccessDenied</Code></Error>", header='<?xml version="1.0" encoding="UTF-8"?>'),
    "totals_in_german": known("2024-01-01,1", "2024-01-02,2", "Summe,3"),
    "total_without_a_date": known("2024-01-01,1", "2024-01-02,2", ",3"),
    "subtotals": known("2024-01-01,1", "2024-01-02,2", "Subtotal January,3", "2024-02-01,4"),
    "source_line_below": known("2024-01-01,1", "2024-01-02,2", '"Source: national office",'),
    "two_tables": known("2024-01-01,1", "2024-01-02,2", "", "ds,z", "2024-01-01,5"),
    "units_below_the_header": known("[date],[kW]", "2024-01-01,1", "2024-01-02,2"),
    "header_over_two_lines": known("date,north", "2024-01-01,1", "2024-01-02,2", header=",sales"),
    "transposed": known("north,1,2,3", "south,4,5,6", header="shop,2024-01-01,2024-01-02,2024-01-03"),
    "transposed_years": known("north,1,2,3", "south,4,5,6", header="shop,2020,2021,2022"),
    "years_down_months_across": known(
        *(",".join([str(year), *(str(year - 2020 + i) for i in range(12))]) for year in (2020, 2021, 2022)),
        header="Year," + ",".join(MONTHS),
    ),
    "too_many_columns": ("ds," + ",".join(f"c{i}" for i in range(10_001)) + "\n2024-01-01" + ",1" * 10_001 + "\n").encode(),
    "row_numbers_in_front": known("0,2024-01-01,5", "1,2024-01-02,6", header=",ds,y"),
    "no_header_and_no_dates": known("a;-1", "b;-2", "c;-3", header="z;-4"),
    "dates_as_numbers_beside_other_dates": known("20240101,2025-01-02,5", "20240102,2025-01-03,6", header="date,valid_until,y"),
    "value_only_with_header": known("5", "6", "7", header="y"),
    # ---- ids
    "ids_in_mixed_case_with_blanks_and_accents": ids("caf\u00e9", "CAFE\u0301", "caf\u00e9 x", "caf\u00e9  x"),
    "ids_that_look_like_dates": ids("2024-01-01", "2024-02-30"),
    "ids_damaged_by_a_spreadsheet": ids("1.23E+11", "4.56E+11"),
    "id_with_line_end": known('"a\nb",2024-01-01,1', '"a\nb",2024-01-02,2', header="unique_id,ds,y"),
    "id_with_soft_hyphen": ids("a\u00adb", "ab"),
    "id_of_300_characters": ids("x" * 300),
    "id_with_quotes": ids('"say ""hi"""'),
    "ids_as_numbers_with_and_without_decimals": ids("1", "1.0"),
    "some_ids_blank": known("A,2024-01-01,1", ",2024-01-02,2", header="unique_id,ds,y"),
    # ---- times
    "german_two_digit_years": times("12.01.23", "13.01.23", "14.01.23"),
    "german_two_digit_month_ends": times("31.12.20", "31.12.21", "31.12.22"),
    "day_and_month_swapped_by_a_spreadsheet": times("12/1/2024", "13/01/2024", "14/01/2024"),
    "two_separators": times("12-01-2024", "1/13/2024", "1/14/2024"),
    "am_pm_in_some_rows": times("1/13/2024 1:00 PM", "1/13/2024 2:00"),
    "browser_dates_with_narrow_blanks": times("1/13/2024, 1:00:00\u202fPM", "1/13/2024, 2:00:00\u202fPM"),
    "hyphens_that_do_not_break": times("2024\u201101\u201101", "2024\u201101\u201102"),
    "east_asian_dates": times("2024\u5e741\u67081\u65e5", "2024\u5e741\u67082\u65e5"),
    "german_weekdays": times("Fr, 12.01.2024", "Sa, 13.01.2024"),
    "seasons_over_two_years": times("2001/02", "2002/03", "2003/04"),
    "october_without_its_zero": times("2020.1", "2020.11", "2020.12"),
    "years_as_decimals": times("2020.0", "2020.25", "2020.5", "2020.75"),
    "month_and_day_or_year": times("Jan-01", "Jan-02", "Jan-03"),
    "year_and_day_of_year": times("2023364", "2023365", "2024001"),
    "offset_of_99_hours": times("2024-01-01 00:00+99:99", "2024-01-02 00:00+99:99"),
    "padded_title_above": known(";", "", "ds;y", "2024-01-01;1", header="Sales report;"),
    "quarter_in_french": times("T1 2020", "T2 2020", "T3 2020"),
    "quarter_digit_first": times("1Q2020", "2Q2020", "3Q2020"),
    "quarter_in_german": times("1. Quartal 2020", "2. Quartal 2020", "3. Quartal 2020"),
    "year_named_in_german": known("2019;5", "2020;6", "2021;7", header="Jahr;y"),
    "months_with_a_point": known("11.2023;5", "12.2023;6", "01.2024;7", header="Monat;y"),
    "months_with_a_point_under_another_name": known("11.2023;5", "12.2023;6", "01.2024;7", header="Bericht;y"),
    "months_with_a_point_beside_numbers": known("11.2023;5", "12.2023;6", "01.2024;7", header="Bericht;Anzahl"),
    "not_available_in_letters_with_points": values("1", "n.a.", "k.A.", "4"),
    "shares_in_per_cent": known("2024-01-01;61,5 %", "2024-01-02;62 %", header="date;share"),
    "amounts_in_dollars": known('2024-01-01,"$1,201.50"', '2024-01-02,"$1,300.00"', header="date,sales"),
    "fiscal_year": known("2021,7", "2020,6", "2019,5", header="fiscal_year,y"),
    "week_with_a_slash": known("1/2024,5", "2/2024,6", header="KW,y"),
    "year_and_week_in_two_columns": known("2024,1,5", "2024,2,6", header="year,week,y"),
    "german_year_and_week": b"Jahr;KW;Anzahl\n2020;52;5\n2020;53;6\n2021;1;7\n",
    "date_and_hour": hours(range(24)),
    "date_and_hours_to_24": hours(range(1, 25)),
    "milliseconds_called_ts": known("1704067200000,1", "1704067201000,2", "1704067202000,3", header="ts,y"),
    "iso_t_z_fraction": times("2024-01-01T00:00:00.500Z", "2024-01-01T00:00:01.500Z", "2024-01-01T00:00:02.500Z"),
    "iso_basic_digits": times("20240101T100000", "20240101T110000"),
    "digits_to_the_hour": times("2024010122", "2024010123", "2024010200"),
    "digits_to_the_minute": times("202401012200", "202401012300", "202401020000"),
    "digits_to_the_second": times("20240101220000", "20240101230000", "20240102000000"),
    "day_month_year_digits": times("30012024", "31012024", "01022024"),
    "two_digit_year_first": times("24-01-01", "24-01-02", "24-01-03"),
    "yymmdd_over_a_month_end": times("240130", "240131", "240201"),
    "yymmdd_or_yyyymm": times("200101", "200102", "200103"),
    "yyyymmdd_with_february_30": times("20240228", "20240229", "20240230", "20240301"),
    "yyyymm_with_month_13": times("202011", "202012", "202013", "202101"),
    "week_numbers_as_whole_numbers": times("202051", "202052", "202053", "202101", header="week,y"),
    "weeks_of_one_quarter_as_whole_numbers": times("202401", "202402", "202403", header="yearweek,y"),
    "weeks_with_a_hyphen": times("2020-01", "2020-02", "2020-03", header="week,y"),
    "week_53_with_a_hyphen": times("2020-52", "2020-53", "2021-01", header="week,y"),
    "week_2020w01": times("2020W01", "2020W02", "2020W03"),
    "week_60": times("2024-W51", "2024-W52", "2024-W60"),
    "week_53_of_a_year_without": times("2024-W52", "2024-W53"),
    "quarter_first": times("Q1 2020", "Q2 2020", "Q3 2020"),
    "quarter_with_hyphen": times("2020-Q1", "2020-Q2", "2020-Q3"),
    "quarter_5": times("2020-Q4", "2020-Q5"),
    "weekday_before_iso": times("Mon 2024-01-01", "Tue 2024-01-02", "Wed 2024-01-03"),
    "weekday_in_words": times("Monday, January 1, 2024", "Tuesday, January 2, 2024"),
    "weekday_that_contradicts": times("Mon 2024-01-01", "Mon 2024-01-02", "Wed 2024-01-03"),
    "mail_header_dates": times("Mon, 01 Jan 2024 00:00:00 +0000", "Tue, 02 Jan 2024 00:00:00 +0000"),
    "ctime_dates": times("Mon Jan  1 10:00:00 2024", "Mon Jan  1 11:00:00 2024"),
    "months_german": times("Januar 2024", "Februar 2024", "M\u00e4rz 2024"),
    "months_german_short": times("01. J\u00e4n. 2024", "02. J\u00e4n. 2024"),
    "months_french": times("1er f\u00e9vrier 2024", "2 f\u00e9vrier 2024", "3 f\u00e9vrier 2024"),
    "months_french_short": times("d\u00e9c. 2023", "janv. 2024", "f\u00e9vr. 2024"),
    "months_spanish": times("1 de enero de 2024", "2 de enero de 2024"),
    "months_italian": times("gennaio 2024", "febbraio 2024", "marzo 2024"),
    "months_dutch": times("1 maart 2024", "2 maart 2024"),
    "months_portuguese": times("mar\u00e7o 2024", "abril 2024", "maio 2024"),
    "months_decomposed": times("1. Ma\u0308rz 2024", "2. Ma\u0308rz 2024"),
    "months_polish": times("1 stycznia 2024", "2 stycznia 2024"),
    "english_ordinals": times("1st January 2024", "2nd January 2024", "3rd January 2024"),
    "months_without_a_year": times("Jan", "Feb", "Mar", header="month,y"),
    "epoch_microseconds": times("1704067200000000", "1704153600000000"),
    "epoch_nanoseconds": times("1704067200000000000", "1704153600000000000"),
    "epoch_as_float": times("1704067200.0", "1704153600.0"),
    "epoch_with_fraction": times("1704067200.25", "1704067201.25"),
    "epoch_damaged_by_a_spreadsheet": times("1.70407E+09", "1.70415E+09"),
    "epoch_of_two_units": times("1704067200", "1704153600", "1704240000000"),
    "epoch_with_a_zero": times("1704067200", "0", "1704240000"),
    "date_and_time_in_two_columns": known("2024-01-01,10:00,1", "2024-01-01,11:00,2", header="date,time,y"),
    "descending_dates": known("2024-01-03,3", "2024-01-02,2", "2024-01-01,1"),
    "duplicated_rows": known("2024-01-01,1", "2024-01-02,2", "2024-01-02,2"),
    "conflicting_rows": known("2024-01-01,1", "2024-01-02,2", "2024-01-02,3"),
    "year_1500": times("1500-01-01", "1500-01-02"),
    "february_29_of_2023": times("2023-02-28", "2023-02-29", "2023-03-01"),
    "buddhist_years": times("2567-01-01", "2567-01-02"),
    "zone_short_name": times("2024-01-01 10:00 CET", "2024-01-01 11:00 CET"),
    "zone_long_name": times("2024-01-01 10:00 Europe/Berlin", "2024-01-01 11:00 Europe/Berlin"),
    "autumn_hour_twice": times("2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 02:00", "2024-10-27 03:00"),
    "web_server_log_newest_first": known("12/Jan/2024:00:00:00 +0100,2", "11/Jan/2024:00:00:00 +0100,1", header="when,y"),
    "photograph_times": known("2024:01:01 10:00:00,1", "2024:01:01 11:00:00,2", header="taken,y"),
    "log_without_a_year": known("Jan  2 00:00:01,2", "Jan  1 00:00:01,1", header="when,y"),
    "zone_newest_first_under_another_name": known("2024-01-02 00:00 CET,2", "2024-01-01 00:00 CET,1", header="when,y"),
    "zone_in_brackets": known(
        "2024-01-02T00:00+01:00[Europe/Berlin],2", "2024-01-01T00:00+01:00[Europe/Berlin],1", header="when,y"
    ),
    "day_of_the_year_newest_first": known("2024-002,2", "2024-001,1", header="when,y"),
    "dates_as_formulas": known('"=""2024-01-02""",2', '"=""2024-01-01""",1', header="when,y"),
    "digits_newest_first_under_another_name": known("20240102,2", "20240101,1", header="when,y"),
    "line_end_in_a_date": known('"2024-01-01\n",1', '"\n2024-01-02",2'),
    "hour_25": times("2024-01-01 25:00", "2024-01-01 01:00"),
    "minute_60": times("2024-01-01 10:60", "2024-01-01 11:00"),
    "midnight_as_24_on_new_years_eve": times("2023-12-31 23:00", "2023-12-31 24:00"),
    "far_future_typing_error": times("2024-01-01", "2204-01-02", "2024-01-03"),
}
FILES = KNOWN | OWN


def write_all(folder: Path) -> dict[str, Path]:
    """The files in `folder`, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.csv" for name in FILES}
    for name, path in paths.items():
        path.write_bytes(FILES[name])
    return paths


if __name__ == "__main__":
    print(f"{len(write_all(Path(sys.argv[1])))} files in {sys.argv[1]}")
