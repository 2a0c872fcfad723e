"""From a panel to a `Fitted`: choose sizes and head, train, judge on windows nothing else has read, train again on all rows.

Every choice is made from the panel that is passed in, so a back-test that cuts the rows first cannot leak.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np

from tsattn import metrics, sizing
from tsattn.config import FitConfig, ModelConfig
from tsattn.data.findings import Finding
from tsattn.data.panel import Panel
from tsattn.fitted import Fitted, Schema, Settings, build_network, check_one_end, together
from tsattn.ladder import Windows, score_windows, units_of_error, verdict_of
from tsattn.verdict import NETWORK, Verdict, in_words

MAX_VALIDATION_WINDOWS = 1000


class Fit(NamedTuple):
    """A finished fit and what was decided on the way."""

    fitted: Fitted
    findings: list[Finding]
    windows: Windows  # what the verdict rests on


class Plan(NamedTuple):
    """What is decided before any training."""

    settings: Settings  # without a decided head; architecture None where no network can be trained
    parts: sizing.Parts
    first_cut: np.ndarray  # [S] first row that may be a target in training
    reason: str  # why no network is trained, as a sentence; empty where one is
    findings: list[Finding]


def fit(panel: Panel, schema: Schema, config: FitConfig, *, network: bool = True, reporting: Any = None) -> Fit:
    """Fit on all rows of `panel`, whose calendar must reach the horizon beyond its end.

    `network=False` looks at the naive forecasts only. `reporting` is a `training.fit.Reporting`.
    """
    plan = make_plan(panel, schema, config, network)
    if reporting is not None:
        reporting.say(*plan.findings)
    draft = Fitted(schema, plan.settings, Verdict("last_value", "cannot judge", ""))
    if plan.settings.architecture is not None:
        _check_together(draft, panel)
        if reporting is not None and reporting.again:
            reporting.say(f"  stopped at any moment, it goes on with: {reporting.again}")
        draft = _trained(draft, panel, plan, config, reporting)
    windows = score_windows(draft, panel, plan.parts)
    fitted = replace(draft, verdict=verdict_of(draft, windows, plan.reason))
    if fitted.network is not None and config.refit:
        fitted = _refitted(fitted, panel, plan, config, reporting)
    decisions = _decisions(fitted)
    if reporting is not None:
        reporting.say(*decisions)
    return Fit(fitted, plan.findings + decisions, windows)


def _check_together(fitted: Fitted, panel: Panel) -> None:
    """Refuse what a model that reads all series at once cannot use."""
    if not together(fitted):
        return
    check_one_end(panel)
    if panel.weights is not None:
        raise ValueError(f"model={fitted.settings.architecture} draws all series together: read.weight has no meaning for it")


def make_plan(panel: Panel, schema: Schema, config: FitConfig, network: bool) -> Plan:
    """Horizon, context, parts and sizes, each with its reason."""
    findings = []
    horizon, why = (config.horizon, "as given") if config.horizon else sizing.default_horizon(schema.season_length)
    findings.append(
        Finding("horizon", f"{horizon} step{'s' * (horizon != 1)} ahead: {why}", "horizon=", details={"horizon": horizon})
    )
    parts = sizing.split_parts(panel.lengths, horizon, panel.behind)
    longest = int(parts.validation.max(initial=1))
    if config.context_length:
        context_length, why = config.context_length, "as given"
    else:
        context_length, why = sizing.default_context_length(horizon, schema.season_length, longest)
    first_cut = np.minimum(max(2, min(schema.season_length, context_length)), np.maximum(parts.validation - horizon, 1))
    cuts = np.maximum(parts.validation - horizon - first_cut + 1, 0)  # of each series
    num_windows = int(cuts.max(initial=0) if config.model.together else cuts.sum())
    reason = _why_no_network(config if network else None, num_windows, int(parts.num_verdict.sum()), panel, horizon)
    settings = Settings(
        horizon=horizon,
        context_length=context_length,
        levels=tuple(sorted({*config.quantiles, 0.5})),
        quantiles=tuple(config.quantiles),
        seed=config.seed,
    )
    if not reason:
        model, size = sizing.complete_model(
            config.model,
            num_rows=schema.num_rows,
            context_length=context_length,
            horizon=horizon,
            season_length=schema.season_length,
        )
        settings = replace(settings, architecture=config.model.name, model=model)
        findings.append(
            Finding(
                "context",
                f"the model looks back {context_length} steps: {why}",
                "context_length=",
                details={"context_length": context_length},
            )
        )
        sizes = " ".join(f"model.{name}=" for name in ("d_model", "patch_length") if hasattr(model, name))
        findings += sizing.idle_attention(model, context_length, horizon)
        findings.append(Finding("model", f"{model.name}: {size}", sizes or "context_length=", details=asdict(model)))
    return Plan(settings, parts, first_cut, reason, findings)


def _why_no_network(config: FitConfig | None, num_windows: int, num_verdict: int, panel: Panel, horizon: int) -> str:
    """Why no network is trained, as a sentence; empty where one is. Without a `config` none was asked for."""
    if config is None:
        return "No model was trained (python -m tsattn.train does). "
    rows = int(panel.lengths.max(initial=0))
    if num_verdict < sizing.MIN_VERDICT_WINDOWS or num_windows < sizing.MIN_TRAIN_WINDOWS:
        wanted = in_words(NETWORK, config.model.name).removeprefix("the ")
        return (
            f"No {wanted} was trained: the longest of {len(panel.ids)} series has {rows} rows, too few for a horizon of "
            f"{horizon} ({max(num_windows, 0)} training and {num_verdict} held-out windows; {sizing.MIN_TRAIN_WINDOWS} and "
            f"{sizing.MIN_VERDICT_WINDOWS} are needed). "
        )
    return ""


def _trained(draft: Fitted, panel: Panel, plan: Plan, config: FitConfig, reporting: Any) -> Fitted:
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


def _train_head(fitted: Fitted, panel: Panel, plan: Plan, config: FitConfig, head: str, reporting: Any) -> tuple[Fitted, float]:
    """One network with this head, early-stopped and calibrated on the validation windows, and its scaled pinball loss there."""
    from tsattn.training.fit import TrainData, train

    assert plan.settings.model is not None
    settings = replace(plan.settings, model=replace(plan.settings.model, head=head))
    network = build_network(settings, panel.num_features)
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
        name=f"{head} head",
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
    fitted = replace(fitted, settings=replace(settings, steps=trained.steps, details=details), network=network)
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
    units = units_of_error(panel, plan.parts.validation, fitted.schema.season_length)[series.ravel()]
    loss = metrics.pinball(y / units[:, None], quantiles / units[:, None, None], levels=settings.levels)
    return loss if np.isfinite(loss) else np.inf  # nothing to compare by: the first head stays


def _refitted(fitted: Fitted, panel: Panel, plan: Plan, config: FitConfig, reporting: Any) -> Fitted:
    """The same network trained afresh on all rows for the number of steps found; its intervals stay as calibrated."""
    from tsattn.training.fit import TrainData, train

    settings = fitted.settings
    network = build_network(settings, panel.num_features)
    train(
        network,
        TrainData(*_training_rows(fitted, panel, plan.first_cut, panel.lengths), panel.ids, weights=panel.weights),
        config.trainer,
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


def _decisions(fitted: Fitted) -> list[Finding]:
    """What training decided: head and number of steps."""
    if fitted.network is None:
        return []
    settings = fitted.settings
    assert settings.model is not None
    losses = settings.details["validation_pinball"]
    compared = ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items())
    chosen = f"the {settings.model.head} head after {settings.steps} steps; validation loss {compared}"
    findings = [Finding("head", chosen, "model.head=", details={"head": settings.model.head, "losses": losses})]
    if settings.details["note"]:
        findings.append(Finding("validation", settings.details["note"], "trainer.max_steps=", "warning"))
    return findings


def default_config(name: str) -> ModelConfig:
    """The configuration of an architecture by name, with the list of names in the error."""
    from tsattn.config import MODEL_CONFIGS

    if name not in MODEL_CONFIGS:
        raise ValueError(f"model={name!r} is not known: choose one of auto, {', '.join(MODEL_CONFIGS)}")
    return MODEL_CONFIGS[name]()
