"""How sure a difference between two models is: an interval for its mean, from resampled series and origins."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MAX_DRAWS = 2**18  # resampled series held in memory at once


class Interval(NamedTuple):
    """Both ends of an interval; -inf and inf when the windows cannot say anything."""

    low: float
    high: float


def paired_block_bootstrap(
    difference: np.ndarray,
    *,
    series: np.ndarray,
    origin: np.ndarray,
    block_length: int = 1,
    num_resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """An interval that holds the mean `difference` with probability `level`.

    `difference` [N] is the loss of one model minus that of another, per window and on a scale on which windows may be averaged
    (MASE, not MAE). `series` and `origin` [N] are integers that say where a window belongs; origins are ordered in time. Not
    every series needs every origin, several windows may share a cell, and NaN differences (not scored) are left out.

    Resampling. Series are drawn with replacement, and, once for all series (a holiday hits all of them), blocks of
    `block_length` consecutive origins from the circle of origins (Politis & Romano 1992, circular block bootstrap). The
    percentiles of the resampled means give the shape of the interval.

    Width. Percentiles alone are too short with few origins (8 windows: about 85 % instead of 95 %), and resampling both ways
    counts the noise of single windows up to three times (Owen 2007, The pigeonhole bootstrap). So the shape is stretched to the
    width of Student's t interval: variance of the mean from two-way random effects (series, origin blocks, rest) and degrees
    of freedom by Satterthwaite (1946); with one series that is the t interval over its origin blocks.

    Returns (-inf, inf) when there is only one series and one block of origins.
    """
    if not 0 < level < 1:
        raise ValueError(f"level={level} must be between 0 and 1")
    if block_length < 1 or num_resamples < 100:
        raise ValueError(f"block_length={block_length} must be 1 or more and num_resamples={num_resamples} 100 or more")
    total, count = _table(difference, series, origin)
    variance, freedom = _variance_of_mean(total, count, block_length)
    if freedom == 0:
        return Interval(-np.inf, np.inf)
    means = _resampled_means(total, count, block_length, num_resamples, np.random.default_rng(seed))
    mean, spread = total.sum() / count.sum(), np.nanstd(means)
    if spread == 0 or variance == 0:
        return Interval(float(mean), float(mean))

    from scipy.special import ndtri, stdtrit

    tail = (1 - level) / 2
    low, high = np.nanquantile(means, [tail, 1 - tail])
    stretch = np.sqrt(variance) / spread * stdtrit(freedom, 1 - tail) / ndtri(1 - tail)
    return Interval(float(mean + (low - mean) * stretch), float(mean + (high - mean) * stretch))


def _table(difference: np.ndarray, series: np.ndarray, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the known differences of each series at each origin, both [S, O]."""
    if not (difference.shape == series.shape == origin.shape) or difference.ndim != 1:
        raise ValueError(f"difference {difference.shape}, series {series.shape} and origin {origin.shape} must be [N] alike")
    known = ~np.isnan(difference)
    series_names, row = np.unique(series[known], return_inverse=True)
    origin_names, column = np.unique(origin[known], return_inverse=True)
    shape = (len(series_names), len(origin_names))
    cell = row * shape[1] + column
    size = shape[0] * shape[1]
    total = np.bincount(cell, weights=difference[known].astype(np.float64), minlength=size)
    return total.reshape(shape), np.bincount(cell, minlength=size).reshape(shape).astype(np.float64)


def _resampled_means(
    total: np.ndarray, count: np.ndarray, block_length: int, num_resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """The mean of each resample [R]; NaN where a resample of a table with holes drew nothing but holes."""
    num_series, num_origins = total.shape
    starts = rng.integers(num_origins, size=(num_resamples, -(-num_origins // block_length)))
    origins = (starts[:, :, None] + np.arange(block_length)) % num_origins
    origin_weight = _times_drawn(origins.reshape(num_resamples, -1)[:, :num_origins], num_origins)
    sums = np.empty((num_resamples, 2))
    rows = max(1, MAX_DRAWS // num_series)
    for start in range(0, num_resamples, rows):
        part = slice(start, min(start + rows, num_resamples))
        drawn = rng.integers(num_series, size=(part.stop - part.start, num_series)) if num_series > 1 else None
        series_weight = np.ones((part.stop - part.start, 1)) if drawn is None else _times_drawn(drawn, num_series)
        sums[part, 0] = ((series_weight @ total) * origin_weight[part]).sum(axis=1)
        sums[part, 1] = ((series_weight @ count) * origin_weight[part]).sum(axis=1)
    return np.divide(sums[:, 0], sums[:, 1], out=np.full(num_resamples, np.nan), where=sums[:, 1] > 0)


def _times_drawn(drawn: np.ndarray, num_choices: int) -> np.ndarray:
    """How often each choice was drawn: indices [R, K] -> [R, num_choices]."""
    return np.stack([np.bincount(row, minlength=num_choices) for row in drawn]).astype(np.float64)


def _variance_of_mean(total: np.ndarray, count: np.ndarray, block_length: int) -> tuple[float, float]:
    """Variance of the mean difference and its degrees of freedom; (0, 0) when there is nothing to compare.

    Two-way random effects d_so = mean + series_s + block_o + rest_so: in a full table of S series and O blocks the variance
    of the mean is (MS_series + MS_block - MS_rest) / (S O) with the mean squares of the two-way analysis of variance, here
    never below the largest of them. In a table with holes each mean square is the corresponding sum over what is there.
    """
    starts = np.arange(0, total.shape[1], block_length)
    total, count = np.add.reduceat(total, starts, axis=1), np.add.reduceat(count, starts, axis=1)
    num_series, num_blocks = total.shape
    if num_series <= 1 and num_blocks <= 1:
        return 0.0, 0.0
    known, num_windows = count > 0, count.sum()
    centred = total - count * (total.sum() / num_windows)
    squares, freedom = [0.0, 0.0, 0.0], [num_series - 1, num_blocks - 1, int(known.sum()) - num_series - num_blocks + 1]
    if num_series > 1:
        squares[0] = (centred.sum(axis=1) ** 2).sum() * num_series / (num_series - 1)
    if num_blocks > 1:
        squares[1] = (centred.sum(axis=0) ** 2).sum() * num_blocks / (num_blocks - 1)
    if num_series > 1 and num_blocks > 1 and freedom[2] > 0:
        rest = centred - count * (centred.sum(axis=1) / count.sum(axis=1))[:, None]
        rest = rest - count * (rest.sum(axis=0) / count.sum(axis=0))
        squares[2] = (rest**2).sum() * known.sum() / freedom[2]
    variance = max(squares[0] + squares[1] - squares[2], *squares)
    weights = sum(square**2 / df for square, df in zip(squares, freedom, strict=True) if df > 0)
    return variance / num_windows**2, variance**2 / weights if weights > 0 else 1.0
