"""Which rung answers: every rung forecasts the verdict windows from the rows before them, and is judged.

Letters: S series, K cut-offs of each, N windows, H horizon.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tsattn import metrics, verdict
from tsattn.baselines import BASELINES, forecast_from
from tsattn.data.panel import Panel, select
from tsattn.fitted import FALLBACK, Fitted, Prediction, in_sight, model_of, predict, rows_seen, together
from tsattn.history import blocks, look_back, seasonal_scales
from tsattn.sizing import MIN_VERDICT_WINDOWS, Parts
from tsattn.verdict import PRETRAINED, Verdict

MOST_ASKED = 300  # windows on which the pretrained network is judged, chosen at random: it is to answer at once
AT_ONCE = 1024  # windows of the verdict that are scored together


def rungs_of(fitted: Fitted) -> list[str]:
    """The naive forecasts, and the model where there is one."""
    model = model_of(fitted)
    return [*BASELINES, *([model] if model else [])]


class Windows(NamedTuple):
    """The verdict windows and how every rung did on them; sorted by origin, then by series."""

    series: np.ndarray  # [N] place of the series in the panel
    origin: np.ndarray  # [N] number of the cut-off, 0 the earliest
    cut: np.ndarray  # [N] row of the series that is the first to be forecast
    errors: dict[str, np.ndarray]  # {rung: [N]} scaled absolute error, NaN where a window cannot be scored
    inside: dict[str, np.ndarray]  # {rung: [N, H]} 1 where the value lay inside the outermost interval, 0 outside, NaN unknown


def score_windows(draft: Fitted, panel: Panel, parts: Parts) -> Windows:
    """Every rung on the windows of the verdict part. `draft` is fitted on the rows before it; nothing has read them yet."""
    cuts = np.array([parts.cuts(origin) for origin in range(parts.num_origins)], np.int64).reshape(-1, len(panel.ids)).T
    origin, series = np.nonzero(cuts.T)
    number = np.full(cuts.shape, -1)
    number[series, origin] = np.arange(len(series))
    cut = cuts[series, origin]
    errors = {rung: np.full(len(series), np.nan) for rung in rungs_of(draft)}
    inside = {rung: np.full((len(series), draft.settings.horizon), np.nan, np.float32) for rung in errors}
    windows, units = Windows(series, origin, cut, errors, inside), np.full(len(series), np.nan)
    for part in blocks(cuts.max(axis=1, initial=0)) if len(series) else ():
        _score_naive(draft, panel, np.maximum.accumulate(cuts[part], axis=1), number[part], part, windows, units)
    if model_of(draft) is not None:
        chunk = len(series) if together(draft) else AT_ONCE
        chosen = np.ones(len(series), bool)
        if model_of(draft) == PRETRAINED and len(series) > MOST_ASKED:  # at random: every k-th may be the same series each time
            chosen[np.random.default_rng(0).permutation(len(series))[MOST_ASKED:]] = False
        for k in range(parts.num_origins):
            of_origin = np.flatnonzero((origin == k) & chosen)
            for begin in range(0, len(of_origin), chunk):
                _score_model(draft, panel, of_origin[begin : begin + chunk], windows, units)
    return windows


def _score_naive(
    draft: Fitted, panel: Panel, cuts: np.ndarray, number: np.ndarray, part: slice, windows: Windows, units: np.ndarray
) -> None:
    """Every naive rung on the windows of the series `part`, numbered `number` [S, K], -1 where there is none."""
    horizon, schema = draft.settings.horizon, draft.schema
    history = look_back(panel.values[:, 0], panel.indptr[:-1][part], cuts, season_length=schema.season_length, horizon=horizon)
    some = number >= 0
    which = number[some]
    units[which] = np.where(history.count > 0, seasonal_scales(history), np.nan)[some]
    y = _scored(panel, windows, units, which, horizon)
    for rung in BASELINES:
        answer = forecast_from(rung, history, horizon=horizon, levels=draft.settings.levels, integer=schema.integer)
        _keep(windows, rung, which, y, units, Prediction(answer.mean[some], answer.quantiles[some]), draft.settings.levels)


def _score_model(draft: Fitted, panel: Panel, which: np.ndarray, windows: Windows, units: np.ndarray) -> None:
    """The model on the windows `which` of one origin; where it sees no value, what a naive rung said in its place."""
    horizon, cut, model = draft.settings.horizon, windows.cut[which], model_of(draft)
    assert model is not None
    seen = select(panel, windows.series[which], np.maximum(cut - rows_seen(draft), 0), cut)
    y, silent = _scored(panel, windows, units, which, horizon), ~in_sight(draft, seen)
    y[silent] = np.nan
    _keep(windows, model, which, y, units, predict(draft, seen, horizon, model), draft.settings.levels)
    for scores in (windows.errors, windows.inside):
        scores[model][which[silent]] = scores[FALLBACK][which[silent]]


def _scored(panel: Panel, windows: Windows, units: np.ndarray, which: np.ndarray, horizon: int) -> np.ndarray:
    """The values of these windows; where nothing was seen before the cut they are not scored for anybody."""
    y = targets(panel, windows.series[which], windows.cut[which], horizon)
    y[np.isnan(units[which])] = np.nan
    return y


def _keep(
    windows: Windows, rung: str, which: np.ndarray, y: np.ndarray, units: np.ndarray, answer: Prediction, levels: tuple
) -> None:
    """Write down how far off a rung was on the windows `which`."""
    found = metrics.scaled_absolute_errors(y, answer.at(levels, 0.5), scale=units[which])
    windows.errors[rung][which] = found.per_window()
    held = (y >= answer.quantiles[..., 0]) & (y <= answer.quantiles[..., -1])
    windows.inside[rung][which] = np.where(np.isnan(y), np.nan, held)


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
        trusted=bool(draft.settings.pretrained),
    )
    if judged.num_windows < MIN_VERDICT_WINDOWS:
        return judged
    return verdict.with_coverage(judged, windows.inside[judged.answer], round(levels[-1] - levels[0], 6))


def units_of_error(panel: Panel, cuts: np.ndarray, season_length: int) -> np.ndarray:
    """The unit of MASE of the rows before a cut of each series, [S]: see `history.seasonal_scales`."""
    units = np.empty(len(cuts))
    for part in blocks(cuts):
        begin = panel.indptr[:-1][part]
        history = look_back(panel.values[:, 0], begin, cuts[part, None], season_length=season_length, horizon=1)
        units[part] = seasonal_scales(history)[:, 0]
    return units


def targets(panel: Panel, series: np.ndarray, cut: np.ndarray, horizon: int) -> np.ndarray:
    """The `horizon` values from row `cut` of each series on, [N, H] float64; NaN beyond its end."""
    rows = cut[:, None] + np.arange(horizon)
    inside = rows < panel.lengths[series][:, None]
    flat = np.where(inside, panel.indptr[series][:, None] + rows, 0)
    return np.where(inside, panel.values[flat, 0], np.nan).astype(np.float64)
