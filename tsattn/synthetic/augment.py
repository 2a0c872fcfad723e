"""What is done to each window on the way from the bank to a step. Letters: B windows, T rows."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from tsattn.synthetic.draws import chance, log_uniform, normal, rows, standardized, uniform


def windows_of(generator: Generator, bank: Float[Tensor, "S T"], batch: int, length: int) -> Float[Tensor, "B L"]:
    """`batch` windows of `length` rows at random places of random series; every second, third or fourth row in a fifth."""
    device = bank.device
    fewest = min(bank.shape[1] // length, 4)  # rows that a window may skip to
    stride = torch.where(
        chance(generator, 0.2, batch, 1), uniform(generator, 1, fewest + 1, batch, 1).long().clamp(max=fewest), 1
    )
    series = torch.randint(len(bank), (batch, 1), generator=generator, device=device)
    room = bank.shape[1] - (length - 1) * stride - 1
    first = (uniform(generator, 0, 1, batch, 1) * (room + 1)).long()
    return bank[series, first + stride * torch.arange(length, device=device)]


def augmented(generator: Generator, x: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Mixtures of two (15 %; TSMixup, Ansari et al. 2024), signs turned (20 %), time turned (5 %), size that grows or fades
    (8 %), values censored (5 %), rounded to a few levels (8 %), and single values far out (6 %).
    """
    batch, length = x.shape
    other = standardized(x.roll(1, 0))
    share = uniform(generator, 0.1, 0.9, batch, 1)
    x = torch.where(chance(generator, 0.15, batch, 1), share * standardized(x) + (1 - share) * other, x)
    x = torch.where(chance(generator, 0.2, batch, 1), -x, x)
    x = torch.where(chance(generator, 0.05, batch, 1), x.flip(1), x)
    time = rows(generator, length) / max(length - 1, 1)
    faded = x * torch.exp(normal(generator, 0, 0.8, batch, 1) * (time - 0.5))
    x = torch.where(chance(generator, 0.08, batch, 1), faded, x)
    mean, deviation = x.mean(1, keepdim=True), x.std(1, keepdim=True, correction=0)
    bound = mean + deviation * uniform(generator, -1.0, 1.8, batch, 1)
    x = torch.where(chance(generator, 0.05, batch, 1), torch.minimum(x, bound), x)
    level = deviation * log_uniform(generator, 0.05, 1.0, batch, 1) + 1e-9
    x = torch.where(chance(generator, 0.08, batch, 1), (x / level).round() * level, x)
    spikes = (uniform(generator, 0, 1, batch, length) < 0.015) & chance(generator, 0.06, batch, 1)
    return (x + spikes * deviation * normal(generator, 0, 5, batch, length)).float()


def observed_part(generator: Generator, batch: int, length: int) -> Bool[Tensor, "B L"]:
    """Which steps of a context are there: the last n of them, n from 3 on; without single ones in 8 % and a block in 6 %.

    log n is uniform in half of the windows, n itself uniform over the upper half in the others.
    """
    few = log_uniform(generator, 3, length + 1, batch, 1)
    many = uniform(generator, length / 2, length + 1, batch, 1)
    num = torch.where(chance(generator, 0.5, batch, 1), few, many).floor().clamp(3, length)
    back = length - 1 - rows(generator, length)  # 0 is the last step
    there = back < num
    single = (uniform(generator, 0, 1, batch, length) < uniform(generator, 0, 0.5, batch, 1)) & chance(
        generator, 0.08, batch, 1
    )
    begin = uniform(generator, 0, 1, batch, 1) * num
    block = (back >= begin) & (back < begin + log_uniform(generator, 1, length / 2, batch, 1))
    kept = there & ~single & ~(block & chance(generator, 0.06, batch, 1))
    return torch.where(kept.sum(1, keepdim=True) >= 3, kept, there)
