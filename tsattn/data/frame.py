"""Rows -> the long frame: each series on its full time grid, NaN the only marker of a missing value.

Everything decided here (frequency, season, whole numbers, gaps) is decided from the rows given and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsattn.config import CovariatesConfig, ReadConfig
from tsattn.data import bins, calendar, cycles, describe, frequency
from tsattn.data.calendar import DAY
from tsattn.data.declared import PREFIX, WEIGHT, further_columns, report_missing
from tsattn.data.findings import DataError, Finding
from tsattn.data.panel import PART
from tsattn.data.raw.load import release_memory
from tsattn.data.reach import check_reach, check_size
from tsattn.data.read import Names, Rows, read


class Frame(NamedTuple):
    """Series on their grids: unique_id, ds, y, ids in order of first appearance, each sorted by ds without a gap.

    The columns `x:<name>` of the covariates stand behind them as in `Rows`; in rows that were added for a gap the past and
    known ones are missing, the static ones are those of the series.
    """

    df: pd.DataFrame
    lengths: np.ndarray  # [S] int64: rows of each series
    freq: str
    season_length: int
    integer: bool  # every observed y is a whole number >= 0
    names: Names
    findings: tuple[Finding, ...]
    weights: np.ndarray | None = None  # [S] float64: `read.weight` of each series
    regular: bool = True  # False with read.missing=skip: the rows as they are, `freq` being their usual step


def to_rows(
    data: Any,
    config: ReadConfig | None = None,
    known: Names | None = None,
    covariates: CovariatesConfig | None = None,
    *,
    texts: Collection[str] | None = None,
) -> Rows:
    """`read`, then events counted per period (`read.count_per`) or values summed over longer ones (`read.resample`)."""
    config = config or ReadConfig()
    rows = read(data, config, known, covariates, texts=texts)
    if len(rows.df) > PART:
        release_memory()
    if config.count_per:
        df, findings = bins.count_events(rows.df, config.count_per)
        period = calendar.text(bins.period_step(config.count_per, "read.count_per"))
        rows = rows._replace(df=_weighted(df, rows.df), names=replace(rows.names, value="count"), freq=period)
        return rows._replace(findings=(*rows.findings, *findings))
    if config.resample:
        df, findings = _resampled(rows.df, config)
        period = calendar.text(bins.period_step(config.resample, "read.resample"))
        return rows._replace(df=_weighted(df, rows.df), findings=(*rows.findings, *findings), freq=period)
    return rows


def _weighted(df: pd.DataFrame, before: pd.DataFrame) -> pd.DataFrame:
    """Counted or summed rows with the weights that their series had."""
    if WEIGHT not in before:
        return df
    weights = dict(zip(before["unique_id"], before[WEIGHT], strict=True))
    return df.assign(**{WEIGHT: [weights[name] for name in df["unique_id"]]})


def _resampled(df: pd.DataFrame, config: ReadConfig) -> tuple[pd.DataFrame, list[Finding]]:
    """(sums per `read.resample` period, findings); what is missing is settled by `read.missing` before it is summed."""
    assert config.resample is not None
    findings: list[Finding] = []
    if df["ds"].dtype == "int64":
        raise DataError(f"read.resample={config.resample} needs dates, but the time is made of whole numbers")
    df, codes, _ = _sorted(df, findings)
    df, codes = _without_duplicates(df, codes, config.duplicates, findings)
    check_reach(df, codes, findings, refuse=config.missing == "mask")
    freq = frequency.infer_freq(pd.Index(df["ds"]), codes)
    where = calendar.positions(pd.Index(df["ds"]), freq, codes)
    regular = _off_grid(df, codes, where) is None
    num_new = 0
    if regular:
        df, _, added = _full_grid(df, codes, freq, where.index)
        num_new = int(added.sum())
        describe.report_gaps(df, added, freq, config, findings)
    blank = int(np.isnan(df["y"].to_numpy()).sum()) - num_new
    describe.report_missing(blank, len(df), config, findings, onward=True)
    binned, more = bins.resample(df.assign(y=filled_onward(df, config.missing)), config.resample, freq if regular else None)
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
    check_reach(df, codes, findings, refuse=config.missing == "mask" and rows.freq is None)
    static = [f"{PREFIX}{name}" for name in rows.covariates.static] if rows.covariates else []
    if config.missing == "skip":
        freq = freq or rows.freq or frequency.usual_step(pd.Index(df["ds"]), codes)
        (gapless, codes), num_new = _as_they_are(df, codes, freq, findings), 0
        lengths = np.bincount(codes)
    else:
        freq, index = _frequency(df, codes, freq, rows.freq, findings)
        gapless, lengths, added = _full_grid(df, codes, freq, index, [*static, WEIGHT])
        num_new = int(added.sum())
        describe.report_gaps(gapless, added, freq, config, findings)
        del index, added
    del df, codes  # of many rows, as `index` and `added`
    num_missing = int(np.isnan(gapless["y"].to_numpy()).sum())
    if num_missing and config.missing in ("zero", "ffill"):
        gapless["y"] = _filled(gapless, config.missing)
    describe.report_series(gapless, ids, lengths, num_missing, num_new, config, findings)
    integer = _are_counts(gapless["y"].to_numpy())
    if integer:
        findings.append(Finding("integer", "all values are whole numbers that are not negative: counts", "model.head=quantile"))
    season, reason = cycles.season_length(freq, int(lengths.max()))
    if config.missing == "skip":
        season, reason = 1, "rows on no grid have no season in rows"
    findings.append(
        Finding("season", f"season_length is {season}: {reason}", "season_length=1", details={"season_length": season})
    )
    if rows.covariates is not None:
        report_missing(gapless, rows.covariates, findings)
    weights = gapless.pop(WEIGHT).to_numpy()[np.cumsum(lengths) - lengths] if WEIGHT in gapless else None
    regular = config.missing != "skip"
    return Frame(gapless, lengths, freq, season, integer, rows.names, (*rows.findings, *findings), weights, regular)


def _are_counts(y: np.ndarray) -> bool:
    """Whether every value is a whole number of 0 or more, and there is one."""
    parts = (y[begin : begin + PART] for begin in range(0, len(y), PART))
    return bool(np.fmin.reduce(y) >= 0) and all(bool(((np.rint(part) == part) | np.isnan(part)).all()) for part in parts)


# ---- order and duplicates ----------------------------------------------------------------------------------------------


def _sorted(df: Any, findings: list[Finding]) -> tuple[pd.DataFrame, np.ndarray, pd.Index]:
    """(rows with series together in order of first appearance and in time order, series number per row, ids)."""
    first = np.flatnonzero(describe.starts(df))
    numbers, ids = pd.factorize(df["unique_id"].to_numpy()[first])
    if (numbers < 0).any():
        raise DataError("a row has no id")
    codes, stamps = np.repeat(numbers.astype(np.int32), np.diff(np.r_[first, len(df)])), describe.stamp_values(df["ds"])
    columns = ["unique_id", "ds", "y", *further_columns(df)]
    df = df if [*df.columns] == columns else df[columns]
    if len(ids) == len(first) and not ((stamps[1:] < stamps[:-1]) & (codes[1:] == codes[:-1])).any():
        return df.reset_index(drop=True), codes, pd.Index(ids)
    by_id = np.argsort(codes, kind="stable")
    wrong = int(((np.diff(stamps[by_id]) < 0) & (np.diff(codes[by_id]) == 0)).sum())
    order = np.lexsort((stamps, codes)) if wrong else by_id
    if wrong:
        message = f"rows were not in time order ({wrong} steps back) and have been sorted"
        findings.append(Finding("order", message, "", "repair", {"steps_back": wrong}))
    return df.iloc[order].reset_index(drop=True), codes[order], pd.Index(ids)


def _without_duplicates(df: Any, codes: np.ndarray, rule: str, findings: list[Finding]) -> tuple[pd.DataFrame, np.ndarray]:
    """One row per id and time, by the rule `read.duplicates` with the last covariates; "error" names the first five."""
    stamps = describe.stamp_values(df["ds"])
    repeats = np.r_[False, (stamps[1:] == stamps[:-1]) & (codes[1:] == codes[:-1])]
    if not repeats.any():
        return df, codes
    rows = np.flatnonzero(repeats)
    firsts = describe.places(df, rows)
    message = f"{len(rows)} rows repeat the id and time of another row: {', '.join(firsts)}"
    if rule == "error":
        same = df["unique_id"].nunique() == 1
        hint = ", read.id= if a column names the series" if same else ""
        hint += ", read.tz= if a clock was put back" if df["ds"].dtype != "int64" and (stamps % DAY).any() else ""
        raise DataError(f"{message}; set read.duplicates=sum, mean or last{hint}, or read.count_per=D if rows are events")
    group = np.cumsum(~repeats) - 1
    keep = df[~repeats].reset_index(drop=True)
    grouped = df["y"].groupby(group)
    keep["y"] = {"sum": lambda: grouped.sum(min_count=1), "mean": grouped.mean, "last": lambda: grouped.nth(-1)}[
        rule
    ]().to_numpy()
    last = df[np.r_[~repeats[1:], True]]
    for name in further_columns(df):
        keep[name] = last[name].array
    findings.append(Finding("duplicates", f"{message}; read.duplicates={rule} was applied", "read.duplicates=error", "repair"))
    return keep, codes[~repeats]


# ---- frequency ---------------------------------------------------------------------------------------------------------


def _frequency(
    df: pd.DataFrame, codes: np.ndarray, given: str | None, period: str | None, findings: list[Finding]
) -> tuple[str, np.ndarray]:
    """(the frequency, which step of its series each row is, [N]): every stamp lies on the grid.

    `given` is the frequency of a trained model, `period` that of counted rows.
    """
    stamps = calendar.stamps_of(df)
    is_int = stamps.dtype == "int64"
    if given is not None and period is not None and calendar.canonical(given) != period:
        raise DataError(f"the rows were counted or summed per {period}, but the model was trained on steps of {given}")
    if given is not None:
        freq = calendar.canonical(given)
        if is_int != (calendar.parse(freq).kind == "int"):
            have = "whole numbers" if is_int else "dates"
            raise DataError(f"the model was trained on times of frequency {freq}, but these times are {have}")
    else:
        freq = period or frequency.infer_freq(stamps, codes)
    where = calendar.positions(stamps, freq, codes)
    problem = _off_grid(df, codes, where)
    if problem is not None and given is not None:
        raise DataError(f"the stamps do not fit the frequency {freq} of the trained model: {problem}")
    if given is not None:
        _check_steps(where.index, codes, freq)
    if problem is not None:
        period = _fitting_period(df["ds"], codes)
        hint = f"; read.resample={period} sums values per period, read.count_per={period} counts rows" if period else ""
        hint += "; read.missing=skip takes the rows at their own times (train on them with model.positional=calendar)"
        if isinstance(stamps.dtype, pd.DatetimeTZDtype):
            hint += "; if days begin at another hour in winter than in summer, name their zone with read.tz="
        raise DataError(f"the times follow no regular grid; most steps are {freq}, but {problem}{hint}")
    if given is None and period is not None:
        message = f"the frequency is {freq}, as the rows were counted or summed"
        findings.append(Finding("frequency", message, "read.count_per= read.resample=", details={"freq": freq}))
    elif given is None:
        describe.report_frequency(df, codes, freq, where.index, findings)
    return freq, where.index


def _check_steps(index: np.ndarray, codes: np.ndarray, freq: str) -> None:
    """Refuse rows that lie on the grid of a trained model but are mostly further apart: weeks for a model of days."""
    steps = np.diff(index)
    if steps.max(initial=1) == 1:  # no series has a gap
        return
    steps = steps[codes[1:] == codes[:-1]]
    if len(steps) >= 3 and (steps == 1).mean() < 0.5:
        usual = int(np.bincount(steps[steps > 0]).argmax()) if (steps > 0).any() else 0
        raise DataError(f"most rows are {usual} steps of {freq} apart, but the model was trained on rows one step apart")


def _off_grid(df: pd.DataFrame, codes: np.ndarray, where: calendar.Positions) -> str | None:
    """What speaks against the grid that the rows have these places on, or None."""
    if not where.fits.all():
        rows = np.flatnonzero(~where.fits)
        firsts = ", ".join(describe.places(df, rows))
        return f"{len(rows)} of {len(df)} rows lie off it: {firsts}"
    last = np.r_[codes[1:] != codes[:-1], True]
    total = sum((where.index[last] + 1).tolist())  # of many far series beyond int64
    if total <= 10 * len(df):
        return None
    steps = np.diff(where.index)[~last[:-1]]
    single = float((steps == 1).mean()) if len(steps) else 1.0
    if (len(df) > 5 and single < 0.5) or total > 50 * len(df) + 1_000_000:
        inner = np.flatnonzero(~last[:-1])
        widest = describe.places(df, inner[[steps.argmax()]] + 1)[0]
        return f"only {len(df)} of {total} steps have a row, the widest gap being the one before {widest}"
    return None


def _fitting_period(ds: Any, codes: np.ndarray) -> str | None:
    """A calendar period that holds about one of the usual steps, or a few."""
    if ds.dtype == "int64":
        return None
    steps = np.diff(describe.stamp_values(ds))[codes[1:] == codes[:-1]]
    typical = float(np.median(steps)) if len(steps) else DAY
    sizes = {"h": DAY / 24, "D": DAY, "W-MON": 7 * DAY, "MS": 31 * DAY}
    return next((name for name, size in sizes.items() if typical <= 1.1 * size), "YS")


# ---- grid --------------------------------------------------------------------------------------------------------------


def _full_grid(
    df: pd.DataFrame, codes: np.ndarray, freq: str, index: np.ndarray, constant: Collection[str] = ()
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """(each series from its first to its last stamp without a gap, rows of each [S], which of all rows were added).

    A row is step `index` of its series.

    Added rows have NaN, or None where a column holds text; of the `constant` columns they have the value of their series.
    """
    starts = np.r_[True, codes[1:] != codes[:-1]]
    lengths = index[np.r_[starts[1:], True]] + 1
    total = sum(lengths.tolist())
    if total == len(df):
        return df, lengths, np.zeros(total, bool)
    check_size(total, len(df), len(lengths), freq)
    first, rows = np.flatnonzero(starts), pd.Index(df["ds"])
    stamps = calendar.grid(rows[first], lengths, freq, calendar.clocks(rows, freq, codes)[first])
    where = (np.cumsum(lengths) - lengths)[np.cumsum(starts) - 1] + index
    ids = pd.Series(np.repeat(df["unique_id"].to_numpy()[first], lengths), dtype=object)
    full: dict[str, Any] = {"unique_id": ids, "ds": stamps}
    for name in ("y", *further_columns(df)):
        values = df[name].to_numpy()
        if name in constant:
            placed = np.repeat(values[first], lengths)
        else:
            placed = np.full(total, None if values.dtype == object else np.nan, dtype=values.dtype)
            placed[where] = values
        full[name] = pd.Series(placed, dtype=values.dtype)
    added = np.ones(total, bool)
    added[where] = False
    return pd.DataFrame(full), lengths, added


def _as_they_are(df: pd.DataFrame, codes: np.ndarray, freq: str, findings: list[Finding]) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows that hold a value, at their own times, and their codes; of a series without any value its last row."""
    known = df["y"].notna().to_numpy()
    kept = known | ~np.isin(codes, codes[known]) & np.r_[codes[1:] != codes[:-1], True]
    left_out = int((~kept).sum())
    message = f"the {int(kept.sum())} rows with a value are taken at their own times, a usual step being {freq}"
    message += f"; {left_out} rows without a value are left out" * bool(left_out)
    findings.append(Finding("frequency", message, "read.missing=mask", details={"freq": freq, "left_out": left_out}))
    return df.loc[kept].reset_index(drop=True), codes[kept]


def _filled(df: pd.DataFrame, rule: str) -> np.ndarray:
    """y with missing values inside a series replaced by 0 or the value before them; none before its first, after its last."""
    backward = df["y"].groupby(np.cumsum(describe.starts(df)), sort=False).bfill()
    return np.where(backward.notna(), filled_onward(df, rule), np.nan)


def filled_onward(df: pd.DataFrame, rule: str) -> np.ndarray:
    """y with all missing values after the first value of a series replaced: what comes later has no say."""
    y = df["y"].to_numpy()
    if rule in ("mask", "skip"):
        return y
    forward = df["y"].groupby(np.cumsum(describe.starts(df)), sort=False).ffill().to_numpy()
    return forward if rule == "ffill" else np.where(np.isnan(y) & ~np.isnan(forward), 0.0, y)
