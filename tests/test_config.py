"""Settings: each wrong value is refused where it is written, in words that say what is allowed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tsattn import config
from tsattn.config import EncoderConfig, EncoderDecoderConfig, FitConfig, PatchConfig, ReadConfig, TrainerConfig

WRONG = [
    (ReadConfig, {"missing": "drop"}, "read.missing='drop' is not known: choose one of mask, zero, ffill"),
    (ReadConfig, {"duplicates": "first"}, "read.duplicates='first' is not known: choose one of error, sum, mean, last"),
    (ReadConfig, {"count_per": "D", "resample": "MS"}, "set one of them"),
    (EncoderConfig, {"attention": "sparse"}, "choose one of full, causal, local, additive, prob_sparse, linear"),
    (EncoderConfig, {"positional": "xpos"}, "choose one of auto, none, sinusoidal, learned, rotary, alibi, relative, calendar"),
    (
        EncoderConfig,
        {"attention": "additive", "positional": "rotary"},
        "additive cannot use model.positional=rotary. What works",
    ),
    (EncoderConfig, {"attention": "linear", "positional": "alibi"}, "linear: none, sinusoidal, learned, calendar, rotary"),
    (EncoderConfig, {"scaling": "minmax"}, "choose one of standard, robust, last, arcsinh"),
    (EncoderConfig, {"head": "normal"}, "choose one of auto, quantile, negative_binomial, point"),
    (EncoderConfig, {"point_loss": "l1"}, "choose one of mae, mse, huber"),
    (EncoderConfig, {"dropout": 1.0}, r"model.dropout=1.0 must lie in \[0, 1\)"),
    (EncoderConfig, {"dropout": -0.1}, "model.dropout=-0.1"),
    (EncoderConfig, {"num_layers": 0}, "model.num_layers=0 must be at least 1"),
    (EncoderConfig, {"attention_window": 0}, "model.attention_window=0 must be at least 1"),
    (EncoderConfig, {"d_model": 10, "num_heads": 3}, "must be divisible by model.num_heads=3"),
    (EncoderConfig, {"d_model": 9, "num_heads": 3}, "d_model / num_heads must be even, not 3"),
    (PatchConfig, {"patch_length": 0}, "model.patch_length=0 must be at least 1"),
    (PatchConfig, {"patch_stride": 0}, "model.patch_stride=0 must be at least 1"),
    (PatchConfig, {"patch_stride": 17}, r"model.patch_stride=17 must be at most model.patch_length \(16\)"),
    (EncoderConfig, {"patch_stride": 2}, r"at most model.patch_length \(None\), else steps lie between the tokens"),
    (EncoderDecoderConfig, {"num_decoder_layers": 0}, "model.num_decoder_layers=0 must be at least 1"),
    (TrainerConfig, {"accelerator": "tpu"}, "choose one of auto, cpu, gpu"),
    (TrainerConfig, {"precision": "16"}, "choose one of auto, 32, bf16"),
    (TrainerConfig, {"logger": "wandb"}, "choose one of csv, tensorboard, none"),
    (TrainerConfig, {"max_steps": 0}, "trainer.max_steps=0 must be at least 1"),
    (TrainerConfig, {"validate_every": 0}, "trainer.validate_every=0 must be at least 1"),
    (TrainerConfig, {"patience": 0}, "trainer.patience=0 must be at least 1"),
    (TrainerConfig, {"log_every": 0}, "trainer.log_every=0 must be at least 1"),
    (TrainerConfig, {"batch_size": 0}, "trainer.batch_size=0 must be at least 1"),
    (TrainerConfig, {"warmup_steps": -1}, "trainer.warmup_steps=-1 must be at least 0"),
    (TrainerConfig, {"gradient_clip": 0.0}, "trainer.gradient_clip=0.0 must be positive"),
    (TrainerConfig, {"weight_decay": -1.0}, "trainer.weight_decay=-1.0 must be at least 0"),
    (TrainerConfig, {"learning_rate": 0.0}, "trainer.learning_rate=0.0 must be positive"),
    (TrainerConfig, {"learning_rate": float("nan")}, "trainer.learning_rate=nan must be positive"),
    (FitConfig, {"horizon": 0}, "horizon=0 must be a whole number of steps, 1 or more"),
    (FitConfig, {"horizon": True}, "horizon=True must be a whole number"),
    (FitConfig, {"context_length": 0}, "context_length=0 must be a whole number of steps, 1 or more"),
    (FitConfig, {"season_length": -7}, "season_length=-7 must be a whole number of steps, 1 or more"),
    (FitConfig, {"quantiles": []}, "must be numbers between 0 and 1"),
    (FitConfig, {"quantiles": [0.5, 1.0]}, r"quantiles=\[0.5, 1.0\] must be numbers between 0 and 1"),
    (FitConfig, {"quantiles": [10.0, 90.0]}, r"for example \[0.1,0.5,0.9\]"),
    (FitConfig, {"quantiles": [1e-7, 0.5]}, r"quantiles=\[1e-07, 0.5\] must be numbers between 0 and 1"),
    (FitConfig, {"seed": -1}, "seed=-1 must be a whole number, 0 or more"),
]


@pytest.mark.parametrize(("schema", "values", "words"), WRONG)
def test_a_wrong_value_is_refused_with_what_is_allowed(schema, values, words):
    with pytest.raises(ValueError, match=words):
        schema(**values)


@pytest.mark.parametrize("horizon", [0, -1, 2.0, "7", None, True])
def test_a_horizon_is_a_whole_number_of_at_least_one(horizon):
    with pytest.raises(ValueError, match=f"horizon={horizon!r} must be a whole number of steps, 1 or more"):
        config.check_horizon(horizon)


@pytest.mark.parametrize(
    "values", [{"d_model": 9, "num_heads": 3, "positional": "learned"}, {"d_model": 8, "num_heads": 4}, {"patch_length": 1}]
)
def test_sizes_that_fit_each_other_are_accepted(values):
    assert all(getattr(EncoderConfig(**values), name) == value for name, value in values.items())


@pytest.mark.parametrize("attention", config.ATTENTIONS)
def test_where_nothing_is_said_the_position_code_is_rotary_if_the_attention_can_use_it(attention):
    assert config.check_position(attention, "auto") == ("sinusoidal" if attention == "additive" else "rotary")
    for positional in config.POSITIONS_OF[attention]:
        assert config.check_position(attention, positional) == positional


@pytest.mark.parametrize(
    ("length", "stride", "context_length", "horizon", "tokens"),
    [
        (16, 8, 512, 96, (64, 12)),
        (16, None, 512, 96, (32, 6)),
        (16, 8, 513, 1, (65, 1)),
        (4, 3, 2, 7, (1, 3)),
        (1, 1, 5, 2, (5, 2)),
    ],
)
def test_tokens_are_counted_by_the_stride(length, stride, context_length, horizon, tokens):
    config = EncoderConfig(patch_length=length, patch_stride=stride)
    assert config.num_tokens(context_length, horizon) == tokens


def test_an_odd_width_of_a_head_is_refused_only_where_pairs_are_turned():
    with pytest.raises(ValueError, match="must be even, not 3"):
        EncoderConfig(d_model=9, num_heads=3, attention="linear")
    assert EncoderConfig(d_model=9, num_heads=3, attention="additive").d_model == 9


def test_quantiles_are_sorted_and_unique():
    assert FitConfig(quantiles=[0.9, 0.1, 0.9, 0.5]).quantiles == [0.1, 0.5, 0.9]


def test_two_configurations_share_no_list_and_no_part():
    one, other = FitConfig(), FitConfig()
    one.quantiles.append(0.95)
    one.model.dropout = 0.5
    assert 0.95 not in other.quantiles
    assert other.model.dropout != 0.5


def test_every_architecture_has_a_configuration_of_its_name():
    from tsattn.models import MODELS

    assert {name: schema().name for name, schema in config.MODEL_CONFIGS.items()} == {name: name for name in MODELS}


def test_settings_load_neither_torch_nor_pandas_nor_hydra():
    code = (
        "import sys, tsattn.config; print([m for m in ('torch', 'pandas', 'numpy', 'hydra', 'omegaconf') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"horizon": 100_001}, "horizon=100001 must be at most 100000"),
        ({"context_length": 10**12}, "context_length=1000000000000 must be at most 100000"),
        ({"season_length": 100_001}, "season_length=100001 must be at most 100000"),
        ({"quantiles": [i / 2000 for i in range(1, 1001)]}, "the number of quantiles=1000 must be at most 999"),
    ],
)
def test_what_no_folder_would_hold_is_refused_before_training(settings, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        FitConfig(**settings)


def test_a_network_of_endless_size_is_refused():
    with pytest.raises(ValueError, match=r"^model\.d_model=1000000 must be at most 100000$"):
        EncoderConfig(d_model=10**6)
    with pytest.raises(ValueError, match=r"^model\.attention_window=10001 must be at most 10000$"):
        EncoderConfig(attention_window=10_001)
