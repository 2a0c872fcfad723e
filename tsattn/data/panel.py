"""The panel: many series of different length in flat arrays. No pandas, no torch.

Letters: S series, T rows of all series together, V variates, U calendar rows, K calendar features.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tsattn.data.findings import DataError

LARGEST = 1e150
APART = 1000
PART = 2**20  # rows that are compared at a time
ELAPSED = "elapsed"  # a feature that counts the steps; the only one that is not in [-1, 1]

if TYPE_CHECKING:
    from tsattn.data.frame import Frame


NO_COVARIATES = np.zeros((0, 0), np.float32)
NONE_AHEAD = np.zeros(0, bool)


class Panel(NamedTuple):
    """Series s is `values[indptr[s]:indptr[s + 1]]`; its row t stands in row `start[s] + t` of the calendar."""

    values: np.ndarray  # [T, V] float32, or float64 where that would lose digits; NaN is the only marker of a missing value
    indptr: np.ndarray  # [S + 1] int64
    start: np.ndarray  # [S] int64
    calendar: np.ndarray  # [U, K] float32 in [-1, 1], K may be 0; float64 where ELAPSED comes first, which has no bound
    freq: str
    ids: tuple[str, ...]  # [S]
    behind: np.ndarray  # [S] int64: rows between the end of the series and the latest end of all
    covariates: np.ndarray = NO_COVARIATES  # [W, F] float32, encoded; 0 where missing
    covariate_start: np.ndarray | None = None  # [S] int64: row t of series s stands in row `covariate_start[s] + t`
    known_ahead: np.ndarray = NONE_AHEAD  # [F] bool: which covariates may be seen after a cut-off
    weights: np.ndarray | None = None  # [S] float64: how often windows of a series are drawn in training; None: all alike

    @property
    def num_features(self) -> int:
        """Numbers per step beside the values: calendar, then covariates."""
        return self.calendar.shape[1] + self.covariates.shape[1]

    @property
    def lengths(self) -> np.ndarray:
        """Rows of each series, [S] int64."""
        return np.diff(self.indptr)


def select(panel: Panel, members: np.ndarray, first: np.ndarray | None = None, last: np.ndarray | None = None) -> Panel:
    """The panel of the series `members` alone, with their rows `first:last` [len(members)], by default all.

    The calendar and the table of covariates are shared.
    """
    first = np.zeros_like(panel.indptr[members]) if first is None else first
    last = panel.lengths[members] if last is None else last
    lengths = np.maximum(last - first, 0)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.repeat(panel.indptr[members] + first - indptr[:-1], lengths) + np.arange(indptr[-1])
    return panel._replace(
        values=panel.values[rows],
        indptr=indptr,
        start=panel.start[members] + first,
        ids=tuple(panel.ids[s] for s in members),
        behind=panel.behind[members] + panel.lengths[members] - last,
        covariate_start=None if panel.covariate_start is None else panel.covariate_start[members] + first,
        weights=None if panel.weights is None else panel.weights[members],
    )


def section(panel: Panel, first: int, last: int) -> Panel:
    """The panel of the series `first` to `last` - 1, nothing copied."""
    series, indptr = slice(first, last), panel.indptr[first : last + 1]
    return panel._replace(
        values=panel.values[indptr[0] : indptr[-1]],
        indptr=indptr - indptr[0],
        start=panel.start[series],
        ids=panel.ids[series],
        behind=panel.behind[series],
        covariate_start=None if panel.covariate_start is None else panel.covariate_start[series],
        weights=None if panel.weights is None else panel.weights[series],
    )


def right_aligned(panel: Panel, length: int) -> np.ndarray:
    """The last `length` rows of each series, [S, length, V], short series padded with NaN on the left."""
    offsets = np.arange(length) - length  # -length .. -1
    rows = panel.indptr[1:, None] + offsets
    if (panel.lengths >= length).all():
        return panel.values[rows]
    inside = rows >= panel.indptr[:-1, None]
    out = np.full((len(panel.ids), length, panel.values.shape[1]), np.nan, panel.values.dtype)
    out[inside] = panel.values[rows[inside]]
    return out


def make_panel(frame: Frame, *, horizon: int, features: list[str], ahead: Any = None, recent: int | None = None) -> Panel:
    """The frame as a panel whose calendar holds `features` for every row and `horizon` stamps after each series' end.

    `ahead`: these stamps, [S horizon], for series that lie on no grid. With `recent` the calendar may begin that many rows
    before the earliest end: no more will be read.

    Series on one grid share the rows of the calendar; a grid of another phase (weeks from Sunday beside weeks from Monday) has
    rows of its own behind it.
    """
    from tsattn.data import calendar  # loads pandas, which forecasting from arrays does without

    indptr = np.append(0, np.cumsum(frame.lengths)).astype(np.int64)
    stamps, begin = calendar.stamps_of(frame.df), indptr[:-1]
    if frame.regular:
        start, table = _calendar(stamps[begin], frame.lengths, horizon, frame.freq, features, recent)
    else:
        start, table = _own_calendars(stamps, indptr, ahead, horizon, frame.freq, features)
    y = frame.df["y"].to_numpy(np.float64)
    if max(np.fmax.reduce(y, initial=0.0), -np.fmin.reduce(y, initial=0.0)) > LARGEST:
        raise DataError(f"values beyond {LARGEST:g} leave no room for their squares: divide the values by a large number")
    with np.errstate(over="ignore"):  # an infinite one is not equal, and then all stay as they are
        values = y.astype(np.float32)
    parts = (slice(i, i + PART) for i in range(0, len(y), PART))
    if not all(np.array_equal(values[part].astype(np.float64), y[part], equal_nan=True) for part in parts):
        values = y.copy()
    numbers = calendar.ordinals(stamps[indptr[1:] - 1], calendar.parse(frame.freq))
    behind = (numbers.max(initial=numbers[0] if len(numbers) else 0) - numbers) // calendar.parse(frame.freq).num
    behind = behind if frame.regular else np.zeros_like(behind)  # rows at other times: no common dates
    ids = tuple(str(name) for name in frame.df["unique_id"].to_numpy()[begin])
    return Panel(values[:, None], indptr, start, table, frame.freq, ids, behind)


def _calendar(
    first: Any, lengths: np.ndarray, horizon: int, freq: str, features: list[str], recent: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Row of the calendar where each series starts [S], below 0 where it begins later (`recent`), and the calendar [U, K]."""
    from tsattn.data import calendar, cycles

    start = np.zeros(len(lengths), np.int64)
    if not features:
        return start, np.zeros((1, 0), np.float32)
    step = calendar.parse(freq)
    numbers = calendar.ordinals(first, step)
    tables, num_rows = [], 0
    together = [*_neighbours(numbers, lengths + horizon, step.num)]
    for members in together:
        earliest = members[np.argmin(numbers[members])]
        offset = (numbers[members] - numbers[earliest]) // step.num
        size = int((offset + lengths[members]).max()) + horizon
        skipped = 0
        if recent is not None and len(together) == 1:  # rows before one part may be those of another
            skipped = max(int((offset + lengths[members]).min()) - recent, 0)
        stamps = calendar.grid(first[[earliest]], np.array([size]), freq, skipped=skipped)
        start[members] = num_rows + offset - skipped
        table = cycles.features(stamps, [name for name in features if name != ELAPSED], freq)
        tables.append(_with_elapsed(table, np.arange(skipped, size), features))
        num_rows += len(stamps)
    return start, np.concatenate(tables)


def _neighbours(numbers: np.ndarray, lengths: np.ndarray, step: int) -> Iterator[np.ndarray]:
    """The series on each grid in parts that lie more than `APART` rows from each other: no rows for decades between them."""
    for phase in np.unique(numbers % step):
        members = np.flatnonzero(numbers % step == phase)
        members = members[np.argsort(numbers[members], kind="stable")]
        begin = (numbers[members] - numbers[members[0]]) // step
        ends = np.maximum.accumulate(begin + lengths[members])
        for part in np.split(members, np.flatnonzero(begin[1:] > ends[:-1] + APART) + 1):
            yield np.sort(part)


def _own_calendars(
    stamps: Any, indptr: np.ndarray, ahead: Any, horizon: int, freq: str, features: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """The same for series on no grid: each has the rows of its own stamps and of the `horizon` ones in `ahead`."""
    from tsattn.data import calendar, cycles

    lengths = np.diff(indptr)
    start = indptr[:-1] + horizon * np.arange(len(lengths))
    order = np.argsort(
        np.r_[np.repeat(np.arange(len(lengths)), lengths), np.repeat(np.arange(len(lengths)), horizon)], kind="stable"
    )
    whole = stamps.append(ahead)[order]
    steps = calendar.fractional_steps(whole, freq)
    elapsed = steps - np.repeat(steps[start], lengths + horizon)
    table = cycles.features(whole, [name for name in features if name != ELAPSED], freq)
    return start, _with_elapsed(table, elapsed, features)


def _with_elapsed(table: np.ndarray, elapsed: np.ndarray, features: list[str]) -> np.ndarray:
    """The features with the elapsed steps [U] before them, where they are asked for.

    In float64: seconds of half a year have no digits left for one step in float32. A model reads differences of them.
    """
    return np.concatenate([elapsed[:, None].astype(np.float64), table], axis=1) if ELAPSED in features else table
