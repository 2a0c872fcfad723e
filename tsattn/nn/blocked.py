"""Attention in plain operations on a CPU, for as many windows at a time as the cache holds the scores of.

What `tsattn.nn.attention.attention` does where its fused kernel is slower: in training, and in half precision.
Letters: B batch, N queries, M keys, A heads, K head width, W width of the values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

MOST_BYTES = 2**27  # of the scores of all heads of a batch, which are kept for the gradient
MOST_KEYS = 512  # in float32
FEW_PAIRS = 2**16  # fewer cost less than the calls, in bfloat16 forwards
BLOCK_PAIRS = 2**20  # scores of so many pairs stay in the cache: 4 MB in float32
FAR_BELOW = -1e30  # as a score: its weight is 0 beside any other; -inf has no gradient in a row without a key
REGISTER = 16  # numbers that an instruction of AVX-512 takes at a time


def faster_in_blocks(q: Float[Tensor, "B A N K"], k: Float[Tensor, "B A M K"]) -> bool:
    """Whether `in_blocks` beats the fused kernel on a CPU.

    Measured on two cores with AVX-512. bfloat16, forwards and backwards: 1.5 to 8 times as fast; forwards alone, few pairs cost
    less than the calls, up to eight windows of 36 tokens. float32, forwards and backwards: up to 512 tokens as fast or up to
    2.5 times. float32 forwards has the fused kernel alone, so that a forecast is the same bit for bit among however many
    others.
    """
    pairs = q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2]
    if q.device.type != "cpu" or q.dtype not in (torch.bfloat16, torch.float32) or pairs * q.element_size() > MOST_BYTES:
        return False
    if q.dtype == torch.float32:
        return q.requires_grad and k.shape[2] <= MOST_KEYS
    return q.requires_grad or pairs >= FEW_PAIRS


def in_blocks(
    q: Float[Tensor, "B A N K"],
    k: Float[Tensor, "B A M K"],
    v: Float[Tensor, "B A M W"],
    mask: Bool[Tensor, "#B #A #N M"] | None,
    bias: Float[Tensor, "#B #A #N M"] | None,
) -> Float[Tensor, "B A N W"]:
    """softmax(q k^T / sqrt(K) + bias) v over the keys that `mask` allows; 0 for a query without any.

    Keys are filled up to whole registers, where a third more is enough: a softmax over 76 keys takes longer than one over 80,
    and one over fewer than a register up to ten times as long for each.
    """
    spare = -k.shape[2] % REGISTER
    spare = spare if k.shape[2] < REGISTER or 3 * spare <= k.shape[2] else 0
    seen = q.new_ones(1, 1, 1, k.shape[2], dtype=torch.bool) if spare and mask is None and bias is None else mask
    kept = torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in (q, k, v, bias))
    z = Blocks.apply(q, k, v, seen, bias, spare, kept)
    sees = None if mask is None else mask.any(-1, keepdim=True)
    return z if sees is None or sees.all() else z * sees


class Blocks(torch.autograd.Function):
    """The sums of `in_blocks` and their gradients, block by block.

    With P the weights and z = P v: dv = P^T dz, ds = P (dz v^T - sum(dz z)), dq = ds k / sqrt(K), dk = ds^T q / sqrt(K) (Dao et
    al. 2022, appendix B.2). Weights are worked out in float32 and kept in the type of `q`. The graph that torch would make of
    the blocks fills gradients of all windows with zeros for each of them, and takes a third longer.
    """

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, bias: Tensor | None, spare: int, kept: bool
    ) -> Float[Tensor, "B A N W"]:
        z = room(q, v.shape[3], by_column=narrow(v))
        blocks = list(blocks_of(q, k.shape[2] + spare))
        most = len(q) if kept else max((len(q[block]) for block in blocks), default=0)
        weights = q.new_empty(most, *q.shape[1:3], k.shape[2] + spare)
        for block in blocks:
            p = (weights[block] if kept else weights[: len(q[block])]).flatten(0, 1)
            k_, v_ = (filled(x[block], spare) for x in (k, v))
            scores_to_weights(scores_of(q[block], k_, part(mask, block), part(bias, block)), out=p)
            times(p, v_.flatten(0, 1), out=z[block].flatten(0, 1))
        if kept:
            ctx.save_for_backward(q, k, v, bias, weights, z)
        return z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dz: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        q, k, v, bias, weights, z = ctx.saved_tensors
        num_keys, spare, scale = k.shape[2], weights.shape[3] - k.shape[2], 1 / math.sqrt(q.shape[3])
        dq = room(q, q.shape[3], by_column=narrow(q))
        dk, dv = (q.new_empty(*x.shape[:2], x.shape[3], weights.shape[3]).mT for x in (k, v))
        dbias = torch.zeros_like(bias) if ctx.needs_input_grad[4] else None
        for block in blocks_of(q, weights.shape[3]):
            q_, dz_, z_, p = (x[block].flatten(0, 1) for x in (q, dz, z, weights))
            k_, v_ = (filled(x[block], spare).flatten(0, 1) for x in (k, v))
            means = torch.linalg.vecdot(dz_, z_)[..., None]
            torch.bmm(dz_.mT, p, out=dv[block].flatten(0, 1).mT)  # p^T dz, and faster than that
            ds = torch.baddbmm(means, dz_, v_.mT, beta=-1).mul_(p)
            times(ds, k_, out=dq[block].flatten(0, 1))
            torch.bmm(q_.mT, ds, out=dk[block].flatten(0, 1).mT)
            if dbias is not None:
                of_block = part(dbias, block)
                of_block += ds.unflatten(0, (-1, q.shape[1]))[..., :num_keys].sum_to_size(of_block.shape)
        return dq.mul_(scale), dk[:, :, :num_keys].mul_(scale), dv[:, :, :num_keys], None, dbias, None, None


def filled(x: Float[Tensor, "B A M K"], spare: int) -> Float[Tensor, "B A MS K"]:
    return F.pad(x, (0, 0, 0, spare)) if spare else x


def room(q: Float[Tensor, "B A N K"], width: int, *, by_column: bool) -> Float[Tensor, "B A N W"]:
    """Room for `width` numbers per query, those of a query side by side or those of a column."""
    return q.new_empty(*q.shape[:2], width, q.shape[2]).mT if by_column else q.new_empty(*q.shape[:3], width)


def narrow(v: Float[Tensor, "B A M W"]) -> bool:
    """Whether few columns in float32 are better worked out as rows: a product of 8 columns takes longer than one of 16."""
    return v.dtype == torch.float32 and v.shape[-1] < REGISTER


def times(p: Float[Tensor, "BA N M"], v: Float[Tensor, "BA M W"], out: Float[Tensor, "BA N W"]) -> None:
    """p v, or (v^T p^T)^T where `out` has its numbers by column."""
    if out.stride(-1) == 1:
        torch.bmm(p, v, out=out)
    else:
        torch.bmm(v.mT, p.mT, out=out.mT)


def blocks_of(q: Float[Tensor, "B A N K"], num_keys: int) -> Iterator[slice]:
    """Windows whose scores are worked out together."""
    size = max(BLOCK_PAIRS // (q.shape[1] * q.shape[2] * num_keys), 1)
    return (slice(begin, begin + size) for begin in range(0, len(q), size))


def part(x: Tensor | None, block: slice) -> Any:
    """Those windows of a mask or a bias; one for all windows is that of each block."""
    return x if x is None or len(x) == 1 else x[block]


def scores_of(
    q: Float[Tensor, "B A N K"],
    k: Float[Tensor, "B A MS K"],
    mask: Bool[Tensor, "#B #A #N M"] | None,
    bias: Float[Tensor, "#B #A #N M"] | None,
) -> Float[Tensor, "BA N MS"]:
    """q k^T / sqrt(K) + bias, far below others where a key is not seen: hidden by `mask` or one of S that are filled up."""
    scale, given = 1 / math.sqrt(q.shape[-1]), mask if bias is None else bias
    spare = 0 if given is None else k.shape[2] - given.shape[-1]
    added = None if bias is None else F.pad(bias.to(q.dtype), (0, spare), value=FAR_BELOW)
    if mask is not None:
        far = torch.where(F.pad(mask, (0, spare)), 0.0, FAR_BELOW).to(q.dtype)
        added = far if added is None else added + far
    if added is None:
        return (q.flatten(0, 1) * scale) @ k.flatten(0, 1).mT
    added = added.expand(*q.shape[:2], -1, -1).flatten(0, 1)
    return torch.baddbmm(added, q.flatten(0, 1), k.flatten(0, 1).mT, alpha=scale)


def scores_to_weights(scores: Float[Tensor, "BA N M"], out: Float[Tensor, "BA N M"]) -> None:
    """softmax over the keys, in float32 at least: of bfloat16 numbers torch's takes twice as long."""
    if scores.dtype == torch.bfloat16:
        out.copy_(torch.softmax(scores, dim=-1, dtype=torch.float32))
    else:
        torch.softmax(scores, dim=-1, out=out)
