"""Candidates for the model that answers, each with its loss on the validation windows.

Trained from scratch, with every head that fits the data; the pretrained network as it is; the same, tuned to these data.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tsattn import metrics, sizing
from tsattn.config import DEFAULT_QUANTILES, EncoderConfig, FitConfig, TrainerConfig
from tsattn.data.findings import Finding
from tsattn.data.panel import Panel, select
from tsattn.fitted import Fitted, Schema, Settings, build_network, predict, together
from tsattn.ladder import targets, units_of_error
from tsattn.verdict import PRETRAINED

MAX_VALIDATION_WINDOWS = 1000
TUNING_STEPS = 300
TUNING_RATE = 2e-4


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


def best_of_all(scratch: Fitted, panel: Panel, plan: Plan, config: FitConfig, reporting: Any) -> Fitted:
    """The network from scratch, the pretrained one as it is, or tuned to these data: that with the least validation loss.

    The pretrained one reads no covariates and has a size and levels of its own: it is asked where the model is left to choose.
    """
    if not left_open(config, scratch):
        return scratch
    losses = {"from scratch": min(scratch.settings.details["validation_pinball"].values())}
    asked = replace(scratch, settings=asking_pretrained(replace(plan.settings, architecture=None, model=None)), network=None)
    losses["pretrained"] = _pretrained_loss(asked, panel, plan)
    found = {"from scratch": scratch, "pretrained": asked}
    if set(plan.settings.levels) == set(DEFAULT_QUANTILES):
        tuned, losses["tuned"] = _tuned(scratch, panel, plan, config, reporting)
        found["tuned"] = tuned
    name = min(losses, key=lambda name: losses[name])
    best = found[name]
    details = {**best.settings.details, "candidates": losses}
    details.setdefault("validation_pinball", {"quantile": losses[name]})
    return replace(best, settings=replace(best.settings, details=details))


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
    from tsattn import zero_shot

    return replace(settings, pretrained=zero_shot.pretrained().sha256, context_length=zero_shot.LONGEST)


def _pretrained_loss(asked: Fitted, panel: Panel, plan: Plan) -> float:
    """Of the pretrained network on the validation windows."""
    series, cut = validation_windows(asked, panel, plan)
    seen = select(panel, series, np.maximum(cut - asked.settings.context_length, 0), cut)
    quantiles = predict(asked, seen, asked.settings.horizon, PRETRAINED).quantiles
    return _loss(asked, panel, plan, series, targets(panel, series, cut, asked.settings.horizon), quantiles)


def tuning(trainer: TrainerConfig) -> TrainerConfig:
    """Short and gentle: what was learned from simulated series is kept."""
    steps, rate = min(trainer.max_steps, TUNING_STEPS), min(trainer.learning_rate, TUNING_RATE)
    return replace(trainer, max_steps=steps, learning_rate=rate, validate_every=min(trainer.validate_every, 25))


def _tuned(scratch: Fitted, panel: Panel, plan: Plan, config: FitConfig, reporting: Any) -> tuple[Fitted, float]:
    """The pretrained network with all its weights trained on the windows of these data, without the calendar."""
    from tsattn import zero_shot

    shipped = zero_shot.pretrained()
    model = EncoderConfig(**{**vars(shipped.network.config), "name": "encoder"})
    longest = max(plan.settings.context_length, 8 * shipped.network.config.stride)
    settings = replace(plan.settings, architecture=model.name, model=model, pretrained=shipped.sha256)
    settings = replace(settings, context_length=min(longest, zero_shot.LONGEST))
    schema = replace(scratch.schema, features=())
    start = Fitted(schema, settings, scratch.verdict, starting_network(settings, schema))
    return _learned(start, panel, plan, tuning(config.trainer), "tuned", reporting)


def _train_head(fitted: Fitted, panel: Panel, plan: Plan, config: FitConfig, head: str, reporting: Any) -> tuple[Fitted, float]:
    """A fresh network with this head, trained and calibrated, and its loss on the validation windows."""
    assert plan.settings.model is not None
    settings = replace(plan.settings, model=replace(plan.settings.model, head=head))
    start = replace(fitted, settings=settings, network=starting_network(settings, fitted.schema))
    return _learned(start, panel, plan, config.trainer, f"{head} head", reporting)


def starting_network(settings: Settings, schema: Schema) -> Any:
    """The network that training begins with: fresh weights, or the pretrained ones where `settings.pretrained` names them."""
    network = build_network(settings, schema.num_features)
    if settings.pretrained:
        from tsattn import zero_shot

        network.load_state_dict(zero_shot.pretrained().network.state_dict())
    return network


def _learned(
    fitted: Fitted, panel: Panel, plan: Plan, trainer: TrainerConfig, name: str, reporting: Any
) -> tuple[Fitted, float]:
    """Its network early-stopped and calibrated on the validation windows, in place, and its scaled pinball loss there."""
    from tsattn.training.fit import TrainData, train

    settings, network = fitted.settings, fitted.network
    series, cut = validation_windows(fitted, panel, plan)
    rows, windows = _training_rows(fitted, panel, plan.first_cut, plan.parts.validation)
    ends = _ends(panel, plan.parts.verdict)
    trained = train(
        network,
        TrainData(rows, windows, panel.ids, (series, cut), ends, panel.weights),
        trainer,
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
    """Fit the intervals to the validation windows, in place, and return their pinball loss in units of the seasonal error."""
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
    from tsattn.training.fit import TrainData, train

    settings = fitted.settings
    network = starting_network(settings, fitted.schema)
    train(
        network,
        TrainData(*_training_rows(fitted, panel, plan.first_cut, panel.lengths), panel.ids, weights=panel.weights),
        tuning(config.trainer) if settings.pretrained else config.trainer,
        context_length=settings.context_length,
        horizon=settings.horizon,
        seed=settings.seed,
        steps=settings.steps,
        name="refit on all rows",
        reporting=reporting,
        made_with=settings.model,
    )
    for name, buffer in fitted.network.head.named_buffers():
        network.head.get_buffer(name).copy_(buffer)
    return replace(fitted, network=network)
