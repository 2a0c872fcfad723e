"""One linear map from the L values of the context to the H steps of the horizon, shared by all variates.

NLinear and DLinear of Zeng et al. 2023, "Are Transformers Effective for Time Series Forecasting?", section 4: what every model
with attention has to beat. The maps begin as torch.nn.Linear does, which is the published default; the authors' code can start
from 1 / L instead, and does so for pictures of the weights.
Letters: B batch, L context, H horizon, V variates, C features, R raw outputs per step.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tsattn.config import LinearConfig
from tsattn.models.encoder import single_precision
from tsattn.nn.heads import Head, make_head
from tsattn.nn.scaling import Scale, fit_scale, last_observed, to_scaled
from tsattn.nn.tokens import check_sizes

KERNEL = 25  # steps of the moving average that DLinear calls the trend


class Linear(nn.Module):
    """Location of the forecast: a linear map of the scaled context; spread: free numbers of each step, alike for all windows.

    nlinear: W (z - z_last) + b + z_last, a missing value counting as the last observed one. dlinear: W_t trend + b_t +
    W_r (z - trend) + b_r, the trend being a moving average of 25 steps with repeated ends, a missing value counting as 0.
    Features of the future steps, where there are some, add a linear map of their own to the location, the same for every step,
    which is not in the paper and starts at 0.
    """

    exceptions = {"padding": "it reads contexts of one length"}  # what it does not keep: see `tsattn.testing.check_model`

    @single_precision()
    def __init__(
        self, config: LinearConfig, *, num_features: int, context_length: int, horizon: int, levels: list[float]
    ) -> None:
        super().__init__()
        self.config = config
        self.context_length, self.horizon = context_length, horizon
        self.values = nn.Linear(context_length, horizon)
        self.trend = nn.Linear(context_length, horizon) if config.kind == "dlinear" else None
        self.features = nn.Linear(num_features, 1, bias=False) if num_features else None
        if self.features is not None:
            nn.init.zeros_(self.features.weight)
        self.head: Head = make_head(
            config.head, d_model=None, patch_length=horizon, levels=levels, point_loss=config.point_loss
        )
        num_others = self.head.num_raw - 1
        self.others = nn.Parameter(torch.zeros(horizon * num_others)) if num_others else None  # flat: a bias, never decayed

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
        check_sizes("a linear model", length, self.context_length, num_future, self.horizon)
        scale = fit_scale(self.config.scaling, context, observed)
        with torch.autocast(context.device.type, enabled=False):  # what is forecast is not rounded to half precision
            location = self.location(to_scaled(context, scale), observed)[:, :num_future]
            if self.features is not None:
                if features is None:
                    raise ValueError("this model was trained with features and needs them")
                location = location + self.features(features[:, length : length + num_future])
        return self.raw(location), scale

    def location(self, z: Float[Tensor, "B L V"], observed: Bool[Tensor, "B L V"]) -> Float[Tensor, "B H V"]:
        """The map of the scaled context, without features."""
        if self.trend is None:
            last = last_observed(z, observed)
            changes = torch.where(observed, z - last, 0.0)
            return rearrange(self.values(rearrange(changes, "b l v -> b v l")), "b v h -> b h v") + last
        z = rearrange(torch.where(observed, z, 0.0), "b l v -> b v l")
        trend = moving_average(z)
        return rearrange(self.trend(trend) + self.values(z - trend), "b v h -> b h v")

    def raw(self, location: Float[Tensor, "B H V"]) -> Float[Tensor, "B H V R"]:
        """The location among the free numbers of each step."""
        location = location[..., None]
        if self.others is None:
            return location
        others = rearrange(self.others, "(h r) -> h 1 r", h=self.horizon)[: location.shape[1]]
        others = others.expand(*location.shape[:3], -1)
        return torch.cat([others[..., : self.head.location], location, others[..., self.head.location :]], dim=-1)


def moving_average(z: Float[Tensor, "B V L"]) -> Float[Tensor, "B V L"]:
    """Mean of the 25 steps around each one, the first and the last value being repeated beyond the ends."""
    return F.avg_pool1d(F.pad(z, (KERNEL // 2, KERNEL // 2), mode="replicate"), KERNEL, stride=1)
