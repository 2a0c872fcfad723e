"""Stamps placed in a zone: repeated hours told apart by the order of rows, hours that do not exist refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tsattn.data import calendar
from tsattn.data.findings import DataError


def to_zone(stamps: Any, tz: str, ids: np.ndarray | None, date_only: bool) -> pd.Series:
    """Aware stamps converted to `tz`; naive ones placed in it, the repeated autumn hour in the order of the rows.

    Without `ids` the rows are events, which may fall anywhere: of a repeated hour they take the first.
    """
    try:
        if stamps.dt.tz is not None:
            return stamps.dt.tz_convert(tz)
        pd.Timestamp(0).tz_localize(tz)
    except Exception as error:
        raise DataError(f"read.tz={tz} is not a known zone, e.g. UTC, Europe/Berlin, America/New_York") from error
    placed: Any = stamps.dt.tz_localize(tz, nonexistent="NaT", ambiguous=np.ones(len(stamps), dtype=bool))
    skipped = placed.isna()
    if bool(skipped.any()):
        if not date_only:
            raise DataError(_zone_problem("does not exist", stamps[skipped], tz, "the clock skips it: is this the zone?"))
        return stamps.dt.tz_localize(tz, nonexistent="shift_forward", ambiguous=np.ones(len(stamps), dtype=bool))
    repeated: Any = stamps.dt.tz_localize(tz, nonexistent="NaT", ambiguous="NaT").isna()
    if date_only or ids is None or not repeated.any():
        return placed
    summer = np.ones(len(stamps), dtype=bool)
    rows = pd.DataFrame({"id": ids, "ds": stamps})[repeated]
    single = rows.groupby(["id", "ds"], sort=False)["ds"].transform("size").to_numpy() != 2
    if single.any():
        hint = "the clock passes it twice: write UTC offsets"
        raise DataError(_zone_problem("is ambiguous", stamps[repeated][single], tz, hint))
    order = rows.groupby(["id", "ds"], sort=False).cumcount().to_numpy()
    falling = _falls(pd.factorize(ids)[0], calendar.wall(pd.DatetimeIndex(stamps)), repeated.to_numpy())
    if np.isnan(falling).any():
        hint = "the clock passes it twice: write UTC offsets, or sort the rows by time"
        raise DataError(_zone_problem("is ambiguous", stamps[repeated][np.isnan(falling)], tz, hint))
    summer[np.flatnonzero(repeated)] = order == falling
    return stamps.dt.tz_localize(tz, ambiguous=summer)


def _falls(codes: np.ndarray, clock: np.ndarray, repeated: np.ndarray) -> np.ndarray:
    """For each row of a repeated hour: whether the rows of its series fall in time on that day (1) or rise (0); NaN for both.

    Where the day has no other rows, all rows of the series are asked. Steps within the repeated hours have no say.
    """
    order = np.argsort(codes, kind="stable")
    series, now, inside = codes[order], clock[order], repeated[order]
    day = pd.factorize(pd.MultiIndex.from_arrays([series, now // calendar.DAY]))[0]
    steps = np.flatnonzero((series[1:] == series[:-1]) & ~(inside[1:] & inside[:-1])) + 1
    falls = now[steps] < now[steps - 1]
    on_day = day[steps] == day[steps - 1]
    seen = _directions(day[steps][on_day], falls[on_day], int(day.max()) + 1)[day]
    seen = np.where(seen == 0, _directions(series[steps], falls, int(series.max()) + 1)[series], seen)
    found = np.empty(len(codes))
    found[order] = np.array([0.0, 0.0, 1.0, np.nan])[seen]
    return found[repeated]


def _directions(groups: np.ndarray, falls: np.ndarray, num: int) -> np.ndarray:
    """Of each group: 0 without a step, 1 where all rise or stay, 2 where all fall, 3 where some do."""
    rising, falling = (np.bincount(groups[part], minlength=num) > 0 for part in (~falls, falls))
    return rising + 2 * falling


def _zone_problem(what: str, stamps: Any, tz: str, hint: str) -> str:
    first = ", ".join(str(stamp) for stamp in stamps.iloc[:5])
    return f"read.tz={tz}: {first} ({len(stamps)} in all) {what} there; {hint}"
