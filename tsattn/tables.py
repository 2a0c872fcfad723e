"""From rows to tables: fit these rows, and lay forecasts out in the caller's own column names."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsattn import fitting
from tsattn.baselines import BASELINES
from tsattn.config import FitConfig, ReadConfig
from tsattn.covariates import describe, fit_covariates, with_covariates
from tsattn.data import calendar, cycles
from tsattn.data.findings import DataError, Finding
from tsattn.data.frame import Frame, to_frame
from tsattn.data.panel import ELAPSED, Panel, make_panel
from tsattn.data.reach import check_steps_ahead
from tsattn.data.read import Names, Rows
from tsattn.fitted import MODELS, NETWORK, Fitted, Prediction, Schema, predict, rungs_that_answer, whole_blocks
from tsattn.ladder import Windows
from tsattn.sizing import default_horizon, split_parts


class OutputNames(NamedTuple):
    """Column names of the tables that go out."""

    id: str | None  # None: one series that had no id
    time: str
    value: str


class Prepared(NamedTuple):
    """What a fit reads of a frame: its series in the order of their names, so that the order they come in has no say."""

    panel: Panel
    schema: Schema
    order: np.ndarray  # [S] place in the frame of each series of the panel
    verdict: np.ndarray  # [S] row of each series of the frame at which its verdict part begins


def fit_rows(
    rows: Rows,
    read: ReadConfig,
    config: FitConfig,
    *,
    network: bool = True,
    pretrained: bool = False,
    transformer: Any = None,
    reporting: Any = None,
) -> tuple[Frame, fitting.Fit]:
    """Frame and fit of these rows and nothing else; `transformer` is scikit-learn's, for the covariates."""
    frame, prepared = prepare(rows, read, config, network=network, transformer=transformer, reporting=reporting)
    return frame, fit_prepared(prepared, config, network=network, pretrained=pretrained, reporting=reporting)


def prepare(
    rows: Rows,
    read: ReadConfig,
    config: FitConfig,
    *,
    network: bool = True,
    transformer: Any = None,
    reporting: Any = None,
) -> tuple[Frame, Prepared]:
    """The frame of these rows, and what `fit_prepared` reads of it; the frame is not needed any more for that."""
    check_names(rows.names, forecast_columns(config.quantiles))
    frame = to_frame(rows, read)
    if reporting is not None:
        reporting.say(*frame.findings)
    if not frame.df["y"].notna().to_numpy().any():
        raise DataError("there is no value to learn from: every value is missing")
    by_name, order = in_order_of_names(frame)
    panel, schema, verdict, told = _panel_and_schema(by_name, config, transformer, network)
    if reporting is not None:
        reporting.say(*told)
    first = np.empty_like(verdict)
    first[order] = verdict
    return frame._replace(findings=(*frame.findings, *told)), Prepared(panel, schema, order, first)


def fit_prepared(prepared: Prepared, config: FitConfig, **how: Any) -> fitting.Fit:
    """`fitting.fit`; the windows tell the place of their series in the frame."""
    fit = fitting.fit(prepared.panel, prepared.schema, config, **how)
    return fit._replace(windows=fit.windows._replace(series=prepared.order[fit.windows.series]))


def in_order_of_names(frame: Frame) -> tuple[Frame, np.ndarray]:
    """The frame with its series sorted by id, and the place [S] that each of them had before."""
    lengths = frame.lengths
    order = np.argsort(frame.df["unique_id"].to_numpy()[np.cumsum(lengths) - lengths].astype(str), kind="stable")
    if (np.diff(order) > 0).all():
        return frame, order
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    rows = np.argsort(rank.repeat(lengths), kind="stable")
    weights = None if frame.weights is None else frame.weights[order]
    return frame._replace(df=frame.df.iloc[rows].reset_index(drop=True), lengths=lengths[order], weights=weights), order


def _panel_and_schema(
    frame: Frame, config: FitConfig, transformer: Any, network: bool
) -> tuple[Panel, Schema, np.ndarray, tuple[Finding, ...]]:
    """The series as a panel, what a model must know of them, where verdict parts begin [S], and what to say of covariates."""
    season_length = config.season_length or frame.season_length
    horizon = config.horizon or default_horizon(season_length)[0]
    lengths = frame.lengths
    check_steps_ahead(len(lengths), horizon)
    features = cycles.feature_names(frame.freq, int(split_parts(lengths, horizon).validation.max()))  # seen in training
    features += [f"holiday:{country}" for country in config.covariates.holidays]
    if getattr(config.model, "positional", None) == "calendar":
        features = [ELAPSED, *features]
    _check_rows(frame, features, network)
    ahead = stamps_after(frame, horizon)
    panel = make_panel(frame, horizon=horizon, features=features, ahead=calendar.stamps_of(ahead))._replace(
        weights=frame.weights
    )
    verdict = split_parts(panel.lengths, horizon, panel.behind).verdict
    covariates = fit_covariates(frame, config.covariates, transformer, verdict)
    schema = Schema(
        id=frame.names.id,
        time=frame.names.time,
        value=frame.names.value,
        freq=frame.freq,
        season_length=season_length,
        integer=frame.integer,
        features=tuple(features),
        num_series=len(panel.ids),
        num_rows=int(frame.df["y"].notna().to_numpy().sum()),
        cutoff=str(frame.df["ds"].max()),
        covariates=covariates,
    )
    told = tuple(describe(covariates, frame, config.covariates.holidays)) if network else ()
    return with_covariates(panel, frame, covariates, ahead), schema, verdict, told


def frame_for(rows: Rows, read: ReadConfig, fitted: Fitted) -> Frame:
    """The frame of new rows at the frequency the model was trained on, with what there is to say about them."""
    check_names(rows.names, forecast_columns(fitted.settings.quantiles))
    frame = to_frame(rows, read, freq=fitted.schema.freq)
    findings = [finding for finding in frame.findings if finding.topic not in ("season", "integer")]  # training decided these
    if fitted.schema.integer and not frame.integer and frame.df["y"].notna().to_numpy().any():
        message = (
            "the model was trained on counts, but these values are not all whole numbers of 0 or more; it forecasts counts"
        )
        findings.append(Finding("integer", message, "", "warning"))
    return frame._replace(findings=tuple(findings))


def forecast_columns(quantiles: Iterable[float]) -> list[str]:
    """The columns of a forecast beside id and time."""
    return ["forecast", "mean", *(f"q{level:g}" for level in quantiles), "model"]


def backtest_columns(quantiles: Iterable[float]) -> list[str]:
    """The columns of a back-test beside id and time."""
    return ["cutoff", "y", *forecast_columns(quantiles), *BASELINES, *MODELS]


def check_names(names: Names, columns: list[str]) -> None:
    """Raise a DataError when the caller's id or time column is called like one of the `columns` that come out beside it."""
    for setting, name, role in (("read.id", names.id, "names the series"), ("read.time", names.time, "holds the time")):
        if name in columns:
            raise DataError(
                f"the column {name!r} {role}, but the table that comes out has a column {name!r} of its own: rename yours, or "
                f"choose another one with {setting}="
            )


def panel_and_steps(
    frame: Frame, fitted: Fitted, horizon: int, future: Rows | None = None, *, strict: bool = True
) -> tuple[Panel, pd.DataFrame]:
    """The panel of a frame with the calendar and the covariates that the model needs for `horizon` steps, and `stamps_after`.

    `future` holds the covariates that are known ahead, of which those beyond the horizon have no say. With `strict`, and where
    the network answers, a DataError names every value that is not there and every category that the fit has not seen.
    """
    features = list(fitted.schema.features)
    check_steps_ahead(len(frame.lengths), horizon)
    _check_rows(frame, features, fitted.network is not None)
    whole = whole_blocks(fitted, horizon)
    try:
        ahead = stamps_after(frame, whole, future)
    except ValueError as error:
        raise DataError(f"horizon={horizon}: {error}; take fewer steps") from error
    recent = fitted.settings.context_length
    panel = make_panel(frame, horizon=whole, features=features, ahead=calendar.stamps_of(ahead), recent=recent)
    strict = strict and fitted.verdict.answer == NETWORK
    panel = with_covariates(panel, frame, fitted.schema.covariates, ahead, future, horizon=horizon, strict=strict)
    asked = ahead if whole == horizon else ahead.loc[np.arange(len(ahead)) % whole < horizon].reset_index(drop=True)
    return panel, asked


def _check_rows(frame: Frame, features: list[str], network: bool) -> None:
    """Rows at their own times are understood by a network that knows the time of each."""
    if network and not frame.regular and ELAPSED not in features:
        raise DataError("read.missing=skip takes rows at their own times, which needs model=encoder model.positional=calendar")


# ---- tables that go out ------------------------------------------------------------------------------------------------


def output_names(frame: Frame) -> OutputNames:
    """The caller's names; `unique_id` where several series had no id column, `ds` and `y` where there were none.

    Where another column of the caller has that name: `series`, `time` and `value`.
    """
    several = frame.names.id is not None or frame.df["unique_id"].iloc[0] != frame.df["unique_id"].iloc[-1]
    time = frame.names.time or ("time" if frame.names.id == "ds" else "ds")
    value = frame.names.value or ("value" if "y" in (frame.names.id, time) else "y")
    return OutputNames(id_name(frame.names) if several else None, time, value)


def id_name(names: Names) -> str:
    """The caller's id column, `unique_id` where there was none, `series` where that is the name of the times."""
    return names.id or ("series" if names.time == "unique_id" else "unique_id")


def forecast_table(fitted: Fitted, frame: Frame, horizon: int, future: Rows | None = None) -> pd.DataFrame:
    """The long table of forecasts: a row per series and step, in the caller's column names."""
    if fitted.verdict.answer == NETWORK and horizon > fitted.settings.horizon:
        warnings.warn(
            f"horizon={horizon} is longer than the trained {fitted.settings.horizon}: the forecast is rolled, its intervals "
            "widen and its later steps are less certain; train with the longer horizon for better ones",
            stacklevel=3,
        )
    panel, steps = panel_and_steps(frame, fitted, horizon, future)
    names = output_names(frame)
    columns = {} if names.id is None else {names.id: steps["unique_id"]}
    columns |= {names.time: steps["ds"], **prediction_columns(fitted, predict(fitted, panel, horizon))}
    columns["model"] = rungs_that_answer(fitted, panel).repeat(horizon)
    return with_own_ids(pd.DataFrame(columns), frame.names)


def with_own_ids(table: pd.DataFrame, names: Names) -> pd.DataFrame:
    """The table with ids that are numbers again where the caller's frame had numbers; inside all ids are text."""
    return table if names.id is None or names.id_dtype is None else table.astype({names.id: names.id_dtype})


def prediction_columns(fitted: Fitted, prediction: Prediction) -> dict[str, Any]:
    """`forecast`, `mean` and a column per asked quantile, each [S H] in the order of `stamps_after`."""
    levels = fitted.settings.levels
    quantiles = [prediction.at(levels, level).ravel() for level in fitted.settings.quantiles]
    names = forecast_columns(fitted.settings.quantiles)[:-1]  # `model` is no number
    return dict(zip(names, [prediction.at(levels, 0.5).ravel(), prediction.mean.ravel(), *quantiles], strict=True))


def from_rows(frame: Frame, first: np.ndarray) -> Frame:
    """The frame without the rows of each series before `first` [S], ids and times alone."""
    begin = np.cumsum(frame.lengths) - frame.lengths + first
    lengths = frame.lengths - first
    rows = np.repeat(begin - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
    return frame._replace(df=frame.df[["unique_id", "ds"]].iloc[rows].reset_index(drop=True), lengths=lengths)


def window_table(frame: Frame, windows: Windows) -> pd.DataFrame:
    """A row per verdict window: its series, the last time before it, the number of that cut-off, the error of every rung.

    Errors are scaled absolute ones (MASE of this window), missing where it cannot be scored. The id column has the caller's
    name, `unique_id` where there is none or where it is the name of another column.
    """
    rungs = list(windows.errors)
    own = frame.names.id
    name = "unique_id" if own is None or own in ("cutoff", "origin", *rungs) else own
    rows = (np.cumsum(frame.lengths) - frame.lengths)[windows.series] + windows.cut - 1
    columns = {name: frame.df["unique_id"].to_numpy(object)[rows], "cutoff": frame.df["ds"].iloc[rows].array}
    table = pd.DataFrame({**columns, "origin": windows.origin, **windows.errors})
    return table if name != own or frame.names.id_dtype is None else table.astype({name: frame.names.id_dtype})


def stamps_after(frame: Frame, horizon: int, future: Rows | None = None) -> pd.DataFrame:
    """unique_id and ds of the `horizon` steps after each series, series after series.

    Rows on no grid are followed by the times that stand in `future`, then by usual steps.
    """
    rows = calendar.stamps_of(frame.df)
    last = np.cumsum(frame.lengths) - 1
    clock = None
    if frame.regular and getattr(rows, "tz", None) is not None:  # the last stamp may stand elsewhere, where a clock is put back
        clock = calendar.clocks(rows, frame.freq, np.repeat(np.arange(len(last)), frame.lengths))[last]
    stamps = calendar.grid(rows[last], np.full(len(last), horizon + 1), frame.freq, clock)
    after = np.arange(len(stamps)) % (horizon + 1) > 0
    ids = frame.df["unique_id"].to_numpy()[last]
    table = pd.DataFrame({"unique_id": np.repeat(ids, horizon), "ds": stamps[after]}, copy=False)
    return table if frame.regular or future is None else _given_times(future, rows[last], ids, horizon, frame.freq)


def _given_times(future: Rows, last: Any, ids: np.ndarray, horizon: int, freq: str) -> pd.DataFrame:
    """The first `horizon` times of each series in `future` after its last one; where there are fewer, usual steps follow."""
    dtype = future.df["ds"].dtype
    times = {name: pd.Index(part["ds"]).sort_values() for name, part in future.df.groupby("unique_id", sort=False)}
    parts = []
    for name, end in zip(ids, last, strict=True):
        later = times.get(name, pd.Index([], dtype=dtype))
        later = later[later > end][:horizon]
        usual = calendar.future_stamps(later[-1] if len(later) else end, horizon - len(later), freq)
        parts.append(pd.DataFrame({"unique_id": name, "ds": later.append(usual)}))
    return pd.concat(parts, ignore_index=True).astype({"ds": dtype})
