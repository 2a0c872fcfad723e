"""Back-tests: cut the raw rows first, then call the same `fit`, so that nothing after a cut-off can be seen.

Letters: N windows (series, cut-off), H horizon, Q quantile levels.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsattn import fitting, metrics, store, verdict
from tsattn.baselines import BASELINES
from tsattn.config import FitConfig, ReadConfig
from tsattn.data import calendar
from tsattn.data.covariates import unfitted
from tsattn.data.findings import DataError
from tsattn.data.frame import Frame, filled_onward, to_frame
from tsattn.data.read import Rows
from tsattn.fitted import Fitted, Prediction, predict, rungs_that_answer
from tsattn.ladder import rungs_of
from tsattn.sizing import MIN_VERDICT_WINDOWS, default_horizon
from tsattn.tables import (
    backtest_columns,
    check_names,
    fit_rows,
    id_name,
    output_names,
    panel_and_steps,
    prediction_columns,
)

ANSWER = "forecast"  # the name under which the rung that answers is scored


class Backtest(NamedTuple):
    """A finished back-test."""

    table: pd.DataFrame  # id, time, cutoff, y, forecast, mean, quantiles, model, and the median of every rung
    scores: pd.DataFrame  # a row per rung, all windows pooled
    text: str  # what was scored and how sure the difference is
    errors: tuple[
        dict[str, np.ndarray], np.ndarray, np.ndarray
    ]  # scaled error per window and rung, series, origin: `scaled_errors`
    folds: list[dict[str, Any]]  # per fit: cut-off, SHA-256 of the weights, findings, settings, verdict


@dataclass
class Window:
    """Forecasts and truth of all series at one cut-off, by every rung."""

    ids: tuple[str, ...]
    origin: int
    y: np.ndarray  # [S, H]
    scale: np.ndarray  # [S] mean in-sample error of the seasonal naive forecast before the cut-off
    scale_squared: np.ndarray  # [S] the same of its square
    answers: dict[str, Prediction] = field(default_factory=dict)


def backtest(
    rows: Rows,
    read: ReadConfig,
    config: FitConfig,
    *,
    windows: int = 5,
    step: int | None = None,
    refit: bool = False,
    pretrained: bool = False,
    transformer: Any = None,
    reporting: Any = None,
) -> Backtest:
    """Forecast from `windows` cut-offs per series, the last one `horizon` rows before its end, earlier ones `step` rows before.

    `refit=True` fits at every cut-off, otherwise once at the earliest; `pretrained` asks the pretrained network, trains none.
    Cut-offs are counted from the end of each series; where series end at different dates, a fit therefore holds rows of one
    that lie after the cut-off of another (never of its own). A `transformer` that comes fitted has seen later rows: a fresh
    copy of it is fitted. Raises DataError when no series is long enough.
    """
    check_names(rows.names, backtest_columns(config.quantiles))
    full = to_frame(rows, read)
    horizon = config.horizon or default_horizon(config.season_length or full.season_length)[0]
    step = step or horizon
    if windows < 1:
        raise ValueError(f"windows={windows} must be at least 1")
    if step < 1:
        raise ValueError(f"step={step} must be at least 1")
    config, transformer = replace(config, horizon=horizon), unfitted(transformer)
    cutoffs = cutoff_stamps(full, horizon, windows, step)
    fitted: Fitted | None = None
    parts, scored, folds = [], [], []
    for origin, cutoff in enumerate(cutoffs):
        if cutoff.empty:
            continue
        known = cut(rows, cutoff)
        frame = to_frame(known, read, freq=None if fitted is None or refit else fitted.schema.freq)
        if full.regular and frame.freq != full.freq:
            raise DataError(
                f"before the cut-off {calendar.written(cutoff.max())} the frequency looks like {frame.freq}, in the whole "
                f"table it is {full.freq}: choose fewer windows or a shorter horizon"
            )
        if fitted is None or refit:
            learning = {"network": not pretrained, "pretrained": pretrained, "transformer": transformer}
            frame, fit = fit_rows(known, read, config, **learning, reporting=reporting)
            fitted = fit.fitted
            folds.append(describe_fold(cutoff, frame, fit))
        future = known_after(rows, cutoff, config, regular=full.regular)
        window, table = forecast_window(fitted, up_to(frame, cutoff, read.missing), full, cutoff, origin, future)
        scored.append(window)
        parts.append(table)
    if fitted is None:
        raise DataError(f"no series is longer than horizon={horizon}: there is nothing to test on")
    levels = fitted.settings.levels
    errors = scaled_errors(scored, levels)
    text = summary(scored, errors, block_length=math.ceil(horizon / step))
    return Backtest(pd.concat(parts, ignore_index=True), score_table(scored, levels), text, errors, folds)


def cutoff_stamps(full: Frame, horizon: int, windows: int, step: int) -> list[pd.Series]:
    """The cut-off of each series at each origin, earliest first: a Series of stamps by unique_id, short series left out."""
    ids, last = full.df["unique_id"].to_numpy(), np.cumsum(full.lengths)
    stamps = full.df["ds"]
    result = []
    for back in range(windows - 1, -1, -1):
        distance = horizon + back * step
        fits = full.lengths > distance
        rows = last[fits] - 1 - distance
        result.append(pd.Series(stamps.iloc[rows].array, index=ids[rows]))
    return result


def cut(rows: Rows, cutoff: pd.Series) -> Rows:
    """The rows up to the cut-off of their series; series without one are left out."""
    limit = rows.df["unique_id"].map(cutoff.to_dict())  # pyright: ignore[reportArgumentType]
    return rows._replace(df=rows.df[(rows.df["ds"] <= limit).to_numpy() & limit.notna().to_numpy()].reset_index(drop=True))


def known_after(rows: Rows, cutoff: pd.Series, config: FitConfig, *, regular: bool) -> Rows | None:
    """What is known ahead of the rows after the cut-off of their series, and nothing else of them.

    Where rows lie on no grid that is their times too: a forecast is asked for the times of the rows that follow.
    """
    if not config.covariates.known and regular:
        return None
    limit = rows.df["unique_id"].map(cutoff.to_dict())  # pyright: ignore[reportArgumentType]
    names = ["unique_id", "ds", *(f"x:{name}" for name in config.covariates.known)]
    wanted = (rows.df["ds"] > limit).to_numpy() & (regular | rows.df["y"].notna().to_numpy())
    return rows._replace(df=rows.df.loc[wanted, names])


def up_to(frame: Frame, cutoff: pd.Series, missing: str = "mask") -> Frame:
    """The frame with rows from the end of each series to its cut-off, where rows are absent just before it.

    Their values, and those of blank cells there, are what `read.missing` makes of missing ones, as in the whole table, where
    later rows follow them.
    """
    last = frame.df.groupby("unique_id", sort=False)["ds"].last()
    step = calendar.parse(frame.freq)
    ends, limits = (calendar.ordinals(pd.Index(part), step) for part in (last, cutoff.loc[last.index]))
    absent = (limits - ends) // step.num
    if not absent.any():
        return frame._replace(df=frame.df.assign(y=filled_onward(frame.df, missing)))
    stamps = calendar.grid(pd.Index(last), absent + 1, frame.freq)
    first = np.cumsum(absent + 1) - absent - 1
    rows = pd.DataFrame({"unique_id": np.repeat(last.index.to_numpy(), absent), "ds": np.delete(stamps, first), "y": np.nan})
    joined = pd.concat([frame.df, rows.astype({"unique_id": frame.df["unique_id"].dtype})])
    order = {name: place for place, name in enumerate(last.index)}
    joined = joined.sort_values("unique_id", key=lambda ids: ids.map(order), kind="stable", ignore_index=True)
    joined["y"] = filled_onward(joined, missing)
    return frame._replace(df=joined, lengths=frame.lengths + absent)


def describe_fold(cutoff: pd.Series, frame: Frame, fit: fitting.Fit) -> dict[str, Any]:
    """What one fit saw and chose, as JSON values; the SHA-256 says whether two fits gave the same weights."""
    settings = asdict(fit.fitted.settings)
    settings["details"] = {k: v for k, v in settings["details"].items() if k != "seconds"}
    return {
        "cutoff": calendar.written(cutoff.max()),
        "weights_sha256": store.weights_sha256(fit.fitted),
        "settings": settings,
        "schema": asdict(fit.fitted.schema),
        "verdict": asdict(fit.fitted.verdict),
        "findings": [finding.as_dict() for finding in (*frame.findings, *fit.findings)],
    }


def forecast_window(
    fitted: Fitted, frame: Frame, full: Frame, cutoff: pd.Series, origin: int, future: Rows | None = None
) -> tuple[Window, pd.DataFrame]:
    """Every rung's forecast from the end of `frame` with what is known ahead (`future`), beside the truth of `full`."""
    horizon, levels = fitted.settings.horizon, fitted.settings.levels
    panel, table = panel_and_steps(frame, fitted, horizon, future, strict=False)
    truth = table.merge(full.df, on=["unique_id", "ds"], how="left", validate="one_to_one")["y"].to_numpy(np.float64)
    answers = {rung: predict(fitted, panel, horizon, rung) for rung in rungs_of(fitted)}
    answer = answers[fitted.verdict.answer]
    names = output_names(full)
    table = table.rename(columns={"unique_id": id_name(full.names), "ds": names.time})
    table["cutoff"] = cutoff.loc[list(panel.ids)].repeat(horizon).array
    table["y"] = truth
    for name, values in prediction_columns(fitted, answer).items():
        table[name] = values
    table["model"] = rungs_that_answer(fitted, panel).repeat(horizon)
    for rung, prediction in answers.items():
        table[rung] = prediction.at(levels, 0.5).ravel()
    values = panel.values[:, 0].astype(np.float64)
    nothing_seen = ~np.isfinite(answer.mean).all(axis=1, keepdims=True)  # before the cut-off: not scored for anybody
    window = Window(
        panel.ids,
        origin,
        np.where(nothing_seen, np.nan, truth.reshape(-1, horizon)),
        metrics.seasonal_scale(values, fitted.schema.season_length, indptr=panel.indptr),
        metrics.seasonal_scale_squared(values, fitted.schema.season_length, indptr=panel.indptr),
        {ANSWER: answer, **answers},
    )
    return window, table


def score_table(windows: list[Window], levels: tuple[float, ...]) -> pd.DataFrame:
    """MAE, RMSE, WAPE, MASE, RMSSE, pinball, CRPS and coverage of every rung over all windows; sums added, divided once."""
    y = np.concatenate([w.y for w in windows])
    scale = np.concatenate([w.scale for w in windows])
    squared = np.concatenate([w.scale_squared for w in windows])
    common = set.intersection(*(set(w.answers) for w in windows))
    rows = []
    for rung in [name for name in windows[0].answers if name in common]:
        quantiles = np.concatenate([w.answers[rung].quantiles for w in windows])
        median = quantiles[..., levels.index(0.5)]
        mase, rmsse = metrics.mase(y, median, scale=scale), metrics.rmsse(y, median, scale=squared)
        rows.append(
            {
                "model": rung,
                "MASE": mase.value,
                "WAPE": metrics.wape(y, median),
                "MAE": metrics.mae(y, median),
                "RMSE": metrics.rmse(y, np.concatenate([w.answers[rung].mean for w in windows])),
                "RMSSE": rmsse.value,
                "pinball": metrics.pinball(y, quantiles, levels=levels),
                "CRPS": metrics.crps(y, quantiles, levels=levels),
                f"coverage{round(100 * (levels[-1] - levels[0]))}": metrics.coverage(y, quantiles[..., 0], quantiles[..., -1]),
                "windows": mase.num_scored,
                "without_scale": mase.num_dropped,
            }
        )
    return pd.DataFrame(rows)


def scaled_errors(windows: list[Window], levels: tuple[float, ...]) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Scaled absolute error of each window {rung: [N]}, its series and its origin [N]."""
    common = set.intersection(*(set(w.answers) for w in windows))
    errors = {
        rung: np.concatenate(
            [metrics.scaled_absolute_errors(w.y, w.answers[rung].at(levels, 0.5), scale=w.scale).per_window() for w in windows]
        )
        for rung in windows[0].answers
        if rung in common
    }
    names = np.concatenate([np.asarray(w.ids, dtype=object) for w in windows])
    series = np.unique(names.astype(str), return_inverse=True)[1]
    return errors, series, np.concatenate([np.full(len(w.ids), w.origin) for w in windows])


def summary(windows: list[Window], scaled: tuple[dict[str, np.ndarray], np.ndarray, np.ndarray], *, block_length: int) -> str:
    """How many windows were scored, and the difference from the best naive forecast with its interval."""
    errors, series, origin = scaled
    expected = sum(int(np.isfinite(w.y).any(axis=1).sum()) for w in windows)
    usable = np.isfinite(errors[ANSWER])
    text = f"{int(usable.sum()):,} of {expected:,} windows scored, from {len(windows)} cut-off{'s' * (len(windows) != 1)}"
    if usable.sum() < MIN_VERDICT_WINDOWS:
        return f"{text}: too few to judge."
    best = min(BASELINES, key=lambda rung: errors[rung][usable].mean())
    if np.array_equal(errors[ANSWER][usable], errors[best][usable]):
        return f"{text}: the answer is {verdict.WORDS[best]}, MASE {errors[best][usable].mean():.3f}, the best naive forecast."
    difference = (errors[ANSWER] - errors[best])[usable]
    ours, theirs = errors[ANSWER][usable].mean(), errors[best][usable].mean()
    text += (
        f": MASE {ours:.3f} against {theirs:.3f} of {verdict.WORDS[best]}, the best naive forecast; difference "
        f"{ours - theirs:+.3f}"
    )
    if len(np.unique(origin[usable])) < MIN_VERDICT_WINDOWS:
        return f"{text}, at fewer than {MIN_VERDICT_WINDOWS} cut-offs: too few to be sure."
    low, high = verdict.difference_interval(difference, series[usable], origin[usable], block_length)
    sure = "better" if high < 0 else "worse" if low > 0 else "no clear difference"
    return f"{text}, 95 % interval {low:+.3f} to {high:+.3f}: {sure}."
