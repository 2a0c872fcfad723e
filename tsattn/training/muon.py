"""Muon, the optimizer of the matrices of a network."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
STEPS = 5


class Muon(torch.optim.Optimizer):
    """W' = (1 - r d) W - 0.2 r sqrt(max(n, m)) O(G + u M), M = u M + (1 - u) G, for matrices W [n, m] with rate r and decay d.

    Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; the factor 0.2 sqrt(max(n, m)) is that of Moonlight (Liu et
    al. 2025, 2.2): the rate is that of AdamW. O makes the singular values about 1 (`orthogonal`). It is `torch.optim.Muon`,
    which computes O in bfloat16, here in float32: on a CPU that has no instructions for bfloat16 that took 1.6 of the 2.8
    seconds of a step of pretraining.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float, weight_decay: float = 0.0, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        if any(p.ndim != 2 for group in self.param_groups for p in group["params"]):
            raise ValueError("Muon takes matrices only")

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step from the gradients; parameters without one stay."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            rate, keep = group["lr"], group["momentum"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                moving = state.setdefault("momentum_buffer", torch.zeros_like(parameter))
                moving.lerp_(parameter.grad, 1 - keep)
                direction = orthogonal(parameter.grad.lerp(moving, keep))
                parameter.mul_(1 - rate * group["weight_decay"])
                parameter.add_(direction, alpha=-0.2 * rate * math.sqrt(max(parameter.shape)))
        return loss


def orthogonal(matrix: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """U S V' -> U S' V' with all of S' between about 0.7 and 1.2: five steps X' = a X + (b X X' + c (X X')^2) X."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(STEPS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
