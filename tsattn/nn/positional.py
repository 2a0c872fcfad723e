"""Position codes. Positions count from the first future token (0): context tokens are negative, so the same token has
the same position whatever the length of the context. Letters: N tokens, D width, K head width.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

BASE = 10_000.0


def frequencies(width: int, device: torch.device | None = None) -> Float[Tensor, " half"]:
    """omega_i = 10000^(-2i / width), i = 0 .. width/2 - 1, in radians per position."""
    return BASE ** (-torch.arange(0, width, 2, device=device, dtype=torch.float32) / width)


def sinusoidal(positions: Int[Tensor, " N"], width: int) -> Float[Tensor, "N D"]:
    """PE(p, 2i) = sin(p omega_i), PE(p, 2i + 1) = cos(p omega_i) (Vaswani et al. 2017, section 3.5)."""
    angles = positions[:, None] * frequencies(width, positions.device)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :width]


def rotary_angles(positions: Int[Tensor, " N"], head_width: int) -> tuple[Float[Tensor, "N half"], Float[Tensor, "N half"]]:
    """Cosine and sine of p omega_i for `rotate`, computed once per forward pass."""
    angles = positions[:, None] * frequencies(head_width, positions.device)
    return angles.cos(), angles.sin()


def rotate(
    x: Float[Tensor, "B A N K"], angles: tuple[Float[Tensor, "N half"], Float[Tensor, "N half"]]
) -> Float[Tensor, "B A N K"]:
    """Turn the pair (x_i, x_{i + K/2}) by the angle p omega_i: q_m . k_n depends on m - n only (RoPE, Su et al. 2021)."""
    cos, sin = (part.to(x.dtype) for part in angles)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class Learned(nn.Module):
    """A free vector per position; only positions seen in training exist (BERT, Devlin et al. 2019)."""

    def __init__(self, num_context: int, num_future: int, width: int) -> None:
        super().__init__()
        self.num_context = num_context
        self.table = nn.Parameter(torch.randn(num_context + num_future, width) * 0.02)

    def forward(self, num_context: int, num_future: int) -> Float[Tensor, "N D"]:
        """The vectors of so many context and future tokens; raises a ValueError for more than were trained."""
        known = len(self.table) - self.num_context
        if num_context > self.num_context or num_future > known:
            raise ValueError(
                f"model.positional=learned knows {self.num_context} context tokens and {known} future tokens, asked for "
                f"{num_context} and {num_future}: use a shorter context or another model.positional"
            )
        return self.table[self.num_context - num_context : self.num_context + num_future]
