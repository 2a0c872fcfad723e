"""Cells written the usual way -> numbers and times at once, a piece after the other; None sends the caller the strict way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

pc: Any = pyarrow.compute
PIECE = 1 << 18  # rows that are looked at together: what is computed of them takes little memory
WIDTHS = (10, 16, 19)  # of 2024-01-31, with hours and minutes, with seconds


def pieces(column: pa.Array) -> Iterator[tuple[slice, pa.Array]]:
    """(rows, cells) of one piece of a column after the other."""
    for start in range(0, len(column), PIECE):
        piece = column.slice(start, PIECE)
        yield slice(start, start + len(piece)), piece


def plain_numbers(cells: pa.Array) -> np.ndarray | None:
    """The values, float64, of cells that are all finite numbers with a point or empty (NaN); None where any other is there."""
    blank = pc.equal(cells, "")
    num_blank = blank.true_count
    try:
        found = pc.cast(pc.if_else(blank, None, cells) if num_blank else cells, pa.float64())
    except pa.ArrowInvalid:
        return None
    values = found.to_numpy(zero_copy_only=False)
    return values if np.isfinite(values).sum() == len(cells) - num_blank else None


def whole_numbers(column: pa.Array) -> np.ndarray | None:
    """The values, int64, of cells that are all whole numbers without sign or needless zero; None where any other is there."""
    values = np.empty(len(column), dtype=np.int64)
    for rows, cells in pieces(column):
        if not pc.all(pc.match_substring_regex(cells, r"^(0|[1-9]\d{0,17})$")).as_py():
            return None
        values[rows] = pc.cast(cells, pa.int64()).to_numpy()
    return values


def iso_seconds(column: pa.Array) -> np.ndarray | None:
    """The seconds since 1970, int64, of cells that are all written as 2024-01-31, or all with a clock of one width.

    None where any other is there.
    """
    if len(column) == 0 or (width := len(column[0].as_py())) not in WIDTHS:
        return None
    values = np.empty(len(column), dtype=np.int64)
    for rows, cells in pieces(column):
        if pc.min_max(pc.binary_length(cells)).as_py() != {"min": width, "max": width}:
            return None
        try:
            values[rows] = pc.cast(cells, pa.timestamp("s")).to_numpy().view(np.int64)
        except pa.ArrowInvalid:
            return None
    return values
