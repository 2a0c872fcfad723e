"""How good are the forecasts of real counts? Back-tests by one protocol per panel, three seeds, beside every naive forecast.

    python benchmarks/real_counts.py --data ../shared/data                       all four panels, about an hour on two cores
    python benchmarks/real_counts.py --data ../shared/data --panels radiology_daily --seeds 0

Each (panel, seed) is one model trained on the rows before the earliest cut-off; its result is kept in
`benchmarks/results/real_counts/` and not computed again unless `--again` is given. The table in `benchmarks/README.md` is made
of these files. `benchmarks/peers/classical.py`, in an environment of its own, adds AutoETS and Theta on the same windows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import report

from tsattn import evaluation, metrics, verdict
from tsattn.config import FitConfig, ReadConfig
from tsattn.data.frame import to_rows

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "real_counts"
PANELS = ("radiology_daily", "phenocam_daily", "store_item_daily", "classic_monthly")
RUNGS = ("forecast", "network", "last_value", "seasonal_naive", "drift", "damped_mean", "window_mean")
COLUMNS = ("MASE", "WAPE", "pinball", "coverage80")


def run(data: Path, name: str, seed: int) -> dict[str, Any]:
    """Back-test one panel with one seed; everything that the table needs, as JSON values."""
    panel = json.loads((data / "panels.json").read_text())["panels"][name]
    rows = to_rows(str(data / panel["path"]), ReadConfig())
    config = FitConfig(horizon=panel["horizon"], season_length=panel["season_length"], seed=seed, pretrained=False)
    started = time.perf_counter()
    result = evaluation.backtest(rows, ReadConfig(), config, windows=panel["origins"])
    seconds = time.perf_counter() - started
    fold = result.folds[0]
    errors, series, origin = result.errors
    usable = np.isfinite(errors["seasonal_naive"])
    compared = {}
    for rung in RUNGS[2:]:
        difference = errors["network"][usable] - errors[rung][usable]
        compared[rung] = verdict.difference_interval(difference, series[usable], origin[usable])
    table = result.table
    levels = [column for column in table.columns if column.startswith("q0")]
    kept = table[["unique_id", "ds", "cutoff", "y", "forecast", "network", "seasonal_naive", *levels]]
    RESULTS.mkdir(parents=True, exist_ok=True)
    kept.to_parquet(RESULTS / f"{name}_{seed}_windows.parquet", index=False)
    return {
        "panel": name,
        "seed": seed,
        "protocol": panel,
        "scored": int(table["y"].notna().sum()),
        "seconds": seconds,
        "scores": {row["model"]: {k: v for k, v in row.items() if k != "model"} for row in result.scores.to_dict("records")},
        "network_minus": compared,
        "verdict": fold["verdict"],
        "settings": fold["settings"],
        "text": result.text,
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "threads": _threads()},
        "versions": {"python": platform.python_version(), **{p: version(p) for p in ("tsattn", "torch", "pandas", "numpy")}},
    }


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def peer_scores(name: str, data: Path) -> dict[str, dict[str, float]]:
    """MASE and WAPE of the peers' forecasts on our windows, and of our network on the same.

    Without the file of their forecasts, those of an earlier run that `peers.json` holds.
    """
    path = RESULTS / f"{name}_classical.parquet"
    ours = RESULTS / f"{name}_0_windows.parquet"
    if not path.exists() or not ours.exists():
        return json.loads((RESULTS / "peers.json").read_text()).get(name, {})
    panel = json.loads((data / "panels.json").read_text())["panels"][name]
    table = pd.read_parquet(ours)
    peers = pd.read_parquet(path)
    table["step"] = table.groupby(["unique_id", "cutoff"]).cumcount()
    table["cutoff"], peers["cutoff"] = table["cutoff"].astype(str), peers["cutoff"].astype(str)
    joined = table.merge(peers, on=["unique_id", "cutoff", "step"], how="inner")
    history = pd.read_parquet(data / panel["path"])
    shape = (-1, panel["horizon"])
    first = joined.groupby(["unique_id", "cutoff"], sort=False).head(1)
    scale = np.array(
        [
            metrics.seasonal_scale(
                history.loc[(history["unique_id"] == u) & (history["ds"].astype(str) <= c), "y"].to_numpy(float)[None],
                panel["season_length"],
            )[0]
            for u, c in zip(first["unique_id"], first["cutoff"], strict=True)
        ]
    )
    y = joined["y"].to_numpy(float).reshape(shape)
    scores = {}
    for column in ("AutoETS", "Theta", "network", "seasonal_naive"):
        forecast = joined[column].to_numpy(float).reshape(shape)
        scores[column] = {
            "MASE": metrics.mase(y, forecast, scale=scale).value,
            "WAPE": metrics.wape(y, forecast),
            "windows": len(y),
        }
    return scores


def write_table(data: Path) -> str:
    """The Markdown table from all results that are there: mean over seeds, range of MASE over seeds."""
    lines = [
        "| panel (horizon, windows) | model | MASE | WAPE | pinball | 80 % coverage | attention minus this, 95 % | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    pooled = []
    for name in PANELS:
        runs = [json.loads(p.read_text()) for p in sorted(RESULTS.glob(f"{name}_[0-9].json"))]
        if not runs:
            continue
        windows = runs[0]["scores"]["forecast"]["windows"]
        steps = windows * runs[0]["protocol"]["horizon"]
        pooled += [(r["scores"]["network"]["coverage80"], r.get("scored", steps)) for r in runs]
        for rung in RUNGS:
            lines.append(_row(name, rung, runs, windows))
        peers = peer_scores(name, data)
        ours = peers["network"]["MASE"] if "network" in peers else float("nan")
        for peer, score in peers.items():
            if peer in ("AutoETS", "Theta"):
                same = "" if score["windows"] == windows else f", {score['windows']} windows; attention {ours:.3f}"
                lines.append(f"| | {peer}, refitted{same} | {score['MASE']:.3f} | {score['WAPE']:.3f} | | | | |")
    coverage = sum(c * n for c, n in pooled) / sum(n for _, n in pooled)
    lines += ["", f"Pooled coverage of the network's 80 % intervals over all scored values of all runs: {coverage:.1%}."]
    return "\n".join(lines)


def _row(name: str, rung: str, runs: list[dict[str, Any]], windows: int) -> str:
    values = {column: [r["scores"][rung][column] for r in runs] for column in COLUMNS}
    mase = f"{np.mean(values['MASE']):.3f}"
    if np.ptp(values["MASE"]) > 0:
        mase += f" ({min(values['MASE']):.3f}-{max(values['MASE']):.3f})"
    first = f"{name} ({runs[0]['protocol']['horizon']}, {windows:,})" if rung == "forecast" else ""
    label = {
        "forecast": f"**answer of the ladder**, seeds {', '.join(str(r['seed']) for r in runs)}",
        "network": "attention model",
    }.get(rung, rung)
    interval = ""
    if rung in runs[0]["network_minus"]:
        interval = "; ".join(f"{low:+.3f} to {high:+.3f}" for low, high in (r["network_minus"][rung] for r in runs))
    seconds = f"{np.mean([r['seconds'] for r in runs]):.0f}" if rung == "forecast" else ""
    cells = [f"{np.mean(values[c]):.3g}" for c in COLUMNS[1:]]
    return f"| {first} | {label} | {mase} | {' | '.join(cells)} | {interval} | {seconds} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with panels.json")
    parser.add_argument("--panels", nargs="+", default=list(PANELS), choices=PANELS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--again", action="store_true", help="compute again what is there already")
    parser.add_argument("--table", action="store_true", help="only write the table")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", UserWarning)
    for seed in [] if arguments.table else arguments.seeds:
        for name in arguments.panels:
            path = RESULTS / f"{name}_{seed}.json"
            if path.exists() and not arguments.again:
                continue
            result = run(arguments.data, name, seed)
            path.write_text(json.dumps(result, indent=1, default=str) + "\n")
            print(name, seed, f"{result['seconds']:.0f} s", result["text"], flush=True)
    report.put("real_counts", write_table(arguments.data))


if __name__ == "__main__":
    sys.exit(main())
