"""Forecasting: tensor to tensor beside the architecture of Chronos-Bolt-tiny, table to table beside neuralforecast."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from speed_parts.turns import Turn, batched_turns, in_turns, peak_rss, rss, serve
from speed_parts.workers import Run, alternate, asked, measured, ours, peer, rate

TURNS = 9
TABLE = {"context": 96, "horizon": 28, "rows": 200}  # of each of the many series


def forecasting(run: Run) -> dict[str, Any]:
    """1,000 series of 512 and a single one, 64 steps ahead, nine quantiles, tensor to tensor; best dtype and batch of each."""
    many = run.size(1000, 20)
    together = {"series": many, "batches": run.size([50, 100, 250, 1000], [10]), "times": 1}
    single = {"series": 1, "batches": [1], "times": run.size(30, 2)}
    questions = {
        "many": {"shape": "two_million", **together},
        "many_long_tokens": {"shape": "long_tokens", **together},
        "one": {"shape": "two_million", **single},
        "one_long_tokens": {"shape": "long_tokens", **single},
    }
    figures, facts = {}, {}
    for name, asked_for in questions.items():
        settings = {**asked_for, "shape": run.size(asked_for["shape"], "tiny"), "context": 512, "horizon": 64}
        with ExitStack() as stack:
            workers = {"ours": stack.enter_context(ours(run, "forecasting", "forecast", **settings))}
            if run.peers is not None:
                workers["peer"] = stack.enter_context(peer(run, "bolt_speed", "forecast", **settings))
            figures[name] = alternate(workers, run.size(TURNS, 1))
            facts[name] = {side: worker.facts for side, worker in workers.items()}
    return {
        "measured": {
            name: {
                side: rate(many, seconds) if name.startswith("many") else measured(seconds, 1e3)
                for side, seconds in sides.items()
            }
            for name, sides in figures.items()
        },
        "details": facts,
    }


def tables(run: Run) -> dict[str, Any]:
    """`predict(frame)` of one series and of 10,000, frame in and frame out, and the memory that 100,000 short ones take."""
    many = run.size(10_000, 50)
    path = run.scratch / "table.parquet"
    asked(run, "forecasting", "write_table", table=str(path), series=many, rows=TABLE["rows"])
    one = {"data": run.data and str(run.data), "times": run.size(10, 1)}
    with ExitStack() as stack:
        workers = {"ours": stack.enter_context(ours(run, "forecasting", "predict_one", **one))}
        if run.peers is not None:
            workers["peer"] = stack.enter_context(peer(run, "neuralforecast_speed", "predict_one", **one))
        single = alternate(workers, run.size(TURNS, 1))
    with ours(run, "forecasting", "predict_one", left_open=True, **one) as worker:
        mean = [worker.turn()["seconds"] for _ in range(run.size(TURNS, 1))]
    with ExitStack() as stack:
        settings = {"table": str(path), **TABLE}
        workers = {"ours": stack.enter_context(ours(run, "forecasting", "predict_table", **settings))}
        if run.peers is not None:
            workers["peer"] = stack.enter_context(peer(run, "neuralforecast_speed", "predict_table", **settings))
        turns = [{side: worker.turn() for side, worker in workers.items()} for _ in range(run.size(3, 1))]
    with ours(run, "forecasting", "predict_table", usual=True, **settings) as worker:
        usual = [worker.turn() for _ in range(run.size(3, 1))]
    short = {str(num): asked(run, "forecasting", "memory", series=num) for num in run.size([1000, 100_000], [10, 100])}
    few, all_of_them = short.values()
    outside = {side: [turn[side]["seconds"] - turn[side]["forward"] for turn in turns] for side in workers}
    whole = {side: [turn[side]["seconds"] for turn in turns] for side in workers}
    working = [(part["peak"] - part["before"] - part["answer"]) / part["frame"] for part in (few, all_of_them)]
    return {
        "measured": {
            "one": {side: measured(seconds, 1e3) for side, seconds in single.items()},
            "mean": {"ours": measured(mean, 1e3)},
            "share": {"ours": measured([100 - 100 * turn["forward"] / turn["seconds"] for turn in usual])},
            "outside": {side: measured(seconds) for side, seconds in outside.items()},
            "whole": {side: measured(seconds) for side, seconds in whole.items()},
            "short": {"ours": measured([working[1]])},
        },
        "details": {"turns": turns, "usual": usual, "short": short},
    }


def forecast(settings: dict[str, Any], turn: Turn) -> None:
    """Tensor to tensor: values and a mask in, quantiles in the units of the series out; "bfloat16" holds the matrices so."""
    import torch

    from speed_parts import shapes

    shape = shapes.SHAPES[settings["shape"]]()
    network, half = shapes.network_of(shape), shapes.network_of(shape)
    for part in half.blocks.modules():
        if isinstance(part, torch.nn.Linear):
            part.to(torch.bfloat16)
    ways = {"float32": network, "autocast": network, "bfloat16": half}

    def predict(way: str, part: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=way != "float32"):
            values = part[..., None]
            raw, scale = ways[way](values, ~values.isnan(), None, shape.horizon)
            return ways[way].head.quantiles(raw, scale)

    series = torch.randn(settings["series"], shape.context_length, generator=torch.Generator().manual_seed(0))
    assert predict("float32", series[:1]).shape == (1, shape.horizon, 1, 9)
    sizes = {"batches": settings["batches"], "times": settings["times"]}
    parameters = sum(p.numel() for p in network.parameters())
    batched_turns(turn, predict, series, ways=list(ways), parameters=parameters, **sizes)


def write_table(settings: dict[str, Any], turn: Turn) -> None:
    """A Parquet file of many daily series."""
    long_frame(settings["series"], settings["rows"]).to_parquet(settings["table"])
    turn.say()


def long_frame(num_series: int, num_rows: int) -> Any:
    """unique_id, ds, y of waves, daily."""
    import numpy as np
    import pandas as pd

    from speed_parts import shapes

    days = pd.date_range("2020-01-01", periods=num_rows)
    names = np.array([f"series_{s:06}" for s in range(num_series)], dtype=object)
    values = shapes.waves(num_series, num_rows).ravel().astype(np.float64)
    return pd.DataFrame({"unique_id": np.repeat(names, num_rows), "ds": np.tile(days, num_series), "y": values})


def answering(frame: Any, horizon: int, sizes: dict[str, Any]) -> Any:
    """A forecaster whose network, trained for a step on `frame`, answers whatever the verdict says.

    Where `sizes` (model, context_length) are left open, the answer is the mean with the pretrained network.
    """
    from dataclasses import replace

    from tsattn import Forecaster
    from tsattn.config import FitConfig, TrainerConfig

    trainer = TrainerConfig(max_steps=1, validate_every=1, warmup_steps=0, progress=False)
    config = FitConfig(horizon=horizon, trainer=trainer, refit=False, **sizes)
    forecaster = Forecaster(config=config).fit(frame)
    assert forecaster.fitted_.network is not None
    verdict = replace(forecaster.fitted_.verdict, answer="network")
    forecaster.fitted_ = replace(forecaster.fitted_, verdict=verdict)
    return forecaster


def predict_one(settings: dict[str, Any], turn: Turn) -> None:
    """`Forecaster.predict(frame)` of one series of ETTh1, warm: the encoder shaped as PatchTST, or the mean of two networks."""
    import pandas as pd

    from speed_parts import shapes

    shape = shapes.like_patchtst()
    panel = shapes.etth1(settings["data"])
    times = pd.date_range("2016-07-01", periods=shapes.ROWS, freq="h")
    one = pd.DataFrame({"unique_id": "OT", "ds": times, "y": panel.values[-shapes.ROWS :, 0].astype("float64")})
    sizes = {} if settings.get("left_open") else {"model": shape.model, "context_length": shape.context_length}
    forecaster = answering(one, shape.horizon, sizes)
    assert (forecaster.fitted_.settings.share > 0) == (not sizes)
    in_turns(turn, lambda: forecaster.predict(one), times=settings["times"], warm=3)


def small_model() -> Any:
    """Two layers of width 32 over patches of 8 steps."""
    from tsattn.config import PatchConfig

    return PatchConfig(patch_length=8, d_model=32, num_layers=2, num_heads=2, d_ff=64, head="point")


def usual_model(num_rows: int) -> Any:
    """What `model=auto` makes of so many rows of daily series."""
    from tsattn.config import FitConfig
    from tsattn.sizing import complete_model

    sizes = {"context_length": TABLE["context"], "horizon": TABLE["horizon"], "season_length": 7}
    return complete_model(FitConfig().model, num_rows=num_rows, **sizes)[0]


def predict_table(settings: dict[str, Any], turn: Turn) -> None:
    """`predict(frame)` of many series; in each turn all of it and what the forward passes took."""
    import time

    import pandas as pd

    table = pd.read_parquet(settings["table"])
    few = table[table["unique_id"] < "series_000010"]
    model = usual_model(len(table)) if settings.get("usual") else small_model()
    forecaster = answering(few, settings["horizon"], {"model": model, "context_length": settings["context"]})
    network, inside = forecaster.fitted_.network, [0.0, 0.0]
    network.register_forward_pre_hook(lambda *_: inside.__setitem__(0, time.perf_counter()))
    network.register_forward_hook(lambda *_: inside.__setitem__(1, inside[1] + time.perf_counter() - inside[0]))
    forecaster.predict(table)
    turn.say()
    while turn.wait():
        inside[1], began = 0.0, time.perf_counter()
        answer = forecaster.predict(table)
        turn.say(seconds=time.perf_counter() - began, forward=inside[1], rows=len(answer))


def memory(settings: dict[str, Any], turn: Turn) -> None:
    """Peak memory of `predict(frame)` of so many series of 60 points, with the sizes of both tables."""
    import gc

    frame = long_frame(settings["series"], 60)
    forecaster = answering(frame.iloc[:600], 7, {"model": small_model(), "context_length": 32})
    gc.collect()
    before = rss()
    answer = forecaster.predict(frame)
    size = {name: int(table.memory_usage(index=False).sum()) for name, table in (("frame", frame), ("answer", answer))}
    turn.say(before=before, peak=peak_rss(), rows=len(answer), **size)


if __name__ == "__main__":
    parts = (forecast, write_table, predict_one, predict_table, memory)
    serve({part.__name__: part for part in parts})
