"""Attention that scores every pair of tokens. Cheaper kinds are in `tsattn.nn.efficient`.

Each kind is one function of queries, keys and values per head, of which keys are `valid`, and of a bias by distance (see
`tsattn.nn.positional`). What an invalid key holds has no influence; a query without any key that it may see gives 0.
Letters: B batch, N queries, M keys, A heads, K head width, W width of the values, T distances. Masks are True where a key may
be seen.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from tsattn.nn.positional import expand_bias

MOST_BYTES = 2**26  # of the scores of all heads of a batch, which are kept for the gradient
MOST_KEYS = 128  # in float32
FEW_PAIRS = 2**16  # fewer cost less than the calls, in bfloat16 forwards
BLOCK_PAIRS = 2**21  # scores of so many pairs stay in the cache: 4 MB
FAR_BELOW = -1e30  # as a score: its weight is 0 beside any other; -inf has no gradient in a row without a key
REGISTER = 16  # numbers that an instruction of AVX-512 takes at a time


def attention(
    q: Float[Tensor, "B A N K"],
    k: Float[Tensor, "B A M K"],
    v: Float[Tensor, "B A M W"],
    mask: Bool[Tensor, "#B #A #N M"] | None = None,
    bias: Float[Tensor, "#B #A #N M"] | None = None,
) -> Float[Tensor, "B A N W"]:
    """softmax(q k^T / sqrt(K) + bias) v over the keys that `mask` allows (Vaswani et al. 2017, equation 1).

    Cost N M K; memory N M, or N alone where a fused kernel serves, as it does without a bias that is learned. There is no
    dropout on the weights: it forbids the fused kernels (a training step takes twice as long on a CPU); blocks drop their
    outputs.
    """
    if faster_written_out(q, k):
        return in_blocks(q, k, v, mask, bias)
    if bias is None:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    bias = bias.to(q.dtype)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias if mask is None else bias.masked_fill(~mask, -torch.inf))


def in_blocks(
    q: Float[Tensor, "B A N K"],
    k: Float[Tensor, "B A M K"],
    v: Float[Tensor, "B A M W"],
    mask: Bool[Tensor, "#B #A #N M"] | None,
    bias: Float[Tensor, "#B #A #N M"] | None,
) -> Float[Tensor, "B A N W"]:
    """`written_out` for as many windows at a time as the cache holds the scores of: 128 of them 1.7 to 2.7 times as fast."""
    size = max(BLOCK_PAIRS // (q.shape[1] * q.shape[2] * k.shape[2]), 1)
    if len(q) <= size:
        return written_out(q, k, v, mask, bias)

    def some(part: Tensor | None, windows: slice) -> Tensor | None:
        return part if part is None or len(part) == 1 else part[windows]

    blocks = (slice(begin, begin + size) for begin in range(0, len(q), size))
    return torch.cat([written_out(q[w], k[w], v[w], some(mask, w), some(bias, w)) for w in blocks])


def written_out(
    q: Float[Tensor, "B A N K"],
    k: Float[Tensor, "B A M K"],
    v: Float[Tensor, "B A M W"],
    mask: Bool[Tensor, "#B #A #N M"] | None,
    bias: Float[Tensor, "#B #A #N M"] | None,
) -> Float[Tensor, "B A N W"]:
    """The same in plain operations, in the type of `q`. Keys are filled up to whole registers, where a third more is enough.

    A softmax over 76 keys takes three times as long for each of them as one over 96 (bfloat16, two cores with AVX-512).
    """
    spare = -k.shape[2] % REGISTER
    spare = spare if 3 * spare <= k.shape[2] else 0
    added = None if bias is None else F.pad(bias.to(q.dtype), (0, spare), value=FAR_BELOW)
    if mask is not None or (spare and bias is None):
        seen = mask if mask is not None else q.new_ones(1, 1, 1, k.shape[2], dtype=torch.bool)
        far = torch.where(F.pad(seen, (0, spare)), 0.0, FAR_BELOW).to(q.dtype)
        added = far if added is None else added + far
    k, v = F.pad(k, (0, 0, 0, spare)), F.pad(v, (0, 0, 0, spare))
    if added is None:
        scores = (q / math.sqrt(q.shape[-1])) @ k.mT
    else:
        added = added.expand(*q.shape[:2], -1, -1).flatten(0, 1)
        scores = torch.baddbmm(added, q.flatten(0, 1), k.flatten(0, 1).mT, alpha=1 / math.sqrt(q.shape[-1]))
        scores = scores.unflatten(0, q.shape[:2])
    z = torch.softmax(scores, dim=-1) @ v
    return z if mask is None else z * mask.any(-1, keepdim=True)  # 0 for a query without any key


def faster_written_out(q: Float[Tensor, "B A N K"], k: Float[Tensor, "B A M K"]) -> bool:
    """Whether plain operations, `in_blocks`, beat the fused kernel on a CPU.

    Measured on two cores with AVX-512. bfloat16, forwards and backwards: 2 to 8 times as fast; forwards alone, few pairs cost
    less than the calls, up to eight windows of 36 tokens. float32, forwards and backwards: up to 128 tokens as fast or up to
    three times, from 256 on half as fast. float32 forwards has the fused kernel alone, so that a forecast is the same bit for
    bit among however many others.
    """
    pairs = q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2]
    if q.device.type != "cpu" or q.dtype not in (torch.bfloat16, torch.float32) or pairs * q.element_size() > MOST_BYTES:
        return False
    if q.dtype == torch.float32:
        return q.requires_grad and k.shape[2] <= MOST_KEYS
    return q.requires_grad or pairs >= FEW_PAIRS


def attention_with_weights(
    q: Float[Tensor, "B A N K"],
    k: Float[Tensor, "B A M K"],
    v: Float[Tensor, "B A M W"],
    mask: Bool[Tensor, "#B #A #N M"] | None = None,
    bias: Float[Tensor, "#B #A #N M"] | None = None,
) -> tuple[Float[Tensor, "B A N W"], Float[Tensor, "B A N M"]]:
    """The same written out: the weighted sums and the weights, rows of which sum to 1 (to 0 for a query without any key)."""
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-2, -1)
    weights = masked_softmax(scores if bias is None else scores + bias, mask)
    return weights @ v, weights


def masked_softmax(
    scores: Float[Tensor, "B A N M"], mask: Bool[Tensor, "#B #A #N M"] | None = None
) -> Float[Tensor, "B A N M"]:
    """softmax over the keys that `mask` allows, 0 for all others and for a row without any."""
    if mask is None:
        return torch.softmax(scores, dim=-1)
    return torch.softmax(scores.masked_fill(~mask, FAR_BELOW), dim=-1) * mask.any(-1, keepdim=True)


def causal_mask(num_tokens: int, device: torch.device | None = None) -> Bool[Tensor, "N N"]:
    """Query i sees keys j <= i."""
    return torch.ones(num_tokens, num_tokens, dtype=torch.bool, device=device).tril()


def local_mask(num_tokens: int, window: int, device: torch.device | None = None) -> Bool[Tensor, "N N"]:
    """Query i sees the keys of its own block of `window` tokens and of the block before; the last token ends the last block."""
    block = (torch.arange(num_tokens, device=device) + -num_tokens % window) // window
    behind = block[:, None] - block
    return (behind == 0) | (behind == 1)


def padding_mask(valid: Bool[Tensor, "B N"]) -> Bool[Tensor, "B 1 1 N"]:
    """No query sees a key that is not valid."""
    return valid[:, None, None]


def full(
    q: Float[Tensor, "B A N K"],
    k: Float[Tensor, "B A M K"],
    v: Float[Tensor, "B A M W"],
    valid: Bool[Tensor, "B M"] | None = None,
    bias: Float[Tensor, "A T"] | None = None,
) -> Float[Tensor, "B A N W"]:
    """z_i = sum_j softmax_j(q_i . k_j / sqrt(K) + bias_{j - i}) v_j (Vaswani et al. 2017, eq. 1), queries of the last tokens.

    Cost N M K, memory N M.
    """
    num_queries, num_keys = q.shape[2], k.shape[2]
    mask = None if valid is None else padding_mask(valid)
    by_distance = None if bias is None else expand_bias(bias, num_queries, num_keys, ahead=num_keys - num_queries)
    return attention(q, k, v, mask, by_distance)


def causal(
    q: Float[Tensor, "B A N K"],
    k: Float[Tensor, "B A N K"],
    v: Float[Tensor, "B A N W"],
    valid: Bool[Tensor, "B N"] | None = None,
    bias: Float[Tensor, "A T"] | None = None,
) -> Float[Tensor, "B A N W"]:
    """`full` over keys j <= i alone (Vaswani et al. 2017, section 3.2.3). Cost N^2 K, memory N^2."""
    if valid is None and bias is None and not faster_written_out(q, k):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    mask = causal_mask(q.shape[2], q.device)[None, None]
    if valid is not None:
        mask = mask & padding_mask(valid)
    return attention(q, k, v, mask, None if bias is None else expand_bias(bias, q.shape[2], k.shape[2]))


def additive(
    q: Float[Tensor, "B A N K"],
    k: Float[Tensor, "B A N K"],
    v: Float[Tensor, "B A N W"],
    valid: Bool[Tensor, "B N"] | None = None,
    bias: Float[Tensor, "A T"] | None = None,
    *,
    weight: Float[Tensor, "A K"],
) -> Float[Tensor, "B A N W"]:
    """z_i = sum_j softmax_j(weight . tanh(q_i + k_j) + bias_{j - i}) v_j (Bahdanau et al. 2015, appendix A.1.2).

    Cost N^2 K, and memory N^2 K too: the tanh of every pair is kept for the gradient. For short windows.
    """
    pairs = torch.tanh(rearrange(q, "b a n k -> b a n 1 k") + rearrange(k, "b a m k -> b a 1 m k"))
    scores = einsum(pairs, weight, "b a n m k, a k -> b a n m")
    if bias is not None:
        scores = scores + expand_bias(bias, q.shape[2], k.shape[2])
    return masked_softmax(scores, None if valid is None else padding_mask(valid)) @ v
