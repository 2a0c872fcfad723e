"""Attention across series: a token per variate, which holds its whole context.

A linear map embeds the L scaled values of a variate together with L flags of what was observed; blocks of self-attention let
the variates of a window see each other; the head maps each token to all H steps. Variates have no order, so there is no
position code, and permuting them permutes the forecasts. Their number may differ from call to call.

Source: iTransformer, Liu et al. 2024, sections 3.1 and 3.2. They add what is known of time as further tokens of the past; here
a linear map of the features of the future steps, which all variates share, is added to every token.
Letters: B batch, L context, H horizon, V variates, C features, D width, R raw outputs per step.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tsattn.config import InvertedConfig
from tsattn.models.encoder import single_precision
from tsattn.nn.heads import Head, make_head
from tsattn.nn.layers import EncoderBlock
from tsattn.nn.scaling import Scale, fit_scale, to_scaled
from tsattn.nn.tokens import check_sizes


class Inverted(nn.Module):
    """`config` must be complete: no None left and head decided (see `tsattn.sizing`).

    A variate without an observed value is hidden from the others. With attention=prob_sparse, which samples keys by their
    place, the order of the variates has a say as soon as there are more than 5 ceil(ln V) of them.
    """

    exceptions = {  # what it does not keep: see `tsattn.testing.check_model`
        "padding": "a token holds a context of one length",
        "causality": "one map reads the features of all future steps",
    }

    @single_precision()
    def __init__(
        self, config: InvertedConfig, *, num_features: int, context_length: int, horizon: int, levels: list[float]
    ) -> None:
        super().__init__()
        d_model, num_heads, d_ff = config.d_model, config.num_heads, config.d_ff
        if not (d_model and num_heads and d_ff and config.num_layers):
            raise ValueError("the sizes of the model must be decided before it is built: see tsattn.sizing.complete_model")
        self.scaling, self.context_length, self.horizon = config.scaling, context_length, horizon
        self.embedding = nn.Linear(2 * context_length, d_model)
        self.features = nn.Linear(horizon * num_features, d_model, bias=False) if num_features else None
        self.blocks = nn.ModuleList(
            EncoderBlock(d_model, num_heads, d_ff, config.dropout, kind=config.attention) for _ in range(config.num_layers)
        )
        self.norm = nn.LayerNorm(d_model)
        self.head: Head = make_head(
            config.head, d_model=d_model, patch_length=horizon, levels=levels, point_loss=config.point_loss
        )

    def forward(
        self,
        context: Float[Tensor, "B L V"],
        observed: Bool[Tensor, "B L V"],
        features: Float[Tensor, "B LH C"] | None,
        num_future: int,
    ) -> tuple[Float[Tensor, "B H V R"], Scale]:
        """Raw outputs of the head for `num_future` steps, and the scale that leads back to the units of the series.

        Raises a ValueError for a context of another length than the trained one and for more steps than were trained.
        """
        length = context.shape[1]
        check_sizes("an inverted model", length, self.context_length, num_future, self.horizon)
        scale = fit_scale(self.scaling, context, observed)
        z = torch.where(observed, to_scaled(context, scale), 0.0)
        x = self.embedding(rearrange(torch.cat([z, observed.to(z.dtype)], dim=1), "b l v -> b v l"))
        if self.features is not None:
            if features is None:
                raise ValueError("this model was trained with calendar features and needs them")
            known = F.pad(features[:, length : length + num_future], (0, 0, 0, self.horizon - num_future))
            x = x + self.features(rearrange(known, "b h c -> b 1 (h c)"))
        valid = observed.any(1)
        for block in self.blocks:
            x = block(x, valid)
        x = self.norm(x)
        with torch.autocast(x.device.type, enabled=False):  # what is forecast is not rounded to half precision
            raw = self.head(rearrange(x.float(), "b v d -> b v 1 d"))
        return raw[:, :num_future], scale
