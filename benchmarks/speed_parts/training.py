"""Training in the full loop beside neuralforecast: windows per second, ours and theirs in turns."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from speed_parts.turns import Turn, serve, training_turns
from speed_parts.workers import Run, alternate, ours, peer, rate

PRECISIONS = ("32", "bf16")
WARM, TURNS = 10, 5


def patchtst(run: Run) -> dict[str, Any]:
    """ETTh1, context 512, horizon 96, batches of 128 windows, beside PatchTST of the same stack."""
    return beside_neuralforecast(run, "patchtst", batch_size=128, steps=200)


def transformer(run: Run) -> dict[str, Any]:
    """ETTh1, context 96, horizon 24, batches of 256 windows, beside VanillaTransformer of the same stack."""
    return beside_neuralforecast(run, "transformer", batch_size=256, steps=100)


def beside_neuralforecast(run: Run, shape: str, *, batch_size: int, steps: int) -> dict[str, Any]:
    """Windows per second of both in float32 and bfloat16, and how large both networks are.

    Each side runs one training of 10 steps that are not counted and `steps` that are, in five turns; clipping 1.0, no
    validation.
    """
    settings = {"shape": shape, "warm": run.size(WARM, 1), "steps": run.size(steps // TURNS, 1), "turns": run.size(TURNS, 1)}
    asked = {**settings, "data": run.data and str(run.data)}
    rates: dict[str, dict[str, Any]] = {}
    facts: dict[str, Any] = {}
    precisions = run.size(PRECISIONS, PRECISIONS[:1])
    for precision in precisions:
        with ExitStack() as stack:
            workers = {"ours": stack.enter_context(ours(run, "training", "train", precision=precision, **asked))}
            if run.peers is not None:
                theirs = peer(run, "neuralforecast_speed", "train", precision=precision, **asked)
                workers["peer"] = stack.enter_context(theirs)
            seconds = alternate(workers, settings["turns"])
            facts |= {side: worker.facts for side, worker in workers.items()}
        rates[precision] = {side: rate(batch_size, taken) for side, taken in seconds.items()}
    best = {side: max((rates[p][side] for p in precisions), key=lambda r: r["median"]) for side in rates["32"]}
    same = {
        side: {"median": found["block_parameters"], "range": [found["block_parameters"]] * 2} for side, found in facts.items()
    }
    total = {side: {"median": found["parameters"], "range": [found["parameters"]] * 2} for side, found in facts.items()}
    return {
        "measured": {"32": rates["32"], "best": best, "blocks": same, "parameters": total},
        "details": {"rates": rates, "sizes": facts, "settings": settings, "batch_size": batch_size},
    }


def train(settings: dict[str, Any], turn: Turn) -> None:
    """Our full loop on the windows of ETTh1, stopped and told to go on by the one who measures."""
    from speed_parts import shapes

    shape = shapes.SHAPES[settings["shape"]]()
    training(settings, turn, shapes.network_of(shape), shapes.etth1(settings["data"]), shape)


def training(settings: dict[str, Any], turn: Turn, network: Any, panel: Any, shape: Any) -> None:
    """Our full loop on all windows of `panel`, stopped and told to go on by the one who measures."""
    import torch

    from speed_parts import shapes

    facts = {} if panel.calendar.shape[1] else shapes.our_sizes(network, shape)
    training_turns(
        turn,
        warm=settings["warm"],
        steps=settings["steps"],
        facts=lambda: facts,
        synchronize=torch.cuda.synchronize if settings["device"] == "cuda" else lambda: None,
    )
    train_for(settings["warm"] + settings["turns"] * settings["steps"] + 1, network, panel, shape, settings)


def train_for(steps: int, network: Any, panel: Any, shape: Any, settings: dict[str, Any]) -> None:
    """So many steps without validation."""
    import numpy as np

    from tsattn.config import TrainerConfig
    from tsattn.data.windows import panel_tensors, windows_between
    from tsattn.training import fit

    lengths = panel.lengths
    config = TrainerConfig(
        accelerator="gpu" if settings["device"] == "cuda" else "cpu",
        precision=settings.get("precision", "32"),
        max_steps=steps,
        batch_size=settings.get("batch_size") or shape.batch_size,
        logger="none",
        progress=False,
    )
    windows = windows_between(np.full_like(lengths, shape.context_length), lengths - shape.horizon)
    data = fit.TrainData(panel_tensors(panel), windows, panel.ids)
    sizes = {"context_length": shape.context_length, "horizon": shape.horizon}
    fit.train(network, data, config, **sizes, seed=0, steps=steps)


if __name__ == "__main__":
    serve({"train": train})
