"""Which rung answers: every rung forecasts the verdict windows from the rows before them, and is judged.

Letters: S series, N windows, H horizon.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tsattn import metrics, verdict
from tsattn.baselines import BASELINES
from tsattn.data.panel import Panel, select, take_rows
from tsattn.fitted import Fitted, Schema, predict
from tsattn.sizing import MIN_VERDICT_WINDOWS, Parts
from tsattn.verdict import NETWORK, Verdict


def rungs_of(fitted: Fitted) -> list[str]:
    """The naive forecasts, and the network where there is one."""
    return [*BASELINES, *([NETWORK] if fitted.network is not None else [])]


def seasonal_scales(panel: Panel, schema: Schema) -> np.ndarray:
    """Mean in-sample error of the seasonal naive forecast of each series, [S], the unit of MASE.

    Where it is zero (a season that repeats to the bit) or unknown, the error of the last value takes its place, then the mean
    size of the values, then 1: such a series is judged, not left out.
    """
    values = panel.values[:, 0].astype(np.float64)
    scale = metrics.seasonal_scale(values, schema.season_length, indptr=panel.indptr)
    steps = metrics.seasonal_scale(values, 1, indptr=panel.indptr)
    parts = (~np.isnan(values), np.abs(np.nan_to_num(values)))
    seen, size = (np.diff(np.concatenate([[0], np.cumsum(part)])[panel.indptr]) for part in parts)
    for candidate in (steps, size / np.maximum(seen, 1), 1.0):
        scale = np.where(scale > 0, scale, candidate)
    return scale


class Windows(NamedTuple):
    """The verdict windows and how every rung did on them; sorted by origin, then by series."""

    series: np.ndarray  # [N] place of the series in the panel
    origin: np.ndarray  # [N] number of the cut-off, 0 the earliest
    cut: np.ndarray  # [N] row of the series that is the first to be forecast
    errors: dict[str, np.ndarray]  # {rung: [N]} scaled absolute error, NaN where a window cannot be scored
    inside: dict[str, np.ndarray]  # {rung: [N, H]} whether the value lay inside the outermost interval, NaN where it is unknown


def score_windows(draft: Fitted, panel: Panel, parts: Parts) -> Windows:
    """Every rung on the windows of the verdict part. `draft` is fitted on the rows before it; nothing has read them yet."""
    horizon, levels = draft.settings.horizon, draft.settings.levels
    nothing = np.zeros_like(parts.verdict)
    errors: dict[str, list[np.ndarray]] = {rung: [np.zeros(0)] for rung in rungs_of(draft)}
    inside: dict[str, list[np.ndarray]] = {rung: [np.zeros((0, horizon))] for rung in errors}
    series, origins, first = [nothing[:0]], [nothing[:0]], [nothing[:0]]
    for origin in range(parts.num_origins):
        cuts = parts.cuts(origin)
        members = np.flatnonzero(cuts)
        history = select(take_rows(panel, nothing, cuts), members)
        y = targets(panel, members, cuts[members], horizon)
        y[~seen_anything(history)] = np.nan  # not scored for anybody
        units = seasonal_scales(history, draft.schema)
        for rung in errors:
            answer = predict(draft, history, horizon, rung)
            errors[rung].append(metrics.scaled_absolute_errors(y, answer.at(levels, 0.5), scale=units).per_window())
            held = (y >= answer.quantiles[..., 0]) & (y <= answer.quantiles[..., -1])
            inside[rung].append(np.where(np.isnan(y), np.nan, held))
        series.append(members)
        origins.append(np.full(len(members), origin))
        first.append(cuts[members])
    joined = [{rung: np.concatenate(found) for rung, found in parts.items()} for parts in (errors, inside)]
    return Windows(np.concatenate(series), np.concatenate(origins), np.concatenate(first), *joined)


def verdict_of(draft: Fitted, windows: Windows, reason: str = "") -> Verdict:
    """The verdict on these windows. `reason` says why no network was trained, where none was."""
    levels = draft.settings.levels
    judged = verdict.judge(
        windows.errors,
        windows.series,
        windows.origin,
        num_rows=draft.schema.num_rows,
        reason=reason,
        architecture=draft.settings.architecture,
    )
    if judged.num_windows < MIN_VERDICT_WINDOWS:
        return judged
    return verdict.with_coverage(judged, windows.inside[judged.answer], round(levels[-1] - levels[0], 6))


def targets(panel: Panel, series: np.ndarray, cut: np.ndarray, horizon: int) -> np.ndarray:
    """The `horizon` values from row `cut` of each series on, [N, H] float64; NaN beyond its end."""
    rows = cut[:, None] + np.arange(horizon)
    inside = rows < panel.lengths[series][:, None]
    flat = np.where(inside, panel.indptr[series][:, None] + rows, 0)
    return np.where(inside, panel.values[flat, 0], np.nan).astype(np.float64)


def seen_anything(panel: Panel) -> np.ndarray:
    """Whether a series has any value, bool [S]."""
    before = np.concatenate([[0], np.cumsum(~np.isnan(panel.values[:, 0]))])
    return before[panel.indptr[1:]] > before[panel.indptr[:-1]]
