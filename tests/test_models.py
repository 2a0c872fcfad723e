"""Each architecture beside its equations; what all of them promise is in test_contract.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tsattn import Forecaster
from tsattn.config import (
    ATTENTIONS,
    HEADS,
    MODEL_CONFIGS,
    POSITIONS_OF,
    UNORDERED,
    EncoderDecoderConfig,
    InvertedConfig,
    LinearConfig,
    LSTMConfig,
)
from tsattn.models import MODELS
from tsattn.testing import check_model

LEVELS = [0.1, 0.5, 0.9]
KINDS = [head for head in HEADS if head != "auto"]
NUM_RAW = {"quantile": 3, "negative_binomial": 2, "point": 1}
FEATURES = 2
LENGTH, HORIZON = 20, 6
STACK: dict = {"d_model": 16, "num_layers": 2, "num_heads": 2, "d_ff": 24}
SMALL = {  # a small one of each architecture, and of its variants
    "nlinear": LinearConfig(),
    "dlinear": LinearConfig(kind="dlinear"),
    "lstm": LSTMConfig(patch_length=1, d_model=12, num_layers=2),
    "lstm_patch": LSTMConfig(patch_length=4, d_model=12, num_layers=1),
    "parallel": EncoderDecoderConfig(**STACK, patch_length=4, positional="rotary"),
    "step": EncoderDecoderConfig(**STACK, patch_length=4, positional="rotary", decoding="step"),
    "overlap": EncoderDecoderConfig(
        **STACK, patch_length=4, patch_stride=2, num_decoder_layers=1, positional="rotary", decoding="step"
    ),
    "inverted": InvertedConfig(**STACK),
}


def build(name, *, num_features=0, length=LENGTH, horizon=HORIZON, **changes):
    """A small model in evaluation mode whose random weights are large enough for every influence to show."""
    config = replace(SMALL[name], **{"head": "quantile", **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MODELS[config.name](config, num_features=num_features, context_length=length, horizon=horizon, levels=LEVELS)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def window(*, num_windows=3, length=LENGTH, horizon=HORIZON, num_variates=1, seed=0):
    """Context in eighths (shifts by whole numbers are exact in float32), a mask with gaps, and features of all steps."""
    rng = np.random.default_rng(seed)
    context = torch.from_numpy(rng.integers(20, 160, (num_windows, length, num_variates)) / 8).float()
    observed = torch.from_numpy(rng.random(context.shape) < 0.8)
    observed[:, : max(1, length // 5)] = True  # the first step is observed
    features = torch.from_numpy(rng.uniform(-1, 1, (num_windows, length + horizon, FEATURES))).float()
    return context, observed, features


def forecast(model, context, observed, features=None, horizon=HORIZON):
    """Quantiles [B, H, V, Q] in units of the series."""
    with torch.no_grad():
        raw, scale = model(context, observed, features, horizon)
    return model.head.quantiles(raw, scale)


def raw_outputs(model, context, observed, features=None, horizon=HORIZON):
    with torch.no_grad():
        return model(context, observed, features, horizon)[0]


def assert_same(one, other):
    """Equal up to the order of float32 sums; outputs are of the size of one."""
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def differs(one, other):
    return bool(((one - other).abs() > 1e-2).any())


# ---- every architecture ------------------------------------------------------------------------------------------------


@pytest.mark.slow  # tests/test_contract.py checks the defaults
@pytest.mark.parametrize("name", [name for name in SMALL if name != "nlinear"])
def test_a_small_one_keeps_what_every_architecture_promises(name):
    check_model(SMALL[name].name, config=SMALL[name])


FEW = ("nlinear", "parallel")


@pytest.mark.parametrize("name", [name if name in FEW else pytest.param(name, marks=pytest.mark.slow) for name in SMALL])
def test_a_trained_one_forecasts_the_same_after_saving_and_loading(name, quick, two_waves, answered_by_network, tmp_path):
    forecaster = answered_by_network(Forecaster(config=quick(model=SMALL[name])).fit(two_waves))
    expected = forecaster.predict()
    assert set(expected["model"]) == {"network"}
    assert np.isfinite(expected["forecast"]).all()
    forecaster.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    assert type(loaded.fitted_.network) is MODELS[SMALL[name].name]
    pd.testing.assert_frame_equal(loaded.predict(two_waves), expected)


@pytest.mark.parametrize("name", [name for name in SMALL if "linear" not in name])
def test_sizes_that_are_not_decided_are_refused(name):
    with pytest.raises(ValueError, match="must be decided before it is built"):
        MODELS[SMALL[name].name](type(SMALL[name])(head="point"), num_features=0, context_length=8, horizon=4, levels=LEVELS)


# ---- linear ------------------------------------------------------------------------------------------------------------


def test_nlinear_maps_the_changes_from_the_last_observed_value():
    model = build("nlinear", scaling="last", head="point", length=4, horizon=2)
    context = torch.tensor([3.0, 7.0, 5.0, 99.0])[None, :, None]
    observed = torch.tensor([True, True, True, False])[None, :, None]
    weight, bias = model.values.weight.detach().tolist(), model.values.bias.detach().tolist()
    spread = np.std([3.0, 7.0, 5.0])
    changes = np.array([-2.0, 2.0, 0.0, 0.0]) / spread
    expected = [5 + spread * (np.dot(weight[h], changes) + bias[h]) for h in range(2)]
    assert forecast(model, context, observed, horizon=2)[0, :, 0, 1].tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("length", [3, 40])
def test_dlinear_maps_trend_and_remainder_apart(length):
    model = build("dlinear", scaling="standard", head="point", length=length, horizon=2)
    x = np.random.default_rng(0).normal(10, 2, length)
    context = torch.from_numpy(x).float()[None, :, None]
    z = (x - x.mean()) / x.std()
    trend = [np.mean([z[min(max(i + k, 0), length - 1)] for k in range(-12, 13)]) for i in range(length)]
    parts = {name: part.detach().double().numpy() for name, part in model.named_parameters()}
    expected = parts["trend.weight"] @ trend + parts["trend.bias"] + parts["values.weight"] @ (z - trend) + parts["values.bias"]
    raw = raw_outputs(model, context, torch.ones_like(context, dtype=torch.bool), horizon=2)
    np.testing.assert_allclose(raw[0, :, 0, 0], expected, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_spread_of_a_linear_model_is_free_per_step_and_alike_for_all_windows(kind):
    model = build("nlinear", head=kind)
    context, observed, _ = window()
    raw = raw_outputs(model, context, observed)
    others = torch.cat([raw[..., : model.head.location], raw[..., model.head.location + 1 :]], dim=-1)
    assert others.shape[-1] == NUM_RAW[kind] - 1
    assert (others == others[:1]).all()
    assert kind == "point" or differs(others[:, 0], others[:, 1])
    assert differs(raw[0, :, 0, model.head.location], raw[1, :, 0, model.head.location])


def test_a_linear_model_begins_without_features_and_with_the_spread_of_a_head():
    with torch.random.fork_rng(devices=[]):
        model = MODELS["linear"](LinearConfig(head="quantile"), num_features=2, context_length=9, horizon=3, levels=LEVELS)
    assert not model.features.weight.any()
    assert not model.others.any()
    assert model.values.weight.abs().max() <= 1 / 3  # uniform in +- 1 / sqrt(9)


@pytest.mark.parametrize("name", ["nlinear", "dlinear"])
def test_a_linear_model_refuses_other_lengths_than_its_own(name):
    model = build(name)
    for length in (LENGTH - 1, LENGTH + 1):
        with pytest.raises(ValueError, match=f"reads the {LENGTH} steps it was built for, not {length}"):
            raw_outputs(model, *window(length=length)[:2])
    with pytest.raises(ValueError, match=f"at most the {HORIZON} steps it was built for, not {HORIZON + 1}"):
        raw_outputs(model, *window()[:2], horizon=HORIZON + 1)


def test_a_kind_of_linear_model_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"model.kind='linear' is not known: choose one of nlinear, dlinear"):
        LinearConfig(kind="linear")


# ---- LSTM --------------------------------------------------------------------------------------------------------------


def test_the_state_of_the_recurrent_net_carries_the_past_to_every_future_step_and_nothing_back():
    model = build("lstm", num_features=FEATURES)
    context, observed, features = window()
    expected = raw_outputs(model, context, observed, features)
    for step in range(HORIZON):
        changed = features.clone()
        changed[:, LENGTH + step] += 3.0
        result = raw_outputs(model, context, observed, changed)
        assert torch.equal(result[:, :step], expected[:, :step])
        assert differs(result[:, step], expected[:, step])
    assert_same(raw_outputs(model, context, observed, features[:, : LENGTH + 2], 2), expected[:, :2])


def test_the_recurrent_net_equals_its_equations_step_by_step():
    """i, f, o = sigmoid, g = tanh of W x + U h + b; c = f c + i g; h = o tanh(c) (Hochreiter & Schmidhuber 1997, Gers 2000)."""
    model = build("lstm", num_layers=1, head="point", scaling="standard")
    context, observed, _ = window(num_windows=1, length=5)
    parts = {name: part.detach().double().numpy() for name, part in model.named_parameters()}
    x = context[0, :, 0].double().numpy()
    seen = observed[0, :, 0].numpy()
    z = np.where(seen, (x - x[seen].mean()) / x[seen].std(), 0.0)
    past = np.stack([z, seen], axis=1) @ parts["embedding.values.weight"].T + parts["embedding.values.bias"]
    state, cell, expected = np.zeros(12), np.zeros(12), []
    for token in [*past, *[parts["embedding.future"]] * HORIZON]:
        gates = parts["lstm.weight_ih_l0"] @ token + parts["lstm.weight_hh_l0"] @ state
        gates += parts["lstm.bias_ih_l0"] + parts["lstm.bias_hh_l0"]
        i, f, o = (1 / (1 + np.exp(-gates[part])) for part in (slice(0, 12), slice(12, 24), slice(36, 48)))
        cell = f * cell + i * np.tanh(gates[24:36])
        state = o * np.tanh(cell)
        expected.append(parts["head.linear.weight"] @ state + parts["head.linear.bias"])
    raw = raw_outputs(model, context, observed)
    np.testing.assert_allclose(raw[0, :, 0], expected[-HORIZON:], atol=1e-4)


# ---- encoder and decoder -----------------------------------------------------------------------------------------------


def targets(horizon=HORIZON, num_variates=1):
    """Targets with gaps, and which of them are observed."""
    rng = np.random.default_rng(5)
    target = torch.from_numpy(rng.integers(20, 160, (3, horizon, num_variates)) / 8).float()
    return target, torch.from_numpy(rng.random(target.shape) < 0.7)


def taught(model, context, observed, features, target, known):
    with torch.no_grad():
        return model.forward_training(context, observed, features, target, known)[0]


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("decoding", ["parallel", "step"])
def test_every_attention_goes_with_its_position_codes_in_encoder_and_decoder(attention, decoding):
    context, observed, features = window(num_variates=2)
    for positional in POSITIONS_OF[attention]:
        model = build(
            decoding, num_features=FEATURES, attention=attention, attention_window=2, positional=positional, patch_length=2
        )
        whole = raw_outputs(model, context, observed, features)
        assert whole.isfinite().all()
        moved = context.clone()
        moved[:, :2] += 50.0  # the first token, seen by every future one through the memory
        assert differs(raw_outputs(model, moved, observed, features)[:, -1], whole[:, -1]), positional


def test_a_pair_that_does_not_go_together_is_refused_with_the_table():
    with pytest.raises(ValueError, match=r"model.attention=additive cannot use model.positional=rotary. What works: full: "):
        EncoderDecoderConfig(attention="additive", positional="rotary")
    with pytest.raises(ValueError, match=r"model.decoding='greedy' is not known: choose one of parallel, step"):
        EncoderDecoderConfig(decoding="greedy")


@pytest.mark.parametrize(("patch_length", "stride"), [(1, 1), (4, 4), (5, 5), (4, 2), (5, 3)])
def test_a_taught_decoder_sees_targets_only_before_the_token(patch_length, stride):
    model = build("step", num_features=FEATURES, patch_length=patch_length, patch_stride=stride, horizon=12)
    context, observed, features = window(horizon=12)
    target, known = targets(12)
    expected = taught(model, context, observed, features, target, known)
    for step in range(12):
        changed, seen = target.clone(), known.clone()
        changed[:, step] += 25.0
        seen[:, step] = True
        result = taught(model, context, observed, features, changed, seen)
        after = (step // stride + 1) * stride
        assert torch.equal(result[:, :after], expected[:, :after])
        assert after >= 12 or differs(result[:, after:], expected[:, after:])
        changed[:, step] = torch.nan
        seen[:, step] = False
        assert taught(model, context, observed, features, changed, seen).isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stride", [4, 2])
@pytest.mark.parametrize("positional", POSITIONS_OF["full"])
def test_taught_by_its_own_forecast_the_decoder_makes_it_again(kind, stride, positional):
    changes = {"head": kind, "positional": positional, "scaling": "standard", "horizon": 10, "patch_stride": stride}
    model = build("step", num_features=FEATURES, **changes)
    context, observed, features = window(num_variates=2, horizon=10)
    with torch.no_grad():
        raw, scale = model(context, observed, features, 10)
        own = model.head.centre(raw, scale).double() * scale.scale + scale.loc
        again = taught(model, context, observed, features, own.float(), torch.ones_like(own, dtype=torch.bool))
    torch.testing.assert_close(again, raw, rtol=1e-3, atol=1e-3)  # the forecast is rounded to float32 in between
    moved = taught(model, context, observed, features, own.float() + 20, torch.ones_like(own, dtype=torch.bool))
    assert differs(moved[:, stride:], raw[:, stride:])
    assert_same(moved[:, :stride], raw[:, :stride])  # the first token is shown the context alone


@pytest.mark.parametrize("kind", ["quantile", "point"])
def test_what_is_fed_back_is_the_median(kind):
    model = build("step", head=kind, scaling="standard")
    context, observed, _ = window()
    with torch.no_grad():
        raw, scale = model(context, observed, None, HORIZON)
        fed = model.head.centre(raw, scale).double() * scale.scale + scale.loc
    torch.testing.assert_close(fed, model.head.quantiles(raw, scale)[..., 1])


def test_what_is_fed_back_of_counts_is_their_mean():
    model = build("step", head="negative_binomial", scaling="arcsinh")
    context, observed, _ = window()
    with torch.no_grad():
        raw, scale = model(context, observed, None, HORIZON)
        fed = torch.sinh(model.head.centre(raw, scale).double()) * scale.scale + scale.loc
        torch.testing.assert_close(fed, model.head.mean(raw, scale), rtol=1e-4, atol=1e-4)


def test_the_decoder_has_as_many_layers_as_it_is_given_and_those_of_the_encoder_where_nothing_is_said():
    assert [len(build("overlap").encoder), len(build("overlap").decoder)] == [2, 1]
    assert [len(build("step").encoder), len(build("step").decoder)] == [2, 2]


def test_decoding_in_parallel_needs_no_target():
    model = build("parallel", num_features=FEATURES)
    context, observed, features = window()
    shown = taught(model, context, observed, features, *targets())
    assert torch.equal(shown, raw_outputs(model, context, observed, features))


@pytest.mark.parametrize("name", ["parallel", "step"])
@pytest.mark.parametrize("positional", POSITIONS_OF["full"])
@pytest.mark.parametrize("num_more", [1, 4, 11])
def test_unobserved_steps_in_front_have_no_influence(name, positional, num_more):
    model = build(name, num_features=FEATURES, positional=positional, length=64)
    context, observed, features = window(length=18)
    features[..., 0] = torch.arange(18.0 + HORIZON)  # positional=calendar: the time in steps
    expected = raw_outputs(model, context, observed, features)
    padding = torch.full((3, num_more, 1), 77.0)
    hidden = torch.cat([torch.zeros_like(padding, dtype=torch.bool), observed], 1)
    before = torch.cat([torch.arange(-num_more, 0.0)[None, :, None].expand(3, -1, 1), torch.rand(3, num_more, 1)], 2)
    longer = torch.cat([padding, context], 1), hidden, torch.cat([before, features], 1)
    assert_same(raw_outputs(model, *longer), expected)


def test_training_shows_targets_and_validation_does_not(monkeypatch, quick, two_waves):
    used = []
    for name in ("forward_training", "step_by_step"):
        original = getattr(MODELS["encoder_decoder"], name)

        def noted(model, *given, original=original, name=name):
            used.append((name, model.training))
            return original(model, *given)

        monkeypatch.setattr(MODELS["encoder_decoder"], name, noted)
    Forecaster(config=quick(model=SMALL["step"], trainer={"max_steps": 2, "validate_every": 1})).fit(two_waves)
    assert {name for name, training in used if training} == {"forward_training"}
    assert {name for name, training in used if not training} == {"step_by_step"}


# ---- inverted ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attention", UNORDERED)
def test_permuting_the_variates_permutes_their_forecasts(attention):
    model = build("inverted", num_features=FEATURES, attention=attention)
    context, observed, features = window(num_variates=7)
    expected = raw_outputs(model, context, observed, features)
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    assert_same(raw_outputs(model, context[..., order], observed[..., order], features), expected[:, :, order])
    assert differs(expected[:, :, 0], expected[:, :, 1])


@pytest.mark.parametrize("attention", UNORDERED)
def test_a_variate_without_values_changes_nothing_for_the_others_and_one_with_values_does(attention):
    model = build("inverted", num_features=FEATURES, attention=attention)
    context, observed, features = window(num_variates=4)
    alone = raw_outputs(model, context[..., :3], observed[..., :3], features)
    observed[..., 3] = False
    context[..., 3] = torch.nan
    padded = raw_outputs(model, context, observed, features)
    assert padded.isfinite().all()
    assert_same(padded[:, :, :3], alone)
    observed[..., 3], context[..., 3] = True, torch.arange(LENGTH).float()
    assert differs(raw_outputs(model, context, observed, features)[:, :, :3], alone)


def test_an_order_of_variates_is_not_pretended():
    for attention in ("causal", "local"):
        with pytest.raises(ValueError, match=rf"model.attention={attention} goes by the order of tokens.*choose one of full, "):
            InvertedConfig(attention=attention)
    with pytest.raises(ValueError, match=r"model.attention=.some. is not known"):
        InvertedConfig(attention="some")


def test_an_inverted_model_refuses_other_lengths_than_its_own():
    model = build("inverted")
    with pytest.raises(ValueError, match=f"reads the {LENGTH} steps it was built for, not {LENGTH + 1}"):
        raw_outputs(model, *window(length=LENGTH + 1)[:2])
    with pytest.raises(ValueError, match=f"at most the {HORIZON} steps it was built for, not {HORIZON + 1}"):
        raw_outputs(model, *window()[:2], horizon=HORIZON + 1)


def test_only_the_inverted_model_is_given_all_series_at_once():
    assert [name for name, schema in MODEL_CONFIGS.items() if schema.together] == ["inverted"]
