"""A model under examination: built small, with weights so large that every influence shows, and windows to show it.

Letters: B batch, L context, H horizon, V variates, C features, Q quantile levels, R raw outputs per step.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tsattn.config import HEADS, MODEL_CONFIGS, SCALINGS, ModelConfig, TrainerConfig
from tsattn.data.windows import Batch, PanelTensors
from tsattn.fitted import Settings, build_network
from tsattn.models import MODELS
from tsattn.sizing import complete_model
from tsattn.training.module import ForecastModule

LEVELS = (0.1, 0.5, 0.9)
LENGTH, HORIZON, FEATURES = 24, 6, 2
PROBE = 0.5  # standard deviation of the weights of a probe


class Window(NamedTuple):
    """What a model is called with."""

    context: Tensor  # [B, L, V] in eighths, so that shifts by whole numbers are exact in float32
    observed: Tensor  # [B, L, V] bool with gaps; the first rows are observed
    features: Tensor  # [B, L + H, C]

    def at(self, index: Any) -> Window:
        """Some windows of the batch."""
        return Window(self.context[index], self.observed[index], self.features[index])


class Candidate:
    """A name of `tsattn.models.MODELS` and the configuration that it is examined in, by default that of `MODEL_CONFIGS`.

    Raises a ValueError for a name that is in none of the two, and for the configuration of another model.
    """

    def __init__(self, name: str, *, config: ModelConfig | None = None) -> None:
        for registry, where in ((MODELS, "tsattn.models.MODELS"), (MODEL_CONFIGS, "tsattn.config.MODEL_CONFIGS")):
            if name not in registry:
                raise ValueError(f"{name!r} is not in {where}: {', '.join(registry)}")
        self.name, self.config = name, config or MODEL_CONFIGS[name]()
        if self.config.name != name:
            raise ValueError(f"this is the configuration of {self.config.name!r}, not of {name!r}")
        self.heads = [head for head in HEADS if head != "auto"] if self.config.head == "auto" else [self.config.head]

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """Heads and scalings to try: every head with the scaling of the configuration, the first one with every other."""
        others = [scaling for scaling in SCALINGS if scaling != self.config.scaling]
        own = [{"head": head, "scaling": self.config.scaling} for head in self.heads]
        return own + [{"head": self.heads[0], "scaling": scaling} for scaling in others]

    @property
    def exceptions(self) -> dict[str, Any]:
        """What the model says it does not keep: invariant -> reason, its attribute `exceptions` unchecked."""
        return dict(getattr(self.build(), "exceptions", {}))

    def settings(self, *, length: int = LENGTH, horizon: int = HORIZON, seed: int = 0, **changes: Any) -> Settings:
        """Everything decided for a small model; `changes` are fields of the configuration."""
        config = replace(self.config, **{"head": self.heads[0], **changes})
        model, _ = complete_model(config, num_rows=100, context_length=length, horizon=horizon, season_length=1)
        return Settings(horizon, length, LEVELS, LEVELS, seed, architecture=self.name, model=model)

    def build(self, *, num_features: int = FEATURES, **settings: Any) -> Any:
        """A model in evaluation mode with its own first weights, built as `tsattn.fitted.build_network` does."""
        return build_network(self.settings(**settings), num_features)

    def probe(self, *, num_features: int = FEATURES, std: float = PROBE, **settings: Any) -> Any:
        """The same with large random weights everywhere, also where the first ones are 0."""
        model = self.build(num_features=num_features, **settings)
        generator = torch.Generator().manual_seed(0)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=std, generator=generator)
        return model

    def window(
        self, *, num_windows: int = 3, length: int = LENGTH, horizon: int = HORIZON, num_variates: int = 1, seed: int = 0
    ) -> Window:
        """Windows with gaps. With positional=calendar the first feature is the time, as that code needs it."""
        rng = np.random.default_rng(seed)
        context = torch.from_numpy(rng.integers(20, 160, (num_windows, length, num_variates)) / 8).to(torch.float32)
        observed = torch.from_numpy(rng.random(context.shape) < 0.8)
        observed[:, : max(1, length // 5)] = True
        features = torch.from_numpy(rng.uniform(-1, 1, (num_windows, length + horizon, FEATURES))).to(torch.float32)
        if getattr(self.config, "positional", None) == "calendar":
            features[..., 0] = torch.arange(length + horizon, dtype=torch.float32)
        return Window(context, observed, features)


def raw_outputs(model: Any, window: Window, horizon: int = HORIZON, *, features: bool = True) -> Tensor:
    """[B, H, V, R], the numbers a head starts from; about as large as one."""
    with torch.no_grad():
        return model(window.context, window.observed, window.features if features else None, horizon)[0]


def forecast(model: Any, window: Window, horizon: int = HORIZON, *, features: bool = True) -> Tensor:
    """[B, H, V, Q], quantiles in units of the series, float64."""
    with torch.no_grad():
        raw, scale = model(window.context, window.observed, window.features if features else None, horizon)
        return model.head.quantiles(raw, scale)


def training_loss(model: Any, window: Window, *, seed: int = 0) -> Tensor:
    """The loss of training on targets with gaps, in the mode that the model is in."""
    rng = np.random.default_rng([seed, 1])
    target = torch.from_numpy(rng.integers(20, 160, (len(window.context), HORIZON, window.context.shape[2]))).float()
    known = torch.from_numpy(rng.random(target.shape) < 0.9)
    none = PanelTensors(*(torch.empty(0) for _ in PanelTensors._fields))  # the windows are gathered already
    module = ForecastModule(model, none, TrainerConfig(), context_length=window.context.shape[1], horizon=HORIZON)
    return module.loss(Batch(*window, target, known))


# ---- what is demanded, said in numbers -----------------------------------------------------------------------------------


def demand(kept: bool, broken: str) -> None:
    """Raise an AssertionError that says `broken` unless kept; unlike an assert statement it is there under python -O."""
    if not kept:
        raise AssertionError(broken)


def demand_same(one: Tensor, other: Tensor, what: str, *, rtol: float = 1e-4, atol: float = 1e-4) -> None:
    """Equal up to the order of float32 sums."""
    demand(one.shape == other.shape, f"{what}: shapes {tuple(one.shape)} and {tuple(other.shape)}")
    one, other = one.double(), other.double()
    beyond = (one - other).abs() - rtol * other.abs()
    worst = int(beyond.nan_to_num(torch.inf).argmax()) if beyond.numel() else 0
    kept = bool((beyond <= atol).all())
    demand(kept, f"{what}: {one.flatten()[worst]:.6g} where {other.flatten()[worst]:.6g} is expected" if not kept else "")


def demand_identical(one: Tensor, other: Tensor, what: str) -> None:
    """Equal to the bit."""
    demand(one.shape == other.shape, f"{what}: shapes {tuple(one.shape)} and {tuple(other.shape)}")
    largest = f"{(one.double() - other.double()).abs().max():.3g}" if one.numel() else "0"
    demand(torch.equal(one, other), f"{what}: outputs are not the same to the bit, the largest difference is {largest}")


def demand_different(one: Tensor, other: Tensor, what: str, *, least: float = 1e-2) -> None:
    """Somewhere further apart than rounding."""
    largest = float((one.double() - other.double()).abs().max())
    demand(largest > least, f"{what}: the outputs move by {largest:.3g} at most, with weights of about {PROBE}")


def demand_finite(x: Tensor, what: str) -> None:
    """Neither NaN nor infinite."""
    bad = int((~x.isfinite()).sum())
    demand(bad == 0, f"{what}: {bad} of {x.numel()} numbers are not finite")
