"""Forecasts without a network: the least any model has to beat, and the answer when there is too little to learn from.

All series are forecast at once: a ragged panel is laid into matrices [S, L] with the last row of every series in the last
column and NaN on the left, and each baseline is a few array operations on such a matrix. NaN is a missing value and stays one.

Letters: S series, L columns of history, H steps, Q quantile levels, m season length, h = 1 .. H the step. Formulas are those
of Hyndman & Athanasopoulos, Forecasting: principles and practice, 3rd edition (FPP3), sections 5.2, 5.5, 8.1 and 8.7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit  # before there are data: with little address space left its loading may never end

MAX_CELLS = 2_000_000  # size of one padded matrix; longer panels are done in parts
SMOOTHING = np.array([0.05, 0.1, 0.2, 0.3, 0.5, 0.8])  # constants the damped mean chooses from
SMOOTHING_ROWS = 1000  # rows it reads: beyond them the weight is below 0.95^1000 = 5e-23
MIN_WINDOW = 8  # values in a window mean, rounded up to whole seasons


class BaselineForecast(NamedTuple):
    """Point forecast and quantiles, float64; NaN for a series without any known value."""

    mean: np.ndarray  # [S, H]; the median as well, the intervals being symmetric before clipping
    quantiles: np.ndarray  # [S, H, Q]


class Path(NamedTuple):
    """What a baseline says: the standard deviation at each step is sqrt(squares / freedom) x widening."""

    mean: np.ndarray  # [S, H]
    widening: np.ndarray  # [S, H]
    squares: np.ndarray  # [S], sum of the squared in-sample residuals
    freedom: np.ndarray  # [S], number of residuals minus number of fitted parameters


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
    for rows, history in _matrices(values, indptr):
        path = BASELINES[name](history, horizon=horizon, season_length=season_length)
        mean[rows] = path.mean
        quantiles[rows] = path.mean[..., None] + path.widening[..., None] * _spread(history, path, levels_array)[:, None, :]
    if integer:
        mean, quantiles = np.maximum(mean, 0.0), _whole_numbers(quantiles, levels_array)
    return BaselineForecast(mean, quantiles)


# ---------------------------------------------------------------------------------------------- the baselines


def last_value(history: np.ndarray, *, horizon: int, season_length: int) -> Path:
    """y_T at every step; sigma sqrt(h), residuals y_t - y_(t-1) (FPP3 5.2 and table 5.2, naive method).

    Over a gap of g rows the step counts are added: the difference of two known values is divided by sqrt(g), and with g rows
    missing at the end the first step is step g + 1.
    """
    last, since = _last_known(history)
    squares, count = _step_residuals(history)
    return Path(np.repeat(last[:, None], horizon, axis=1), np.sqrt(_steps(since, horizon)), squares, count)


def seasonal_naive(history: np.ndarray, *, horizon: int, season_length: int) -> Path:
    """The latest known value of the same season position; sigma sqrt(k), k seasons after it (FPP3 table 5.2).

    With nothing missing k = floor((h - 1) / m) + 1. It is the last value method on each of the m positions by itself, gaps
    included. A position that was never seen takes the last value, with the widening of that.
    """
    num_series, length = history.shape
    missing_rows = -length % season_length
    whole = np.pad(history, ((0, 0), (missing_rows, 0)), constant_values=np.nan)
    by_position = whole.reshape(num_series, -1, season_length).swapaxes(1, 2).reshape(num_series * season_length, -1)
    per_position = last_value(by_position, horizon=-(-horizon // season_length), season_length=1)

    def in_time_order(values: np.ndarray) -> np.ndarray:
        return values.reshape(num_series, season_length, -1).swapaxes(1, 2).reshape(num_series, -1)[:, :horizon]

    mean, widening = in_time_order(per_position.mean), in_time_order(per_position.widening)
    plain = last_value(history, horizon=horizon, season_length=1)
    seen = ~np.isnan(mean)
    squares, count = (sums.reshape(num_series, season_length).sum(axis=1) for sums in per_position[2:])
    return Path(np.where(seen, mean, plain.mean), np.where(seen, widening, plain.widening), squares, count)


def drift(history: np.ndarray, *, horizon: int, season_length: int) -> Path:
    """y_T + h c with c = (y_T - y_1) / (T - 1); sigma sqrt(h (1 + h / (T - 1))), one parameter (FPP3 table 5.2).

    y_1 and y_T are the first and last known value, T - 1 the rows between them. One known value: c = 0.
    """
    known = ~np.isnan(history)
    first_column, any_known = known.argmax(axis=1), known.any(axis=1)
    last, since = _last_known(history)
    span = np.maximum(history.shape[1] - 1 - since - first_column, 1)
    first = history[np.arange(len(history)), first_column]
    slope = np.where(any_known, (last - first) / span, 0.0)
    squares, count = _step_residuals(history, slope)
    steps = _steps(since, horizon)
    return Path(last[:, None] + slope[:, None] * steps, np.sqrt(steps * (1 + steps / span[:, None])), squares, count - 1)


def damped_mean(history: np.ndarray, *, horizon: int, season_length: int) -> Path:
    """A mean in which old values are damped: simple exponential smoothing, sigma sqrt(1 + (h - 1) a^2) (FPP3 8.1, 8.7).

    level_t = sum_j (1 - a)^j y_(t-j) / sum_j (1 - a)^j over the known values, j in rows; divided by the weights, so that no
    starting level is needed: the plain mean for a near 0, the last value for a near 1. Of the constants in `SMOOTHING` each
    series takes the one with the smallest in-sample sum of squared one-step errors (one parameter).
    The first errors are those of means of few values: from five points the interval is wider than need be. A series without
    a value in the last `SMOOTHING_ROWS` rows has its last value.
    """
    last, since = _last_known(history)
    history = history[:, -SMOOTHING_ROWS:]
    kept = 1 - SMOOTHING[:, None]
    level, weight, squares = (np.zeros((len(SMOOTHING), len(history))) for _ in range(3))
    num_known = np.zeros(len(history))
    for column in np.ascontiguousarray(history.T):
        known = ~np.isnan(column)
        error = np.where(known, column - level, 0.0)
        squares += np.where(num_known > 0, error**2, 0.0)
        weight = weight * kept + known
        level += np.divide(error, weight, out=np.zeros_like(error), where=known)
        num_known += known
    best, every = squares.argmin(axis=0), np.arange(len(history))
    level = np.where(num_known > 0, level[best, every], last)
    widening = np.sqrt(1 + (_steps(since, horizon) - 1) * SMOOTHING[best][:, None] ** 2)
    return Path(np.repeat(level[:, None], horizon, axis=1), widening, squares[best, every], num_known - 2)


def window_mean(history: np.ndarray, *, horizon: int, season_length: int) -> Path:
    """The mean of the last n known values; sigma sqrt(1 + 1 / n) at every step (FPP3 table 5.2, mean method).

    n is the smallest number of whole seasons that is at least `MIN_WINDOW`; the residuals are those of the window.
    """
    known = ~np.isnan(history)
    window = season_length * -(-MIN_WINDOW // season_length)
    from_the_end = np.cumsum(known[:, ::-1], axis=1)[:, ::-1]
    used = known & (from_the_end <= window)
    count = used.sum(axis=1)
    total = np.where(used, history, 0.0).sum(axis=1)
    mean = np.divide(total, count, out=np.full(len(history), np.nan), where=count > 0)
    squares = np.where(used, (history - mean[:, None]) ** 2, 0.0).sum(axis=1)
    widening = np.sqrt(1 + 1 / np.maximum(count, 1))
    return Path(np.repeat(mean[:, None], horizon, axis=1), np.repeat(widening[:, None], horizon, axis=1), squares, count - 1)


BASELINES: dict[str, Callable[..., Path]] = {
    "last_value": last_value,
    "seasonal_naive": seasonal_naive,
    "drift": drift,
    "damped_mean": damped_mean,
    "window_mean": window_mean,
}


# ---------------------------------------------------------------------------------------------- shared


def _matrices(values: np.ndarray, indptr: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and matrix [S', L] of parts of the panel, series of like length together, the last value in the last column."""
    values = np.append(np.asarray(values, dtype=np.float64), np.nan)  # at least one value to point at
    lengths = np.diff(indptr)
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        cells = lengths[order[start:]] * np.arange(1, len(order) - start + 1)
        rows = order[start : start + max(1, int(np.searchsorted(cells, MAX_CELLS, side="right")))]
        columns = np.arange(-max(1, lengths[rows].max()), 0) + indptr[rows + 1][:, None]
        inside = columns >= indptr[rows][:, None]
        yield rows, np.where(inside, values[np.where(inside, columns, -1)], np.nan)
        start += len(rows)


def _last_known(history: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The last known value [S], NaN if there is none, and the number of rows after it [S]."""
    since = (~np.isnan(history))[:, ::-1].argmax(axis=1)
    return history[np.arange(len(history)), history.shape[1] - 1 - since], since


def _steps(since: np.ndarray, horizon: int) -> np.ndarray:
    """Steps from the last known value to each step of the forecast [S, H]."""
    return since[:, None] + np.arange(1, horizon + 1)


def _step_residuals(history: np.ndarray, slope: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Sum of squares and number of (y_t - y_(t-g) - g slope) / sqrt(g), y_(t-g) being the known value before y_t: [S], [S]."""
    known = ~np.isnan(history)
    seen = np.maximum.accumulate(np.where(known, np.arange(history.shape[1]), -1), axis=1)
    before = np.concatenate([np.full((len(history), 1), -1), seen[:, :-1]], axis=1)
    usable = known & (before >= 0)
    gap = np.where(usable, np.arange(history.shape[1]) - before, 1)
    error = history - np.take_along_axis(history, np.maximum(before, 0), axis=1)
    if slope is not None:
        error = error - gap * slope[:, None]
    return np.where(usable, error**2 / gap, 0.0).sum(axis=1), usable.sum(axis=1)


def _spread(history: np.ndarray, path: Path, levels: np.ndarray) -> np.ndarray:
    """sigma x Student's t quantile [S, Q], with the fallbacks that `forecast` describes."""
    step_squares, step_count = _step_residuals(history)
    own = path.freedom >= 1
    squares, freedom = np.where(own, path.squares, step_squares), np.where(own, path.freedom, step_count)
    size = np.nansum(history**2, axis=1) / np.maximum((~np.isnan(history)).sum(axis=1), 1)
    unknown = (freedom < 1) | ((freedom < 2) & (squares == 0))
    squares, freedom = np.where(unknown, np.where(size > 0, size, 1.0), squares), np.where(unknown, 1, freedom)
    each, which = np.unique(freedom, return_inverse=True)
    return np.sqrt(squares / freedom)[:, None] * stdtrit(each[:, None], levels)[which]


def _whole_numbers(quantiles: np.ndarray, levels: np.ndarray) -> np.ndarray:
    exact = np.round(quantiles, 6)  # 4.9999999 is 5
    outward = np.where(levels < 0.5, np.floor(exact), np.where(levels > 0.5, np.ceil(exact), quantiles))
    return np.maximum(outward, 0.0)
