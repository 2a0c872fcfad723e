"""The columns of a table -> times, ids and numbers, strictly: what cannot be converted is named by file, line and cell."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from tsattn.config import ReadConfig
from tsattn.data import calendar, declared
from tsattn.data.cells import forms, numbers, times
from tsattn.data.cells.characters import has_unseen, without_unseen
from tsattn.data.cells.numbers import Marks
from tsattn.data.columns import Column, Columns, is_number, is_time
from tsattn.data.declared import Declared
from tsattn.data.findings import DataError, Finding
from tsattn.data.raw import memory
from tsattn.data.raw.load import Loaded
from tsattn.data.raw.objects import text_array
from tsattn.data.raw.text import looks_numeric

pc: Any = pyarrow.compute


def check_header(loaded: Loaded) -> None:
    """A first row that looks like data is no header."""
    for table in loaded.tables:
        names = list(table.columns)
        dates = [name for name in names if is_time(pa.array([name])) and is_time(table.columns[name])]
        if table.header_line and (dates or all(looks_numeric(name) for name in names)):
            first = ", ".join(names[:5])
            raise DataError(f"{table.path}: the first row ({first}) looks like data: put a header with column names above it")


def offenders(loaded: Loaded, name: str, rows: np.ndarray, reason: str, column: Column | None = None) -> str:
    """One problem in words: the first five cells, how many there are, and how to mend them."""
    column = loaded.columns[name] if column is None else column
    cells = []
    for row in rows[:5]:
        cell: Any = column[int(row)]
        shown = repr(cell.as_py()) if isinstance(cell, pa.Scalar) else str(cell)
        cells.append(f"{loaded.place(int(row))}: {shown if len(shown) < 60 else shown[:56] + ' ...'}")
    count = f" ({len(rows)} in all)" if len(rows) > 5 else ""
    return f"column {name!r}: {'; '.join(cells)}{count}: {reason}"


def stamps(loaded: Loaded, names: list[str], config: ReadConfig, problems: list[str]) -> times.Times | None:
    """The stamps of the chosen time columns; None when there are none or when they are at fault."""
    if not names:
        return None
    label, column = " ".join(names), _joined(loaded.columns, names)
    if isinstance(column, pa.Array):
        parsed = times.parse_text(column, config.date_format, label)
        blank = np.flatnonzero(pc.equal(column, "").to_numpy(zero_copy_only=False))
        if len(blank):
            problems.append(offenders(loaded, label, blank, "a row has no time (fill merged cells down)", column))
        elif len(parsed.bad):
            problems.append(offenders(loaded, label, parsed.bad, parsed.reason, column))
        return parsed
    missing = np.flatnonzero(column.isna())
    if len(missing):
        problems.append(offenders(loaded, label, missing, "a row has no time (fill merged cells down)", column))
        return None
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        only = config.tz is not None and bool((calendar.wall(pd.DatetimeIndex(column)) % calendar.DAY == 0).all())
        return times.Times(column, missing, "", [], only)
    if pd.api.types.is_bool_dtype(column.dtype):
        problems.append(f"column {label!r} holds true and false, not times: set read.time=")
        return None
    return _whole_stamps(loaded, label, column, config, problems)


def _whole_stamps(loaded: Loaded, label: str, column: pd.Series, config: ReadConfig, problems: list[str]) -> times.Times | None:
    """The stamps of a column of numbers."""
    values = column.to_numpy(dtype=np.float64)
    large = np.flatnonzero(np.abs(values) >= 2.0**63)
    if len(large):
        problems.append(offenders(loaded, label, large, "is too large for a time", column))
        return None
    if not pd.api.types.is_float_dtype(column.dtype):
        values = column.to_numpy(dtype=np.int64)
    broken = np.flatnonzero(values % 1 != 0)
    if len(broken):
        problems.append(offenders(loaded, label, broken, "a time given as a number must be whole", column))
        return None
    if config.date_format:
        parsed = times.parse_text(pa.array([str(int(value)) for value in values]), config.date_format, label)
    else:
        parsed = times.parse_numbers(values.astype(np.int64), label)
    if len(parsed.bad):
        problems.append(offenders(loaded, label, parsed.bad, parsed.reason, column))
    return parsed


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
            texts.append(pa.array(column.dt.strftime("%Y-%m-%d"), pa.string()))
        else:
            texts.append(pa.array([_whole_text(value) for value in column.to_numpy(dtype=float, na_value=np.nan)]))
    if len(names) == 2 and forms.part_named(names[1]) == "hour" and forms.part_named(names[0]) != "year":
        texts[1] = pc.replace_substring_regex(texts[1], r"^(\d{1,2})(\.0+)?$", r"\1:00")  # behind a date
    return pc.binary_join_element_wise(*texts, " ")


def _whole_text(value: float) -> str:
    return "" if value != value else str(int(value)) if value % 1 == 0 else str(value)


def ids(loaded: Loaded, names: list[str], problems: list[str]) -> np.ndarray | None:
    """The ids as text, object array, those of several columns joined by "/"; None without a column or where one is at fault.

    Blanks around them were removed and near doubles are reported.
    """
    parts = [part for name in names if (part := _id_part(loaded, name, problems)) is not None]
    if not names or len(parts) < len(names):
        return None
    if len(parts) == 1:
        return parts[0]
    coded = [pd.factorize(part) for part in parts]
    codes, rows = np.unique(np.stack([codes for codes, _ in coded], axis=1), axis=0, return_inverse=True)
    texts = ["/".join(str(found[code]) for (_, found), code in zip(coded, row, strict=True)) for row in codes]
    if len(set(texts)) < len(texts):
        double = next(text for text in texts if texts.count(text) > 1)
        problems.append(
            f"read.id=[{','.join(names)}]: different series would both be called {double!r}: remove the / in their names"
        )
    return np.array(texts, dtype=object)[rows.reshape(-1)]


def _id_part(loaded: Loaded, name: str, problems: list[str]) -> np.ndarray | None:
    """The texts of one column of ids."""
    column = loaded.columns[name]
    if isinstance(column, pd.Series):
        column = _text_of(column)
    if name in loaded.trimmed:
        loaded.findings.append(Finding("columns", f"blanks around the ids in {name} were removed", "", "repair"))
    coded = pc.dictionary_encode(column)
    texts = np.array(coded.dictionary.to_pylist(), dtype=object)
    if "" in texts:
        empty = np.flatnonzero(pc.equal(column, "").to_numpy(zero_copy_only=False))
        problems.append(offenders(loaded, name, empty, "a row has no id (fill merged cells down)", column))
        return None
    _report_near_doubles(texts.tolist(), name, loaded.findings)
    return texts[coded.indices.to_numpy()]


def _text_of(column: pd.Series) -> pa.Array:
    missing = column.isna()
    known = column.dropna()
    if pd.api.types.is_float_dtype(column.dtype) and (known % 1 == 0).all() and (known.abs() < 2.0**63).all():
        column = column.astype("Int64")
    return text_array(["" if gone else str(value) for value, gone in zip(column, missing, strict=True)])


def number_type(loaded: Loaded, names: list[str]) -> str | None:
    """The numpy dtype of a single id column of numbers in a frame."""
    column = None if len(names) != 1 or loaded.files else loaded.columns[names[0]]
    if not isinstance(column, pd.Series) or not pd.api.types.is_numeric_dtype(column.dtype):
        return None
    return None if pd.api.types.is_bool_dtype(column.dtype) else str(getattr(column.dtype, "numpy_dtype", column.dtype))


def _report_near_doubles(texts: list[str], name: str, findings: list[Finding]) -> None:
    plain: dict[str, str] = {}
    pairs = []
    for text in texts:
        key = _same(text)
        if key in plain:
            pairs.append((plain[key], text))
        plain[key] = text
    if pairs:
        example = f"{pairs[0][0]!r} and {pairs[0][1]!r}"
        how = "only in case, blanks, unseen marks, accents or how a number is written"
        message = f"{len(pairs)} ids in {name} differ {how}, e.g. {example}"
        findings.append(Finding("columns", message, "", "warning", {"pairs": [list(pair) for pair in pairs[:5]]}))
    unseen = [text for text in texts if has_unseen(text)]
    if unseen:
        message = f"{len(unseen)} ids in {name} hold marks that nobody sees, e.g. {unseen[0]!r}; they were kept"
        findings.append(Finding("columns", message, "", "warning"))


def _same(text: str) -> str:
    """What ids have in common that a reader would take for the same."""
    if not (text.isascii() and text.isprintable()):
        text = unicodedata.normalize("NFKC", without_unseen(text))
    text = " ".join(text.casefold().split())
    if not text[:1].isdigit():
        return text
    number = re.fullmatch(r"\d{1,20}(\.\d{1,5})?(e\+?\d)?", text)
    if number is None:
        return text
    digits = f"{Decimal(text):f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def notation(loaded: Loaded, names: list[str], config: ReadConfig) -> Marks:
    """The decimal sign and thousands separator that the text columns `names` show together, reported where they are unusual."""
    texts = {name: column for name in names if isinstance(column := loaded.columns[name], pa.Array)}
    sep = loaded.tables[0].sep if loaded.tables else ","
    where = loaded.files[0][0] if loaded.files else "the table"
    marks = numbers.detect_marks(texts, sep, config, where)
    if marks.thousands and config.thousands is None:
        sign = {"'": "an apostrophe", "\u00a0": "a blank"}.get(marks.thousands, repr(marks.thousands))
        other = f"read.decimal={marks.thousands}" if marks.thousands in ",." else ""
        loaded.findings.append(Finding("file", f"numbers are written with {sign} between thousands", other, "repair"))
    if marks.decimal == "," and config.decimal is None:
        loaded.findings.append(Finding("file", "numbers are written with a decimal comma", "read.decimal=."))
    return marks


def values(loaded: Loaded, names: list[str], marks: Marks, problems: list[str]) -> dict[str, np.ndarray]:
    """Each column as float64, NaN for missing; cells that are no numbers become problems."""
    if len(names) > 1:
        memory.check_wide(loaded.num_rows, len(names))
    result = {}
    for name in names:
        column = loaded.columns[name]
        if isinstance(column, pa.Array):
            result[name], bad, hint = numbers.to_float(column, marks)
            _report_changed(loaded, name, column, marks)
        else:
            result[name], bad, hint = _typed_values(column)
            _report_rounded(loaded, name, _rounded_rows(column))
        if len(bad):
            problems.append(offenders(loaded, name, bad, hint))
    return result


def _report_changed(loaded: Loaded, name: str, column: pa.Array, marks: Marks) -> None:
    """Report numbers that are not written plainly, and whole numbers too long to be kept exactly."""
    plain, changed = numbers.plain(column), np.zeros(0, dtype=np.int64)
    if plain is not column:
        both = pc.and_(pc.not_equal(plain, column), numbers.numeric(column, marks)[0])
        changed = np.flatnonzero(both.to_numpy(zero_copy_only=False))
    if len(changed):
        reason = "digits, signs or unseen marks of another script, read as plain numbers"
        loaded.findings.append(Finding("file", offenders(loaded, name, changed, reason), "", "repair"))
    _report_rounded(loaded, name, numbers.rounded(column, marks))


def _report_rounded(loaded: Loaded, name: str, rows: np.ndarray) -> None:
    if len(rows):
        reason = "more digits than a number can keep, so it was rounded"
        loaded.findings.append(Finding("file", offenders(loaded, name, rows, reason), "", "warning"))


def _rounded_rows(column: pd.Series) -> np.ndarray:
    """The rows of whole numbers that no float64 equals: without the zeros at their end they have more than 53 binary digits."""
    if not pd.api.types.is_integer_dtype(column.dtype):
        return np.zeros(0, dtype=np.int64)
    wide = np.uint64 if pd.api.types.is_unsigned_integer_dtype(column.dtype) else np.int64
    size = np.abs(column.to_numpy(dtype=wide, na_value=0)).view(np.uint64)  # also of the smallest, which has no opposite
    rows = np.flatnonzero(size > 2**53)
    size = size[rows]
    return rows[size // (size & (~size + np.uint64(1))) >= 2**53]


def covariates(loaded: Loaded, wanted: Declared, marks: Marks, problems: list[str]) -> dict[str, np.ndarray]:
    """The declared columns by their names in the rows: numbers as float64 with NaN, anything else as text with None.

    Text that holds nothing but numbers is numbers; where a fit has settled which columns are text, all others must be numbers.
    """
    result = {}
    for name, column_name in wanted.covariates.items():
        column = loaded.columns[column_name]
        if name in wanted.categories or not (wanted.settled or _all_numbers(column, marks)):
            result[declared.PREFIX + name] = declared.as_text(column)
            _report_mixed(loaded, name, column_name, wanted, marks)
        else:
            result[declared.PREFIX + name] = values(loaded, [column_name], marks, problems)[column_name]
    if wanted.weight:
        result[declared.WEIGHT] = values(loaded, [wanted.weight], marks, problems)[wanted.weight]
    return result


def _all_numbers(column: Column, marks: Marks) -> bool:
    """Whether a column holds numbers only, or text that is numbers (an infinite one is one at fault) or missing."""
    if isinstance(column, pd.Series):
        return is_number(column)
    plain, absent = numbers.numeric(column, marks)
    infinite = pc.match_substring_regex(column, numbers.INFINITE)
    return bool(pc.all(pc.or_(pc.or_(plain, absent), infinite)).as_py())


def _report_mixed(loaded: Loaded, name: str, column_name: str, wanted: Declared, marks: Marks) -> None:
    """Warn of a text column most cells of which are numbers: a few typing errors would make categories of them all."""
    column = loaded.columns[column_name]
    if name in wanted.categories or not isinstance(column, pa.Array) or numbers.share_of_numbers(column) < 0.5:
        return
    bad = numbers.to_float(column, marks)[1]
    message = offenders(loaded, column_name, bad, "no number, so every different cell of the column counts as a category")
    loaded.findings.append(Finding("covariates", message, "", "warning"))


def _typed_values(column: pd.Series) -> tuple[np.ndarray, np.ndarray, str]:
    if pd.api.types.is_bool_dtype(column.dtype):
        return np.zeros(len(column)), np.arange(len(column)), "true and false are no values: convert them to 1 and 0 yourself"
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return np.zeros(len(column)), np.arange(len(column)), "times are no values: set read.value="
    if pd.api.types.is_complex_dtype(column.dtype):
        return np.zeros(len(column)), np.arange(len(column)), "complex numbers cannot be forecast"
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values, np.flatnonzero(np.isinf(values)), "an infinite value cannot be used: make it NaN if it is unknown"
