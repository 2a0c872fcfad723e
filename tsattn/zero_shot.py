"""Forecasts without training: the network that ships with tsattn, which has seen simulated series alone, and how it is asked.

A series is read in several views, the whole of it, its last half and quarter and its last 1024 rows, and upside down: the mean
of the answers, of which those count more that are surer of themselves, is better than each of them. A short one that mostly
goes one way is read steeper and flatter too, and after fewer than eight values the answer is moved towards the last one.
Letters: S series, L context, H horizon, Q quantile levels, K levels of the network.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tsattn.config import PatchConfig
from tsattn.data.panel import Panel, right_aligned, select
from tsattn.rolling import rolled, windows_at_once

FOLDER = "pretrained"
LONGEST = 2048  # steps of context, as in pretraining
FARTHEST = 256  # steps in one pass; what lies beyond is rolled
PATCH = 16
LEAST = 8  # rows that a shortened context keeps
FEWEST = 3  # values in them, else the view is left out
SHORT = 64  # rows at most of a series that is tilted
ONE_WAY = 0.3  # least share of its steps up less those down, or the other way round
SEASONAL = 0.5  # autocorrelation of its steps from which on a lag counts as a season


class Aids(NamedTuple):
    """How often the network is asked; its answers are averaged quantile by quantile (measured: `benchmarks/zero_shot.py`).

    An answer with a narrower interval counts more: `_trust`.
    """

    flip: bool = True  # (f(x) - f(-x)) / 2: the sign has no say
    views: tuple[float, ...] = (0.5, 0.25)  # shares of the rows, from the end on, that are read beside the whole
    recent: int | None = 1024  # and the last rows, at most so many: of a shorter series the whole counts twice
    narrow: float = 0.94  # of the distance of quantiles from the median, untilted: a mean of answers errs less than each
    pull: float = 0.25  # of the way to the last value, where fewer than `LEAST` are known
    tilt: bool = True  # (f(x) + f(x + c t) - c t + f(x - c t) + c t) / 3 for short series that go one way (`_one_way`)


AIDS = Aids()
NO_AIDS = Aids(flip=False, views=(), recent=None, narrow=1.0, pull=0.0, tilt=False)


class Pretrained(NamedTuple):
    """The network and what it was made of."""

    network: Any  # torch.nn.Module
    levels: tuple[float, ...]  # its K quantile levels
    sha256: str  # of its weights
    facts: dict[str, Any]  # what the manifest says of how they were made


@cache
def pretrained() -> Pretrained:
    """The network that ships with tsattn, on the CPU; a ModelFolderError where its files are not as they were made."""
    from tsattn import manifest, store

    folder = Path(str(resources.files("tsattn"))) / FOLDER
    try:
        facts = manifest.json_of(folder / "manifest.json", (folder / "manifest.json").read_bytes())
        content = (folder / "model.safetensors").read_bytes()
        if manifest.sha256(content) != facts["sha256"]:
            raise ValueError("model.safetensors is not the file that was made")
        config, levels = PatchConfig(**facts["config"]["model"]), tuple(facts["levels"])
        network = store.network_from(content, config, context_length=LONGEST, horizon=FARTHEST, levels=levels)
    except (OSError, KeyError, TypeError, ValueError) as problem:
        raise manifest.ModelFolderError(f"{folder}: {problem}: install tsattn again") from problem
    return Pretrained(network, levels, facts["sha256"], facts)


def forecast(
    panel: Panel, horizon: int, *, levels: tuple[float, ...], integer: bool = False, aids: Aids = AIDS
) -> tuple[np.ndarray, np.ndarray]:
    """Mean [S, H] and quantiles [S, H, Q] after the last row of each series, float64; NaN for a series without any value.

    A series may have any length, of which the last 2048 rows are read, and NaN anywhere. Up to 256 steps come from one pass,
    more are rolled with widening intervals. Levels that the network does not give are read between those it gives, and beyond
    them as of a normal distribution. For counts (`integer`) mean and quantiles are at least 0, and the quantiles whole numbers
    (`whole_numbers`).
    """
    shipped = pretrained()
    own = _mean_of_views(panel, horizon, aids)
    one_way = _going_one_way(panel) if aids.tilt else np.zeros(0, np.int64)
    median, wide = own[..., shipped.levels.index(0.5), None], own[one_way]
    own = median + aids.narrow * (own - median)
    if len(one_way):
        own[one_way] = _tilted(select(panel, one_way), wide, horizon, aids)
    own += aids.pull * _way_to_last(own[..., shipped.levels.index(0.5)], panel)[..., None]
    own = np.maximum(own, 0.0) if integer else own
    quantiles = at_levels(own, shipped.levels, levels)
    if integer:
        quantiles = whole_numbers(quantiles, levels, own[..., shipped.levels.index(0.5)])
    return own @ mean_weights(shipped.levels), quantiles


def _way_to_last(median: np.ndarray, panel: Panel) -> np.ndarray:
    """What the median [S, H] lacks to the last value of a series with fewer than `LEAST` values, 0 for others.

    Few values of counts hardly tell whether a level goes on, as from one working day to the next, or comes back to the mean.
    """
    values = panel.values[:, 0].astype(np.float64)
    known = np.flatnonzero(~np.isnan(values))
    before = np.searchsorted(known, panel.indptr)
    number = np.diff(before)
    few = np.flatnonzero((number > 0) & (number < LEAST))
    way = np.zeros_like(median)
    way[few] = values[known[before[1:][few] - 1], None] - median[few]
    return way


def _mean_of_views(panel: Panel, horizon: int, aids: Aids) -> np.ndarray:
    """Quantiles [S, H, K], the mean of those of all views by `_trust`; NaN for a series without any value."""
    shipped = pretrained()
    full = np.minimum(panel.lengths, LONGEST)
    total = np.zeros((len(panel.ids), horizon, len(shipped.levels)))
    count = np.zeros(total.shape[:2])
    usual = np.zeros_like(count)  # width of the interval after the whole history, the first view
    for lengths, weight in _views(full, aids):
        asked = np.flatnonzero(weight)
        for chosen in batches(lengths[asked], horizon):
            part = asked[chosen]
            context = right_aligned(select(panel, part, panel.lengths[part] - lengths[part]), _patches(lengths[part]))
            enough = (~np.isnan(context)).sum((1, 2)) >= np.where(lengths[part] < full[part], FEWEST, 1)
            part, context = part[enough], context[enough].astype(np.float64)
            answer = quantiles_of(shipped.network, shipped.levels, context, horizon, flip=aids.flip)
            width = answer[..., -1] - answer[..., 0]
            usual[part] = np.where(count[part] == 0, width, usual[part])
            counts = weight[part, None] * _trust(width, usual[part])
            total[part] += counts[..., None] * answer
            count[part] += counts
    return np.divide(total, count[..., None], out=np.full_like(total, np.nan), where=count[..., None] > 0)


def _trust(width: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """How much an answer counts at each step: 1, or (usual / width)^2 where its interval is narrower than the `usual` one.

    That is inverse variance (Bates & Granger 1969), up to 4: a view of equal values has no width at all.
    """
    share = np.divide(width, usual, out=np.ones_like(width), where=usual > 0)
    return np.clip(share, 0.5, 1.0) ** -2


def _going_one_way(panel: Panel) -> np.ndarray:
    """The short series that do, numbers of them."""
    short = np.flatnonzero((panel.lengths >= LEAST) & (panel.lengths <= SHORT))
    rows = [panel.values[panel.indptr[s] : panel.indptr[s + 1], 0] for s in short]
    return short[[_one_way(y[~np.isnan(y)]) for y in rows]] if len(short) else short


def _tilted(few: Panel, found: np.ndarray, horizon: int, aids: Aids) -> np.ndarray:
    """The mean of `found`, the answer to these short series, and of the answers with a line added and taken off.

    The network bends a trend that it sees in a few rows too readily. A line of the size of the steps, up or down, makes bends
    small beside it, and the two errors that it makes itself are opposite. Trends of few rows are less certain than it takes
    them for, so that these intervals are not narrowed.
    """
    few = few._replace(values=few.values.astype(np.float64))
    starts, lengths = few.indptr[:-1], few.lengths
    slope = np.array([np.nanmean(np.abs(np.diff(y[~np.isnan(y)]))) for y in np.split(few.values[:, 0], starts[1:])])
    line = np.repeat(slope, lengths) * (np.arange(few.indptr[-1]) - np.repeat(few.indptr[1:] - 1, lengths))
    ahead = slope[:, None] * np.arange(1, horizon + 1)
    for sign in (1, -1):
        tilted = few._replace(values=few.values + sign * line[:, None])
        found = found + _mean_of_views(tilted, horizon, aids) - sign * ahead[..., None]
    return found / 3


def _one_way(y: np.ndarray) -> bool:
    """Whether steps mostly have one sign, by 3 in 10, and no lag of 2 to 12 shows half of their variance: no season."""
    steps = np.diff(y)
    if len(steps) < LEAST - 1 or abs(np.sign(steps).mean()) <= ONE_WAY:
        return False
    away = steps - steps.mean()
    total = away @ away
    lags = range(2, min(12, len(steps) // 2) + 1)
    return bool(total > 0) and all(away[m:] @ away[:-m] < SEASONAL * total for m in lags)


def whole_numbers(quantiles: np.ndarray, levels: tuple[float, ...], median: np.ndarray | None = None) -> np.ndarray:
    """Quantiles [S, H, Q] of counts, at least 0: the median to the nearest whole number, the others towards it.

    An interval keeps the whole numbers that it held; rounded to the nearest or outwards it would hold too many. The median
    [S, H] is that among the quantiles where it is not given.
    """
    median = quantiles[..., levels.index(0.5)] if median is None else median
    quantiles, middle = np.maximum(quantiles, 0.0), np.rint(np.maximum(median, 0.0))[..., None]
    side = np.sign(np.array(levels) - 0.5)
    lower, upper = np.minimum(np.ceil(quantiles), middle), np.maximum(np.floor(quantiles), middle)
    return np.where(side < 0, lower, np.where(side > 0, upper, middle))


def _views(full: np.ndarray, aids: Aids) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows that are read [S] and how much the answer counts [S], of each view; rows that are those of another count for it."""
    cuts = [full, *(np.clip(np.ceil(view * full).astype(np.int64), np.minimum(LEAST, full), full) for view in aids.views)]
    if aids.recent is not None:
        cuts.append(np.minimum(full, aids.recent))
    weights = np.ones((len(cuts), len(full)))
    for later in range(1, len(cuts)):
        for earlier in range(later):
            same = np.where(cuts[later] == cuts[earlier], weights[later], 0.0)
            weights[earlier] += same
            weights[later] -= same
    return list(zip(cuts, weights, strict=True))


def _patches(lengths: np.ndarray) -> int:
    """Steps of the whole patches that hold the longest."""
    return max(-(-int(lengths.max(initial=1)) // PATCH) * PATCH, PATCH)


def batches(lengths: np.ndarray, horizon: int) -> list[np.ndarray]:
    """The series in parts of like lengths, as many as are read at once, steps that are rolled on counted."""
    order = np.argsort(lengths, kind="stable")
    parts, begin = [], 0
    while begin < len(order):
        shortest = int(lengths[order[begin]])
        longest = max(int(1.25 * shortest), shortest + 2 * PATCH)
        size = min(longest + PATCH + horizon, LONGEST + PATCH) + min(horizon, FARTHEST) + PATCH
        end = min(begin + windows_at_once(2 * size), len(order))  # each of them upside down, too
        end = begin + max(int(np.searchsorted(lengths[order[begin:end]], longest, side="right")), 1)
        parts.append(order[begin:end])
        begin = end
    return parts


def quantiles_of(
    network: Any, levels: tuple[float, ...], context: np.ndarray, horizon: int, *, flip: bool = True
) -> np.ndarray:
    """[S, H, K] after contexts [S, L, 1] with NaN where nothing is known; with `flip`, (f(x) - f(-x)) / 2."""
    import torch

    def ask(known: np.ndarray, begin: int) -> np.ndarray:
        steps = min(horizon - begin, FARTHEST)
        values = torch.from_numpy(known)
        with torch.inference_mode():
            raw, scale = network(values.nan_to_num(), ~values.isnan(), None, -(-steps // PATCH) * PATCH)
            return network.head.quantiles(raw, scale)[:, :steps, 0].numpy()

    if not flip:
        return rolled(ask, context, horizon, levels, longest=LONGEST)
    both = rolled(ask, np.concatenate([context, -context]), horizon, levels, longest=LONGEST)
    plain, flipped = np.split(both, 2)
    return (plain - flipped[..., ::-1]) / 2


def mean_weights(levels: tuple[float, ...]) -> np.ndarray:
    """Weights of the quantiles in the mean, as of a head (`nn.heads.quantile_weights`)."""
    from tsattn.nn.heads import quantile_weights

    return quantile_weights(list(levels)).numpy()


def at_levels(quantiles: np.ndarray, own: tuple[float, ...], wanted: tuple[float, ...]) -> np.ndarray:
    """[..., K] at levels `own` -> [..., Q] at levels `wanted`, never crossing.

    Between two levels straight in the normal quantile z; beyond the outermost q_a: median + (q_a - median) z / z_a.
    """
    if wanted == own:
        return quantiles
    from scipy.special import ndtri

    z, median = ndtri(own), quantiles[..., own.index(0.5), None]
    parts = []
    for level in wanted:
        at = ndtri(level)
        if level in own:
            parts.append(quantiles[..., own.index(level), None])
        elif own[0] < level < own[-1]:
            after = int(np.searchsorted(z, at))
            share = (at - z[after - 1]) / (z[after] - z[after - 1])
            parts.append((1 - share) * quantiles[..., after - 1, None] + share * quantiles[..., after, None])
        else:
            outer = 0 if level < own[0] else -1
            parts.append(median + (quantiles[..., outer, None] - median) * at / z[outer])
    return np.concatenate(parts, axis=-1)
