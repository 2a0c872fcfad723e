"""How good are long forecasts beside published figures? The usual tables (ETT, exchange, illness), every test window counted.

    python benchmarks/long_horizon.py --data ../shared/data                              all that is missing, resumable
    python benchmarks/long_horizon.py --data ../shared/data --datasets ETTh1 --models linear --horizons 96 --seeds 0
    python benchmarks/long_horizon.py --data ../shared/data --datasets ETTh1 --models patch --horizons 96 --seeds 0 \
        --try model.dropout=0.3 trainer.learning_rate=0.001                              one trial, validation part only

Each (dataset, horizon, model, seed) is one JSON in `benchmarks/results/long_horizon/`, computed once unless `--again` is given;
the table in `benchmarks/README.md` and `table.csv` are made of these files. A trial is a line of `trials.csv`, blind to the
test part. `benchmarks/peers/patchtst.py`, in an environment of its own, adds PatchTST of neuralforecast on the same windows.

Protocol: each variate is a series, z-scored with its mean and standard deviation over the train rows; windows of stride 1 whose
contexts may reach into the part before; every window of the test part, sums and counts added and divided once.
Letters: B windows, H horizon, L look-back, V variates, T rows.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import os
import platform
import subprocess
import sys
import time
import warnings
from ast import literal_eval
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

import tsattn
from tsattn.config import MODEL_CONFIGS, ModelConfig, TrainerConfig
from tsattn.data import cycles
from tsattn.data.panel import Panel
from tsattn.data.windows import Batch, PanelTensors, gather, panel_tensors, windows_between
from tsattn.fitted import Settings, build_network
from tsattn.nn.heads import PointHead, masked_mean
from tsattn.nn.scaling import Scale, last_observed, to_scaled
from tsattn.sizing import complete_model
from tsattn.training import callbacks
from tsattn.training import fit as training
from tsattn.training.fit import TrainData, train
from tsattn.training.module import ForecastModule

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "long_horizon"
LONG = (96, 192, 336, 720)
BATCH = 512  # windows per forward pass when scoring
VALIDATION_CUTS = 200  # early stopping looks at about so many dates of the validation part; the final figure uses all


class Dataset(NamedTuple):
    """Where a table lies and how it is cut. `parts` are the last rows of train, validation and test, None for 70/10/20 %."""

    file: str
    freq: str
    season: int
    parts: tuple[int, int, int] | None = None
    lookback: int = 336
    horizons: tuple[int, ...] = LONG


ETT = (8640, 11520, 14400)
DATASETS = {
    "ETTh1": Dataset("ETTh1.csv.gz", "h", 24, ETT),
    "ETTh2": Dataset("ETTh2.csv.gz", "h", 24, ETT),
    "ETTm1": Dataset("ETTm1.csv.gz", "15min", 96, (34560, 46080, 57600)),
    "exchange": Dataset("exchange_rate.csv.gz", "D", 1),
    "illness": Dataset("national_illness.csv.gz", "7D", 52, lookback=104, horizons=(24, 36, 48, 60)),
    "wind": Dataset("wind.csv.gz", "15min", 96),
}
TEST_WINDOWS = {("ETTh1", 96): 2785, ("ETTh2", 96): 2785, ("ETTh1", 720): 2161, ("ETTh2", 720): 2161, ("ETTm1", 96): 11425}
OWN = (
    "lookback",
    "features",
    "table_units",
    "linear_skip",
    "average",
    "mix",
    "hide",
    "no_head",
    "earlier",
)  # settings of this script
UNTRAINED = ("repeat_last", "seasonal_naive")

# Figures others have published for the same tables and look-backs, MSE/MAE at each horizon, not run here: PatchTST/42, NLinear
# with look-back 336, repeat-last of the LTSF-Linear authors, all as copied in the LaTeX table of the FITS authors.
PUBLISHED = {
    ("ETTh1", "PatchTST/42"): "0.375/0.399 0.414/0.421 0.431/0.436 0.449/0.466",
    ("ETTh1", "NLinear"): "0.374/0.394 0.408/0.415 0.429/0.427 0.440/0.453",
    ("ETTh2", "PatchTST/42"): "0.274/0.336 0.339/0.379 0.331/0.380 0.379/0.422",
    ("ETTh2", "NLinear"): "0.277/0.338 0.344/0.381 0.357/0.400 0.394/0.436",
    ("ETTm1", "PatchTST/42"): "0.290/0.342 0.332/0.369 0.366/0.392 0.420/0.424",
    ("ETTm1", "NLinear"): "0.306/0.348 0.349/0.375 0.375/0.388 0.433/0.422",
    ("exchange", "repeat-last"): "0.081/0.196 0.167/0.289 0.305/0.396 0.823/0.681",
}

ATTENTION = {  # found on ETTh1 and ETTh2; what else differs by dataset stands below
    "model.scaling": "last",
    "model.point_loss": "mse",
    "model.patch_length": 24,
    "model.d_model": 32,
    "model.num_heads": 2,
    "model.num_layers": 2,
    "model.d_ff": 64,
    "model.dropout": 0.3,
    "average": 0.995,
    "trainer.learning_rate": 1e-3,
    "trainer.batch_size": 128,
    "trainer.max_steps": 800,
    "trainer.validate_every": 50,
    "trainer.patience": 5,
}
FEW_ROWS = {"model.patch_length": 8, "trainer.batch_size": 64, "trainer.max_steps": 400, "trainer.validate_every": 25}

# What each model is trained with; "*" holds where a dataset has no own. Found on validation parts (trials.csv), never on a test
# part.
CHOICES: dict[str, dict[str, dict[str, Any]]] = {
    "linear": {  # not searched: the published recipe, a high rate that falls over few passes through the windows
        "*": {
            "model.scaling": "last",
            "model.point_loss": "mse",
            "table_units": True,
            "trainer.learning_rate": 0.005,
            "trainer.warmup_steps": 0,
            "trainer.batch_size": 224,  # 32 dates of 7 variates
            "trainer.max_steps": 1280,  # five passes through the windows of an hourly ETT table
            "trainer.validate_every": 64,
            "trainer.patience": 6,
        },
    },
    "patch": {
        "*": {**ATTENTION, "table_units": True, "mix": 0.5},
        "ETTh1": {**ATTENTION, "table_units": True, "trainer.weight_decay": 5.0},
        "exchange": {**ATTENTION, "table_units": True},
        "illness": {**ATTENTION, **FEW_ROWS},
    },
    "patch_linear": {
        "*": {**ATTENTION, "linear_skip": True, "no_head": True, "mix": 0.5, "table_units": True},
        "ETTh1": {**ATTENTION, "linear_skip": True, "mix": 0.5, "table_units": True, "trainer.weight_decay": 5.0},
        "exchange": {**ATTENTION, "linear_skip": True, "mix": 0.5, "table_units": True},
        "illness": {**ATTENTION, **FEW_ROWS, "model.patch_length": 4, "linear_skip": True},
    },
}
ARCHITECTURES = {"linear": "linear", "patch": "patch", "patch_linear": "patch"}  # names in tsattn.models
ENSEMBLES = ("patch_ensemble", "patch_linear_ensemble")


class Table(NamedTuple):
    """A z-scored table whose variates are the series of a panel; the three numbers are where its parts end, in rows."""

    name: str
    panel: PanelTensors  # ends with the train rows
    train: int
    validation: int
    test: int
    ids: tuple[str, ...]

    def until(self, row: int) -> PanelTensors:
        """The panel with the rows before `row` of each series."""
        return self.panel._replace(end=self.panel.begin + row)


class Errors(NamedTuple):
    """Mean errors over all values of all windows, in units of the z-scored table."""

    mse: float
    mae: float
    windows: int  # dates; each is a window of every variate
    values: int


def split(name: str, num_rows: int) -> tuple[int, int, int]:
    """Where the train, validation and test rows end."""
    if DATASETS[name].parts is not None:
        return DATASETS[name].parts
    test = int(num_rows * 0.2)
    return int(num_rows * 0.7), num_rows - test, num_rows


def make_table(
    name: str,
    values: np.ndarray,
    parts: tuple[int, int, int],
    *,
    features: np.ndarray | None = None,
    scaled_by: int | None = None,
) -> Table:
    """The table [T, V] z-scored by its train rows (or its first `scaled_by` rows), cut after the test part."""
    train_rows, _, test = parts
    values = values[:test].astype(np.float64)
    known = values[: scaled_by or train_rows]
    z = (values - known.mean(0)) / known.std(0)
    num_variates = z.shape[1]
    no_rows = np.zeros(num_variates, dtype=np.int64)
    ids = tuple(str(v) for v in range(num_variates))
    panel = Panel(
        values=z.T.reshape(-1, 1).astype(np.float32),
        indptr=np.arange(num_variates + 1) * test,
        start=no_rows,
        calendar=np.zeros((1, 0), np.float32) if features is None else features[:test],
        freq="",
        ids=ids,
        behind=no_rows,
    )
    return Table(name, panel_tensors(panel, no_rows + train_rows), *parts, ids)


def read_table(data: Path, name: str, *, features: bool, earlier: bool = False) -> Table:
    """The named table of the folder `data`, with the hour and weekday of each row where `features` is set.

    `earlier` moves each part back for trials: the last third of the train rows is the validation part, what validates otherwise
    the last one, and the rows after it are gone.
    """
    frame = pd.read_csv(data / "ltsf" / DATASETS[name].file)
    stamps = pd.DatetimeIndex(pd.to_datetime(frame.pop("date")))
    known = None
    if features:
        names = [f for f in cycles.feature_names(DATASETS[name].freq, 365) if f.startswith(("time_of_day", "day_of_week"))]
        known = cycles.features(stamps, names)
    parts = split(name, len(frame))
    if earlier:
        return make_table(name, frame.to_numpy(), (parts[0] * 2 // 3, *parts[:2]), features=known, scaled_by=parts[0])
    return make_table(name, frame.to_numpy(), parts, features=known)


def cuts_between(first: int, last: int, horizon: int) -> np.ndarray:
    """Every first target row whose `horizon` targets lie in the rows `first .. last - 1`."""
    return np.arange(first, last - horizon + 1)


def each_series(cuts: np.ndarray, num_series: int) -> tuple[np.ndarray, np.ndarray]:
    """Series and cut of the windows of all series at these cuts."""
    return np.tile(np.arange(num_series), len(cuts)), np.repeat(cuts, num_series)


Forecast = Callable[[Batch], Tensor]


@torch.inference_mode()
def errors(forecast: Forecast, table: Table, cuts: np.ndarray, *, lookback: int, horizon: int, batch: int = BATCH) -> Errors:
    """The errors of the forecasts at all `cuts` of all variates. `batch` is for speed alone: sums are added, divided once."""
    series, cut = (torch.from_numpy(part) for part in each_series(cuts, len(table.ids)))
    square, absolute, count = 0.0, 0.0, 0
    for s, c in zip(series.split(batch), cut.split(batch), strict=True):
        windows = gather(table.until(table.test), s, c, context_length=lookback, horizon=horizon)
        assert bool(windows.target_observed.all())
        assert bool(windows.observed.all())
        error = forecast(windows) - windows.target.double()
        square += float(error.square().sum())
        absolute += float(error.abs().sum())
        count += error.numel()
    return Errors(square / count, absolute / count, len(cuts), count)


def repeat_last(windows: Batch) -> Tensor:
    """The last value, at each step."""
    return last_observed(windows.context, windows.observed).double().expand_as(windows.target)


def seasonal_naive(season: int) -> Forecast:
    """The last season, repeated."""

    def forecast(windows: Batch) -> Tensor:
        steps = torch.arange(windows.target.shape[1]) % season
        return windows.context[:, -season:][:, steps].double()

    return forecast


def network_forecast(network: nn.Module) -> Forecast:
    """The point forecast of a trained network."""
    model: Any = network

    def forecast(windows: Batch) -> Tensor:
        raw, scale = model(windows.context, windows.observed, windows.features, windows.target.shape[1])
        return model.head.mean(raw, scale)

    return forecast


class TableUnits(PointHead):
    """A point head whose loss is taken in units of the z-scored table, as the published models do, not of each window."""

    def loss(self, raw: Tensor, target: Tensor, observed: Tensor, scale: Scale) -> Tensor:
        losses = {"mae": nn.functional.l1_loss, "mse": nn.functional.mse_loss, "huber": nn.functional.huber_loss}
        width = scale.scale.float()
        z = to_scaled(target, scale)
        return masked_mean(losses[self.kind](raw[..., 0].float() * width, z * width, reduction="none"), observed)


class LinearSkip(nn.Module):
    """A network plus a linear map of the changes against the last value (NLinear) that starts at 0: a remedy that was tried."""

    def __init__(self, network: Any, lookback: int, horizon: int) -> None:
        super().__init__()
        self.network, self.head = network, network.head
        self.map = nn.Linear(lookback, horizon)
        nn.init.zeros_(self.map.weight)
        nn.init.zeros_(self.map.bias)

    def forward(self, context: Tensor, observed: Tensor, features: Tensor | None, num_future: int) -> tuple[Tensor, Scale]:
        raw, scale = self.network(context, observed, features, num_future)
        z = to_scaled(context, scale)
        changes = (z - z[:, -1:]).transpose(1, 2)
        return raw + self.map(changes).transpose(1, 2)[:, :num_future, :, None], scale


class Augmented(ForecastModule):
    """Training on changed windows: mixtures of two, and contexts of which whole days are hidden. Validation is as it is."""

    mix, hide, day = 0.0, 0.0, 24

    def gather(self, windows: tuple[Tensor, Tensor], panel: PanelTensors) -> Batch:
        batch = super().gather(windows, panel)
        if not self.model.training:
            return batch
        if self.mix:
            other = torch.randperm(len(batch.context))
            share = torch.distributions.Beta(self.mix, self.mix).sample((len(other), 1, 1))
            context, target = (torch.lerp(part, part[other], share) for part in (batch.context, batch.target))
            batch = batch._replace(context=context, target=target)
        if self.hide:
            days = -(-batch.context.shape[1] // self.day)
            keep = torch.rand(len(batch.context), days) >= self.hide
            keep[:, -1] = True  # the last day, and with it the last value, is always seen
            keep = keep.repeat_interleave(self.day, dim=1)[:, -batch.context.shape[1] :, None]
            batch = batch._replace(observed=batch.observed & keep, context=batch.context * keep)
        return batch


def split_choices(choices: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Settings of the model, of the trainer and of this script."""
    parts: dict[str, dict[str, Any]] = {"model": {}, "trainer": {}, "": {}}
    for key, value in choices.items():
        group, _, field = key.rpartition(".")
        parts[group][field] = value
    unknown = set(parts[""]) - set(OWN)
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))} is not known here: {', '.join(OWN)}, model.*, trainer.*")
    return parts["model"], parts["trainer"], parts[""]


class Outcome(NamedTuple):
    """A trained network and what is said of it."""

    network: nn.Module
    lookback: int
    table: Table
    facts: dict[str, Any]


def choices_of(model: str, name: str) -> dict[str, Any]:
    """The settings of a model for a dataset."""
    return CHOICES[model].get(name, CHOICES[model]["*"])


def build(table: Table, horizon: int, model: str, seed: int, choices: dict[str, Any]) -> tuple[Any, ModelConfig]:
    """The untrained network and its complete configuration."""
    of_model, _, own = split_choices(choices)
    dataset = DATASETS[table.name]
    lookback = own.get("lookback", dataset.lookback)
    architecture = ARCHITECTURES[model]
    config, _ = complete_model(
        MODEL_CONFIGS[architecture](**{"head": "point", **of_model}),
        num_rows=table.train * len(table.ids),
        context_length=lookback,
        horizon=horizon,
        season_length=dataset.season,
    )
    settings = Settings(horizon, lookback, (0.5,), (0.5,), seed, architecture=architecture, model=config)
    network: Any = build_network(settings, table.panel.calendar.shape[1])
    if own.get("table_units"):
        network.head.__class__ = TableUnits
    if own.get("linear_skip"):
        network = LinearSkip(network, lookback, horizon)
    if own.get("no_head"):
        network.head.linear.requires_grad_(False)
        nn.init.zeros_(network.head.linear.weight)
    return network, config


def fit(data: Path, name: str, horizon: int, model: str, seed: int, choices: dict[str, Any]) -> Outcome:
    """Train `model` on the train part, stopping by the validation part; the test part is not read."""
    _, of_trainer, own = split_choices(choices)
    table = read_table(data, name, features=bool(own.get("features")), earlier=bool(own.get("earlier")))
    lookback = own.get("lookback", DATASETS[name].lookback)
    num_series = len(table.ids)
    network, config = build(table, horizon, model, seed, choices)
    Augmented.mix, Augmented.hide, Augmented.day = own.get("mix", 0.0), own.get("hide", 0.0), DATASETS[name].season
    training.ForecastModule = Augmented  # what tsattn.training.fit.train builds
    callbacks.EMA_DECAY = own.get("average", 0.98)  # decay of the averaged weights; a remedy that was tried
    trainer = TrainerConfig(**{"accelerator": "cpu", "logger": "none", "progress": False, **of_trainer})
    cuts = cuts_between(table.train, table.validation, horizon)
    looked_at = cuts[:: max(1, len(cuts) // VALIDATION_CUTS)]
    windows = windows_between(np.full(num_series, lookback), np.full(num_series, table.train - horizon))
    train_data = TrainData(
        table.panel, windows, table.ids, each_series(looked_at, num_series), table.until(table.validation).end
    )
    started, started_cpu = time.perf_counter(), time.process_time()
    trained = train(network, train_data, trainer, context_length=lookback, horizon=horizon, seed=seed)
    seconds, seconds_cpu = time.perf_counter() - started, time.process_time() - started_cpu
    validation = errors(network_forecast(network), table, cuts, lookback=lookback, horizon=horizon)
    facts = {
        "lookback": lookback,
        "parameters": sum(p.numel() for p in network.parameters()),
        "steps": trained.steps,
        "steps_run": trained.history[-1][0] if trained.history else trained.steps,
        "seconds": round(seconds, 1),
        "seconds_cpu": round(seconds_cpu, 1),
        "validation": validation._asdict(),
        "history": trained.history,
        "settings": {"model": dataclasses.asdict(config), "trainer": dataclasses.asdict(trainer), **own},
    }
    return Outcome(network, lookback, table, facts)


def run(data: Path, name: str, horizon: int, model: str, seed: int, weights: Path | None) -> dict[str, Any]:
    """One result, as JSON values."""
    head = {"dataset": name, "horizon": horizon, "model": model, "seed": seed}
    facts: dict[str, Any] = {}
    if model in UNTRAINED:
        table, lookback = read_table(data, name, features=False), DATASETS[name].lookback
        forecast = repeat_last if model == "repeat_last" else seasonal_naive(DATASETS[name].season)
    else:
        choices = choices_of(model, name)
        outcome = fit(data, name, horizon, model, seed, choices)
        table, lookback, facts, forecast = outcome.table, outcome.lookback, outcome.facts, network_forecast(outcome.network)
        if weights is not None:
            weights.mkdir(parents=True, exist_ok=True)
            torch.save(outcome.network.state_dict(), weights / f"{name}_{horizon}_{model}_{seed}.pt")
    cuts = cuts_between(table.validation, table.test, horizon)
    assert len(cuts) == TEST_WINDOWS.get((name, horizon), len(cuts)), f"{name} {horizon}: {len(cuts)} test windows"
    test = errors(forecast, table, cuts, lookback=lookback, horizon=horizon)
    return {**head, "test": test._asdict(), **facts, **circumstances()}


def ensemble(data: Path, name: str, horizon: int, model: str, seeds: list[int], weights: Path) -> dict[str, Any] | None:
    """The mean of the forecasts of the models of all seeds, from their kept weights; None where some are missing."""
    member = model.removesuffix("_ensemble")
    files = [weights / f"{name}_{horizon}_{member}_{seed}.pt" for seed in seeds]
    if not all(file.exists() for file in files):
        return None
    choices = choices_of(member, name)
    table = read_table(data, name, features=bool(choices.get("features")))
    members = []
    for file in files:
        network, _ = build(table, horizon, member, 0, choices)
        network.load_state_dict(torch.load(file, weights_only=True))
        members.append(network_forecast(network.eval()))
    lookback = choices.get("lookback", DATASETS[name].lookback)

    def forecast(windows: Batch) -> Tensor:
        return torch.stack([part(windows) for part in members]).mean(0)

    parts = {"validation": (table.train, table.validation), "test": (table.validation, table.test)}
    scores = {
        part: errors(forecast, table, cuts_between(*rows, horizon), lookback=lookback, horizon=horizon)._asdict()
        for part, rows in parts.items()
    }
    return {
        "dataset": name,
        "horizon": horizon,
        "model": model,
        "seed": seeds,
        "lookback": lookback,
        **scores,
        **circumstances(),
    }


def circumstances() -> dict[str, Any]:
    """The code and the machine behind a result."""
    package = Path(tsattn.__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(package), *words], capture_output=True, text=True, check=False).stdout.strip()

    return {
        "commit": git("rev-parse", "--short", "HEAD"),
        "package_changed": bool(git("status", "--porcelain", "--untracked-files=no", "--", ".")),
        "machine": {"processor": platform.machine(), "cores": os.cpu_count(), "threads": torch.get_num_threads()},
        "versions": {"python": platform.python_version(), **{p: version(p) for p in ("torch", "numpy")}},
    }


def trial(data: Path, name: str, horizon: int, model: str, seed: int, given: dict[str, Any], note: str) -> None:
    """Train with other settings, say what the validation part says, and add a line to trials.csv."""
    choices = {**choices_of(model, name), **given}
    facts = fit(data, name, horizon, model, seed, choices).facts
    row = {
        "dataset": name,
        "horizon": horizon,
        "model": model,
        "seed": seed,
        "validation_mse": f"{facts['validation']['mse']:.4f}",
        "validation_mae": f"{facts['validation']['mae']:.4f}",
        "step": facts["steps"],
        "steps_run": facts["steps_run"],
        "seconds": facts["seconds"],
        "parameters": facts["parameters"],
        "commit": circumstances()["commit"],
        "settings": " ".join(f"{key}={value}" for key, value in sorted(choices.items())),
        "note": note,
    }
    path = RESULTS / "trials.csv"
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
    changed = " ".join(f"{key}={value}" for key, value in given.items())
    print(*(row[k] for k in list(row)[:10]), changed, flush=True)


def load_results() -> dict[tuple[str, str], dict[int, list[dict[str, Any]]]]:
    """All results by (dataset, model) and horizon."""
    found: dict[tuple[str, str], dict[int, list[dict[str, Any]]]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_text())
        found.setdefault((result["dataset"], result["model"]), {}).setdefault(result["horizon"], []).append(result)
    return found


def spread(values: Iterable[float]) -> float:
    """Sample standard deviation; 0 of a single value."""
    numbers = list(values)
    return float(np.std(numbers, ddof=1)) if len(numbers) > 1 else 0.0


def order(model: str) -> int:
    """Where a model stands in the table."""
    known = [
        *UNTRAINED,
        "linear",
        "patch_window",
        "patch",
        "patch_ensemble",
        "patch_linear_window",
        "patch_linear",
        "patch_linear_ensemble",
    ]
    return known.index(model) if model in known else len(known)


def rows_of_table() -> list[dict[str, Any]]:
    """One row per dataset, model and horizon, and their average where all four horizons are there."""
    rows: list[dict[str, Any]] = []
    found = load_results()
    for name in DATASETS:
        for model in sorted({m for d, m in found if d == name}, key=order):
            results = found[name, model]
            for horizon in sorted(results):
                test = [r["test"] for r in results[horizon]]
                rows.append(
                    {
                        "dataset": name,
                        "model": model,
                        "lookback": results[horizon][0].get("lookback", ""),
                        "horizon": horizon,
                        "mse": np.mean([t["mse"] for t in test]),
                        "mse_sd": spread(t["mse"] for t in test),
                        "mae": np.mean([t["mae"] for t in test]),
                        "mae_sd": spread(t["mae"] for t in test),
                        "seeds": len(test),
                        "windows": test[0]["windows"],
                        "seconds": np.mean([r.get("seconds", 0.0) for r in results[horizon]]),
                        "parameters": results[horizon][0].get("parameters", 0),
                        "source": "run here",
                    }
                )
        for (dataset, model), figures in PUBLISHED.items():
            if dataset == name and any(d == name for d, _ in found):
                for horizon, pair in zip(DATASETS[name].horizons, figures.split(), strict=True):
                    mse, mae = (float(figure) for figure in pair.split("/"))
                    rows.append(
                        {"dataset": name, "model": model, "horizon": horizon, "mse": mse, "mae": mae, "source": "published"}
                    )
    return rows


def write_table() -> str:
    """The Markdown table of all results that are there; the same rows go to table.csv."""
    found, rows = load_results(), rows_of_table()
    frame = pd.DataFrame(rows)
    frame.to_csv(RESULTS / "table.csv", index=False, float_format="%.6g", lineterminator="\n")
    lines = []
    for name in DATASETS:
        part = frame[frame["dataset"] == name] if len(frame) else frame
        if not len(part):
            continue
        horizons = DATASETS[name].horizons
        titles = " | ".join(str(h) for h in horizons)
        lines += [
            "",
            f"| {name}, look-back {DATASETS[name].lookback} | {titles} | average |",
            "|---" * (len(horizons) + 2) + "|",
        ]
        for model in dict.fromkeys(part["model"]):
            average = average_of(found.get((name, model), {}), horizons)
            lines.append(_line(model, part[part["model"] == model].set_index("horizon"), horizons, average))
    return "\n".join([*lines, "", *checks(frame)]).strip()


def average_of(results: dict[int, list[dict[str, Any]]], horizons: tuple[int, ...]) -> str:
    """Mean over the horizons, and its deviation over the seeds that have them all; empty where a horizon is missing."""
    by_seed: dict[str, list[dict[str, float]]] = {}
    for horizon in horizons:
        for result in results.get(horizon, []):
            by_seed.setdefault(str(result["seed"]), []).append(result["test"])
    whole = [tests for tests in by_seed.values() if len(tests) == len(horizons)]
    cells = []
    for score in ("mse", "mae"):
        means = [float(np.mean([test[score] for test in tests])) for tests in whole]
        if means:
            cells.append(f"{np.mean(means):.3f}" + (f" ± {spread(means):.3f}" if len(means) > 1 else ""))
    return " / ".join(cells)


def _line(model: str, part: pd.DataFrame, horizons: tuple[int, ...], average: str) -> str:
    published = part["source"].iloc[0] == "published"
    cells = []
    for horizon in horizons:
        if horizon not in part.index:
            cells.append("")
            continue
        row = part.loc[horizon]
        cells.append(f"{row['mse']:.3f} / {row['mae']:.3f}")
        if not published and row["seeds"] > 1:
            cells[-1] = f"{row['mse']:.3f} ± {row['mse_sd']:.3f} / {row['mae']:.3f} ± {row['mae_sd']:.3f}"
    if published:
        average = f"{part['mse'].mean():.3f} / {part['mae'].mean():.3f}"
    seeds = 0 if published else int(part["seeds"].min())
    remark = " *(published)*" if published else f", {seeds} seeds" if seeds > 1 else ""
    return f"| {model}{remark} | {' | '.join(cells)} | {average} |"


def checks(frame: pd.DataFrame) -> list[str]:
    """The pipeline beside what is known: repeat-last and NLinear have no settings that could explain a difference."""
    lines = []
    for name, model, peer, tolerance in (("exchange", "repeat_last", "repeat-last", 0.02), ("ETTh1", "linear", "NLinear", 0.0)):
        ours, theirs = (frame[(frame["dataset"] == name) & (frame["model"] == m)] for m in (model, peer))
        if not len(ours) or set(ours["horizon"]) != set(theirs["horizon"]):
            continue
        a, b = ours.sort_values("horizon")["mse"].to_numpy(), theirs.sort_values("horizon")["mse"].to_numpy()
        if tolerance:
            worst = float(np.abs(a / b - 1).max())
            assert worst <= tolerance, f"{name}: {model} is {worst:.1%} from the published figures"
            lines.append(f"Check: {model} on {name} is within {worst:.1%} of the published MSE at every horizon (2 % allowed).")
        else:
            difference = a.mean() - b.mean()
            lines.append(
                f"Check: {model} on {name} averages {a.mean():.3f} MSE, {difference:+.3f} from the published {b.mean():.3f}."
            )
    return lines


def write_readme() -> None:
    """Put the table between its markers in the README."""
    readme = HERE / "README.md"
    begin, end = "<!-- long_horizon: begin -->", "<!-- long_horizon: end -->"
    text = readme.read_text()
    before, after = text.split(begin)[0], text.split(end)[1]
    readme.write_text(f"{before}{begin}\n{write_table()}\n{end}{after}")
    print(f"table: {readme}")


def value_of(text: str) -> Any:
    """A number, a truth value, or the text itself."""
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with ltsf/ETTh1.csv.gz and the others")
    parser.add_argument("--datasets", nargs="+", default=["ETTh1", "ETTh2", "exchange", "illness"], choices=list(DATASETS))
    parser.add_argument("--models", nargs="+", default=[*UNTRAINED, *CHOICES], choices=[*UNTRAINED, *CHOICES])
    parser.add_argument("--horizons", nargs="+", type=int, help="default: the usual four of each dataset")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--again", action="store_true", help="compute again what is there already")
    parser.add_argument("--table", action="store_true", help="only write the table")
    parser.add_argument("--weights", type=Path, help="folder to keep the weights of trained models in; with it, ensembles too")
    parser.add_argument("--try", nargs="*", dest="given", metavar="KEY=VALUE", help="a trial: validation part only, trials.csv")
    parser.add_argument("--note", default="", help="remark in trials.csv")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", UserWarning)
    given = None
    if arguments.given is not None:
        given = {key: value_of(value) for key, _, value in (pair.partition("=") for pair in arguments.given)}
    jobs = [
        (name, horizon, model, seed)
        for model in arguments.models
        for seed in (arguments.seeds if model not in UNTRAINED else [0])
        for name in arguments.datasets
        if (model, DATASETS[name].season) != ("seasonal_naive", 1)  # the same as repeat_last
        for horizon in arguments.horizons or DATASETS[name].horizons
    ]
    for job in [] if arguments.table else jobs:
        if given is not None:
            trial(arguments.data, *job, given, arguments.note)
            continue
        name, horizon, model, seed = job
        path = RESULTS / f"{name}_{horizon}_{model}_{seed}.json"
        if path.exists() and not arguments.again:
            continue
        result = run(arguments.data, *job, arguments.weights)
        path.write_text(json.dumps(result, indent=1) + "\n")
        told = f"{result['steps']} steps, {result['seconds']:.0f} s" if "steps" in result else ""
        print(*job, f"MSE {result['test']['mse']:.4f} MAE {result['test']['mae']:.4f}", told, flush=True)
    if given is None and arguments.weights is not None and len(arguments.seeds) > 1:
        for model in ENSEMBLES:
            for name in arguments.datasets:
                for horizon in arguments.horizons or DATASETS[name].horizons:
                    path = RESULTS / f"{name}_{horizon}_{model}.json"
                    if path.exists() and not arguments.again:
                        continue
                    answer = ensemble(arguments.data, name, horizon, model, arguments.seeds, arguments.weights)
                    if answer is not None:
                        path.write_text(json.dumps(answer, indent=1) + "\n")
    if given is None:
        write_readme()


if __name__ == "__main__":
    sys.exit(main())
