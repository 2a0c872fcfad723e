"""What does each way of asking the pretrained network give, alone and together?

    python benchmarks/inference_aids.py --data DATA

Samples of 300 series of every panel, the last `horizon` rows each, as in `zero_shot.py`. A view is what is read of a history:
all of it, its last half, its last quarter, its last 1,024 rows. Two ways look at forecasts of earlier rows, one and two
horizons before the end of the history: the weights of the views, and the widths of the intervals. Written:
`results/inference_aids.json` and the table in `benchmarks/README.md`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import smoothing
import zero_shot as scoring
from zero_shot import LEVELS, SIX, Series, geometric_mean

from tsattn import zero_shot

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "inference_aids.json"
MEDIAN = LEVELS.index(0.5)
VIEWS = ("whole", "half", "quarter", "recent")
LEAST = 5  # rows of a history from which is forecast
EARLIER = (1, 2)  # horizons before the end, for what is decided by back-test
STRENGTH = 4.0  # of the weights of the views: exp(-4 x error over that of the mean of the views)


class Views(NamedTuple):
    """Forecasts from one cut of each series, those of a view that is no other than the whole being NaN."""

    plain: np.ndarray  # [4, S, H, 9]
    both: np.ndarray  # the mean of it and of the forecast upside down
    future: np.ndarray  # [S, H], NaN where the history is too short for this cut


class Asked(NamedTuple):
    """All forecasts of one panel: at the end of the history, and one and two horizons before."""

    series: Series
    now: Views
    earlier: list[Views]


def rows_of(length: int) -> dict[str, int]:
    """How many rows each view has of a history."""
    full = min(length, zero_shot.LONGEST)
    parts = {"half": int(np.ceil(full / 2)), "quarter": int(np.ceil(full / 4)), "recent": zero_shot.AIDS.recent or full}
    return {"whole": full, **{name: min(max(rows, zero_shot.LEAST), full) for name, rows in parts.items()}}


def views_of(past: list[np.ndarray], future: np.ndarray) -> Views:
    """Every view of every history that is long enough."""
    num, horizon = future.shape
    plain, both = np.full((2, len(VIEWS), num, horizon, len(LEVELS)), np.nan)
    for v, view in enumerate(VIEWS):
        sizes = [rows_of(len(y))[view] for y in past]
        fits = [np.isfinite(y).sum() >= LEAST and (v == 0 or size < len(y)) for y, size in zip(past, sizes, strict=True)]
        asked = np.flatnonzero(fits)
        cut = [past[s][-sizes[s] :] for s in asked]
        cut = [y if np.isfinite(y).sum() >= zero_shot.FEWEST else past[s] for s, y in zip(asked, cut, strict=True)]
        if len(asked):
            for into, flip in ((plain, False), (both, True)):
                aids = zero_shot.NO_AIDS._replace(flip=flip)
                into[v, asked] = zero_shot.forecast(scoring.panel_of(cut), horizon, levels=LEVELS, aids=aids)[1]
    return Views(plain, both, np.where(np.isnan(both[0, :, :, 0]), np.nan, future))


def ask(data: Path, name: str) -> Asked:
    """The sample of one panel."""
    series = scoring.sampled(scoring.load(data, name))
    earlier = []
    for back in EARLIER:
        cut = [y[: max(len(y) - back * series.horizon, 0)] for y in series.past]
        after = [np.append(y[len(c) :], np.full(series.horizon, np.nan)) for y, c in zip(series.past, cut, strict=True)]
        earlier.append(views_of(cut, np.stack([y[: series.horizon] for y in after])))
    return Asked(series, views_of(series.past, series.future), earlier)


# ---- ways --------------------------------------------------------------------------------------------------------------


def weights_of(views: Views) -> np.ndarray:
    """[4, S]: evenly, a series that is its own last 1,024 rows counting twice."""
    there = ~np.isnan(views.both[:, :, 0, 0])
    weights = there.astype(float)
    weights[0] += ~there[VIEWS.index("recent")]
    return weights / weights.sum(0)


def mixed(views: Views, weights: np.ndarray) -> np.ndarray:
    """[S, H, 9]."""
    return np.einsum("vs,vshq->shq", weights, np.nan_to_num(views.both))


def even(asked: Asked) -> np.ndarray:
    """The mean of the views, right side up and upside down."""
    return mixed(asked.now, weights_of(asked.now))


def by_width(asked: Asked) -> np.ndarray:
    """Views weighted by how sure they are of a step: the square of how many times the whole is as wide, between 1 and 4."""
    width = np.nan_to_num(asked.now.both[..., -1] - asked.now.both[..., 0], nan=np.inf)
    share = np.divide(width, width[0], out=np.ones_like(width), where=width[0] > 0)
    weights = weights_of(asked.now)[..., None] / np.clip(share, 0.5, 1.0) ** 2
    return np.einsum("vsh,vshq->shq", weights / weights.sum(0), np.nan_to_num(asked.now.both))


def by_backtest(asked: Asked) -> np.ndarray:
    """Views weighted by their errors on the earlier rows of the panel and, a quarter as much, of the series."""
    relative = []
    for views in asked.earlier:
        error = np.nanmean(np.abs(views.future - views.both[..., MEDIAN]), axis=2)
        relative.append(error / np.nanmean(error, axis=0))
    each = np.nan_to_num(np.nanmean(relative, axis=0), nan=1.0)
    pooled = np.nan_to_num(np.nanmean(relative, axis=(0, 2)), nan=1.0)
    weights = weights_of(asked.now) * np.exp(-STRENGTH * (pooled[:, None] - 1 + (each - 1) / 4))
    return mixed(asked.now, weights / weights.sum(0))


def calibrated(asked: Asked) -> np.ndarray:
    """Half of the way (in the logarithm) to the width that would have held 80 % of the earlier rows of the panel."""
    reach = []
    for views in asked.earlier:
        quantiles = mixed(views, weights_of(views))
        away = views.future - quantiles[..., MEDIAN]
        up, down = (np.abs(quantiles[..., end] - quantiles[..., MEDIAN]) for end in (-1, 0))
        reach.append(np.abs(away) / np.maximum(np.where(away > 0, up, down), 1e-12))
    factor = float(np.nanquantile(reach, 0.8)) if np.isfinite(reach).any() else 1.0
    quantiles = even(asked)
    median = quantiles[..., MEDIAN, None]
    return median + (quantiles - median) * np.clip(factor**0.5, 0.5, 2.0)


def whole_numbers(asked: Asked) -> np.ndarray:
    """The mean of the views by how sure they are, of counts rounded."""
    quantiles = by_width(asked)
    if not asked.series.integer:
        return quantiles
    return zero_shot.whole_numbers(quantiles, LEVELS, quantiles[..., MEDIAN])


def narrowed(asked: Asked) -> np.ndarray:
    """Quantiles nearer to the median."""
    return with_aids(asked.series, zero_shot.AIDS._replace(pull=0.0, tilt=False))


def pulled(asked: Asked) -> np.ndarray:
    """Of fewer than eight values nearer to the last one."""
    return with_aids(asked.series, zero_shot.AIDS._replace(tilt=False))


def with_aids(series: Series, aids: zero_shot.Aids) -> np.ndarray:
    """All series with these aids."""
    panel = scoring.panel_of(series.past)
    return zero_shot.forecast(panel, series.horizon, levels=LEVELS, integer=series.integer, aids=aids)[1]


def shipped(asked: Asked) -> np.ndarray:
    """What `predict` asks."""
    return scoring.with_aids(asked.series)


WAYS: dict[str, Callable[[Asked], np.ndarray]] = {
    "the network alone, the whole history": lambda asked: asked.now.plain[0],
    "mean with the forecast upside down": lambda asked: asked.now.both[0],
    "the same, the last half": lambda asked: only(asked, "half"),
    "the same, the last quarter": lambda asked: only(asked, "quarter"),
    "the same, the last 1,024 rows": lambda asked: only(asked, "recent"),
    "mean of the four views": even,
    "the same, by how sure they are": by_width,
    "the same, quantiles of counts rounded": whole_numbers,
    "the same, intervals narrowed": narrowed,
    "the same, few values pulled to the last one": pulled,
    "**what ships**: the same, short series that go one way tilted": shipped,
    "mean of the views weighted by back-test": by_backtest,
    "mean of the views, widths by back-test": calibrated,
    "what ships, with exponential smoothing": lambda asked: scoring.with_smoothing(asked.series),
    "exponential smoothing alone": lambda asked: smooth(asked.series),
}


def only(asked: Asked, view: str) -> np.ndarray:
    """One view, the whole history where the view is no other."""
    chosen = asked.now.both[VIEWS.index(view)]
    return np.where(np.isnan(chosen), asked.now.both[0], chosen)


def smooth(series: Series) -> np.ndarray:
    """Without intervals."""
    found = smoothing.forecast(series.past, series.season_length, series.horizon)
    return np.repeat(found[..., None], len(LEVELS), axis=-1)


# ---- scores ------------------------------------------------------------------------------------------------------------


def scores(asked: Asked) -> dict[str, dict[str, float]]:
    """Of each way: MASE over that of the seasonal naive forecast, weighted quantile loss, coverage."""
    series, found = asked.series, {}
    naive = scoring.mase(series, scoring.naive_of(series))
    for name, way in WAYS.items():
        quantiles = way(asked)
        error = scoring.mase(series, quantiles[..., MEDIAN])
        counted = np.isfinite(naive) & np.isfinite(error)
        found[name] = {
            "ratio": float(error[counted].mean() / naive[counted].mean()),
            "wql": scoring.weighted_quantile_loss(series, quantiles),
            "coverage": float(np.nanmean(scoring.inside(series.future, quantiles))),
        }
    return found


def table_of(panels: dict[str, dict[str, dict[str, float]]]) -> str:
    """A row per way."""
    lines = ["| asked | six sets | all panels | WQL, all panels | panels better than what ships | mean coverage |"]
    lines.append("|---|---|---|---|---|---|")
    own = next(name for name in WAYS if name.startswith("**"))
    for name in WAYS:
        ratios = {panel: found[name]["ratio"] for panel, found in panels.items()}
        six = geometric_mean([ratios[panel] for panel in SIX])
        better = sum(ratio < panels[panel][own]["ratio"] - 1e-9 for panel, ratio in ratios.items())
        wql = geometric_mean([found[name]["wql"] for found in panels.values()])
        held = float(np.mean([found[name]["coverage"] for found in panels.values()]))
        cells = (f"{six:.3f}", f"{geometric_mean(list(ratios.values())):.3f}", f"{wql:.4f}")
        lines.append(f"| {name} | {' | '.join(cells)} | {better} of {len(ratios)} | {held:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    data, began = parser.parse_args().data, time.perf_counter()
    panels: dict[str, Any] = {}
    for name in json.loads((data / "panels.json").read_text())["panels"]:
        with np.errstate(all="ignore"):
            panels[name] = scores(ask(data, name))
        print(name, {way: round(found["ratio"], 3) for way, found in panels[name].items()}, flush=True)
    result = {"panels": panels, "weights": zero_shot.pretrained().sha256, "seconds": time.perf_counter() - began}
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    text = f"{table_of(panels)}\n\nWeights {result['weights'][:12]}, {result['seconds']:.0f} s."
    scoring.write_between(HERE / "README.md", "aids", text)


if __name__ == "__main__":
    main()
