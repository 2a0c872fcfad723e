"""Does self-attention train in parallel where a recurrent net walks step by step? Seconds per training step and per forecast.

    python benchmarks/lstm_speed.py --threads 2                 this machine's CPU, about 15 minutes
    python benchmarks/lstm_speed.py --device cuda               a GPU, in bf16 as in training
    python benchmarks/lstm_speed.py --quick --output /tmp/speed a rehearsal

The encoder of tsattn with four kinds of attention against `model=lstm` with as many parameters (asserted: within 10 %), a token
per step, so that context 4096 is 4,096 tokens. A training step is forward, loss, backward and AdamW; a forecast is one forward
pass without gradients. The models take turns (A B C A B C ...), and the median of the repetitions counts. Not asked
here: how well they forecast. Written: `lstm_speed.json` and `.png` (`_cuda` on a GPU), the table in `benchmarks/README.md`.
Letters: B windows per batch, L context.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tsattn.config import EncoderConfig, LSTMConfig, ModelConfig
from tsattn.fitted import Settings, build_network

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
KINDS = ("full", "causal", "local", "linear")
HORIZON = 16
LEVELS = (0.1, 0.5, 0.9)
MOST_PAIRS = {"cpu": 6e8, "cuda": 6e9}  # B L^2: masks of more than so many pairs of tokens are not tried
ENOUGH_SECONDS = 90.0  # a cell ends after so long, with three repetitions at least
COLOURS = {"lstm": "black", "full": "#0072B2", "causal": "#56B4E9", "local": "#E69F00", "linear": "#009E73"}


class Cell(NamedTuple):
    """One size, measured: seconds of each repetition by model."""

    context: int
    batch: int
    train: dict[str, list[float]]
    forecast: dict[str, list[float]]


def configurations(d_model: int, num_layers: int, context: int) -> dict[str, ModelConfig]:
    """The encoder with each kind of attention, and the LSTM whose width brings it closest to their number of parameters."""
    encoder = EncoderConfig(
        patch_length=1, d_model=d_model, num_layers=num_layers, num_heads=4, d_ff=2 * d_model, head="quantile"
    )
    wanted = num_parameters(replace(encoder, positional="rotary"), context)
    widths = [LSTMConfig(d_model=width, num_layers=num_layers, head="quantile") for width in range(d_model // 2, 2 * d_model)]
    lstm = min(widths, key=lambda config: abs(num_parameters(config, context) - wanted))
    return {"lstm": lstm} | {kind: replace(encoder, attention=kind, positional="rotary") for kind in KINDS}


def network_of(config: ModelConfig, context: int) -> Any:
    settings = Settings(
        horizon=HORIZON, context_length=context, levels=LEVELS, quantiles=LEVELS, seed=0, architecture=config.name, model=config
    )
    return build_network(settings, 0)


def num_parameters(config: ModelConfig, context: int) -> int:
    return sum(p.numel() for p in network_of(config, context).parameters())


def windows(context: int, batch: int, device: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Waves with noise, all observed: context, observed, target, target_observed."""
    generator = torch.Generator().manual_seed(0)
    steps = torch.arange(context + HORIZON)
    x = (steps / 7).sin() + 0.3 * torch.randn(batch, context + HORIZON, generator=generator)
    x = x[..., None].to(device)
    seen = torch.ones_like(x, dtype=torch.bool)
    return x[:, :context], seen[:, :context], x[:, context:], seen[:, context:]


def one_training_step(network: Any, data: tuple[Tensor, ...], device: str) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    context, observed, target, target_observed = data

    def step() -> None:
        with precision(device):
            raw, scale = network(context, observed, None, HORIZON)
            loss = network.head.loss(raw, target, target_observed, scale)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def one_forecast(network: Any, data: tuple[Tensor, ...], device: str) -> Callable[[], None]:
    def step() -> None:
        with torch.inference_mode(), precision(device):
            network(data[0], data[1], None, HORIZON)

    return step


def precision(device: str) -> Any:
    """bf16 on a GPU, as the trainer chooses it there."""
    return torch.autocast("cuda", dtype=torch.bfloat16) if device == "cuda" else nullcontext()


def seconds(step: Callable[[], None], device: str) -> float:
    """Wall time of one call, the device having finished before and after."""
    if device == "cuda":
        torch.cuda.synchronize()
    begin = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def in_turns(steps: dict[str, Callable[[], None]], repetitions: int, device: str) -> dict[str, list[float]]:
    """Seconds of every repetition of every model, after one that is not counted."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    began = time.perf_counter()
    for repetition in range(-1, repetitions):
        for name, step in steps.items():
            taken = seconds(step, device)
            if repetition >= 0:
                found[name].append(taken)
        if repetition >= 2 and time.perf_counter() - began > ENOUGH_SECONDS:
            break
    return found


def measure(configs: dict[str, ModelConfig], context: int, batch: int, arguments: argparse.Namespace) -> Cell:
    device = arguments.device
    data = windows(context, batch, device)
    networks = {name: network_of(config, context).to(device) for name, config in configs.items()}
    forecast = in_turns({n: one_forecast(m.eval(), data, device) for n, m in networks.items()}, arguments.repetitions, device)
    train = in_turns(
        {n: one_training_step(m.train(), data, device) for n, m in networks.items()}, arguments.repetitions, device
    )
    return Cell(context, batch, train, forecast)


def machine(device: str) -> dict[str, Any]:
    """What the times were taken on."""
    found = {"cpu": cpu_name(), "cores": os.cpu_count(), "threads": torch.get_num_threads(), "torch": torch.__version__}
    found |= {"python": platform.python_version(), "device": device, "precision": "bf16" if device == "cuda" else "float32"}
    if device == "cuda":
        found["gpu"] = torch.cuda.get_device_name()
    return found


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def medians(cell: Cell, what: str) -> dict[str, float]:
    return {name: statistics.median(taken) for name, taken in getattr(cell, what).items()}


def write_table(cells: list[Cell], on: dict[str, Any]) -> str:
    """A row per size: medians in milliseconds, the faster of LSTM and full attention in bold, and their ratio."""
    where = on.get("gpu") or f"{on['cpu']}, {on['threads']} thread{'s' * (on['threads'] > 1)}"
    lines = [
        f"{where}, {on['precision']}. Milliseconds, medians; bold is the faster of LSTM and full attention.",
        "",
        f"| | context | batch | lstm | {' | '.join(KINDS)} | lstm / full |",
        f"|---|---|---|---|{'---|' * len(KINDS)}---|",
    ]
    for what, label in (("train", "training step"), ("forecast", "forecast")):
        for cell in cells:
            found = medians(cell, what)
            faster = min(("lstm", "full"), key=lambda name: found[name])
            shown = [f"**{1e3 * t:.3g}**" if name == faster else f"{1e3 * t:.3g}" for name, t in found.items()]
            lines.append(
                f"| {label} | {cell.context:,} | {cell.batch} | {' | '.join(shown)} | {found['lstm'] / found['full']:.2g} |"
            )
    return "\n".join(lines)


def plot(cells: list[Cell], on: dict[str, Any], num: dict[str, int], path: Path) -> None:
    """Seconds against context for each batch size, training above and forecasting below, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullLocator

    batches = sorted({cell.batch for cell in cells})
    figure, axes = plt.subplots(
        2, len(batches), figsize=(4.2 * len(batches) + 1, 7), sharey="row", squeeze=False, layout="constrained"
    )
    for row, (what, label) in enumerate((("train", "training step"), ("forecast", "forecast"))):
        for column, batch in enumerate(batches):
            axis = axes[row, column]
            mine = [cell for cell in cells if cell.batch == batch]
            found = [medians(cell, what) for cell in mine]
            contexts = [cell.context for cell in mine]
            for name, colour in COLOURS.items():
                title = "LSTM" if name == "lstm" else f"attention, {name}"
                style = "s--" if name == "lstm" else "o-"
                axis.plot(contexts, [t[name] for t in found], style, color=colour, label=title, markersize=4)
            axis.set(xscale="log", yscale="log", title=f"{label}, {batch} window{'s' * (batch > 1)}")
            axis.set_xticks(contexts, [f"{c:,}\n({t['lstm'] / t['full']:.2g})" for c, t in zip(contexts, found, strict=True)])
            axis.xaxis.set_minor_locator(NullLocator())
            axis.grid(alpha=0.3)
        axes[row, 0].set_ylabel("seconds (median)")
    for axis in axes[-1]:
        axis.set_xlabel("context, a token per step\n(in brackets: time of the LSTM / time of full attention)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(COLOURS), frameon=False)
    where = on.get("gpu") or f"{on['cpu']}, {on['threads']} thread{'s' * (on['threads'] > 1)}"
    figure.suptitle(f"{num['full']:,} parameters (LSTM {num['lstm']:,}); {where}; {on['precision']}")
    figure.savefig(path, dpi=130)
    plt.close(figure)


def into_readme(table: str, device: str) -> None:
    """Put the table between its marks, or in a section of its own at the end."""
    readme = HERE / "README.md"
    begin, end = f"<!-- lstm_speed {device}: begin -->", f"<!-- lstm_speed {device}: end -->"
    text = readme.read_text()
    if begin not in text:
        text = (
            f"{text.rstrip()}\n\n## Speed beside a recurrent net ({device})\n\n`benchmarks/lstm_speed.py`\n\n{begin}\n{end}\n"
        )
    readme.write_text(f"{text.split(begin)[0]}{begin}\n{table}\n{end}{text.split(end)[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--contexts", nargs="+", type=int, default=[64, 256, 1024, 4096])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--repetitions", type=int, default=11)
    parser.add_argument("--d-model", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="tiny sizes; the README is left alone")
    parser.add_argument("--output", type=Path, default=None, help="folder for JSON and picture")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.contexts, arguments.batches, arguments.repetitions, arguments.d_model = [16, 64], [1, 4], 3, 16
    if arguments.quick and arguments.output is None:
        parser.error("--quick needs --output FOLDER, so that no measured result is replaced")
    torch.set_num_threads(arguments.threads)
    configs = configurations(arguments.d_model, arguments.layers, min(arguments.contexts))
    num = {name: num_parameters(config, min(arguments.contexts)) for name, config in configs.items()}
    assert all(abs(n / num["full"] - 1) < 0.1 for n in num.values()), num
    cells = []
    for context in arguments.contexts:
        for batch in arguments.batches:
            if batch * context**2 > MOST_PAIRS[arguments.device]:
                print(f"context {context}, batch {batch}: more pairs of tokens than are tried here", flush=True)
                continue
            cells.append(measure(configs, context, batch, arguments))
            shown = ", ".join(f"{name} {1e3 * t:.3g}" for name, t in medians(cells[-1], "train").items())
            print(f"context {context}, batch {batch}: training step in ms: {shown}", flush=True)
    on = machine(arguments.device)
    table = write_table(cells, on)
    folder = arguments.output or RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    stem = "lstm_speed" + ("_cuda" if arguments.device == "cuda" else "")
    sizes = {"d_model": arguments.d_model, "num_layers": arguments.layers, "horizon": HORIZON, "parameters": num}
    result = {"machine": on, "sizes": sizes, "cells": [cell._asdict() for cell in cells]}
    (folder / f"{stem}.json").write_text(json.dumps(result, indent=1) + "\n")
    plot(cells, on, num, folder / f"{stem}.png")
    if arguments.output is None:
        into_readme(table, arguments.device)
    print(table)


if __name__ == "__main__":
    main()
