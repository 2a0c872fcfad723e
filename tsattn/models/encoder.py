"""A stacked self-attention encoder over context tokens and masked future tokens.

Each window is scaled by its own context, cut into patches of P steps (P = 1: a token per step), and the encoder reads these
context tokens together with ceil(H / P) future tokens: a learned mask embedding plus what is known of the future (calendar).
With a stride of less than P steps the patches overlap, and each future token stands for so many steps.
A head maps each future token to its steps. Nobody reads what the last block would make of context tokens, so it works out
future tokens alone, which saves about a fifth of the time of four blocks; past values are copied by what context tokens are
before it. Positions count from the first future step and missing or padded steps are masked, so the same weights serve any
context length.

Sources: Vaswani et al. 2017 (attention), Devlin et al. 2019 (masked tokens), Nie et al. 2023 (patches, channel independence).
Letters: B batch, L context, H horizon, V variates, C features, N tokens, P patch length, D width, R raw outputs per step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tsattn.config import EncoderConfig
from tsattn.nn.copying import CopyAttention
from tsattn.nn.heads import Head, make_head
from tsattn.nn.layers import EncoderBlock
from tsattn.nn.positional import PositionCode
from tsattn.nn.scaling import Scale
from tsattn.nn.tokens import TokenEmbedding, read_future, to_patches


@contextmanager
def single_precision() -> Iterator[None]:
    """Parameters made inside are float32, whatever default the caller has set."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class Encoder(nn.Module):
    """`config` must be complete: no None left, head and position code decided (see `tsattn.sizing`)."""

    @property
    def exceptions(self) -> dict[str, str]:
        """What it does not keep: see `tsattn.testing.check_model`."""
        return {} if self.config.attention == "causal" else {"causality": "future tokens attend to each other"}

    @single_precision()
    def __init__(
        self, config: EncoderConfig, *, num_features: int, context_length: int, horizon: int, levels: list[float]
    ) -> None:
        super().__init__()
        d_model, patch_length, num_heads, d_ff = config.d_model, config.patch_length, config.num_heads, config.d_ff
        num_context, num_future = config.num_tokens(context_length, horizon)
        if not (d_model and patch_length and config.num_layers and num_heads and d_ff) or config.positional == "auto":
            raise ValueError("the sizes of the encoder must be decided before it is built: see tsattn.sizing.complete_model")
        self.config = config
        position = PositionCode(
            config.positional,
            d_model=d_model,
            num_heads=num_heads,
            num_context=num_context,
            num_future=num_future,
        )
        self.embedding = TokenEmbedding(d_model, patch_length, num_features=num_features, position=position)
        self.blocks = nn.ModuleList(
            EncoderBlock(d_model, num_heads, d_ff, config.dropout, kind=config.attention, window=config.attention_window)
            for _ in range(config.num_layers)
        )
        self.norm = nn.LayerNorm(d_model)
        self.head: Head = make_head(
            config.head, d_model=d_model, patch_length=config.stride, levels=levels, point_loss=config.point_loss
        )
        by_step, spread = config.copying != "patch", config.copying == "spread" and self.head.num_raw > 1
        self.copy = CopyAttention(d_model, num_heads, config.stride, by_step=by_step, spread=spread)

    def forward(
        self,
        context: Float[Tensor, "B L V"],
        observed: Bool[Tensor, "B L V"],
        features: Float[Tensor, "B LH C"] | None,
        num_future: int,
    ) -> tuple[Float[Tensor, "B H V R"], Scale]:
        """Raw outputs of the head for `num_future` steps, and the scale that leads back to the units of the series."""
        config = self.config
        patches = to_patches(
            context, observed, scaling=config.scaling, patch_length=config.patch_length or 1, stride=config.stride
        )
        x, valid, position = self.embedding(patches, features, num_future)
        *blocks, last = self.blocks
        for block in blocks:
            x = block(x, valid, position)
        num_context = patches.z.shape[1]
        future = last(x, valid, position, num_last=x.shape[1] - num_context)
        past, future = self.norm(x[:, :num_context]), self.norm(future)
        raw = read_future(past, future, patches, position, head=self.head, copy=self.copy)
        return raw[:, :num_future], patches.scale
