"""The prior: generators mixed by visible weights, drawn in numbered chunks, and the bank that pretraining reads.

Letters: S series, T rows.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from tsattn.files import write_file
from tsattn.pretrain_config import PretrainConfig
from tsattn.synthetic.draws import pick, standardized
from tsattn.synthetic.generators import GENERATORS

CHUNK = 1000  # series drawn from one seed
GPU_CHUNK = 20_000  # on a GPU, where every row of a recursion is a launch for all of them
ROUNDED = 1000.0  # values are hashed to the nearest thousandth


class Bank(NamedTuple):
    """Standardized series of three lengths, float32 [S, T]."""

    short: Tensor
    medium: Tensor
    long: Tensor


LENGTHS = (192, 640, 2304)  # rows of each


def check_prior(prior: dict[str, float]) -> None:
    """Raise a `ValueError` for a generator that is not known or a share below 0."""
    unknown = sorted({*prior} - {*GENERATORS})
    if unknown:
        raise ValueError(f"prior has no generator {', '.join(unknown)}: choose from {', '.join(GENERATORS)}")
    if min(prior.values(), default=0) < 0 or sum(prior.values()) <= 0:
        raise ValueError(f"prior={prior} must be shares of 0 or more, one of them above 0")


def draw(prior: dict[str, float], count: int, length: int, *, seed: int, device: str = "cpu") -> Float[Tensor, "S T"]:
    """`count` standardized series in random order, float32; the same for the same seed on every CPU up to rounding."""
    check_prior(prior)
    if count < 1 or length < 2:
        raise ValueError(f"{count} series of {length} rows: at least one series of two rows is drawn")
    generator = Generator(device).manual_seed(seed)
    names = [name for name, share in prior.items() if share > 0]
    numbers = pick(generator, [prior[name] for name in names], count).bincount(minlength=len(names)).tolist()
    parts = [GENERATORS[name](generator, number, length) for name, number in zip(names, numbers, strict=True) if number]
    every = standardized(torch.cat(parts))
    return every[torch.randperm(count, generator=generator, device=device)].float()


def simulate(count: int, length: int, *, seed: int = 0, prior: dict[str, float] | None = None) -> np.ndarray:
    """`count` series of `length` rows as the pretrained model has seen them, standardized, float32 [S, T].

    `prior` holds shares of generators by name, such as `{"counts": 1.0}`; by default those of `PretrainConfig`, up to 192 rows
    of its `short_prior`.
    """
    config = PretrainConfig()
    usual = config.short_prior if length <= LENGTHS[0] else config.prior
    return draw(prior or usual, count, length, seed=seed).numpy()


def digest(series: Float[Tensor, "S T"]) -> str:
    """SHA-256 of the values to three decimals."""
    return hashlib.sha256((series.double() * ROUNDED).round().to(torch.int32).cpu().numpy().tobytes()).hexdigest()


def make_bank(
    priors: tuple[dict[str, float], ...],
    sizes: tuple[int, int, int],
    *,
    seed: int,
    folder: Path | None = None,
    device: str = "cpu",
) -> Bank:
    """Short, medium and long series, each of a prior; chunk i has a seed of its own. Kept in `folder` for the next call.

    The name of a file holds a digest of the prior, its size and length, the seed and the device, so that no other is taken.
    """
    from safetensors.torch import load, save

    parts, most = [], CHUNK if device == "cpu" else GPU_CHUNK
    for offset, (name, prior, size, length) in enumerate(zip(Bank._fields, priors, sizes, LENGTHS, strict=True)):
        made_of = json.dumps([prior, size, length, seed, device]).encode()
        path = None if folder is None else folder / f"{name}-{hashlib.sha256(made_of).hexdigest()[:12]}.safetensors"
        if path is not None and path.exists():
            parts.append(load(path.read_bytes())[name].to(device))
            continue
        chunks = [
            draw(prior, min(most, size - first), length, seed=chunk_seed(seed, offset, first // most), device=device)
            for first in range(0, size, most)
        ]
        parts.append(torch.cat(chunks))
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, save({name: parts[-1].cpu()}))
    return Bank(*parts)


def chunk_seed(seed: int, part: int, chunk: int) -> int:
    """The seed of a chunk of one part (0 short, 1 medium, 2 long) of the bank of `seed`."""
    return (seed * 3 + part) * 1_000_003 + chunk
