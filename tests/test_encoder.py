"""The encoder: what its forecasts depend on, and what they must not depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch.utils._python_dispatch import TorchDispatchMode

from tsattn.config import HEADS, POSITIONALS, POSITIONS_OF, SCALINGS, EncoderConfig
from tsattn.models import MODELS
from tsattn.models.encoder import Encoder
from tsattn.nn.tokens import to_patches

LEVELS = [0.1, 0.5, 0.9]
KINDS = [head for head in HEADS if head != "auto"]
FEATURES = 2
LENGTH, HORIZON = 20, 6
PAIRS = [(attention, code) for attention, codes in POSITIONS_OF.items() for code in codes]


def build(*, num_features=0, context_length=64, horizon=16, **changes):
    """A small encoder in evaluation mode whose random weights are large enough for every influence to show."""
    sizes = {
        "patch_length": 4,
        "d_model": 16,
        "num_layers": 2,
        "num_heads": 2,
        "d_ff": 24,
        "head": "quantile",
        "positional": "rotary",
    }
    config = EncoderConfig(**{**sizes, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Encoder(config, num_features=num_features, context_length=context_length, horizon=horizon, levels=LEVELS)
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


# ---- shapes and finiteness ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("patch_length", [1, 4, 7, 16])
@pytest.mark.parametrize(("length", "horizon"), [(1, 1), (5, 3), (17, 9), (32, 16), (64, 7)])
def test_any_context_and_horizon_give_one_output_per_step_and_variate(kind, patch_length, length, horizon):
    model = build(num_features=FEATURES, patch_length=patch_length, head=kind)
    context, observed, features = window(num_windows=2, length=length, horizon=horizon, num_variates=3)
    raw = raw_outputs(model, context, observed, features, horizon)
    assert raw.shape == (2, horizon, 3, {"quantile": 3, "negative_binomial": 2, "point": 1}[kind])
    quantiles = forecast(model, context, observed, features, horizon)
    assert quantiles.shape == (2, horizon, 3, 3)
    assert quantiles.isfinite().all()
    assert (quantiles.diff(dim=-1) >= 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scaling", SCALINGS)
def test_forecasts_of_degenerate_contexts_are_finite(kind, scaling):
    steps = torch.arange(10.0)
    rows = [steps * 0 + 5, steps * 0, steps * 0 - 3, 1e9 + 128 * steps, 1e30 * steps, 1e-30 * steps, steps, steps]
    context = torch.stack(rows)[..., None]
    observed = torch.ones_like(context, dtype=torch.bool)
    observed[-1] = False
    observed[-2, 1::2] = False
    context = context.where(observed, torch.nan)
    model = build(head=kind, scaling=scaling)
    quantiles = forecast(model, context, observed)
    assert quantiles.isfinite().all()
    with torch.no_grad():
        raw, scale = model(context, observed, None, HORIZON)
    assert model.head.mean(raw, scale).isfinite().all()
    target = context[:, :HORIZON].clamp(min=0).round()  # counts
    assert model.head.loss(raw, target, observed[:, :HORIZON], scale).isfinite()


@pytest.mark.parametrize("name", ["encoder", "patch"])
def test_every_named_model_is_built_from_its_configuration(name):
    config = EncoderConfig(patch_length=2, d_model=8, num_layers=1, num_heads=1, d_ff=8, head="point", positional="rotary")
    model = MODELS[name](config, num_features=0, context_length=8, horizon=4, levels=LEVELS).eval()
    context, observed, _ = window(length=8)
    assert forecast(model, context, observed, horizon=4).shape == (3, 4, 1, 3)


def test_sizes_that_are_not_decided_are_refused():
    sized = EncoderConfig(patch_length=2, d_model=8, num_layers=1, num_heads=1, d_ff=8, head="point")
    for config in (EncoderConfig(head="point", positional="rotary"), sized):
        with pytest.raises(ValueError, match="must be decided before it is built"):
            Encoder(config, num_features=0, context_length=8, horizon=4, levels=LEVELS)


# ---- what must have no influence ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("attention", "positional"), PAIRS)
@pytest.mark.parametrize("num_more", [1, 4, 11])
def test_unobserved_steps_in_front_have_no_influence(attention, positional, num_more):
    model = build(num_features=FEATURES, positional=positional, attention=attention, attention_window=3)
    context, observed, features = window(length=18)
    expected = raw_outputs(model, context, observed, features)
    padding = torch.full((3, num_more, 1), 77.0)
    longer, more_features = torch.cat([padding, context], 1), torch.cat([torch.rand(3, num_more, FEATURES), features], 1)
    hidden = torch.cat([torch.zeros_like(padding, dtype=torch.bool), observed], 1)
    assert_same(raw_outputs(model, longer, hidden, more_features), expected)
    seen = torch.cat([torch.ones_like(padding, dtype=torch.bool), observed], 1)
    assert differs(raw_outputs(model, longer, seen, more_features), expected)


@pytest.mark.parametrize("positional", ["sinusoidal", "learned", "rotary"])
def test_a_token_has_the_same_position_whatever_the_length_of_the_context(positional):
    model, codes = build(positional=positional), []
    model.blocks[0].register_forward_pre_hook(lambda block, inputs: codes.append(inputs))
    context, observed, _ = window(num_windows=1, length=16)
    nothing = torch.zeros(1, 8, 1)
    raw_outputs(model, context, observed)
    raw_outputs(model, torch.cat([nothing, context], 1), torch.cat([nothing.bool(), observed], 1))
    (short, _, (short_angles, _)), (long, _, (long_angles, _)) = codes
    assert (short.shape[1], long.shape[1]) == (6, 8)
    assert_same(long[:, 2:], short)
    assert differs(long[:, 1:-1], short)
    if positional == "rotary":
        for turned, expected in zip(long_angles, short_angles, strict=True):
            assert torch.equal(turned[2:], expected)
    else:
        assert short_angles is None


@pytest.mark.parametrize("scaling", SCALINGS)
def test_batch_mates_have_no_influence_and_their_order_only_permutes(scaling):
    model = build(num_features=FEATURES, scaling=scaling)
    context, observed, features = window(num_windows=4)
    expected = raw_outputs(model, context, observed, features)
    order = torch.tensor([2, 0, 3, 1])
    assert_same(raw_outputs(model, context[order], observed[order], features[order]), expected[order])
    for b in range(4):
        assert_same(raw_outputs(model, context[b, None], observed[b, None], features[b, None]), expected[b, None])
    other = context.clone()
    other[1:] = 1e9
    assert_same(raw_outputs(model, other, observed, features)[:1], expected[:1])
    assert differs(expected[0], expected[1])


def test_each_variate_is_forecast_as_if_it_were_alone():
    model = build(num_features=FEATURES)
    context, observed, features = window(num_variates=3)
    observed[:, :3, 1] = False  # this one begins later
    together = raw_outputs(model, context, observed, features)
    for v in range(3):
        alone = raw_outputs(model, context[..., v, None], observed[..., v, None], features)
        assert_same(together[:, :, v, None], alone)
    changed = context.clone()
    changed[..., 1] *= -3
    moved = raw_outputs(model, changed, observed, features)
    assert_same(moved[:, :, [0, 2]], together[:, :, [0, 2]])
    assert differs(moved[:, :, 1], together[:, :, 1])


@pytest.mark.parametrize("stored", [-1e6, 1e30, float("nan"), float("inf")])
@pytest.mark.parametrize("patch_length", [1, 4])
def test_the_number_stored_for_a_missing_value_has_no_influence(stored, patch_length):
    model = build(patch_length=patch_length)
    context, observed, _ = window()
    expected = raw_outputs(model, context, observed)
    assert not observed.all()
    assert torch.equal(raw_outputs(model, context.where(observed, stored), observed), expected)
    assert differs(raw_outputs(model, context, torch.ones_like(observed)), expected)


def test_a_missing_value_within_a_patch_is_marked_and_a_patch_without_values_is_hidden():
    model, (context, observed, _) = build(patch_length=4, scaling="standard"), window(num_windows=1, length=12)
    observed[:] = True
    observed[0, 4:8] = False  # the second of three patches
    observed[0, 11] = False
    patches = to_patches(context, observed, scaling="standard", patch_length=4)
    tokens = model.embedding(patches, None, HORIZON)
    assert patches.z[0, 1].tolist() == [0.0] * 4
    assert tokens.valid.tolist() == [[True, False, True, True, True]]
    filled = model.embedding(patches._replace(seen=torch.ones_like(patches.seen)), None, HORIZON)
    assert differs(tokens.x[:, 2], filled.x[:, 2])
    assert torch.equal(tokens.x[:, 0], filled.x[:, 0])


# ---- unit and origin ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["quantile", "point"])
@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize(("factor", "shift"), [(1e-6, 0.0), (1e6, 0.0), (1.0, 1000.0), (1.0, -1000.0)])
def test_forecasts_follow_the_unit_and_the_origin_of_the_values(kind, scaling, factor, shift):
    model = build(head=kind, scaling=scaling, num_features=FEATURES)
    context, observed, features = window()
    expected = factor * forecast(model, context, observed, features) + shift
    result = forecast(model, factor * context + shift, observed, features)
    tolerance = 1e-4 * factor * 10  # spreads are about 5
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=tolerance)


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e6])
def test_forecasts_of_a_constant_follow_its_unit(factor):
    model = build()
    context = torch.full((1, 12, 1), 7.0)
    expected = factor * forecast(model, context, torch.ones(1, 12, 1, dtype=torch.bool))
    result = forecast(model, factor * context, torch.ones(1, 12, 1, dtype=torch.bool))
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=0)


# ---- masks and future tokens -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("patch_length", [1, 4])
def test_with_causal_attention_nothing_known_of_a_future_step_changes_outputs_before_its_token(patch_length):
    model = build(attention="causal", num_features=FEATURES, patch_length=patch_length)
    context, observed, features = window(length=20, horizon=12)
    expected = raw_outputs(model, context, observed, features, 12)
    for step in range(12):
        changed = features.clone()
        changed[:, 20 + step] += 3.0
        result = raw_outputs(model, context, observed, changed, 12)
        first = step // patch_length * patch_length
        assert torch.equal(result[:, :first], expected[:, :first])
        assert differs(result[:, first : first + patch_length], expected[:, first : first + patch_length])
        assert first + patch_length == 12 or differs(result[:, first + patch_length :], expected[:, first + patch_length :])


def test_with_full_attention_what_is_known_of_the_last_future_step_changes_the_first_output():
    model = build(attention="full", num_features=FEATURES)
    context, observed, features = window(horizon=12)
    changed = features.clone()
    changed[:, -1] += 3.0
    before, after = (raw_outputs(model, context, observed, known, 12) for known in (features, changed))
    assert differs(before[:, :1], after[:, :1])


def test_with_local_attention_one_layer_sees_only_the_own_block_and_the_one_before():
    model = build(attention="local", attention_window=4, num_layers=1, num_features=FEATURES, patch_length=1)
    torch.nn.init.zeros_(model.copy.key.weight)  # copying sees the whole context, whatever the blocks see: all alike here
    context, observed, features = window(length=10)
    observed[:] = True
    expected = raw_outputs(model, context, observed, features)
    for token in range(10 + HORIZON):
        changed = features.clone()
        changed[:, token] += 3.0
        result = raw_outputs(model, context, observed, changed)
        for step in range(HORIZON):
            if (10 + step) // 4 - token // 4 in (0, 1):  # 16 tokens: four blocks of 4
                assert differs(result[:, step], expected[:, step])
            else:
                assert torch.equal(result[:, step], expected[:, step])


@pytest.mark.parametrize("positional", POSITIONALS)
def test_a_shorter_horizon_is_a_prefix_with_causal_attention(positional):
    model = build(attention="causal", num_features=FEATURES, positional=positional)
    context, observed, features = window(horizon=12)
    whole = raw_outputs(model, context, observed, features, 12)
    for horizon in (4, 8):  # whole patches; features of the rest of a last patch would be missing
        known = features[:, : LENGTH + horizon]
        assert_same(raw_outputs(model, context, observed, known, horizon), whole[:, :horizon])


def test_a_shorter_horizon_with_full_attention_is_a_prefix_only_as_far_as_the_future_tokens_are_the_same():
    """Future tokens see each other: with fewer of them the values change, so callers ask for the trained horizon and slice."""
    model, (context, observed, _) = build(attention="full"), window()
    whole = raw_outputs(model, context, observed, None, 12)
    for horizon in (9, 10, 11):  # three tokens, as for 12
        assert torch.equal(raw_outputs(model, context, observed, None, horizon), whole[:, :horizon])
    assert differs(raw_outputs(model, context, observed, None, 8), whole[:, :8])


# ---- features, positions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [LENGTH - 1, LENGTH, LENGTH + HORIZON - 1])
def test_features_of_the_past_and_of_the_future_change_the_output(step):
    model = build(num_features=FEATURES)
    context, observed, features = window()
    observed[:, -1] = True
    changed = features.clone()
    changed[:, step] += 1.0
    assert differs(raw_outputs(model, context, observed, changed), raw_outputs(model, context, observed, features))


def test_missing_features_are_an_error_that_says_what_is_missing():
    context, observed, _ = window()
    with pytest.raises(ValueError, match="trained with calendar features and needs them"):
        raw_outputs(build(num_features=FEATURES), context, observed, None)


def test_learned_positions_refuse_a_longer_context_and_a_longer_horizon_by_name():
    model = build(positional="learned", context_length=20, horizon=8)
    context, observed, _ = window(length=21)
    with pytest.raises(ValueError, match="learned knows 5 context tokens and 2 future tokens, asked for 6 and 2"):
        raw_outputs(model, context, observed)
    with pytest.raises(ValueError, match="learned knows 5 context tokens and 2 future tokens, asked for 5 and 3"):
        raw_outputs(model, context[:, :20], observed[:, :20], None, 9)
    assert raw_outputs(model, context[:, :20], observed[:, :20], None, 8).shape[1] == 8


@pytest.mark.parametrize(("attention", "positional"), [pair for pair in PAIRS if pair[1] != "learned"])
def test_other_positions_take_any_length(attention, positional):
    model = build(attention=attention, positional=positional, context_length=20, horizon=8, num_features=FEATURES)
    context, observed, features = window(length=100, horizon=30)
    assert raw_outputs(model, context, observed, features, 30).isfinite().all()


@pytest.mark.parametrize("positional", POSITIONALS)
def test_only_a_position_code_tells_the_order_of_the_patches(positional):
    model = build(positional=positional, scaling="standard", num_features=int(positional == "calendar"))
    context, observed, _ = window(length=16)
    time = torch.arange(16.0 + HORIZON).expand(3, -1)[..., None] if positional == "calendar" else None
    order = [*range(4, 12), *range(4), *range(12, 16)]  # the last patch, from which the forecast starts, stays the last
    swapped = context[:, order], observed[:, order]
    one, other = raw_outputs(model, context, observed, time), raw_outputs(model, *swapped, time)
    if positional == "none":
        assert_same(one, other)
    else:
        assert differs(one, other)


# ---- real time: positional=calendar -----------------------------------------------------------------------------------


def gappy():
    """Windows of 24 rows, the elapsed time and one feature of each step, and the places of 15 of them that are there."""
    context, _, features = window(num_windows=2, length=24)
    features[..., 0] = torch.arange(24 + HORIZON) + 100.0
    return context, features, torch.tensor([0, 1, 2, 5, 6, 7, 8, 13, 14, 15, 16, 17, 20, 22, 23])


@pytest.mark.parametrize("attention", ["full", "causal", "additive", "prob_sparse", "linear"])
def test_absent_rows_give_the_forecast_of_rows_that_are_there_and_missing(attention):
    model = build(positional="calendar", patch_length=1, attention=attention, num_features=FEATURES)
    context, features, there = gappy()
    observed = torch.zeros_like(context, dtype=torch.bool)
    observed[:, there] = True
    masked = raw_outputs(model, context, observed, features)
    ahead = torch.arange(24, 24 + HORIZON)
    dropped = raw_outputs(model, context[:, there], observed[:, there], features[:, torch.cat([there, ahead])])
    assert_same(dropped, masked)
    closed = features[:, torch.cat([there, ahead])]
    closed[..., 0] = torch.arange(len(there) + HORIZON) + 100.0  # as if there had been no gaps
    assert differs(raw_outputs(model, context[:, there], observed[:, there], closed), masked)


def test_tokens_of_rows_that_are_there_do_not_depend_on_how_the_others_are_absent():
    model = build(positional="calendar", patch_length=1, num_features=FEATURES)
    context, features, there = gappy()
    observed = torch.zeros_like(context, dtype=torch.bool)
    observed[:, there] = True
    ahead = torch.arange(24, 24 + HORIZON)
    grid = to_patches(context, observed, scaling="standard", patch_length=1)
    rows = to_patches(context[:, there], observed[:, there], scaling="standard", patch_length=1)
    with torch.no_grad():
        masked = model.embedding(grid, features, HORIZON)
        dropped = model.embedding(rows, features[:, torch.cat([there, ahead])], HORIZON)
    assert torch.equal(dropped.x, masked.x[:, torch.cat([there, ahead])])
    assert dropped.valid.all()


@pytest.mark.parametrize("patch_length", [1, 4])
@pytest.mark.parametrize("shift", [-5000.0, 1.0, 730.0])
def test_elapsed_time_may_be_counted_from_anywhere(patch_length, shift):
    model = build(positional="calendar", patch_length=patch_length, num_features=FEATURES)
    context, observed, features = window()
    features[..., 0] = torch.arange(LENGTH + HORIZON) * 1.5
    expected = raw_outputs(model, context, observed, features)
    moved, stretched = features.clone(), features.clone()
    moved[..., 0] += shift
    stretched[..., 0] *= 1.25
    assert torch.equal(raw_outputs(model, context, observed, moved), expected)
    assert differs(raw_outputs(model, context, observed, stretched), expected)


def test_a_model_of_elapsed_time_without_that_feature_is_refused():
    with pytest.raises(ValueError, match="positional=calendar needs a first feature that holds the time of each step"):
        build(positional="calendar")
    context, observed, features = window()
    for num_features in (1, FEATURES):
        model = build(positional="calendar", num_features=num_features)
        with pytest.raises(ValueError, match="trained with calendar features and needs them"):
            raw_outputs(model, context, observed, None)
        assert raw_outputs(model, context, observed, features[..., :num_features]).isfinite().all()


# ---- training and saving -----------------------------------------------------------------------------------------------


def test_dropout_acts_in_training_only():
    model = build(dropout=0.5)
    context, observed, _ = window()
    assert torch.equal(raw_outputs(model, context, observed), raw_outputs(model, context, observed))
    model.train()
    assert differs(raw_outputs(model, context, observed), raw_outputs(model, context, observed))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("attention", "positional"), PAIRS)
def test_gradients_reach_every_parameter(kind, attention, positional):
    model = build(head=kind, attention=attention, positional=positional, num_features=FEATURES).train()
    context, observed, features = window()
    raw, scale = model(context, observed, features, HORIZON)
    target = context[:, :HORIZON].round()
    model.head.loss(raw, target, torch.ones_like(target, dtype=torch.bool), scale).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_weights_and_intervals_give_the_same_forecast_to_the_bit(kind):
    model, (context, observed, features) = build(head=kind, num_features=FEATURES, positional="learned"), window()
    with torch.no_grad():
        raw, scale = model(context, observed, features, HORIZON)
    held_out = 3 * context[:, :HORIZON].round()
    model.head.calibrate(raw, held_out, torch.ones_like(held_out, dtype=torch.bool), scale)
    other = build(head=kind, num_features=FEATURES, positional="learned")
    expected = forecast(model, context, observed, features)
    assert not torch.equal(forecast(other, context, observed, features), expected)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other.load_state_dict(load(save(model.state_dict())))
    assert torch.equal(forecast(other, context, observed, features), expected)


def test_the_encoder_is_the_written_out_stack_of_its_own_parts():
    """One window, one layer, a token per step, by hand from the weights."""
    model = build(patch_length=1, num_layers=1, num_heads=1, positional="sinusoidal", scaling="standard", head="point")
    y = torch.tensor([3.0, 5.0, 4.0, 8.0], dtype=torch.float64)
    raw = raw_outputs(model, y[None, :, None].float(), torch.ones(1, 4, 1, dtype=torch.bool), None, 2)
    weights = {name: value.double() for name, value in model.state_dict().items()}
    z = (y - y.mean()) / y.std(correction=0)
    tokens = []
    for n, position in enumerate(range(-4, 2)):
        if position < 0:
            token = (
                weights["embedding.values.weight"] @ torch.tensor([float(z[n]), 1.0]).double()
                + weights["embedding.values.bias"]
            )
        else:
            token = weights["embedding.future"]
        code = [(math.sin, math.cos)[i % 2](position / 10_000 ** (i // 2 * 2 / 16)) for i in range(16)]
        tokens.append(token + torch.tensor(code, dtype=torch.float64))

    def norm(x, name):
        return torch.nn.functional.layer_norm(x, (16,), weights[f"{name}.weight"], weights[f"{name}.bias"])

    x = before = torch.stack(tokens)
    q, k, v = (norm(x, "blocks.0.norm_attention") @ weights["blocks.0.attention.qkv.weight"].T).chunk(3, dim=-1)
    x = x + torch.softmax(q @ k.T / 4, dim=-1) @ v @ weights["blocks.0.attention.out.weight"].T
    name = "blocks.0.feed_forward"
    hidden = norm(x, "blocks.0.norm_feed_forward") @ weights[f"{name}.widen.weight"].T + weights[f"{name}.widen.bias"]
    x = x + torch.nn.functional.gelu(hidden) @ weights[f"{name}.narrow.weight"].T + weights[f"{name}.narrow.bias"]
    future = norm(x[-2:], "norm")
    expected = future @ weights["head.linear.weight"].T + weights["head.linear.bias"]
    asked, keys = future @ weights["copy.query.weight"].T, norm(before[:4], "norm") @ weights["copy.key.weight"].T
    copied = torch.softmax(asked @ keys.T / 4, dim=-1) @ z[:, None]
    share = torch.softmax(future @ weights["copy.mix.weight"].T + weights["copy.mix.bias"], dim=-1)
    expected = expected + share[:, :1] * copied + share[:, 1:2] * z[-1]
    assert_same(raw[0, :, 0].double(), expected)


# ---- patches that overlap ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("length", "horizon"), [(1, 1), (5, 3), (17, 9), (64, 16)])
def test_with_a_stride_any_context_and_horizon_give_one_output_per_step(kind, length, horizon):
    model = build(head=kind, patch_length=5, patch_stride=2, positional="learned")  # as many positions as there are tokens
    context, observed, _ = window(length=length, horizon=horizon)
    raw = raw_outputs(model, context, observed, horizon=horizon)
    assert raw.shape == (3, horizon, 1, model.head.num_raw)
    assert raw.isfinite().all()
    padded = torch.nn.functional.pad(context, (0, 0, 4, 0)), torch.nn.functional.pad(observed, (0, 0, 4, 0))
    if length < 60:
        assert_same(raw_outputs(model, *padded, horizon=horizon), raw)


def test_a_stride_as_long_as_the_patch_changes_nothing():
    context, observed, features = window()
    expected = raw_outputs(build(num_features=FEATURES), context, observed, features)
    assert torch.equal(raw_outputs(build(num_features=FEATURES, patch_stride=4), context, observed, features), expected)
    assert differs(
        raw_outputs(build(num_features=FEATURES, patch_stride=2), context, observed, features)[:, :1], expected[:, :1]
    )


def test_a_copy_of_overlapping_patches_is_of_their_own_steps():
    model = build(patch_length=6, patch_stride=2, scaling="standard", head="point")
    context, observed, _ = window(num_windows=1, length=12)
    seen = {}
    model.copy.register_forward_pre_hook(lambda part, given: seen.update(z=given[2]))
    raw_outputs(model, context, torch.ones_like(observed))
    z = to_patches(context, torch.ones_like(observed), scaling="standard", patch_length=2).z
    torch.testing.assert_close(seen["z"], z)


def test_the_last_block_works_out_future_tokens_alone_and_copies_find_the_past_as_it_was_before():
    model = build(patch_length=2, num_layers=2)
    context, observed, _ = window(length=8)
    through = {"first": [], "last": [], "copied": []}
    for name, block in zip(("first", "last"), model.blocks, strict=True):
        block.feed_forward.register_forward_hook(lambda part, given, result, name=name: through[name].append(given[0].shape[1]))
    model.copy.register_forward_pre_hook(lambda part, given: through["copied"].append(given[0].detach()))
    raw_outputs(model, context, observed)
    assert through["first"] == [4 + HORIZON // 2]
    assert through["last"] == [HORIZON // 2]
    patches = to_patches(context, observed, scaling=model.config.scaling, patch_length=2)
    x, valid, position = model.embedding(patches, None, HORIZON)
    expected = model.norm(model.blocks[0](x, valid, position)[:, :4])
    torch.testing.assert_close(through["copied"][0], expected)


# ---- on a device -------------------------------------------------------------------------------------------------------


class NoWaiting(TorchDispatchMode):
    """Refuses what makes a GPU wait for the host or the host for the GPU: numbers read back, and tensors made from numbers."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert str(func) not in ("aten._local_scalar_dense.default", "aten.lift_fresh.default"), func
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("attention", "positional"), PAIRS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_forward_pass_never_waits_for_the_device(kind, attention, positional):
    model = build(head=kind, positional=positional, attention=attention, num_features=FEATURES)
    context, observed, features = window()
    with NoWaiting(), torch.no_grad():
        model(context, observed, features, HORIZON)


@pytest.mark.parametrize("kind", KINDS)
def test_under_half_precision_the_head_and_the_copies_keep_single_precision(kind):
    model, (context, observed, features) = build(head=kind, num_features=FEATURES), window()
    for parameter in model.blocks.parameters():
        torch.nn.init.zeros_(parameter)  # the blocks may round; here they add nothing
    expected = raw_outputs(model, context, observed, features)
    inside = []
    for part in (model.head.linear, model.copy.query, model.copy.mix):
        part.register_forward_hook(lambda module, given, result: inside.append(result.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        raw = raw_outputs(model, context, observed, features)
    assert raw.dtype == torch.float32
    assert inside == [torch.float32] * 3
    torch.testing.assert_close(raw, expected, rtol=0.02, atol=0.15)  # the embeddings are rounded to 8 bits


def test_the_default_precision_of_the_caller_has_no_say():
    expected = build().state_dict()
    torch.set_default_dtype(torch.float64)
    try:
        model = build()
        assert torch.get_default_dtype() == torch.float64
        raw = raw_outputs(model, *window()[:2])
    finally:
        torch.set_default_dtype(torch.float32)
    assert {name: part.dtype for name, part in model.state_dict().items()} == {n: part.dtype for n, part in expected.items()}
    assert all(torch.equal(part, expected[name]) for name, part in model.state_dict().items())
    assert torch.equal(raw, raw_outputs(model, *window()[:2]))
