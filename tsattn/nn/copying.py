"""Attention over the values themselves: each future step may copy what past tokens held.

Letters: B batch (of single variates), F future tokens, S moves, N context tokens, P patch length, D width, A heads.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tsattn.nn.blocked import scores_of
from tsattn.nn.positional import Angles, rotate

USUAL = 0.2  # spread of copied values, scaled, that says nothing
LEAST = 1e-3  # variance of copied values that are all the same


class CopyAttention(nn.Module):
    """A forecast that is a mixture of weighted means of past patches, the last value and the mean of the window (0).

    For future token f and head a: c_fa = sum_n w_fan m_n z_n / sum_n w_fan m_n with w = softmax(q_f . k_n / sqrt(K)), z_n the P
    scaled values of context token n and m_n which of them are observed. A softmax read off the future token mixes the A copies,
    the last value and 0. With equal weights and patches of one season that is the seasonal profile; sharp weights make it the
    seasonal naive forecast or the last value: what a short series can hardly teach a network from scratch is where it starts.

    With `by_step` each head also chooses, for each future token, by how many steps 0 .. P - 1 the copied patches are moved on:
    c_fa(p) = sum_s u_fas sum_n w_fan m z(n P + s + p) / the same without z, u a softmax read off the future token. Then any lag
    can be copied, not multiples of P alone: a week in patches of 16.

    With `spread` the values that heads copy to a future step also say how far they lie apart: s(p)^2 is their variance, mixed
    as they are, and gain log(s(p) / 0.2), times the share that is copied, is added to what makes the intervals wide. The
    gain is read off the future token and begins at 0. So busy days get wider intervals than quiet ones.

    Copying by attention is the idea of pointer networks (Vinyals et al. 2015). It sees the whole context, also where the blocks
    see a local window; the future comes after all of it, so that causal attention is not touched.
    """

    def __init__(self, d_model: int, num_heads: int, patch_length: int, *, by_step: bool = False, spread: bool = False) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(d_model, d_model, bias=False)
        self.key = nn.Linear(d_model, d_model, bias=False)
        self.mix = nn.Linear(d_model, patch_length * (num_heads + 2))
        nn.init.zeros_(self.mix.weight)
        nn.init.zeros_(self.mix.bias)
        self.move = nn.Linear(d_model, patch_length * num_heads) if by_step else None
        self.widen = nn.Linear(d_model, 1) if spread else None
        if self.widen is not None:
            nn.init.zeros_(self.widen.weight)
            nn.init.zeros_(self.widen.bias)

    def forward(
        self,
        past: Float[Tensor, "B N D"],
        future: Float[Tensor, "B F D"],
        z: Float[Tensor, "B N P"],
        seen: Bool[Tensor, "B N P"],
        last: Float[Tensor, " B"],
        angles: Angles | None = None,
    ) -> tuple[Float[Tensor, "B F P"], Float[Tensor, "B F P"] | None]:
        """The mixture for each future step, in scaled units, and what `spread` adds. `z` holds 0 where nothing was seen.

        Keys are read off the tokens of the `past`, everything else off those of the `future`.
        """
        num_context = z.shape[1]
        q, k = (self.by_head(part(x)) for part, x in ((self.query, future), (self.key, past)))
        if angles is not None:
            cos, sin = angles
            q, k = rotate(q, (cos[num_context:], sin[num_context:])), rotate(k, (cos[:num_context], sin[:num_context]))
        parts = [z, seen.to(z.dtype)] if self.widen is None else [z, seen.to(z.dtype), z.square()]
        parts = parts if self.move is None else [with_next(part) for part in parts]
        weights = scores_of(q, k, seen.any(-1)[:, None, None, :], None).softmax(-1).view(*q.shape[:3], num_context)
        sums = weights.flatten(1, 2) @ torch.cat(parts, dim=-1)  # the values are those of every head
        sums = sums.unflatten(1, q.shape[1:3]).chunk(len(parts), dim=-1)
        if self.move is not None:
            by = self.by_head(self.move(future)).softmax(-1)
            sums = [moved(part, by) for part in sums]
        weight = sums[1]
        means = [torch.where(weight > 1e-6, part / weight.clamp(min=1e-6), 0.0) for part in (sums[0], *sums[2:])]
        copied = means[0]
        anchors = torch.stack([last[:, None, None].expand_as(copied[:, 0]), torch.zeros_like(copied[:, 0])], dim=1)
        share = self.mix(future).unflatten(-1, (-1, self.num_heads + 2)).permute(0, 3, 1, 2).softmax(dim=1)
        mixture = (share * torch.cat([copied, anchors], dim=1)).sum(1)
        if self.widen is None:
            return mixture, None
        heads = share[:, : self.num_heads]
        spread = (heads * (means[1] - copied.square()).clamp(min=0)).sum(1).add(LEAST).sqrt()
        return mixture, self.widen(future) * (spread / USUAL).log() * heads.sum(1)

    def by_head(self, x: Float[Tensor, "B N AK"]) -> Float[Tensor, "B A N K"]:
        """The numbers of each token cut into heads."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


def with_next(x: Float[Tensor, "B N P"]) -> Float[Tensor, "B N PP"]:
    """Each patch and the one after it; 0 after the last."""
    return torch.cat([x, F.pad(x[:, 1:], (0, 0, 0, 1))], dim=-1)


def moved(x: Float[Tensor, "B A F PP"], by: Float[Tensor, "B A F P"]) -> Float[Tensor, "B A F P"]:
    """sum_s by_s x(s + p): two patches in a row, read from 0 .. P - 1 steps further on."""
    num_moves = by.shape[-1]
    return (by[..., None, :] @ x.unfold(-1, num_moves, 1)[..., :num_moves, :])[..., 0, :]
