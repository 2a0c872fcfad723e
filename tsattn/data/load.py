"""Paths, frames, series, arrays and lists -> named columns, nothing converted yet and the caller's object untouched."""

from __future__ import annotations

import datetime as dt
import glob
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from tsattn.config import ReadConfig
from tsattn.data import memory, times
from tsattn.data.columns import Column, Columns
from tsattn.data.findings import DataError, Finding
from tsattn.data.source import check_file
from tsattn.data.text import TextTable, read_text, shown_name

pc: Any = pyarrow.compute
PARQUET = (".parquet", ".pq")


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
    paths = _paths(path)
    names = _names(paths)
    try:
        memory.check(names[0] if len(paths) == 1 else f"{len(paths)} files", *_sizes(paths))
        return _joined(_parts(paths, names, config))
    except MemoryError as error:
        size, _ = _sizes(paths)
        raise memory.too_large(names[0] if len(paths) == 1 else path, size, "need more memory than is available") from error


def _paths(path: str) -> list[Path]:
    """The files that a path or glob names, in the order of their names."""
    expanded = os.path.expanduser(path)
    try:
        found = [expanded] if os.path.lexists(expanded) else sorted(glob.glob(expanded, recursive=True))
    except (OSError, ValueError):  # no name that a file can have
        found = []
    if not found:
        raise DataError(f"{shown_name(path)}: there is no such file (paths are relative to {os.getcwd()})")
    if len(found) == 1 and os.path.isdir(found[0]):
        kinds = [kind for kind in (".parquet", ".csv") if glob.glob(os.path.join(glob.escape(found[0]), f"*{kind}"))]
        pattern = os.path.join(path, f"*{(kinds or ['.csv'])[0]}")
        raise DataError(f"{shown_name(path)} is a folder: name its files, e.g. {shown_name(pattern)}")
    return [Path(name) for name in found]


def _names(paths: list[Path]) -> list[str]:
    """What the files are called in messages: their names, with the folders where these differ."""
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        above = os.path.commonpath([path.parent for path in paths])
        names = [os.path.relpath(path, above) for path in paths]
    return [shown_name(name) for name in names]


def _sizes(paths: list[Path]) -> tuple[int, int]:
    """(bytes of the files, estimated bytes of memory to read and convert them), as far as they can be told."""
    size = needed = 0
    for path in paths:
        try:
            info = os.stat(path)
            if not stat.S_ISREG(info.st_mode):
                continue
            size += info.st_size
            parquet = path.suffix.lower() in PARQUET
            needed += _parquet_bytes(path) * memory.PARQUET_FACTOR if parquet else info.st_size * memory.TEXT_FACTOR
        except (OSError, pa.ArrowInvalid):  # reading the file says what is wrong with it
            continue
    return size, needed


def _parquet_bytes(path: Path) -> int:
    """The bytes that the columns of a Parquet file take in memory, estimated from its metadata."""
    found = pyarrow.parquet.read_metadata(path)
    total = 0
    for group in range(found.num_row_groups):
        rows = found.row_group(group)
        for i in range(rows.num_columns):
            column = rows.column(i)
            least = 16 * rows.num_rows if column.physical_type == "BYTE_ARRAY" else 8 * rows.num_rows
            total += max(column.total_uncompressed_size, least)  # a dictionary makes repeated cells small
    return total


def _parts(paths: list[Path], names: list[str], config: ReadConfig) -> list[Loaded]:
    """Every file as it was read; the problems of all files in one `DataError`."""
    parts: list[Loaded] = []
    problems: list[str] = []
    for path, name in zip(paths, names, strict=True):
        try:
            parts.append(_load_file(path, name, config))
        except DataError as error:
            problems.append(str(error))
    if problems:
        more = [f"{len(problems) - 5} more of the {len(paths)} files cannot be read either"] if len(problems) > 5 else []
        raise DataError("\n".join(problems[:5] + more))
    return parts


def _joined(parts: list[Loaded]) -> Loaded:
    """The files one below the other; they must have the same columns."""
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


def _load_file(path: Path, name: str, config: ReadConfig) -> Loaded:
    if path.suffix.lower() in PARQUET:
        try:
            check_file(path, name)
            table = pyarrow.parquet.read_table(path)
        except (pa.ArrowInvalid, OSError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{name}: this is not a Parquet file, or a damaged one ({reason})") from error
        if any(
            b"ARROW:extension:name" in (field.metadata or {}) or isinstance(field.type, pa.BaseExtensionType)
            for field in table.schema
        ):
            table = pd.read_parquet(path)  # periods and the like, which are numbers without their type
            return Loaded(_frame_columns(table), files=[(name, len(table))])
        return Loaded(_arrow_columns(table), files=[(name, table.num_rows)])
    table = read_text(path, config, name)
    loaded = Loaded(dict(table.columns), [table], findings=list(table.findings), nameless=not table.header_line)
    loaded.files = [(name, loaded.num_rows)]
    return loaded


def _arrow_columns(table: pa.Table) -> Columns:
    columns: Columns = {}
    for name in table.column_names:
        column = table.column(name)
        if name.startswith("__index_level_") and pa.types.is_integer(column.type):
            continue
        if pa.types.is_dictionary(column.type):
            column = pc.cast(column, column.type.value_type)
        if _is_text(column.type):
            columns[str(name)] = _text_column(column, str(name))
            continue
        columns[str(name)] = _typed(pd.Series(column.combine_chunks().to_pandas(types_mapper=pd.ArrowDtype)), str(name))
    return columns


def _is_text(kind: pa.DataType) -> bool:
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
    )
    return any(test(kind) for test in tests)


def _text_column(column: pa.ChunkedArray, name: str) -> pa.Array:
    """The cells without blanks around them; a missing one is ""."""
    try:
        return pc.utf8_trim_whitespace(pc.fill_null(pc.cast(column, pa.string()), "")).combine_chunks()
    except pa.ArrowInvalid as error:  # no UTF-8, or more than 2 GB in one column
        raise DataError(f"the text of the column {name!r} cannot be read ({error})") from error


def _frame_columns(df: pd.DataFrame) -> Columns:
    if isinstance(df.columns, pd.MultiIndex):
        raise DataError("the columns of the frame have several levels: give it a single row of names")
    index = df.index
    if isinstance(index, pd.MultiIndex):
        df = df.reset_index()
    elif _holds_times(index) or (index.name is not None and index.name not in df.columns):
        name = index.name if index.name is not None else "ds"
        if name in df.columns:
            raise DataError(f"the index and a column are both called {name!r}: rename one of them")
        df = df.rename_axis(index=name).reset_index()
    names = [str(name).strip() for name in df.columns]
    doubles = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if doubles:
        raise DataError(f"the frame has columns with the same name: {', '.join(doubles)}")
    return {name: _typed(df.iloc[:, i], name) for i, name in enumerate(names)}


def _holds_times(index: pd.Index) -> bool:
    """Whether an index is one of times, so that it counts without a name too."""
    kinds = ("date", "datetime", "datetime64", "period")
    return isinstance(index, pd.DatetimeIndex | pd.PeriodIndex) or pd.api.types.infer_dtype(index) in kinds


def _load_series(series: pd.Series) -> Loaded:
    if isinstance(series.index, pd.MultiIndex) or _holds_times(series.index) or series.index.name is not None:
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
    if kind == "integer" and any(abs(value) >= 2**63 for value in series.dropna()):
        kind = "string"  # read digit by digit, as from a file: an id stays what it is
    if kind in ("integer", "floating", "mixed-integer-float", "decimal"):
        whole = kind == "integer" and not series.isna().any()
        return pd.Series(series.to_numpy(dtype="int64" if whole else "float64", na_value=None if whole else np.nan))
    if kind in ("datetime", "date", "datetime64"):
        zones = {str(value.tzinfo or "") for value in series if isinstance(value, dt.datetime) and not pd.isna(value)}
        if "" in zones and len(zones) > 1:
            raise DataError("a time column holds stamps with and without a time zone")
        return _stamps_of(pd.Series(pd.to_datetime(series, utc=len(zones) > 1)))
    if kind == "boolean":
        return series.astype("boolean")
    if kind == "period":
        return _stamps_of(pd.Series(pd.PeriodIndex(series).to_timestamp()))
    absent = series.isna()
    return pc.utf8_trim_whitespace(text_array(["" if gone else str(cell) for cell, gone in zip(series, absent, strict=True)]))


def text_array(texts: list[str]) -> pa.Array:
    """The texts as an Arrow array; DataError for half a character, which no file can hold."""
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError as error:
        raise DataError(f"{error.object!r} holds half a character (a lone surrogate): mend it in your table") from None
