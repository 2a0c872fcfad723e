"""Train one model on the windows of a panel."""

from __future__ import annotations

import gc
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tsattn.config import SHOWN, TrainerConfig
from tsattn.data.windows import DateWindows, PanelTensors, Windows
from tsattn.training.allocator import kept_memory
from tsattn.training.callbacks import BestWeights, Log, NonFinite, StepSeed, TrainingError, set_weights
from tsattn.training.checkpoint import Checkpoint, SaveCheckpoint, fingerprint
from tsattn.training.machine import (
    is_out_of_memory,
    is_streamed,
    make_logger,
    operations_of,
    own_random_state,
    quiet_lightning,
    resolve_device,
    threads_for,
)
from tsattn.training.module import ForecastModule
from tsattn.training.stream import (
    VALIDATION_BATCH,
    BatchStream,
    any_target,
    as_is,
    chances_of,
    default_batch_size,
    validation_batches,
)
from tsattn.turns import ONE_AT_A_TIME


class Trained(NamedTuple):
    """What a training gave besides the weights, which are in the model."""

    steps: int  # step whose averaged weights were kept
    validation_loss: float  # infinite without validation
    history: list[tuple[int, float]]  # (step, validation loss)
    seconds: dict[str, float]  # per phase, and "total"; of a training that was cut off, since it went on
    note: str = ""  # what a user should know about how it went, as a sentence


class TrainData(NamedTuple):
    """Windows to learn from and, with `validation` (series and cut of each window), windows to stop by.

    `panel.end` ends the rows for training; the targets of validation windows may reach to `validation_end` [S].
    """

    panel: PanelTensors
    windows: Windows | DateWindows
    ids: tuple[str, ...]
    validation: tuple[np.ndarray, np.ndarray] | None = None
    validation_end: Tensor | None = None
    weights: np.ndarray | None = None  # [S] how often windows of a series are drawn; None: all alike


class Reporting(NamedTuple):
    """Where a training reports: log files go into `folder`, lines or a bar to `console`; None is silent.

    In `checkpoints` it notes where it stands; started again with the same data and settings it goes on from there. `again` is
    the command for that, told before training begins.
    """

    folder: Path | None = None
    console: Console | None = None
    checkpoints: Path | None = None
    again: str = ""

    def say(self, *lines: object) -> None:
        """Print each on a line of its own, as it is."""
        if self.console is not None:
            for line in lines:
                self.console.print(str(line), markup=False)


def make_console() -> Console:
    """The terminal, or the output of a notebook cell; others take it from here, where importing rich leaves `random` alone."""
    return Console(highlight=False, soft_wrap=True, markup=False, emoji=False)


def train(
    model: nn.Module,
    data: TrainData,
    config: TrainerConfig,
    *,
    context_length: int,
    horizon: int,
    seed: int,
    steps: int | None = None,
    name: str = "training",
    reporting: Reporting | None = None,
    made_with: Any = None,
) -> Trained:
    """Train `model` in place and leave the best weights in it, on the CPU, in eval mode.

    With validation windows training stops early; with `steps` it runs exactly so long. Where the validation windows hold no
    value it runs for a third of `trainer.max_steps` and says so. Where the device runs out of memory each step is taken in
    parts: half the batch, twice the accumulation. `made_with` holds the settings of the model: a checkpoint of another one is
    not used. Raises a TrainingError when a loss or gradient is not finite, or when not even single windows fit the memory.
    """
    reporting = reporting or Reporting()
    batch_size = config.batch_size or default_batch_size(data.windows.total)
    stream = BatchStream(data.windows, batch_size, seed, chances_of(data.windows, config.sampling, data.weights))
    started = time.perf_counter()
    lengths = {"context_length": context_length, "horizon": horizon}
    module = ForecastModule(model, data.panel, config, **lengths, streamed=is_streamed(data.panel, config))
    held_out, note = None, ""
    if data.validation is not None and not steps:
        held_out = data.validation
        panel = data.panel if data.validation_end is None else data.panel._replace(end=data.validation_end)
        if not any_target(panel, validation_batches(*held_out), context_length, horizon):
            held_out, steps = None, max(config.max_steps // 3, 1)
            note = f"{name}: the validation rows hold no value, so training cannot stop by them: it runs for {steps} steps"
            reporting.say(f"! {note}")
    run = Run(module, stream, held_out, data, config, steps or config.max_steps, seed, name, reporting, made_with)
    checkpoint = checkpoint_of(run)
    finished = checkpoint.read().get("finished")
    if finished is None:
        finished = run_within_memory(run, checkpoint)
        finished["seconds"] = {**module.seconds, "total": time.perf_counter() - started}
        checkpoint.write(finished=finished)
    else:
        reporting.say(f"  {name}: trained before, {finished['steps']} steps")
    set_weights(model, finished["weights"])
    model.cpu().eval()
    return Trained(finished["steps"], finished["validation_loss"], finished["history"], finished["seconds"], note)


class Run(NamedTuple):
    """All that one training needs."""

    module: ForecastModule
    stream: BatchStream
    held_out: tuple[np.ndarray, np.ndarray] | None  # series and cut of the windows to stop by
    data: TrainData
    config: TrainerConfig
    max_steps: int
    seed: int
    name: str
    reporting: Reporting
    made_with: Any


def checkpoint_of(run: Run) -> Checkpoint:
    """Where this training notes its state; nowhere without a folder for it."""
    folder = run.reporting.checkpoints
    if folder is None:
        return Checkpoint(None, "", run.reporting.say)
    config = {name: value for name, value in asdict(run.config).items() if name not in SHOWN}
    weights = dict(run.module.model.state_dict())
    sizes = (run.module.context_length, run.module.horizon, run.max_steps, run.seed, run.stream.batch_size)
    data = (run.data._replace(ids=()), run.stream.chances)
    machine = (resolve_device(run.config), torch.__version__, version("tsattn"))
    found = fingerprint(config, run.made_with, weights, sizes, data, machine)
    return Checkpoint(folder / f"{run.name.replace(' ', '_')}.ckpt", found, run.reporting.say)


def run_within_memory(run: Run, checkpoint: Checkpoint) -> dict[str, Any]:
    """The training, taken in smaller and smaller parts where the device runs out of memory; what came of it."""
    start = [p.detach().cpu().clone() for p in run.module.model.parameters()]
    while True:
        try:
            return run_once(run, checkpoint)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as problem:
            if not is_out_of_memory(problem):
                raise
        # outside the handler, where the traceback no longer holds the tensors
        parts = run.stream.parts * 2
        if parts > run.stream.batch_size:
            raise TrainingError(
                f"{run.name}: the device has not enough memory for a single window: choose a smaller model or context_length"
            )
        run.reporting.say(f"! {run.name}: out of memory: each step takes its {run.stream.batch_size} windows in {parts} parts")
        run.stream.parts = parts
        run.module.zero_grad(set_to_none=True)
        set_weights(run.module.model, start)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def run_once(run: Run, checkpoint: Checkpoint) -> dict[str, Any]:
    """Train, from the checkpoint where there is one, and return the best weights and how they came about."""
    config, reporting = run.config, run.reporting
    accelerator, precision = resolve_device(config)
    parts = run.stream.parts
    held_out = validation_batches(*run.held_out, max(VALIDATION_BATCH // parts, 1)) if run.held_out else []
    logs = None if reporting.folder is None else reporting.folder / "logs" / run.name.replace(" ", "_")
    rows = logs / "metrics.csv" if logs is not None and config.logger == "csv" else None
    best = BestWeights(held_out, run.data.validation_end, every=config.validate_every, patience=config.patience)
    log = Log(every=config.log_every, console=reporting.console if config.progress else None, name=run.name, rows=rows)
    gpu = accelerator == "gpu"
    lengths = {"context_length": run.module.context_length, "horizon": run.module.horizon}
    operations = operations_of(run.module.model, windows=run.stream.batch_size // parts, **lengths)
    state = own_random_state(run.seed, gpu=gpu)
    with ONE_AT_A_TIME, quiet_lightning(), state, threads_for(operations), kept_memory():
        trainer = pl.Trainer(
            accelerator=accelerator,
            devices=1,
            precision=precision,
            max_steps=run.max_steps,
            accumulate_grad_batches=parts,
            logger=make_logger(config.logger, logs),
            callbacks=[StepSeed(run.seed, gpu=gpu), best, log, SaveCheckpoint(config.validate_every)],
            plugins=[checkpoint],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        begun = checkpoint.read().get("training")
        run.stream.start = 0 if begun is None else begun["global_step"]
        if begun is not None:
            reporting.say(f"  {run.name}: goes on from step {run.stream.start}")
        loader = DataLoader(run.stream, batch_size=None, collate_fn=as_is)  # pyright: ignore[reportArgumentType]
        try:
            trainer.fit(run.module, loader, ckpt_path=None if begun is None else str(checkpoint.path))
        except NonFinite as problem:
            raise TrainingError(non_finite_message(run.stream, problem.step, run.data.ids, config)) from problem
        except SystemExit as stop:  # Lightning's own: code 1 after Ctrl-C, none after SIGTERM
            if trainer.received_sigterm:
                raise SystemExit(143) from stop
            if isinstance(stop.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise
    return {
        "weights": [p.detach().cpu() for p in run.module.model.parameters()],
        "steps": best.best_step or trainer.global_step,
        "validation_loss": best.best_loss,
        "history": best.history,
    }


def non_finite_message(stream: BatchStream, step: int, ids: tuple[str, ...], config: TrainerConfig) -> str:
    """Which step failed, on which series, and what to try."""
    series = np.unique(stream.batch(step)[0].numpy())
    names = ", ".join(repr(ids[s]) for s in series[:5]) if ids else f"{len(series)} series"
    more = f" and {len(series) - 5} more" if ids and len(series) > 5 else ""
    return (
        f"training stopped: loss or gradient is not finite in step {step}, whose batch holds series {names}{more}; "
        f"no weights from after it are kept. Try a smaller trainer.learning_rate (now {config.learning_rate:g})"
    )
