"""From a window to tokens and from tokens to a forecast: what every architecture of patches shares.

A token stands for as many steps as lie between it and the next; it sees P of them, the last ones of which are its own.
Letters: B batch, L context, H horizon, V variates, C features, P patch length, D width, R raw outputs per step; N tokens of the
context, F of the future, NF of both; T steps. Variates are rows of a batch from here on: BV.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from tsattn.nn.copying import CopyAttention
from tsattn.nn.heads import Head
from tsattn.nn.positional import Position, PositionCode
from tsattn.nn.scaling import Scale, fit_scale, last_observed, to_scaled


class Patches(NamedTuple):
    """A context in scaled units, a row per window and variate, cut so that the last value ends the last patch."""

    z: Float[Tensor, "BV N P"]  # 0 where missing
    seen: Bool[Tensor, "BV N P"]  # what was observed
    last: Float[Tensor, " BV"]  # the last observed value
    stride: int  # steps from one patch to the next, P at most
    scale: Scale  # leads back to the units of the series


class Tokens(NamedTuple):
    """What a stack of blocks reads: context tokens, then future tokens."""

    x: Float[Tensor, "BV NF D"]
    valid: Bool[Tensor, "BV NF"]  # False for context tokens without an observed value
    position: Position


def to_patches(
    context: Float[Tensor, "B L V"],
    observed: Bool[Tensor, "B L V"],
    *,
    scaling: str,
    patch_length: int,
    stride: int | None = None,
) -> Patches:
    """The context scaled by its own statistics and cut into patches of `patch_length` steps, one every `stride` of them.

    The last one ends with the context; each step is among the last `stride` of a patch. Without a `stride` they lie side by
    side.
    """
    stride = stride or patch_length
    scale = fit_scale(scaling, context, observed)
    scaled = to_scaled(context, scale)
    left = patch_length - stride + -context.shape[1] % stride
    parts = (F.pad(part, (0, 0, left, 0)) for part in (torch.where(observed, scaled, 0.0), observed))
    z, seen = (part.transpose(1, 2).flatten(0, 1).unfold(1, patch_length, stride) for part in parts)
    return Patches(z, seen, last_observed(scaled, observed).flatten(), stride, scale)


def timeline(patches: Shaped[Tensor, "BV N P"], stride: int) -> Shaped[Tensor, "BV T"]:
    """What patches were cut from: the steps of the first, then the last `stride` of every other."""
    first = patches.shape[2] - stride
    return torch.cat([patches[:, 0, :first], rearrange(patches[:, :, first:], "b n s -> b (n s)")], dim=1)


def by_token(
    features: Float[Tensor, "B LH C"], seen: Bool[Tensor, "BV N P"], num_future: int, stride: int
) -> Float[Tensor, "BV NF P C"]:
    """Features of each step of each token, for every variate; 0 for steps before the context and after the horizon.

    Future tokens are cut as those of the context are, each ending `stride` steps after the one before.
    """
    num_context, patch = seen.shape[1:]
    left = (num_context - 1) * stride + patch + num_future - features.shape[1]
    known = F.pad(features, (0, 0, left, -num_future % stride)).unfold(1, patch, stride)
    return repeat(known, "b n c p -> (b v) n p c", v=len(seen) // len(features))


def elapsed_time(
    time: Float[Tensor, "B LH"], seen: Bool[Tensor, "BV N P"], num_future: int, stride: int
) -> Float[Tensor, "BV NF"]:
    """Mean time of the steps of each token that are observed or of the future, since the first future step.

    A token without such a step gets 0; it is hidden from attention.
    """
    since = by_token((time - time[:, -num_future, None])[..., None], seen, num_future, stride)[..., 0]
    future = torch.arange(num_future + -num_future % stride, device=seen.device) < num_future
    steps = torch.cat([timeline(seen, stride), repeat(future, "f -> b f", b=len(seen))], dim=1)
    counted = steps.unfold(1, seen.shape[2], stride)
    return torch.where(counted, since, 0.0).sum(-1) / counted.sum(-1).clamp(min=1)


def check_sizes(model: str, length: int, context_length: int, num_future: int, horizon: int) -> None:
    """Raise a `ValueError` where a model of fixed sizes is asked for others than it was built for."""
    if length != context_length:
        raise ValueError(f"{model} reads the {context_length} steps it was built for, not {length}")
    if num_future > horizon:
        raise ValueError(f"{model} gives at most the {horizon} steps it was built for, not {num_future}")


class TokenEmbedding(nn.Module):
    """Tokens of width D: a map of the values of a patch and of which were observed, or one learned vector for every future
    token (Devlin et al. 2019), plus a map of the features of its steps, plus the position code.

    With positional=calendar the first feature is the time of each step, counted in steps from anywhere, and only the others
    are mapped: series with irregular or absent rows.
    """

    def __init__(self, d_model: int, patch_length: int, *, num_features: int, position: PositionCode) -> None:
        super().__init__()
        self.calendar = position.kind == "calendar"
        if self.calendar and num_features < 1:
            raise ValueError("model.positional=calendar needs a first feature that holds the time of each step, in steps")
        num_mapped = num_features - self.calendar
        self.num_features = num_features
        self.values = nn.Linear(2 * patch_length, d_model)
        self.features = nn.Linear(patch_length * num_mapped, d_model, bias=False) if num_mapped else None
        self.future = nn.Parameter(torch.randn(d_model) * 0.02)
        self.position = position

    def forward(self, patches: Patches, features: Float[Tensor, "B LH C"] | None, num_future: int) -> Tokens:
        """Context and future tokens. Steps before the first observed one count as padding: their features are left out."""
        z, seen = patches.z, patches.seen
        if self.num_features and features is None:
            raise ValueError("this model was trained with calendar features and needs them")
        stride = patches.stride
        num_future_tokens = math.ceil(num_future / stride)
        past = self.values(torch.cat([z, seen.to(z.dtype)], dim=-1))
        x = torch.cat([past, self.future.expand(len(past), num_future_tokens, -1).to(past.dtype)], dim=1)
        elapsed = None
        if self.calendar and features is not None:
            elapsed = elapsed_time(features[..., 0], seen, num_future, stride).to(z.dtype)  # a difference of float64 times
            features = features[..., 1:].to(z.dtype)
        if self.features is not None and features is not None:
            begun = F.pad(timeline(seen, stride).cumsum(1) > 0, (0, num_future_tokens * stride), value=True)
            begun = begun.unfold(1, z.shape[2], stride)[..., None]
            x = x + self.features(rearrange(by_token(features, seen, num_future, stride) * begun, "b n p c -> b n (p c)"))
        x, position = self.position(x, num_future_tokens, elapsed)
        return Tokens(x, F.pad(seen.any(-1), (0, num_future_tokens), value=True), position)


def read_future(
    past: Float[Tensor, "BV N D"],
    future: Float[Tensor, "BV F D"],
    patches: Patches,
    position: Position,
    *,
    head: Head,
    copy: CopyAttention,
) -> Float[Tensor, "B H V R"]:
    """Raw outputs of the head for each future step, to whose location the copies of past values are added."""
    num_variates = patches.scale.loc.shape[2]
    with torch.autocast(future.device.type, enabled=False):  # what is forecast is not rounded to half precision
        past, future = past.float(), future.float()
        raw = head(future.unflatten(0, (-1, num_variates)))
        own = slice(patches.z.shape[2] - patches.stride, None)  # the steps that no patch before holds
        copied, wider = (
            part if part is None else part.flatten(1).unflatten(0, (-1, num_variates)).transpose(1, 2)[..., None]
            for part in copy(past, future, patches.z[..., own], patches.seen[..., own], patches.last, position.angles)
        )
        before, location, after = raw.tensor_split((head.location, head.location + 1), dim=-1)
        if wider is not None:
            before, after = before + wider, after + wider
        return torch.cat([before, location + copied, after], dim=-1)
