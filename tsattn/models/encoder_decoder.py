"""The original Transformer: an encoder over the context, a decoder over the future that attends to what the encoder made of it.

Decoder tokens are a learned embedding plus what is known of the steps they stand for, and see the ones before them alone. With
decoding=parallel that is all, and the whole horizon is one pass (Informer, Zhou et al. 2021, section 3.4; they put the end of
the context in front of it once more, which here the cross-attention shows). With decoding=step each token also holds the patch
before its own: in training the true one, in one pass (teacher forcing), in forecasting the medians just made, token by token.

Source: Vaswani et al. 2017, section 3.1, with the norm first in every block. Unlike `tsattn.models.encoder` it copies nothing.
Letters: B batch, L context, H horizon, V variates, C features, P patch length, N context tokens, F future tokens, D width,
R raw outputs per step.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tsattn.config import EncoderDecoderConfig
from tsattn.models.encoder import single_precision
from tsattn.nn.heads import Head, make_head
from tsattn.nn.layers import DecoderBlock, EncoderBlock
from tsattn.nn.positional import Position, PositionCode
from tsattn.nn.scaling import Scale, to_scaled
from tsattn.nn.tokens import Patches, TokenEmbedding, to_patches


class Encoded(NamedTuple):
    """What the decoder works with, a row per window and variate."""

    memory: Float[Tensor, "BV N D"]  # the context as the encoder leaves it
    valid: Bool[Tensor, "BV N"]  # False for context tokens without an observed value
    future: Float[Tensor, "BV F D"]  # decoder tokens without any value in them
    position: Position  # of memory and future
    patches: Patches


class EncoderDecoder(nn.Module):
    """`config` must be complete: no None left, head and position code decided (see `tsattn.sizing`)."""

    @single_precision()
    def __init__(
        self, config: EncoderDecoderConfig, *, num_features: int, context_length: int, horizon: int, levels: list[float]
    ) -> None:
        super().__init__()
        d_model, patch_length, num_heads, d_ff = config.d_model, config.patch_length, config.num_heads, config.d_ff
        if not (d_model and patch_length and config.num_layers and num_heads and d_ff) or config.positional == "auto":
            raise ValueError("the sizes of the model must be decided before it is built: see tsattn.sizing.complete_model")
        self.config, self.scaling, self.patch_length, self.stride = config, config.scaling, patch_length, config.stride
        self.decoding = config.decoding
        num_context, num_future = config.num_tokens(context_length, horizon)
        position = PositionCode(
            config.positional,
            d_model=d_model,
            num_heads=num_heads,
            num_context=num_context,
            num_future=num_future,
        )
        self.embedding = TokenEmbedding(d_model, patch_length, num_features=num_features, position=position)
        kind = {"kind": config.attention, "window": config.attention_window}
        self.encoder = nn.ModuleList(
            EncoderBlock(d_model, num_heads, d_ff, config.dropout, **kind) for _ in range(config.num_layers)
        )
        self.norm_memory = nn.LayerNorm(d_model)
        num_layers = config.num_decoder_layers or config.num_layers
        self.decoder = nn.ModuleList(DecoderBlock(d_model, num_heads, d_ff, config.dropout) for _ in range(num_layers))
        self.norm = nn.LayerNorm(d_model)
        self.head: Head = make_head(
            config.head, d_model=d_model, patch_length=config.stride, levels=levels, point_loss=config.point_loss
        )

    def forward(
        self,
        context: Float[Tensor, "B L V"],
        observed: Bool[Tensor, "B L V"],
        features: Float[Tensor, "B LH C"] | None,
        num_future: int,
    ) -> tuple[Float[Tensor, "B H V R"], Scale]:
        """Raw outputs of the head for `num_future` steps, and the scale that leads back to the units of the series."""
        encoded = self.encode(context, observed, features, num_future)
        raw = self.decode(encoded, encoded.future) if self.decoding == "parallel" else self.step_by_step(encoded)
        return raw[:, :num_future], encoded.patches.scale

    def forward_training(
        self,
        context: Float[Tensor, "B L V"],
        observed: Bool[Tensor, "B L V"],
        features: Float[Tensor, "B LH C"] | None,
        target: Float[Tensor, "B H V"],
        target_observed: Bool[Tensor, "B H V"],
    ) -> tuple[Float[Tensor, "B H V R"], Scale]:
        """The same for the steps of `target`; with decoding=step each token is shown the target before its own steps.

        What `target` holds where it is not observed has no influence.
        """
        num_future = target.shape[1]
        if self.decoding == "parallel":
            return self(context, observed, features, num_future)
        encoded = self.encode(context, observed, features, num_future)
        scale = encoded.patches.scale
        parts = (torch.where(target_observed, to_scaled(target, scale), 0.0), target_observed)
        z, seen = (rearrange(F.pad(part, (0, 0, 0, -num_future % self.stride)), "b t v -> (b v) t") for part in parts)
        z, seen = torch.cat([encoded.patches.z[:, -1], z], dim=1), torch.cat([encoded.patches.seen[:, -1], seen], dim=1)
        shown = self.held(z, seen)[:, : encoded.future.shape[1]]
        return self.decode(encoded, encoded.future + shown)[:, :num_future], scale

    def encode(
        self,
        context: Float[Tensor, "B L V"],
        observed: Bool[Tensor, "B L V"],
        features: Float[Tensor, "B LH C"] | None,
        num_future: int,
    ) -> Encoded:
        """The context through the encoder, and the tokens of the future."""
        patches = to_patches(context, observed, scaling=self.scaling, patch_length=self.patch_length, stride=self.stride)
        x, valid, position = self.embedding(patches, features, num_future)
        num_context = patches.z.shape[1]
        memory, valid = x[:, :num_context], valid[:, :num_context]
        for block in self.encoder:
            memory = block(memory, valid, position.first(num_context))
        return Encoded(self.norm_memory(memory), valid, x[:, num_context:], position, patches)

    def held(self, z: Float[Tensor, "BV T"], seen: Bool[Tensor, "BV T"]) -> Float[Tensor, "BV F D"]:
        """The embedding of the patches of these steps in scaled units, the same as that of the context."""
        z, seen = (part.unfold(1, self.patch_length, self.stride) for part in (z, seen))
        return self.embedding.values(torch.cat([z, seen.to(z.dtype)], dim=-1))

    def decode(self, encoded: Encoded, x: Float[Tensor, "BV F D"]) -> Float[Tensor, "B FP V R"]:
        """Raw outputs for the steps of the first decoder tokens."""
        position = encoded.position.first(encoded.memory.shape[1] + x.shape[1])
        for block in self.decoder:
            x = block(x, encoded.memory, valid_memory=encoded.valid, position=position)
        x = self.norm(x)
        with torch.autocast(x.device.type, enabled=False):  # what is forecast is not rounded to half precision
            num_variates = encoded.patches.scale.loc.shape[2]
            return self.head(rearrange(x.float(), "(b v) n d -> b v n d", v=num_variates))

    def step_by_step(self, encoded: Encoded) -> Float[Tensor, "B FP V R"]:
        """Raw outputs of all decoder tokens, each of which is shown the centres of the distributions before its own.

        Cost: the decoder runs once per token, over all tokens so far.
        """
        z, seen = encoded.patches.z[:, -1], encoded.patches.seen[:, -1]
        raw = []
        for num in range(1, encoded.future.shape[1] + 1):
            tokens = encoded.future[:, :num] + self.held(z, seen)
            raw.append(self.decode(encoded, tokens)[:, -self.stride :])
            made = rearrange(self.head.centre(raw[-1], encoded.patches.scale), "b p v -> (b v) p")
            z, seen = torch.cat([z, made], dim=1), torch.cat([seen, torch.ones_like(made, dtype=torch.bool)], dim=1)
        return torch.cat(raw, dim=1)
