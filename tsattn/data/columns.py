"""Which column is the time, which names the series, which are the values. Explicit names win; a doubt is an error.

A column is a `pyarrow.Array` of strings (text, still to be converted) or a `pandas.Series` of numbers, stamps or booleans.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from tsattn.config import ReadConfig
from tsattn.data import across, calendar, several
from tsattn.data.cells import forms, numbers, times
from tsattn.data.findings import DataError, Finding, listed

pc: Any = pyarrow.compute
Column = pa.Array | pd.Series
Columns = dict[str, Column]

DIALECT_ID = ("unique_id", "item_id")
DIALECT_TIME = ("ds", "timestamp")
DIALECT_VALUE = (("y", "target"), ("value", "count"))
TIME_WORDS = frozenset(
    ("ds", "date", "datetime", "timestamp", "time", "day", "week", "month", "quarter", "year", "period")
    + ("yearmon", "yearmonth", "yearweek", "year_week", "t", "ts", "step", "datum")
    + ("jahr", "quartal", "monat", "woche", "kw", "zeit", "année", "annee", "mois", "semaine", "fecha", "año", "mes", "semana")
    + ("ano", "mês", "anno", "mese", "settimana", "jaar", "kwartaal", "maand")
)
DATE_WORDS = frozenset(("date", "datetime", "timestamp", "datum"))
ID_WORDS = frozenset(
    ("id", "series", "name", "sensor", "source", "station", "store", "shop", "item", "product", "sku", "site", "location")
    + ("city", "region", "state", "country", "market", "project", "camera", "device", "machine", "category", "brand", "make")
    + ("model", "branch", "route", "department", "dept", "airline", "meter", "key")
)
STRONG_ID = ("id", "series_id", "series", "ts_id")
ROW_NUMBERS = ("no", "no.", "nr", "#", "index", "row", "row_id", "rowid", "unnamed: 0", "rownames", "id", "instant", "record")
IDENTIFIER = r"(_|[a-z])(ID|Id)$|[_ ]id$"  # the end of a name such as order_id
UNNAMED = "Unnamed: 0"  # what a first column without a name is called
CALENDAR_WORDS = frozenset(  # of columns that repeat the time, beside `forms.PART_NAMES`
    ("doy", "dow", "weekday", "dayofweek", "day_of_week", "dayofyear", "day_of_year", "day_of_month")
)
SHARE = 0.8  # of the steps of a column of hours that are the usual one
PARTS_OF_YEAR = ("month", "quarter", "week")  # that a year is told with, the first that is there


def matching(columns: Iterable[str], name: object) -> str | None:
    """The column called `name`, upper and lower case apart if need be; None where there is none, or several."""
    names = list(columns)
    if str(name) in names:
        return str(name)
    same = [other for other in names if other.lower() == str(name).strip().lower()]
    return same[0] if len(same) == 1 else None


def find(columns: Iterable[str], name: object, setting: str) -> str:
    """The column called `name`, upper and lower case apart if need be; `DataError` listing the columns otherwise."""
    found = matching(columns, name)
    if found is None:
        raise DataError(f"{setting}={name}: there is no such column; the table has {listed(columns)}")
    return found


def with_found_names(columns: Columns, config: ReadConfig) -> ReadConfig:
    """The settings with the columns of id, time and value as the table spells them; one `DataError` for all missing."""
    problems: list[str] = []
    found: dict[str, list[str] | None] = {}
    for setting in ("id", "time", "value"):
        names = as_list(getattr(config, setting))
        found[setting] = [name for wanted in names if (name := matching(columns, wanted)) is not None] or None
        for name in names:
            if matching(columns, name) is None:
                problems.append(f"read.{setting}={name}: there is no such column; the table has {listed(columns)}")
    if problems:
        raise DataError("\n".join(problems))
    return replace(config, **found)


def split_name(columns: Iterable[str], name: str | None, sep: str) -> list[str]:
    """The columns whose names joined by `sep` are `name`; none for None.

    Where they are not all there: `name` itself, or its parts at every `sep` if one of these is a column.
    """
    names = set(columns)

    def parts(rest: str) -> list[str]:
        if rest in names:
            return [rest]
        cuts = [i for i in range(len(rest)) if rest.startswith(sep, i) and rest[:i] in names]
        return next(([rest[:i], *tail] for i in cuts if (tail := parts(rest[i + len(sep) :]))), [])

    if name is None:
        return []
    plain = name.split(sep)
    return parts(name) or (plain if names & set(plain) else [name])


def as_list(value: object) -> list[object]:
    """A setting that may be None, a name or a list of names, as a list."""
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))


def _named(columns: Iterable[str], wanted: tuple[str, ...]) -> list[str]:
    return [name for name in columns if name.lower() in wanted]


def is_number(column: Column) -> bool:
    """Whether a column holds numbers, or text of which at least half are numbers in some notation."""
    if isinstance(column, pd.Series):
        return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype)
    return numbers.share_of_numbers(column) >= 0.5


def is_time(column: Column) -> bool:
    """Whether a column holds stamps, or text that is written as dates."""
    if isinstance(column, pd.Series):
        return pd.api.types.is_datetime64_any_dtype(column.dtype)
    return times.looks_like_time(column)


def are_months(column: Column) -> bool:
    """Whether all cells that are given are a month and a year with a point between them, 01.2024, which look like numbers."""
    if not isinstance(column, pa.Array):
        return False
    given = column.filter(pc.not_equal(column, ""))
    return len(given) > 0 and bool(pc.all(pc.match_substring_regex(given, r"^(0?[1-9]|1[0-2])\.(19|20)\d\d$")).as_py())


def _is_whole(column: Column) -> bool:
    if isinstance(column, pd.Series):
        values = column.dropna().to_numpy(dtype=np.float64) if is_number(column) else np.zeros(0)
        return len(values) > 0 and bool(np.isfinite(values).all() and (values % 1 == 0).all())
    return bool(pc.all(pc.match_substring_regex(column, r"^\d+$")).as_py())


def _may_be_whole_times(column: Column) -> bool:
    """Whether all cells that are given are whole numbers, also as 2024.0, as pandas writes them beside empty cells."""
    if isinstance(column, pd.Series):
        return _is_whole(column)
    given = column.filter(pc.not_equal(column, ""))
    return len(given) > 0 and bool(pc.all(pc.match_substring_regex(given, r"^\d+(\.0+)?$")).as_py())


# ---- time --------------------------------------------------------------------------------------------------------------


def choose_time(columns: Columns, config: ReadConfig, findings: list[Finding]) -> list[str]:
    """The columns that make up the time, joined by a blank in this order; none when the table has no time."""
    if config.time is not None:
        return [find(columns, name, "read.time") for name in as_list(config.time)]
    free = [name for name in columns if name not in (*as_list(config.id), *as_list(config.value))]
    dated = [name for name in free if is_time(columns[name])]
    dated = dated or [name for name in free if name.lower() in TIME_WORDS and are_months(columns[name])]
    if dated:
        chosen = _one_time(dated)
        _check_no_other_time(chosen, columns, free)
        return _with_clock(chosen, columns, free, findings)
    parts = _parts(columns, free)
    if parts:
        message = f"the time is put together from the columns {', '.join(parts)}"
        findings.append(Finding("columns", message, f"read.time=[{','.join(parts)}]"))
        return parts
    named = [name for name in free if name.lower() in TIME_WORDS] or [name for name in free if _words(name) & DATE_WORDS]
    whole = [name for name in named if _may_be_whole_times(columns[name])]
    if len(whole) > 1:
        whole = _named(whole, DIALECT_TIME) or whole
    if len(whole) > 1:
        raise DataError(f"the time may be in {listed(whole)}: set read.time=, or read.time=[...] to join columns")
    return whole or _named(free, (*DIALECT_TIME, *DATE_WORDS))[:1] or _named_as_time(columns, free, config)


def maybe_time(columns: Iterable[str]) -> str | None:
    """The first column with a word for time in its name, as in fiscal_year."""
    return next((name for name in columns if name.lower() in TIME_WORDS or _words(name) & (TIME_WORDS - {"t", "step"})), None)


def _named_as_time(columns: Columns, free: list[str], config: ReadConfig) -> list[str]:
    """A column whose name says time although its cells are not understood: reading it gives the error that says so."""
    texts = [name for name in free if isinstance(columns[name], pa.Array) and not is_number(columns[name])]
    named = [name for name in texts if name.lower() in TIME_WORDS or name.lower().endswith(("date", "time", "datum", "stamp"))]
    if not named and config.date_format:
        raise DataError("read.date_format is set, but no time column was found: set read.time=")
    return (_named(named, DIALECT_TIME) or named)[:1]


def _one_time(dated: list[str]) -> str:
    """The time column among those with dates: by dialect, then by a word for time in its name."""
    for choice in (dated, _named(dated, DIALECT_TIME), [name for name in dated if _words(name) & TIME_WORDS]):
        if len(choice) == 1:
            return choice[0]
    raise DataError(f"several columns hold dates: {listed(dated)}; set read.time=")


def _check_no_other_time(chosen: str, columns: Columns, free: list[str]) -> None:
    """Refuse dates under a name that says no time beside whole numbers under one that does: 20240131 in a column `date`."""
    if _words(chosen) & TIME_WORDS:
        return
    others = [name for name in _named(free, (*DIALECT_TIME, *sorted(DATE_WORDS), "time")) if name != chosen]
    whole = [name for name in others if _is_whole(columns[name])]
    if whole:
        raise DataError(f"the time may be in {listed([*whole, chosen])}: set read.time=")


def _with_clock(name: str, columns: Columns, free: list[str], findings: list[Finding]) -> list[str]:
    """Join a column of times of day, or of hours that count on, to a column of dates without one."""
    column = columns[name]
    hours = [other for other in free if forms.part_named(other) == "hour"]
    if isinstance(column, pa.Array):
        if times.has_clock(column):
            return [name]
        clocks = [other for other in free if isinstance(other_column := columns[other], pa.Array) and _is_clock(other_column)]
        clocks = [other for other in clocks if other != name]  # 13.01.23 could be a time of day as well
    elif not hours or column.isna().any() or (calendar.wall(pd.DatetimeIndex(column)) % calendar.DAY).any():
        return [name]
    else:
        clocks = []
    clocks = clocks or [other for other in hours if _count_hours(columns[other])]
    if not clocks:
        return [name]
    if len(clocks) > 1:
        raise DataError(f"the time of day may be in {listed(clocks)}: set read.time=[{name},...] or read.time={name}")
    message = f"the time is put together from the columns {name} and {clocks[0]}"
    findings.append(Finding("columns", message, f"read.time={name} (dates only)"))
    return [name, clocks[0]]


def _is_clock(column: pa.Array) -> bool:
    return times.looks_like_clock(column)


def _count_hours(column: Column) -> bool:
    """Whether whole numbers from 0 to 24 go up by the same step from row to row, most of the time, and begin again."""
    if not _may_be_whole_times(column):
        return False
    given = column.filter(pc.not_equal(column, "")) if isinstance(column, pa.Array) else column.dropna()
    hours = np.asarray(pc.cast(given, pa.float64()) if isinstance(given, pa.Array) else given, dtype=np.float64)
    steps = np.diff(hours) % 24
    usual = np.unique(steps, return_counts=True)
    return bool(
        hours.max() <= 24
        and (np.diff(hours) < 0).any()
        and usual[0][usual[1].argmax()] > 0
        and usual[1].max() > SHARE * len(steps)
    )


def _parts(columns: Columns, free: list[str]) -> list[str]:
    """Columns year and quarter, year and week, or year, month[, day[, hour[, minute]]] in this order; or none."""
    named: dict[str, list[str]] = {}
    for name in free:
        named.setdefault(forms.part_named(name), []).append(name)
    single = {part: names[0] for part, names in named.items() if part and len(names) == 1}
    second = next((part for part in PARTS_OF_YEAR if part in single), "")
    if "year" not in single or not second or not _may_be_whole_times(columns[single["year"]]):
        return []
    if not (_may_be_whole_times(columns[single[second]]) or _is_part_of_year(columns[single[second]], second)):
        return []
    finer = [single.get(part) for part in ("day", "hour", "minute")] if second == "month" else []
    whole = itertools.takewhile(lambda name: name is not None and _may_be_whole_times(columns[name]), finer)
    return [single["year"], single[second], *filter(None, whole)]


def _is_part_of_year(column: Column, part: str) -> bool:
    """Whether a text column of this name is read beside a year: months by name, quarters and weeks such as Q1 and W01."""
    return part == "month" or forms.is_date(f"2024 {several.parts_of_year(column)}")


# ---- id ----------------------------------------------------------------------------------------------------------------


def choose_id(
    columns: Columns, used: list[str], stamps: pd.Series | None, config: ReadConfig, findings: list[Finding]
) -> list[str]:
    """The columns that name the series, none when the table is one series (or one series per column)."""
    if config.id is not None:
        return [find(columns, name, "read.id") for name in as_list(config.id)]
    dialect = _named([name for name in columns if name not in used], DIALECT_ID)
    if dialect or config.count_per:
        return dialect[:1]
    values = [str(name).lower() for name in as_list(config.value)]
    free = [name for name in columns if name not in used and name.lower() not in values]
    texts = [name for name in free if not is_number(columns[name]) and not is_time(columns[name])]
    texts = [name for name in texts if _repeats(columns[name])]
    if stamps is not None and len(stamps):
        _refuse_parts_of_years(columns, texts, used, stamps)
    strong = [name for name in _named(free, STRONG_ID) if _repeats(columns[name])]
    if len(strong) == 1:
        return _reported_id(strong[0], findings)
    if stamps is not None and not stamps.duplicated().any():
        texts = [name for name in texts if _words(name) & ID_WORDS and _in_blocks(columns[name], stamps)]
    if len(texts) > 1 and stamps is not None:
        texts = _settling(columns, texts, stamps) or texts
    if len(texts) > 1:
        raise DataError(
            f"the series may be named by {listed(texts)}: set read.id= to one of them or to several ([A,B]), "
            "or read.count_per=D if each row is an event"
        )
    return _reported_id(texts[0], findings) if texts else []


def choose_names(columns: Columns, free: list[str], findings: list[Finding]) -> list[str]:
    """The column among `free` that names each row by another text, or else by another whole number; none for a single row."""
    num = len(next(iter(columns.values())))
    different = [name for name in free if len(np.unique(_codes(columns[name]))) == num]
    texts = [name for name in different if not is_number(columns[name])]
    chosen = (texts or [name for name in different if num > 1 and _is_whole(columns[name])])[:1]
    if not chosen and num > 1:
        raise DataError(
            f"the header holds times, but no column names the {num} rows: "
            + (f"set read.id= to those that do, such as read.id=[{','.join(free[:2])}]" if free else "add one that does")
        )
    for name in chosen:
        _reported_id(name, findings)
    _report_ignored([name for name in free if name not in chosen], chosen, findings)
    return chosen


def _refuse_parts_of_years(columns: Columns, names: list[str], used: list[str], stamps: pd.Series) -> None:
    """`DataError` where one of the columns holds quarters, months and the like, and the time is made of years alone."""
    cells = {name: cell for name in names if (cell := several.parts_of_year(columns[name]))}
    if not cells or not several.are_years(stamps):
        return
    name, cell = next(iter(cells.items()))
    way = f"set read.time=[{','.join([*used, name])}]" if len(used) == 1 and forms.is_date(f"2024 {cell}") else ""
    way = way or f"write {cell} with its first day, as in 2024-07-01"
    raise DataError(
        f"the column {name} holds parts of the year, such as {cell}: {way}, or set read.id={name} if it names series"
    )


def check_one_series(columns: Columns, used: list[str], values: list[str], stamps: pd.Series) -> None:
    """`DataError` where a table in which no column names the series has one that may name several.

    That is a text beside one column of values, or a text or whole numbers under a name such as store.
    """
    if stamps.duplicated().any():
        return  # refused as repeated times
    for name in columns:
        named = bool(_words(name) & ID_WORDS)
        if name in used or values == [name] or (len(values) > 1 and not named) or is_time(columns[name]):
            continue
        if is_number(columns[name]) and not (named and _is_whole(columns[name])):
            continue
        if reason := several.why_several(columns[name], stamps):
            raise DataError(
                f"the column {name} may name several series: {reason}; set read.id={name} if it does, or leave the column out"
            )


def _reported_id(name: str, findings: list[Finding]) -> list[str]:
    findings.append(Finding("columns", f"the series are named by the column {name}", "read.id=<another column>"))
    return [name]


def _repeats(column: Column) -> bool:
    """More than one distinct value, each met twice or more on average."""
    distinct = column.nunique() if isinstance(column, pd.Series) else len(pc.unique(column))
    return 1 < distinct <= len(column) // 2


def _in_blocks(column: Column, stamps: pd.Series) -> bool:
    """Whether equal values stand together, as in series written one after the other, in the table or in time."""
    codes = _codes(column)
    orders = (codes, codes[np.argsort(stamps.to_numpy(), kind="stable")])
    return any(int((np.diff(found) != 0).sum()) == len(np.unique(codes)) - 1 for found in orders)


def _codes(column: Column) -> np.ndarray:
    return pd.factorize(column)[0] if isinstance(column, pd.Series) else pc.dictionary_encode(column).indices.to_numpy()


def _settling(columns: Columns, texts: list[str], stamps: pd.Series) -> list[str]:
    """Those columns which together with the time make every row unique."""
    if not stamps.duplicated().any():
        return texts
    unique = []
    for name in texts:
        if not pd.DataFrame({"id": _codes(columns[name]), "ds": stamps}).duplicated().any():
            unique.append(name)
    return unique


# ---- values ------------------------------------------------------------------------------------------------------------


def choose_values(columns: Columns, used: list[str], ids: list[str], config: ReadConfig, findings: list[Finding]) -> list[str]:
    """The value column; several of them when the table is wide (one series per column)."""
    if config.value is not None:
        chosen = [find(columns, name, "read.value") for name in as_list(config.value)]
        if len(chosen) > 1 and ids:
            raise DataError(
                f"read.value names {len(chosen)} columns, but the series are named by {listed(ids)}: choose one of them"
            )
        return chosen
    free = [name for name in columns if name not in (*used, *ids)]
    found = [name for name in free if is_number(columns[name])]
    dialect = _named(free, DIALECT_VALUE[0])
    if len(dialect) == 1:
        found = dialect
    found = _without_row_numbers(columns, found, findings)
    found = _without_calendar(found, used, findings)
    if len(found) > 1:
        common = _named(found, DIALECT_VALUE[1])
        found = common if len(common) == 1 else found
    if not found:
        texts = [name for name in free if isinstance(columns[name], pa.Array)]
        mends = [f"{name} holds {mend}" for name in texts if (mend := numbers.mends(columns[name]))]
        ways = "; ".join(mends) or "set read.value=, or count the rows of an event log with read.count_per=D"
        raise DataError(f"no column of numbers is left to forecast among {listed(columns)}: {ways}")
    if used and across.kind_of(found):
        return found
    if len(found) > 1 and ids:
        raise DataError(f"the values may be in {listed(found)}: set read.value= to one of them")
    _report_ignored([name for name in free if name not in found], found, findings)
    return found


def _without_row_numbers(columns: Columns, names: list[str], findings: list[Finding]) -> list[str]:
    """Leave out a column that only numbers the rows, such as order_id, and one of whole numbers without a name: an index."""
    if len(names) == 1 and re.search(IDENTIFIER, names[0]) and _is_whole(columns[names[0]]) and _differ(columns[names[0]]):
        raise DataError(
            f"the only numbers are those of {names[0]}, which names each row: count the rows with read.count_per=D (or "
            f"W-MON, MS), or set read.value={names[0]} if these are to be forecast"
        )
    numbering = [name for name in names if name.lower() in ROW_NUMBERS or re.search(IDENTIFIER, name)]
    maybe = [name for name in numbering if _is_whole(columns[name])] if len(names) > 1 else []
    left_out = [name for name in maybe if name == UNNAMED or _are_row_numbers(columns[name])]
    for name in left_out:
        message = f"the column {name} only numbers the rows and was left out"
        findings.append(Finding("columns", message, f"read.value={name}"))
    return [name for name in names if name not in left_out]


def _differ(column: Column) -> bool:
    """Whether no cell is there twice."""
    return len(column) > 1 and len(column.unique()) == len(column)


def _are_row_numbers(column: Column) -> bool:
    """Whether whole numbers are all different and leave out fewer than one in two, in whatever order."""
    values = np.asarray(column if isinstance(column, pd.Series) else pc.cast(column, pa.int64()), dtype=np.int64)
    return _differ(column) and int(values.max()) - int(values.min()) < 2 * len(values)


def _without_calendar(names: list[str], used: list[str], findings: list[Finding]) -> list[str]:
    """Leave out columns such as year and weekday, which only repeat what the time column says."""
    repeats = [name for name in names if name.lower() in CALENDAR_WORDS or forms.part_named(name)] if used else []
    if not repeats or len(repeats) == len(names):
        return names
    findings.append(
        Finding("columns", f"columns that only repeat the time were left out: {listed(repeats, 5)}", f"read.value={repeats[0]}")
    )
    return [name for name in names if name not in repeats]


def _report_ignored(ignored: list[str], found: list[str], findings: list[Finding]) -> None:
    if len(found) > 1:
        message = f"{len(found)} columns of numbers are {len(found)} series: {listed(found, 5)}"
        findings.append(Finding("columns", message, f"read.value={found[0]}", details={"series": found}))
    if ignored:
        findings.append(
            Finding(
                "columns", f"columns not used: {listed(ignored, 5)}", f"read.value={ignored[0]}", details={"columns": ignored}
            )
        )
