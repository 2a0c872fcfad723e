"""Rows -> the long frame: each series on its full time grid, NaN the only marker of a missing value.

Everything decided here (frequency, season, whole numbers, gaps) is decided from the rows given and nothing else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsattn.config import ReadConfig
from tsattn.data import bins, calendar
from tsattn.data.calendar import DAY
from tsattn.data.findings import DataError, Finding
from tsattn.data.read import Names, Rows, read

SHORT = 10


class Frame(NamedTuple):
    """Series on their grids: unique_id, ds, y, ids in order of first appearance, each sorted by ds without a gap."""

    df: pd.DataFrame
    freq: str
    season_length: int
    integer: bool  # every observed y is a whole number >= 0
    names: Names
    findings: tuple[Finding, ...]


def to_rows(data: Any, config: ReadConfig | None = None) -> Rows:
    """`read`, then events counted per period (`read.count_per`) or values summed over longer ones (`read.resample`)."""
    config = config or ReadConfig()
    rows = read(data, config)
    if config.count_per:
        df, findings = bins.count_events(rows.df, config.count_per)
        names = Names(rows.names.id, rows.names.time, "count")
        return Rows(df, names, (*rows.findings, *findings))
    if config.resample:
        df, findings = _resampled(rows.df, config)
        return Rows(df, rows.names, (*rows.findings, *findings))
    return rows


def _resampled(df: pd.DataFrame, config: ReadConfig) -> tuple[pd.DataFrame, list[Finding]]:
    assert config.resample is not None
    findings: list[Finding] = []
    if df["ds"].dtype == "int64":
        raise DataError(f"read.resample={config.resample} needs dates, but the time is made of whole numbers")
    df, codes, _ = _sorted(df, findings)
    df, codes = _without_duplicates(df, codes, config.duplicates, findings)
    freq = calendar.infer_freq(pd.Index(df["ds"]), codes)
    if _off_grid(df, codes, freq) is not None:
        binned, more = bins.resample(df, config.resample, None)
        return binned, findings + more
    df, _ = _full_grid(df, codes, freq)
    df["y"] = _filled(df, config.missing)
    binned, more = bins.resample(df, config.resample, freq)
    return binned, findings + more


def to_frame(rows: Rows, config: ReadConfig | None = None, *, freq: str | None = None) -> Frame:
    """The rows on their full grid, with what was found in them.

    `freq` is the frequency of a trained model; stamps that do not lie on it are an error. `DataError` for duplicates (unless
    `read.duplicates` settles them) and for stamps on no grid.
    """
    config = config or ReadConfig()
    findings: list[Finding] = []
    if len(rows.df) == 0:
        raise DataError("there are no rows to forecast from")
    df, codes, ids = _sorted(rows.df, findings)
    df, codes = _without_duplicates(df, codes, config.duplicates, findings)
    given = freq
    freq = _frequency(df, codes, given, findings)
    gapless, num_new = _full_grid(df, codes, freq)
    _report_gaps(df, gapless, num_new, freq, config, findings)
    missing = gapless["y"].isna().to_numpy()
    if config.missing != "mask":
        gapless["y"] = _filled(gapless, config.missing)
    lengths = np.diff(np.r_[np.flatnonzero(_starts(gapless)), len(gapless)])
    _report_series(gapless, ids, lengths, missing, num_new, config, findings)
    observed = gapless["y"].to_numpy()[~np.isnan(gapless["y"].to_numpy())]
    integer = bool(len(observed) and (observed >= 0).all() and (observed % 1 == 0).all())
    if integer:
        findings.append(Finding("integer", "all values are whole numbers that are not negative: counts", "model.head="))
    season, reason = calendar.season_length(freq, int(lengths.max()))
    findings.append(
        Finding("season", f"season_length is {season}: {reason}", "season_length=", details={"season_length": season})
    )
    return Frame(gapless, freq, season, integer, rows.names, (*rows.findings, *findings))


# ---- order and duplicates ----------------------------------------------------------------------------------------------


def _starts(df: pd.DataFrame) -> np.ndarray:
    """True on the first row of each series of a frame whose series are together."""
    ids = df["unique_id"].to_numpy()
    return np.r_[True, ids[1:] != ids[:-1]]


def _stamp_values(ds: Any) -> np.ndarray:
    return ds.to_numpy(dtype=np.int64) if ds.dtype == "int64" else calendar.instants(pd.DatetimeIndex(ds))


def _sorted(df: Any, findings: list[Finding]) -> tuple[pd.DataFrame, np.ndarray, pd.Index]:
    """(rows with series together in order of first appearance and in time order, series number per row, ids)."""
    codes, ids = pd.factorize(df["unique_id"])
    if (codes < 0).any():
        raise DataError("a row has no id")
    stamps = _stamp_values(df["ds"])
    df = df[["unique_id", "ds", "y"]]
    together = (np.diff(codes) >= 0).all()
    falling = np.diff(stamps) < 0
    if together and not falling[np.diff(codes) == 0].any():
        return df.reset_index(drop=True), codes, pd.Index(ids)
    order = np.lexsort((stamps, codes))
    by_id = np.argsort(codes, kind="stable")
    wrong = int(((np.diff(stamps[by_id]) < 0) & (np.diff(codes[by_id]) == 0)).sum())
    if wrong:
        message = f"rows were not in time order ({wrong} steps back) and have been sorted"
        findings.append(Finding("order", message, "", "repair", {"steps_back": wrong}))
    return df.iloc[order].reset_index(drop=True), codes[order], pd.Index(ids)


def _without_duplicates(df: Any, codes: np.ndarray, rule: str, findings: list[Finding]) -> tuple[pd.DataFrame, np.ndarray]:
    """One row per id and time, by the rule `read.duplicates`; "error" names the first five."""
    stamps = _stamp_values(df["ds"])
    repeats = np.r_[False, (np.diff(codes) == 0) & (np.diff(stamps) == 0)]
    if not repeats.any():
        return df, codes
    rows = np.flatnonzero(repeats)
    firsts = _places(df, rows)
    message = f"{len(rows)} rows repeat the id and time of another row: {', '.join(firsts)}"
    if rule == "error":
        same = df["unique_id"].nunique() == 1
        hint = ", read.id= if a column names the series" if same else ""
        raise DataError(f"{message}; set read.duplicates=sum, mean or last{hint}, or read.count_per=D if rows are events")
    group = np.cumsum(~repeats) - 1
    keep = df[~repeats].reset_index(drop=True)
    grouped = df["y"].groupby(group)
    keep["y"] = {"sum": lambda: grouped.sum(min_count=1), "mean": grouped.mean, "last": lambda: grouped.nth(-1)}[
        rule
    ]().to_numpy()
    findings.append(Finding("duplicates", f"{message}; read.duplicates={rule} was applied", "read.duplicates=", "repair"))
    return keep, codes[~repeats]


def _written(stamp: Any) -> str:
    """A stamp in words, without a clock where it is midnight."""
    if not isinstance(stamp, pd.Timestamp):
        return str(stamp)
    return f"{stamp:%Y-%m-%d}" if stamp.tz is None and stamp == stamp.normalize() else str(stamp)


def _places(df: pd.DataFrame, rows: np.ndarray) -> list[str]:
    """The first five rows by id (where there are several) and time."""
    ids, stamps = df["unique_id"], df["ds"]
    several = ids.iloc[0] != ids.iloc[-1]
    return [f"{ids.iloc[row]} at {_written(stamps.iloc[row])}" if several else _written(stamps.iloc[row]) for row in rows[:5]]


# ---- frequency ---------------------------------------------------------------------------------------------------------


def _frequency(df: pd.DataFrame, codes: np.ndarray, given: str | None, findings: list[Finding]) -> str:
    """The frequency of the rows, checked: every stamp lies on its grid, and the grid is not mostly empty by accident."""
    is_int = df["ds"].dtype == "int64"
    if given is not None:
        freq = calendar.canonical(given)
        if is_int != (calendar.parse(freq).kind == "int"):
            have = "whole numbers" if is_int else "dates"
            raise DataError(f"the model was trained on times of frequency {freq}, but these times are {have}")
    else:
        freq = calendar.infer_freq(pd.Index(df["ds"]), codes)
    problem = _off_grid(df, codes, freq)
    if problem is not None and given is not None:
        raise DataError(f"the stamps do not fit the frequency {freq} of the trained model: {problem}")
    if problem is not None:
        period = _fitting_period(df["ds"], codes)
        hint = f"; read.resample={period} sums values per period, read.count_per={period} counts rows" if period else ""
        if isinstance(df["ds"].dtype, pd.DatetimeTZDtype):
            hint += "; if days begin at another hour in winter than in summer, name their zone with read.tz="
        raise DataError(f"the times follow no regular grid; most steps are {freq}, but {problem}{hint}")
    if given is None:
        _report_frequency(df, codes, freq, findings)
    return freq


def _off_grid(df: pd.DataFrame, codes: np.ndarray, freq: str) -> str | None:
    """What speaks against the grid `freq`, or None."""
    where = calendar.positions(pd.Index(df["ds"]), freq, codes)
    if not where.fits.all():
        rows = np.flatnonzero(~where.fits)
        firsts = ", ".join(_places(df, rows))
        return f"{len(rows)} of {len(df)} rows lie off it: {firsts}"
    last = np.r_[np.diff(codes) != 0, True]
    total = int((where.index[last] + 1).sum())
    steps = np.diff(where.index)[~last[:-1]]
    single = float((steps == 1).mean()) if len(steps) else 1.0
    if len(df) > 5 and ((total > 10 * len(df) and single < 0.5) or total > 50 * len(df) + 1_000_000):
        return f"only {len(df)} of {total} steps have a row"
    return None


def _fitting_period(ds: Any, codes: np.ndarray) -> str | None:
    """A calendar period that holds a few of the usual steps."""
    if ds.dtype == "int64":
        return None
    steps = np.diff(_stamp_values(ds))[np.diff(codes) == 0]
    typical = float(np.median(steps)) if len(steps) else DAY
    sizes = {"h": DAY / 24, "D": DAY, "W-MON": 7 * DAY, "MS": 31 * DAY}
    return next((name for name, size in sizes.items() if 2 * typical <= size), "YS")


def _report_frequency(df: pd.DataFrame, codes: np.ndarray, freq: str, findings: list[Finding]) -> None:
    index = calendar.positions(pd.Index(df["ds"]), freq, codes).index
    steps = np.diff(index)[np.diff(codes) == 0]
    if len(steps) == 0:
        message = f"each series has one row only, so its frequency is unknown; {freq} was assumed"
        findings.append(Finding("frequency", message, "", "warning", {"freq": freq}))
        return
    if len(steps) == 1 and len(df) == 2:
        message = f"two rows show a single step, so the frequency {freq} is a guess"
        findings.append(Finding("frequency", message, "", "warning", {"freq": freq}))
        return
    share = float((steps == 1).mean())
    details = {"freq": freq, "share": round(share, 4)}
    usual = "all steps" if share == 1 else f"{int((steps == 1).sum())} of {len(steps)} steps"
    findings.append(Finding("frequency", f"the frequency is {freq} ({usual})", "read.resample=", details=details))
    other = _other_frequencies(index, codes, df)
    if other:
        message = f"{len(other)} series have other usual steps than {freq}, e.g. {', '.join(other[:5])}"
        findings.append(Finding("frequency", message, "read.resample=", "warning", {"ids": other[:5]}))


def _other_frequencies(index: np.ndarray, codes: np.ndarray, df: pd.DataFrame) -> list[str]:
    """Ids of the series in which hardly any step is a single one."""
    inner = np.diff(codes) == 0
    series = codes[1:][inner]
    num = np.bincount(series, minlength=codes.max() + 1)
    single = np.bincount(series, weights=np.diff(index)[inner] == 1, minlength=codes.max() + 1)
    odd = np.flatnonzero((num >= 3) & (single == 0))
    first_rows = np.searchsorted(codes, odd)
    return df["unique_id"].iloc[first_rows].tolist()


# ---- grid --------------------------------------------------------------------------------------------------------------


def _full_grid(df: pd.DataFrame, codes: np.ndarray, freq: str) -> tuple[pd.DataFrame, int]:
    """(each series from its first to its last stamp without a gap, number of rows added with NaN)."""
    index = calendar.positions(pd.Index(df["ds"]), freq, codes).index
    starts = np.r_[True, np.diff(codes) != 0]
    lengths = index[np.r_[starts[1:], True]] + 1
    total = int(lengths.sum())
    if total == len(df):
        return df.copy(), 0
    first = np.flatnonzero(starts)
    stamps = calendar.grid(pd.Index(df["ds"].iloc[first]), lengths, freq)
    where = (np.cumsum(lengths) - lengths)[np.cumsum(starts) - 1] + index
    y = np.full(total, np.nan)
    y[where] = df["y"].to_numpy()
    ids = pd.Series(np.repeat(df["unique_id"].to_numpy()[first], lengths), dtype=object)
    return pd.DataFrame({"unique_id": ids, "ds": stamps, "y": y}), total - len(df)


def _filled(df: pd.DataFrame, rule: str) -> np.ndarray:
    """y with missing values inside a series replaced by 0 or the value before them; none before its first, after its last."""
    if rule == "mask":
        return df["y"].to_numpy()
    grouped = df["y"].groupby(np.cumsum(_starts(df)), sort=False)
    forward = grouped.ffill()
    inside = forward.notna() & grouped.bfill().notna()
    fill = forward if rule == "ffill" else pd.Series(0.0, index=df.index)
    return df["y"].where(~(df["y"].isna() & inside), fill).to_numpy()


# ---- findings ----------------------------------------------------------------------------------------------------------


def _report_gaps(
    before: pd.DataFrame, after: pd.DataFrame, num_new: int, freq: str, config: ReadConfig, findings: list[Finding]
) -> None:
    if not num_new:
        return
    known = pd.MultiIndex.from_arrays([before["unique_id"], _stamp_values(before["ds"])])
    whole = pd.MultiIndex.from_arrays([after["unique_id"], _stamp_values(after["ds"])])
    new = np.flatnonzero(~whole.isin(known))
    firsts = _places(after, new)
    taken = {"mask": "they count as unknown; if no row means zero, set read.missing=zero", "zero": "they were set to zero"}
    reading = taken.get(config.missing, "they were given the value before them")
    more = " ..." if num_new > 5 else ""
    message = f"{num_new} of {len(after)} times ({freq}) have no row: {', '.join(firsts)}{more}; {reading}"
    override = "read.missing=zero" if config.missing != "zero" else "read.missing=mask"
    findings.append(Finding("gaps", message, override, "repair", {"missing_rows": num_new, "first": firsts}))


def _report_series(
    df: pd.DataFrame,
    ids: pd.Index,
    lengths: np.ndarray,
    missing: np.ndarray,
    num_new: int,
    config: ReadConfig,
    findings: list[Finding],
) -> None:
    span = f"{_written(df['ds'].min())} to {_written(df['ds'].max())}"
    rows = str(lengths[0]) if len(set(lengths.tolist())) == 1 else f"{lengths.min()} to {lengths.max()}"
    details = {"series": len(ids), "rows": int(lengths.sum()), "shortest": int(lengths.min()), "longest": int(lengths.max())}
    noun = "series" if len(ids) == 1 else "series, each"
    findings.insert(0, Finding("series", f"{len(ids)} {noun} of {rows} rows, {span}", "", details=details))
    blank = int(missing.sum()) - num_new
    if blank:
        reading = {"mask": "they count as unknown", "zero": "those inside a series were set to zero"}
        words = reading.get(config.missing, "those inside a series were given the value before them")
        share = blank / len(df)
        message = f"{blank} of {len(df)} values are missing ({share:.1%}); {words}"
        findings.append(Finding("missing", message, "read.missing=", "repair", {"missing_values": blank}))
    codes = np.repeat(np.arange(len(lengths)), lengths)
    _report_short(ids, lengths, findings)
    _report_constant(df["y"].to_numpy(), codes, ids, findings)
    _report_last(df["y"].to_numpy(), lengths, ids, findings)


def _named(topic: str, words: str, ids: pd.Index, chosen: np.ndarray, findings: list[Finding], override: str = "") -> None:
    """One warning for all series concerned, the first five by name."""
    if chosen.any():
        names = [str(name) for name in ids[chosen][:5]]
        more = " ..." if chosen.sum() > 5 else ""
        which = f": {int(chosen.sum())} of {len(ids)} series ({', '.join(names)}{more})" if len(ids) > 1 else ""
        details = {"series": int(chosen.sum()), "ids": names}
        findings.append(Finding(topic, f"{words}{which}", override, "warning", details))


def _report_short(ids: pd.Index, lengths: np.ndarray, findings: list[Finding]) -> None:
    _named("short", f"fewer than {SHORT} rows", ids, lengths < SHORT, findings)


def _report_constant(y: np.ndarray, codes: np.ndarray, ids: pd.Index, findings: list[Finding]) -> None:
    low, high = np.full(len(ids), np.inf), np.full(len(ids), -np.inf)
    known = ~np.isnan(y)
    np.minimum.at(low, codes[known], y[known])
    np.maximum.at(high, codes[known], y[known])
    _named("missing", "no value at all", ids, np.isinf(low), findings)
    several = np.bincount(codes[known], minlength=len(ids)) > 1
    _named("constant", "always the same value", ids, (low == high) & several, findings)


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
