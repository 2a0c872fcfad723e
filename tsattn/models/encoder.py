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

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tsattn.config import EncoderConfig
from tsattn.nn.attention import causal_mask, local_mask, padding_mask
from tsattn.nn.heads import Head, make_head
from tsattn.nn.layers import EncoderBlock
from tsattn.nn.positional import Learned, rotary_angles, sinusoidal
from tsattn.nn.scaling import Scale, fit_scale, last_observed, to_scaled


class Encoder(nn.Module):
    """`config` must be complete: no None left and head decided (see `tsattn.sizing`)."""

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
        self.gate = nn.Linear(d_model, patch_length)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

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
        tokens, valid = self.embed(context, observed, features, num_future, scale)
        num_tokens = tokens.shape[1]
        num_future_tokens = math.ceil(num_future / self.patch_length)
        positions = torch.arange(num_tokens, device=tokens.device) - (num_tokens - num_future_tokens)
        if self.config.positional == "sinusoidal":
            tokens = tokens + sinusoidal(positions, tokens.shape[2])
        elif self.learned is not None:
            tokens = tokens + self.learned(positions)
        angles = None
        if self.config.positional == "rotary":
            angles = rotary_angles(positions, tokens.shape[2] // (self.config.num_heads or 1))
        mask = self.attention_mask(valid)
        for block in self.blocks:
            tokens = block(tokens, mask, angles)
        future = rearrange(self.norm(tokens[:, -num_future_tokens:]), "(b v) n d -> b v n d", v=num_variates)
        raw = self.from_last_value(self.head(future), future, last_observed(to_scaled(context, scale), observed))
        return raw[:, :num_future], scale

    def from_last_value(
        self, raw: Float[Tensor, "B H V R"], future: Float[Tensor, "B V N D"], last: Float[Tensor, "B 1 V"]
    ) -> Float[Tensor, "B H V R"]:
        """Adds gate x last value to the location of each step, with a gate in (0, 1) read off the future token.

        Without it a random walk, whose best forecast is its last value, must be learned from windows of a few hundred rows; the
        gate starts at 1/2, between the mean of the window (scaled to 0) and its end.
        """
        gate = rearrange(torch.sigmoid(self.gate(future)), "b v n p -> b (n p) v")
        location = F.one_hot(torch.tensor(self.head.location, device=raw.device), raw.shape[-1])
        return raw + (gate * last)[..., None] * location

    def embed(
        self,
        context: Float[Tensor, "B L V"],
        observed: Bool[Tensor, "B L V"],
        features: Float[Tensor, "B LH C"] | None,
        num_future: int,
        scale: Scale,
    ) -> tuple[Float[Tensor, "BV N D"], Bool[Tensor, "BV N"]]:
        """Context and future tokens, and which of them may be seen. The last value always ends the last context patch.

        Steps before the first observed one count as padding: what is known of them (their calendar) is left out.
        """
        patch = self.patch_length
        left, right = -context.shape[1] % patch, -num_future % patch
        z = torch.where(observed, to_scaled(context, scale), 0.0)
        z, seen = F.pad(z, (0, 0, left, 0)), F.pad(observed, (0, 0, left, 0))
        patches = torch.cat([rearrange(part, "b (n p) v -> (b v) n p", p=patch) for part in (z, seen.to(z.dtype))], dim=-1)
        past = self.value_embedding(patches)
        future = self.future_embedding.expand(len(past), (num_future + right) // patch, -1)
        tokens = torch.cat([past, future.to(past.dtype)], dim=1)
        if self.feature_embedding is not None:
            if features is None:
                raise ValueError("this model was trained with calendar features and needs them")
            begun = F.pad(observed.cumsum(1) > 0, (0, 0, 0, num_future), value=True)
            known = F.pad(rearrange(features, "b n c -> b n 1 c") * begun[..., None], (0, 0, 0, 0, left, right))
            tokens = tokens + self.feature_embedding(rearrange(known, "b (n p) v c -> (b v) n (p c)", p=patch))
        valid = patches[..., patch:].amax(-1) > 0
        return tokens, F.pad(valid, (0, future.shape[1]), value=True)

    def attention_mask(self, valid: Bool[Tensor, "BV N"]) -> Bool[Tensor, "BV 1 #N N"]:
        """Context tokens without an observed value are hidden; `causal` and `local` hide more, among future tokens too."""
        mask = padding_mask(valid)
        if self.config.attention == "causal":
            mask = mask & causal_mask(valid.shape[1], valid.device)
        elif self.config.attention == "local":
            mask = mask & local_mask(valid.shape[1], self.config.attention_window, valid.device)
        return mask
