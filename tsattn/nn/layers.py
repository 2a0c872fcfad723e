"""Attention modules and the blocks that models stack.

Letters: B batch, N tokens, F the last of them, M tokens of a memory, D width, A heads, K head width.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tsattn.config import ATTENTIONS, check_choice
from tsattn.nn.attention import additive, attention, causal, full, padding_mask
from tsattn.nn.efficient import linear, local, prob_sparse
from tsattn.nn.positional import UNPLACED, Position, expand_bias, rotate


def check_heads(d_model: int, num_heads: int) -> None:
    """Raise a `ValueError` unless the heads divide the width."""
    if d_model % num_heads:
        raise ValueError(f"d_model={d_model} must be divisible by num_heads={num_heads}")


class SelfAttention(nn.Module):
    """Z = concat_a(attend(Q_a, K_a, V_a)) W_o with Q, K, V = x W_q, x W_k, x W_v cut into heads (Vaswani et al. 2017, 3.2.2).

    `kind` is one of `tsattn.config.ATTENTIONS`; `window` is the number of tokens per block of kind="local".
    """

    def __init__(self, d_model: int, num_heads: int, *, kind: str = "full", window: int = 32) -> None:
        super().__init__()
        check_heads(d_model, num_heads)
        check_choice("model.attention", kind, ATTENTIONS)
        self.num_heads, self.kind, self.window = num_heads, kind, window
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)
        self.score = None
        if kind == "additive":
            width = d_model // num_heads
            self.score = nn.Parameter(torch.randn(num_heads, width) / math.sqrt(width))

    def project(
        self, x: Float[Tensor, "B N D"], position: Position = UNPLACED
    ) -> tuple[Float[Tensor, "B A N K"], Float[Tensor, "B A N K"], Float[Tensor, "B A N K"]]:
        """Queries and keys, turned by the angles of their positions, and values per head.

        kind="linear" turns them itself, after its feature map.
        """
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))  # [B N 3 A K]
        if position.angles is None or self.kind == "linear":
            q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))  # whose gradients are stacked as they came
            return q, k, v
        cos, sin = (part[:, None, None] for part in position.angles)
        q, k = rotate(qkv[:, :, :2], (cos, sin)).permute(2, 0, 3, 1, 4)  # both at once: half as many operations
        return q, k, qkv[:, :, 2].transpose(1, 2)

    def project_last(
        self, x: Float[Tensor, "B N D"], position: Position, num_last: int
    ) -> tuple[Float[Tensor, "B A F K"], Float[Tensor, "B A N K"], Float[Tensor, "B A N K"]]:
        """The same with queries of the last tokens alone."""
        of_query, of_others = self.qkv.weight.tensor_split((x.shape[-1],))
        q = F.linear(x[:, -num_last:], of_query).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        k, v = F.linear(x, of_others).unflatten(-1, (2, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        queries, keys = position.last(num_last).angles, position.angles
        if queries is None or keys is None:
            return q, k, v
        return rotate(q, queries), rotate(k, keys), v

    def attend(
        self,
        q: Float[Tensor, "B A F K"],
        k: Float[Tensor, "B A N K"],
        v: Float[Tensor, "B A N W"],
        valid: Bool[Tensor, "B N"] | None = None,
        position: Position = UNPLACED,
    ) -> Float[Tensor, "B A F W"]:
        """The function of this kind, of what `project` gives. Linear in `v`: one-hot values [B A N N] give the weights.

        Queries are those of all tokens (F = N) or, with kind="full", of the last.
        """
        if self.kind == "linear":
            return linear(q, k, v, valid, position.angles)
        if self.kind == "local":
            return local(q, k, v, valid, position.bias, window=self.window)
        if self.score is not None:
            return additive(q, k, v, valid, position.bias, weight=self.score)
        return {"full": full, "causal": causal, "prob_sparse": prob_sparse}[self.kind](q, k, v, valid, position.bias)

    def forward(
        self,
        x: Float[Tensor, "B N D"],
        valid: Bool[Tensor, "B N"] | None = None,
        position: Position = UNPLACED,
        num_last: int | None = None,
    ) -> Float[Tensor, "B F D"]:
        """Z for the last `num_last` tokens, which see the others as ever; for all tokens without it."""
        if num_last is None:
            z = self.attend(*self.project(x, position), valid, position)
        elif self.kind == "full":
            z = self.attend(*self.project_last(x, position, num_last), valid, position)
        else:  # those that pair queries and keys by their places
            z = self.attend(*self.project(x, position), valid, position)[:, :, -num_last:]
        return self.out(z.transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    """Each token of x attends to a memory: queries x W_q, keys and values memory W_k, memory W_v (Vaswani et al. 2017, 3.2.3).

    Scaled dot products of all pairs: cost N M K.
    """

    def __init__(self, d_model: int, num_heads: int) -> None:
        super().__init__()
        check_heads(d_model, num_heads)
        self.num_heads = num_heads
        self.query = nn.Linear(d_model, d_model, bias=False)
        self.key_value = nn.Linear(d_model, 2 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def forward(
        self,
        x: Float[Tensor, "B N D"],
        memory: Float[Tensor, "B M D"],
        valid: Bool[Tensor, "B M"] | None = None,
        position: Position = UNPLACED,
    ) -> Float[Tensor, "B N D"]:
        """`valid` says which tokens of the memory may be seen; `position` is that of the memory followed by x."""
        q = rearrange(self.query(x), "b n (a k) -> b a n k", a=self.num_heads)
        k, v = rearrange(self.key_value(memory), "b m (two a k) -> two b a m k", two=2, a=self.num_heads)
        num_queries, num_keys = q.shape[2], k.shape[2]
        queries, keys = position.last(num_queries).angles, position.first(num_keys).angles
        if queries is not None and keys is not None:
            q, k = rotate(q, queries), rotate(k, keys)
        bias = None if position.bias is None else expand_bias(position.bias, num_queries, num_keys, ahead=num_keys)
        z = attention(q, k, v, None if valid is None else padding_mask(valid), bias)
        return self.out(rearrange(z, "b a n k -> b n (a k)"))


class Dropout(nn.Module):
    """In training each value is 0 with probability p, and others are divided by 1 - p (Srivastava et al. 2014).

    On a CPU torch draws a random number of its own for each value, a sixth of a training step; here four values share one of 64
    bits, so that p is met to 1 / 65536. They come from a generator of numpy's that torch's seeds, in half the time.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        bound = min(round(self.p * 2**16), 2**16 - 1)
        bits = np.random.SFC64(int(torch.randint(2**63 - 1, ()))).random_raw(-(-x.numel() // 4)).view(np.int16)
        kept = torch.from_numpy(bits)[: x.numel()].view(x.shape).ge_(bound - 2**15)  # as booleans it takes ten times as long
        return x * kept.to(x.dtype).div_(1 - bound / 2**16)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class FeedForward(nn.Module):
    """GELU(x W_1 + b_1) W_2 + b_2, the same for every token."""

    def __init__(self, d_model: int, d_ff: int, dropout: float) -> None:
        super().__init__()
        self.widen = nn.Linear(d_model, d_ff)
        self.narrow = nn.Linear(d_ff, d_model)
        self.activation = nn.GELU()
        self.dropout = Dropout(dropout)

    def forward(self, x: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        return self.narrow(self.dropout(self.activation(self.widen(x))))


class EncoderBlock(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x)): pre-norm (Xiong et al. 2020) trains without long warm-up.

    With `num_last` the result is that of the last so many tokens alone: what nobody reads of the others is not computed.
    """

    def __init__(
        self, d_model: int, num_heads: int, d_ff: int, dropout: float, *, kind: str = "full", window: int = 32
    ) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(d_model)
        self.attention = SelfAttention(d_model, num_heads, kind=kind, window=window)
        self.norm_feed_forward = nn.LayerNorm(d_model)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "B N D"],
        valid: Bool[Tensor, "B N"] | None = None,
        position: Position = UNPLACED,
        num_last: int | None = None,
    ) -> Float[Tensor, "B F D"]:
        z = self.attention(self.norm_attention(x), valid, position, num_last)
        x = (x if num_last is None else x[:, -num_last:]) + self.dropout(z)
        return x + self.dropout(self.feed_forward(self.norm_feed_forward(x)))


class DecoderBlock(nn.Module):
    """Causal attention among the tokens of x, attention to a memory, feed-forward; each x + part(norm(x)), as in the encoder.

    Vaswani et al. 2017, section 3.1, with the norm first. The memory comes normed out of the encoder.
    """

    def __init__(self, d_model: int, num_heads: int, d_ff: int, dropout: float) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(d_model)
        self.attention = SelfAttention(d_model, num_heads, kind="causal")
        self.norm_cross = nn.LayerNorm(d_model)
        self.cross = CrossAttention(d_model, num_heads)
        self.norm_feed_forward = nn.LayerNorm(d_model)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.dropout = Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "B N D"],
        memory: Float[Tensor, "B M D"],
        valid: Bool[Tensor, "B N"] | None = None,
        valid_memory: Bool[Tensor, "B M"] | None = None,
        position: Position = UNPLACED,
    ) -> Float[Tensor, "B N D"]:
        """`valid` of the tokens of x, `valid_memory` of the memory; `position` is that of the memory followed by x."""
        x = x + self.dropout(self.attention(self.norm_attention(x), valid, position.last(x.shape[1])))
        x = x + self.dropout(self.cross(self.norm_cross(x), memory, valid_memory, position))
        return x + self.dropout(self.feed_forward(self.norm_feed_forward(x)))
