"""What the naive forecasts read of the rows before a cut: many series, many cuts of each, one pass over the rows.

Letters: S series, K cuts of each, P steps of a season, m season length. NaN is a missing value. Everything is counted in
float64; a long series is read piece by piece, so that what is held does not grow with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

ROWS = 1 << 17  # read at a time
MIN_WINDOW = 8  # values in a window mean, rounded up to whole seasons


@dataclass
class Residuals:
    """Differences between neighbouring known values, each over g steps; [S, K] each."""

    squares: np.ndarray  # sum of difference^2 / g
    count: np.ndarray  # how many there are
    sizes: np.ndarray  # sum of |difference| where g is 1
    single: np.ndarray  # how many of these


@dataclass
class History:
    """The rows of each series before each of its cuts; [S, K] where nothing else is said."""

    values: np.ndarray  # [T] those of all series
    begin: np.ndarray  # [S] first row of each in `values`
    cuts: np.ndarray  # rows of the series before the cut
    season_length: int
    count: np.ndarray  # number of known values
    volume: np.ndarray  # sum of their sizes
    squares: np.ndarray  # sum of their squares
    first: np.ndarray  # row of the first of them, counted in `values`; -1 without any
    first_value: np.ndarray  # NaN without any
    last: np.ndarray  # the same of the last of them
    last_value: np.ndarray
    steps: Residuals
    sloped: np.ndarray  # sum of (difference - g slope)^2 / g of the steps, the slope being that from the first to the last
    seasons: Residuals  # the same within each position of the season
    seasonal: np.ndarray  # [S, K, P] last known value at the season's position of step p + 1 after the cut, NaN without any
    ago: np.ndarray  # [S, K, P] seasons from that value to this step
    mean: np.ndarray  # of the last known values, `MIN_WINDOW` or more; NaN without any
    used: np.ndarray  # how many these are
    around: np.ndarray  # sum of their squared distances from `mean`


class Known(NamedTuple):
    """The known values of some rows, those of a series together and in time order."""

    row: np.ndarray  # counted in `History.values`
    value: np.ndarray
    series: np.ndarray
    place: np.ndarray  # series m + position in the season
    order: np.ndarray  # sorts them by place, then by row
    old: int  # so many at the beginning are of the rows before


def blocks(lengths: np.ndarray) -> Iterator[slice]:
    """Neighbouring series of `ROWS` rows together at most, or a single longer one; a short series counts as 64 rows."""
    ends, begin = np.cumsum(np.maximum(lengths, 64)), 0
    while begin < len(lengths):
        room = ROWS + (ends[begin - 1] if begin else 0)
        end = max(int(np.searchsorted(ends, room, side="right")), begin + 1)
        yield slice(begin, end)
        begin = end


def look_back(values: np.ndarray, begin: np.ndarray, cuts: np.ndarray, *, season_length: int, horizon: int) -> History:
    """The history before each of `cuts` [S, K], which do not fall along K, of the series of one of `blocks`.

    Series s stands in `values` [T] from row `begin[s]` on, the next one behind it. The arrays are float64, rows int64.
    """
    history = _empty(values, begin, cuts, season_length, min(horizon, season_length))
    first, last = int(begin[0]), int(begin[-1] + cuts[-1, -1])
    size = ROWS if len(begin) == 1 else max(last - first, 1)
    known, drifts = None, np.zeros((3, *cuts.shape))
    for low in range(first, max(last, first + 1), size):
        known = _known(history, low, min(low + size, last), known)
        bounds = np.searchsorted(known.row, begin[:, None] + np.append(np.zeros((len(begin), 1), np.int64), cuts, axis=1))
        drifts = _add_sums(history, known, bounds, drifts)
        now = begin[:, None] + cuts > low  # the cuts before this piece have had their turn
        _find_ends(history, known, bounds, now)
        _find_seasonal(history, known, now)
        _add_windows(history, known, bounds, now)
    history.sloped = drifts[0]
    return history


def seasonal_scales(history: History) -> np.ndarray:
    """Mean in-sample error of the seasonal naive forecast before each cut, [S, K], the unit of MASE (`metrics.seasonal_scale`).

    Where it is zero (a season that repeats to the bit) or unknown, the error of the last value takes its place, then the mean
    size of the values, then 1: such a series is judged, not left out.
    """
    seasonal, steps = (_over(part.sizes, part.single) for part in (history.seasons, history.steps))
    scale = np.where(history.count > history.season_length + 1, seasonal, steps)
    for candidate in (steps, _over(history.volume, history.count), 1.0):
        scale = np.where(scale > 0, scale, candidate)
    return scale


def _empty(values: np.ndarray, begin: np.ndarray, cuts: np.ndarray, season_length: int, steps: int) -> History:
    """A history in which nothing has been looked at."""
    zeros, nothing, no_row = ([np.full(cuts.shape, value) for _ in range(9)] for value in (0.0, np.nan, -1))
    steps_, seasons = (Residuals(*(np.zeros(cuts.shape) for _ in range(4))) for _ in range(2))
    seasonal = np.full((*cuts.shape, steps), np.nan)
    return History(
        values=values,
        begin=begin,
        cuts=cuts,
        season_length=season_length,
        count=zeros[0],
        volume=zeros[1],
        squares=zeros[2],
        first=no_row[0],
        first_value=nothing[0],
        last=no_row[1],
        last_value=nothing[1],
        steps=steps_,
        sloped=zeros[3],
        seasons=seasons,
        seasonal=seasonal,
        ago=np.ones(seasonal.shape),
        mean=nothing[2],
        used=zeros[4],
        around=zeros[5],
    )


def _known(history: History, low: int, high: int, before: Known | None) -> Known:
    """The known values of rows `low` to `high`, and what later pieces of a series need of those before."""
    values = history.values[low:high].astype(np.float64)
    inside = np.flatnonzero(~np.isnan(values))
    row, value, old = inside + low, values[inside], 0
    if before is not None:
        kept = _carried(before, history.season_length)
        row, value, old = np.append(before.row[kept], row), np.append(before.value[kept], value), len(kept)
    ends = np.append(np.searchsorted(row, history.begin[1:]), len(row))
    series = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=0))
    place = series * history.season_length + (row - history.begin[series]) % history.season_length
    return Known(row, value, series, place, np.argsort(place, kind="stable"), old)


def _carried(known: Known, season_length: int) -> np.ndarray:
    """The last of each position of the season, and those of the window mean."""
    ordered = known.place[known.order]
    latest = known.order[np.append(ordered[1:] != ordered[:-1], True)] if len(ordered) else known.order
    return np.union1d(latest, np.arange(len(known.row))[-window_length(season_length) :])


def window_length(season_length: int) -> int:
    """Values in a window mean: whole seasons, `MIN_WINDOW` or more."""
    return season_length * -(-MIN_WINDOW // season_length)


def _add_sums(history: History, known: Known, bounds: np.ndarray, drifts: np.ndarray) -> np.ndarray:
    """Add what is summed up to each cut; returns the sums behind `History.sloped` with those of this piece (see `_joined`)."""
    every = np.arange(len(known.row))
    new = every >= known.old
    for sums, added in ((history.count, new), (history.volume, np.abs(known.value)), (history.squares, known.value**2)):
        sums += np.cumsum(_between(np.where(new, added, 0.0), bounds), axis=1)
    rise, gap = _differences(known, every, known.series, 1)
    _add_residuals(history.steps, rise, gap, bounds)
    _add_residuals(history.seasons, *_differences(known, known.order, known.place, history.season_length), bounds)
    spans, rises = _between(gap, bounds), _between(rise, bounds)
    slopes = np.divide(rises, spans, out=np.zeros_like(rises), where=spans > 0)
    sizes = np.diff(np.append(bounds.ravel(), len(every)))
    slope = np.append(slopes, np.zeros((len(slopes), 1)), axis=1).repeat(sizes)  # nobody asks for the rows after the last cut
    distance = _between(_over((rise - gap * slope) ** 2, gap), bounds)
    here, joined = np.zeros((3, len(spans))), np.empty_like(drifts)
    for k in range(spans.shape[1]):
        here = _joined(here, np.stack([distance[:, k], rises[:, k], spans[:, k]]))
        joined[:, :, k] = _joined(drifts[:, :, k], here)
    return joined


def _over(values: np.ndarray, gap: np.ndarray) -> np.ndarray:
    return np.divide(values, gap, out=np.zeros_like(values), where=gap > 0)


def _joined(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Rows of two neighbouring stretches as those of one: squared distances from its own slope, rise, and length [3, S].

    The distances grow by how far the slopes lie from the common one (Chan, Golub & LeVeque 1979, equation 2.1b).
    """
    length = one[2] + other[2]
    apart = _over(one[1], one[2]) - _over(other[1], other[2])
    return np.stack([one[0] + other[0] + _over(apart**2 * one[2] * other[2], length), one[1] + other[1], length])


def _between(values: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Sums of `values` from each bound to the next in its series, [S, K]."""
    sums = np.add.reduceat(np.append(values, 0.0), bounds.ravel()).reshape(bounds.shape)[:, :-1]
    return np.where(np.diff(bounds) > 0, sums, 0.0)


def _differences(known: Known, order: np.ndarray, group: np.ndarray, unit: int) -> tuple[np.ndarray, np.ndarray]:
    """The step to each value from the one before it in its group, and the rows between in units; 0 for old and first ones."""
    rise, gap = np.zeros(len(order)), np.zeros(len(order))
    ordered = group[order]
    chosen = np.flatnonzero((ordered[1:] == ordered[:-1]) & (order[1:] >= known.old))
    later, earlier = order[chosen + 1], order[chosen]
    rise[later] = known.value[later] - known.value[earlier]
    gap[later] = (known.row[later] - known.row[earlier]) // unit
    return rise, gap


def _add_residuals(residuals: Residuals, rise: np.ndarray, gap: np.ndarray, bounds: np.ndarray) -> None:
    single = gap == 1
    for sums, added in (
        (residuals.squares, _over(rise**2, gap)),
        (residuals.count, gap > 0),
        (residuals.sizes, np.where(single, np.abs(rise), 0.0)),
        (residuals.single, single),
    ):
        sums += np.cumsum(_between(added, bounds), axis=1)


def _find_ends(history: History, known: Known, bounds: np.ndarray, now: np.ndarray) -> None:
    """The first and the last known value before each cut."""
    some = now & (bounds[:, 1:] > bounds[:, :1])
    last = (bounds[:, 1:] - 1)[some]
    history.last[some], history.last_value[some] = known.row[last], known.value[last]
    some &= history.first < 0
    first = np.broadcast_to(bounds[:, :1], some.shape)[some]
    history.first[some], history.first_value[some] = known.row[first], known.value[first]


def _find_seasonal(history: History, known: Known, now: np.ndarray) -> None:
    """The last known value of each position of the season before each cut."""
    if not len(known.row):
        return
    season, base = history.season_length, int(known.row[0])
    num_rows = int(known.row[-1]) + 1 - base
    keys = (known.place * num_rows + known.row - base)[known.order]
    series, cut = np.nonzero(now)
    steps = history.cuts[series, cut][:, None] + np.arange(history.seasonal.shape[2])
    place = series[:, None] * season + steps % season
    cut_row = np.minimum(history.begin[series] + history.cuts[series, cut] - base, num_rows)[:, None]
    found = np.searchsorted(keys, place * num_rows + np.maximum(cut_row, 0)) - 1
    at = known.order[np.maximum(found, 0)]
    seen = (found >= 0) & (known.place[at] == place)
    values, rows = known.value[at], history.begin[series][:, None] + steps - known.row[at]
    history.seasonal[series, cut] = np.where(seen, values, history.seasonal[series, cut])
    history.ago[series, cut] = np.where(seen, rows // season, history.ago[series, cut])


def _add_windows(history: History, known: Known, bounds: np.ndarray, now: np.ndarray) -> None:
    """The mean of the last known values before each cut and their distances from it, cut by cut."""
    for k in np.flatnonzero(now.any(axis=0)):
        end = bounds[now[:, k], k + 1]
        used = np.minimum(end - bounds[now[:, k], 0], window_length(history.season_length))
        back = np.arange(-used.max(initial=0), 0)
        inside = back >= -used[:, None]
        values = known.value[np.where(inside, end[:, None] + back, 0)] if len(known.value) else np.zeros(inside.shape)
        mean = np.divide(np.where(inside, values, 0.0).sum(axis=1), used, out=np.full(len(used), np.nan), where=used > 0)
        history.mean[now[:, k], k], history.used[now[:, k], k] = mean, used
        history.around[now[:, k], k] = np.where(inside, (values - mean[:, None]) ** 2, 0.0).sum(axis=1)
