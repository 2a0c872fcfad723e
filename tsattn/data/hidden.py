"""Columns that may hold the times of a table in which no time column was found, so that its rows cannot be counted."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from tsattn.data.cells import digits, forms
from tsattn.data.cells.characters import without_accents
from tsattn.data.columns import Column, Columns, are_months, is_number

pc: Any = pyarrow.compute
SAMPLE = 200
DATE = (
    r"(?<!\d)(19|20)\d\d([-/._: ])(0?[1-9]|1[0-2])\2(0?[1-9]|[12]\d|3[01])(?!\d)"
    r"|(?<!\d)(0?[1-9]|[12]\d|3[01])([-/. ])(0?[1-9]|[12]\d|3[01])\6(19|20)\d\d(?!\d)"
    r"|(?<!\d)(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?!\d)"
)
CLOCK = r"(?<![\w:.])([01]?\d|2[0-3])[:h][0-5]\d(:[0-5]\d)?(?![\w:])|\d{1,2}T([01]\d|2[0-3]):?[0-5]\d"
YEAR = r"(19|20|25)\d\d"  # 25: of the Buddhist calendar
SHORT = (
    r"(0?[1-9]|[12]\d|3[01])[./-](0?[1-9]|1[0-2])\.?|(0?[1-9]|1[0-2])[./-](0?[1-9]|[12]\d|3[01])"
    r"|[QqHh][1-4][-/ .']*\d\d|[1-4][QqHh][-/ .']*\d\d"
)  # 13.1., 1/13, Q1/24, 1H24
UNITS = frozenset(  # before a number they count time: Week 12, KW 12, FY24
    ("hour", "day", "week", "month", "quarter", "year", "wk", "cw", "kw", "fy", "stunde", "tag", "woche", "monat", "quartal")
    + ("jahr", "jour", "semaine", "mois", "annee", "dia", "semana", "mes", "ano", "giorno", "settimana", "mese", "anno")
)
ALSO_WORDS = frozenset(("set", "out", "gen"))  # months of other languages that stand before numbers in English
NO_TIME = r"(?i)\d\s*[x×]\s*\d|^[\da-f.]*(:[\da-f.]*){3,}$"  # sizes and addresses of networks


def problems(columns: Columns, ids: list[str], free: list[str], given_ids: bool) -> list[str]:
    """What speaks against counting the rows: the columns among `free` that may be times, and ids that are rather times."""
    found = []
    if len(ids) == 1 and not given_ids and (cell := _date_in(columns[ids[0]])):
        found.append(f"no time column was found, and {ids[0]}, which may name the series, holds {cell!r}: {_how(ids[0], cell)}")
    for name in free:
        cell = _time_in(columns[name])
        if cell and _mostly_distinct(columns, [*ids, name]):
            found.append(f"no time column was found, but {name} may hold the times (such as {cell}): {_how(name, cell)}")
    return found


def may_count(column: Column, rows: np.ndarray) -> bool:
    """Whether numbers may be times: years, months, seconds since 1970, or smaller with every row, the newest row first.

    `rows` marks the rows of one series, which are looked at.
    """
    if rows.sum() < 2 or not is_number(column):
        return False
    column = column[rows] if isinstance(column, pd.Series) else column.filter(pa.array(rows))
    whole = _whole(column)
    if whole is not None and len(np.unique(whole)) > len(whole) // 2 and digits.may_be_times(whole):
        return True
    return len(column) > 2 and _falls(column[:SAMPLE]) and _falls(column)


def _falls(column: Column) -> bool:
    cells = column if isinstance(column, pd.Series) else pd.Series(_without_mark(column).to_pylist(), dtype=object)
    values = pd.Series(pd.to_numeric(cells, errors="coerce")).to_numpy(dtype=np.float64, na_value=np.nan)
    return bool((np.diff(values) < 0).all())


def _without_mark(column: pa.Array) -> pa.Array:
    """Numbers without what stands behind them, as in 2024*."""
    return pc.replace_substring_regex(column, r"(\d)[^\d.,]+$", r"\1")


def _how(name: str, cell: str) -> str:
    """The way on."""
    if cell.isdigit() or re.fullmatch(r"\d{1,2}\.\d{4}", cell):
        return f"set read.time={name}, or leave the column out"
    form = f"set read.time={name} with read.date_format= in its form (such as %d/%b/%Y %H:%M), or leave the column out"
    return f"{form}; it {hint}" if (hint := forms.hint(cell)) else form


def _time_in(column: Column) -> str:
    """A cell of a column that may hold times; "" where it does not look like that."""
    whole = _whole(column)
    if whole is not None and digits.are_dates(whole):
        return str(whole[0])
    if not isinstance(column, pa.Array):
        return ""
    cells = _cells(column)
    if are_months(column):
        return cells[0]
    if is_number(column) and not _most(cells, lambda cell: re.fullmatch(r"[\d.]+\.", cell) is not None, 0.9):
        return ""
    if _most(cells, lambda cell: re.fullmatch(SHORT, cell) is not None, 0.9) or _count_of_units(cells):
        return cells[0]
    return next(filter(_may_be_time, cells)) if _most(cells, _may_be_time, 0.5) else ""


def _date_in(column: Column) -> str:
    """A cell of a text column most cells of which hold a whole date or a time of day; else ""."""
    if not isinstance(column, pa.Array):
        return ""
    cells = column.slice(0, SAMPLE).to_pylist()
    return next(filter(_has_date, cells)) if _most(cells, _has_date, 0.5) else ""


def _cells(column: pa.Array) -> list[str]:
    return [forms.tidy(cell) for cell in column.slice(0, SAMPLE).to_pylist() if cell]


def _most(cells: list[str], test: Any, share: float) -> bool:
    return sum(map(test, cells)) > share * len(cells)


def _has_date(cell: str) -> bool:
    return not re.search(NO_TIME, cell) and re.search(f"{DATE}|{CLOCK}", cell) is not None


def _may_be_time(cell: str) -> bool:
    """Whether a text has the parts of a time: a date, a time of day, a month by name, or a year beside other numbers."""
    if re.search(NO_TIME, cell):
        return False
    numbers, words = re.findall(r"\d+", cell), [without_accents(word) for word in re.findall(r"[^\W\d_]+", cell)]
    years = [number for number in numbers if re.fullmatch(YEAR, number)]
    if (
        _has_date(cell)
        or re.search("[年月日]", cell)
        or (len(numbers) == 0 and len(words) == 1 and words[0] in forms.MONTH_NAMES)
    ):
        return True
    if set(words) & forms.MONTH_NAMES.keys():
        return len(numbers) > 1 or bool(years) or (_small(numbers) and not set(words) & ALSO_WORDS)
    if not years:
        return False
    if len(numbers) == 1 and re.fullmatch(YEAR + r"\W*\w{0,2}\W*", cell):
        return True
    if len(numbers) == 1:
        return len(words) == 1 and (words[0] in UNITS or re.search(r"\s", cell) is not None)
    code = words and not cell[0].isdigit() and words[0] not in UNITS and len(words[0]) > 1
    return not code and all(len(number) <= 4 for number in numbers)


def _small(numbers: list[str]) -> bool:
    return any(1 <= int(number) <= 31 for number in numbers)


def _count_of_units(cells: list[str]) -> bool:
    """Whether the cells are units of time with a number, such as Week 12, that do not simply count the rows."""
    found = [re.fullmatch(r"([^\W\d_]+)\W*(\d+)(\D+\d+)?", cell) for cell in cells]
    if not cells or not all(hit and without_accents(hit[1]) in UNITS for hit in found):
        return False
    return any(hit[3] for hit in found if hit) or bool((np.diff([int(hit[2]) for hit in found if hit]) != 1).any())


def _whole(column: Column) -> np.ndarray | None:
    """The values of a column of whole numbers, those that are given; None for any other."""
    if isinstance(column, pa.Array):
        given = _without_mark(column.filter(pc.not_equal(column, "")))
        if len(given) == 0 or not pc.all(pc.match_substring_regex(given, r"^\d{1,18}(\.0+)?$")).as_py():
            return None
        return pc.cast(pc.replace_substring_regex(given, r"\.0+$", ""), pa.int64()).to_numpy(zero_copy_only=False)
    if not is_number(column) or column.isna().all():
        return None
    values = column.dropna().to_numpy(dtype=np.float64)
    return values.astype(np.int64) if (np.abs(values) < 1e18).all() and (values % 1 == 0).all() else None


def _mostly_distinct(columns: Columns, names: list[str]) -> bool:
    """Whether the rows of the columns together are rarely met twice."""
    codes = {name: pd.factorize(_plain(columns[name]))[0] for name in names}
    return int(pd.DataFrame(codes).duplicated().sum()) <= len(next(iter(codes.values()))) // 2


def _plain(column: Column) -> Any:
    return column if isinstance(column, pd.Series) else pc.dictionary_encode(column).indices.to_numpy()
