"""Forecaster: fit, predict, backtest, plot, save and load, each a few lines over functions of `Fitted`."""

from __future__ import annotations

import os
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from tsattn import evaluation, fitting, store
from tsattn.config import CovariatesConfig, FitConfig, ReadConfig, check_horizon
from tsattn.covariates import after_end
from tsattn.data.findings import Findings
from tsattn.data.frame import Frame, to_rows
from tsattn.data.read import Names, Rows, future_rows
from tsattn.fitted import Fitted
from tsattn.tables import (
    fit_prepared,
    forecast_table,
    frame_for,
    from_rows,
    output_names,
    prepare,
    window_table,
    with_own_ids,
)
from tsattn.verdict import PRETRAINED, in_words

MANY_ROWS = 1_000_000  # of a frame that is shared with the caller rather than kept as rows, which are read once


class NotFittedError(ValueError, AttributeError):
    """`fit` has not been called yet."""


class Forecaster:
    """Forecast the next values of one or many series, with intervals and a verdict against naive forecasts.

    horizon: steps to forecast; None means one season, or 7. model: "auto" (the encoder), an architecture, which is a key of
    `tsattn.models.MODELS`, or "pretrained": the network that ships with tsattn, which needs no training. context_length: steps
    the model looks back. quantiles: levels between 0 and 1. config: a `FitConfig` with everything else; the other arguments,
    where given, win over it. After `fit`: `fitted_`, `findings_`,
    `verdict_`, `verdict_windows_` (how every rung did on each window of the verdict); after `predict`: `data_findings_`; after
    `backtest`: `backtest_`.

    >>> forecaster = Forecaster(horizon=7).fit("counts.csv")    # doctest: +SKIP
    >>> forecaster.predict()                                    # doctest: +SKIP

    Threads: any number may forecast at once, also while it is fitted again: until that fit is done the one before answers.
    Trainings of one process take turns.
    """

    read_: ReadConfig
    data_: pd.DataFrame | Rows
    config_: FitConfig
    transformer_: Any
    fitted_: Fitted
    findings_: Findings
    verdict_windows_: pd.DataFrame

    def __init__(
        self,
        horizon: int | None = None,
        *,
        model: str = "auto",
        context_length: int | None = None,
        quantiles: list[float] | None = None,
        config: FitConfig | None = None,
        seed: int | None = None,
    ) -> None:
        self.horizon = horizon
        self.model = model
        self.context_length = context_length
        self.quantiles = quantiles
        self.config = config
        self.seed = seed

    def fit(
        self,
        data: Any,
        *,
        read: ReadConfig | dict[str, Any] | None = None,
        covariates: CovariatesConfig | dict[str, Any] | None = None,
        transformer: Any = None,
        reporting: Any = None,
    ) -> Forecaster:
        """Learn from a file, frame, Series, array or list; returns self. `reporting=True` prints findings and progress.

        read: how the table is read (`ReadConfig`, or a dict of its fields). covariates: columns that help, as in
        `{"known": ["price"], "past": ["visitors"], "static": ["region"], "holidays": ["DE"]}` (`CovariatesConfig`); numbers are
        standardised and texts one-hot encoded by the rows given here, or as the scikit-learn `transformer` says: scalers,
        OneHotEncoder, ColumnTransformer, pipelines of these. `reporting` may be a `training.fit.Reporting`.

        Raises DataError when the data cannot be used as they are, TrainingError when training breaks down.
        """
        pretrained = self.model == PRETRAINED
        return self._learn(
            data,
            read,
            network=not pretrained,
            pretrained=pretrained,
            covariates=covariates,
            transformer=transformer,
            reporting=reporting,
        )

    def fit_naive(self, data: Any, *, read: ReadConfig | dict[str, Any] | None = None) -> Forecaster:
        """Like `fit`, without a network: the naive forecast that was best on held-out windows answers, at once."""
        return self._learn(data, read, network=False)

    def _learn(
        self,
        data: Any,
        read: ReadConfig | dict[str, Any] | None,
        *,
        network: bool,
        pretrained: bool = False,
        covariates: CovariatesConfig | dict[str, Any] | None = None,
        transformer: Any = None,
        reporting: Any = None,
    ) -> Forecaster:
        """What an earlier fit left stays as it is until this one has succeeded."""
        reading, config = settings_of(ReadConfig, read, "read"), self._fit_config()
        if covariates is not None:
            config = replace(config, covariates=settings_of(CovariatesConfig, as_lists(covariates), "covariates"))
        if pretrained and (config.covariates != CovariatesConfig() or transformer is not None):
            raise ValueError("the pretrained model reads no covariates: choose another model=, which is trained with them")
        if pretrained and config.context_length is not None:
            raise ValueError("the pretrained model looks back as far as it can: leave context_length out, or choose another")
        kept, reporting = keep(data, reading, config.covariates), make_reporting(reporting)
        frame, prepared = prepare(
            rows_of(kept, reading, config.covariates),
            reading,
            config,
            network=network,
            transformer=transformer,
            reporting=reporting,
        )
        first = np.maximum(prepared.verdict - 1, 0)
        frame = from_rows(frame, first)  # a training of many rows holds the panel alone
        fit = fit_prepared(prepared, config, network=network, pretrained=pretrained, reporting=reporting)
        windows = fit.windows._replace(cut=fit.windows.cut - first[fit.windows.series])
        learned = {
            "read_": reading,
            "data_": kept,
            "config_": config,
            "transformer_": transformer,
            "fitted_": fit.fitted,
            "findings_": Findings([*frame.findings, *fit.findings]),
            "verdict_windows_": window_table(frame, windows),
        }
        vars(self).update(learned)  # in one operation: a forecast in another thread sees the fit before or this one
        return self

    def predict(self, data: Any = None, *, horizon: int | None = None, future: Any = None) -> pd.DataFrame:
        """The steps after the last row of each series of `data` (default: of the data of `fit`), unseen series included.

        `future`: a file or frame with the covariates that are known ahead, a row per series and step to forecast; a DataError
        lists every value that is missing in it.

        Columns: the caller's id and time names, `forecast` (the median), `mean`, a column per quantile (`q0.1` ...), `model`
        (the rung that answered). A horizon longer than the trained one is rolled, with wider intervals and a warning.
        `data_findings_` holds what was found in these data, as `findings_` does for those of `fit`. A `Forecaster.pretrained()`
        that was not fitted takes the data of each call for all there is.
        """
        now, data = self._asked(data, horizon)
        frame, steps = now.frame(data, horizon=horizon)
        self.data_findings_ = now.data_findings_
        return forecast_table(now.fitted_, frame, steps, now.future_rows(future, frame))

    def _asked(self, data: Any, horizon: int | None) -> tuple[Forecaster, Any]:
        """Who answers, and from which data: a copy, as a fit in another thread may end meanwhile.

        An unfitted pretrained one is fitted to the data, which trains nothing; its verdict and findings are kept, the data not.
        """
        if self.model != PRETRAINED or hasattr(self, "data_") or data is None:
            return copy(self), data
        once = Forecaster(**{**self.get_params(), "horizon": horizon or self.horizon}).fit(data)
        kept = ("fitted_", "findings_", "config_", "read_")
        vars(self).update({name: getattr(once, name) for name in kept})  # at once, as in `fit`
        return once, None

    def future_rows(self, future: Any, frame: Frame) -> Rows | None:
        """The covariates known ahead of `frame`, and its times where it lies on no grid; None where none are given."""
        schema = self._fitted().schema
        if future is None:
            return None
        if not schema.columns_of("known") and self.read_.missing != "skip":
            raise ValueError(
                "future= holds covariates that are known ahead, but this model was trained without covariates.known="
            )
        names = Names(schema.id, schema.time, schema.value)
        return after_end(future_rows(future, self.read_, names, self.config_.covariates, texts=schema.texts), frame)

    def frame(self, data: Any = None, *, horizon: int | None = None) -> tuple[Frame, int]:
        """What `predict` and `plot` start from: the data on their full grid, and the number of steps; sets `data_findings_`."""
        fitted = self._fitted()
        if horizon is not None:
            check_horizon(horizon)
        frame = frame_for(*self._rows(data), fitted)
        self.data_findings_ = Findings(frame.findings)
        return frame, int(horizon or fitted.settings.horizon)

    def backtest(
        self, data: Any = None, *, windows: int = 5, step: int | None = None, refit: bool = False, reporting: Any = None
    ) -> pd.DataFrame:
        """Forecast from `windows` earlier cut-offs, `step` rows apart (default: the horizon), fitted on the rows before them.

        The rows are cut first and everything is decided from what is left. `refit=False` fits once, before the first cut-off.
        The table has a row per id, cut-off and step, with `y`, our forecast and every naive one; `backtest_` holds the scores.
        """
        (rows, read), config = self._rows(data), replace(self._fit_config(), covariates=self._covariates())
        if not hasattr(self, "transformer_") and hasattr(self, "fitted_") and self.fitted_.schema.transformed:
            raise ValueError(
                "a back-test fits again, and a folder does not hold the transformer of fit: call fit, then backtest"
            )
        result = evaluation.backtest(
            rows,
            read,
            config,
            windows=windows,
            step=step,
            refit=refit,
            pretrained=self.model == PRETRAINED,
            transformer=getattr(self, "transformer_", None),
            reporting=make_reporting(reporting),
        )
        self.backtest_ = result._replace(table=with_own_ids(result.table, rows.names))
        return self.backtest_.table

    def plot(self, data: Any = None, *, horizon: int | None = None, future: Any = None) -> Any:
        """History, forecast and intervals as a matplotlib Figure, one panel per series, nine at most."""
        now, data = self._asked(data, horizon)
        frame, steps = now.frame(data, horizon=horizon)
        self.data_findings_ = now.data_findings_
        return draw(now.fitted_, frame, forecast_table(now.fitted_, frame, steps, now.future_rows(future, frame)))

    def save(self, folder: str | os.PathLike[str]) -> Forecaster:
        """Write the model folder (see `tsattn.store`); the data are not stored in it."""
        store.save(store.Stored(self._fitted(), self.config_, self.read_, self.findings_), folder)
        return self

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Forecaster:
        """A fitted forecaster from a model folder; raises ModelFolderError. It forecasts as the saved one did, to the bit."""
        stored = store.load(folder)
        settings = stored.fitted.settings
        model = PRETRAINED if settings.pretrained and settings.model is None else "auto"  # that trains nothing again either
        forecaster = cls(settings.horizon, model=model, config=stored.config, seed=stored.config.seed)
        forecaster.fitted_, forecaster.findings_ = stored.fitted, Findings(stored.findings)
        forecaster.config_, forecaster.read_ = stored.config, stored.read
        return forecaster

    @classmethod
    def pretrained(cls, horizon: int | None = None, *, quantiles: list[float] | None = None) -> Forecaster:
        """Forecasts without training: `Forecaster.pretrained().predict([2, 5, 10, 6, 8], horizon=1)`.

        The network ships with tsattn and has learned from simulated series alone. It answers unless a naive forecast was
        clearly better on held-out windows of the data; `verdict_` says so.
        """
        return cls(horizon, model=PRETRAINED, quantiles=quantiles)

    @property
    def verdict_(self) -> Any:
        """Which rung answers and whether to believe it; `str()` of it is a sentence."""
        return self._fitted().verdict

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments, as scikit-learn asks for them."""
        return {name: getattr(self, name) for name in ("horizon", "model", "context_length", "quantiles", "config", "seed")}

    def set_params(self, **params: Any) -> Forecaster:
        """Change constructor arguments; returns self."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"{name!r} is not a parameter of Forecaster: choose from {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        changed = {name: value for name, value in self.get_params().items() if repr(value) != repr(getattr(Forecaster(), name))}
        return f"Forecaster({', '.join(f'{name}={value!r}' for name, value in changed.items())})"

    def _fit_config(self) -> FitConfig:
        base = self.config or FitConfig()
        given = {
            "horizon": self.horizon,
            "context_length": self.context_length,
            "quantiles": None if self.quantiles is None else list(self.quantiles),
            "seed": self.seed,
        }
        model = base.model if self.model in ("auto", PRETRAINED) else fitting.default_config(self.model)
        if self.config is not None and model.name == base.model.name:
            model = base.model
        return replace(base, model=model, **{name: value for name, value in given.items() if value is not None})

    def _covariates(self) -> CovariatesConfig:
        """As declared in the last fit, else in `config`."""
        return self.config_.covariates if hasattr(self, "config_") else self._fit_config().covariates

    def _fitted(self) -> Fitted:
        if not hasattr(self, "fitted_"):
            raise NotFittedError("this Forecaster is not fitted yet: call fit(data) first, or Forecaster.load(folder)")
        return self.fitted_

    def _rows(self, data: Any) -> tuple[Rows, ReadConfig]:
        """The rows of `data`, or of the data of `fit`, and how they are read. Columns that `fit` met are known by name."""
        read = getattr(self, "read_", ReadConfig())
        if data is not None:
            if not hasattr(self, "fitted_"):
                return to_rows(data, read, None, self._covariates()), read
            schema = self.fitted_.schema
            known = Names(schema.id, schema.time, schema.value)
            return to_rows(data, read, known, self._covariates(), texts=schema.texts), read
        if not hasattr(self, "data_"):
            self._fitted()
            raise ValueError("no data are kept here, as in a loaded model: pass them, as in predict(data)")
        return rows_of(self.data_, read, self._covariates()), read


def keep(data: Any, read: ReadConfig, covariates: CovariatesConfig) -> pd.DataFrame | Rows:
    """What a forecaster keeps of its data, which the caller may change: rows of its own.

    Of a large frame, where pandas copies what is written to (from 3.0 on), the frame: its memory is shared.
    """
    if isinstance(data, pd.DataFrame) and len(data) > MANY_ROWS and int(pd.__version__.split(".")[0]) >= 3:
        return data.copy(deep=False)
    rows = to_rows(data, read, None, covariates)
    return rows._replace(df=rows.df.assign(y=rows.df["y"].to_numpy(copy=True)))


def rows_of(kept: pd.DataFrame | Rows, read: ReadConfig, covariates: CovariatesConfig) -> Rows:
    """The rows of what `keep` kept."""
    return to_rows(kept, read, None, covariates) if isinstance(kept, pd.DataFrame) else kept


def draw(fitted: Fitted, frame: Frame, table: pd.DataFrame, *, note: str = "") -> Any:
    """The forecast `table` behind the history it was made from, as a matplotlib Figure; `note` stands first in its title."""
    from tsattn.plot import plot_forecast

    names = output_names(frame)
    history = frame.df.filter(["ds", "y"] if names.id is None else ["unique_id", "ds", "y"])
    history = history.rename(columns={"unique_id": names.id or "unique_id", "ds": names.time, "y": names.value})
    history = with_own_ids(history, frame.names)
    title = f"{note}, " * bool(note) + f"answered by {in_words(fitted.verdict.answer, fitted.settings.architecture)}"
    return plot_forecast(history, table, id_col=names.id, time_col=names.time, target_col=names.value, title=title)


def make_reporting(reporting: Any) -> Any:
    """True as a report to the terminal or notebook; anything else as it is. None and False are silent."""
    if reporting is not True:
        return reporting or None
    from tsattn.training.fit import Reporting, make_console

    return Reporting(None, make_console())


def as_lists(covariates: CovariatesConfig | dict[str, Any]) -> Any:
    """A dict with a single name in place of a list made whole; anything else as it is."""
    if not isinstance(covariates, dict):
        return covariates
    return {role: [names] if isinstance(names, str) else list(names) for role, names in covariates.items()}


def settings_of(schema: Any, given: Any, group: str) -> Any:
    """`given` (a dict of its fields, such an object or None) as an object of dataclass `schema`; unknown names are listed."""
    if given is None or isinstance(given, schema):
        return given or schema()
    known = schema.__dataclass_fields__
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ValueError(f"{group} has no setting {', '.join(map(repr, unknown))}: choose from {', '.join(known)}")
    return schema(**given)


def fit_config_of(config: Any) -> FitConfig:
    """The `FitConfig` part of a command's configuration."""
    given = {name: getattr(config, name) for name in FitConfig.__dataclass_fields__ if hasattr(config, name)}
    return FitConfig(**{name: value for name, value in given.items() if value is not None})
