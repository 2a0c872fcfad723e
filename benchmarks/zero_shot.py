"""How well does the pretrained network forecast real series that it has never seen, without training?

    python benchmarks/zero_shot.py --data DATA [--classical FOLDER] [--only m3_monthly ...]

One window per series: the last `horizon` rows of each series of every panel of DATA/panels.json, as the rows come. MASE is
scaled by the seasonal naive error of the rows before; a series without one (a constant) is dropped for all and counted. The
score of a panel is the mean MASE over that of the seasonal naive forecast. FOLDER holds AutoETS and Theta on the same windows
(`benchmarks/peers/classical.py DATA FOLDER panel:last ...`); for panels that are not there they stay as the last run had them:
they do not depend on the network. Also scored: samples of 300 series, the next value after five, coverage. Written:
`results/zero_shot.json` and the table in `benchmarks/README.md`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import smoothing
import torch
from scipy.stats import nbinom

from tsattn import baselines, zero_shot
from tsattn.data.panel import Panel

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "zero_shot.json"
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SIX = ("m3_monthly", "m3_quarterly", "m3_yearly", "tourism_monthly", "tourism_quarterly", "car_parts")
CLASSICAL = ("AutoETS", "Theta")
SAMPLE = 300
SHORT, SHARE = 100, 0.3
USUAL = (0.7, 0.9)  # what 80 % intervals should hold of a panel with so many values:
MANY = 300


class Series(NamedTuple):
    """One panel: what is known of each series, and what comes."""

    ids: list[str]
    past: list[np.ndarray]
    future: np.ndarray  # [S, H]
    season_length: int
    horizon: int
    integer: bool  # the known values are counts, so that `predict` rounds


def load(data: Path, name: str) -> Series:
    """The series with three rows and more before the last `horizon`."""
    panel = json.loads((data / "panels.json").read_text())["panels"][name]
    horizon, table = panel["horizon"], pd.read_parquet(data / panel["path"])
    found = {key: rows["y"].to_numpy(float) for key, rows in table.groupby("unique_id", sort=False) if len(rows) >= horizon + 3}
    past, future = [y[:-horizon] for y in found.values()], np.stack([y[-horizon:] for y in found.values()])
    known = np.concatenate(past)
    known = known[~np.isnan(known)]
    integer = bool((known >= 0).all() and (known % 1 == 0).all())
    return Series(list(found), past, future, panel["season_length"], horizon, integer)


def panel_of(past: list[np.ndarray]) -> Panel:
    """Histories as a panel without calendar."""
    num = len(past)
    indptr = np.concatenate([[0], np.cumsum([len(y) for y in past])])
    zeros = np.zeros(num, np.int64)
    values = np.concatenate(past)[:, None]
    return Panel(values, indptr, zeros, np.zeros((1, 0), np.float32), "D", tuple(map(str, range(num))), zeros)


def seasonal_naive(y: np.ndarray, season: int, horizon: int) -> np.ndarray:
    """The last season of the known values over and over; the last value where there is no whole season.

    Gaps are closed, as in the figures that are compared with.
    """
    y = y[~np.isnan(y)]
    return np.resize(y[-season:], horizon) if len(y) >= season else np.repeat(y[-1] if len(y) else np.nan, horizon)


def naive_of(series: Series) -> np.ndarray:
    """Seasonal naive forecasts [S, H]."""
    return np.stack([seasonal_naive(y, series.season_length, series.horizon) for y in series.past])


def sample(num: int) -> np.ndarray:
    """Which series the comparison with the figures of others takes: 300 of them, all where there are no more."""
    return np.random.default_rng(0).choice(num, SAMPLE, replace=False) if num > SAMPLE else np.arange(num)


def sampled(series: Series) -> Series:
    """These series alone."""
    chosen = sample(len(series.ids))
    ids, past = [series.ids[s] for s in chosen], [series.past[s] for s in chosen]
    return series._replace(ids=ids, past=past, future=series.future[chosen])


def unit(y: np.ndarray, season: int) -> float:
    """Mean |y_t - y_(t - m)| of the history, m = 1 where it is no longer than a season; NaN where it is 0 or unknown."""
    season = season if np.sum(~np.isnan(y)) > season + 1 else 1
    steps = np.abs(y[season:] - y[:-season])
    size = np.nanmean(steps) if np.isfinite(steps).any() else np.nan
    return float(size) if size > 0 else np.nan


def mase(series: Series, forecast: np.ndarray) -> np.ndarray:
    """Of each series, NaN where it cannot be scored."""
    units = np.array([unit(y, series.season_length) for y in series.past])
    seen = np.isfinite(series.future)
    error = np.where(seen, np.abs(series.future - forecast), 0.0).sum(1)
    return error / np.where(seen.any(1), seen.sum(1), np.nan) / units


def weighted_quantile_loss(series: Series, quantiles: np.ndarray) -> float:
    """2 sum of the pinball losses over the sum of |y|, the mean over nine levels."""
    error = series.future[..., None] - quantiles
    loss = np.maximum(np.array(LEVELS) * error, (np.array(LEVELS) - 1) * error)
    loss = np.where(np.isnan(series.future)[..., None], 0.0, loss).sum((0, 1))  # a forecast that is none is no good one
    return float(2 * loss.mean() / np.nansum(np.abs(series.future)))


def inside(future: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """1 where the value lies in the 80 % interval, 0 outside, NaN where there is none."""
    held = (future >= quantiles[..., 0]) & (future <= quantiles[..., -1])
    return np.where(np.isnan(future), np.nan, held)


Way = Callable[[Series], np.ndarray]


def network_alone(series: Series) -> np.ndarray:
    """One pass, nothing else."""
    return zero_shot.forecast(panel_of(series.past), series.horizon, levels=LEVELS, aids=zero_shot.NO_AIDS)[1]


def with_aids(series: Series) -> np.ndarray:
    """What `python -m tsattn.predict` asks."""
    return asked(series.past, series.horizon, integer=series.integer)


def asked(past: list[np.ndarray], horizon: int, *, integer: bool) -> np.ndarray:
    """Quantiles [S, H, 9] with all aids."""
    return zero_shot.forecast(panel_of(past), horizon, levels=LEVELS, integer=integer)[1]


def with_smoothing(series: Series) -> np.ndarray:
    """After at most 100 rows, 30 % of the way to the forecast of exponential smoothing, which is told the season."""
    quantiles = asked(series.past, series.horizon, integer=False)
    short = np.flatnonzero([len(y) <= SHORT for y in series.past])
    if len(short):
        smooth = smoothing.forecast([series.past[s] for s in short], series.season_length, series.horizon)
        quantiles[short] += SHARE * (smooth - quantiles[short, :, LEVELS.index(0.5)])[..., None]
    if series.integer:
        quantiles = zero_shot.whole_numbers(quantiles, LEVELS, quantiles[..., LEVELS.index(0.5)])
    return quantiles


WAYS: dict[str, Way] = {"network": network_alone, "aids": with_aids, "smoothing": with_smoothing}


def answer(data: Path, name: str, classical: Path | None, before: dict[str, Any]) -> dict[str, Any]:
    """Everything about one panel; `before` is what the last run found, of which AutoETS and Theta are kept where not given."""
    series = load(data, name)
    errors = {"seasonal_naive": mase(series, naive_of(series))}
    found: dict[str, Any] = {"season_length": series.season_length, "horizon": series.horizon, "seconds": {}, "coverage": {}}
    found |= {"wql": {}, "points": int(np.isfinite(series.future).sum())}
    for way, forecast in WAYS.items():
        began = time.perf_counter()
        quantiles = forecast(series)
        found["seconds"][way] = time.perf_counter() - began
        errors[way] = mase(series, quantiles[..., LEVELS.index(0.5)])
        found["coverage"][way] = float(np.nanmean(inside(series.future, quantiles)))
        found["wql"][way] = weighted_quantile_loss(series, quantiles)
    if classical is not None and (path := classical / f"{name}_classical.parquet").exists():
        table = pd.read_parquet(path).set_index("unique_id")
        for method in CLASSICAL:
            errors[method] = mase(series, np.stack([table.loc[[key], method].to_numpy() for key in series.ids]))
    scored = np.isfinite(errors["seasonal_naive"])
    chosen = sample(len(series.ids))
    few = chosen[scored[chosen]]
    for key, members in (("mase", scored), ("mase_of_300", few)):
        kept = {method: before[key][method] for method in CLASSICAL if method in before.get(key, {})}
        found[key] = {**kept, **{way: float(error[members].mean()) for way, error in errors.items()}}
    if found["points"] >= MANY and not USUAL[0] <= found["coverage"]["aids"] <= USUAL[1]:
        quantiles = with_aids(series)
        found["missed"] = {
            "below": float((series.future < quantiles[..., 0]).sum() / found["points"]),
            "above": float((series.future > quantiles[..., -1]).sum() / found["points"]),
            "earlier": earlier(series),
            "exact": held_by_exact_quantiles(series) if series.integer else None,
        }
    return found | {"series": len(series.ids), "dropped": int((~scored).sum()), "five": five_points(series)}


def earlier(series: Series) -> list[float]:
    """What 80 % intervals hold up to four horizons before the end, while half of the series are long enough."""
    held = []
    for back in range(1, 5):
        whole = [np.concatenate([past, future]) for past, future in zip(series.past, series.future, strict=True)]
        known = [y[: -back * series.horizon] for y in whole if len(y) >= (back + 1) * series.horizon + 8]
        if len(known) < len(whole) / 2:
            break
        future = np.stack([y[-series.horizon :] for y in known])
        quantiles = asked([y[: -series.horizon] for y in known], series.horizon, integer=series.integer)
        held.append(float(np.nanmean(inside(future, quantiles))))
    return held


def held_by_exact_quantiles(series: Series) -> float:
    """What 80 % intervals of negative binomial distributions hold of themselves; moments of the last 24 values each."""
    shares = []
    for past in series.past:
        y = past[~np.isnan(past)][-24:]
        if len(y) and y.mean() > 0:
            mean, variance = y.mean(), max(y.var(), 1.01 * y.mean())
            exact = nbinom(mean**2 / (variance - mean), mean / variance)
            low, high = exact.ppf(0.1), exact.ppf(0.9)
            shares.append(exact.cdf(high) - exact.cdf(low - 1))
    return float(np.mean(shares))


def five_points(series: Series) -> dict[str, Any]:
    """The next value after the first five of each series and after five from a random place: WAPE, and the interval."""
    random = np.random.default_rng(1)
    cut, target = [], []
    for past, future in zip(series.past, series.future, strict=True):
        y = np.concatenate([past, future])
        for begin in (0, int(random.integers(0, max(len(y) - 5, 1)))):
            if len(y) > begin + 5 and np.isfinite(y[begin : begin + 6]).all():
                cut.append(y[begin : begin + 5])
                target.append(y[begin + 5])
    if not cut:
        return {}
    truth, panel = np.array(target), panel_of(cut)
    quantiles = asked(cut, 1, integer=series.integer)[:, 0]
    medians = {"pretrained": quantiles[:, 4]}
    for name in ("last_value", "damped_mean"):
        given = {"horizon": 1, "season_length": 1, "levels": LEVELS}
        medians[name] = baselines.forecast(name, panel.values[:, 0], panel.indptr, **given).quantiles[:, 0, 4]
    size = np.abs(truth).sum()
    wape = {name: float(np.abs(truth - median).sum() / size) if size else None for name, median in medians.items()}
    held = inside(truth[:, None], quantiles[:, None])
    return {"wape": wape, "coverage": float(held.mean()), "windows": len(truth)}


def geometric_mean(values: list[float]) -> float:
    """exp of the mean of the logarithms."""
    return float(np.exp(np.mean(np.log(values))))


def ratio(found: dict[str, Any], way: str, key: str = "mase") -> float:
    """MASE over that of the seasonal naive forecast."""
    return found[key][way] / found[key]["seasonal_naive"]


def summary(panels: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What is said of all panels together."""
    every = {}
    for way in (*WAYS, *CLASSICAL):
        six = [ratio(panels[name], way) for name in SIX if name in panels and way in panels[name]["mase"]]
        others = [p for name, p in panels.items() if name not in SIX and not name.startswith(("m3", "m4", "tourism"))]
        counts = [ratio(p, way) for p in others if {"AutoETS", way} <= {*p["mase"]}]
        every[way] = {"six": geometric_mean(six) if len(six) == len(SIX) else None}
        every[way]["counts"] = geometric_mean(counts) if counts else None
        every[way]["num_counts"] = len(counts)
    weights = [p["points"] for p in panels.values()]
    pooled = {way: float(np.average([p["coverage"][way] for p in panels.values()], weights=weights)) for way in WAYS}
    fives = [p["five"] for p in panels.values() if p["five"] and all(p["five"]["wape"].values())]
    five = {name: geometric_mean([f["wape"][name] for f in fives]) for name in ("pretrained", "last_value", "damped_mean")}
    held = float(np.average([f["coverage"] for f in fives], weights=[f["windows"] for f in fives]))
    return {"scores": every, "coverage": pooled, "five": {"wape": five, "coverage": held, "panels": len(fives)}}


def write_table(result: dict[str, Any]) -> None:
    """The table of the README between its markers."""
    ways = ("seasonal_naive", *WAYS, *CLASSICAL)
    lines = ["| panel (series, dropped) | " + " | ".join(ways) + " | 80 % coverage | WQL | of 300: aids (naive) |"]
    lines.append("|---" * (len(ways) + 4) + "|")
    for name, found in result["panels"].items():
        cells = [f"{found['mase'][way]:.3f}" if way in found["mase"] else "" for way in ways]
        sampled = f"{found['mase_of_300']['aids']:.3f} ({found['mase_of_300']['seasonal_naive']:.3f})"
        more = [f"{found['coverage']['aids']:.2f}", f"{found['wql']['aids']:.3f}", sampled]
        lines.append(f"| {name} ({found['series']}, {found['dropped']}) | {' | '.join(cells + more)} |")
    said = result["summary"]
    for title, key in (("six sets", "six"), ("counts and others", "counts")):
        cells = ["1"] + [f"{said['scores'][way][key]:.3f}" if said["scores"][way][key] else "" for way in ways[1:]]
        lines.append(f"| **{title}**, geometric mean | {' | '.join(cells)} | | | |")
    five = said["five"]
    text = (
        f"\nPooled coverage of the 80 % intervals: {said['coverage']['aids']:.3f}. The next value after five, geometric mean "
        f"of the WAPE of {five['panels']} panels: pretrained {five['wape']['pretrained']:.4f}, last value "
        f"{five['wape']['last_value']:.4f}, damped mean {five['wape']['damped_mean']:.4f}; its 80 % interval held "
        f"{100 * five['coverage']:.1f} %. Weights {result['weights'][:12]}, {result['seconds']:.0f} s on {result['threads']} "
        "threads."
    )
    missed = {name: found["missed"] for name, found in result["panels"].items() if "missed" in found}
    if missed:
        text += f"\n\nOf panels with {MANY} values and more, these are outside {USUAL[0]:.0%} to {USUAL[1]:.0%}:\n"
    for name, why in missed.items():
        back = ", ".join(f"{share:.2f}" for share in why["earlier"])
        text += f"\n- {name}: {100 * why['below']:.1f} % lay below, {100 * why['above']:.1f} % above."
        text += f" One horizon before the end, two, ...: {back}." if back else ""
        if why["exact"] is not None:
            text += f" Exact quantiles of negative binomial counts with the moments of each series hold {why['exact']:.2f}."
    write_between(HERE / "README.md", "zero_shot", "\n".join(lines) + f"\n{text}")


def write_between(path: Path, name: str, text: str) -> None:
    """Put the text between the markers of this name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = path.read_text().split(begin)
    path.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--classical", type=Path, default=None)
    parser.add_argument("--only", nargs="+", default=None)
    arguments = parser.parse_args()
    names = list(json.loads((arguments.data / "panels.json").read_text())["panels"])
    before = json.loads(RESULT.read_text())["panels"] if RESULT.exists() else {}
    began, panels = time.perf_counter(), {}
    for name in arguments.only or names:
        panels[name] = answer(arguments.data, name, arguments.classical, before.get(name, {}))
        shown = " ".join(f"{way} {value:.3f}" for way, value in panels[name]["mase"].items())
        print(f"{name}: {shown}; coverage {panels[name]['coverage']['aids']:.2f}", flush=True)
    result = {"panels": panels, "summary": summary(panels), "weights": zero_shot.pretrained().sha256}
    result |= {"seconds": time.perf_counter() - began, "threads": torch.get_num_threads()}
    print(json.dumps(result["summary"], indent=1))
    if arguments.only is None:
        RESULT.write_text(json.dumps(result, indent=1) + "\n")
        write_table(result)


if __name__ == "__main__":
    main()
