"""Our networks and panels that several questions use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tsattn.config import EncoderDecoderConfig, ModelConfig, PatchConfig
from tsattn.data.panel import Panel
from tsattn.fitted import Settings, build_network

ROWS = 14_400  # of the hourly ETT tables, as all papers count them
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class Shape(NamedTuple):
    """A network and the windows it is trained on."""

    model: ModelConfig
    context_length: int
    horizon: int
    batch_size: int


def like_patchtst() -> Shape:
    """PatchTST as neuralforecast builds it, in our parts: 64 tokens of context, learned positions, point forecasts by MAE."""
    model = PatchConfig(
        patch_length=16,
        patch_stride=8,
        d_model=128,
        num_layers=3,
        num_heads=16,
        d_ff=256,
        dropout=0.2,
        positional="learned",
        scaling="standard",
        head="point",
    )
    return Shape(model, 512, 96, 128)


def like_transformer() -> Shape:
    """neuralforecast's VanillaTransformer: a token per step, sines and cosines for positions, dropout 0.05."""
    model = EncoderDecoderConfig(
        patch_length=1,
        d_model=64,
        num_layers=2,
        num_decoder_layers=1,
        num_heads=4,
        d_ff=128,
        dropout=0.05,
        positional="sinusoidal",
        scaling="standard",
        head="point",
    )
    return Shape(model, 96, 24, 256)


def two_million() -> Shape:
    """A patch encoder of about two million parameters with nine quantiles."""
    model = PatchConfig(
        patch_length=16,
        d_model=192,
        num_layers=4,
        num_heads=6,
        d_ff=768,
        positional="rotary",
        scaling="standard",
        head="quantile",
    )
    return Shape(model, 512, 64, 256)


def long_tokens() -> Shape:
    """The same with 32 steps in a token: half of the tokens."""
    shape = two_million()
    return shape._replace(model=replace(shape.model, patch_length=32))


def usual() -> Shape:
    """What `model=auto` gives hourly data of many rows."""
    model = PatchConfig(patch_length=12, d_model=64, num_layers=3, num_heads=4, d_ff=128, positional="rotary", head="quantile")
    return Shape(model, 144, 24, 128)


def tiny() -> Shape:
    """For rehearsals."""
    model = PatchConfig(patch_length=8, d_model=32, num_layers=2, num_heads=2, d_ff=64, positional="learned", head="quantile")
    return Shape(model, 64, 16, 32)


SHAPES = {
    "patchtst": like_patchtst,
    "transformer": like_transformer,
    "two_million": two_million,
    "long_tokens": long_tokens,
    "usual": usual,
    "tiny": tiny,
}


def settings_of(shape: Shape) -> Settings:
    levels = LEVELS if shape.model.head == "quantile" else (0.5,)
    return Settings(
        horizon=shape.horizon,
        context_length=shape.context_length,
        levels=levels,
        quantiles=levels,
        seed=0,
        architecture=shape.model.name,
        model=shape.model,
    )


def network_of(shape: Shape, num_features: int = 0) -> Any:
    """Random weights."""
    return build_network(settings_of(shape), num_features)


def panel_of(values: np.ndarray) -> Panel:
    """Hourly series of equal length [S, T], without a calendar."""
    num_series, num_rows = values.shape
    return Panel(
        values.astype(np.float32).reshape(-1, 1),
        np.arange(num_series + 1, dtype=np.int64) * num_rows,
        np.zeros(num_series, np.int64),
        np.zeros((1, 0), np.float32),
        "h",
        tuple(str(s) for s in range(num_series)),
        np.zeros(num_series, np.int64),
    )


def with_calendar(panel: Panel, num_features: int = 4) -> Panel:
    """The same with numbers of a calendar that all series share."""
    days = np.arange(panel.lengths.max() + 1000, dtype=np.float32)[:, None] / np.arange(1, num_features + 1, dtype=np.float32)
    return panel._replace(calendar=np.sin(days))


def waves(num_series: int, num_rows: int) -> np.ndarray:
    """Days of 24 steps with noise, [S, T] float32."""
    noise = np.random.default_rng(0).standard_normal((num_series, num_rows), dtype=np.float32)
    noise += np.sin(np.arange(num_rows, dtype=np.float32) * (2 * np.pi / 24))
    return noise


def etth1(data: str | None) -> Panel:
    """The seven series of ETTh1; waves of the same size where there is no folder of data."""
    if data is None:
        return panel_of(waves(7, ROWS))
    import pandas as pd

    table = pd.read_csv(Path(data) / "ltsf" / "ETTh1.csv.gz").iloc[:ROWS].drop(columns="date")
    return panel_of(table.to_numpy().T)


def sizes(network: Any, blocks: list[Any], forward: Any) -> dict[str, float]:
    """Parameters in all and of the stacked blocks, and floating-point operations of `forward` of 8 windows, for one of them."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    training = network.training
    with sdpa_kernel(SDPBackend.MATH), counter:
        network.eval()
        forward()
    network.train(training)
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "block_parameters": sum(p.numel() for block in blocks for p in block.parameters()),
        "forward_mflop_per_window": counter.get_total_flops() / 8e6,
    }


def our_sizes(network: Any, shape: Shape) -> dict[str, float]:
    import torch

    context = torch.randn(8, shape.context_length, 1)
    seen = torch.ones_like(context, dtype=torch.bool)
    blocks = [*network.encoder, *network.decoder] if hasattr(network, "decoder") else list(network.blocks)
    return sizes(network, blocks, lambda: network(context, seen, None, shape.horizon))
