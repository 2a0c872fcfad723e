"""Invariants of how a model behaves: seeds, modes, training, folders, and what it must leave alone.

Each function takes a `Candidate`, returns nothing and raises an AssertionError.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from tsattn import store
from tsattn.config import FitConfig, ReadConfig
from tsattn.fitted import Fitted, Schema
from tsattn.testing.candidate import (
    FEATURES,
    HORIZON,
    Candidate,
    demand,
    demand_different,
    demand_finite,
    demand_identical,
    demand_same,
    forecast,
    raw_outputs,
    training_loss,
)
from tsattn.verdict import Verdict


def check_determinism(candidate: Candidate) -> None:
    """determinism: the same seed gives the same weights, another seed others, and a forecast made twice is the same."""
    one, again, other = (candidate.build(seed=seed).state_dict() for seed in (3, 3, 4))
    demand(list(one) == list(again), "two models of one configuration have parts with other names")
    for name, weight in one.items():
        demand_identical(again[name], weight, f"{name} of two models with the same seed")
    demand(any(not torch.equal(other[name], weight) for name, weight in one.items()), "another seed gives the same weights")
    model, window = candidate.probe(), candidate.window()
    demand_identical(raw_outputs(model, window), raw_outputs(model, window), "the same forecast twice")


def check_global_state(candidate: Candidate) -> None:
    """global state: building, forecasting and a backward pass leave random states, default type and device, the mode of
    gradients, threads, deterministic flags, warning filters, folder and environment as they were."""
    _use(candidate)  # what is imported at first use may add warning filters
    with _moved_on():
        before = global_state()
        _use(candidate)
        after = global_state()
    changed = [name for name in before if repr(before[name]) != repr(after[name])]
    demand(not changed, f"changed: {', '.join(changed)}")


def _use(candidate: Candidate) -> None:
    # what is dropped is drawn from the shared random state
    plain: dict[str, Any] = {"dropout": 0.0} if hasattr(candidate.config, "dropout") else {}
    for head in candidate.heads:
        model, window = candidate.build(head=head, **plain), candidate.window()
        forecast(model, window)
        training_loss(model.train(), window).backward()


@contextmanager
def _moved_on() -> Iterator[None]:
    """Random states one draw further, where no seed leads: a model that seeds shows. The caller's come back."""
    python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            torch.rand(1)
            np.random.rand()  # noqa: NPY002
            random.random()
            yield
    finally:
        random.setstate(python)
        np.random.set_state(of_numpy)  # noqa: NPY002


def global_state() -> dict[str, Any]:
    """What all code of a process shares and a model must not touch."""
    own = {} if "beartype" in sys.modules else {"the random state of Python": random.getstate()}  # its checks draw numbers
    return {
        **own,
        "torch's random state": torch.get_rng_state().numpy().tobytes(),
        "numpy's random state": [np.asarray(part).tolist() for part in np.random.get_state(legacy=True)],  # noqa: NPY002
        "the default type": torch.get_default_dtype(),
        "the default device": torch.get_default_device(),
        "the mode of gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "autocast": torch.is_autocast_enabled("cpu"),
        "the number of threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "the deterministic flags": (
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.benchmark,
            torch.get_float32_matmul_precision(),
        ),
        "the warning filters": list(warnings.filters),
        "the floating point errors of numpy": np.geterr(),
        "the current folder": os.getcwd(),
        "the environment": dict(os.environ),
    }


def check_inputs(candidate: Candidate) -> None:
    """inputs: neither the tensors a model is called with nor, in evaluation, its own weights and buffers are changed."""
    model, window = candidate.probe(), candidate.window(num_variates=2)
    given = type(window)(*(part.clone() for part in window))
    state = {name: part.clone() for name, part in model.state_dict().items()}
    forecast(model, window)
    for name, part in model.state_dict().items():
        demand_identical(part, state[name], f"{name} after a forecast")
    training_loss(model.train(), window)
    for name, part in window._asdict().items():
        demand_identical(part, getattr(given, name), f"{name} after the call")


def check_dropout(candidate: Candidate) -> None:
    """dropout: it acts in training and only there; without it both modes give the same."""
    window, field = candidate.window(), hasattr(candidate.config, "dropout")
    plain = candidate.probe(dropout=0.0) if field else candidate.probe()
    expected = raw_outputs(plain, window)
    with torch.random.fork_rng(devices=[]):
        demand_same(raw_outputs(plain.train(), window), expected, "training and evaluation mode without dropout")
        if field:
            model = candidate.probe(dropout=0.5)
            demand_identical(raw_outputs(model, window), expected, "a model with dropout in evaluation, one without")
            model.train()
            demand_different(raw_outputs(model, window), raw_outputs(model, window), "dropout=0.5 in training, two passes")


def check_gradients(candidate: Candidate) -> None:
    """gradients: those of the loss are finite, and not all 0, for every parameter, by every head."""
    for head in candidate.heads:
        model = candidate.probe(std=0.2, head=head).train()  # with larger weights what is saturated has no gradient
        with torch.random.fork_rng(devices=[]):
            training_loss(model, candidate.window(num_windows=8, num_variates=3)).backward()
        for name, parameter in model.named_parameters():
            demand(parameter.grad is not None, f"{head} head: no gradient reaches {name}")
            demand_finite(parameter.grad, f"{head} head, the gradient of {name}")
            demand(bool((parameter.grad != 0).any()), f"{head} head: the gradient of {name} is 0 everywhere")


def check_training(candidate: Candidate) -> None:
    """training: three steps from the first weights move them, and loss, weights and forecast stay finite, by every head."""
    for head in candidate.heads:
        model, window = candidate.build(head=head).train(), candidate.window(num_windows=8)
        before = [parameter.detach().clone() for parameter in model.parameters()]
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
        with torch.random.fork_rng(devices=[]):
            for step in range(3):
                optimizer.zero_grad()
                loss = training_loss(model, window, seed=step)
                loss.backward()
                optimizer.step()
                demand_finite(loss.detach(), f"{head} head, the loss of step {step}")
        for name, parameter in model.named_parameters():
            demand_finite(parameter.detach(), f"{head} head, {name} after three steps")
        moved = max(float((p.detach() - b).abs().max()) for p, b in zip(model.parameters(), before, strict=True))
        demand(moved > 1e-3, f"{head} head: three steps with a learning rate of 0.01 move the weights by {moved:.3g} at most")
        demand_finite(forecast(model.eval(), window), f"{head} head, the forecast after three steps")


def check_saving(candidate: Candidate) -> None:
    """saving: trained for a step, calibrated, written to a folder and read back, a model forecasts the same to the bit."""
    for head in candidate.heads:
        settings = candidate.settings(head=head)
        model, window = candidate.probe(head=head).train(), candidate.window(num_windows=8)
        with torch.random.fork_rng(devices=[]):
            training_loss(model, window)
        with torch.no_grad():
            raw, scale = model.eval()(window.context, window.observed, window.features, HORIZON)
            model.head.calibrate(raw, raw[..., 0] * 2 + 20, torch.ones_like(raw[..., 0], dtype=torch.bool), scale)
        names = tuple(f"f{i}" for i in range(FEATURES))
        schema = Schema("id", "time", "value", "D", 1, False, names, 1, 100, "2024-01-01")
        fitted = Fitted(schema, settings, Verdict("network", "cannot judge", ""), model)
        config = FitConfig(horizon=HORIZON, model=candidate.config)
        with tempfile.TemporaryDirectory() as folder:
            store.save(store.Stored(fitted, config, ReadConfig(), []), folder)
            loaded = store.load(folder)
        demand(loaded.fitted.settings == settings, f"{head} head: the settings that come back are {loaded.fitted.settings}")
        demand(loaded.config == config, f"{head} head: the configuration that comes back is {loaded.config.model}")
        demand_identical(forecast(loaded.fitted.network, window), forecast(model, window), f"{head} head, saved and loaded")


def check_inference(candidate: Candidate) -> None:
    """inference: under torch.inference_mode, as forecasts are made, outputs are those made under no_grad."""
    model, window = candidate.probe(), candidate.window()
    expected = forecast(model, window)
    with torch.inference_mode():
        demand_identical(forecast(model, window).clone(), expected, "inference_mode and no_grad")


def check_precision(candidate: Candidate) -> None:
    """precision: raw outputs are float32 and finite under autocast to bfloat16; parameters are float32, and forecasts the same
    to the bit, whatever default type the caller has set."""
    model, window = candidate.probe(), candidate.window()
    expected = raw_outputs(model, window)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = raw_outputs(model, window)
    demand(half.dtype == torch.float32, f"raw outputs are {half.dtype} under autocast")
    demand_finite(half, "raw outputs under autocast to bfloat16")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        other = candidate.probe()
        types = {str(parameter.dtype) for parameter in other.parameters()}
        demand(types == {"torch.float32"}, f"parameters are {sorted(types)} where the default type is float64")
        demand_identical(raw_outputs(other, window), expected, "built and called where the default type is float64")
    finally:
        torch.set_default_dtype(before)
