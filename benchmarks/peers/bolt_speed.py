"""The half of `benchmarks/speed.py` that the architecture of Chronos-Bolt-tiny answers, with random weights.

Started by that script, in an environment of its own (requirements-speed.txt). Nothing of tsattn is imported.
"""

import contextlib
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from chronos.chronos_bolt import ChronosBoltModelForForecasting, ChronosBoltPipeline
from speed_parts.turns import Turn, batched_turns, serve
from transformers import T5Config


def pipeline(horizon: int) -> ChronosBoltPipeline:
    """8.7 million parameters, patches of 16, nine quantiles, as amazon/chronos-bolt-tiny."""
    bolt = {
        "context_length": 2048,
        "prediction_length": horizon,
        "input_patch_size": 16,
        "input_patch_stride": 16,
        "quantiles": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
        "use_reg_token": True,
    }
    config = T5Config(
        d_model=256,
        d_kv=64,
        d_ff=1024,
        num_layers=4,
        num_decoder_layers=4,
        num_heads=4,
        vocab_size=2,
        dropout_rate=0.1,
        feed_forward_proj="relu",
        is_encoder_decoder=True,
        pad_token_id=0,
        decoder_start_token_id=0,
        chronos_config=bolt,
    )
    return ChronosBoltPipeline(ChronosBoltModelForForecasting(config).eval())


def forecast(settings: dict[str, Any], turn: Turn) -> None:
    """Tensor to tensor in each precision: float32, weights in bfloat16, autocast."""
    plain, half = pipeline(settings["horizon"]), pipeline(settings["horizon"])
    half.model.to(torch.bfloat16)
    ways = {"float32": plain, "bfloat16": half, "autocast": plain}

    def predict(way: str, part: torch.Tensor) -> torch.Tensor:
        autocast = torch.autocast("cpu", torch.bfloat16) if way == "autocast" else contextlib.nullcontext()
        with torch.inference_mode(), autocast:
            return ways[way].predict(part, prediction_length=settings["horizon"])

    series = torch.randn(settings["series"], settings["context"], generator=torch.Generator().manual_seed(0))
    answer = predict("float32", series[:1])
    assert answer.shape == (1, 9, settings["horizon"])
    parameters = sum(p.numel() for p in plain.model.parameters())
    sizes = {"batches": settings["batches"], "times": settings["times"]}
    batched_turns(turn, predict, series, ways=list(ways), parameters=parameters, **sizes)


if __name__ == "__main__":
    serve({"forecast": forecast})
