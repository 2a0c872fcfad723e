"""The columns that are declared by name beside id, time and value: covariates, and the weight of each series.

In the rows a covariate is called `x:<name>`, so that none clashes with unique_id, ds and y; the weight is `weight`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from tsattn.config import CovariatesConfig, ReadConfig
from tsattn.data import calendar
from tsattn.data.cells import numbers
from tsattn.data.columns import Column, Columns, find, matching
from tsattn.data.covariates import number_text
from tsattn.data.findings import DataError, Finding

pc: Any = pyarrow.compute
PREFIX = "x:"
WEIGHT = "weight"


class Declared(NamedTuple):
    """Declared names and the columns of the table that they mean."""

    covariates: dict[str, str]  # name -> column, in the order past, known, static
    static: tuple[str, ...] = ()  # names
    weight: str | None = None  # column
    categories: frozenset[str] = frozenset()  # names of columns that are text whatever they hold
    settled: bool = False  # a fit has settled what is text: all others must be numbers

    def taken(self, named: Collection[object]) -> set[str]:
        """The columns that detection must leave alone: all declared ones except those `named` as id, time or value."""
        return {*self.covariates.values(), *([self.weight] if self.weight else [])} - set(named)

    def with_texts(self, texts: Collection[str] | None, ids: list[str]) -> Declared:
        """The same with its categories: `texts` of an earlier fit, and always the columns that name the series."""
        categories = frozenset(texts or ()) | {name for name, column in self.covariates.items() if column in ids}
        return self._replace(categories=categories, settled=texts is not None)

    def maybe_numbers(self, columns: Columns) -> list[str]:
        """The columns of text that may have to be read as numbers, and so show how numbers are written."""
        texts = {name: column for name, column in self.covariates.items() if name not in self.categories}
        chosen = [
            column
            for column in texts.values()
            if isinstance(cells := columns[column], pa.Array) and (self.settled or numbers.share_of_numbers(cells) == 1)
        ]
        return [*chosen, *([self.weight] if self.weight else [])]


def declared_names(covariates: CovariatesConfig) -> list[str]:
    """The declared columns in their order: past, known, static."""
    return [*covariates.past, *covariates.known, *covariates.static]


def further_columns(df: pd.DataFrame) -> list[str]:
    """The columns of rows behind unique_id, ds and y."""
    return [name for name in df.columns if name.startswith(PREFIX) or name == WEIGHT]


def check_settings(config: ReadConfig, covariates: CovariatesConfig) -> None:
    """Refuse settings that cannot go together with covariates."""
    names = declared_names(covariates)
    setting = "read.count_per" if config.count_per else "read.resample" if config.resample else None
    if names and setting:
        raise DataError(
            f"{setting} makes new rows, which the covariates {', '.join(names)} do not belong to: count or sum first, join the "
            "covariates to that table, and read it without this setting"
        )


def find_declared(columns: Columns, config: ReadConfig, covariates: CovariatesConfig) -> Declared:
    """The declared columns; one `DataError` that lists all expected covariates where some are not there."""
    names = declared_names(covariates)
    found = {name: matching(columns, name) for name in names}
    if None in found.values():
        raise missing_columns("covariates", {name: found[name] is not None for name in names}, columns)
    weight = None if config.weight is None else find(columns, config.weight, "read.weight")
    return Declared({name: str(column) for name, column in found.items()}, tuple(covariates.static), weight)


def missing_columns(what: str, expected: dict[str, bool], columns: Iterable[str]) -> DataError:
    """The error that lists the expected columns (True: it is there) against those of the table."""
    names = list(columns)
    words = []
    for name, there in expected.items():
        close = [] if there else get_close_matches(name, [other for other in names if other not in expected], n=1)
        words.append(name + (f" (did you mean {close[0]}?)" if close else ""))
    absent = [name for name, there in expected.items() if not there]
    listed = ", ".join(names[:50]) + (f" and {len(names) - 50} more" if len(names) > 50 else "")
    return DataError(f"{what}: expected columns {', '.join(words)}; the table has {listed}; missing: {', '.join(absent)}")


def check_roles(declared: Declared, ids: list[str], times: list[str], values: list[str]) -> None:
    """Refuse a column with two roles among id, time, value and covariate; an id may be static too."""
    roles = [name for part in (ids, times, values) for name in dict.fromkeys(part)]
    twice = dict.fromkeys(name for name in roles if roles.count(name) > 1)
    problems = [f"the column {name} can be one of read.id=, read.time= and read.value= only" for name in twice]
    for name, column in declared.covariates.items():
        if column in times or column in values:
            setting, role = ("read.time", "the time") if column in times else ("read.value", "the value to forecast")
            problems.append(f"the column {column} is {role} ({setting}=) and cannot be a covariate as well")
        elif column in ids and name not in declared.static:
            problems.append(f"the column {column} names the series: it can only be declared in covariates.static=")
    if declared.weight in (*ids, *times, *values):
        problems.append(f"read.weight={declared.weight} already is the id, the time or the value")
    if len(values) > 1 and declared.static:
        problems.append(
            f"covariates.static={','.join(declared.static)}: {len(values)} columns are {len(values)} series here, so no column "
            "has a value for each of them: bring the table into long form (id, time, value), or set read.value="
        )
    if len(values) > 1 and declared.weight:
        problems.append(f"read.weight={declared.weight} needs a table with a column for the ids, not a series per column")
    if problems:
        raise DataError("\n".join(problems))


# ---- conversion --------------------------------------------------------------------------------------------------------


def as_text(column: Column) -> np.ndarray:
    """A column as categories: text, None where it is empty; numbers, dates and booleans by their usual names."""
    if isinstance(column, pa.Array):
        return np.array([cell or None for cell in column.to_pylist()], dtype=object)
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return np.array([None if value != value else number_text(value) for value in values], dtype=object)
    is_time = pd.api.types.is_datetime64_any_dtype(column.dtype)
    cells = [None if pd.isna(cell) else calendar.written(cell) if is_time else str(cell) for cell in column]
    return np.array(cells, dtype=object)


# ---- one value per series ----------------------------------------------------------------------------------------------


def per_series(values: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the first value of each row's series that is not missing, rows whose own value is another one)."""
    own, distinct = pd.factorize(pd.Series(values), use_na_sentinel=True)
    given = np.flatnonzero(own >= 0)
    first = np.full(codes.max(initial=-1) + 1, -1)
    first[codes[given][::-1]] = own[given][::-1]
    chosen = first[codes]
    empty = np.nan if values.dtype.kind == "f" else None
    table = np.array([*distinct, empty], dtype=values.dtype)
    return table[chosen], np.flatnonzero((own >= 0) & (own != chosen))


def settle_static(df: pd.DataFrame, names: Iterable[str]) -> list[str]:
    """Give every row of `df` its series' value of the static columns and of the weight; returns what is wrong, in words."""
    problems = []
    columns = {f"{PREFIX}{name}": f"covariates.static={name}: the column {name}" for name in names}
    if WEIGHT in df:
        columns[WEIGHT] = "read.weight: the weight"
    if not columns:
        return []
    codes, ids = pd.factorize(df["unique_id"])
    for column, words in columns.items():
        values = df[column].to_numpy()
        settled, others = per_series(values, codes)
        if len(others):
            row = others[0]
            series = len(np.unique(codes[others]))
            more = f", and varies within {series - 1} more series" if series > 1 else ""
            pair = f"{_shown(settled[row])} and {_shown(values[row])}"
            problems.append(f"{words} must have one value per series, but {ids[codes[row]]} has {pair}{more}")
        df[column] = pd.Series(settled, dtype=values.dtype, index=df.index)
    if WEIGHT in df and not problems:
        weights = df[WEIGHT].to_numpy()
        wrong = np.flatnonzero(~(np.isfinite(weights) & (weights > 0)))
        if len(wrong):
            firsts = dict.fromkeys(f"{ids[codes[row]]} has {_shown(weights[row])}" for row in wrong)
            listed = ", ".join(list(firsts)[:5]) + (f" and {len(firsts) - 5} more" if len(firsts) > 5 else "")
            problems.append(f"read.weight: a weight must be a number above 0, but {listed}")
    return problems


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else "none" if value is None or value != value else f"{value:.15g}"


# ---- on the grid -------------------------------------------------------------------------------------------------------


def report_missing(df: pd.DataFrame, covariates: CovariatesConfig, findings: list[Finding]) -> None:
    """One finding per role for the values that are missing on the grid."""
    if not declared_names(covariates):
        return
    ids = df["unique_id"].to_numpy()
    first = np.r_[True, ids[1:] != ids[:-1]]
    for role in ("past", "known", "static"):
        gone = {name: pd.isna(df[f"{PREFIX}{name}"].to_numpy()) for name in getattr(covariates, role)}
        counts = {name: int((where & first if role == "static" else where).sum()) for name, where in gone.items()}
        counts = {name: count for name, count in counts.items() if count}
        if counts:
            places = f"{first.sum()} series" if role == "static" else f"{len(df)} rows"
            listed = ", ".join(f"{name} {count}" for name, count in list(counts.items())[:10])
            more = f" and {len(counts) - 10} more columns" if len(counts) > 10 else ""
            message = (
                f"{role} columns have no value in some of the {places}: {listed}{more}; a missing number counts as the mean of "
                "its column (as 0 after a transformer of your own), a missing text as no category"
            )
            findings.append(Finding("covariates", message, f"covariates.{role}=", "repair", {"missing_values": counts}))


def as_table(columns: dict[str, np.ndarray]) -> pd.DataFrame:
    """Arrays as a frame of the same types, text as objects."""
    return pd.DataFrame(
        {name: pd.Series(values, dtype=object if values.dtype.kind in "OUS" else None) for name, values in columns.items()}
    )
