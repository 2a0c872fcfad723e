"""What there is to say about series on a grid: span, frequency, gaps, missing values, short and constant series."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tsattn.config import ReadConfig
from tsattn.data import calendar
from tsattn.data.findings import Finding
from tsattn.data.panel import PART

SHORT = 10
CODES = (-99, -999, -9999)  # numbers that stand for missing values in many files


def starts(df: pd.DataFrame) -> np.ndarray:
    """True on the first row of each series of a frame whose series are together."""
    ids = df["unique_id"].to_numpy()
    return np.r_[True, ids[1:] != ids[:-1]]


def stamp_values(ds: Any) -> np.ndarray:
    """Whole numbers that order the times of a column as it is: nanoseconds since 1970 in UTC, int64 [N]."""
    if ds.dtype == "int64":
        return ds.to_numpy()
    return ds.to_numpy().view(np.int64) if ds.dtype == "datetime64[ns]" else calendar.instants(pd.DatetimeIndex(ds))


def places(df: pd.DataFrame, rows: np.ndarray) -> list[str]:
    """The first five rows by id (where there are several) and time."""
    ids, stamps = df["unique_id"], df["ds"]
    several = ids.iloc[0] != ids.iloc[-1]
    return [
        f"{ids.iloc[row]} at {calendar.written(stamps.iloc[row])}" if several else calendar.written(stamps.iloc[row])
        for row in rows[:5]
    ]


def report_frequency(df: pd.DataFrame, codes: np.ndarray, freq: str, index: np.ndarray, findings: list[Finding]) -> None:
    num, num_single = 0, 0
    for begin in range(0, len(codes) - 1, PART):
        part = slice(begin, begin + PART + 1)
        inner = np.diff(codes[part]) == 0
        num, num_single = num + int(inner.sum()), num_single + int((inner & (np.diff(index[part]) == 1)).sum())
    if num == 0:
        message = f"each series has one row only, so its frequency is unknown; {freq} was assumed"
        findings.append(Finding("frequency", message, "", "warning", {"freq": freq}))
        return
    if num == 1 and len(df) == 2:
        message = f"two rows show a single step, so the frequency {freq} is a guess"
        findings.append(Finding("frequency", message, "", "warning", {"freq": freq}))
        return
    share = num_single / num
    details = {"freq": freq, "share": round(share, 4)}
    usual = "all steps" if share == 1 else f"{num_single} of {num} steps"
    findings.append(Finding("frequency", f"the frequency is {freq} ({usual})", _longer(freq), details=details))
    other = _other_frequencies(index, codes, df) if share < 1 else []
    if other:
        message = f"{len(other)} series have other usual steps than {freq}, e.g. {', '.join(other[:5])}"
        findings.append(Finding("frequency", message, _longer(freq), "warning", {"ids": other[:5]}))


def _longer(freq: str) -> str:
    """The setting that sums up to the next longer usual period, if there is one."""
    step = calendar.parse(freq)
    if step.kind == "month":
        longer = "QS" if step.num == 1 else "YS" if step.num < 12 else ""
    elif step.kind == "day":
        longer = "W-MON" if step.num < 7 else "MS" if step.num < 28 else "YS" if step.num < 365 else ""
    else:
        longer = {"tick": "D", "business": "W-MON", "int": ""}[step.kind]
    return f"read.resample={longer}" if longer else ""


def _other_frequencies(index: np.ndarray, codes: np.ndarray, df: pd.DataFrame) -> list[str]:
    """Ids of the series in which hardly any step is a single one."""
    inner = codes[1:] == codes[:-1]
    series = codes[1:][inner]
    num = np.bincount(series, minlength=codes.max() + 1)
    single = np.bincount(series, weights=np.diff(index)[inner] == 1, minlength=codes.max() + 1)
    odd = np.flatnonzero((num >= 3) & (single == 0))
    first_rows = np.searchsorted(codes, odd)
    return df["unique_id"].iloc[first_rows].tolist()


def _other_rule(config: ReadConfig) -> str:
    """The other reading of what is missing."""
    return "read.missing=mask" if config.missing == "zero" else "read.missing=zero"


def report_gaps(df: pd.DataFrame, added: np.ndarray, freq: str, config: ReadConfig, findings: list[Finding]) -> None:
    new = np.flatnonzero(added)
    num_new = len(new)
    if not num_new:
        return
    firsts = places(df, new)
    taken = {"mask": "they count as unknown; if no row means zero, set read.missing=zero", "zero": "they were set to zero"}
    reading = taken.get(config.missing, "they were given the value before them")
    more = " ..." if num_new > 5 else ""
    message = f"{num_new} of {len(df)} times ({freq}) have no row: {', '.join(firsts)}{more}; {reading}"
    findings.append(Finding("gaps", message, _other_rule(config), "repair", {"missing_rows": num_new, "first": firsts}))


def report_series(
    df: pd.DataFrame,
    ids: pd.Index,
    lengths: np.ndarray,
    num_missing: int,
    num_new: int,
    config: ReadConfig,
    findings: list[Finding],
) -> None:
    """Say what the series are like; `num_missing` of their values were missing, `num_new` rows of these were added."""
    ds, y = df["ds"], df["y"].to_numpy()
    span = f"{calendar.written(ds.min())} to {calendar.written(ds.max())}"
    rows = str(lengths[0]) if len(set(lengths.tolist())) == 1 else f"{lengths.min()} to {lengths.max()}"
    details = {"series": len(ids), "rows": int(lengths.sum()), "shortest": int(lengths.min()), "longest": int(lengths.max())}
    noun = "series" if len(ids) == 1 else "series, each"
    findings.insert(0, Finding("series", f"{len(ids)} {noun} of {rows} rows, {span}", "", details=details))
    report_missing(num_missing - num_new, len(df), config, findings)
    _report_codes(y, findings)
    _report_short(ids, lengths, findings)
    _report_constant(y, lengths, ids, findings)
    _report_last(y, lengths, ids, findings)
    _report_open_end(y, lengths, ids, findings)


def report_missing(blank: int, num_rows: int, config: ReadConfig, findings: list[Finding], *, onward: bool = False) -> None:
    """Say that `blank` values are missing in rows that were there, and how they are taken.

    With `onward` all after the first value of a series are filled, before they are summed; else those before its last value.
    """
    if not blank:
        return
    which = "those after the first value of a series" if onward else "those inside a series"
    reading = {"zero": f"{which} were set to zero", "ffill": f"{which} were given the value before them"}
    words = reading.get(config.missing, "they count as unknown")
    message = f"{blank} of {num_rows} values are missing ({blank / num_rows:.1%}); {words}"
    findings.append(Finding("missing", message, _other_rule(config), "repair", {"missing_values": blank}))


def _named(topic: str, words: str, ids: pd.Index, chosen: np.ndarray, findings: list[Finding], override: str = "") -> None:
    """One warning for all series concerned, the first five by name."""
    if chosen.any():
        names = [str(name) for name in ids[chosen][:5]]
        more = " ..." if chosen.sum() > 5 else ""
        which = f": {int(chosen.sum())} of {len(ids)} series ({', '.join(names)}{more})" if len(ids) > 1 else ""
        details = {"series": int(chosen.sum()), "ids": names}
        findings.append(Finding(topic, f"{words}{which}", override, "warning", details))


def _report_codes(y: np.ndarray, findings: list[Finding]) -> None:
    """Warn of a number that many files write for a missing value, where no other value is below 0."""
    low = y[y < 0]
    if len(low) > 1 and low[0] in CODES and (low == low[0]).all() and (y >= 0).any():
        message = f"{len(low)} values are {low[0]:g}, far below all others: if they mean missing, leave them empty"
        findings.append(Finding("missing", message, "", "warning", {"code": float(low[0]), "values": len(low)}))


def _report_short(ids: pd.Index, lengths: np.ndarray, findings: list[Finding]) -> None:
    _named("short", f"fewer than {SHORT} rows", ids, lengths < SHORT, findings)


def _report_constant(y: np.ndarray, lengths: np.ndarray, ids: pd.Index, findings: list[Finding]) -> None:
    first = np.cumsum(lengths) - lengths
    low, high = np.fmin.reduceat(y, first), np.fmax.reduceat(y, first)  # NaN where there is no value
    _named("missing", "no value at all", ids, np.isnan(low), findings)
    several = np.add.reduceat(~np.isnan(y), first, dtype=np.int64) > 1
    _named("constant", "always the same value", ids, (low == high) & several, findings)


def _report_open_end(y: np.ndarray, lengths: np.ndarray, ids: pd.Index, findings: list[Finding]) -> None:
    """Warn of series whose last rows hold no value, as in a form that is filled in month by month."""
    ends, empty = np.cumsum(lengths), np.zeros(len(lengths), dtype=np.int64)
    for series in np.flatnonzero(np.isnan(y[ends - 1])):
        known = np.flatnonzero(~np.isnan(y[ends[series] - lengths[series] : ends[series]]))
        empty[series] = lengths[series] - 1 - known[-1] if len(known) else 0  # without any value: told of elsewhere
    most = int(empty.max())
    where, after = ("the last row holds", "it") if most == 1 else (f"the last {most} rows hold", "them")
    advice = "leave rows that are still to come out, or set read.missing=skip"
    _named("partial", f"{where} no value, and forecasts begin after {after}: {advice}", ids, empty > 0, findings)


def _report_last(y: np.ndarray, lengths: np.ndarray, ids: pd.Index, findings: list[Finding]) -> None:
    """Warn of a last value far below every one of the 28 before it: the period may not be over yet."""
    ends = np.cumsum(lengths)
    long_enough = np.flatnonzero(lengths >= 15)
    low = np.zeros(len(lengths), dtype=bool)
    if len(long_enough):
        back = np.minimum(lengths[long_enough], 29)
        columns = np.arange(29)[None, :]
        rows = ends[long_enough][:, None] - 1 - np.minimum(columns, back[:, None] - 1)
        recent = y[rows]
        before = np.where(columns[:, 1:] < back[:, None], recent[:, 1:], np.nan)
        least = np.where(np.isnan(before), np.inf, before).min(axis=1)
        low[long_enough] = (recent[:, 0] < 0.5 * least) & np.isfinite(least) & (least > 0)
    words = "last value below half of each of the 28 before it (is its period complete?)"
    _named("partial", words, ids, low, findings, "leave the last row out")
