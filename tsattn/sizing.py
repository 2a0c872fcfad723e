"""Sizes that follow from the data, each with its reason. Pure arithmetic on row counts: nothing here sees a value.

Parts of a series in time order: train | validation | verdict | future. Validation windows decide when to stop, which head and
how wide the intervals are; verdict windows are read once, by the verdict.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from tsattn.config import EncoderConfig

MIN_TRAIN_WINDOWS = 30  # fewer than this and no network is trained
MIN_VERDICT_WINDOWS = 3
MAX_ORIGINS = 40  # verdict origins per series; validation takes at most as many
MAX_HELD_OUT_WINDOWS = 4000  # of all series together


def default_horizon(season_length: int) -> tuple[int, str]:
    """One season, or 7 steps where there is none."""
    if season_length > 1:
        return season_length, f"one season of {season_length} steps"
    return 7, "7 steps, as no season is known"


def default_context_length(horizon: int, season_length: int, longest: int) -> tuple[int, str]:
    """max(6 x horizon, 4 x season), no longer than the longest series can fill."""
    wanted = max(6 * horizon, 4 * season_length)
    room = max(longest - horizon, 1)
    if wanted <= room:
        return wanted, f"max(6 x horizon, 4 x season) = {wanted}"
    return room, f"max(6 x horizon, 4 x season) = {wanted} is more than the {room} rows before a window"


def default_patch_length(context_length: int, horizon: int, season_length: int) -> tuple[int, str]:
    """A token per step while there are few, else whole fractions of the season."""
    if context_length + horizon <= 48:
        return 1, "a token per step, as the window is short"
    for divisor in (season_length, season_length // 2, season_length // 4):
        if 2 <= divisor <= 16 and season_length % divisor == 0:
            return divisor, f"{divisor} steps per token, a whole part of the season of {season_length}"
    return 8, "8 steps per token, as the window is long"


def complete_model(
    model: EncoderConfig, *, num_rows: int, context_length: int, horizon: int, season_length: int
) -> tuple[EncoderConfig, str]:
    """The model with every size filled in, and the reason in words. Given sizes are kept."""
    if num_rows < 500:
        d_model, num_layers = 16, 1
    elif num_rows < 5_000:
        d_model, num_layers = 32, 2
    elif num_rows < 100_000:
        d_model, num_layers = 64, 2
    else:
        d_model, num_layers = 64, 3
    patch_length, patch_reason = default_patch_length(context_length, horizon, season_length)
    d_model = model.d_model or d_model
    sized = replace(
        model,
        d_model=d_model,
        num_layers=model.num_layers or num_layers,
        num_heads=model.num_heads or max(1, d_model // 16),
        d_ff=model.d_ff or 2 * d_model,
        patch_length=model.patch_length or patch_length,
    )
    reason = f"d_model={sized.d_model}, {sized.num_layers} layer(s) for {num_rows:,} rows; "
    return sized, reason + (patch_reason if model.patch_length is None else f"{model.patch_length} steps per token, as given")


class Parts(NamedTuple):
    """Row at which each part of a series begins (within the series), [S] each; the verdict part ends with the series."""

    validation: np.ndarray
    verdict: np.ndarray
    end: np.ndarray
    stride: int  # rows between two verdict origins

    @property
    def num_verdict(self) -> np.ndarray:
        """Verdict origins of each series, [S]."""
        return (self.end - self.verdict) // self.stride


def split_parts(lengths: np.ndarray, horizon: int) -> Parts:
    """The last fifth of a long series is for the verdict (whole windows, at most 40), up to an eighth before it for validation.

    A panel of short series gives one verdict window of each; a single short one gives three if half of its rows remain.
    A series too short for that is used for training alone.
    """
    num_series = max(int((lengths >= 4 * horizon).sum()), 1)
    wanted = max(1, math.ceil(MIN_VERDICT_WINDOWS / num_series))
    most = max(wanted, min(MAX_ORIGINS, MAX_HELD_OUT_WINDOWS // num_series))
    windows = np.clip(lengths // 5 // horizon, wanted, most)
    windows = np.minimum(windows, np.maximum((lengths // 2 - horizon) // horizon, 0))  # half is left for training
    verdict = lengths - windows * horizon
    validation = verdict - np.clip(lengths // 8, horizon, np.maximum(windows, 1) * horizon)
    return Parts(np.where(windows > 0, validation, lengths), verdict, lengths, horizon)
