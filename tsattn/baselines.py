"""Forecasts without a network: the least any model has to beat, and the answer when there is too little to learn from.

Each baseline is a few array operations on a `History`: the sums and last values of many series before many cuts. NaN is a
missing value and stays one.

Letters: S series, K cuts of each, H steps, Q quantile levels, m season length, h = 1 .. H the step. Formulas are those of
Hyndman & Athanasopoulos, Forecasting: principles and practice, 3rd edition (FPP3), sections 5.2, 5.5, 8.1 and 8.7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit  # before there are data: with little address space left its loading may never end

from tsattn.history import History, blocks, look_back

MAX_CELLS = 500_000  # of the last rows of many histories, laid side by side
SMOOTHING = np.array([0.05, 0.1, 0.2, 0.3, 0.5, 0.8])  # constants the damped mean chooses from
SMOOTHING_ROWS = 1000  # rows it reads: beyond them the weight is below 0.95^1000 = 5e-23


class BaselineForecast(NamedTuple):
    """Point forecast and quantiles, float64; NaN for a series without any known value."""

    mean: np.ndarray  # [S, H]; the median as well, the intervals being symmetric before clipping
    quantiles: np.ndarray  # [S, H, Q]


class Path(NamedTuple):
    """What a baseline says: the standard deviation at each step is sqrt(squares / freedom) x widening."""

    mean: np.ndarray  # [S, K, H]
    widening: np.ndarray  # [S, K, H]
    squares: np.ndarray  # [S, K], sum of the squared in-sample residuals
    freedom: np.ndarray  # [S, K], number of residuals minus number of fitted parameters


def forecast(
    name: str,
    values: np.ndarray,
    indptr: np.ndarray,
    *,
    horizon: int,
    season_length: int,
    levels: Sequence[float],
    integer: bool = False,
) -> BaselineForecast:
    """The forecast of baseline `name` for every series: mean [S, H] and quantiles [S, H, Q].

    Series s is `values[indptr[s]:indptr[s + 1]]`, equally spaced, NaN where missing; steps count from its last row.
    Quantiles are mean + sigma x widening x Student's t with as many degrees of freedom as there are residuals, less fitted
    parameters (FPP3 5.5 with t for the normal: sigma is estimated, from four residuals if there are five points). A baseline
    without residuals of its own (seasonal naive within the first season) takes those of the last value. Fewer than two degrees
    of freedom with residuals that are all 0, or none at all (a single point), say nothing about the spread: then sigma is
    the size of the values, sqrt(mean y^2), or 1 if all are 0, with one degree of freedom. Other constant series have intervals
    of zero width.

    `integer=True` is for counts: mean and quantiles are at least 0; quantiles below the median are rounded down, above it up
    (outwards, so the interval holds at least its share); mean and median are not rounded.
    """
    if name not in BASELINES:
        raise ValueError(f"baseline {name!r} is not known: choose one of {', '.join(BASELINES)}")
    if horizon < 1 or season_length < 1:
        raise ValueError(f"horizon={horizon} and season_length={season_length} must be 1 or more")
    levels_array = np.asarray(levels, dtype=np.float64)
    if not ((levels_array > 0) & (levels_array < 1)).all():
        raise ValueError(f"levels={list(levels)} must lie between 0 and 1, both excluded")
    num_series = len(indptr) - 1
    mean, quantiles = np.empty((num_series, horizon)), np.empty((num_series, horizon, len(levels_array)))
    for part in blocks(np.diff(indptr)):
        begin, cuts = indptr[:-1][part], np.diff(indptr)[part, None]
        history = look_back(values, begin, cuts, season_length=season_length, horizon=horizon)
        each = forecast_from(name, history, horizon=horizon, levels=levels, integer=integer)
        mean[part], quantiles[part] = each.mean[:, 0], each.quantiles[:, 0]
    return BaselineForecast(mean, quantiles)


def forecast_from(
    name: str, history: History, *, horizon: int, levels: Sequence[float], integer: bool = False
) -> BaselineForecast:
    """The same from each cut of a history: mean [S, K, H] and quantiles [S, K, H, Q]."""
    levels_array = np.asarray(levels, dtype=np.float64)
    path = BASELINES[name](history, horizon)
    mean = path.mean
    quantiles = mean[..., None] + path.widening[..., None] * _spread(history, path, levels_array)[..., None, :]
    if integer:
        mean, quantiles = np.maximum(mean, 0.0), _whole_numbers(quantiles, levels_array)
    return BaselineForecast(mean, quantiles)


# ---------------------------------------------------------------------------------------------- the baselines


def last_value(history: History, horizon: int) -> Path:
    """y_T at every step; sigma sqrt(h), residuals y_t - y_(t-1) (FPP3 5.2 and table 5.2, naive method).

    Over a gap of g rows the step counts are added: the difference of two known values is divided by sqrt(g), and with g rows
    missing at the end the first step is step g + 1.
    """
    return Path(
        _flat(history.last_value, horizon), np.sqrt(_steps(history, horizon)), history.steps.squares, history.steps.count
    )


def seasonal_naive(history: History, horizon: int) -> Path:
    """The latest known value of the same season position; sigma sqrt(k), k seasons after it (FPP3 table 5.2).

    With nothing missing k = floor((h - 1) / m) + 1. It is the last value method on each of the m positions by itself, gaps
    included. A position that was never seen takes the last value, with the widening of that.
    """
    season, step = np.divmod(np.arange(horizon), history.season_length)
    mean, widening = history.seasonal[..., step], np.sqrt(history.ago[..., step] + season)
    plain, seen = last_value(history, horizon), ~np.isnan(mean)
    squares, count = history.seasons.squares, history.seasons.count
    return Path(np.where(seen, mean, plain.mean), np.where(seen, widening, plain.widening), squares, count)


def drift(history: History, horizon: int) -> Path:
    """y_T + h c with c = (y_T - y_1) / (T - 1); sigma sqrt(h (1 + h / (T - 1))), one parameter (FPP3 table 5.2).

    y_1 and y_T are the first and last known value, T - 1 the rows between them. One known value: c = 0.
    """
    span = np.maximum(history.last - history.first, 1)[..., None]
    slope = (history.last_value - history.first_value)[..., None] / span
    steps = _steps(history, horizon)
    widening = np.sqrt(steps * (1 + steps / span))
    return Path(history.last_value[..., None] + slope * steps, widening, history.sloped, history.steps.count - 1)


def damped_mean(history: History, horizon: int) -> Path:
    """A mean in which old values are damped: simple exponential smoothing, sigma sqrt(1 + (h - 1) a^2) (FPP3 8.1, 8.7).

    level_t = sum_j (1 - a)^j y_(t-j) / sum_j (1 - a)^j over the known values, j in rows; divided by the weights, so that no
    starting level is needed: the plain mean for a near 0, the last value for a near 1. Of the constants in `SMOOTHING` each
    series takes the one with the smallest in-sample sum of squared one-step errors (one parameter).
    The first errors are those of means of few values: from five points the interval is wider than need be. A series without
    a value in the last `SMOOTHING_ROWS` rows has its last value.
    """
    level, constant, squares, count = (np.empty(history.cuts.size) for _ in range(4))
    for members, rows in _matrices(history):
        level[members], constant[members], squares[members], count[members] = _smoothed(rows)
    level, constant, squares, count = (part.reshape(history.cuts.shape) for part in (level, constant, squares, count))
    level = np.where(count > 0, level, history.last_value)
    widening = np.sqrt(1 + (_steps(history, horizon) - 1) * constant[..., None] ** 2)
    return Path(_flat(level, horizon), widening, squares, count - 2)


def window_mean(history: History, horizon: int) -> Path:
    """The mean of the last n known values; sigma sqrt(1 + 1 / n) at every step (FPP3 table 5.2, mean method).

    n is the smallest number of whole seasons that is at least `MIN_WINDOW`; the residuals are those of the window.
    """
    widening = np.sqrt(1 + 1 / np.maximum(history.used, 1))
    return Path(_flat(history.mean, horizon), _flat(widening, horizon), history.around, history.used - 1)


BASELINES: dict[str, Callable[..., Path]] = {
    "last_value": last_value,
    "seasonal_naive": seasonal_naive,
    "drift": drift,
    "damped_mean": damped_mean,
    "window_mean": window_mean,
}


# ---------------------------------------------------------------------------------------------- shared


def _matrices(history: History) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Members and last rows [N, L] of parts of the histories, those of like length together, NaN where one is shorter."""
    begin = history.begin.repeat(history.cuts.shape[1])
    end = begin + history.cuts.ravel()
    lengths = np.minimum(end - begin, SMOOTHING_ROWS)
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        cells = lengths[order[start:]] * np.arange(1, len(order) - start + 1)
        members = order[start : start + max(1, int(np.searchsorted(cells, MAX_CELLS, side="right")))]
        columns = np.arange(-max(1, lengths[members].max()), 0) + end[members, None]
        inside = columns >= begin[members, None]
        rows = np.full(inside.shape, np.nan)
        rows[inside] = history.values[columns[inside]]
        yield members, rows
        start += len(members)


def _smoothed(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The last level, the constant that was best, its sum of squared errors, and the number of known values, of [N, L]."""
    kept = 1 - SMOOTHING[:, None]
    level, weight, squares = (np.zeros((len(SMOOTHING), len(rows))) for _ in range(3))
    num_known = np.zeros(len(rows))
    for column in np.ascontiguousarray(rows.T):
        known = ~np.isnan(column)
        error = np.where(known, column - level, 0.0)
        squares += np.where(num_known > 0, error**2, 0.0)
        weight = weight * kept + known
        level += np.divide(error, weight, out=np.zeros_like(error), where=known)
        num_known += known
    best, every = squares.argmin(axis=0), np.arange(len(rows))
    return level[best, every], SMOOTHING[best], squares[best, every], num_known


def _flat(value: np.ndarray, horizon: int) -> np.ndarray:
    return np.repeat(value[..., None], horizon, axis=-1)


def _steps(history: History, horizon: int) -> np.ndarray:
    """Steps from the last known value to each step of the forecast [S, K, H]; 1, 2 ... without any."""
    since = history.begin[:, None] + history.cuts - 1 - history.last
    return np.where(history.last < 0, 0, since)[..., None] + np.arange(1, horizon + 1)


def _spread(history: History, path: Path, levels: np.ndarray) -> np.ndarray:
    """sigma x Student's t quantile [S, K, Q], with the fallbacks that `forecast` describes."""
    own = path.freedom >= 1
    squares, freedom = np.where(own, path.squares, history.steps.squares), np.where(own, path.freedom, history.steps.count)
    size = history.squares / np.maximum(history.count, 1)
    unknown = (freedom < 1) | ((freedom < 2) & (squares == 0))
    squares, freedom = np.where(unknown, np.where(size > 0, size, 1.0), squares), np.where(unknown, 1, freedom)
    each, which = np.unique(freedom, return_inverse=True)
    return np.sqrt(squares / freedom)[..., None] * stdtrit(each[:, None], levels)[which]


def _whole_numbers(quantiles: np.ndarray, levels: np.ndarray) -> np.ndarray:
    exact = np.round(quantiles, 6)  # 4.9999999 is 5
    outward = np.where(levels < 0.5, np.floor(exact), np.where(levels > 0.5, np.ceil(exact), quantiles))
    return np.maximum(outward, 0.0)
