"""Sizes that follow from the data, each with its reason. Pure arithmetic on row counts: nothing here sees a value.

Parts of a series in time order: train | validation | verdict | future. Validation windows decide when to stop, which head and
how wide the intervals are; verdict windows are read once, by the verdict.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tsattn.config import SPARSITY, EncoderConfig, EncoderDecoderConfig, ModelConfig, check_position
from tsattn.data.findings import Finding

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
    """A token per step while there are few, else whole fractions of the season.

    Tokens of one step find a dependence on any lag (tests/test_verdict_simulation.py: half the error that patches leave), but
    their cost grows with the square of the window.
    """
    if context_length + horizon <= 64:
        return 1, "a token per step, as the window is short"
    for divisor in (season_length, season_length // 2, season_length // 4):
        if 2 <= divisor <= 16 and season_length % divisor == 0:
            return divisor, f"{divisor} steps per token, a whole part of the season of {season_length}"
    return 8, "8 steps per token, as the window is long"


def complete_model(
    model: ModelConfig, *, num_rows: int, context_length: int, horizon: int, season_length: int
) -> tuple[ModelConfig, str]:
    """The model with every size it has filled in, and the reason in words. Given sizes are kept."""
    if num_rows < 500:
        d_model, num_layers = 16, 1
    elif num_rows < 5_000:
        d_model, num_layers = 32, 2
    elif num_rows < 100_000:
        d_model, num_layers = 64, 2
    else:
        d_model, num_layers = 64, 3
    patch_length, patch_reason = default_patch_length(context_length, horizon, season_length)
    given = vars(model)
    if given.get("positional") == "calendar":
        patch_length, patch_reason = 1, "a token per row, as each has a time of its own"
    step = 2 * (given.get("num_heads") or 1)
    d_model = given.get("d_model") or -(-d_model // step) * step
    sizes = {
        "d_model": d_model,
        "num_layers": num_layers,
        "num_heads": _default_heads(d_model),
        "d_ff": 2 * d_model,
        "patch_length": patch_length,
    }
    chosen: dict[str, Any] = {name: size for name, size in sizes.items() if name in given and given[name] is None}
    if "positional" in given:
        chosen["positional"] = check_position(given["attention"], given["positional"])
    sized = replace(model, **chosen)
    final, reasons = vars(sized), []
    if "d_model" in final:
        layers = final.get("num_layers", 1)
        reasons.append(f"d_model={final['d_model']}, {layers} layer{'s' * (layers != 1)} for {num_rows:,} rows")
    if "patch_length" in final:
        size = final["patch_length"]
        reasons.append(patch_reason if "patch_length" in chosen else f"{size} step{'s' * (size != 1)} per token, as given")
    return sized, "; ".join(reasons) or "its size follows from context and horizon"


def idle_attention(model: ModelConfig, context_length: int, horizon: int) -> list[Finding]:
    """A warning where the window is so short that a cheaper kind of attention does the same as `full`."""
    given = vars(model)
    kind = given.get("attention")
    past, future = model.num_tokens(context_length, horizon) if isinstance(model, EncoderConfig) else (0, 0)
    num_tokens = past if isinstance(model, EncoderDecoderConfig) else past + future  # that attend to one another in this way
    if kind == "local" and given["attention_window"] >= num_tokens:
        reason = f"a block of {given['attention_window']} tokens holds all {num_tokens}"
    elif kind == "prob_sparse" and num_tokens and SPARSITY * math.ceil(math.log(max(num_tokens, 2))) >= num_tokens:
        reason = f"with {num_tokens} tokens every query attends"
    else:
        return []
    message = f"model.attention={kind} does the same as full here: {reason}"
    return [Finding("attention", message, "model.attention_window= model.patch_length= context_length=", "warning")]


def _default_heads(d_model: int) -> int:
    """About 16 numbers per head: the largest number of heads up to d_model / 16 that leaves each an even width, else 1."""
    fitting = [heads for heads in range(1, d_model // 16 + 1) if d_model % (2 * heads) == 0]
    return max(fitting, default=1)


class Parts(NamedTuple):
    """Where each part of a series begins, in rows of the series, [S] each; the verdict part ends with the series.

    Verdict origins are dates that all series share: origin k of series s has its cut at row `first_origin[s] + k x stride`.
    """

    validation: np.ndarray
    verdict: np.ndarray
    end: np.ndarray
    first_origin: np.ndarray  # negative where a series begins after that date
    num_origins: int
    stride: int  # rows between two origins

    def cuts(self, origin: int) -> np.ndarray:
        """Cut row of each series at an origin, [S]; 0 where it has no row before or none after it, so no window."""
        cut = self.first_origin + origin * self.stride
        return np.where((cut > 0) & (cut < self.end), cut, 0)

    @property
    def num_verdict(self) -> np.ndarray:
        """Verdict windows of each series, [S]."""
        return sum((self.cuts(origin) > 0 for origin in range(self.num_origins)), np.zeros_like(self.end))


def split_parts(lengths: np.ndarray, horizon: int, behind: np.ndarray | None = None) -> Parts:
    """The last fifth of a typical series is for the verdict (3 to 40 whole windows), up to an eighth before it for validation.

    Half of the rows are left for training; a short series gives one window where each part can have a horizon of rows, and a
    table of shorter series none. `behind` [S] is by how many rows a series ends before the latest one: parts are then cut at
    the same dates, so that no series is learned from at a date at which another is judged. Where most series end elsewhere (a
    collection of unrelated ones) each is cut from its own end.
    """
    behind = np.zeros_like(lengths) if behind is None or (behind < horizon).mean() < 0.5 else behind
    usable = lengths[lengths >= 3 * horizon + 2]
    typical = int(np.median(usable)) if len(usable) else 0
    most = max(MIN_VERDICT_WINDOWS, min(MAX_ORIGINS, MAX_HELD_OUT_WINDOWS // max(len(lengths), 1)))
    fits = max((typical // 2 - horizon) // horizon, 1) if typical else 0
    windows = min(int(np.clip(typical // 5 // horizon, MIN_VERDICT_WINDOWS, most)), fits)
    verdict = lengths + behind - windows * horizon
    validation = verdict - (int(np.clip(typical // 8, horizon, windows * horizon)) if windows else 0)
    return Parts(np.clip(validation, 0, lengths), np.clip(verdict, 0, lengths), lengths, verdict, windows, horizon)
