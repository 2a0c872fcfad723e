"""What training asks of the machine: device and precision, threads, random state; and Lightning kept quiet."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.loggers import Logger, TensorBoardLogger

from tsattn.config import TrainerConfig
from tsattn.data.windows import PanelTensors
from tsattn.models.encoder import Encoder
from tsattn.training.callbacks import seed_generators

SMALL_STEP = 2e9  # operations


def resolve_device(config: TrainerConfig) -> tuple[str, Any]:
    """Lightning's accelerator and precision, from the config and what the machine can do."""
    if config.accelerator == "gpu" and not torch.cuda.is_available():
        raise ValueError("trainer=gpu: this machine shows no CUDA device to torch; use trainer=auto or trainer=cpu")
    gpu = config.accelerator == "gpu" or (config.accelerator == "auto" and torch.cuda.is_available())
    half = config.precision == "bf16" or (
        config.precision == "auto" and gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    )
    return ("gpu" if gpu else "cpu"), ("bf16-mixed" if half else "32-true")


def is_streamed(panel: PanelTensors, config: TrainerConfig) -> bool:
    """Whether the panel stays on the CPU because it would take more than half of what is free on the GPU."""
    if resolve_device(config)[0] != "gpu":
        return False
    return sum(part.nbytes for part in panel) > torch.cuda.mem_get_info()[0] / 2


@contextmanager
def own_random_state(seed: int, *, gpu: bool) -> Iterator[None]:
    """Seeded generators of the CPU and, with `gpu`, of the first GPU, the one that trains; the caller's states come back."""
    devices = [0] if gpu else []
    with torch.random.fork_rng(devices=devices):
        seed_generators(seed, gpu=gpu)
        yield


@contextmanager
def threads_for(operations: float) -> Iterator[None]:
    """One thread for small steps, as many as torch has for larger ones; the caller's number is put back.

    A small step takes milliseconds: more threads hardly shorten it, and on a machine whose other cores are busy they wait for
    each other at every operation (measured: 13 s became more than 100 s).
    """
    before = torch.get_num_threads()
    if operations < SMALL_STEP:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def operations_of(model: Any, *, windows: int, context_length: int, horizon: int) -> float:
    """About how many operations a training step on so many windows takes: 6 for each parameter and token (Kaplan et al. 2020).

    Models that do not read tokens count as one. Of context tokens the last block of an encoder makes keys and values alone.
    """
    num_parameters = sum(p.numel() for p in model.parameters())
    num_tokens = getattr(getattr(model, "config", None), "num_tokens", None)
    num_context, num_future = (0, 1) if num_tokens is None else num_tokens(context_length, horizon)
    used = num_parameters * (num_context + num_future)
    if isinstance(model, Encoder):
        last = sum(p.numel() for p in model.blocks[-1].parameters())
        used -= num_context * (last - 2 * model.norm.weight.numel() ** 2)
    return 6.0 * used * windows


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether the memory of a GPU or of the machine was not enough; torch tells of the latter in words alone."""
    return isinstance(problem, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(problem)


def make_logger(kind: str, path: Path | None) -> Logger | bool:
    """TensorBoard events in the folder `path`, where they are wanted. Rows of a CSV file are written by `Log`."""
    if path is None or kind != "tensorboard":
        return False
    try:
        return TensorBoardLogger(path.parent, name=path.name, version="")
    except ModuleNotFoundError as missing:
        raise ValueError("trainer.logger=tensorboard needs a package: pip install 'tsattn[tensorboard]'") from missing


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's tips and the warnings that do not apply: there are no worker processes and none are wanted."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
            warnings.filterwarnings("ignore", message=".*(num_workers|isinstance.treespec|LeafSpec|GPU available).*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
