"""Cells written the usual way are read at once; what that gives is what the strict way gives."""

from __future__ import annotations

import datetime as dt
import random
import re

import numpy as np
import pyarrow as pa
import pytest

from tsattn.data.cells import numbers, quick, times
from tsattn.data.cells.numbers import Marks
from tsattn.data.findings import DataError

POINT = Marks(".", "")


@pytest.fixture
def strict(monkeypatch):
    """`strict(function, *arguments)`: what the function gives where nothing is read at once."""

    def called(function, *arguments):
        with monkeypatch.context() as patch:
            for module in (numbers, times):
                for name in ("plain_numbers", "iso_seconds", "whole_numbers"):
                    patch.setattr(module, name, lambda _: None, raising=False)
            return function(*arguments)

    return called


def random_cells(signs: str, most: int, num: int) -> list[str]:
    rng = random.Random(0)
    return ["".join(rng.choices(signs, k=rng.randint(0, most))) for _ in range(num)]


CELLS = [
    *random_cells("0123456789.-+eEinfa,x_ ", 5, 8_000),
    "1e400",
    "-1e400",
    "1e-400",
    "nan",
    "Infinity",
    "0x1F",
    "1\u00a0234",
]


def test_a_cell_read_as_a_number_at_once_is_a_plain_finite_number_and_has_its_value():
    read = 0
    for cell in CELLS:
        values = quick.plain_numbers(pa.array([cell]))
        plain = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", cell)
        if values is not None and cell:
            assert (plain is not None, values.tolist()) == (True, [float(cell)]), cell
            read += 1
    assert read > 80
    values = quick.plain_numbers(pa.array(["1", "", "2.5"]))
    assert values is not None
    np.testing.assert_array_equal(values, [1.0, np.nan, 2.5])


@pytest.mark.parametrize("marks", [POINT, Marks(",", "."), Marks(".", ",")], ids=str)
@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_numbers_are_those_of_the_strict_way_however_they_are_cut_into_pieces(strict, monkeypatch, marks, piece):
    columns = [["1", "2.5", "", "NA", "-3e2", "x", "7,5"], ["1", "1,234.5", "\u0661", "+5", "inf", "9" * 17], CELLS[:40], []]
    for cells in columns:
        column = pa.array(cells, pa.string())
        values, rows, hint = strict(numbers.to_float, column, marks)
        share, seen = strict(numbers.share_of_numbers, column), strict(numbers.rounded, column, marks).tolist()
        monkeypatch.setattr(quick, "PIECE", piece)
        found, bad, said = numbers.to_float(column, marks)
        np.testing.assert_array_equal(found, values)
        assert (bad.tolist(), said, numbers.share_of_numbers(column)) == (rows.tolist(), hint, share)
        assert numbers.rounded(column, marks).tolist() == seen


@pytest.mark.parametrize(
    ("cells", "seen"),
    [
        (["1.5", "2.25"], {"decimal."}),
        (["1.234", "5"], {"either."}),
        (["1.234", "0.5"], {"decimal.", "either."}),
        (["7", "", "1e5"], set()),
        (["1.5", "1,234.5"], {"decimal.", "thousands,"}),
        (["1.234", "5,25"], {"either.", "decimal,"}),
    ],
)
def test_the_notation_is_seen_in_plain_numbers_and_beside_them(strict, monkeypatch, cells, seen):
    monkeypatch.setattr(quick, "PIECE", 1)
    for found in (numbers._evidence({"y": pa.array(cells)}), strict(numbers._evidence, {"y": pa.array(cells)})):
        assert found - {"either."} == seen - {"either."}
        assert "decimal." in seen or ("either." in found) == ("either." in seen)


DAYS = [dt.datetime(2024, 2, 27, 22, 58, 59) + i * dt.timedelta(hours=7) for i in range(9)]


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"])
def test_usual_dates_are_those_of_the_standard_library(strict, monkeypatch, form):
    monkeypatch.setattr(quick, "PIECE", 4)
    cells = [day.strftime(form) for day in DAYS]
    column = pa.array(cells)
    parsed, plain = times.parse_text(column, None, "ds"), strict(times.parse_text, column, None, "ds")
    assert [stamp.to_pydatetime() for stamp in parsed.stamps] == [dt.datetime.strptime(cell, form) for cell in cells]
    assert (parsed.date_only, parsed.findings, len(parsed.bad)) == (form == "%Y-%m-%d", [], 0)
    assert (parsed.stamps.equals(plain.stamps), parsed.date_only) == (True, plain.date_only)


@pytest.mark.parametrize(
    "cell",
    ["2024-02-30", "1600-01-01", "2300-01-01", "0000-00-00", "2024-01-0x", "2024/01/01", "24-01-0100", "2024-01-01 12", ""],
)
def test_dates_that_are_not_usual_go_the_strict_way(strict, cell):
    column = pa.array(["2024-01-01", cell, "2024-01-02"])
    parsed, plain = times.parse_text(column, None, "ds"), strict(times.parse_text, column, None, "ds")
    assert (parsed.bad.tolist(), parsed.reason) == (plain.bad.tolist(), plain.reason)
    assert parsed.stamps.equals(plain.stamps)


@pytest.mark.parametrize(
    "cells",
    [
        ["1", "2", "3"],
        ["3", "1", "3", "2"],
        ["20240101", "20240102", "20240101"],
        ["20240101", "20240102", "20241301", "20240101", "20241301"],
        ["202401", "202402", "202403"],
        ["240101", "240105", "240103"],
        ["31012024", "01022024", "28022024"],
        ["2024013122", "2024013123"],
        ["1704067200", "1704070800"],
        ["007", "008", "009"],
        ["-1", "0", "1"],
        ["2020.0", "2021.0"],
        ["1219", "0120", "0220"],
        ["42000", "42001"],
        ["2024001", "2024366"],
        ["122023", "012024", "022024"],
        ["9" * 19, "1"],
        ["19000101", "5", "7"],
    ],
    ids=lambda cells: cells[0],
)
def test_whole_numbers_as_times_are_those_of_the_strict_way(strict, cells):
    def told(function, *arguments):
        try:
            parsed = function(*arguments)
        except DataError as error:
            return str(error)
        return (
            parsed.stamps.tolist(),
            str(parsed.stamps.dtype),
            parsed.bad.tolist(),
            parsed.reason,
            parsed.findings,
            parsed.date_only,
        )

    column = pa.array(cells)
    assert told(times.parse_text, column, None, "ds") == told(strict, times.parse_text, column, None, "ds")
