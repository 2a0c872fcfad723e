"""Whatever holds a table -> rows of (unique_id, ds, y), converted strictly, in the order they came.

Every problem found is reported at once in one `DataError`; every decision is a `Finding`. Nothing decided here depends on how
large the values are, so that a back-test may cut the rows and build its frame from the rest.
"""

from __future__ import annotations

import datetime as dt
import glob
import os
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from tsattn.config import ReadConfig
from tsattn.data import calendar, numbers, times
from tsattn.data.columns import Column, Columns, choose_id, choose_time, choose_values, is_time
from tsattn.data.findings import DataError, Finding
from tsattn.data.text import TextTable, looks_numeric, read_text

pc: Any = pyarrow.compute
PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class Names:
    """The caller's own column names; None where the table had none."""

    id: str | None
    time: str | None
    value: str | None


class Rows(NamedTuple):
    """Rows as read: unique_id (str), ds (datetime64[ns], naive or aware, or int64), y (float64, NaN = missing)."""

    df: pd.DataFrame
    names: Names
    findings: tuple[Finding, ...]


@dataclass
class Loaded:
    """Columns before conversion, and where they came from."""

    columns: Columns
    tables: list[TextTable] = field(default_factory=list)  # one per text file, in row order
    files: list[tuple[str, int]] = field(default_factory=list)  # (name, number of rows) of each file
    nameless: bool = False  # an array or list: no column names of the caller's
    findings: list[Finding] = field(default_factory=list)

    @property
    def num_rows(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def place(self, row: int) -> str:
        """Where a row stands, in words: file and line, or the row counted from 1."""
        rest = row
        for i, (name, num) in enumerate(self.files):
            if rest < num:
                return f"{name}, line {self.tables[i].line(rest)}" if self.tables else f"{name}, row {rest + 1}"
            rest -= num
        return f"row {row + 1}"


def read(data: Any, config: ReadConfig | None = None) -> Rows:
    """The rows of a file (path or glob of CSV, TSV, Parquet), a pandas, polars or pyarrow frame, a Series, an array or a list.

    With `read.count_per` every row is an event: y is 1.0 and `to_rows` counts them. `DataError` names every cell at fault.
    """
    config = config or ReadConfig()
    loaded = load(data, config)
    if loaded.num_rows == 0:
        raise DataError("the table has no rows")
    findings, problems = loaded.findings, []
    _check_header(loaded)
    time_names = choose_time(loaded.columns, config, findings)
    parsed = _times(loaded, time_names, config, problems)
    stamps = None if problems or parsed is None else parsed.stamps
    id_name = None if problems else choose_id(loaded.columns, time_names, stamps, config, findings)
    ids = _ids(loaded, id_name, problems)
    if config.count_per:
        if parsed is None:
            raise DataError("read.count_per counts events in time, but no time column was found: set read.time=")
        parsed = times.years_as_dates(parsed)
        if config.value is not None:
            raise DataError("read.count_per counts rows and needs no read.value: set one of them")
        values = {"": np.ones(loaded.num_rows)}
    else:
        values = _values(loaded, choose_values(loaded.columns, time_names, id_name, config, findings), config, problems)
    if len(values) > 1 and parsed is None and not loaded.nameless:
        problems.append(f"no time column was found among {', '.join(list(loaded.columns)[:20])}: set read.time= or read.value=")
    if problems:
        raise DataError("\n".join(problems))
    return _rows(loaded, parsed, time_names, id_name, ids, values, config)


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
    return Rows(df, Names(id_name, time_name, value_name), tuple(findings))


def _integer_time(ids: np.ndarray, findings: list[Finding]) -> pd.Series:
    message = "there is no time column: the rows are taken in their order, as times 1, 2, 3 ..."
    findings.append(Finding("time", message, "read.time="))
    return pd.Series(pd.Series(ids).groupby(ids, sort=False).cumcount().to_numpy() + 1, dtype="int64")


def _placed(parsed: times.Times, ids: np.ndarray, config: ReadConfig) -> pd.Series:
    if config.tz is None:
        return parsed.stamps
    if parsed.stamps.dtype == "int64":
        raise DataError(f"read.tz={config.tz} needs dates, but the time is made of whole numbers")
    return times.to_zone(parsed.stamps, config.tz, ids, parsed.date_only)


def _ids_of_files(loaded: Loaded, parsed: times.Times | None) -> np.ndarray | None:
    """Name series by their files when several files hold the same times and no column names the series."""
    if len(loaded.files) < 2 or (parsed is not None and not parsed.stamps.duplicated().any()):
        return None
    loaded.findings.append(
        Finding("columns", f"{len(loaded.files)} files are {len(loaded.files)} series, named by their files", "read.id=")
    )
    stems = [name.split(".")[0] for name, _ in loaded.files]
    return np.repeat(np.array(stems, dtype=object), [num for _, num in loaded.files])


# ---- loading -----------------------------------------------------------------------------------------------------------


def load(data: Any, config: ReadConfig) -> Loaded:
    """The columns of any accepted input, the caller's object untouched."""
    if isinstance(data, str | os.PathLike):
        return _load_path(os.fspath(data), config)
    if isinstance(data, pd.Series):
        return _load_series(data)
    if isinstance(data, dict):
        data = pd.DataFrame(data)
    if isinstance(data, pd.DataFrame):
        return Loaded(_frame_columns(data))
    if hasattr(data, "collect") and not isinstance(data, pa.Table):
        data = data.collect()
    if hasattr(data, "to_arrow"):
        data = data.to_arrow()
    if isinstance(data, pa.Table | pa.RecordBatch):
        return Loaded(_arrow_columns(data if isinstance(data, pa.Table) else pa.Table.from_batches([data])))
    if isinstance(data, pa.Array | pa.ChunkedArray):
        data = data.to_pandas()
    if isinstance(data, list | tuple | np.ndarray | pd.Index | pd.Series) or hasattr(data, "__array__"):
        return _load_array(data)
    raise DataError(
        f"cannot read a {type(data).__name__}: give a path, a pandas, polars or pyarrow frame, a Series, an array or a list"
    )


def _load_path(path: str, config: ReadConfig) -> Loaded:
    expanded = os.path.expanduser(path)
    paths = [expanded] if os.path.exists(expanded) else sorted(glob.glob(expanded, recursive=True))
    if not paths:
        raise DataError(f"{path}: there is no such file (paths are relative to {os.getcwd()})")
    if os.path.isdir(paths[0]):
        raise DataError(f"{path} is a folder: name its files, e.g. {os.path.join(path, '*.csv')}")
    parts = [_load_file(Path(name), config) for name in paths]
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    for part in parts[1:]:
        if set(part.columns) != set(first.columns) or bool(part.tables) != bool(first.tables):
            differing = sorted(set(part.columns) ^ set(first.columns))
            raise DataError(f"{part.files[0][0]}: its columns differ from {first.files[0][0]}: {', '.join(differing[:10])}")
    columns = {name: _concatenated([part.columns[name] for part in parts]) for name in first.columns}
    every = [finding for part in parts for finding in part.findings]
    tables, files = [table for part in parts for table in part.tables], [name for part in parts for name in part.files]
    note = Finding("file", f"{len(parts)} files were read: {', '.join(name for name, _ in files[:5])}", "")
    return Loaded(columns, tables, files, findings=[note, *every])


def _concatenated(columns: list[Column]) -> Column:
    if all(isinstance(column, pa.Array) for column in columns):
        return pa.concat_arrays(columns)
    return pd.concat(
        [pd.Series(column.to_pandas() if isinstance(column, pa.Array) else column) for column in columns], ignore_index=True
    )


def _load_file(path: Path, config: ReadConfig) -> Loaded:
    if path.suffix.lower() in PARQUET:
        try:
            table = pyarrow.parquet.read_table(path)
        except pa.ArrowInvalid as error:
            raise DataError(f"{path.name}: this is not a Parquet file, or a damaged one ({error})") from error
        return Loaded(_arrow_columns(table), files=[(path.name, table.num_rows)])
    table = read_text(path, config)
    loaded = Loaded(dict(table.columns), [table], findings=list(table.findings), nameless=not table.header_line)
    loaded.files = [(path.name, loaded.num_rows)]
    return loaded


def _arrow_columns(table: pa.Table) -> Columns:
    columns: Columns = {}
    for name in table.column_names:
        column = table.column(name)
        if name.startswith("__index_level_") and pa.types.is_integer(column.type):
            continue
        if pa.types.is_dictionary(column.type):
            column = pc.cast(column, column.type.value_type)
        columns[str(name)] = _typed(pd.Series(column.combine_chunks().to_pandas(types_mapper=pd.ArrowDtype)), str(name))
    return columns


def _frame_columns(df: pd.DataFrame) -> Columns:
    if isinstance(df.columns, pd.MultiIndex):
        raise DataError("the columns of the frame have several levels: give it a single row of names")
    index = df.index
    if isinstance(index, pd.MultiIndex):
        df = df.reset_index()
    elif isinstance(index, pd.DatetimeIndex | pd.PeriodIndex) or (index.name is not None and index.name not in df.columns):
        name = index.name if index.name is not None else "ds"
        if name in df.columns:
            raise DataError(f"the index and a column are both called {name!r}: rename one of them")
        df = df.rename_axis(index=name).reset_index()
    names = [str(name).strip() for name in df.columns]
    doubles = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if doubles:
        raise DataError(f"the frame has columns with the same name: {', '.join(doubles)}")
    return {name: _typed(df.iloc[:, i], name) for i, name in enumerate(names)}


def _load_series(series: pd.Series) -> Loaded:
    if isinstance(series.index, pd.DatetimeIndex | pd.PeriodIndex | pd.MultiIndex):
        return Loaded(_frame_columns(series.to_frame("y" if series.name is None else str(series.name))))
    name = "y" if series.name is None else str(series.name)
    return Loaded({name: _typed(series.reset_index(drop=True), name)}, nameless=series.name is None)


def _load_array(data: Any) -> Loaded:
    if isinstance(data, list | tuple) and any(isinstance(value, str | bytes | dict) for value in data):
        raise DataError("a list must hold numbers; put a table into a frame or a file")
    try:
        values = np.asarray([np.nan if value is None else value for value in data] if isinstance(data, list | tuple) else data)
    except ValueError as error:
        raise DataError("a list must hold numbers, or rows of the same length") from error
    if values.dtype == object:
        values = np.asarray(pd.array(values.tolist()).to_numpy(dtype=float, na_value=np.nan)) if values.ndim == 1 else values
    if values.dtype.kind not in "iuf" or values.ndim not in (1, 2) or values.size == 0:
        kind = f"an array of {values.dtype} with {values.ndim} dimensions"
        raise DataError(
            f"{kind} is no series: give numbers [T], or [T, V] for V series" if values.size else "the array is empty"
        )
    if values.ndim == 1 or values.shape[1] == 1:
        return Loaded({"y": pd.Series(values.reshape(-1).copy())}, nameless=True)
    return Loaded({f"series_{i + 1}": pd.Series(values[:, i].copy()) for i in range(values.shape[1])}, nameless=True)


def _typed(series: pd.Series, name: str) -> Column:
    """One column of a frame as text, numbers, booleans or stamps, whichever it holds; a missing text is ""."""
    series = series.reset_index(drop=True)
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    if isinstance(series.dtype, pd.PeriodDtype):
        return _stamps_of(series.dt.to_timestamp())
    if isinstance(series.dtype, pd.ArrowDtype):
        kind = series.dtype.pyarrow_dtype
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return _stamps_of(pd.Series(pd.DatetimeIndex(pa.array(series).cast(_time_type(kind)).to_pandas())))
        if pa.types.is_decimal(kind):
            return series.astype("float64[pyarrow]")
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        return _stamps_of(series)
    if pd.api.types.is_numeric_dtype(series.dtype) or pd.api.types.is_bool_dtype(series.dtype):
        return series
    return _object_column(series)


def _time_type(kind: pa.DataType) -> pa.DataType:
    return pa.timestamp("ms") if pa.types.is_date(kind) else kind


def _stamps_of(series: pd.Series) -> pd.Series:
    try:
        return series.dt.as_unit("ns")
    except pd.errors.OutOfBoundsDatetime as error:
        raise DataError(f"a time lies outside the years {times.FIRST_YEAR} to {times.LAST_YEAR}: {error}") from error


def _object_column(series: pd.Series) -> Column:
    kind = pd.api.types.infer_dtype(series, skipna=True)
    if kind in ("integer", "floating", "mixed-integer-float", "decimal"):
        whole = kind == "integer" and not series.isna().any()
        return pd.Series(series.to_numpy(dtype="int64" if whole else "float64", na_value=None if whole else np.nan))
    if kind in ("datetime", "date", "datetime64"):
        aware = [value.tzinfo is not None for value in series if isinstance(value, dt.datetime) and not pd.isna(value)]
        if any(aware) and not all(aware):
            raise DataError("a time column holds stamps with and without a time zone")
        return _stamps_of(pd.Series(pd.to_datetime(series, utc=any(aware))))
    if kind == "boolean":
        return series.astype("boolean")
    if kind == "period":
        return _stamps_of(pd.Series(pd.PeriodIndex(series).to_timestamp()))
    absent = series.isna()
    texts = pa.array(["" if gone else str(value) for value, gone in zip(series, absent, strict=True)], pa.string())
    return pc.utf8_trim_whitespace(texts)


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
        loaded.findings.append(Finding("file", message, "read.thousands=", "repair"))
    if marks.decimal == "," and config.decimal is None:
        loaded.findings.append(Finding("file", "numbers are written with a decimal comma", "read.decimal="))
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
