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
    falling = bool((np.diff(calendar.instants(pd.DatetimeIndex(stamps))) < 0).mean() > 0.5)
    summer[np.flatnonzero(repeated)] = (order == 1) if falling else (order == 0)
    return stamps.dt.tz_localize(tz, ambiguous=summer)


def _zone_problem(what: str, stamps: Any, tz: str, hint: str) -> str:
    first = ", ".join(str(stamp) for stamp in stamps.iloc[:5])
    return f"read.tz={tz}: {first} ({len(stamps)} in all) {what} there; {hint}"
