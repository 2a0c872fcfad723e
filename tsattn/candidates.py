"""The model that is judged: trained from scratch with the head that validates best, and averaged with the pretrained one.

Losses are those on the validation windows, which end training too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tsattn import metrics, sizing, zero_shot
from tsattn.config import EncoderConfig, FitConfig
from tsattn.data.findings import Finding
from tsattn.data.panel import Panel, select
from tsattn.fitted import Fitted, Settings, build_network, in_sight, predict, rows_seen, together
from tsattn.ladder import targets, units_of_error
from tsattn.verdict import NETWORK

MAX_VALIDATION_WINDOWS = 1000
CORRELATION = 0.25  # of the errors of two networks, assumed; from 0 to .5 panels differed by .3 % (`benchmarks/README.md`)


class Plan(NamedTuple):
    """What is decided before any training."""

    settings: Settings  # without a decided head; architecture None where no network can be trained
    parts: sizing.Parts
    first_cut: np.ndarray  # [S] first row that may be a target in training
    reason: str  # why no network is trained, as a sentence; empty where one is
    findings: list[Finding]


def from_scratch(draft: Fitted, panel: Panel, plan: Plan, config: FitConfig, reporting: Any) -> Fitted:
    """The draft with the network that validates best; each head that fits the data is tried where `head=auto`."""
    assert plan.settings.model is not None
    heads = [plan.settings.model.head]
    if heads == ["auto"]:
        heads = ["quantile", "negative_binomial"] if draft.schema.integer else ["quantile"]
    elif heads == ["negative_binomial"] and not draft.schema.integer:
        raise ValueError("model.head=negative_binomial is for counts: these values are not all whole numbers of 0 or more")
    candidates = [_train_head(draft, panel, plan, config, head, reporting) for head in heads]
    losses = {head: loss for head, (_, loss) in zip(heads, candidates, strict=True)}
    best, _ = min(candidates, key=lambda candidate: candidate[1])
    return replace(best, settings=replace(best.settings, details={**best.settings.details, "validation_pinball": losses}))


def with_pretrained(scratch: Fitted, panel: Panel, plan: Plan, config: FitConfig) -> Fitted:
    """The network from scratch, its quantiles averaged with those of the pretrained one where the model is left to choose.

    To choose the one with the smaller loss is worse, as few windows tell little (`benchmarks/means.py`). The pretrained one
    reads no covariates and has a size of its own.
    """
    if not left_open(config, scratch):
        return scratch
    asked = replace(scratch, settings=replace(scratch.settings, pretrained=zero_shot.pretrained().sha256, share=1.0))
    own, other = loss_of(scratch, panel, plan), loss_of(asked, panel, plan)
    share = share_of(other, own)
    mean = replace(asked, settings=replace(asked.settings, share=share)) if share else scratch
    losses = {"from scratch": own, "pretrained": other, "mean": loss_of(mean, panel, plan)}
    return replace(mean, settings=replace(mean.settings, details={**mean.settings.details, "averaged": losses}))


def share_of(loss: float, other: float) -> float:
    """The share of a forecast in the mean with another one, by the losses of both: 0 where its own is four times as large.

    (b^2 - r a b) / (a^2 + b^2 - 2 r a b) for standard errors a, b and their correlation r (Bates & Granger 1969, equation 1).
    """
    if np.isinf(loss) or np.isinf(other) or loss == other:
        return 0.5 if loss == other else float(np.isinf(other))
    both = CORRELATION * loss * other
    return float(np.clip((other**2 - both) / (loss**2 + other**2 - 2 * both), 0.0, 1.0))


def left_open(config: FitConfig, fitted: Fitted) -> bool:
    """Whether nothing was asked of the model that the pretrained one could not keep."""
    return (
        config.pretrained
        and config.model == EncoderConfig()
        and config.context_length is None
        and not fitted.schema.covariates
        and not config.covariates.holidays
    )


def asking_pretrained(settings: Settings) -> Settings:
    """The settings with the pretrained network as the model, and all that it can look back."""
    return replace(settings, pretrained=zero_shot.pretrained().sha256, context_length=zero_shot.LONGEST)


def loss_of(fitted: Fitted, panel: Panel, plan: Plan, rung: str = NETWORK) -> float:
    """Of a model on the validation windows, from the rows before them; infinite where none of them can be scored.

    Windows in which the network sees no value do not count, whatever a naive forecast says in its place.
    """
    series, cut = validation_windows(fitted, panel, plan)
    if not len(series):
        return np.inf
    seen = select(panel, series, np.maximum(cut - rows_seen(fitted), 0), cut)
    quantiles = predict(fitted, seen, fitted.settings.horizon, rung).quantiles
    y = targets(panel, series, cut, fitted.settings.horizon)
    y[~in_sight(fitted, seen)] = np.nan
    return _loss(fitted, panel, plan, series, y, quantiles)


def _train_head(fitted: Fitted, panel: Panel, plan: Plan, config: FitConfig, head: str, reporting: Any) -> tuple[Fitted, float]:
    """A fresh network with this head, trained and calibrated, and its loss on the validation windows."""
    assert plan.settings.model is not None
    settings = replace(plan.settings, model=replace(plan.settings.model, head=head))
    start = replace(fitted, settings=settings, network=build_network(settings, fitted.schema.num_features))
    return learned(start, panel, plan, config, f"{head} head", reporting)


def learned(fitted: Fitted, panel: Panel, plan: Plan, config: FitConfig, name: str, reporting: Any) -> tuple[Fitted, float]:
    """Its network early-stopped and calibrated on the validation windows, in place, and its scaled pinball loss there."""
    from tsattn.training.fit import TrainData, train

    settings, network = fitted.settings, fitted.network
    series, cut = validation_windows(fitted, panel, plan)
    rows, windows = _training_rows(fitted, panel, plan.first_cut, plan.parts.validation)
    ends = _ends(panel, plan.parts.verdict)
    trained = train(
        network,
        TrainData(rows, windows, panel.ids, (series, cut), ends, panel.weights),
        config.trainer,
        context_length=settings.context_length,
        horizon=settings.horizon,
        seed=settings.seed,
        name=name,
        reporting=reporting,
        made_with=settings.model,
    )
    details = {
        "parameters": sum(p.numel() for p in network.parameters()),
        "training_windows": windows.total,
        "history": [list(look) for look in trained.history],  # as JSON gives it back
        "seconds": trained.seconds,
        "note": trained.note,
    }
    fitted = replace(fitted, settings=replace(settings, steps=trained.steps, details=details))
    return fitted, _calibrate(fitted, panel, plan, series, cut)


def _training_rows(fitted: Fitted, panel: Panel, first_cut: np.ndarray, end: np.ndarray) -> tuple[Any, Any]:
    """Tensors that end each series at row `end`, and the windows whose targets lie within."""
    from tsattn.data.windows import panel_tensors

    return panel_tensors(panel, end), _windows(fitted, panel, first_cut, end - fitted.settings.horizon)


def _windows(fitted: Fitted, panel: Panel, first: np.ndarray, last: np.ndarray) -> Any:
    """The windows with cuts from `first` to `last` [S]: one per series and cut, or one per date where series go together."""
    from tsattn.data.windows import dates_between, windows_between

    if together(fitted):
        return dates_between(first, last, panel.lengths.max(initial=0) - panel.lengths)
    return windows_between(first, last)


def _ends(panel: Panel, rows: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(panel.indptr[:-1] + rows)


def validation_windows(fitted: Fitted, panel: Panel, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Series and cut of the windows whose targets lie in the validation part; evenly chosen where there are many."""
    windows = _windows(fitted, panel, plan.parts.validation, plan.parts.verdict - plan.settings.horizon)
    most = max(MAX_VALIDATION_WINDOWS // len(panel.ids), 1) if together(fitted) else MAX_VALIDATION_WINDOWS
    chosen = np.unique(np.linspace(0, windows.total - 1, min(windows.total, most)).astype(np.int64))
    return windows.locate(chosen)


def _calibrate(fitted: Fitted, panel: Panel, plan: Plan, series: np.ndarray, cut: np.ndarray) -> float:
    """Fit the intervals to the validation windows, in place, and return their pinball loss in units of the seasonal error.

    Where there are no such windows they stay as trained, and the loss is infinite.
    """
    if not len(series):
        return np.inf
    import torch
    from einops import rearrange

    from tsattn.data.windows import gather, panel_tensors

    settings, network = fitted.settings, fitted.network
    tensors = panel_tensors(panel, plan.parts.verdict)
    batch = gather(
        tensors,
        torch.from_numpy(series),
        torch.from_numpy(cut),
        context_length=settings.context_length,
        horizon=settings.horizon,
    )
    with torch.inference_mode():
        raw, scale = network(batch.context, batch.observed, batch.features, settings.horizon)
        network.head.calibrate(raw, batch.target, batch.target_observed, scale)
        quantiles = rearrange(network.head.quantiles(raw, scale), "b h v q -> (b v) h q").numpy()
    y = rearrange(torch.where(batch.target_observed, batch.target, torch.nan), "b h v -> (b v) h").double().numpy()
    return _loss(fitted, panel, plan, series.ravel(), y, quantiles)


def _loss(fitted: Fitted, panel: Panel, plan: Plan, series: np.ndarray, y: np.ndarray, quantiles: np.ndarray) -> float:
    """Pinball loss of validation windows [N, H] in units of the seasonal error of their series."""
    settings = fitted.settings
    units = units_of_error(panel, plan.parts.validation, fitted.schema.season_length)[series]
    loss = metrics.pinball(y / units[:, None], quantiles / units[:, None, None], levels=settings.levels)
    return loss if np.isfinite(loss) else np.inf  # nothing to compare by: the first head stays


def refitted(fitted: Fitted, panel: Panel, plan: Plan, config: FitConfig, reporting: Any) -> Fitted:
    """The same network trained afresh on all rows for the number of steps found; its intervals stay as calibrated."""
    fresh = replace(fitted, network=build_network(fitted.settings, fitted.schema.num_features))
    return trained_on_all(fresh, fitted.network, panel, plan, config, reporting)


def trained_on_all(start: Fitted, before: Any, panel: Panel, plan: Plan, config: FitConfig, reporting: Any) -> Fitted:
    """The network of `start` trained in place on all rows, with the intervals of the one `before`."""
    from tsattn.training.fit import TrainData, train

    settings, network = start.settings, start.network
    train(
        network,
        TrainData(*_training_rows(start, panel, plan.first_cut, panel.lengths), panel.ids, weights=panel.weights),
        config.trainer,
        context_length=settings.context_length,
        horizon=settings.horizon,
        seed=settings.seed,
        steps=settings.steps,
        name="refit on all rows",
        reporting=reporting,
        made_with=settings.model,
    )
    for name, buffer in before.head.named_buffers():
        network.head.get_buffer(name).copy_(buffer)
    return start
