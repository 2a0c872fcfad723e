"""The block that encoders stack. Letters: B batch, N tokens, D width."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from tsattn.nn.attention import SelfAttention


class FeedForward(nn.Module):
    """GELU(x W_1 + b_1) W_2 + b_2, the same for every token."""

    def __init__(self, d_model: int, d_ff: int, dropout: float) -> None:
        super().__init__()
        self.widen = nn.Linear(d_model, d_ff)
        self.narrow = nn.Linear(d_ff, d_model)
        self.activation = nn.GELU()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        return self.narrow(self.dropout(self.activation(self.widen(x))))


class EncoderBlock(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x)): pre-norm (Xiong et al. 2020) trains without long warm-up."""

    def __init__(self, d_model: int, num_heads: int, d_ff: int, dropout: float) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(d_model)
        self.attention = SelfAttention(d_model, num_heads)
        self.norm_feed_forward = nn.LayerNorm(d_model)
        self.feed_forward = FeedForward(d_model, d_ff, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x: Float[Tensor, "B N D"],
        mask: Bool[Tensor, "#B #A #N N"] | None = None,
        angles: tuple[Tensor, Tensor] | None = None,
    ) -> Float[Tensor, "B N D"]:
        x = x + self.dropout(self.attention(self.norm_attention(x), mask, angles))
        return x + self.dropout(self.feed_forward(self.norm_feed_forward(x)))
