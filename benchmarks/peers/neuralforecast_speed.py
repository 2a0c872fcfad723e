"""The halves of `benchmarks/speed.py` that neuralforecast answers, in an environment of its own (requirements-speed.txt).

Started by that script: it prepares, says so, and measures when told to. Nothing of tsattn is imported, only the clock that both
sides share.
"""

import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

warnings.simplefilter("ignore")
logging.disable(logging.INFO)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from neuralforecast import NeuralForecast  # noqa: E402
from neuralforecast.losses.pytorch import MAE  # noqa: E402
from neuralforecast.models import PatchTST, VanillaTransformer  # noqa: E402
from speed_parts.turns import Turn, in_turns, serve, training_turns  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

ROWS = 14_400
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}


def etth1(data: str | None) -> pd.DataFrame:
    """The seven series of ETTh1 in long form; waves of the same size where there is no folder of data."""
    if data is None:
        times = pd.date_range("2016-07-01", periods=ROWS, freq="h")
        table = pd.DataFrame({str(s): np.sin(np.arange(ROWS) / 24) + s for s in range(7)}).assign(date=times)
    else:
        table = pd.read_csv(Path(data) / "ltsf" / "ETTh1.csv.gz", parse_dates=["date"]).iloc[:ROWS]
    return table.melt("date", var_name="unique_id", value_name="y").rename(columns={"date": "ds"})


def model(shape: str, steps: int, precision: str = "32", device: str = "cpu") -> Any:
    """PatchTST or VanillaTransformer, trained for so many steps without validation."""
    trainer = {"accelerator": "gpu" if device == "cuda" else "cpu", "devices": 1, "gradient_clip_val": 1.0, **QUIET}
    trainer["precision"] = {"32": "32-true", "bf16": "bf16-mixed"}[precision]
    training = {"max_steps": steps, "val_check_steps": 10**6, "batch_size": 7, "loss": MAE(), "random_seed": 1, **trainer}
    if shape == "transformer":
        return VanillaTransformer(
            h=24,
            input_size=96,
            hidden_size=64,
            n_head=4,
            encoder_layers=2,
            decoder_layers=1,
            conv_hidden_size=128,
            windows_batch_size=256,
            scaler_type="standard",
            **training,
        )
    return PatchTST(
        h=96,
        input_size=512,
        patch_len=16,
        stride=8,
        hidden_size=128,
        n_heads=16,
        encoder_layers=3,
        linear_hidden_size=256,
        dropout=0.2,
        windows_batch_size=128,
        revin=True,
        **training,
    )


def sizes(network: Any) -> dict[str, float]:
    """Parameters in all and of the stacked blocks, and floating-point operations of a forward pass, per window."""
    patches = isinstance(network, PatchTST)
    blocks = [network.model.backbone.encoder.layers] if patches else [network.encoder.attn_layers, network.decoder.layers]
    counter = FlopCounterMode(display=False)
    windows = {"insample_y": torch.randn(8, network.input_size, 1, device=network.device), "futr_exog": None}
    network.eval()
    with counter:
        network(windows)
    network.train()
    return {
        "parameters": sum(p.numel() for p in network.parameters()),
        "block_parameters": sum(p.numel() for block in blocks for p in block.parameters()),
        "forward_mflop_per_window": counter.get_total_flops() / 8e6,
    }


def train(settings: dict[str, Any], turn: Turn) -> None:
    """The full training loop of neuralforecast, stopped and told to go on by the one who measures."""
    steps = settings["warm"] + settings["turns"] * settings["steps"]
    network = model(settings["shape"], steps + 1, settings["precision"], settings["device"])
    forecaster = NeuralForecast([network], freq="h")
    synchronize = torch.cuda.synchronize if settings["device"] == "cuda" else lambda: None
    training_turns(
        turn,
        warm=settings["warm"],
        steps=settings["steps"],
        facts=lambda: sizes(forecaster.models[0]),
        synchronize=synchronize,
    )
    forecaster.fit(etth1(settings["data"]))


def predict_one(settings: dict[str, Any], turn: Turn) -> None:
    """`predict(df)` of one series of ETTh1 with PatchTST after a fit, warm."""
    forecaster = NeuralForecast([model("patchtst", 1)], freq="h")
    table = etth1(settings["data"])
    forecaster.fit(table)
    one = table[table["unique_id"] == table["unique_id"].iloc[-1]].reset_index(drop=True)
    in_turns(turn, lambda: forecaster.predict(df=one), times=settings["times"], warm=3)


def predict_table(settings: dict[str, Any], turn: Turn) -> None:
    """`predict(df)` of many series, table in and table out; in each turn all of it and what the forward pass took."""
    table = pd.read_parquet(settings["table"])
    network = PatchTST(
        h=settings["horizon"],
        input_size=settings["context"],
        patch_len=8,
        stride=8,
        hidden_size=32,
        n_heads=2,
        encoder_layers=2,
        linear_hidden_size=64,
        windows_batch_size=32,
        inference_windows_batch_size=1024,
        revin=True,
        max_steps=1,
        val_check_steps=10**6,
        loss=MAE(),
        accelerator="cpu",
        **QUIET,
    )
    forecaster = NeuralForecast([network], freq="D")
    forecaster.fit(table)
    trained, inside = forecaster.models[0], [0.0, 0.0]
    trained.register_forward_pre_hook(lambda *_: inside.__setitem__(0, time.perf_counter()))
    trained.register_forward_hook(lambda *_: inside.__setitem__(1, inside[1] + time.perf_counter() - inside[0]))
    forecaster.predict(df=table)
    turn.say()
    while turn.wait():
        inside[1], began = 0.0, time.perf_counter()
        answer = forecaster.predict(df=table)
        turn.say(seconds=time.perf_counter() - began, forward=inside[1], rows=len(answer))


if __name__ == "__main__":
    serve({"train": train, "predict_one": predict_one, "predict_table": predict_table})
