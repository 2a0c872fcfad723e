"""tsattn.testing: every architecture keeps every invariant, and a model that breaks one is caught with its numbers."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from einops import rearrange
from torch import nn

from tsattn.config import (
    ATTENTIONS,
    MODEL_CONFIGS,
    POSITIONS_OF,
    UNORDERED,
    EncoderConfig,
    EncoderDecoderConfig,
    InvertedConfig,
    LinearConfig,
    LSTMConfig,
    ModelConfig,
    PatchConfig,
)
from tsattn.models import MODELS
from tsattn.models.encoder import single_precision
from tsattn.nn.heads import make_head
from tsattn.nn.scaling import fit_scale, last_observed, to_scaled
from tsattn.testing import INVARIANTS, Candidate, check_model
from tsattn.testing.candidate import demand_same

STACK: dict = {"d_model": 16, "num_layers": 2, "num_heads": 2, "d_ff": 24}
CAUSAL = EncoderConfig(**STACK, patch_length=4, attention="causal")
PAIRS = {
    f"{schema.__name__} {attention} {code}": schema(**STACK, patch_length=2, attention=attention, positional=code)
    for schema in (EncoderConfig, EncoderDecoderConfig)
    for attention in ATTENTIONS
    for code in POSITIONS_OF[attention]
}
OTHERS = {
    **{f"inverted {attention}": InvertedConfig(**STACK, attention=attention) for attention in UNORDERED},
    "local blocks": EncoderConfig(**STACK, patch_length=1, attention="local", attention_window=4),
    "wide": PatchConfig(d_model=64, num_layers=3, num_heads=8, d_ff=128),
    "dropout": EncoderConfig(**STACK, dropout=0.3),
    "overlap": PatchConfig(**STACK, patch_length=4, patch_stride=2),
    "spread": PatchConfig(**STACK, patch_length=4, copying="spread"),
    "mse": LinearConfig(head="point", point_loss="mse"),
}


@pytest.mark.parametrize(
    "name", ["encoder", *(pytest.param(name, marks=pytest.mark.slow) for name in MODELS if name != "encoder")]
)
def test_every_architecture_keeps_every_invariant_but_its_own_exceptions(name):
    found = check_model(name)
    assert list(found) == list(INVARIANTS)
    assert {invariant for invariant, reason in found.items() if reason != "kept"} == set(Candidate(name).exceptions)


@pytest.mark.slow
def test_so_does_the_encoder_with_causal_attention():
    assert set(check_model("encoder", config=CAUSAL).values()) == {"kept"}


@pytest.mark.slow
@pytest.mark.parametrize("variant", [*PAIRS, *OTHERS])
def test_so_does_every_kind_of_attention_with_every_position_code(variant):
    config = {**PAIRS, **OTHERS}[variant]
    check_model(config.name, config=config)


def test_the_exceptions_are_these():
    assert {name: sorted(Candidate(name).exceptions) for name in MODELS} == {
        "encoder": ["causality"],
        "patch": ["causality"],
        "encoder_decoder": [],
        "inverted": ["causality", "padding"],
        "lstm": ["padding"],
        "linear": ["padding"],
    }


# ---- planted faults ----------------------------------------------------------------------------------------------------


@dataclass
class HonestConfig(ModelConfig):
    """A token per future step: the mean and the last value of what was observed, and the features of the step."""

    name: str = "honest"
    dropout: float = 0.0


@dataclass
class TogetherConfig(HonestConfig):
    """Said to read all variates together."""

    together = True


class Honest(nn.Module):
    """Keeps all there is to keep; each fault below breaks one thing of it."""

    @single_precision()
    def __init__(self, config, *, num_features, context_length, horizon, levels):
        super().__init__()
        self.config, self.num_features, self.horizon = config, num_features, horizon
        self.map = nn.Linear(2 + num_features, 8)
        self.dropout = nn.Dropout(config.dropout)
        self.head = make_head(config.head, d_model=8, patch_length=1, levels=levels, point_loss=config.point_loss)

    def forward(self, context, observed, features, num_future):
        scale = fit_scale(self.config.scaling, context, observed)
        z = torch.where(observed, to_scaled(context, scale), 0.0)
        mean = z.sum(1, keepdim=True) / observed.sum(1, keepdim=True).clamp(min=1)
        past = torch.stack([mean, last_observed(z, observed)], dim=-1).expand(-1, num_future, -1, -1)
        if self.num_features and features is None:
            raise ValueError("features are needed")
        if features is not None:
            known = features[:, context.shape[1] :, None].expand(-1, -1, context.shape[2], -1)
            past = torch.cat([past, known], dim=-1)
        with torch.autocast("cpu", enabled=False):
            tokens = self.dropout(self.map(past.float()).tanh())
            return self.head(rearrange(tokens, "b h v d -> b v h d")), scale


def spoiled(spoil):
    """Honest with its raw outputs and scale changed by `spoil(model, raw, scale, context, observed, features)`."""

    class Spoiled(Honest):
        def forward(self, context, observed, features, num_future):
            raw, scale = super().forward(context, observed, features, num_future)
            return spoil(self, raw, scale, context, observed, features)

    return Spoiled


def built(spoil):
    """Honest with `spoil(model)` called at the end of its constructor."""

    class Built(Honest):
        def __init__(self, config, **sizes):
            super().__init__(config, **sizes)
            spoil(self)

    return Built


def add(extra):
    """Honest with `extra(model, context, observed, features)` added to its raw outputs."""
    return spoiled(lambda model, raw, scale, *given: (raw + extra(model, *given), scale))


def crossed(model):
    quantiles = model.head.quantiles
    model.head.quantiles = lambda raw, scale: quantiles(raw, scale).flip(-1)


class Doubled(Honest):
    """Gives two steps more than it is asked for."""

    def forward(self, context, observed, features, num_future):
        raw, scale = super().forward(context, observed, features, num_future)
        return torch.cat([raw, raw[:, -1:], raw[:, -1:]], dim=1), scale


class Overwriting(Honest):
    """Cleans its input in place."""

    def forward(self, context, observed, features, num_future):
        context.mul_(observed)
        return super().forward(context, observed, features, num_future)


class Indifferent(Honest):
    """Takes features and looks at none."""

    def forward(self, context, observed, features, num_future):
        none = torch.zeros(len(context), context.shape[1] + num_future, self.num_features)
        return super().forward(context, observed, none if self.num_features else None, num_future)


class Unregistered(Honest):
    """Learns a mean that no folder holds."""

    seen = 0.0

    def forward(self, context, observed, features, num_future):
        if self.training:
            self.seen = 0.25
        raw, scale = super().forward(context, observed, features, num_future)
        return raw + self.seen, scale


class Normed(Honest):
    """Divides by the length of weights that begin at 0, whose gradient is not finite there."""

    def __init__(self, config, **sizes):
        super().__init__(config, **sizes)
        self.gain = nn.Parameter(torch.zeros(4, dtype=torch.float32))

    def forward(self, context, observed, features, num_future):
        raw, scale = super().forward(context, observed, features, num_future)
        return raw + self.gain.square().sum().sqrt(), scale


def reseeding(model, context, observed, features):
    torch.manual_seed(0)
    return 0.0


def unseeded(model):
    generator = torch.Generator()
    generator.seed()
    torch.nn.init.normal_(model.map.weight, generator=generator)


FAULTS = {
    "shapes": Doubled,
    "finite": add(lambda model, context, observed, features: 1e-3 / context.nan_to_num().std(1, correction=0).amin()),
    "missing": add(lambda model, context, *_: context.nan_to_num().clamp(-9, 9).mean(1)[:, None, :, None]),
    "batch": spoiled(lambda model, raw, scale, *_: (raw - raw.mean(0), scale)),
    "variates": spoiled(lambda model, raw, scale, *_: (raw + raw.mean(2, keepdim=True), scale)),
    "padding": add(lambda model, context, observed, _: observed.float().mean(1)[:, None, :, None]),
    "scale": spoiled(lambda model, raw, scale, *_: (raw, scale._replace(scale=torch.ones_like(scale.scale)))),
    "shift": spoiled(lambda model, raw, scale, *_: (raw, scale._replace(loc=torch.zeros_like(scale.loc)))),
    "quantiles": built(crossed),
    "features": Indifferent,
    "causality": add(lambda model, *given: 0.0 if given[2] is None else given[2].mean((1, 2))[:, None, None, None]),
    "static": add(lambda model, context, *_: 0.1 if float(context.nan_to_num().sum()) > 0 else 0.0),
    "determinism": built(unseeded),
    "global state": add(reseeding),
    "inputs": Overwriting,
    "dropout": spoiled(lambda model, raw, scale, *_: (nn.functional.dropout(raw, 0.5, training=True), scale)),
    "gradients": built(lambda model: setattr(model, "unused", nn.Linear(2, 2))),
    "training": Normed,
    "saving": Unregistered,
    "inference": add(lambda *_: 1.0 if torch.is_inference_mode_enabled() else 0.0),
    "precision": built(lambda model: setattr(model, "own", nn.Parameter(torch.ones(2, dtype=torch.get_default_dtype())))),
}


@pytest.fixture
def registered(monkeypatch):
    """`registered(model)` makes it "honest" in both registries."""

    def register(model, config=HonestConfig):
        monkeypatch.setitem(MODELS, "honest", model)
        monkeypatch.setitem(MODEL_CONFIGS, "honest", config)

    return register


def test_there_is_a_fault_for_every_invariant():
    assert list(FAULTS) == list(INVARIANTS)
    assert len(INVARIANTS) == 21


def test_a_model_that_keeps_everything_passes(registered):
    registered(Honest)
    assert set(check_model("honest").values()) == {"kept"}


@pytest.mark.parametrize("among", ["itself", pytest.param("all", marks=pytest.mark.slow)])
@pytest.mark.parametrize("invariant", FAULTS)
def test_a_model_that_breaks_an_invariant_is_caught(invariant, among, registered, monkeypatch):
    registered(FAULTS[invariant])
    asked = INVARIANTS if among == "all" else {invariant: INVARIANTS[invariant]}
    monkeypatch.setattr("tsattn.testing.contract.INVARIANTS", asked)
    said = rf"(?s)^honest breaks .* of {len(asked)} invariants.*\n  {invariant}: \S"
    with pytest.raises(AssertionError, match=said) as caught:
        check_model("honest")
    assert "\n  (" not in str(caught.value)  # it claims no exception


@pytest.mark.parametrize(
    ("fault", "invariant", "said"),
    [
        (Honest, "variates", "one variate fewer, though they are read together: the outputs move by .* at most"),
        (spoiled(lambda model, raw, scale, *_: (raw + raw.cumsum(2), scale)), "variates", "permuted variates: "),
        (spoiled(lambda model, raw, scale, *_: (raw + raw.mean(2, keepdim=True), scale)), "variates", "without values: "),
    ],
)
def test_variates_said_to_be_read_together_must_be_and_without_order(fault, invariant, said, registered):
    registered(fault, TogetherConfig)
    with pytest.raises(AssertionError, match=rf"(?s)\n  {invariant}: [^\n]*{said}"):
        check_model("honest")


@pytest.fixture
def excepting(registered, monkeypatch):
    """`excepting(model, {...})` makes it "honest", with these exceptions, and three invariants are all there are."""
    few = {name: INVARIANTS[name] for name in ("batch", "padding", "inference")}
    monkeypatch.setattr("tsattn.testing.contract.INVARIANTS", few)

    def register(model, exceptions):
        registered(type("Excepting", (model,), {"exceptions": exceptions}))

    return register


def test_what_a_model_says_it_does_not_keep_is_not_asked_for(excepting):
    excepting(FAULTS["padding"], {"padding": "it counts rows"})
    assert check_model("honest") == {"batch": "kept", "padding": "it counts rows", "inference": "kept"}


class Speechless(Honest):
    """Without its features it raises a ValueError, of another kind."""

    def forward(self, context, observed, features, num_future):
        if self.num_features and features is None:
            raise ValueError("not enough values to unpack")
        return super().forward(context, observed, features, num_future)


def test_an_error_that_names_no_features_is_no_refusal_of_their_lack(registered):
    registered(Speechless)
    with pytest.raises(AssertionError, match=r"that does not name them: not enough values to unpack$"):
        INVARIANTS["features"](Candidate("honest"))


class Shown(Honest):
    """Draws numbers where it is shown the targets, as it is in training alone."""

    def forward_training(self, context, observed, features, target, target_observed):
        torch.rand(1)
        return self(context, observed, features, target.shape[1])


def test_the_loss_is_that_of_training_where_the_model_is_shown_the_targets(registered):
    registered(Shown)
    with pytest.raises(AssertionError, match="changed: torch's random state"):
        INVARIANTS["global state"](Candidate("honest"))


def test_an_exception_that_the_model_keeps_is_caught_whatever_else_it_breaks(excepting):
    excepting(Honest, {"padding": "it counts rows"})
    with pytest.raises(AssertionError, match=r"(?s)^honest breaks 0 of .*\n  padding: it is kept, so it must not be among"):
        check_model("honest")
    excepting(FAULTS["padding"], {"batch": "none"})
    with pytest.raises(
        AssertionError, match=r"(?s)\n  padding: 1 .*\n  batch: it is kept.*\n  \(batch is not asked for: none\)"
    ):
        check_model("honest")


@pytest.mark.parametrize("reason", ["", "  ", None, True], ids=repr)
def test_an_exception_without_a_reason_is_refused(reason, excepting):
    excepting(FAULTS["padding"], {"padding": reason})
    with pytest.raises(ValueError, match=r"honest: exceptions gives .* for padding: say why it is not kept"):
        check_model("honest")


def test_an_exception_from_what_is_no_invariant_is_refused(excepting):
    excepting(FAULTS["padding"], {"padding": "it counts rows", "paddling": "?"})
    with pytest.raises(ValueError, match="exceptions names 'paddling': choose from batch, padding, inference"):
        check_model("honest")


def test_a_model_that_refuses_without_a_word_is_no_model_that_keeps_everything(excepting):
    def refuse(model, *_):
        raise AssertionError

    excepting(spoiled(refuse), {})
    with pytest.raises(AssertionError, match=r"(?s)^honest breaks 3 of 3 .*\n  padding: AssertionError: "):
        check_model("honest")


def test_names_and_configurations_that_do_not_fit_are_refused(monkeypatch):
    with pytest.raises(ValueError, match=r"'absent' is not in tsattn.models.MODELS: encoder, patch, "):
        check_model("absent")
    monkeypatch.setitem(MODELS, "half", Honest)
    with pytest.raises(ValueError, match=r"'half' is not in tsattn.config.MODEL_CONFIGS: encoder, "):
        check_model("half")
    with pytest.raises(ValueError, match=r"the configuration of 'lstm', not of 'linear'"):
        check_model("linear", config=LSTMConfig())


def test_a_model_that_cannot_be_called_breaks_the_invariants_and_does_not_stop_the_others(registered):
    registered(spoiled(lambda model, raw, scale, *_: raw @ torch.ones(99, 99)))
    with pytest.raises(AssertionError, match=r"(?s)shapes: RuntimeError: .*\n  batch: RuntimeError: "):
        check_model("honest")


def test_numbers_that_differ_are_shown():
    with pytest.raises(AssertionError, match=r"here: 3 where 2\.5 is expected"):
        demand_same(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 2.5]), "here")
    with pytest.raises(AssertionError, match=r"here: nan where 2\.5 is expected"):
        demand_same(torch.tensor([1.0, torch.nan]), torch.tensor([1.0, 2.5]), "here")


WITHOUT_ASSERT = """
import sys, tsattn, tsattn.forecaster
print("tsattn.testing" in sys.modules)
assert False
import random, numpy, torch
from tsattn.models import MODELS
from tsattn.testing import INVARIANTS, Candidate
INVARIANTS["global state"](Candidate("encoder"))
print("encoder keeps global state")

class Drawing(MODELS["linear"]):
    def location(self, z, observed):
        return super().location(z, observed) + random.random() + numpy.random.rand()

MODELS["linear"] = Drawing
try:
    INVARIANTS["global state"](Candidate("linear"))
except AssertionError as problem:
    print("forecast draws:", problem)
"""


@pytest.mark.slow
def test_checks_hold_under_python_without_assert_statements_and_tsattn_does_not_load_them():
    ran = subprocess.run([sys.executable, "-O", "-c", WITHOUT_ASSERT], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [
        "False",
        "encoder keeps global state",
        "forecast draws: changed: the random state of Python, numpy's random state",
    ]
