"""What covariates are worth: the same back-tests with and without them, three seeds, interval of the difference.

    python benchmarks/covariates.py --data ../shared/data                    both data sets, about 20 minutes on one core
    python benchmarks/covariates.py --data ../shared/data --datasets bike_sharing --seeds 0

Each (data set, variant, seed) is one model trained on the rows before the earliest cut-off; its result is kept in
`benchmarks/results/covariates/` and not computed again unless `--again` is given. The windows are the same for all, so the
difference is taken window by window. What is known only afterwards (weather) is declared as past: no forecast sees it ahead.
The table in `benchmarks/README.md` is written from these files.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tsattn import evaluation, verdict
from tsattn.config import CovariatesConfig, FitConfig, ReadConfig
from tsattn.data.frame import to_rows

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "covariates"
BEGIN, END = "<!-- covariates: begin -->", "<!-- covariates: end -->"

HOLIDAY_FLAGS = [
    *("easter_day", "good_friday", "new_year", "christmas", "labor_day", "independence_day", "revolution_day_memorial"),
    *("regional_games", "beer_capital", "music_fest"),
]
WEATHER = ["temp", "hum", "windspeed", "weathersit"]
PRICES = ["price_regular", "price_actual", "discount_in_percent"]

DATASETS: dict[str, dict[str, Any]] = {
    "bike_sharing": {
        "path": "covariates/bike_sharing_daily.csv.gz",
        "what": "bike hires per day, Washington DC, 2 years",
        "read": {"time": "dteday", "value": "cnt"},
        "protocol": {"horizon": 7, "windows": 20, "step": 7},
        "variants": {
            "none": {},
            "known": {"known": ["holiday", "workingday"]},
            "known and past": {"known": ["holiday", "workingday"], "past": WEATHER},
        },
    },
    "stallion": {
        "path": "covariates/stallion_monthly.parquet",
        "what": "beverage sales per month of 350 agency-product pairs, 5 years",
        "read": {"id": ["agency", "sku"], "time": "date", "value": "volume"},
        "protocol": {"horizon": 6, "windows": 3, "step": 3},
        "variants": {
            "none": {},
            "known": {"known": [*PRICES, *HOLIDAY_FLAGS]},
            "known, past and static": {
                "known": [*PRICES, *HOLIDAY_FLAGS],
                "past": ["industry_volume", "soda_volume", "avg_max_temp"],
                "static": ["agency", "sku", "avg_population_2017", "avg_yearly_household_income_2017"],
            },
        },
    },
}


def run(data: Path, name: str, variant: str, seed: int) -> dict[str, Any]:
    """One back-test; the scaled errors of every window and all settings, as JSON values."""
    dataset = DATASETS[name]
    covariates = CovariatesConfig(**dataset["variants"][variant])
    read = ReadConfig(**dataset["read"])
    protocol = dict(dataset["protocol"])
    config = FitConfig(horizon=protocol.pop("horizon"), seed=seed, covariates=covariates, pretrained=False)  # which reads none
    started = time.perf_counter()
    rows = to_rows(str(data / dataset["path"]), read, None, covariates)
    result = evaluation.backtest(rows, read, config, **protocol)
    errors, series, origin = result.errors
    return {
        "dataset": name,
        "variant": variant,
        "seed": seed,
        "protocol": dataset["protocol"],
        "seconds": time.perf_counter() - started,
        "threads": os.environ.get("OMP_NUM_THREADS", "unset"),
        "commit": commit(),
        "versions": {package: version(package) for package in ("tsattn", "torch", "scikit-learn")},
        "errors": {rung: np.round(errors[rung], 6).tolist() for rung in ("network", "seasonal_naive", "last_value")},
        "series": series.tolist(),
        "origin": origin.tolist(),
        "settings": result.folds[0]["settings"],
        "verdict": result.folds[0]["verdict"],
    }


def commit() -> str:
    found = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True, check=False)
    return found.stdout.strip()


def file_of(name: str, variant: str, seed: int) -> Path:
    return RESULTS / f"{name}_{variant.replace(', ', '_').replace(' ', '_')}_{seed}.json"


def table() -> str:
    """Markdown: MASE per variant and the difference from the one without covariates, window by window, mean of the seeds."""
    lines = [
        "| data | covariates | seeds | MASE network | each seed | seasonal naive | difference from none (95 % interval) |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, dataset in DATASETS.items():
        base: np.ndarray | None = None
        for variant in dataset["variants"]:
            results = [json.loads(path.read_text()) for path in sorted(RESULTS.glob(file_of(name, variant, 0).stem[:-1] + "*"))]
            results = [result for result in results if result["variant"] == variant]
            if not results:
                continue
            errors = np.array([np.array(result["errors"]["network"], float) for result in results])
            naive = np.array(results[0]["errors"]["seasonal_naive"], float)
            usable = np.isfinite(errors).all(axis=0) & np.isfinite(naive)
            mean = errors.mean(axis=0)
            difference = ""
            if base is None:
                base = mean
            else:
                series, origin = (np.array(results[0][key])[usable] for key in ("series", "origin"))
                low, high = verdict.difference_interval((mean - base)[usable], series, origin)
                difference = f"{(mean - base)[usable].mean():+.3f} ({low:+.3f} to {high:+.3f})"
            each = ", ".join(f"{value:.3f}" for value in errors[:, usable].mean(axis=1))
            lines.append(
                f"| {name}, {int(usable.sum())} windows | {variant} | {len(results)} | {mean[usable].mean():.3f} | {each} | "
                f"{naive[usable].mean():.3f} | {difference} |"
            )
    return "\n".join(lines)


def write_table() -> None:
    """Replace what stands between the markers of `benchmarks/README.md`."""
    readme = HERE / "README.md"
    text = readme.read_text()
    before, rest = text.split(BEGIN)
    readme.write_text(f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with covariates/bike_sharing_daily.csv.gz ...")
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS), choices=list(DATASETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--again", action="store_true", help="compute results that are there already")
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in options.datasets:
        for seed in options.seeds:
            for variant in DATASETS[name]["variants"]:
                path = file_of(name, variant, seed)
                if path.exists() and not options.again:
                    continue
                result = run(options.data, name, variant, seed)
                path.write_text(json.dumps(result))
                print(f"{name} {variant} seed {seed}: {np.nanmean(result['errors']['network']):.3f}", flush=True)
    write_table()


if __name__ == "__main__":
    main()
