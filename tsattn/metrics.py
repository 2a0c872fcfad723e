"""How good a forecast is: array functions in float64, numpy only.

Letters: N windows (one series at one cut-off), H steps, Q quantile levels, T rows of history.
`y` and `forecast` are [N, H], quantile forecasts [N, H, Q] with `levels` [Q].

NaN rule, the same for every metric: a NaN in `y` is not scored, for no model; a forecast that is not finite where `y` is
known is an error and never skipped, so that no model can look better by keeping silent.

Every metric is a sum over windows divided once by a sum of weights. Functions with a plural name (`absolute_errors` ...)
return those sums per window as `WindowSums`; the short names (`mae` ...) divide the totals. So the number for all windows,
for one series (`sums.take(series == 3)`) and for one window (`per_window`, for the bootstrap) come from the same lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class WindowSums(NamedTuple):
    """What each window adds to a metric; the metric of any group of windows is sum(total) / sum(weight)."""

    total: np.ndarray  # [N] float64
    weight: np.ndarray  # [N] float64; 0 = the window has no share in the metric
    dropped: np.ndarray  # [N] bool; True = there were values to score, but no scale to measure them by

    def pooled(self) -> float:
        """The metric over all windows; NaN when nothing could be scored or the weights add up to 0."""
        weight = self.weight.sum()
        return float(self.total.sum() / weight) if weight > 0 else float("nan")

    def per_window(self) -> np.ndarray:
        """The metric of each window [N]; NaN where a window has no weight."""
        return np.divide(self.total, self.weight, out=np.full(len(self.total), np.nan), where=self.weight > 0)

    def take(self, which: np.ndarray) -> WindowSums:
        """The windows named by an index or a boolean mask."""
        return WindowSums(self.total[which], self.weight[which], self.dropped[which])


class Score(NamedTuple):
    """A scaled metric with the number of windows behind it and of those left out because they have no scale."""

    value: float  # NaN when no window could be scored
    num_scored: int
    num_dropped: int


# ---------------------------------------------------------------------------------------------- point forecasts


def absolute_errors(y: np.ndarray, forecast: np.ndarray) -> WindowSums:
    """Sum of |y - forecast| and number of scored values per window: `mae`, in the units of y."""
    y, forecast, scored = _checked(y, forecast)
    return _sums(np.abs(y - forecast), scored)


def squared_errors(y: np.ndarray, forecast: np.ndarray) -> WindowSums:
    """Sum of (y - forecast)^2 and number of scored values per window: the mean squared error."""
    y, forecast, scored = _checked(y, forecast)
    return _sums((y - forecast) ** 2, scored)


def relative_absolute_errors(y: np.ndarray, forecast: np.ndarray) -> WindowSums:
    """Sum of |y - forecast| and sum of |y| per window: `wape`, a share of the volume (0.1 = 10 %)."""
    y, forecast, scored = _checked(y, forecast)
    return _sums(np.abs(y - forecast), scored)._replace(weight=_volume(y, scored))


def scaled_absolute_errors(y: np.ndarray, forecast: np.ndarray, *, scale: np.ndarray) -> WindowSums:
    """Mean absolute error of each window divided by its `scale` [N], weight 1 per window: `mase`."""
    return _scaled(absolute_errors(y, forecast), scale)


def scaled_root_squared_errors(y: np.ndarray, forecast: np.ndarray, *, scale: np.ndarray) -> WindowSums:
    """sqrt(mean squared error / `scale` [N]) of each window, weight 1 per window: `rmsse`."""
    sums = _scaled(squared_errors(y, forecast), scale)
    return sums._replace(total=np.sqrt(sums.total))


def mae(y: np.ndarray, forecast: np.ndarray) -> float:
    """Mean absolute error, sum |y - f| / count over all scored values, in the units of y."""
    return absolute_errors(y, forecast).pooled()


def rmse(y: np.ndarray, forecast: np.ndarray) -> float:
    """Root mean squared error, sqrt(sum (y - f)^2 / count) over all scored values, in the units of y."""
    return float(np.sqrt(squared_errors(y, forecast).pooled()))


def wape(y: np.ndarray, forecast: np.ndarray) -> float:
    """Weighted absolute percentage error, sum |y - f| / sum |y| over all scored values; 0.1 is 10 %.

    NaN when all scored values are 0. A single window of zeros is no trouble: its errors count, its volume is 0.
    """
    return relative_absolute_errors(y, forecast).pooled()


def mase(y: np.ndarray, forecast: np.ndarray, *, scale: np.ndarray) -> Score:
    """Mean absolute scaled error: the mean over windows of (mean |y - f| of the window) / scale; no unit.

    `scale` [N] is `seasonal_scale` of each window's own training part; 1 is the error of the in-sample seasonal naive forecast.
    Windows whose scale is 0 or NaN are left out and counted in `num_dropped`. Each window weighs the same however many of
    its values are known, so `mase` is the plain mean of the per-window numbers that the bootstrap resamples.
    Source: Hyndman & Koehler (2006), Another look at measures of forecast accuracy, section 3.
    """
    return _score(scaled_absolute_errors(y, forecast, scale=scale))


def rmsse(y: np.ndarray, forecast: np.ndarray, *, scale: np.ndarray) -> Score:
    """Root mean squared scaled error: the mean over windows of sqrt(mean (y - f)^2 / scale); no unit.

    `scale` [N] is `seasonal_scale_squared` of each window's training part; 0 and NaN are left out and counted as in `mase`.
    Source: Makridakis, Spiliotis & Assimakopoulos (2022), M5 accuracy competition, equation 1.
    """
    return _score(scaled_root_squared_errors(y, forecast, scale=scale))


# ---------------------------------------------------------------------------------------------- scales from history


def seasonal_scale(history: np.ndarray, season_length: int, *, indptr: np.ndarray | None = None) -> np.ndarray:
    """Mean |y_t - y_(t-m)| of each training part, m = `season_length`, over the pairs in which both are known: [N].

    `history` is [N, T], a shorter part padded with NaN on either side, or flat [T] with the part of window n at
    `history[indptr[n]:indptr[n + 1]]`. A part with no more than m + 1 known values has (almost) no seasonal pair: there m is 1.
    NaN where no pair is known, and where the mean is 0 (a constant part), because nothing can be divided by it.
    """
    return _seasonal_mean(history, season_length, indptr, np.abs)


def seasonal_scale_squared(history: np.ndarray, season_length: int, *, indptr: np.ndarray | None = None) -> np.ndarray:
    """Mean (y_t - y_(t-m))^2 of each training part: the same rules as `seasonal_scale`, for `rmsse`."""
    return _seasonal_mean(history, season_length, indptr, np.square)


def _seasonal_mean(history: np.ndarray, season_length: int, indptr: np.ndarray | None, size: np.ufunc) -> np.ndarray:
    if season_length < 1:
        raise ValueError(f"season_length={season_length} must be 1 or more")
    if indptr is None and history.ndim != 2:
        raise ValueError(f"history has shape {history.shape}: give [N, T], or flat values with indptr")
    lengths = np.full(len(history), history.shape[1]) if indptr is None else np.diff(indptr)
    flat = history.ravel() if indptr is None else history[indptr[0] : indptr[-1]]
    values = np.asarray(flat, dtype=np.float64)
    window = np.repeat(np.arange(len(lengths)), lengths)
    num_known = np.bincount(window, weights=~np.isnan(values), minlength=len(lengths))
    one_step = _mean_difference(values, window, len(lengths), 1, size)
    seasonal = _mean_difference(values, window, len(lengths), season_length, size)
    return np.where(num_known > season_length + 1, seasonal, one_step)


def _mean_difference(values: np.ndarray, window: np.ndarray, num_windows: int, lag: int, size: np.ufunc) -> np.ndarray:
    difference = size(values[lag:] - values[:-lag])
    usable = (window[lag:] == window[:-lag]) & ~np.isnan(difference)
    total = np.bincount(window[lag:][usable], weights=difference[usable], minlength=num_windows)
    count = np.bincount(window[lag:][usable], minlength=num_windows)
    return np.divide(total, count, out=np.full(num_windows, np.nan), where=total > 0)


# ---------------------------------------------------------------------------------------------- quantile forecasts


def pinball_losses(y: np.ndarray, quantiles: np.ndarray, *, levels: Sequence[float] | np.ndarray) -> WindowSums:
    """Sum over the scored steps of the pinball loss averaged over the levels, and their number: `pinball`."""
    loss, scored, _ = _pinball(y, quantiles, levels)
    return _sums(loss.mean(axis=-1), scored)


def weighted_quantile_losses(y: np.ndarray, quantiles: np.ndarray, *, levels: Sequence[float] | np.ndarray) -> WindowSums:
    """2 x the sum of the pinball loss averaged over the levels, and sum |y|, per window: `weighted_quantile_loss`."""
    sums = pinball_losses(y, quantiles, levels=levels)
    y = np.asarray(y, dtype=np.float64)
    return sums._replace(total=2 * sums.total, weight=_volume(y, ~np.isnan(y)))


def crps_values(y: np.ndarray, quantiles: np.ndarray, *, levels: Sequence[float] | np.ndarray) -> WindowSums:
    """Sum of the approximate CRPS of each scored step, and their number, per window: `crps`."""
    loss, scored, levels = _pinball(y, quantiles, levels)
    return _sums(2 * loss @ _level_weights(levels), scored)


def covered(y: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> WindowSums:
    """Number of values with lower <= y <= upper and number of scored values per window: `coverage`."""
    y, lower, scored = _checked(y, lower)
    _, upper, _ = _checked(y, upper)
    return _sums(((lower <= y) & (y <= upper)).astype(np.float64), scored)


def pinball(y: np.ndarray, quantiles: np.ndarray, *, levels: Sequence[float] | np.ndarray) -> float:
    """Mean pinball loss max(p (y - q), (p - 1)(y - q)) over scored values and levels, in the units of y.

    Without the factor 2: at the single level 0.5 it is half the MAE.
    """
    return pinball_losses(y, quantiles, levels=levels).pooled()


def weighted_quantile_loss(y: np.ndarray, quantiles: np.ndarray, *, levels: Sequence[float] | np.ndarray) -> float:
    """2 x sum of pinball losses / sum |y|, averaged over the levels; a share of the volume, `wape` at the single level 0.5.

    NaN when all scored values are 0. Source: Salinas et al. (2020), DeepAR, section 4 (the rho-risk, averaged over rho).
    """
    return weighted_quantile_losses(y, quantiles, levels=levels).pooled()


def crps(y: np.ndarray, quantiles: np.ndarray, *, levels: Sequence[float] | np.ndarray) -> float:
    """Continuous ranked probability score from quantiles, in the units of y; for a point forecast it is the MAE.

    CRPS = integral over p in (0, 1) of 2 x pinball_p (Gneiting & Raftery 2007, Strictly proper scoring rules, section 4.2;
    the quantile form is Laio & Tamea 2007). With equally spaced levels it is 2 x the mean pinball loss; otherwise each level
    weighs as much as the part of (0, 1) that is nearest to it. Levels that leave out the tails leave out their share too:
    compare only numbers made from the same levels.
    """
    return crps_values(y, quantiles, levels=levels).pooled()


def coverage(y: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    """Share of scored values with lower <= y <= upper: near 0.8 for an honest interval from q0.1 to q0.9."""
    return covered(y, lower, upper).pooled()


def _level_weights(levels: np.ndarray) -> np.ndarray:
    """Weights [Q] that add up to 1: the width of the cell around each level, the outer cells as wide outwards as inwards."""
    if len(levels) == 1:
        return np.ones(1)
    order = np.argsort(levels)
    gaps = np.diff(levels[order])
    widths = np.concatenate([gaps[:1], (gaps[:-1] + gaps[1:]) / 2, gaps[-1:]])
    weights = np.empty(len(levels))
    weights[order] = widths / widths.sum()
    return weights


def _pinball(
    y: np.ndarray, quantiles: np.ndarray, levels: Sequence[float] | np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pinball loss [N, H, Q], which steps are scored [N, H], and the levels as an array."""
    levels = np.asarray(levels, dtype=np.float64)
    if levels.ndim != 1 or levels.size == 0 or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(f"levels={levels.tolist()} must be a list of numbers between 0 and 1, both excluded")
    needed = (*y.shape, len(levels))
    if quantiles.shape != needed:
        raise ValueError(f"quantiles have shape {quantiles.shape}, but y {y.shape} and {len(levels)} levels ask for {needed}")
    wide, quantiles, scored = _checked(np.broadcast_to(y[..., None], quantiles.shape), quantiles)
    error = wide - quantiles
    return np.maximum(levels * error, (levels - 1) * error), scored[..., 0], levels


# ---------------------------------------------------------------------------------------------- shared


def _checked(y: np.ndarray, forecast: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both as float64, and which values are scored; raises when the shapes differ or a needed forecast is not finite."""
    if y.ndim < 2 or y.shape != forecast.shape:
        raise ValueError(f"y has shape {y.shape} and the forecast {forecast.shape}: both must be [N, H], windows by steps")
    y, forecast = np.asarray(y, dtype=np.float64), np.asarray(forecast, dtype=np.float64)
    scored = ~np.isnan(y)
    num_bad = int((scored & ~np.isfinite(forecast)).sum())
    if num_bad:
        raise ValueError(
            f"{num_bad} forecast values are NaN or infinite where y is known: a model may not leave out what is scored"
        )
    return y, forecast, scored


def _sums(loss: np.ndarray, scored: np.ndarray) -> WindowSums:
    total = np.where(scored, loss, 0.0).sum(axis=1)
    return WindowSums(total, scored.sum(axis=1).astype(np.float64), np.zeros(len(total), dtype=bool))


def _volume(y: np.ndarray, scored: np.ndarray) -> np.ndarray:
    return np.where(scored, np.abs(y), 0.0).sum(axis=1)


def _scaled(sums: WindowSums, scale: np.ndarray) -> WindowSums:
    scale = np.asarray(scale, dtype=np.float64)
    if scale.shape != sums.total.shape:
        raise ValueError(f"scale has shape {scale.shape}, but there are {len(sums.total)} windows")
    known = sums.weight > 0
    usable = known & np.isfinite(scale) & (scale > 0)
    mean = sums.per_window()
    total = np.divide(mean, scale, out=np.zeros(len(mean)), where=usable)
    return WindowSums(total, usable.astype(np.float64), known & ~usable)


def _score(sums: WindowSums) -> Score:
    return Score(sums.pooled(), int(sums.weight.sum()), int(sums.dropped.sum()))
