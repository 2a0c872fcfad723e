"""Random numbers by name from a generator of one's own: in float64 on a CPU, so that machines agree; float32 on a GPU.

Letters: B series of a draw, T rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor


def dtype_of(generator: Generator) -> torch.dtype:
    """float64 on a CPU, float32 on a GPU."""
    return torch.float64 if generator.device.type == "cpu" else torch.float32


def uniform(generator: Generator, low: float | int, high: float | int, *shape: int) -> Float[Tensor, ...]:
    """Equal chances between `low` and `high`."""
    drawn = torch.rand(shape, generator=generator, device=generator.device, dtype=dtype_of(generator))
    return low + (high - low) * drawn


def log_uniform(generator: Generator, low: float | int, high: float | int, *shape: int) -> Float[Tensor, ...]:
    """The logarithm has equal chances."""
    return uniform(generator, math.log(low), math.log(high), *shape).exp()


def normal(generator: Generator, mean: float | int, deviation: float | int, *shape: int) -> Float[Tensor, ...]:
    """Gaussian numbers."""
    drawn = torch.randn(shape, generator=generator, device=generator.device, dtype=dtype_of(generator))
    return mean + deviation * drawn


def log_normal(generator: Generator, mean: float | int, deviation: float | int, *shape: int) -> Float[Tensor, ...]:
    """exp of Gaussian numbers: `mean` and `deviation` are those of the logarithm."""
    return normal(generator, mean, deviation, *shape).exp()


def chance(generator: Generator, share: float | int, *shape: int) -> Bool[Tensor, ...]:
    """True with this probability."""
    return uniform(generator, 0.0, 1.0, *shape) < share


def choose(
    generator: Generator, values: Sequence[float | int], weights: Sequence[float | int], *shape: int
) -> Float[Tensor, ...]:
    """One of `values`, with chances in proportion to `weights`."""
    return torch.tensor(values, device=generator.device, dtype=dtype_of(generator))[pick(generator, weights, *shape)]


def pick(generator: Generator, weights: Sequence[float | int], *shape: int) -> Int[Tensor, ...]:
    """An index with chances in proportion to `weights`."""
    edges = torch.tensor(weights, device=generator.device, dtype=dtype_of(generator)).cumsum(0)
    drawn = uniform(generator, 0.0, 1.0, *shape) * edges[-1]
    return torch.searchsorted(edges, drawn, right=True).clamp(max=len(weights) - 1)


def rows(generator: Generator, length: int) -> Float[Tensor, "1 T"]:
    """0, 1 .. T - 1."""
    return torch.arange(length, device=generator.device, dtype=dtype_of(generator))[None]


def standardized(x: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Mean 0 and deviation 1 in each row; a constant row gives zeros."""
    x = x - x.mean(1, keepdim=True)
    return x / x.square().mean(1, keepdim=True).sqrt().clamp(min=1e-9)
