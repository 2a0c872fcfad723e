"""Frames, series, arrays and lists -> named columns, nothing converted yet and the caller's object untouched."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from tsattn.data.cells import times
from tsattn.data.columns import Column, Columns
from tsattn.data.findings import DataError

pc: Any = pyarrow.compute
NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal")  # what pandas calls objects that are numbers


def columns_of(data: Any) -> tuple[Columns, bool]:
    """(the columns of a frame, a Series, an array or a list, whether it is one without names of the caller's)."""
    if isinstance(data, pd.Series):
        return _series_columns(data)
    if isinstance(data, dict):
        data = _frame_of(data)
    if isinstance(data, pd.DataFrame):
        return frame_columns(data), False
    if hasattr(data, "collect") and not isinstance(data, pa.Table):
        data = data.collect()
    if hasattr(data, "to_arrow"):
        data = data.to_arrow()
    if isinstance(data, pa.Table | pa.RecordBatch):
        return arrow_columns(data if isinstance(data, pa.Table) else pa.Table.from_batches([data])), False
    if isinstance(data, pa.Array | pa.ChunkedArray):
        data = data.to_pandas()
    if isinstance(data, list | tuple | np.ndarray | pd.Index | pd.Series) or hasattr(data, "__array__"):
        return _array_columns(data), True
    raise DataError(
        f"cannot read a {type(data).__name__}: give a path, a pandas, polars or pyarrow frame, a Series, an array or a list"
    )


def _frame_of(data: dict) -> pd.DataFrame:
    try:
        return pd.DataFrame(data)
    except (ValueError, TypeError) as error:
        raise DataError(f"a dict must hold columns of one length ({error})") from error


def arrow_columns(table: pa.Table) -> Columns:
    """The columns of an Arrow table."""
    check_names(table.column_names, "the table")
    if any(
        b"ARROW:extension:name" in (field.metadata or {}) or isinstance(field.type, pa.BaseExtensionType)
        for field in table.schema
    ):
        return frame_columns(table.to_pandas())  # periods and the like, which are numbers without their type
    columns: Columns = {}
    for name in table.column_names:
        column = table.column(name)
        if name.startswith("__index_level_") and pa.types.is_integer(column.type):
            continue
        try:
            columns[name] = _arrow_column(column, name)
        except NotImplementedError as error:  # pyarrow's own error is one
            reason = f"the column {name!r} is of the type {column.type}, which cannot be read: leave it out, or convert it"
            raise DataError(reason) from error
    return columns


def _arrow_column(column: pa.ChunkedArray, name: str) -> Column:
    if pa.types.is_run_end_encoded(column.type):
        column = pa.chunked_array([pc.run_end_decode(chunk) for chunk in column.chunks], column.type.value_type)
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    if _is_text(column.type):
        return _text_column(column, name)
    return _typed(pd.Series(column.combine_chunks().to_pandas(types_mapper=pd.ArrowDtype)), name)


def check_names(names: Iterable[str], table: str = "the frame") -> None:
    """`DataError` for columns of one name."""
    names = list(names)
    doubles = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if doubles:
        raise DataError(f"{table} has columns with the same name: {', '.join(doubles)}")


def _is_text(kind: pa.DataType) -> bool:
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_fixed_size_binary,
    )
    return any(test(kind) for test in tests)


def _text_column(column: pa.ChunkedArray, name: str) -> pa.Array:
    """The cells as they are; a missing one is ""."""
    try:
        column = pc.cast(column, pa.string())
        column = pc.fill_null(column, "") if column.null_count else column
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()  # which copies a single one too
    except pa.ArrowInvalid as error:  # no UTF-8, or more than 2 GB in one column
        raise DataError(f"the text of the column {name!r} cannot be read ({error})") from error


def without_blanks(columns: Columns) -> tuple[Columns, set[str]]:
    """(the columns with no blanks around their texts, the names of those that had some)."""
    texts = {name: column for name, column in columns.items() if isinstance(column, pa.Array) and not _is_tight(column)}
    trimmed = {name: pc.utf8_trim_whitespace(column) for name, column in texts.items()}
    return {**columns, **trimmed}, {name for name, column in trimmed.items() if not column.equals(texts[name])}


def _is_tight(column: pa.Array) -> bool:
    """Whether no text holds a blank or anything else beyond printed ASCII: there is nothing around it to remove."""
    data = column.buffers()[2]
    return data is None or bool(np.frombuffer(data, np.int8).min(initial=127) > ord(" "))


def frame_columns(df: pd.DataFrame) -> Columns:
    """The columns of a pandas frame; an index that is named, or one of times, counts as one."""
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
    check_names(names)
    return {name: _typed(df.iloc[:, i], name) for i, name in enumerate(names)}


def _holds_times(index: pd.Index) -> bool:
    """Whether an index is one of times, so that it counts without a name too."""
    kind = pd.api.types.infer_dtype(index)
    if isinstance(index, pd.DatetimeIndex | pd.PeriodIndex) or kind in ("date", "datetime", "datetime64", "period"):
        return True
    return kind == "string" and times.looks_like_time(pa.array([str(label) for label in index[:200]]))


def _series_columns(series: pd.Series) -> tuple[Columns, bool]:
    name = "y" if series.name is None else str(series.name)
    if isinstance(series.index, pd.MultiIndex) or _holds_times(series.index) or series.index.name is not None:
        return frame_columns(series.to_frame(name)), False
    return {name: _typed(series, name)}, series.name is None


def _array_columns(data: Any) -> Columns:
    """The columns of an array or list: y, or series_1, series_2 ...; what is masked is missing."""
    if isinstance(data, list | tuple) and any(isinstance(value, str | bytes | dict) for value in data):
        raise DataError("a list must hold numbers; put a table into a frame or a file")
    values = _values_of(data)
    numbers = values.dtype.kind in "iuf" or (
        values.dtype == object and pd.api.types.infer_dtype(values.reshape(-1), skipna=True) in (*NUMBERS, "empty")
    )
    if not numbers or values.ndim not in (1, 2) or values.size == 0:
        kind = f"an array of {values.dtype} with {values.ndim} dimensions"
        raise DataError(
            f"{kind} is no series: give numbers [T], or [T, V] for V series" if values.size else "the array is empty"
        )
    columns = values.reshape(len(values), -1).T
    names = ["y"] if len(columns) == 1 else [f"series_{i + 1}" for i in range(len(columns))]
    return {name: _number_column(column) for name, column in zip(names, columns, strict=True)}


def _values_of(data: Any) -> np.ndarray:
    """An array of numpy's; `DataError` for what has none. Missing and masked values are NaN, or None among objects."""
    if isinstance(data, list | tuple):
        data = [_unmasked(value) for value in data]
    if hasattr(data, "detach") and hasattr(data, "is_floating_point"):  # a tensor of torch, perhaps in training, or of bf16
        data = data.detach()
        data = data.double() if data.is_floating_point() else data
    try:
        return np.asarray(_unmasked(data))
    except ValueError as error:
        raise DataError("a list must hold numbers, or rows of the same length") from error
    except (TypeError, RuntimeError) as error:
        raise DataError(f"a {type(data).__name__} cannot be read: {str(error).splitlines()[0]}") from error


def _unmasked(value: Any) -> Any:
    if value is np.ma.masked:
        return None
    if not isinstance(value, np.ma.MaskedArray):
        return value
    if not np.ma.is_masked(value):
        return value.data
    if value.dtype.kind == "f":
        return value.filled(np.nan)
    found = value.data.astype(object)
    found[np.ma.getmaskarray(value)] = None
    return found


def _number_column(values: np.ndarray) -> Column:
    if values.dtype != object:
        return pd.Series(values.copy())
    series = pd.Series(values)
    return pd.Series(np.full(len(values), np.nan)) if series.isna().all() else _object_column(series, "y")


def _typed(series: pd.Series, name: str) -> Column:
    """One column of a frame as text, numbers, booleans or stamps, whichever it holds; a missing text is ""."""
    if not series.index.equals(pd.RangeIndex(len(series))):
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
    return _object_column(series, name)


def _time_type(kind: pa.DataType) -> pa.DataType:
    return pa.timestamp("ms") if pa.types.is_date(kind) else kind


def _stamps_of(series: pd.Series) -> pd.Series:
    try:
        return series.dt.as_unit("ns")
    except pd.errors.OutOfBoundsDatetime as error:
        raise DataError(f"a time lies outside the years {times.FIRST_YEAR} to {times.LAST_YEAR}: {error}") from error


def _object_column(series: pd.Series, name: str) -> Column:
    kind = pd.api.types.infer_dtype(series, skipna=True)
    if kind == "string":
        absent = series.isna()
        return _text_column(_arrow_texts(series.mask(absent, None) if absent.any() else series), name)
    if kind == "integer" and any(abs(value) >= 2**63 for value in series.dropna()):
        kind = "string"  # read digit by digit, as from a file: an id stays what it is
    if kind == "integer":
        return series.astype("Int64" if series.isna().any() else "int64")
    if kind in NUMBERS:
        return pd.Series(series.to_numpy(dtype="float64", na_value=np.nan))
    if kind in ("datetime", "date", "datetime64"):
        zones = {str(value.tzinfo or "") for value in series if isinstance(value, dt.datetime) and not pd.isna(value)}
        if "" in zones and len(zones) > 1:
            raise DataError("a time column holds stamps with and without a time zone")
        if len(zones) > 1:  # read as text with several offsets is, which says that they become UTC
            return text_array(["" if pd.isna(value) else value.isoformat() for value in series])
        return _stamps_of(pd.Series(pd.to_datetime(series)))
    if kind == "boolean":
        return series.astype("boolean")
    if kind == "period":
        return _stamps_of(pd.Series(pd.PeriodIndex(series).to_timestamp()))
    absent = series.isna()
    return text_array(["" if gone else str(cell) for cell, gone in zip(series, absent, strict=True)])


def _arrow_texts(series: pd.Series) -> pa.ChunkedArray:
    """Texts and None, of whatever storage, without a look at each."""
    try:
        found = pa.array(series)
    except UnicodeEncodeError:
        found = text_array(series.tolist())  # says which
    return found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found])


def text_array(texts: list[str]) -> pa.Array:
    """The texts as an Arrow array; DataError for half a character, which no file can hold."""
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError as error:
        raise DataError(f"{error.object!r} holds half a character (a lone surrogate): mend it in your table") from None


def kind_of(column: Column) -> str | None:
    """What the cells of a column are, in words; None where there are none."""
    if isinstance(column, pa.Array):
        return "text" if bool(pc.any(pc.not_equal(column, "")).as_py()) else None
    if column.isna().all():
        return None
    if pd.api.types.is_bool_dtype(column.dtype):
        return "true and false"
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return f"times of the zone {column.dtype.tz}"
    return "times without a zone" if pd.api.types.is_datetime64_any_dtype(column.dtype) else "numbers"


def concatenated(columns: list[Column]) -> Column:
    """The parts of one column, all of one kind or without any value, one below the other."""
    known = [column for column in columns if kind_of(column) is not None] or columns[:1]
    if isinstance(known[0], pa.Array):
        return pa.concat_arrays(
            [column if isinstance(column, pa.Array) else pa.array([""] * len(column)) for column in columns]
        )
    dtype = known[0].dtype
    blank = "float64" if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype) else dtype
    whole = {id(column) for column in known}
    return pd.concat(
        [column if id(column) in whole else pd.Series([None] * len(column), dtype=blank) for column in columns],
        ignore_index=True,
    )
