"""What happens around the training steps: averaged weights and early stopping, the finite check, the log and the bar."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from tsattn.files import write_file
from tsattn.training.module import PHASES, ForecastModule

EMA_DECAY = 0.98
EXPLODED = 1000.0  # times the first loss


class TrainingError(RuntimeError):
    """Training cannot go on; nothing of the failed steps is kept."""


class BestWeights(pl.Callback):
    """Keeps an exponential moving average of the weights and, of these, the ones with the lowest validation loss.

    The average (decay 0.98, shorter in the first steps) stands in for an annealed learning rate, so that every step is a fair
    candidate. Without `windows` there is no validation and the last average is the result.
    """

    STATE = ("best_loss", "best_step", "looks_since", "history", "average", "best")  # what a checkpoint holds

    def __init__(self, windows: list[tuple[Tensor, Tensor]], end: Tensor | None, *, every: int, patience: int) -> None:
        self.windows, self.end = windows, end
        self.every, self.patience = every, patience
        self.best_loss, self.best_step, self.looks_since = float("inf"), 0, 0
        self.history: list[tuple[int, float]] = []
        self.average: list[Tensor] = []
        self.best: list[Tensor] = []

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.STATE}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name in self.STATE:
            setattr(self, name, state_dict[name])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        start = self.average or module_of(pl_module).model.parameters()
        self.average = [p.detach().clone().to(pl_module.device) for p in start]
        self.best = [p.to(pl_module.device) for p in self.best]
        held = module_of(pl_module).panel.values.device
        self.windows = [(series.to(held), cut.to(held)) for series, cut in self.windows]
        self.end = None if self.end is None else self.end.to(held)

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not ends_step(trainer, batch_idx):
            return
        module, step = module_of(pl_module), trainer.global_step
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        for average, current in zip(self.average, module.model.parameters(), strict=True):
            average.lerp_(current, 1 - decay)
        if self.windows and (step % self.every == 0 or step == trainer.max_steps):
            self.look(trainer, module, step)

    def look(self, trainer: pl.Trainer, module: ForecastModule, step: int) -> None:
        """Validate the averaged weights; keep them when they are the best so far, stop when patience is over."""
        module.lap("optimizer")
        check_finite(module)
        loss = self.validate(module)
        module.lap("validation")
        self.history.append((step, loss))
        if loss < self.best_loss:
            self.best_loss, self.best_step, self.looks_since = loss, step, 0
            self.best = [p.clone() for p in self.average]
        else:
            self.looks_since += 1
            trainer.should_stop = trainer.should_stop or self.looks_since >= self.patience

    def validate(self, module: ForecastModule) -> float:
        """Mean loss of all observed values of the validation windows under the averaged weights; the module is left as it was.

        Sums and counts of the batches are added and divided once.
        """
        current = [p.detach().clone() for p in module.model.parameters()]
        set_weights(module.model, self.average)
        module.model.eval()
        panel = module.panel if self.end is None else module.panel._replace(end=self.end)
        sums, counts = [], []
        for windows in self.windows:
            batch = module.gather(windows, panel)
            counts.append(batch.target_observed.sum())
            sums.append(torch.where(counts[-1] > 0, module.loss(batch) * counts[-1], 0.0))
        module.model.train()
        set_weights(module.model, current)
        return float(torch.stack(sums).sum() / torch.stack(counts).sum())

    @torch.no_grad()
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the best weights in the model. A non-finite step since the last look stops here at the latest."""
        check_finite(module_of(pl_module))
        set_weights(module_of(pl_module).model, self.best or self.average)


class StepSeed(pl.Callback):
    """Makes the random numbers of a step a function of (seed, step) alone, and of the part where a step is taken in parts."""

    def __init__(self, seed: int, *, gpu: bool) -> None:
        self.seed, self.gpu = seed, gpu

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int) -> None:
        part = batch_idx % trainer.accumulate_grad_batches
        mixed = np.random.SeedSequence([self.seed, trainer.global_step, part]).generate_state(1, np.uint64)
        seed_generators(int(mixed[0]), gpu=self.gpu)


class Log(pl.Callback):
    """A log row and a line (or the bar's new state) every so many steps: loss, learning rate, seconds per phase.

    Rows are appended to the CSV file `rows`, where it is given, and to the logger of the trainer, where it has one.
    """

    def __init__(self, *, every: int, console: Console | None, name: str, rows: Path | None = None) -> None:
        self.every, self.console, self.name, self.rows = every, console, name, rows
        self.losses: list[Tensor] = []
        self.num_rows, self.first_loss = 0, None
        self.bar: Progress | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"losses": self.losses, "num_rows": self.num_rows, "first_loss": self.first_loss}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.losses, self.num_rows = state_dict["losses"], state_dict["num_rows"]
        self.first_loss = state_dict["first_loss"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.losses = [loss.to(pl_module.device) for loss in self.losses]
        self.keep_rows()
        if self.console is not None and self.console.is_terminal:
            columns = ("{task.description}", BarColumn(), "{task.completed}/{task.total}", TextColumn("{task.fields[loss]}"))
            self.bar = Progress(*columns, TimeRemainingColumn(), console=self.console, transient=True)
            self.task = self.bar.add_task(self.name, total=trainer.max_steps, completed=trainer.global_step, loss="")
            self.bar.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(outputs["loss"].detach())
        step = trainer.global_step
        if step % self.every == 0 and ends_step(trainer, batch_idx):
            self.report(trainer, module_of(pl_module), step)

    def report(self, trainer: pl.Trainer, module: ForecastModule, step: int) -> None:
        """Log the mean loss of the steps since the last report."""
        check_finite(module)
        loss = float(torch.stack(self.losses).mean())
        self.losses.clear()
        self.check_course(loss, step, module.settings.learning_rate)
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        seconds = {f"seconds_{phase}": round(module.seconds[phase], 4) for phase in PHASES}
        self.write({"loss": loss, "learning_rate": rate, **seconds, "step": step})
        if trainer.logger is not None:
            trainer.logger.log_metrics({"loss": loss, "learning_rate": rate, **seconds}, step=step)
        if self.bar is not None:
            self.bar.update(self.task, completed=step, loss=f"loss {loss:.4f}")
        elif self.console is not None and step % (8 * self.every) == 0:
            self.console.print(f"  {self.name}: step {step} of at most {trainer.max_steps}, loss {loss:.4f}")

    def check_course(self, loss: float, step: int, learning_rate: float) -> None:
        """Raise a TrainingError where the loss has risen far beyond the first one, which it does not come back from."""
        if self.first_loss is None:
            self.first_loss = loss
        elif loss > EXPLODED * max(abs(self.first_loss), 1.0):
            raise TrainingError(
                f"{self.name}: training stopped: the loss rose from {self.first_loss:.3g} to {loss:.3g} by step {step}. Try a "
                f"smaller trainer.learning_rate (now {learning_rate:g})"
            )

    def keep_rows(self) -> None:
        """Cut the file to the rows that a checkpoint knows of; none in a fresh training."""
        if self.rows is None or not self.rows.exists():
            return
        try:
            kept = self.rows.read_text().splitlines(keepends=True)[: self.num_rows + bool(self.num_rows)]
            write_file(self.rows, "".join(kept).encode())
        except OSError as problem:
            self.give_up(problem)

    def write(self, row: dict[str, Any]) -> None:
        """Append a row."""
        self.num_rows += 1
        if self.rows is None:
            return
        try:
            self.rows.parent.mkdir(parents=True, exist_ok=True)
            with open(self.rows, "a", newline="") as file:
                writer = csv.DictWriter(file, list(row), lineterminator="\n")
                if not os.fstat(file.fileno()).st_size:
                    writer.writeheader()
                writer.writerow(row)
        except OSError as problem:
            self.give_up(problem)

    def give_up(self, problem: OSError) -> None:
        """The disk is full, or the file is another's: that is said once, and training goes on without the log."""
        if self.console is not None:
            self.console.print(f"! no log from here on: {self.rows}: {problem.strerror}", markup=False)
        self.rows = None

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.losses:  # the last steps, or all of a short training
            self.report(trainer, module_of(pl_module), trainer.global_step)
        if self.bar is not None:
            self.bar.stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if self.bar is not None:
            self.bar.stop()


def seed_generators(seed: int, *, gpu: bool) -> None:
    """Seed the generators of the CPU and, with `gpu`, of the first GPU, the one that trains."""
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every GPU
    if gpu:
        torch.cuda.default_generators[0].manual_seed(seed)


def ends_step(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether an optimizer step was taken after this batch, not only a part of its gradient."""
    return (batch_idx + 1) % trainer.accumulate_grad_batches == 0


@torch.no_grad()
def set_weights(model: nn.Module, weights: list[Tensor]) -> None:
    """Copy `weights` into the parameters of `model`, in their order."""
    for parameter, weight in zip(model.parameters(), weights, strict=True):
        parameter.copy_(weight)


def check_finite(module: ForecastModule) -> None:
    """Raise a `NonFinite` with the step when a loss or gradient was not finite. Reads the device: call it rarely."""
    step = int(module.first_bad_step)
    if step >= 0:
        raise NonFinite(step)


class NonFinite(TrainingError):
    """Loss or gradient of training step `step` (from 0) was not finite."""

    def __init__(self, step: int) -> None:
        super().__init__(f"loss or gradient is not finite in step {step}")
        self.step = step


def module_of(pl_module: pl.LightningModule) -> ForecastModule:
    """Our own module, for the type checker."""
    assert isinstance(pl_module, ForecastModule)
    return pl_module
