"""Events -> counts per period, and a regular series -> sums over longer periods. Periods carry the stamp of their start."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsattn.data import calendar, frequency
from tsattn.data.calendar import DAY, Step
from tsattn.data.findings import DataError, Finding
from tsattn.data.reach import LARGEST_GRID, check_events


class Bins(NamedTuple):
    """Periods of a calendar: each row's period counted from `base`, in periods."""

    step: Step
    number: np.ndarray  # int64 [N]
    base: int  # ordinal of period 0
    tz: Any

    def number_of(self, stamps: pd.DatetimeIndex) -> np.ndarray:
        """The period of each stamp."""
        return (calendar.ordinals(stamps, self.step) - self.base) // self.step.num

    def starts(self, numbers: np.ndarray) -> pd.Index:
        return calendar.from_ordinals(self.base + self.step.num * numbers, self.step, 0, self.tz)


def period_step(freq: str, setting: str) -> Step:
    """The calendar periods of `freq`, each named by its start: ends such as ME become the starts of the same periods."""
    try:
        step = calendar.parse("W-MON" if freq == "W" else freq)
    except ValueError:
        step = Step("int")
    if step.kind in ("int", "business") or (step.kind == "month" and 1 < step.day < calendar.MONTH_END):
        raise DataError(f"{setting}={freq} is no calendar period: use h, D, W-MON, MS, QS or YS")
    if step.kind == "month":
        end = step.day == calendar.MONTH_END
        return Step("month", step.num, ((step.anchor or 0) + (1 if end else 0)) % step.num)
    return step


def assign(stamps: Any, freq: str, setting: str) -> Bins:
    """The period of each stamp. Weeks begin on their anchor, days and longer on the wall clock, shorter ones at midnight."""
    step = period_step(freq, setting)
    index: Any = pd.DatetimeIndex(stamps)
    ordinals = calendar.ordinals(index, step)
    if step.kind == "tick":
        first = pd.DatetimeIndex([index.min()])
        phase = int((calendar.instants(first) - calendar.wall(first) % DAY)[0]) % step.num
    elif step.kind == "day" and step.anchor is not None:
        phase = (step.anchor - 3) % 7
    else:
        phase = step.anchor or 0
    starts = ordinals - (ordinals - phase) % step.num
    base = int(starts.min())
    return Bins(step, (starts - base) // step.num, base, index.tz)


def whole_range(stamps: Any, bins: Bins, findings: list[Finding], override: str) -> tuple[int, int]:
    """(first, last) period fully covered by the stamps; partial ones at the ends are reported."""
    index = pd.DatetimeIndex(stamps)
    last = int(bins.number.max())
    edges = bins.starts(np.array([0, 1, last, last + 1]))
    clock, sides = calendar.wall(index), calendar.wall(edges)
    date_only = bool((clock % DAY == 0).all())
    early, late = int(clock.min() - sides[0]), int(sides[3] - clock.max())
    periods = int(sides[1] - sides[0]), int(sides[3] - sides[2])
    slack = [max(DAY if date_only else 0, period // 24) for period in periods]
    keep = 0 if early <= slack[0] else 1, last if late <= slack[1] else last - 1
    partial = [calendar.written(edges[i]) for i, dropped in ((0, keep[0] > 0), (2, keep[1] < last)) if dropped]
    if not partial:
        return keep
    if keep[0] > keep[1]:
        message = "no period is fully covered by the events: the partial ones were kept"
        findings.append(Finding("partial", message, override, "warning", {"periods": partial}))
        return 0, last
    message = f"partial periods at the ends were left out: {' and '.join(dict.fromkeys(partial))}"
    findings.append(Finding("partial", message, override, "repair", {"periods": partial}))
    return keep


def _check_number(lengths: np.ndarray, setting: str) -> None:
    """DataError for more periods than fit into memory; `lengths` are those of the series, less one."""
    total = sum(lengths.tolist()) + len(lengths)
    if total > LARGEST_GRID:
        raise DataError(f"{setting} gives {total:,} periods of {len(lengths):,} series: take longer periods")


def _long(first: np.ndarray, last: np.ndarray, bins: Bins, ids: pd.Index) -> tuple[pd.DataFrame, np.ndarray]:
    """(rows of all series without y, number of the row at which each series would have its period 0)."""
    lengths = last - first + 1
    offsets = np.cumsum(lengths) - lengths
    series = np.repeat(np.arange(len(lengths)), lengths)
    numbers = np.arange(lengths.sum()) - offsets[series] + first[series]
    frame = pd.DataFrame({"unique_id": pd.Series(ids.to_numpy(dtype=object)[series], dtype=object), "ds": bins.starts(numbers)})
    return frame, offsets - first


def count_events(df: Any, freq: str) -> tuple[pd.DataFrame, list[Finding]]:
    """Rows per id and period, 0 where nothing happened; each id from its first event's period to the last period of the log."""
    setting, findings = "read.count_per", []
    if df["ds"].dtype == "int64":
        raise DataError(f"{setting}={freq} needs dates, but the time is made of whole numbers")
    check_events(df, f"{setting}={freq}")
    bins = assign(df["ds"], freq, setting)
    first_kept, last_kept = whole_range(df["ds"], bins, findings, f"{setting}={freq}")
    codes, ids = pd.factorize(df["unique_id"])
    first = np.full(len(ids), np.iinfo(np.int64).max)
    np.minimum.at(first, codes, bins.number)
    first = np.maximum(first, first_kept)
    late = first > last_kept
    if late.any():
        names = ids[late].tolist()
        which = ", ".join(map(str, names[:5]))
        message = f"{len(names)} series have events in the partial last period only and were left out: {which}"
        findings.append(Finding("partial", message, f"{setting}={freq}", "repair", {"ids": names[:5]}))
    renumber = np.cumsum(~late) - 1
    inside = (bins.number >= first_kept) & (bins.number <= last_kept) & ~late[codes]
    first, ids = first[~late], pd.Index(ids[~late])
    _check_number(np.full(len(first), last_kept) - first, f"{setting}={freq}")
    frame, origin = _long(first, np.full(len(first), last_kept), bins, ids)
    where = origin[renumber[codes[inside]]] + bins.number[inside]
    frame["y"] = np.bincount(where, minlength=len(frame)).astype(np.float64)
    periods = "1 period" if last_kept == first_kept else f"{last_kept - first_kept + 1} periods"
    message = f"{len(df)} events were counted per {calendar.text(bins.step)} over {periods}; a period without events is 0"
    findings.insert(0, Finding("count", message, f"{setting}={freq}"))
    return frame, findings


def resample(df: Any, freq: str, source: str | None) -> tuple[pd.DataFrame, list[Finding]]:
    """Sums of y per id and period. `df` is on the full grid `source`, or irregular when that is None.

    A period with a missing value is NaN. Incomplete periods at the ends are left out: by the stamps just outside when the
    grid is known, else by their distance from the period's bounds.
    """
    setting, findings = "read.resample", []
    if df["ds"].dtype == "int64":
        raise DataError(f"{setting}={freq} needs dates, but the time is made of whole numbers")
    bins = assign(df["ds"], freq, setting)
    codes, ids = pd.factorize(df["unique_id"])
    ends = np.r_[np.flatnonzero(np.diff(codes)), len(codes) - 1]
    starts = np.r_[0, ends[:-1] + 1]
    first, last = bins.number[starts].copy(), bins.number[ends].copy()
    if source is None:
        low, high = whole_range(df["ds"], bins, findings, f"{setting}={freq}")
        first, last = np.maximum(first, low), np.minimum(last, high)
    else:
        _check_coarser(source, bins.step, freq)
        partial = _partial_ends(df["ds"], starts, ends, source, bins)
        first, last = first + partial[0], last - partial[1]
        if partial.any():
            message = f"{int(partial.sum())} incomplete periods at the ends of the series were left out"
            findings.append(Finding("partial", message, f"{setting}={freq}", "repair"))
    gone = first > last
    if gone.all():
        raise DataError(f"{setting}={freq}: no series covers one whole period")
    if gone.any():
        names = pd.Index(ids)[gone].tolist()
        message = f"{len(names)} series cover no whole period and were left out: {', '.join(map(str, names[:5]))}"
        findings.append(Finding("partial", message, f"{setting}={freq}", "repair", {"ids": names[:5]}))
    renumber = np.cumsum(~gone) - 1
    inside = (bins.number >= first[codes]) & (bins.number <= last[codes])
    _check_number((last - first)[~gone], f"{setting}={freq}")
    frame, origin = _long(first[~gone], last[~gone], bins, pd.Index(ids)[~gone])
    where = origin[renumber[codes[inside]]] + bins.number[inside]
    sums = np.bincount(where, weights=df["y"].to_numpy()[inside], minlength=len(frame))
    frame["y"] = np.where(np.bincount(where, minlength=len(frame)) > 0, sums, np.nan)
    level = "info" if source else "warning"
    words = "values were summed" if source else "the times are irregular: the values that happen to be there were summed"
    findings.insert(0, Finding("resample", f"{words} per {calendar.text(bins.step)}", f"{setting}={freq}", level))
    return frame, findings


def _check_coarser(source: str, step: Step, freq: str) -> None:
    """Sums make sense only over periods longer than the steps of the series."""
    days = {"tick": 1 / DAY, "day": 1.0, "business": 1.0, "month": frequency.MONTH_DAYS}
    have = calendar.parse(source)
    if have.num * days[have.kind] > step.num * days[step.kind]:
        raise DataError(f"read.resample={freq} is shorter than the steps of the series ({source}): choose a longer period")


def _partial_ends(stamps: Any, starts: np.ndarray, ends: np.ndarray, source: str, bins: Bins) -> np.ndarray:
    """int [2, S]: 1 where the stamp before the first (after the last) of a series would belong to the same period."""
    index = pd.DatetimeIndex(stamps)
    step = calendar.parse(source)
    result = np.zeros((2, len(starts)), dtype=np.int64)
    for side, (rows, shift) in enumerate(((starts, -step.num), (ends, step.num))):
        edge = index[rows]
        outside = calendar.from_ordinals(calendar.ordinals(edge, step) + shift, step, calendar.wall(edge) % DAY, index.tz)
        within, beyond = (bins.number_of(pd.DatetimeIndex(part)) for part in (edge, outside))
        result[side] = within == beyond
    return result
