"""Fitted: what is saved and what forecasts. Frozen; every use of a trained model is a function of it.

Letters: S series, N windows, L context, H horizon, Q quantile levels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tsattn import baselines, zero_shot
from tsattn.config import ModelConfig
from tsattn.data.panel import Panel, right_aligned, section, select
from tsattn.rolling import rolled, windows_at_once
from tsattn.turns import BUILDING
from tsattn.verdict import MODELS, NETWORK, PRETRAINED, Verdict

LEAST_PRETRAINED = 3  # known values from which the pretrained network forecasts
LOOK_BACK = 1024  # rows that it reads beside a trained one
FALLBACK = "last_value"  # answers for a series of which the network sees nothing, as after an outage longer than its context


@dataclass(frozen=True)
class Schema:
    """What a table must look like for this model, and what the training saw."""

    id: str | None  # the caller's own column names
    time: str | None
    value: str | None
    freq: str
    season_length: int
    integer: bool  # every value seen was a whole number >= 0
    features: tuple[str, ...]  # calendar features, in order
    num_series: int
    num_rows: int
    cutoff: str  # last time stamp seen in training
    covariates: dict[str, Any] = field(
        default_factory=dict
    )  # role -> columns, texts, features, transformer: see tsattn.covariates

    @property
    def num_features(self) -> int:
        """Numbers per step beside the values: calendar, then covariates."""
        return len(self.features) + sum(len(role["features"]) for role in self.covariates.values())

    def columns_of(self, role: str) -> list[str]:
        """The covariate columns declared as past, known or static."""
        return list(self.covariates.get(role, {}).get("columns", ()))

    @property
    def texts(self) -> frozenset[str]:
        """The covariates that were text, whatever the cells of another table look like."""
        return frozenset(name for role in self.covariates.values() for name in role["texts"])

    @property
    def transformed(self) -> bool:
        """Whether a transformer of the caller's made numbers of the covariates."""
        return any(role["transformer"] for role in self.covariates.values())


@dataclass(frozen=True)
class Settings:
    """All choices, made by the user or from the data."""

    horizon: int
    context_length: int
    levels: tuple[float, ...]  # quantile levels computed, 0.5 always among them
    quantiles: tuple[float, ...]  # levels the user asked for
    seed: int
    architecture: str | None = None  # key of models.MODELS; None: no network was trained
    model: ModelConfig | None = None
    steps: int = 0  # training steps behind the weights
    pretrained: str = ""  # SHA-256 of the pretrained weights that are asked
    share: float = 0.0  # of the pretrained network in the mean with the trained one
    details: dict[str, Any] = field(default_factory=dict)  # validation losses, seconds, number of parameters ...


@dataclass(frozen=True)
class Fitted:
    """A finished fit. `network` is None where no network was trained."""

    schema: Schema
    settings: Settings
    verdict: Verdict
    network: Any = None  # torch.nn.Module


class Prediction(NamedTuple):
    """Forecasts of one rung."""

    mean: np.ndarray  # [S, H]
    quantiles: np.ndarray  # [S, H, Q] at `Settings.levels`

    def at(self, levels: tuple[float, ...], level: float) -> np.ndarray:
        """The quantile at one of the levels, [S, H]."""
        return self.quantiles[..., levels.index(level)]


def predict(fitted: Fitted, panel: Panel, horizon: int, rung: str | None = None) -> Prediction:
    """The `horizon` steps after the last row of each series, by one rung; None is the rung the verdict chose.

    Series without any value give NaN.
    """
    rung = rung or fitted.verdict.answer
    settings, schema = fitted.settings, fitted.schema
    if rung in MODELS:
        if rung == PRETRAINED or settings.share:
            _check_weights(fitted)
        answer = _predict_network(fitted, panel, horizon) if rung == NETWORK else _predict_pretrained(fitted, panel, horizon)
        if rung == NETWORK and settings.share:
            answer = _mean_with_pretrained(fitted, panel, horizon, answer)
        if rung == NETWORK and schema.integer:
            answer = answer._replace(quantiles=zero_shot.whole_numbers(answer.quantiles, settings.levels))
        silent = ~in_sight(fitted, panel)
        _check_finite(answer, panel, ~silent)
        if silent.any():  # nothing in the context to forecast from
            naive = predict(fitted, select(panel, np.flatnonzero(silent)), horizon, FALLBACK)
            answer.mean[silent], answer.quantiles[silent] = naive
        return answer
    values = panel.values[:, 0].astype(np.float64)
    return Prediction(
        *baselines.forecast(
            rung,
            values,
            panel.indptr,
            horizon=horizon,
            season_length=schema.season_length,
            levels=settings.levels,
            integer=schema.integer,
        )
    )


def model_of(fitted: Fitted) -> str | None:
    """The rung that is a model: the trained network, or the pretrained one; None where the naive forecasts are alone."""
    if fitted.network is not None:
        return NETWORK
    return PRETRAINED if fitted.settings.pretrained else None


def rows_seen(fitted: Fitted) -> int:
    """How many rows before a forecast have a say in it."""
    return max(fitted.settings.context_length, LOOK_BACK if fitted.settings.share else 1)


def _predict_pretrained(fitted: Fitted, panel: Panel, horizon: int) -> Prediction:
    """The network that ships with tsattn."""
    return Prediction(*zero_shot.forecast(panel, horizon, levels=fitted.settings.levels, integer=fitted.schema.integer))


def _check_weights(fitted: Fitted) -> None:
    """Raise a ValueError where the pretrained network no longer is the one that was asked before."""
    if zero_shot.pretrained().sha256 != fitted.settings.pretrained:
        raise ValueError("this folder was made with other pretrained weights than this tsattn has: make it again")


def _mean_with_pretrained(fitted: Fitted, panel: Panel, horizon: int, own: Prediction) -> Prediction:
    """The mean of the trained network and of the pretrained one, asked once, quantile by quantile."""
    settings = fitted.settings
    recent = select(panel, np.arange(len(panel.ids)), np.maximum(panel.lengths - LOOK_BACK, 0))
    other = Prediction(*zero_shot.forecast(recent, horizon, levels=settings.levels, aids=zero_shot.NO_AIDS))
    mean, quantiles = (a + np.where(np.isnan(b), 0.0, settings.share * (b - a)) for a, b in zip(own, other, strict=True))
    return Prediction(np.maximum(mean, 0.0) if fitted.schema.integer else mean, quantiles)


def _check_finite(answer: Prediction, panel: Panel, seen: np.ndarray) -> None:
    """Raise a ValueError where the network gives a number that is none for a series of which it sees values."""
    broken = np.flatnonzero(seen & ~(np.isfinite(answer.mean).all(axis=1) & np.isfinite(answer.quantiles).all(axis=(1, 2))))
    if len(broken):
        raise ValueError(
            f"the model forecasts no finite number for {panel.ids[broken[0]]!r} ({len(broken)} of {len(panel.ids)} series): "
            "train it again, or look for the folder that was saved"
        )


def in_sight(fitted: Fitted, panel: Panel) -> np.ndarray:
    """Whether a series has a value among the last `context_length` rows, which are all that the network sees, bool [S].

    The pretrained one has learned from three values on.
    """
    least = LEAST_PRETRAINED if model_of(fitted) == PRETRAINED else 1
    first = np.maximum(panel.indptr[1:] - fitted.settings.context_length, panel.indptr[:-1])
    missing = np.isnan(panel.values).all(axis=1) if panel.values.shape[1] > 1 else np.isnan(panel.values[:, 0])
    if not missing.any():
        return panel.indptr[1:] - first >= least
    known = np.append(0, np.cumsum(~missing))
    return known[panel.indptr[1:]] - known[first] >= least


def rungs_that_answer(fitted: Fitted, panel: Panel) -> np.ndarray:
    """The rung that answers for each series, [S] of names."""
    answer = np.full(len(panel.ids), fitted.verdict.answer, dtype=object)
    if fitted.verdict.answer in MODELS:
        answer[~in_sight(fitted, panel)] = FALLBACK
    return answer


def _predict_network(fitted: Fitted, panel: Panel, horizon: int) -> Prediction:
    """The network from the last row on; horizons beyond the trained one are rolled. All at once for `together`."""
    from tsattn.data.windows import features_at_end

    if together(fitted):
        check_one_end(panel)
    length, num_series = fitted.settings.context_length, len(panel.ids)
    chunk = num_series if together(fitted) else windows_at_once(length + fitted.settings.horizon)
    parts = []
    for i in range(0, num_series, chunk):
        part = section(panel, i, min(i + chunk, num_series))
        features = features_at_end(part, length, whole_blocks(fitted, horizon))
        parts.append(roll(fitted, right_aligned(part, length), features, horizon))
    return Prediction(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def together(fitted: Fitted) -> bool:
    """Whether the network reads all series at once, as the variates of one window."""
    return fitted.settings.model is not None and fitted.settings.model.together


def check_one_end(panel: Panel) -> None:
    """Raise a ValueError where series that are forecast together end at different times."""
    behind = panel.behind - min(panel.behind, default=0)
    early = np.flatnonzero(behind)
    if len(early):
        raise ValueError(
            f"this model forecasts all series together, so all must end at the same time: {panel.ids[early[0]]!r} ends "
            f"{behind[early[0]]} steps before the latest ({len(early)} of {len(panel.ids)} do); fill or leave out these "
            "series, or use model=encoder"
        )


def whole_blocks(fitted: Fitted, horizon: int) -> int:
    """`horizon` rounded up to a multiple of the trained one: how far the calendar of a panel must reach beyond its end."""
    return -(-horizon // fitted.settings.horizon) * fitted.settings.horizon


def roll(fitted: Fitted, context: np.ndarray, features: np.ndarray | None, horizon: int) -> Prediction:
    """Forecast [S, L, 1] contexts in blocks of the trained horizon (`rolling.rolled`); counts stay at least 0."""
    settings, integer = fitted.settings, fitted.schema.integer
    head = settings.model.head if settings.model is not None else ""
    length, means = context.shape[1], []

    def ask(known: np.ndarray, begin: int) -> np.ndarray:
        near = None if features is None else features[:, begin : begin + length + settings.horizon]
        mean, block = forward(fitted, known, near)
        means.append(np.maximum(mean, 0) if integer else mean)
        return block

    def allowed(quantiles: np.ndarray) -> np.ndarray:
        return np.maximum(quantiles, 0) if integer else quantiles

    quantiles = rolled(ask, context, horizon, settings.levels, longest=length, allowed=allowed)
    mean = np.concatenate(means, axis=1)[:, :horizon]
    if head == "quantile":
        from tsattn.nn.heads import quantile_weights

        mean = (quantiles * quantile_weights(list(settings.levels)).numpy()).sum(-1)  # of the quantiles as they are shown
    nothing_seen = np.isnan(context).all(axis=(1, 2))
    mean[nothing_seen], quantiles[nothing_seen] = np.nan, np.nan
    return Prediction(mean, quantiles)


def forward(fitted: Fitted, context: np.ndarray, features: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """One pass of the network over [S, L, 1] contexts: mean [S, H] and quantiles [S, H, Q] of the trained horizon, float64."""
    import torch
    from einops import rearrange

    joint = together(fitted)
    values = torch.from_numpy(context.transpose(2, 1, 0) if joint else context)
    observed = ~values.isnan()
    features = features[:1] if joint and features is not None else features
    known = None if features is None else torch.from_numpy(np.ascontiguousarray(features))
    network = fitted.network
    device = next(network.parameters()).device
    with torch.inference_mode():
        raw, scale = network(
            values.nan_to_num().to(device),
            observed.to(device),
            None if known is None else known.to(device),
            fitted.settings.horizon,
        )
        mean, quantiles = network.head.answer(raw, scale)
    mean, quantiles = rearrange(mean, "b h v -> (b v) h"), rearrange(quantiles, "b h v q -> (b v) h q")
    return mean.cpu().numpy(), quantiles.cpu().numpy()


def build_network(settings: Settings, num_features: int) -> Any:
    """A network of this shape on the CPU, fresh weights drawn from `settings.seed`; torch's random state is left alone."""
    import torch

    from tsattn.models import MODELS
    from tsattn.nn.drawing import DrawFrom

    assert settings.model is not None
    with BUILDING, DrawFrom(torch.Generator().manual_seed(settings.seed)), torch.device("cpu"):
        network = MODELS[settings.model.name](
            settings.model,
            num_features=num_features,
            context_length=settings.context_length,
            horizon=settings.horizon,
            levels=list(settings.levels),
        )
    return network.eval()
