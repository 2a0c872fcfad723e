"""Which frequency stamps follow: the grid that most of their steps make up."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tsattn.data.calendar import (
    DAY,
    MONTH_END,
    Step,
    dates_of,
    first_rows_of,
    instants,
    month_first,
    months_of,
    most_common,
    positions,
    text,
    tick_of,
    wall,
)

MONTH_DAYS = 30.436875
LOOK = 1000  # rows looked at first


def infer_freq(stamps: pd.Index, codes: np.ndarray | None = None) -> str:
    """The frequency that most steps follow, over all series together.

    Rows of a series are together, in time order, without duplicates. The most common step is taken; when not all stamps lie on
    its grid, the next common ones that make up a fifth of the steps are tried. The caller checks `positions(...).fits`.
    Without any step: "D", or "1" for integers.
    """
    is_int = pd.api.types.is_integer_dtype(stamps.dtype)
    values = np.asarray(stamps, dtype=np.int64) if is_int else wall(stamps)
    inner = np.ones(max(len(values) - 1, 0), dtype=bool) if codes is None else codes[1:] == codes[:-1]
    if not inner.any():
        return "1" if is_int else "D"
    steps = values[1:] - values[:-1]
    usual = steps[inner.argmax()]
    sizes, counts = np.array([usual]), np.array([inner.sum()])
    if not ((steps == usual) | ~inner).all():
        sizes, counts = np.unique(steps[inner], return_counts=True)
    del steps, inner  # of ten million rows 90 MB, while their positions are computed
    order = np.argsort(-counts, kind="stable")
    common = [sizes[i] for i in order[:4] if sizes[i] > 0 and (i == order[0] or 5 * counts[i] >= counts.sum())]
    candidates = [text(step) for size in common for step in _steps_of(int(size), stamps, codes, is_int)]
    candidates = candidates or ["1" if is_int else "D"]
    for candidate in candidates:
        if positions(stamps, candidate, codes).fits.all():
            return candidate
    return candidates[0]


def usual_step(stamps: pd.Index, codes: np.ndarray) -> str:
    """The frequency that most steps follow; where fewer than half do, the median step, in whole seconds."""
    is_int = pd.api.types.is_integer_dtype(stamps.dtype)
    steps = np.diff(np.asarray(stamps, dtype=np.int64) if is_int else instants(stamps))[codes[1:] == codes[:-1]]
    if not len(steps) or 2 * np.unique(steps, return_counts=True)[1].max() >= len(steps):
        return infer_freq(stamps, codes)
    unit = 1 if is_int else 1_000_000_000
    median = max(int(np.median(steps)) // unit, 1) * unit
    return str(median) if is_int else text(tick_of(median))


def _steps_of(size: int, stamps: pd.Index, codes: np.ndarray | None, is_int: bool) -> Iterator[Step]:
    """The grids with neighbours `size` apart (nanoseconds on the wall clock, or integers), the likeliest first.

    Steps of 28, 30, 31, 90 ... days that follow no months are steps of days.
    """
    if is_int:
        yield Step("int", size)
        return
    if size % DAY:
        same = np.diff(first_rows_of(codes, len(stamps))) == 0
        utc = np.diff(instants(stamps))[same]
        yield tick_of(size if (utc == size).any() else int(most_common(utc)))
        return
    days = size // DAY
    months = round(days / MONTH_DAYS)
    if months and abs(days - months * MONTH_DAYS) <= 3:
        step = _monthly(months, stamps, codes)
        if 2 * positions(stamps, text(step), codes).fits.sum() >= len(stamps):
            yield step
    if days == 1 and _only_business_days(stamps, codes):
        yield Step("business")
        return
    yield Step("day", days, None if days % 7 else _common_weekday(stamps, codes))


def _common_weekday(stamps: pd.Index, codes: np.ndarray | None) -> int | None:
    """The weekday that most stamps have, Monday being 0; None where each series keeps to one and these differ."""
    weekdays = (dates_of(stamps) + 3) % 7
    own = (weekdays == weekdays[first_rows_of(codes, len(stamps))]).all()
    return None if own and (weekdays != weekdays[0]).any() else int(most_common(weekdays))


def _monthly(months: int, stamps: pd.Index, codes: np.ndarray | None) -> Step:
    dates = dates_of(stamps)
    numbers = months_of(dates)
    first = month_first(numbers)
    day, length = dates - first + 1, month_first(numbers + 1) - first
    usual = int(most_common(day))
    ends, same_day = int((day == length).sum()), int((day == np.minimum(usual, length)).sum())
    target = MONTH_END if ends == len(day) or ends > same_day else usual
    phases = numbers % months
    own_phase = (phases == phases[first_rows_of(codes, len(stamps))]).all()
    named = months in (1, 3, 12) and ((phases == phases[0]).all() or not own_phase)
    return Step("month", months, int(most_common(phases)) if named else None, min(target, MONTH_END))


def _only_business_days(stamps: pd.Index, codes: np.ndarray | None) -> bool:
    """No stamp on a weekend, and weekends were passed over: some Friday is followed by the next Monday."""
    if len(stamps) < 6 or ((dates_of(stamps[:LOOK]) + 3) % 7 > 4).any():  # most tables say so soon
        return False
    dates = dates_of(stamps)
    if ((dates + 3) % 7 > 4).any():
        return False
    same = np.diff(first_rows_of(codes, len(stamps))) == 0
    return bool((same & (np.diff(dates) == 3) & ((dates[:-1] + 3) % 7 == 4)).any())
