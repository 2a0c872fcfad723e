"""A stacked self-attention encoder over context tokens and masked future tokens.

Each window is scaled by its own context, cut into patches of P steps (P = 1: a token per step), and the encoder reads these
context tokens together with ceil(H / P) future tokens: a learned mask embedding plus what is known of the future (calendar).
A head maps each future token to its steps. Positions count from the first future step and missing or padded steps are
masked, so the same weights serve any context length.

Sources: Vaswani et al. 2017 (attention), Devlin et al. 2019 (masked tokens), Nie et al. 2023 (patches, channel independence).
Letters: B batch, L context, H horizon, V variates, C features, N tokens, P patch length, D width, R raw outputs per step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tsattn.config import EncoderConfig
from tsattn.nn.attention import causal_mask, local_mask, padding_mask
from tsattn.nn.copying import CopyAttention
from tsattn.nn.heads import Head, make_head
from tsattn.nn.layers import EncoderBlock
from tsattn.nn.positional import Learned, rotary_angles, sinusoidal
from tsattn.nn.scaling import Scale, fit_scale, last_observed, to_scaled


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
    """`config` must be complete: no None left and head decided (see `tsattn.sizing`)."""

    @single_precision()
    def __init__(
        self, config: EncoderConfig, *, num_features: int, context_length: int, horizon: int, levels: list[float]
    ) -> None:
        super().__init__()
        d_model, patch_length = config.d_model, config.patch_length
        if d_model is None or patch_length is None or not (config.num_layers and config.num_heads and config.d_ff):
            raise ValueError("the sizes of the encoder must be decided before it is built: see tsattn.sizing.complete_model")
        self.config = config
        self.patch_length = patch_length
        self.value_embedding = nn.Linear(2 * patch_length, d_model)
        self.feature_embedding = nn.Linear(patch_length * num_features, d_model, bias=False) if num_features else None
        self.future_embedding = nn.Parameter(torch.randn(d_model) * 0.02)
        num_context, num_future = math.ceil(context_length / patch_length), math.ceil(horizon / patch_length)
        self.learned = Learned(num_context, num_future, d_model) if config.positional == "learned" else None
        self.blocks = nn.ModuleList(
            EncoderBlock(d_model, config.num_heads, config.d_ff, config.dropout) for _ in range(config.num_layers)
        )
        self.norm = nn.LayerNorm(d_model)
        self.head: Head = make_head(
            config.head, d_model=d_model, patch_length=patch_length, levels=levels, point_loss=config.point_loss
        )
        self.copy = CopyAttention(d_model, config.num_heads, patch_length)

    def forward(
        self,
        context: Float[Tensor, "B L V"],
        observed: Bool[Tensor, "B L V"],
        features: Float[Tensor, "B LH C"] | None,
        num_future: int,
    ) -> tuple[Float[Tensor, "B H V R"], Scale]:
        """Raw outputs of the head for `num_future` steps, and the scale that leads back to the units of the series."""
        num_variates = context.shape[2]
        scale = fit_scale(self.config.scaling, context, observed)
        z, seen = self.patches(context, observed, scale)
        tokens = self.embed(z, seen, features, num_future)
        num_tokens = tokens.shape[1]
        num_future_tokens = math.ceil(num_future / self.patch_length)
        positions = torch.arange(num_tokens, device=tokens.device) - (num_tokens - num_future_tokens)
        if self.config.positional == "sinusoidal":
            tokens = tokens + sinusoidal(positions, tokens.shape[2])
        elif self.learned is not None:
            tokens = tokens + self.learned(num_tokens - num_future_tokens, num_future_tokens)
        angles = None
        if self.config.positional == "rotary":
            angles = rotary_angles(positions, tokens.shape[2] // (self.config.num_heads or 1))
        mask = self.attention_mask(F.pad(seen.any(-1), (0, num_future_tokens), value=True))
        for block in self.blocks:
            tokens = block(tokens, mask, angles)
        tokens = self.norm(tokens)
        last = rearrange(last_observed(to_scaled(context, scale), observed), "b 1 v -> (b v)")
        with torch.autocast(tokens.device.type, enabled=False):  # what is forecast is not rounded to half precision
            tokens = tokens.float()
            raw = self.head(rearrange(tokens[:, -num_future_tokens:], "(b v) n d -> b v n d", v=num_variates))
            copied = rearrange(self.copy(tokens, z, seen, last, angles), "(b v) n p -> b (n p) v 1", v=num_variates)
            before, location, after = raw.tensor_split((self.head.location, self.head.location + 1), dim=-1)
            raw = torch.cat([before, location + copied, after], dim=-1)
        return raw[:, :num_future], scale

    def patches(
        self, context: Float[Tensor, "B L V"], observed: Bool[Tensor, "B L V"], scale: Scale
    ) -> tuple[Float[Tensor, "BV N P"], Bool[Tensor, "BV N P"]]:
        """Scaled values (0 where missing) and what was observed, cut so that the last value ends the last patch."""
        left = -context.shape[1] % self.patch_length
        z = torch.where(observed, to_scaled(context, scale), 0.0)
        pattern = "b (n p) v -> (b v) n p"
        parts = (F.pad(part, (0, 0, left, 0)) for part in (z, observed))
        z, seen = (rearrange(part, pattern, p=self.patch_length) for part in parts)
        return z, seen

    def embed(
        self,
        z: Float[Tensor, "BV N P"],
        seen: Bool[Tensor, "BV N P"],
        features: Float[Tensor, "B LH C"] | None,
        num_future: int,
    ) -> Float[Tensor, "BV NF D"]:
        """Context and future tokens. Steps before the first observed one count as padding: their calendar is left out."""
        patch, length = self.patch_length, z.shape[1] * self.patch_length
        past = self.value_embedding(torch.cat([z, seen.to(z.dtype)], dim=-1))
        future = self.future_embedding.expand(len(past), math.ceil(num_future / patch), -1)
        tokens = torch.cat([past, future.to(past.dtype)], dim=1)
        if self.feature_embedding is None:
            return tokens
        if features is None:
            raise ValueError("this model was trained with calendar features and needs them")
        left = length + num_future - features.shape[1]
        known = F.pad(features, (0, 0, left, -num_future % patch))
        begun = F.pad(rearrange(seen, "b n p -> b (n p)").cumsum(1) > 0, (0, known.shape[1] - length), value=True)
        known = repeat(known, "b n c -> (b v) n c", v=len(z) // len(features)) * begun[..., None]
        return tokens + self.feature_embedding(rearrange(known, "b (n p) c -> b n (p c)", p=patch))

    def attention_mask(self, valid: Bool[Tensor, "BV N"]) -> Bool[Tensor, "BV 1 #N N"]:
        """Context tokens without an observed value are hidden; `causal` and `local` hide more, among future tokens too."""
        mask = padding_mask(valid)
        if self.config.attention == "causal":
            mask = mask & causal_mask(valid.shape[1], valid.device)
        elif self.config.attention == "local":
            mask = mask & local_mask(valid.shape[1], self.config.attention_window, valid.device)
        return mask
