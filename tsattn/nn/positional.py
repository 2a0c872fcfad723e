"""Position codes. Positions count from the first future token (0): context tokens are negative, so the same token has
the same position whatever the length of the context. A code is added to the tokens (sinusoidal, learned, calendar), turns
queries and keys (rotary) or is added to the scores of attention (alibi, relative).

Letters: B batch, N tokens, D width, A heads, K head width, T = 2 N - 1 distances from -(N - 1) to N - 1.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int, Num
from torch import Tensor, nn

from tsattn.config import POSITIONALS, check_choice

BASE = 10_000.0
NUM_BUCKETS = 32  # of the relative bias, half of them for keys after the query
FARTHEST = 128  # distance in tokens from which on all share the last bucket


Angles = tuple[Tensor, Tensor]


class Position(NamedTuple):
    """What attention is told about where tokens stand; nothing where the code was added to the tokens."""

    angles: Angles | None = None  # cosine and signed sine of each token, [N K] each: see `rotary_angles`
    bias: Tensor | None = None  # of the scores, for each head and distance j - i of key and query, [A T]

    def first(self, num: int) -> Position:
        """The same for the first `num` tokens. A bias by distance holds for any of them."""
        return self if self.angles is None else self._replace(angles=(self.angles[0][:num], self.angles[1][:num]))

    def last(self, num: int) -> Position:
        """The same for the last `num` tokens."""
        return self if self.angles is None else self._replace(angles=(self.angles[0][-num:], self.angles[1][-num:]))


UNPLACED = Position()


def places(num_tokens: int, num_future: int, device: torch.device) -> Int[Tensor, " N"]:
    """The position of each token: 0 for the first future one."""
    return torch.arange(num_tokens, device=device) - (num_tokens - num_future)


def frequencies(width: int, device: torch.device | None = None) -> Float[Tensor, " half"]:
    """omega_i = 10000^(-2i / width), i = 0 .. width/2 - 1, in radians per position."""
    return BASE ** (-torch.arange(0, width, 2, device=device, dtype=torch.float32) / width)


def sinusoidal(positions: Num[Tensor, "*B N"], width: int) -> Float[Tensor, "*B N D"]:
    """PE(p, 2i) = sin(p omega_i), PE(p, 2i + 1) = cos(p omega_i) (Vaswani et al. 2017, section 3.5); p is any real number."""
    angles = positions[..., None] * frequencies(width, positions.device)
    return rearrange([angles.sin(), angles.cos()], "two ... half -> ... (half two)")[..., :width]


def rotary_angles(positions: Int[Tensor, " N"], head_width: int) -> Angles:
    """(cos p omega_i) for both numbers of a pair, and (-sin p omega_i, sin p omega_i), [N K] each."""
    angles = positions[:, None] * frequencies(head_width, positions.device)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


@lru_cache(16)
def kept_angles(num_tokens: int, num_future: int, head_width: int, device: torch.device) -> Angles:
    """`rotary_angles` of so many tokens; for a single series computing them anew takes 4 % of a forward pass."""
    with torch.inference_mode(False):  # training may ask for the same
        return rotary_angles(places(num_tokens, num_future, device), head_width)


def rotate(
    x: Float[Tensor, "*any K"], angles: tuple[Float[Tensor, "*some K"], Float[Tensor, "*some K"]]
) -> Float[Tensor, "*any K"]:
    """Turn the pair (x_i, x_{i + K/2}) by the angle p omega_i: q_m . k_n depends on m - n only (RoPE, Su et al. 2021).

    The axes of `angles` are the last of x, [B A N K] with [N K], or become so: [B N A K] with [N 1 K].
    """
    cos, sin = angles
    if cos.dtype != x.dtype:
        cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


def distances(num_tokens: int, device: torch.device | None = None) -> Int[Tensor, " T"]:
    """-(N - 1) .. N - 1: key minus query, all that N tokens can have."""
    return torch.arange(1 - num_tokens, num_tokens, device=device)


def alibi(distance: Int[Tensor, " T"], num_heads: int) -> Float[Tensor, "A T"]:
    """-slope_a |j - i| with slope_a = 2^(-8 a / A), a = 1 .. A (ALiBi, Press et al. 2022, section 3).

    Their model is causal; this is the form that looks both ways, a key after the query costing what one before it does. For a
    number of heads that is no power of two they mix two series of slopes, here it stays one.
    """
    heads = torch.arange(1, num_heads + 1, device=distance.device, dtype=torch.float32)
    return -torch.exp2(-8 * heads / num_heads)[:, None] * distance.abs()


def bucket(distance: Int[Tensor, " T"]) -> Int[Tensor, " T"]:
    """The bucket of each distance: 16 for keys up to the query and 16 for those after it.

    Distances below 8 have one each, then they widen with the logarithm up to 128 (T5, Raffel et al. 2020, section 2.1, the form
    of an encoder).
    """
    half, exact = NUM_BUCKETS // 2, NUM_BUCKETS // 4
    far = distance.abs().clamp(min=exact).double() / exact
    step = exact + (far.log() / math.log(FARTHEST / exact) * (half - exact)).long()
    return torch.where(distance.abs() < exact, distance.abs(), step.clamp(max=half - 1)) + half * (distance > 0)


def expand_bias(
    table: Float[Tensor, "A T"], num_queries: int, num_keys: int, ahead: int = 0
) -> Float[Tensor, "1 A {num_queries} {num_keys}"]:
    """b_ij = table[j - i - ahead]: the bias of keys 0, 1 ... for queries that stand at ahead, ahead + 1 ... among them.

    Distances that the table does not hold (of tokens that are padding) get 0.
    """
    centre = table.shape[1] // 2
    first, last = centre - ahead - (num_queries - 1), centre - ahead + num_keys  # of the row of the last query, of the first
    table = nn.functional.pad(table, (max(-first, 0), max(last - table.shape[1], 0)))
    rows = table[:, max(first, 0) : max(first, 0) + num_queries + num_keys - 1].unfold(1, num_keys, 1)
    return rows.flip(1)[None]


def bias_at(
    table: Float[Tensor, "A T"], query: Int[Tensor, "#B #A #N #M"], key: Int[Tensor, "#B #A #N #M"]
) -> Float[Tensor, "B A N M"]:
    """table_a[j - i] for queries i and keys j, each number looked up by itself: for a few pairs of many."""
    index = key - query + table.shape[1] // 2
    heads = torch.arange(len(table), device=table.device)
    return table[rearrange(heads, "a -> a 1 1"), index]


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


class RelativeBias(nn.Module):
    """A learned number per head and `bucket` of distances, shared by all layers (T5, Raffel et al. 2020, section 2.1)."""

    def __init__(self, num_heads: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(num_heads, NUM_BUCKETS) * 0.02)

    def forward(self, distance: Int[Tensor, " T"]) -> Float[Tensor, "A T"]:
        return self.table[:, bucket(distance)]


class PositionCode(nn.Module):
    """One of `tsattn.config.POSITIONALS` for a model of this width: what it adds to tokens, and what it tells attention."""

    def __init__(self, kind: str, *, d_model: int, num_heads: int, num_context: int, num_future: int) -> None:
        super().__init__()
        check_choice("model.positional", kind, POSITIONALS)
        self.kind = kind
        self.num_heads, self.head_width = num_heads, d_model // num_heads
        self.learned = Learned(num_context, num_future, d_model) if kind == "learned" else None
        self.relative = RelativeBias(num_heads) if kind == "relative" else None

    def forward(
        self, tokens: Float[Tensor, "B N D"], num_future: int, elapsed: Float[Tensor, "B N"] | None = None
    ) -> tuple[Float[Tensor, "B N D"], Position]:
        """Tokens, the last `num_future` of the future, with their codes, and the `Position` of them for attention.

        `elapsed` is the time of each token in steps since the first future one, for positional=calendar.
        """
        num_tokens, width = tokens.shape[1:]
        if self.kind == "rotary":
            return tokens, Position(angles=kept_angles(num_tokens, num_future, self.head_width, tokens.device))
        if self.kind == "alibi":
            return tokens, Position(bias=alibi(distances(num_tokens, tokens.device), self.num_heads))
        if self.relative is not None:
            return tokens, Position(bias=self.relative(distances(num_tokens, tokens.device)))
        if self.kind == "sinusoidal":
            tokens = tokens + sinusoidal(places(num_tokens, num_future, tokens.device), width)
        elif self.learned is not None:
            tokens = tokens + self.learned(num_tokens - num_future, num_future)
        elif self.kind == "calendar":
            if elapsed is None:
                raise ValueError("model.positional=calendar needs the elapsed time of every step")
            tokens = tokens + sinusoidal(elapsed, width)
        return tokens, UNPLACED
