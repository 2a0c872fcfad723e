"""From a panel to a `Fitted`: choose sizes and head, train, judge on windows nothing else has read, train again on all rows.

Every choice is made from the panel that is passed in, so a back-test that cuts the rows first cannot leak.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, NamedTuple

import numpy as np

from tsattn import candidates, sizing
from tsattn.candidates import Plan
from tsattn.config import FitConfig, ModelConfig
from tsattn.data.findings import Finding
from tsattn.data.panel import Panel
from tsattn.fitted import Fitted, Schema, Settings, check_one_end, together
from tsattn.ladder import Windows, score_windows, verdict_of
from tsattn.verdict import NETWORK, Verdict, in_words


class Fit(NamedTuple):
    """A finished fit and what was decided on the way."""

    fitted: Fitted
    findings: list[Finding]
    windows: Windows  # what the verdict rests on


def fit(
    panel: Panel,
    schema: Schema,
    config: FitConfig,
    *,
    network: bool = True,
    pretrained: bool = False,
    reporting: Any = None,
) -> Fit:
    """Fit on all rows of `panel`, whose calendar must reach the horizon beyond its end.

    `network=False` trains nothing: the naive forecasts are looked at, and with `pretrained` the network that ships with tsattn.
    `reporting` is a `training.fit.Reporting`.
    """
    plan = make_plan(panel, schema, config, network)
    draft = Fitted(schema, plan.settings, Verdict("last_value", "cannot judge", ""))
    if pretrained or (network and plan.reason and candidates.left_open(config, draft)):
        plan = plan._replace(settings=candidates.asking_pretrained(plan.settings))
    if reporting is not None:
        reporting.say(*plan.findings)
    draft = Fitted(schema, plan.settings, Verdict("last_value", "cannot judge", ""))
    if plan.settings.architecture is not None:
        _check_together(draft, panel)
        if reporting is not None and reporting.again:
            reporting.say(f"  stopped at any moment, it goes on with: {reporting.again}")
        scratch = candidates.from_scratch(draft, panel, plan, config, reporting)
        draft = candidates.with_pretrained(scratch, panel, plan, config)
    windows = score_windows(draft, panel, plan.parts)
    fitted = replace(draft, verdict=verdict_of(draft, windows, plan.reason))
    if fitted.network is not None and config.refit:
        fitted = candidates.refitted(fitted, panel, plan, config, reporting)
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


def _decisions(fitted: Fitted) -> list[Finding]:
    """What training decided: head, number of steps, and how much the pretrained network counts beside it."""
    settings = fitted.settings
    if fitted.network is None:
        return []
    assert settings.model is not None
    losses = settings.details["validation_pinball"]
    compared = ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items())
    chosen = f"the {settings.model.head} head after {settings.steps} steps; validation loss {compared}"
    findings = [Finding("head", chosen, "model.head=", details={"head": settings.model.head, "losses": losses})]
    if "averaged" in settings.details:
        losses = settings.details["averaged"]
        compared = ", ".join(f"{name} {loss:.4f}" for name, loss in losses.items())
        shares = f"{100 - 100 * settings.share:.0f} % the network from scratch, {100 * settings.share:.0f} % the pretrained one"
        message = f"{shares}; validation loss {compared}"
        findings.append(Finding("mean", message, "pretrained=false", details={"share": settings.share, "losses": losses}))
    if settings.details["note"]:
        findings.append(Finding("validation", settings.details["note"], "trainer.max_steps=", "warning"))
    return findings


def default_config(name: str) -> ModelConfig:
    """The configuration of an architecture by name, with the list of names in the error."""
    from tsattn.config import MODEL_CONFIGS

    if name not in MODEL_CONFIGS:
        raise ValueError(f"model={name!r} is not known: choose one of auto, {', '.join(MODEL_CONFIGS)}")
    return MODEL_CONFIGS[name]()
