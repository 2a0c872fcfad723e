"""Scaled dot-product self-attention with many heads (Vaswani et al. 2017, section 3.2).

Letters: B batch, N tokens, D width, A heads, K = D / A head width. Masks are True where a key may be seen.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tsattn.nn.positional import rotate


def attention(
    q: Float[Tensor, "B A N K"],
    k: Float[Tensor, "B A M K"],
    v: Float[Tensor, "B A M K"],
    mask: Bool[Tensor, "#B #A #N M"] | None = None,
) -> Float[Tensor, "B A N K"]:
    """softmax(q k^T / sqrt(K)) v over the keys that `mask` allows (equation 1). Cost N M K; a query without any key gives 0.

    There is no dropout on the weights: it forbids the fused kernels (a training step takes twice as
    long on a CPU); blocks drop their outputs.
    """
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def attention_with_weights(
    q: Float[Tensor, "B A N K"],
    k: Float[Tensor, "B A M K"],
    v: Float[Tensor, "B A M W"],
    mask: Bool[Tensor, "#B #A #N M"] | None = None,
) -> tuple[Float[Tensor, "B A N W"], Float[Tensor, "B A N M"]]:
    """The same written out: the weighted sums and the weights, rows of which sum to 1 (to 0 for a query without any key)."""
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = torch.softmax(scores, dim=-1).nan_to_num(0.0)
    return weights @ v, weights


def causal_mask(num_tokens: int, device: torch.device | None = None) -> Bool[Tensor, "N N"]:
    """Query i sees keys j <= i."""
    return torch.ones(num_tokens, num_tokens, dtype=torch.bool, device=device).tril()


def local_mask(num_tokens: int, window: int, device: torch.device | None = None) -> Bool[Tensor, "N N"]:
    """Query i sees keys with |i - j| <= window."""
    position = torch.arange(num_tokens, device=device)
    return (position[:, None] - position).abs() <= window


def padding_mask(valid: Bool[Tensor, "B N"]) -> Bool[Tensor, "B 1 1 N"]:
    """No query sees a key that is not valid."""
    return rearrange(valid, "b n -> b 1 1 n")


class SelfAttention(nn.Module):
    """Z = concat_a(softmax(Q_a K_a^T / sqrt(K)) V_a) W_o with Q, K, V = x W_q, x W_k, x W_v cut into heads."""

    def __init__(self, d_model: int, num_heads: int) -> None:
        super().__init__()
        if d_model % num_heads:
            raise ValueError(f"d_model={d_model} must be divisible by num_heads={num_heads}")
        self.num_heads = num_heads
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def project(
        self, x: Float[Tensor, "B N D"], angles: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Float[Tensor, "B A N K"], Float[Tensor, "B A N K"], Float[Tensor, "B A N K"]]:
        """Queries, keys and values per head; queries and keys turned by `angles` where a rotary code is used."""
        q, k, v = rearrange(self.qkv(x), "b n (three a k) -> three b a n k", three=3, a=self.num_heads)
        return (q, k, v) if angles is None else (rotate(q, angles), rotate(k, angles), v)

    def forward(
        self,
        x: Float[Tensor, "B N D"],
        mask: Bool[Tensor, "#B #A #N N"] | None = None,
        angles: tuple[Tensor, Tensor] | None = None,
    ) -> Float[Tensor, "B N D"]:
        q, k, v = self.project(x, angles)
        z = attention(q, k, v, mask)
        return self.out(rearrange(z, "b a n k -> b n (a k)"))
