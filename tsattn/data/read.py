"""Whatever holds a table -> rows of (unique_id, ds, y), converted strictly, in the order they came.

Every problem found is reported at once in one `DataError`; every decision is a `Finding`. Nothing decided here depends on how
large the values are, so that a back-test may cut the rows and build its frame from the rest.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from tsattn.config import ReadConfig
from tsattn.data import calendar, numbers, times
from tsattn.data.columns import Column, Columns, choose_id, choose_time, choose_values, is_time
from tsattn.data.findings import DataError, Finding
from tsattn.data.load import Loaded, load
from tsattn.data.text import looks_numeric

pc: Any = pyarrow.compute


@dataclass(frozen=True)
class Names:
    """The caller's own column names; None where the table had none."""

    id: str | None
    time: str | None
    value: str | None
    id_dtype: str | None = None  # numpy dtype of ids that were numbers in a frame; files and names have text


class Rows(NamedTuple):
    """Rows as read: unique_id (str), ds (datetime64[ns], naive or aware, or int64), y (float64, NaN = missing)."""

    df: pd.DataFrame
    names: Names
    findings: tuple[Finding, ...]
    freq: str | None = None  # the period of counted or re-binned rows; None: to be seen from the stamps


def read(data: Any, config: ReadConfig | None = None, known: Names | None = None) -> Rows:
    """The rows of a file (path or glob of CSV, TSV, Parquet), a pandas, polars or pyarrow frame, a Series, an array or a list.

    With `read.count_per` every row is an event: y is 1.0 and `to_rows` counts them. `known` are the names of an earlier table:
    its id and value columns are taken again where they are there. `DataError` names every cell at fault.
    """
    config = config or ReadConfig()
    loaded = load(data, config)
    config = _as_before(config, known, loaded.columns)
    if loaded.num_rows == 0:
        raise DataError("the table has no rows")
    findings, problems = loaded.findings, []
    _check_header(loaded)
    time_names = choose_time(loaded.columns, config, findings)
    parsed = _times(loaded, time_names, config, problems)
    stamps = None if problems or parsed is None else parsed.stamps
    id_name: str | None = None
    values: dict[str, np.ndarray] = {}
    try:
        id_name = choose_id(loaded.columns, time_names, stamps, config, findings)
    except DataError as error:
        problems.append(str(error))
    ids = _ids(loaded, id_name, problems)
    if config.count_per:
        parsed = _event_times(parsed, config)
        values = {"": np.ones(loaded.num_rows)}
    else:
        try:
            value_names = choose_values(loaded.columns, time_names, id_name, config, findings)
            values = _values(loaded, value_names, config, problems)
        except DataError as error:
            problems.append(str(error))
    if len(values) > 1 and parsed is None and not loaded.nameless:
        problems.append(f"no time column was found among {', '.join(list(loaded.columns)[:20])}: set read.time= or read.value=")
    if config.count_per and not time_names:
        problems.append("read.count_per counts events in time, but no time column was found: set read.time=")
    if problems:
        raise DataError("\n".join(problems))
    return _rows(loaded, parsed, time_names, id_name, ids, values, config)


def _as_before(config: ReadConfig, known: Names | None, columns: Columns) -> ReadConfig:
    """The settings with the id and value columns of an earlier table, where these are here and no other is asked for."""
    if known is None:
        return config
    id_name = known.id if config.id is None and known.id in columns else config.id
    value = known.value if config.value is None and known.value in columns and not config.count_per else config.value
    return replace(config, id=id_name, value=value)


def _event_times(parsed: times.Times | None, config: ReadConfig) -> times.Times | None:
    """The times of an event log; whole years become dates."""
    if config.value is not None:
        raise DataError("read.count_per counts rows and needs no read.value: set one of them")
    return None if parsed is None else times.years_as_dates(parsed)


def _rows(
    loaded: Loaded,
    parsed: times.Times | None,
    time_names: list[str],
    id_name: str | None,
    ids: np.ndarray | None,
    values: dict[str, np.ndarray],
    config: ReadConfig,
) -> Rows:
    """Put the converted columns together, a wide table one series after the other."""
    findings, num, wide = loaded.findings, loaded.num_rows, len(values) > 1
    if parsed is not None:
        findings += parsed.findings
    if ids is None and not wide:
        ids = _ids_of_files(loaded, parsed)
    one_id = next(iter(values)) if not loaded.nameless and next(iter(values)) and not config.count_per else "series"
    ids = np.array([one_id] * num, dtype=object) if ids is None else ids
    stamps = _integer_time(ids, findings) if parsed is None else _placed(parsed, ids, config)
    if wide:
        if stamps.duplicated().any():
            repeated = stamps[stamps.duplicated()].iloc[0]
            raise DataError(
                f"the time {repeated} stands in more than one row and {len(values)} columns hold numbers: "
                f"{', '.join(list(values)[:10])}; set read.value= to the column to forecast and read.id= to the one that names "
                "the series, or read.count_per=D for events"
            )
        ids = np.repeat(np.array(list(values), dtype=object), num)
        stamps = pd.concat([stamps] * len(values), ignore_index=True)
    y = np.concatenate(list(values.values()))
    df = pd.DataFrame({"unique_id": pd.Series(ids, dtype=object), "ds": stamps, "y": y})
    value_name = None if wide or loaded.nameless or config.count_per else next(iter(values))
    time_name = " ".join(time_names) if parsed is not None else None
    return Rows(df, Names(id_name, time_name, value_name, _number_type(loaded, id_name)), tuple(findings))


def _integer_time(ids: np.ndarray, findings: list[Finding]) -> pd.Series:
    message = "there is no time column: the rows are taken in their order, as times 1, 2, 3 ..."
    findings.append(Finding("time", message, "read.time=<column>"))
    return pd.Series(pd.Series(ids).groupby(ids, sort=False).cumcount().to_numpy() + 1, dtype="int64")


def _placed(parsed: times.Times, ids: np.ndarray, config: ReadConfig) -> pd.Series:
    if config.tz is None:
        return parsed.stamps
    if parsed.stamps.dtype == "int64":
        raise DataError(f"read.tz={config.tz} needs dates, but the time is made of whole numbers")
    return times.to_zone(parsed.stamps, config.tz, None if config.count_per else ids, parsed.date_only)


def _ids_of_files(loaded: Loaded, parsed: times.Times | None) -> np.ndarray | None:
    """Name series by their files when several files hold the same times and no column names the series."""
    if len(loaded.files) < 2 or (parsed is not None and not parsed.stamps.duplicated().any()):
        return None
    loaded.findings.append(
        Finding("columns", f"{len(loaded.files)} files are {len(loaded.files)} series, named by their files", "read.id=")
    )
    stems = [name.split(".")[0] for name, _ in loaded.files]
    return np.repeat(np.array(stems, dtype=object), [num for _, num in loaded.files])


# ---- conversion --------------------------------------------------------------------------------------------------------


def _check_header(loaded: Loaded) -> None:
    """A first row that looks like data is no header."""
    for table in loaded.tables:
        names = list(table.columns)
        dates = [name for name in names if is_time(pa.array([name])) and is_time(table.columns[name])]
        if table.header_line and (dates or all(looks_numeric(name) for name in names)):
            first = ", ".join(names[:5])
            raise DataError(f"{table.path}: the first row ({first}) looks like data: put a header with column names above it")


def _offenders(loaded: Loaded, name: str, rows: np.ndarray, reason: str, column: Column | None = None) -> str:
    """One problem in words: the first five cells, how many there are, and how to mend them."""
    column = loaded.columns[name] if column is None else column
    cells = []
    for row in rows[:5]:
        cell = column[int(row)]
        shown = repr(cell.as_py()) if isinstance(cell, pa.Scalar) else str(cell)
        cells.append(f"{loaded.place(int(row))}: {shown if len(shown) < 60 else shown[:56] + ' ...'}")
    count = f" ({len(rows)} in all)" if len(rows) > 5 else ""
    return f"column {name!r}: {'; '.join(cells)}{count}: {reason}"


def _times(loaded: Loaded, names: list[str], config: ReadConfig, problems: list[str]) -> times.Times | None:
    """The stamps of the chosen time columns; None when there are none or when they are at fault."""
    if not names:
        return None
    label, column = " ".join(names), _joined(loaded.columns, names)
    if isinstance(column, pa.Array):
        parsed = times.parse_text(column, config.date_format, label)
        blank = np.flatnonzero(pc.equal(column, "").to_numpy(zero_copy_only=False))
        if len(blank):
            problems.append(_offenders(loaded, label, blank, "a row has no time", column))
        elif len(parsed.bad):
            problems.append(_offenders(loaded, label, parsed.bad, parsed.reason, column))
        return parsed
    missing = np.flatnonzero(column.isna())
    if len(missing):
        problems.append(_offenders(loaded, label, missing, "a row has no time", column))
        return None
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return times.Times(column, missing, "", [], bool((calendar.wall(pd.DatetimeIndex(column)) % calendar.DAY == 0).all()))
    if pd.api.types.is_bool_dtype(column.dtype):
        problems.append(f"column {label!r} holds true and false, not times: set read.time=")
        return None
    values = column.to_numpy(dtype=np.float64) if pd.api.types.is_float_dtype(column.dtype) else column.to_numpy(dtype=np.int64)
    broken = np.flatnonzero(values % 1 != 0)
    if len(broken):
        problems.append(_offenders(loaded, label, broken, "a time given as a number must be whole", column))
        return None
    if config.date_format:
        return times.parse_text(pa.array([str(int(value)) for value in values]), config.date_format, label)
    return times.parse_numbers(values.astype(np.int64), label)


def _joined(columns: Columns, names: list[str]) -> Column:
    """One column, or the texts of several joined by a blank."""
    if len(names) == 1:
        return columns[names[0]]
    texts = []
    for name in names:
        column = columns[name]
        if isinstance(column, pa.Array):
            texts.append(column)
        elif pd.api.types.is_datetime64_any_dtype(column.dtype):
            texts.append(pa.array(column.dt.strftime("%Y-%m-%d")))
        else:
            texts.append(
                pa.array([str(int(value)) if value == value else "" for value in column.to_numpy(dtype=float, na_value=np.nan)])
            )
    return pc.binary_join_element_wise(*texts, " ")


def _ids(loaded: Loaded, name: str | None, problems: list[str]) -> np.ndarray | None:
    """The ids as text, object array; blanks around them were removed and near doubles are reported."""
    if name is None:
        return None
    column = loaded.columns[name]
    if isinstance(column, pd.Series):
        column = _text_of(column)
    if any(name in table.trimmed for table in loaded.tables):
        loaded.findings.append(Finding("columns", f"blanks around the ids in {name} were removed", "", "repair"))
    empty = np.flatnonzero(pc.equal(column, "").to_numpy(zero_copy_only=False))
    if len(empty):
        problems.append(_offenders(loaded, name, empty, "a row has no id", column))
        return None
    coded = pc.dictionary_encode(column)
    texts = np.array(coded.dictionary.to_pylist(), dtype=object)
    _report_near_doubles(texts.tolist(), name, loaded.findings)
    return texts[coded.indices.to_numpy()]


def _text_of(column: pd.Series) -> pa.Array:
    missing = column.isna()
    if pd.api.types.is_float_dtype(column.dtype) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return pa.array(["" if gone else str(value) for value, gone in zip(column, missing, strict=True)], pa.string())


def _number_type(loaded: Loaded, id_name: str | None) -> str | None:
    """The numpy dtype of an id column of numbers in a frame."""
    column = None if id_name is None or loaded.files else loaded.columns[id_name]
    if not isinstance(column, pd.Series) or not pd.api.types.is_numeric_dtype(column.dtype):
        return None
    return None if pd.api.types.is_bool_dtype(column.dtype) else str(getattr(column.dtype, "numpy_dtype", column.dtype))


def _report_near_doubles(texts: list[str], name: str, findings: list[Finding]) -> None:
    plain: dict[str, str] = {}
    pairs = []
    for text in texts:
        key = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
        if key in plain:
            pairs.append((plain[key], text))
        plain[key] = text
    if pairs:
        example = f"{pairs[0][0]!r} and {pairs[0][1]!r}"
        message = f"{len(pairs)} ids in {name} differ only in case, blanks or the coding of accents, e.g. {example}"
        findings.append(Finding("columns", message, "", "warning", {"pairs": [list(pair) for pair in pairs[:5]]}))


def _values(loaded: Loaded, names: list[str], config: ReadConfig, problems: list[str]) -> dict[str, np.ndarray]:
    """Each value column as float64, NaN for missing; cells that are no numbers become problems."""
    texts = {name: column for name in names if isinstance(column := loaded.columns[name], pa.Array)}
    sep = loaded.tables[0].sep if loaded.tables else ","
    where = loaded.files[0][0] if loaded.files else "the table"
    marks = numbers.detect_marks(texts, sep, config, where)
    if marks.thousands and config.thousands is None:
        message = f"numbers are written with {marks.thousands!r} between thousands"
        loaded.findings.append(Finding("file", message, f"read.decimal={marks.thousands}", "repair"))
    if marks.decimal == "," and config.decimal is None:
        loaded.findings.append(Finding("file", "numbers are written with a decimal comma", "read.decimal=."))
    values = {}
    for name in names:
        column = loaded.columns[name]
        if isinstance(column, pa.Array):
            values[name], bad, hint = numbers.to_float(column, marks)
        else:
            values[name], bad, hint = _typed_values(column)
        if len(bad):
            problems.append(_offenders(loaded, name, bad, hint))
    return values


def _typed_values(column: pd.Series) -> tuple[np.ndarray, np.ndarray, str]:
    if pd.api.types.is_bool_dtype(column.dtype):
        return np.zeros(len(column)), np.arange(len(column)), "true and false are no values: convert them to 1 and 0 yourself"
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return np.zeros(len(column)), np.arange(len(column)), "times are no values: set read.value="
    if pd.api.types.is_complex_dtype(column.dtype):
        return np.zeros(len(column)), np.arange(len(column)), "complex numbers cannot be forecast"
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values, np.flatnonzero(np.isinf(values)), "an infinite value cannot be used: make it NaN if it is unknown"
