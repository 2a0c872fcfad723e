"""The state of a pretraining in one file of at most 15 MB for the network that ships, written whole, read without pickle."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tsattn.files import write_file
from tsattn.pretrain_config import PretrainConfig

STATE = "state.safetensors"


class Progress(NamedTuple):
    """How far a pretraining is."""

    step: int = 0
    seconds: float = 0.0
    windows: int = 0


class Run(NamedTuple):
    """What a pretraining works with."""

    config: PretrainConfig
    network: nn.Module
    optimizers: list[torch.optim.Optimizer]
    average: dict[str, Tensor]  # of the weights
    folder: Path
    device: torch.device


def half_precision(weights: dict[str, Tensor]) -> bytes:
    """The weights as a safetensors file of float16 numbers."""
    from safetensors.torch import save

    return save({name: tensor.detach().half().contiguous().cpu() for name, tensor in weights.items()})


def save_state(run: Run, progress: Progress) -> None:
    """Weights in float32; their average, as a difference from them, and the momenta in bfloat16.

    Raises ValueError where a weight is no finite number: the state before stays.
    """
    from safetensors.torch import save

    weights = dict(run.network.named_parameters())
    if not all(bool(p.isfinite().all()) for p in weights.values()):
        raise ValueError(f"a weight is no finite number after step {progress.step}: {run.folder / STATE} is left as it was")
    tensors = {f"weights.{name}": p.detach() for name, p in weights.items()}
    tensors |= {f"average.{name}": (run.average[name] - p.detach()).bfloat16() for name, p in weights.items()}
    names = {id(p): name for name, p in weights.items()}
    for optimizer in run.optimizers:
        for parameter, held in optimizer.state.items():
            for key, value in held.items():
                small = value.bfloat16() if value.ndim else value.float()
                tensors[f"optimizer.{key}.{names[id(parameter)]}"] = small
    settings = {"progress": json.dumps(progress._asdict()), "config": json.dumps(asdict(run.config))}
    contents = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
    run.folder.mkdir(parents=True, exist_ok=True)
    write_file(run.folder / STATE, save(contents, metadata=settings))


def load_state(run: Run) -> Progress:
    """Put the state back, in place; a fresh Progress where there is none."""
    from safetensors import safe_open

    path = run.folder / STATE
    if not path.exists():
        return Progress()
    with safe_open(path, "pt", device=str(run.device)) as file:
        settings = file.metadata()
        if {name: json.loads(settings["config"])[name] for name in comparable(run.config)} != comparable(run.config):
            raise ValueError(f"{path} was made with other settings: give these again, or another output=")
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    weights = dict(run.network.named_parameters())
    with torch.no_grad():
        for name, parameter in weights.items():
            parameter.copy_(tensors[f"weights.{name}"])
            run.average[name].copy_(parameter + tensors[f"average.{name}"].float())
    owner = {id(p): optimizer for optimizer in run.optimizers for group in optimizer.param_groups for p in group["params"]}
    for whole, tensor in tensors.items():
        kind, key, name = whole.split(".", 2)
        if kind == "optimizer":
            owner[id(weights[name])].state[weights[name]][key] = tensor.float()
    return Progress(**json.loads(settings["progress"]))


def comparable(config: PretrainConfig) -> dict[str, Any]:
    """What must stay the same from slice to slice; rates, minutes and lengths may be changed at a stop."""
    kept = ("model", "seed", "start", "train", "prior", "short_prior", "short_series", "medium_series", "long_series")
    return {name: value for name, value in asdict(config).items() if name in kept}
