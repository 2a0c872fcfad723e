"""Invariants of what a model answers: its form, what it may depend on, how it follows units.

Each function takes a `Candidate`, returns nothing and raises an AssertionError.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tsattn.testing.candidate import (
    HORIZON,
    LENGTH,
    LEVELS,
    Candidate,
    Window,
    demand,
    demand_different,
    demand_finite,
    demand_identical,
    demand_same,
    forecast,
    raw_outputs,
)

SIZES = ((1, 1, 1, 1), (5, 3, 2, 3), (40, 20, 2, 1))  # context, horizon, windows, variates
FACTORS = (1e-6, 1e-3, 1e3, 1e9)


def check_shapes(candidate: Candidate) -> None:
    """shapes: R raw numbers, Q quantiles and one mean per window, step and variate, with and without features, by every head;
    asked for one step, a model without features gives one."""
    for head in candidate.heads:
        for length, horizon, num_windows, num_variates in SIZES:
            window = candidate.window(num_windows=num_windows, length=length, horizon=horizon, num_variates=num_variates)
            calendar = getattr(candidate.config, "positional", None) == "calendar"  # has no form without features
            for num_features in (window.features.shape[2],) if calendar else (0, window.features.shape[2]):
                model = candidate.probe(num_features=num_features, head=head, length=length, horizon=horizon)
                with torch.no_grad():
                    given = (window.context, window.observed, window.features if num_features else None)
                    raw, scale = model(*given, horizon)
                    answers = (raw, model.head.quantiles(raw, scale), model.head.mean(raw, scale)[..., None])
                where = f"{head} head, context {length}, horizon {horizon}"
                form = (num_windows, horizon, num_variates)
                expected = [(*form, last) for last in (model.head.num_raw, len(LEVELS), 1)]
                demand(
                    [tuple(x.shape) for x in answers] == expected, f"{where}: {[tuple(x.shape) for x in answers]}, {expected}"
                )
                if not num_features:
                    steps = raw_outputs(model, window, 1, features=False).shape[1]
                    demand(steps == 1, f"{where}: {steps} steps where one is asked for")


def check_finite(candidate: Candidate) -> None:
    """finite: so are forecasts of constants, zeros, huge, tiny, sparse, all-missing and one-row contexts, by every scaling."""
    steps = torch.arange(10.0, dtype=torch.float32)
    names = ("constant", "zeros", "negative", "high and flat", "huge", "tiny", "sparse", "all missing")
    rows = [0 * steps + 5, 0 * steps, 0 * steps - 3, 1e9 + 128 * steps, 1e30 * steps, 1e-30 * steps, steps, steps]
    context = torch.stack(rows)[..., None]
    observed = torch.ones_like(context, dtype=torch.bool)
    observed[-2, 1::2], observed[-1] = False, False
    usual = candidate.window(num_windows=len(rows), length=10)
    window = Window(context.where(observed, torch.nan), observed, usual.features)
    single = candidate.window(length=1)
    for output in candidate.outputs:
        where = "{head} head, {scaling} scaling".format(**output)
        for name, part in zip(names, forecast(candidate.probe(length=10, **output), window), strict=True):
            demand_finite(part, f"{where}, a context that is {name}")
        demand_finite(forecast(candidate.probe(length=1, **output), single), f"{where}, a context of one row")


def check_missing(candidate: Candidate) -> None:
    """missing: the number stored for a missing value has no influence, to the bit; that it is missing has."""
    model, window = candidate.probe(), candidate.window(num_variates=2)
    expected = raw_outputs(model, window)
    for stored in (1e30, float("nan"), float("inf")):
        changed = window._replace(context=window.context.where(window.observed, stored))
        demand_identical(raw_outputs(model, changed), expected, f"{stored} stored for missing values")
    whole = window._replace(observed=torch.ones_like(window.observed))
    demand_different(raw_outputs(model, whole), expected, "values observed instead of missing")


def check_batch(candidate: Candidate) -> None:
    """batch: a window is forecast the same alone and among 63 others, whatever their order and whatever they hold."""
    model, window = candidate.probe(), candidate.window(num_windows=64)
    expected = raw_outputs(model, window)
    order = torch.arange(63, -1, -1)
    demand_same(raw_outputs(model, window.at(order)), expected[order], "the batch in reverse")
    for b in (0, 17, 63):
        alone = window.at(slice(b, b + 1))
        demand_same(raw_outputs(model, alone), expected[b : b + 1], f"window {b} alone and among 64")
    others = window._replace(context=window.context.clone())
    others.context[1:] = 1e9
    demand_same(raw_outputs(model, others)[:1], expected[:1], "a window beside others of 1e9")
    demand_different(expected[0], expected[1], "two windows with other values")


def check_variates(candidate: Candidate) -> None:
    """variates: each is forecast as if it were alone, unless the configuration says `together`; then permuting them permutes
    their forecasts, and one without values has no influence on the others."""
    model, window = candidate.probe(), candidate.window(num_variates=4)
    expected = raw_outputs(model, window)
    if not candidate.config.together:
        for v in range(4):
            alone = Window(window.context[..., v : v + 1], window.observed[..., v : v + 1], window.features)
            demand_same(raw_outputs(model, alone), expected[:, :, v : v + 1], f"variate {v} alone and among 4")
        return
    order = torch.tensor([2, 0, 3, 1])
    permuted = Window(window.context[..., order], window.observed[..., order], window.features)
    demand_same(raw_outputs(model, permuted), expected[:, :, order], "permuted variates")
    three = Window(window.context[..., :3], window.observed[..., :3], window.features)
    demand_different(raw_outputs(model, three), expected[:, :, :3], "one variate fewer, though they are read together")
    hidden = Window(window.context.clone(), window.observed.clone(), window.features)
    hidden.context[..., 3], hidden.observed[..., 3] = torch.nan, False
    demand_same(raw_outputs(model, hidden)[:, :, :3], raw_outputs(model, three), "beside a variate without values")


def check_padding(candidate: Candidate) -> None:
    """padding: a model reads contexts shorter than the one it was built for, and missing rows in front of them, whatever they
    and their features hold, change nothing."""
    model, window = candidate.probe(length=LENGTH + 11), candidate.window(num_variates=2)
    expected = raw_outputs(model, window)
    for num in (1, 4, 11):
        in_front = torch.full((3, num, 2), 77.0, dtype=torch.float32)
        before = candidate.window(length=num, horizon=0, seed=1).features
        if getattr(candidate.config, "positional", None) == "calendar":
            before[..., 0] -= num
        padded = Window(
            torch.cat([in_front, window.context], 1),
            torch.cat([torch.zeros_like(in_front, dtype=torch.bool), window.observed], 1),
            torch.cat([before, window.features], 1),
        )
        demand_same(raw_outputs(model, padded), expected, f"{num} missing rows in front")


def check_scale(candidate: Candidate) -> None:
    """scale: c times the values give c times the forecast, c from 1e-6 to 1e9, by every scaling and every head but that of
    counts, which are whole numbers."""
    for model, scaling, window, expected in _in_units(candidate):
        for factor in FACTORS:
            result = forecast(model, window._replace(context=factor * window.context))
            demand_same(result / factor, expected, f"{scaling} scaling, values times {factor:g}", atol=1e-3)


def check_shift(candidate: Candidate) -> None:
    """shift: values with a constant added give forecasts with that constant added, by every scaling and every head but that of
    counts, which end at 0."""
    for model, scaling, window, expected in _in_units(candidate):
        for shift in (1000.0, -50.0):
            result = forecast(model, window._replace(context=window.context + shift))
            demand_same(result - shift, expected, f"{scaling} scaling, values plus {shift:g}", atol=1e-3)


def _in_units(candidate: Candidate) -> Iterator[tuple[Any, str, Window, Tensor]]:
    """Models by each scaling and each head without a unit of its own, a window, and its forecast."""
    window = candidate.window()
    for output in candidate.outputs:
        if output["head"] != "negative_binomial":
            model = candidate.probe(**output)
            yield model, "{head} head, {scaling}".format(**output), window, forecast(model, window)


def check_quantiles(candidate: Candidate) -> None:
    """quantiles: they do not cross, whatever the weights and the values, by every head and scaling."""
    window = candidate.window(num_windows=8)
    window = window._replace(context=window.context * torch.logspace(-6, 9, 8, dtype=torch.float32)[:, None, None])
    for output in candidate.outputs:
        fall = -forecast(candidate.probe(**output), window).diff(dim=-1).amin()
        demand(
            bool(fall <= 0), "{head} head, {scaling} scaling: ".format(**output) + f"a quantile lies {fall:.3g} above the next"
        )


def check_features(candidate: Candidate) -> None:
    """features: a model built with features uses those of the last future step, and without them raises a ValueError that says
    it needs features."""
    model, window = candidate.probe(), candidate.window()
    moved = window._replace(features=window.features.clone())
    moved.features[:, -1, 1:] += 3.0
    expected = raw_outputs(model, window)
    demand_different(raw_outputs(model, moved)[:, -1], expected[:, -1], "other features of the last step")
    try:
        raw_outputs(model, window, features=False)
    except ValueError as problem:
        demand("features" in str(problem), f"a ValueError without features that does not name them: {problem}")
        return
    raise AssertionError("a model built with features forecasts without them")


def check_causality(candidate: Candidate) -> None:
    """causality: the features of a future step change nothing in the forecasts of earlier patches, and a forecast of fewer
    patches is the beginning of a longer one."""
    patch = getattr(candidate.settings().model, "patch_length", None) or 1
    horizon = 3 * patch
    model, window = candidate.probe(horizon=horizon), candidate.window(horizon=horizon)
    expected = raw_outputs(model, window, horizon)
    for first in (patch, 2 * patch):
        moved = window._replace(features=window.features.clone())
        moved.features[:, LENGTH + first :, 1:] += 3.0
        result = raw_outputs(model, moved, horizon)
        demand_same(result[:, :first], expected[:, :first], f"other features from step {first + 1} on, the steps before")
        fewer = window._replace(features=window.features[:, : LENGTH + first])
        demand_same(raw_outputs(model, fewer, first), expected[:, :first], f"{first} of {horizon} steps")


def check_static(candidate: Candidate) -> None:
    """static: a forward pass reads no number back, makes no tensor from numbers and no shape from values: a GPU never waits."""
    model, window = candidate.probe(), candidate.window()
    with _NoReading(), torch.no_grad():
        model(window.context, window.observed, window.features, HORIZON)


class _NoReading(TorchDispatchMode):
    """Refuses operations that make the host wait for the device or the device for the host."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        by_value = torch.Tag.data_dependent_output in func.tags or str(func) == "aten.lift_fresh.default"
        shaped = torch.Tag.dynamic_output_shape in func.tags
        if func.overloadpacket is torch.ops.aten.index:  # by numbers its shape is known, by a mask it is not
            shaped = any(index is not None and index.dtype == torch.bool for index in args[1])
        demand(not (by_value or shaped), f"{func} depends on values of a tensor or copies numbers to the device")
        return func(*args, **(kwargs or {}))
