"""Checkpoints: written whole or not at all, and a training that goes on from one ends as if it had never stopped.

Three things make it so. Batch k is a function of (seed, k) alone, see `fit.BatchStream`. The random state of step k is a
function of (seed, k) alone, see `callbacks.StepSeed`. All else that changes from step to step is in the checkpoint: weights,
optimizer, learning rate, averaged and best weights, the looks at the validation windows, the losses not yet logged.

A file is the SHA-256 of what follows, then a `torch.save` of tensors and plain values, read with `weights_only=True`. It is
for going on with a training on the same machine. A model to keep is a model folder (`tsattn.store`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import CheckpointIO
from torch import Tensor

from tsattn.files import write_file
from tsattn.training.callbacks import ends_step

DIGEST_LENGTH = 64


class Checkpoint(CheckpointIO):
    """The one file of a training: where it stands or, once it is through, what came of it.

    `fingerprint` is that of the data and settings: what was written for others is not read. Without a `path` nothing is kept.
    """

    def __init__(self, path: Path | None, fingerprint: str, say: Callable[[str], None]) -> None:
        self.path, self.fingerprint, self.say, self.refused = path, fingerprint, say, False

    def read(self) -> dict[str, Any]:
        """`{"training": ...}` or `{"finished": ...}`; empty where there is no whole file of this training."""
        if self.path is None or self.refused or not self.path.exists():
            return {}
        content = self.path.read_bytes()
        digest, rest = content[:DIGEST_LENGTH], content[DIGEST_LENGTH:]
        if hashlib.sha256(rest).hexdigest().encode() != digest:
            return self._refuse("is damaged")
        try:
            found = torch.load(io.BytesIO(rest), map_location="cpu", weights_only=True)
        except Exception:  # whatever the restricted reader makes of foreign bytes
            return self._refuse("holds something else than tensors and plain values")
        if not isinstance(found, dict) or found.get("fingerprint") != self.fingerprint:
            return self._refuse("is of other data or settings")
        return found

    def _refuse(self, reason: str) -> dict[str, Any]:
        if not self.refused:
            self.say(f"! the checkpoint {self.path} {reason}: training begins anew")
        self.refused = True
        return {}

    def write(self, **content: Any) -> None:
        """Replace the file. Where the disk is full that is said, and training goes on without a checkpoint."""
        if self.path is None:
            return
        buffer = io.BytesIO()
        torch.save({"fingerprint": self.fingerprint, **content}, buffer)
        rest, self.refused = buffer.getvalue(), False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_file(self.path, hashlib.sha256(rest).hexdigest().encode() + rest)
        except OSError as problem:
            self.say(f"! no checkpoint from here on: {problem.filename}: {problem.strerror}")
            self.path = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """As Lightning asks for it."""
        self.write(training=checkpoint)

    def load_checkpoint(self, path: Any, map_location: Any | None = None, weights_only: bool | None = None) -> dict[str, Any]:
        """As Lightning asks for it; `path` plays no part, so that no file but our own is ever loaded."""
        return self.read()["training"]

    def remove_checkpoint(self, path: Any) -> None:
        """Lightning removes nothing here."""


class SaveCheckpoint(pl.Callback):
    """A checkpoint every so many steps, except after the last: what then follows is the result."""

    def __init__(self, every: int) -> None:
        self.every = every

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        step, checkpoint = trainer.global_step, trainer.strategy.checkpoint_io
        due = step % self.every == 0 and ends_step(trainer, batch_idx) and not trainer.should_stop
        if due and step < trainer.max_steps and isinstance(checkpoint, Checkpoint) and checkpoint.path is not None:
            trainer.save_checkpoint(checkpoint.path)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Let the number of batches begin at 0 again: a step is known by its own number, and may be cut into other parts."""
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for part in ("total", "current"):
            progress[part] = dict.fromkeys(progress[part], 0)


def fingerprint(*parts: Any) -> str:
    """SHA-256 of arrays, tensors, dataclasses, tuples, lists, dicts and plain values, in their order."""
    digest = hashlib.sha256()
    _feed(digest, parts)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        value = sorted(value.items())
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).data)
    elif isinstance(value, tuple | list):
        digest.update(f"({len(value)}".encode())
        for one in value:
            _feed(digest, one)
    else:
        digest.update(f"{type(value).__name__}:{value!r};".encode())
