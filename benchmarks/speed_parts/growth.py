"""How time grows: with the windows of a step, with the context, and with the number of series in a table."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speed_parts.turns import Turn, serve
from speed_parts.workers import Run, asked, measured

LINEAR = 1.15  # times by which the cost of one may grow, at most, from the middle of the sizes to the largest
WINDOWS, QUICK_WINDOWS = (32, 64, 128, 256, 512, 1024), (4, 8)
CONTEXTS, QUICK_CONTEXTS = (256, 512, 1024, 2048, 4096, 8192, 16_384), (32, 64)
SERIES, QUICK_SERIES = (1_000, 10_000, 100_000), (10, 20)
ENOUGH_SECONDS = 8.0  # a step that takes longer is the last size of full attention
TURNS = 3


def growth(run: Run) -> dict[str, Any]:
    """Seconds at each size, and by how much the cost of one window, step of context or series grows."""
    curves = {
        "windows": curve(run, run.size(WINDOWS, QUICK_WINDOWS), lambda size: {"batch_size": size, "context": 96}),
        **{
            kind: curve(run, run.size(CONTEXTS, QUICK_CONTEXTS), lambda size, kind=kind: {"context": size, "attention": kind})
            for kind in ("local", "full")
        },
        "panel": curve(run, run.size(SERIES, QUICK_SERIES), lambda size: {"series": size, "batch_size": 128, "context": 40}),
    }
    tables = {
        str(num): asked(run, "growth", "table", series=num, steps=run.size(100, 2)) for num in run.size(SERIES, QUICK_SERIES)
    }
    for name in ("fit", "predict"):
        curves[name] = {int(num): found[name] for num, found in tables.items()}
    return {
        "measured": {
            **{name: {"ours": measured([unit_growth(curves[name])])} for name in ("windows", "local", "fit", "predict")},
            "panel": {"ours": measured([size_growth(curves["panel"])])},
        },
        "details": {"curves": curves, "full_leaves_linear": leaves_linear(curves["full"]), "tables": tables},
        "text": [lengths_table(curves), "", f"![Seconds over sizes](results/speed/{PICTURE})"],
        "pictures": {PICTURE: lambda path: draw(curves, path)},
    }


PICTURE = "growth.png"


def curve(run: Run, sizes: tuple[int, ...], settings: Callable[[int], dict[str, Any]]) -> dict[int, list[float]]:
    """Seconds of a training step at each size, up to the first that takes too long."""
    found = asked(run, "growth", "steps", sizes={size: settings(size) for size in sizes}, turns=run.size(TURNS, 1))
    return {int(size): seconds for size, seconds in found["seconds"].items()}


def fastest(found: dict[int, list[float]]) -> dict[int, float]:
    return {size: min(seconds) for size, seconds in found.items()}


def unit_growth(found: dict[int, list[float]]) -> float:
    """Cost of one at the largest size over that at the middle one: 1 is linear."""
    seconds, sizes = fastest(found), sorted(found)
    middle, last = sizes[(len(sizes) - 1) // 2], sizes[-1]
    return seconds[last] / last / (seconds[middle] / middle)


def size_growth(found: dict[int, list[float]]) -> float:
    """Time at the largest size over that at the smallest: 1 does not depend on it."""
    seconds = fastest(found)
    return seconds[max(seconds)] / seconds[min(seconds)]


def leaves_linear(found: dict[int, list[float]]) -> int | None:
    """The first context at which a step of context costs `LINEAR` times as much as at the cheapest before; None: never."""
    least = math.inf
    for size, seconds in sorted(fastest(found).items()):
        if seconds / size > LINEAR * least:
            return size
        least = min(least, seconds / size)
    return None


def lengths_table(curves: dict[str, dict[int, list[float]]]) -> str:
    """Seconds of a step over the context, full and local attention."""
    lines = ["| context, a token per step, 4 windows | `full`, s | `local`, s |", "|---|---|---|"]
    full, local = fastest(curves["full"]), fastest(curves["local"])
    lines += [f"| {size:,} | {f'{full[size]:.3g}' if size in full else 'not tried'} | {local[size]:.3g} |" for size in local]
    return "\n".join(lines)


def draw(curves: dict[str, dict[int, list[float]]], path: Path) -> None:
    """Three pictures side by side: over windows, over the context, over series; both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    panels = (
        ("windows of a step", ("windows",)),
        ("context, a token per step", ("full", "local")),
        ("series of a table", ("fit", "predict", "panel")),
    )
    colours = {
        "full": "#0072B2",
        "local": "#E69F00",
        "windows": "black",
        "fit": "#009E73",
        "predict": "#CC79A7",
        "panel": "#56B4E9",
    }
    for ax, (label, names) in zip(axes, panels, strict=True):
        for name in names:
            seconds = fastest(curves[name])
            ax.plot(
                list(seconds),
                list(seconds.values()),
                "o-",
                color=colours[name],
                label="training step" if name == "panel" else name,
            )
            first = min(seconds)
            ax.plot(
                [first, max(seconds)], [seconds[first], seconds[first] * max(seconds) / first], ":", color=colours[name], lw=0.8
            )
        ax.set(xscale="log", yscale="log", xlabel=label, ylabel="seconds")
        ax.legend(frameon=False)
    figure.suptitle("Time over size; dotted: in proportion to it", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def steps(settings: dict[str, Any], turn: Turn) -> None:
    """Seconds of a step at each size, some turns, memory kept as in training; ends with the first size that takes too long."""
    from tsattn.training.allocator import kept_memory

    found: dict[str, list[float]] = {}
    with kept_memory():
        for size, how in settings["sizes"].items():
            step = stepper(how)
            step()
            found[size] = []
            for _ in range(settings["turns"]):
                began = time.perf_counter()
                step()
                found[size].append(time.perf_counter() - began)
            if min(found[size]) > ENOUGH_SECONDS:
                break
    turn.say(seconds=found)


def stepper(how: dict[str, Any]) -> Callable[[], None]:
    """Gather, forward, loss, backward, AdamW; a token per step unless the number of windows or series is asked about."""
    import numpy as np
    import torch

    from speed_parts import shapes
    from tsattn.config import PatchConfig
    from tsattn.data.windows import gather, panel_tensors

    context, horizon = how["context"], 16
    num_series, batch_size = how.get("series", 8), how.get("batch_size", 4)
    model = PatchConfig(
        patch_length=8 if "batch_size" in how else 1,
        d_model=64,
        num_layers=2,
        num_heads=4,
        d_ff=128,
        attention=how.get("attention", "full"),
        positional="rotary",
        head="point",
    )
    shape = shapes.Shape(model, context, horizon, batch_size)
    panel = shapes.panel_of(shapes.waves(num_series, max(60, context + horizon)))
    network, tensors = shapes.network_of(shape).train(), panel_tensors(panel)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    generator = np.random.default_rng(0)
    cut = torch.full((batch_size,), context)

    def step() -> None:
        series = torch.from_numpy(generator.integers(num_series, size=batch_size))
        batch = gather(tensors, series, cut, context_length=context, horizon=horizon)
        raw, scale = network(batch.context, batch.observed, batch.features, horizon)
        network.head.loss(raw, batch.target, batch.target_observed, scale).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def table(settings: dict[str, Any], turn: Turn) -> None:
    """Seconds of `fit` and of `predict` of so many series of 60 points, table in; the training has a fixed number of steps."""
    from dataclasses import replace

    from speed_parts.forecasting import long_frame, small_model
    from tsattn import Forecaster
    from tsattn.config import FitConfig, TrainerConfig

    frame = long_frame(settings["series"], 60)
    trainer = TrainerConfig(max_steps=settings["steps"], validate_every=settings["steps"], warmup_steps=0, progress=False)
    config = FitConfig(horizon=7, context_length=32, model=small_model(), trainer=trainer, refit=False)
    began = time.perf_counter()
    forecaster = Forecaster(config=config).fit(frame)
    fitted = time.perf_counter()
    verdict = replace(forecaster.fitted_.verdict, answer="network")
    forecaster.fitted_ = replace(forecaster.fitted_, verdict=verdict)
    seconds = []
    for _ in range(TURNS):
        asked_at = time.perf_counter()
        answer = forecaster.predict(frame)
        seconds.append(time.perf_counter() - asked_at)
    turn.say(fit=[fitted - began], predict=seconds, rows=len(answer))


if __name__ == "__main__":
    serve({"steps": steps, "table": table})
