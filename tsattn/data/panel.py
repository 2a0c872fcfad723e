"""The panel: many series of different length in flat arrays. No pandas, no torch.

Letters: S series, T rows of all series together, V variates, U calendar rows, K calendar features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Panel(NamedTuple):
    """Series s is `values[indptr[s]:indptr[s + 1]]`; its row t stands in row `start[s] + t` of the calendar."""

    values: np.ndarray  # [T, V] float32; NaN is the only marker of a missing value
    indptr: np.ndarray  # [S + 1] int64
    start: np.ndarray  # [S] int64
    calendar: np.ndarray  # [U, K] float32 in [-1, 1]; K may be 0
    freq: str
    ids: tuple[str, ...]  # [S]

    @property
    def lengths(self) -> np.ndarray:
        """Rows of each series, [S] int64."""
        return np.diff(self.indptr)


def take_rows(panel: Panel, first: np.ndarray, last: np.ndarray) -> Panel:
    """The panel with rows `first[s]:last[s]` of each series (counted within the series); series without rows stay, empty."""
    lengths = np.maximum(last - first, 0)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.repeat(panel.indptr[:-1] + first - indptr[:-1], lengths) + np.arange(indptr[-1])
    return panel._replace(values=panel.values[rows], indptr=indptr, start=panel.start + first)


def right_aligned(panel: Panel, length: int) -> np.ndarray:
    """The last `length` rows of each series, [S, length, V] float32, short series padded with NaN on the left."""
    offsets = np.arange(length) - length  # -length .. -1
    rows = panel.indptr[1:, None] + offsets
    inside = rows >= panel.indptr[:-1, None]
    out = np.full((len(panel.ids), length, panel.values.shape[1]), np.nan, np.float32)
    out[inside] = panel.values[rows[inside]]
    return out
