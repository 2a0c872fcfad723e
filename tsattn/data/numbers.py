"""Text -> float64, strictly: a cell that is no number and no missing marker is never guessed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute

from tsattn.config import ReadConfig
from tsattn.data.findings import DataError

pc: Any = pyarrow.compute
MISSING = ("", "na", "n/a", "#n/a", "#na", "nan", "null", "none", "nil", "-", "--", ".", "?", "missing", "<na>", "nat")
PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
NARROW = "\u00a0\u202f\u2009"  # blanks that some write between thousands
LOOSE = rf"^[+-]?[\d.,' {NARROW}]*\d[\d.,]*([eE][+-]?\d+)?$|(?i)^[+-]?inf(inity)?$"
INFINITE = r"(?i)^[+-]?inf(inity)?$"


class Marks(NamedTuple):
    """Decimal sign and thousands separator of a file ("" = none)."""

    decimal: str
    thousands: str


def missing(column: pa.Array) -> pa.Array:
    """Which cells are a missing marker: boolean array."""
    return pc.is_in(pc.utf8_lower(column), value_set=pa.array(MISSING))


def normalised(column: pa.Array, marks: Marks) -> pa.Array:
    """The cells with the thousands separator removed and the decimal sign written as a point."""
    if marks.thousands:
        blanks = f"[ {NARROW}]" if marks.thousands.strip() == "" else f"[{marks.thousands}]"
        grouped = pc.match_substring_regex(column, rf"^[+-]?\d{{1,3}}({blanks}\d{{3}})+([^\d].*)?$")
        column = pc.if_else(grouped, pc.replace_substring_regex(column, blanks, ""), column)
    if marks.decimal == ",":
        # a point next to a decimal comma is no decimal sign: leave it, and the strict test below rejects it
        column = pc.if_else(pc.match_substring(column, "."), pc.binary_join_element_wise(column, "?", ""), column)
        column = pc.replace_substring(column, ",", ".")
    return column


def numeric(column: pa.Array, marks: Marks) -> tuple[pa.Array, pa.Array]:
    """(is a number, is missing) per cell."""
    return pc.match_substring_regex(normalised(column, marks), PLAIN), missing(column)


def share_of_numbers(column: pa.Array) -> float:
    """The share of the cells that look like numbers in any notation, among those that are not missing; 0 when all are."""
    given = pc.invert(missing(column))
    total = pc.sum(given).as_py() or 0
    loose = pc.match_substring_regex(column, LOOSE)
    return (pc.sum(pc.and_(loose, given)).as_py() or 0) / total if total else 0.0


def detect_marks(columns: dict[str, pa.Array], sep: str, config: ReadConfig, where: str) -> Marks:
    """The decimal sign and thousands separator that the numeric columns of one file show; `DataError` when ambiguous."""
    if config.decimal is not None:
        other = "." if config.decimal == "," else ","
        seen = _evidence(columns) if config.thousands is None else set()
        return Marks(config.decimal, config.thousands or (other if f"thousands{other}" in seen else ""))
    if config.thousands is not None:
        return Marks("," if config.thousands == "." else ".", config.thousands)
    seen = _evidence(columns)
    if {"decimal,", "thousands."} & seen and not {"thousands,"} & seen:
        return Marks(",", "." if "thousands." in seen else "")
    if "thousands," in seen and not {"decimal,", "thousands."} & seen:
        return Marks(".", ",")
    if {"decimal,", "thousands."} & seen:
        raise DataError(
            f"{where}: points and commas in the numbers contradict each other: set read.decimal= and read.thousands="
        )
    if "either," in seen:
        raise DataError(
            f"{where}: numbers such as {_example(columns, ',')} may be thousands or decimals: "
            "set read.thousands=, (1,234 is 1234) or read.decimal=, (1,234 is 1.234)"
        )
    if sep == ";" and "either." in seen and "decimal." not in seen:
        raise DataError(
            f"{where}: numbers such as {_example(columns, '.')} may be thousands or decimals: "
            "set read.thousands=. (1.234 is 1234) or read.decimal=. (1.234 stays 1.234)"
        )
    return Marks(".", "")


def _evidence(columns: dict[str, pa.Array]) -> set[str]:
    """What the notation of the cells proves: decimal, thousands or either, followed by the sign."""
    patterns = {
        "thousands,": r"^[+-]?\d{1,3}(,\d{3})+\.\d*$|^[+-]?\d{1,3}(,\d{3}){2,}$",
        "thousands.": r"^[+-]?\d{1,3}(\.\d{3})+,\d*$|^[+-]?\d{1,3}(\.\d{3}){2,}$",
        "decimal,": r"^[+-]?(\d*,\d{1,2}|\d*,\d{4,}|0+,\d+|\d{4,},\d+|,\d+)$",
        "decimal.": r"^[+-]?(\d*\.\d{1,2}|\d*\.\d{4,}|0+\.\d+|\d{4,}\.\d+|\.\d+)$",
        "either,": r"^[+-]?[1-9]\d{0,2},\d{3}$",
        "either.": r"^[+-]?[1-9]\d{0,2}\.\d{3}$",
    }
    seen = set()
    for column in columns.values():
        if pc.any(pc.match_substring_regex(column, "[.,]")).as_py():
            seen |= {name for name, pattern in patterns.items() if pc.any(pc.match_substring_regex(column, pattern)).as_py()}
    return seen


def _example(columns: dict[str, pa.Array], sign: str) -> str:
    pattern = rf"^[+-]?[1-9]\d{{0,2}}[{sign}]\d{{3}}$"
    return next(
        column.filter(hit)[0].as_py()
        for column in columns.values()
        if pc.any(hit := pc.match_substring_regex(column, pattern)).as_py()
    )


def to_float(column: pa.Array, marks: Marks) -> tuple[np.ndarray, np.ndarray, str]:
    """(values float64 with NaN for missing markers, rows of cells that could not be converted, how to mend them)."""
    plain, absent = numeric(column, marks)
    good = plain.to_numpy(zero_copy_only=False)
    values = np.full(len(column), np.nan)
    if good.any():
        values[good] = pc.cast(normalised(column, marks).filter(plain), pa.float64()).to_numpy(zero_copy_only=False)
    bad = ~good & ~absent.to_numpy(zero_copy_only=False)
    hint = "write plain numbers, leave a missing value empty, or set read.decimal= or read.thousands="
    if pc.any(pc.is_in(pc.utf8_lower(column), value_set=pa.array(["true", "false"]))).as_py():
        hint = "true and false are no values: write 1 and 0"
    infinite = np.isinf(values) | pc.match_substring_regex(column, INFINITE).to_numpy(zero_copy_only=False)
    if infinite.any():
        bad, hint = bad | infinite, "an infinite value cannot be used: leave it empty if it is unknown"
    return values, np.flatnonzero(bad), hint
