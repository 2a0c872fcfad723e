"""PatchTST of neuralforecast on the long-horizon windows, in an environment of its own.

    python -m venv peers && peers/bin/pip install neuralforecast torch
    peers/bin/python benchmarks/peers/patchtst.py DATA ETTh1 --horizons 96 336 --seed 1

Writes benchmarks/results/long_horizon/<dataset>_<horizon>_patchtst_neuralforecast_<seed>.json: same z-scoring, look-back, test
windows and metric as `benchmarks/long_horizon.py`, of which nothing is imported. The settings are those the authors of PatchTST
use for ETTh1 and ETTh2 (width 16, 4 heads, dropout 0.3, patches of 16 steps every 8). `--steps`, `--batch` and `--rate` shorten
the training, which the result then says; `--estimate` trains a few steps and only says how long all of it would take.
"""

import argparse
import json
import logging
import os
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from neuralforecast import NeuralForecast
from neuralforecast.losses.pytorch import MSE
from neuralforecast.models import PatchTST

RESULTS = Path(__file__).resolve().parents[1] / "results" / "long_horizon"
PARTS = (8640, 11520, 14400)  # where the train, validation and test rows of the hourly ETT tables end
LOOKBACK = 336
STEPS = 6400  # 100 epochs of 128 dates with all 7 variates


def z_scored(data: Path, name: str) -> pd.DataFrame:
    """The table as a long frame, z-scored by its train rows, up to the end of the test part."""
    frame = pd.read_csv(data / "ltsf" / f"{name}.csv.gz", parse_dates=["date"]).set_index("date")[: PARTS[2]]
    known = frame[: PARTS[0]]
    z = (frame - known.mean()) / known.std(ddof=0)
    return z.reset_index(names="ds").melt("ds", var_name="unique_id", value_name="y")


def model(horizon: int, seed: int, steps: int, batch: int, rate: float, patience: int) -> PatchTST:
    """PatchTST/42 as its authors set it for the hourly ETT tables."""
    return PatchTST(
        h=horizon,
        input_size=LOOKBACK,
        patch_len=16,
        stride=8,
        encoder_layers=3,
        hidden_size=16,
        n_heads=4,
        linear_hidden_size=128,
        dropout=0.3,
        fc_dropout=0.3,
        batch_normalization=True,
        revin=True,
        revin_affine=False,
        revin_subtract_last=False,
        loss=MSE(),
        valid_loss=MSE(),
        learning_rate=rate,
        max_steps=steps,
        batch_size=7,
        windows_batch_size=batch,
        inference_windows_batch_size=1024,
        val_check_steps=100,
        early_stop_patience_steps=patience,
        scaler_type="identity",
        random_seed=seed,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("dataset", choices=["ETTh1", "ETTh2"])
    parser.add_argument("--horizons", nargs="+", type=int, default=[96, 336])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--batch", type=int, default=896, help="windows of one variate per step")
    parser.add_argument("--rate", type=float, default=1e-4, help="learning rate")
    parser.add_argument("--patience", type=int, default=10, help="looks of 100 steps without improvement; -1 is off")
    parser.add_argument("--estimate", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.INFO)
    warnings.simplefilter("ignore")
    table = z_scored(arguments.data, arguments.dataset)
    for horizon in arguments.horizons:
        if arguments.estimate:
            seconds = []
            for steps in (2, 12):
                started = time.perf_counter()
                NeuralForecast([model(horizon, 1, steps, arguments.batch, arguments.rate, -1)], freq="h").fit(table)
                seconds.append(time.perf_counter() - started)
            per_step = (seconds[1] - seconds[0]) / 10
            hours = per_step * arguments.steps / 3600
            print(f"{arguments.dataset} {horizon}: {per_step:.2f} s/step, {arguments.steps} steps {hours:.2f} h")
            continue
        path = RESULTS / f"{arguments.dataset}_{horizon}_patchtst_neuralforecast_{arguments.seed}.json"
        if path.exists():
            continue
        started = time.perf_counter()
        network = model(horizon, arguments.seed, arguments.steps, arguments.batch, arguments.rate, arguments.patience)
        forecaster = NeuralForecast([network], freq="h")
        size = PARTS[2] - PARTS[1]
        answer = forecaster.cross_validation(table, n_windows=None, step_size=1, val_size=PARTS[1] - PARTS[0], test_size=size)
        error = answer["PatchTST"].to_numpy(np.float64) - answer["y"].to_numpy(np.float64)
        windows = size - horizon + 1
        assert len(error) == windows * 7 * horizon, len(error)
        assert np.isfinite(error).all()
        trained = forecaster.models[0]
        result = {
            "dataset": arguments.dataset,
            "horizon": horizon,
            "model": "patchtst_neuralforecast",
            "seed": arguments.seed,
            "test": {
                "mse": float(np.square(error).mean()),
                "mae": float(np.abs(error).mean()),
                "windows": windows,
                "values": len(error),
            },
            "lookback": LOOKBACK,
            "parameters": sum(p.numel() for p in trained.parameters()),
            "steps": len(trained.train_trajectories) and trained.train_trajectories[-1][0],
            "steps_allowed": arguments.steps,
            "seconds": round(time.perf_counter() - started, 1),
            "settings": {name: getattr(arguments, name) for name in ("batch", "rate", "patience", "steps")},
            "machine": {"cores": os.cpu_count(), "threads": torch.get_num_threads()},
            "versions": {name: version(name) for name in ("neuralforecast", "torch", "numpy")},
        }
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(path.name, result["test"], result["seconds"], flush=True)


main()
