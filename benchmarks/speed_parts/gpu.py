"""On a GPU: windows per second in bfloat16, whether a step ever waits, and the data path. Without one all of it runs small."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from speed_parts.data_path import extra
from speed_parts.turns import Turn, serve
from speed_parts.workers import Run, alternate, asked, measured, ours, peer, rate

TURNS, STEPS, WARM = 5, 40, 10
BATCH = 2048


def gpu(run: Run) -> dict[str, Any]:
    """The full training loop of 2 million parameters on windows of 512 points; neuralforecast's PatchTST in the same run."""
    here = asked(run, "gpu", "device")
    small = here["device"] == "cpu" or run.quick
    run = run._replace(device=here["device"], quick=small)
    batch_size = run.size(BATCH, 16)
    settings = {"turns": run.size(TURNS, 1), "warm": run.size(WARM, 1), "steps": run.size(STEPS, 1), "precision": "bf16"}
    training = {"shape": run.size("two_million", "tiny"), "data": None, "batch_size": batch_size}
    with ExitStack() as stack:
        workers = {"ours": stack.enter_context(ours(run, "training", "train", **settings, **training))}
        if run.peers is not None:
            theirs = peer(run, "neuralforecast_speed", "train", shape="patchtst", data=None, **settings)
            workers["peer"] = stack.enter_context(theirs)
        seconds = alternate(workers, settings["turns"])
        facts = {side: worker.facts for side, worker in workers.items()}
    sizes = {"ours": batch_size, "peer": 128}
    rates = {side: rate(sizes[side], taken) for side, taken in seconds.items()}
    waits = asked(run, "gpu", "waits", shape=training["shape"], batch_size=batch_size)
    gathering, details = extra(run, training["shape"], steps=settings["steps"], series=run.size(1000, 10))
    flops = 3e6 * facts["ours"]["forward_mflop_per_window"] * rates["ours"]["median"]  # a backward pass is two forward ones
    figures = {
        "rate": {"ours": rates["ours"]},
        "beside": rates,
        "waits": {"ours": measured([waits["waits"]])},
        "data": gathering,
    }
    return {
        "measured": figures | {"share": {"ours": measured([100 * flops / 1e12 / here["tflops"]])}},
        "details": {"device": here, "sizes": facts, "small": small, "data_path": details, "waits": waits},
        "text": [f"On a GPU: {here['name']}, batches of {batch_size} windows."],
        "rehearsal": small,
    }


def device(settings: dict[str, Any], turn: Turn) -> None:
    """What there is, and the rate of its matrix product in bfloat16, TFLOP/s."""
    import time

    import torch

    found = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if found == "cuda" else "a processor, as there is no GPU"
    size, wait = (8192, torch.cuda.synchronize) if found == "cuda" else (512, lambda: None)
    a, b = torch.randn(2, size, size, device=found, dtype=torch.bfloat16)
    seconds = []
    for _ in range(12):
        wait()
        began = time.perf_counter()
        a @ b
        wait()
        seconds.append(time.perf_counter() - began)
    turn.say(device=found, name=name, tflops=2 * size**3 / min(seconds) / 1e12)


def waits(settings: dict[str, Any], turn: Turn) -> None:
    """How often the host waits for the GPU inside three training steps: drawing and gathering, forward, backward, optimizer."""
    import warnings

    import torch

    from speed_parts import shapes
    from tsattn.config import TrainerConfig
    from tsattn.data.windows import panel_tensors, windows_between
    from tsattn.training.module import ForecastModule
    from tsattn.training.stream import BatchStream

    shape = shapes.SHAPES[settings["shape"]]()
    panel = shapes.panel_of(shapes.waves(100, 2000))
    sizes = {"context_length": shape.context_length, "horizon": shape.horizon}
    module = ForecastModule(shapes.network_of(shape).train(), panel_tensors(panel), TrainerConfig(), **sizes)
    module = module.to(settings["device"])
    optimizer = module.configure_optimizers()["optimizer"]
    lengths = panel.lengths
    windows = windows_between(lengths * 0 + shape.context_length, lengths - shape.horizon)
    stream = BatchStream(windows, settings["batch_size"], 0)
    found = 0
    for number in range(6):
        series, cut = (part.pin_memory() if settings["device"] == "cuda" else part for part in stream.batch(number))
        batch = series.to(settings["device"], non_blocking=True), cut.to(settings["device"], non_blocking=True)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            if settings["device"] == "cuda" and number >= 3:  # the first steps allocate
                torch.cuda.set_sync_debug_mode("warn")
            with torch.autocast(settings["device"], torch.bfloat16):
                loss = module.training_step(batch, number)
            loss.backward()
            module.configure_gradient_clipping(optimizer)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if settings["device"] == "cuda":
            torch.cuda.set_sync_debug_mode("default")
        found += sum("synchroniz" in str(one.message) for one in told) if number >= 3 else 0
    turn.say(waits=found, resident=str(module.panel.values.device))


if __name__ == "__main__":
    serve({"device": device, "waits": waits})
