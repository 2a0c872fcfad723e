"""A recurrent net that reads the tokens of the encoder from left to right: what attention is compared with.

Context tokens, then future tokens, which are a learned mask embedding plus what is known of the future; the state at each
future token goes through the head of the encoder, all steps of the horizon in one pass. There is no attention of any kind, also
none that copies past values.

Sources: Hochreiter & Schmidhuber 1997 (LSTM); DeepAR, Salinas et al. 2020 (a recurrent net with a distribution per step; theirs
feeds drawn values back, this one forecasts every step directly).
Letters: B batch, L context, H horizon, V variates, C features, R raw outputs per step.
"""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tsattn.config import LSTMConfig
from tsattn.models.encoder import single_precision
from tsattn.nn.heads import Head, make_head
from tsattn.nn.positional import PositionCode
from tsattn.nn.scaling import Scale
from tsattn.nn.tokens import TokenEmbedding, to_patches


class LSTM(nn.Module):
    """`config` must be complete: no None left and head decided (see `tsattn.sizing`).

    Nothing is masked: a token without an observed value moves the state, and says by its flags that it holds none.
    """

    exceptions = {"padding": "missing rows move the state"}  # what it does not keep: see `tsattn.testing.check_model`

    @single_precision()
    def __init__(
        self, config: LSTMConfig, *, num_features: int, context_length: int, horizon: int, levels: list[float]
    ) -> None:
        super().__init__()
        d_model, patch_length, num_layers = config.d_model, config.patch_length, config.num_layers
        if not (d_model and patch_length and num_layers):
            raise ValueError("the sizes of the LSTM must be decided before it is built: see tsattn.sizing.complete_model")
        self.scaling, self.patch_length = config.scaling, patch_length
        order = PositionCode("none", d_model=d_model, num_heads=1, num_context=0, num_future=0)  # it reads in order anyway
        self.embedding = TokenEmbedding(d_model, patch_length, num_features=num_features, position=order)
        between = config.dropout if num_layers > 1 else 0.0
        self.lstm = nn.LSTM(d_model, d_model, num_layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(config.dropout)
        self.head: Head = make_head(
            config.head, d_model=d_model, patch_length=patch_length, levels=levels, point_loss=config.point_loss
        )

    def forward(
        self,
        context: Float[Tensor, "B L V"],
        observed: Bool[Tensor, "B L V"],
        features: Float[Tensor, "B LH C"] | None,
        num_future: int,
    ) -> tuple[Float[Tensor, "B H V R"], Scale]:
        """Raw outputs of the head for `num_future` steps, and the scale that leads back to the units of the series."""
        patches = to_patches(context, observed, scaling=self.scaling, patch_length=self.patch_length)
        x, _, _ = self.embedding(patches, features, num_future)
        states = self.dropout(self.lstm(x)[0])[:, patches.z.shape[1] :]
        with torch.autocast(x.device.type, enabled=False):  # what is forecast is not rounded to half precision
            raw = self.head(rearrange(states.float(), "(b v) n d -> b v n d", v=context.shape[2]))
        return raw[:, :num_future], patches.scale
