"""Scaling of each window by statistics of its own observed context, inside the model.

Statistics are taken in float64 (a level of 1e9 with a spread of 10 has no digits left in float32) and hold for the
window alone: neither padding nor other windows of the batch have any influence.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tsattn.config import SCALINGS, check_choice

ROUNDING = 1e-12  # a spread below this share of the level is rounding of float64
ARCSINH_LIMIT = 12.0  # sinh(12) is 81,000 standard deviations: beyond lies noise of an untrained head


class Scale(NamedTuple):
    """z = (x - loc) / scale, followed by arcsinh(z) where `arcsinh` is set."""

    loc: Float[Tensor, "B 1 V"]  # float64, in units of the series
    scale: Float[Tensor, "B 1 V"]  # float64, positive
    arcsinh: bool


def fit_scale(kind: str, x: Float[Tensor, "B L V"], observed: Bool[Tensor, "B L V"]) -> Scale:
    """Location and spread of the observed context.

    standard: mean and standard deviation (RevIN, Kim et al. 2022, without its affine part). robust: median and interquartile
    range / 1.349. last: last observed value (NLinear, Zeng et al. 2023) and standard deviation. arcsinh: standard, then
    arcsinh of the result (Chronos-2). A constant context has no spread: its own level takes its place, or 1 for zeros.
    """
    check_choice("scaling", kind, SCALINGS)
    x = x.double()
    num = observed.sum(1, keepdim=True).clamp(min=1)
    mean = torch.where(observed, x, 0.0).sum(1, keepdim=True) / num
    spread = (torch.where(observed, x - mean, 0.0).square().sum(1, keepdim=True) / num).sqrt()
    loc = mean
    if kind == "robust":
        loc, spread = _median_and_range(x, observed, spread)
    elif kind == "last":
        loc = last_observed(x, observed)
    level = torch.where(observed, x.abs(), 0.0).amax(1, keepdim=True)
    fallback = torch.where(level > 0, level, 1.0)
    return Scale(loc, torch.where(spread > ROUNDING * level, spread, fallback), kind == "arcsinh")


def last_observed(x: Float[Tensor, "B L V"], observed: Bool[Tensor, "B L V"]) -> Float[Tensor, "B 1 V"]:
    """The last observed value of each window, 0 where there is none."""
    position = torch.where(observed, torch.arange(x.shape[1], device=x.device)[:, None], -1).amax(1, keepdim=True)
    return torch.where(position >= 0, x.gather(1, position.clamp(min=0)), 0.0)


def _median_and_range(
    x: Float[Tensor, "B L V"], observed: Bool[Tensor, "B L V"], spread: Float[Tensor, "B 1 V"]
) -> tuple[Float[Tensor, "B 1 V"], Float[Tensor, "B 1 V"]]:
    """Median and interquartile range / 1.349 of the observed values; the standard deviation where the range is 0."""
    known = torch.where(observed, x, torch.nan)
    low, median, high = (torch.nanquantile(known, level, dim=1, keepdim=True) for level in (0.25, 0.5, 0.75))
    interquartile = (high - low) / 1.349
    return median.nan_to_num(), torch.where(interquartile > 0, interquartile.nan_to_num(), spread)


def to_scaled(x: Float[Tensor, "B N V"], scale: Scale) -> Float[Tensor, "B N V"]:
    """x in the model's units, float32."""
    z = (x.double() - scale.loc) / scale.scale
    return (torch.asinh(z) if scale.arcsinh else z).float()


def from_scaled(z: Float[Tensor, "B N V *Q"], scale: Scale) -> Float[Tensor, "B N V *Q"]:
    """z in the units of the series, float64: the inverse of `to_scaled`, for one value or several (quantiles) per step."""
    loc, spread = scale.loc, scale.scale
    if z.ndim == 4:
        loc, spread = loc[..., None], spread[..., None]
    z = z.double()
    if scale.arcsinh:
        z = torch.sinh(z.clamp(-ARCSINH_LIMIT, ARCSINH_LIMIT))
    return z * spread + loc
