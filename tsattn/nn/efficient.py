"""Attention of a token set with itself in less than N^2: local blocks, the queries that matter, kernels.

Letters: B batch, N tokens, A heads, K head width, W width of the values, T distances, U sampled keys or chosen queries.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import einsum, rearrange, repeat
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from tsattn.config import SPARSITY
from tsattn.nn.attention import attention, padding_mask
from tsattn.nn.positional import Angles, bias_at, expand_bias, rotate

SMALLEST = 1e-6  # a sum of kernels below it counts as this much


def local(
    q: Float[Tensor, "B A N K"],
    k: Float[Tensor, "B A N K"],
    v: Float[Tensor, "B A N W"],
    valid: Bool[Tensor, "B N"] | None = None,
    bias: Float[Tensor, "A T"] | None = None,
    *,
    window: int,
) -> Float[Tensor, "B A N W"]:
    """`full` within blocks of `window` tokens, each of which sees itself and the block before: see `local_mask`.

    Blocks are cut from the end, so that the last token ends the last one. Chunked local attention as of Longformer (Beltagy et
    al. 2020, section 3.1 and appendix A), with whole blocks in place of a band. Cost 2 N window K, memory 2 N window.
    """
    num_tokens, left = q.shape[2], -q.shape[2] % window
    if valid is None:
        valid = torch.ones(len(q), num_tokens, dtype=torch.bool, device=q.device)
    q, k, v = (F.pad(part, (0, 0, left, 0)) for part in (q, k, v))
    mask = _with_block_before(rearrange(F.pad(valid, (left, 0)), "b n -> b 1 n 1"), window)
    tile = None if bias is None else expand_bias(bias, window, 2 * window, ahead=window)  # the same for every block
    z = attention(
        rearrange(q, "b a (n w) k -> (b n) a w k", w=window),
        _with_block_before(k, window),
        _with_block_before(v, window),
        rearrange(mask, "b 1 m 1 -> b 1 1 m"),
        tile,
    )
    return rearrange(z, "(b n) a w k -> b a (n w) k", b=len(q))[:, :, left:]


def prob_sparse(
    q: Float[Tensor, "B A N K"],
    k: Float[Tensor, "B A N K"],
    v: Float[Tensor, "B A N W"],
    valid: Bool[Tensor, "B N"] | None = None,
    bias: Float[Tensor, "A T"] | None = None,
) -> Float[Tensor, "B A N W"]:
    """`full` for the U = c ceil(ln n) queries whose scores are least alike; every other query gets the mean of the values.

    M(q_i) = max_j s_ij - mean_j s_ij over U sampled keys, s being the score with its bias (Informer, Zhou et al. 2021, equation
    4 and algorithm 1, c = 5). n counts the valid tokens of the window, so that padding has no influence. Differences: the paper
    draws keys at random for every query, here all queries share keys spread evenly over the valid tokens, the last one being
    among them, so that the same window always gives the same forecast. With n <= U all queries attend: `full`.
    Cost N U K, memory N U.
    """
    num_tokens = q.shape[2]
    if valid is None:
        valid = torch.ones(len(q), num_tokens, dtype=torch.bool, device=q.device)
    count = valid.sum(1)
    num = torch.minimum(count, SPARSITY * count.clamp(min=2).double().log().ceil().long())  # U of each window
    most = min(num_tokens, SPARSITY * math.ceil(math.log(max(num_tokens, 2))))
    chosen = _least_alike(q, k, valid, bias, num, most)
    scored = None
    if bias is not None:
        keys = torch.arange(num_tokens, device=q.device)[None, None, None]
        scored = bias_at(bias, chosen[..., None], keys)
    queries = q.gather(2, repeat(chosen, "b a u -> b a u k", k=q.shape[3]))
    z = attention(queries, k, v, padding_mask(valid), scored)
    total = torch.where(rearrange(valid, "b n -> b 1 n 1"), v, 0.0).sum(2, keepdim=True)
    mean = (total / rearrange(count.clamp(min=1), "b -> b 1 1 1")).to(z.dtype)
    attends = torch.arange(most, device=q.device) < num[:, None]
    z = torch.where(rearrange(attends, "b u -> b 1 u 1"), z, mean)
    return repeat(mean, "b a 1 w -> b a n w", n=num_tokens).scatter(2, repeat(chosen, "b a u -> b a u w", w=v.shape[3]), z)


def linear(
    q: Float[Tensor, "B A N K"],
    k: Float[Tensor, "B A N K"],
    v: Float[Tensor, "B A N W"],
    valid: Bool[Tensor, "B N"] | None = None,
    angles: Angles | None = None,
) -> Float[Tensor, "B A N W"]:
    """z_i = phi(q_i) . sum_j phi(k_j) v_j / phi(q_i) . sum_j phi(k_j), phi(x) = elu(x) + 1 (Katharopoulos et al. 2020, eq. 5).

    With `angles` phi of queries and keys is turned in the numerator and left as it is in the denominator, which stays positive
    (RoFormer, Su et al. 2021, equation 19). Cost N K^2, memory N K: no number per pair of tokens exists.
    """
    q, k = F.elu(q) + 1, F.elu(k) + 1
    if valid is not None:
        kept = rearrange(valid, "b n -> b 1 n 1")
        k, v = torch.where(kept, k, 0.0), torch.where(kept, v, 0.0)
    total = einsum(q, k.sum(2).to(q.dtype), "b a n k, b a k -> b a n").clamp(min=SMALLEST)
    if angles is not None:
        q, k = rotate(q, angles), rotate(k, angles)
    return q @ einsum(k, v, "b a n k, b a n w -> b a k w") / rearrange(total, "b a n -> b a n 1")


def _with_block_before(x: Shaped[Tensor, "B A N E"], window: int) -> Shaped[Tensor, "Bn A M E"]:
    """The tokens of each block of `window` after those of the block before it; zeros (False) before the first block."""
    blocks = rearrange(x, "b a (n w) e -> b a n w e", w=window)
    before = F.pad(blocks, (0, 0, 0, 0, 1, 0))[:, :, :-1]
    return rearrange([before, blocks], "two b a n w e -> (b n) a (two w) e")


@torch.no_grad()
def _least_alike(
    q: Float[Tensor, "B A N K"],
    k: Float[Tensor, "B A N K"],
    valid: Bool[Tensor, "B N"],
    bias: Float[Tensor, "A T"] | None,
    num: Int[Tensor, " B"],
    most: int,
) -> Int[Tensor, "B A U"]:
    """The `most` queries with the largest M(q_i), largest first, measured on `num` keys of each window; invalid ones last."""
    count = valid.sum(1)
    in_order = (~valid).byte().argsort(dim=1, stable=True)  # valid tokens first, in their order
    slot = torch.arange(most, device=q.device)
    rank = (slot + 1) * count[:, None] // num.clamp(min=1)[:, None] - 1
    sample = in_order.gather(1, rank.clamp(0, q.shape[2] - 1))
    keys = k.gather(2, repeat(sample, "b u -> b a u k", a=k.shape[1], k=k.shape[3]))
    scores = einsum(q, keys, "b a n k, b a u k -> b a n u") / math.sqrt(q.shape[3])
    if bias is not None:
        queries = torch.arange(q.shape[2], device=q.device)
        scores = scores + bias_at(bias, rearrange(queries, "n -> 1 1 n 1"), rearrange(sample, "b u -> b 1 1 u"))
    drawn = rearrange(slot < num[:, None], "b u -> b 1 1 u")
    highest = scores.masked_fill(~drawn, -torch.inf).amax(-1)
    mean = scores.masked_fill(~drawn, 0.0).sum(-1) / rearrange(num.clamp(min=1), "b -> b 1 1")
    measure = (highest - mean).masked_fill(~rearrange(valid, "b n -> b 1 n"), -torch.inf)
    return measure.topk(most, dim=-1).indices
