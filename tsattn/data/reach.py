"""How far times reach: rows years away from all others, and grids too large to hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tsattn.data.calendar import DAY
from tsattn.data.describe import places, stamp_values
from tsattn.data.findings import DataError, Finding

LARGEST_GRID = 20_000_000  # rows that a grid may have beyond those of the table: 2 GB
FAR = 5  # spans of the other rows
LONELY, LOST = 100, 1000  # usual steps from which on a far row is warned of, and refused
TEN_YEARS = 3652 * DAY


def check_reach(df: pd.DataFrame, codes: np.ndarray, findings: list[Finding], *, refuse: bool) -> None:
    """Warn of rows far before or after all others of their series; with `refuse` a DataError names those that are years away.

    Rows of a series are together, in time order, without duplicates. A mistyped year would make a grid of nothing but gaps,
    and a forecast from its end.
    """
    if len(df) == 0:
        return
    ds = df["ds"]
    stamps, is_int = stamp_values(ds), ds.dtype == "int64"
    starts = np.r_[True, codes[1:] != codes[:-1]]
    _check_distances(df, stamps, starts, is_int=is_int)
    far, lost = far_rows(stamps, starts, is_int=is_int)
    if refuse and lost.any():
        raise DataError(
            f"{_counted(lost)} far away from all others: {_named(df, lost)}. Correct or remove what is mistyped; if it is "
            "meant, read.missing=zero fills the time between, read.missing=skip leaves it out"
        )
    if far.any():
        message = f"{_counted(far)} far away from all others: {_named(df, far)}; is the time mistyped?"
        findings.append(Finding("time", message, "", "warning", {"rows": int(far.sum())}))


def check_events(df: pd.DataFrame, setting: str) -> None:
    """DataError that names the events years away from all others: periods without events would fill the time between."""
    stamps = stamp_values(df["ds"])
    order = np.argsort(stamps, kind="stable")
    _, lost = far_rows(stamps[order], np.arange(len(stamps)) == 0, is_int=False)
    if lost.any():
        ordered = df.iloc[order]
        raise DataError(
            f"{_counted(lost)} far away from all others: {_named(ordered, lost)}; {setting} would fill the time between with "
            "zeros: correct or remove what is mistyped"
        )


def check_size(total: int, num_rows: int, num_series: int, freq: str) -> None:
    """DataError for a grid of `total` steps over all series that would not fit into memory."""
    if total - num_rows > LARGEST_GRID:
        raise DataError(
            f"the grid would have {total:,} rows: {num_series:,} series, {total // num_series:,} steps of {freq} each, for "
            f"{num_rows:,} rows of the table. If a time is mistyped, correct it; else take longer steps with read.resample= or "
            "read.count_per=, or the rows as they are with read.missing=skip"
        )


def check_steps_ahead(num_series: int, horizon: int) -> None:
    """DataError for more forecast rows than fit into memory."""
    total = num_series * horizon
    if total > LARGEST_GRID:
        raise DataError(
            f"horizon={horizon} for {num_series:,} series makes {total:,} rows to forecast, more than {LARGEST_GRID:,}: take "
            "fewer steps, or a part of the series at a time"
        )


def far_rows(stamps: np.ndarray, starts: np.ndarray, *, is_int: bool) -> tuple[np.ndarray, np.ndarray]:
    """(far, lost), bool [N]: rows further than `FAR` spans from the middle 80 % of their series, by `LONELY` and `LOST` steps.

    Of three rows the two that are closer count as the middle, of fewer all. Lost ones are ten years away too where times are
    dates.
    """
    first = np.flatnonzero(starts)
    lengths = np.diff(np.r_[first, len(stamps)])
    end = first + lengths - 1
    trim = np.maximum((lengths - 1) // 10, 1) * (lengths >= 4)
    begun, then, later = (stamps[np.minimum(first + i, len(stamps) - 1)].astype(np.float64) for i in (0, 1, 2))
    late = then - begun > later - then
    low = stamps[first + np.where(lengths == 3, late, trim)].astype(np.float64)
    high = stamps[end - np.where(lengths == 3, ~late, trim)].astype(np.float64)
    span = high - low
    if (np.maximum(low - begun, stamps[end].astype(np.float64) - high) <= FAR * span).all():  # not even the outermost rows
        return np.zeros(len(stamps), bool), np.zeros(len(stamps), bool)
    step = span / np.maximum(lengths - 1 - np.where(lengths == 3, 1, 2 * trim), 1)
    series, exact = np.cumsum(starts) - 1, stamps.astype(np.float64)
    away = np.maximum(low[series] - exact, exact - high[series])
    outside = away > FAR * span[series]
    lost = outside & (away >= LOST * step[series])
    return outside & (away >= LONELY * step[series]), lost if is_int else lost & (away >= TEN_YEARS)


def _check_distances(df: pd.DataFrame, stamps: np.ndarray, starts: np.ndarray, *, is_int: bool) -> None:
    """Steps are counted in int64: neighbours further apart than that are refused."""
    most = 2.0**62 if is_int else 2.0**63
    if float(stamps.max()) - float(stamps.min()) < most:
        return
    apart = np.where(starts[1:], 0.0, np.abs(np.diff(stamps.astype(np.float64))))
    wide = np.flatnonzero(apart >= most)
    if len(wide):
        raise DataError(f"too far apart to count the steps between: {' and '.join(places(df, np.r_[wide[0], wide[0] + 1]))}")


def _counted(rows: np.ndarray) -> str:
    number = int(rows.sum())
    return f"{number} row lies" if number == 1 else f"{number} rows lie"


def _named(df: Any, rows: np.ndarray) -> str:
    found = np.flatnonzero(rows)
    return ", ".join(places(df, found)) + " ..." * (len(found) > 5)
