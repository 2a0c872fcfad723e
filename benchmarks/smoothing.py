"""Exponential smoothing with a damped trend on the series without its season, many series at once; for `zero_shot.py`.

Letters: S series, T rows, H horizon, G settings on the grid, m season length.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np

ROWS, SEASONS = 240, 4  # of a history that are read: the last 240, or four seasons
LEAST = 0.05  # of a seasonal factor that values are divided by
ALPHA = (0.02, 0.05, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 0.99)
BETA = (0.0, 0.05, 0.2, 0.5)  # of alpha
PHI = (0.8, 0.9, 0.97)


class Season(NamedTuple):
    """Factors, or summands, of the m places of the season, the first being that of the first step ahead."""

    factors: bool
    values: np.ndarray  # [m]

    def at(self, steps: np.ndarray) -> np.ndarray:
        """The value of each step, counted from the first one ahead: -1 is the last row."""
        found = self.values[steps % len(self.values)]
        return np.maximum(found, LEAST) if self.factors else found

    def put(self, y: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Values with the season."""
        return y * self.at(steps) if self.factors else y + self.at(steps)

    def taken_from(self, y: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Values without the season."""
        return y / self.at(steps) if self.factors else y - self.at(steps)


def forecast(past: list[np.ndarray], season_length: int, horizon: int) -> np.ndarray:
    """[S, H] after histories with NaN where nothing is known (interpolated); each needs one known value.

    l_t = l_(t-1) + phi b_(t-1) + alpha e_t, b_t = phi b_(t-1) + alpha beta e_t (Gardner & McKenzie 1985; FPP3 8.2): of the
    grid the setting with the least sum of |e|.
    """
    known = [filled(y)[-max(ROWS, SEASONS * season_length) :] for y in past]
    seasons = [season_of(y, season_length) for y in known]
    before = [np.arange(-len(y), 0) for y in known]
    plain = [y if s is None else s.taken_from(y, steps) for y, s, steps in zip(known, seasons, before, strict=True)]
    ahead = np.arange(horizon)
    smooth = smoothed(plain, horizon)
    return np.stack([y if s is None else s.put(y, ahead) for y, s in zip(smooth, seasons, strict=True)])


def filled(y: np.ndarray) -> np.ndarray:
    """Gaps interpolated, ends continued."""
    seen = np.flatnonzero(~np.isnan(y))
    return np.interp(np.arange(len(y)), seen, y[seen])


def season_of(y: np.ndarray, m: int) -> Season | None:
    """Classical decomposition (FPP3 3.4), multiplied where all values are above 0; None where there is no season.

    There is one where the autocorrelation at m is beyond 1.645 standard errors of Bartlett, as in the test of the theta method
    (Fiorucci et al. 2016).
    """
    num = len(y)
    away = y - y.mean()
    if m < 2 or num < 2 * m + 1 or not (away**2).sum() > 0:
        return None
    related = np.array([(away[k:] * away[:-k]).sum() for k in range(1, m + 1)]) / (away**2).sum()
    if abs(related[-1]) < 1.645 * np.sqrt((1 + 2 * (related[:-1] ** 2).sum()) / num):
        return None
    weights = np.ones(m) / m if m % 2 else np.r_[0.5, np.ones(m - 1), 0.5] / m
    trend = np.convolve(y, weights, "valid")
    begin = (num - len(trend)) // 2
    middle, steps = y[begin : begin + len(trend)], np.arange(begin, begin + len(trend)) - num
    factors = bool((y > 0).all())
    detrended = middle / trend if factors else middle - trend
    values = np.array([detrended[steps % m == place].mean() for place in range(m)])
    return Season(factors, values / values.mean() if factors else values - values.mean())


def smoothed(series: list[np.ndarray], horizon: int) -> np.ndarray:
    """[S, H] after complete series without a season."""
    alpha, beta, phi = np.array(list(product(ALPHA, BETA, PHI))).T
    longest = max(map(len, series))
    rows = np.stack([np.r_[np.full(longest - len(y), np.nan), y] for y in series])
    level = np.full((len(series), len(alpha)), np.nan)
    slope, errors = np.zeros_like(level), np.zeros_like(level)
    for now in rows.T[:, :, None]:
        expected = level + phi * slope
        error = np.where(np.isnan(expected), 0.0, now - expected)
        errors += np.abs(error)
        level = np.where(np.isnan(expected), now, expected + alpha * error)
        slope = phi * slope + alpha * beta * error
    each, best = np.arange(len(series)), errors.argmin(1)
    level, slope, phi = level[each, best], slope[each, best], phi[best]
    damped = np.cumsum(phi[:, None] ** np.arange(1, horizon + 1), axis=1)
    return level[:, None] + damped * slope[:, None]
