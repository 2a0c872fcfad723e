"""Public holidays, from the optional package `holidays`."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import numpy as np


def holiday_share(first: np.ndarray, after: np.ndarray, place: str) -> np.ndarray:
    """The share of public holidays among the days `first` up to, but without, `after`: float32 [U] in [0, 1].

    Days are counted from 1970, int64 [U]. `place` is a country (ISO 3166, as DE or DEU), or a part of one (DE-BY). Years that
    the package knows nothing of, as before 1991 for DE, have no holidays. `ValueError` for an unknown place, and without the
    package.
    """
    if len(first) == 0:
        return np.zeros(0, dtype=np.float32)
    start, end = int(first.min()), int(after.max())
    years = np.array([start, end]).astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
    dates = _dates(place, range(int(years[0]), int(years[1]) + 1))
    found = np.array(dates, dtype="datetime64[D]").astype(np.int64) - start
    free = np.zeros(end - start, dtype=np.int64)
    free[found[(found >= 0) & (found < len(free))]] = 1
    until = np.concatenate([[0], np.cumsum(free)])
    return ((until[after - start] - until[first - start]) / (after - first)).astype(np.float32)


def _dates(place: str, years: range) -> list[Any]:
    """The dates of all public holidays of a place, in any order."""
    try:
        import holidays
    except ImportError as error:
        raise ValueError("public holidays need the package holidays: pip install 'tsattn[holidays]'") from error
    code, _, part = place.partition("-")
    countries = holidays.list_supported_countries()
    if code.upper() not in countries:
        close = get_close_matches(code.upper(), countries, n=5) if len(code) < 4 else []
        raise ValueError(
            f"holidays of {place!r} are not known: countries are ISO codes such as {', '.join(close or ['DE', 'FR', 'US'])}"
        )
    parts = countries[code.upper()]
    if part and part not in parts:
        raise ValueError(f"holidays of {place!r} are not known: parts of {code.upper()} are {', '.join(parts) or 'none'}")
    return list(holidays.country_holidays(code.upper(), subdiv=part or None, years=years))
