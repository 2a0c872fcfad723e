"""Memory: what a fit holds beside the caller's frame, what it keeps from epoch to epoch, and what reading a CSV takes."""

from __future__ import annotations

import itertools
from typing import Any

from speed_parts.turns import Turn, forget_peak, peak_rss, rss, serve
from speed_parts.workers import Run, asked, measured

MB = 1e6


def memory(run: Run) -> dict[str, Any]:
    """Peak memory in MB, each in fresh processes."""
    few, many = run.size(10_000, 2_000), run.size(10_000_000, 20_000)
    small, large = (asked(run, "memory", "fit", rows=rows, steps=run.size(50, 2)) for rows in (few, many))
    beside = large["peak"] - small["peak"] - (large["frame"] - small["frame"])
    epochs = asked(run, "memory", "epochs", steps=run.size(200, 4))
    path = str(run.scratch / "rows.csv")
    size = asked(run, "memory", "write_csv", path=path, rows=run.size(2_000_000, 20_000))["size"]
    read = asked(run, "memory", "read_csv", path=path)
    return {
        "measured": {
            "fit": {"ours": measured([beside / MB])},
            "epochs": {"ours": measured([(epochs["held"][9] - epochs["held"][1]) / MB])},
            "csv": {"ours": measured([(read["peak"] - read["before"]) / size])},
        },
        "details": {"fit": {str(few): small, str(many): large}, "epochs": epochs, "csv": {**read, "size": size}},
    }


def fit(settings: dict[str, Any], turn: Turn) -> None:
    """Peak of `fit` on so many rows, calendar features on, and the size of the frame."""
    import gc

    import pyarrow

    from speed_parts.forecasting import long_frame
    from tsattn import Forecaster
    from tsattn.config import EncoderConfig, FitConfig, TrainerConfig

    frame = long_frame(max(settings["rows"] // 10_000, 1), min(settings["rows"], 10_000))
    model = EncoderConfig(d_model=32, num_layers=2, num_heads=2, d_ff=64, patch_length=7, head="quantile")
    trainer = TrainerConfig(max_steps=settings["steps"], validate_every=25, batch_size=64, progress=False)
    config = FitConfig(horizon=14, context_length=84, model=model, trainer=trainer)
    size = int(frame.memory_usage(index=False).sum())
    gc.collect()
    pyarrow.default_memory_pool().release_unused()  # what making the frame left behind is not of the fit
    forget_peak()
    before = rss()
    forecaster = Forecaster(config=config).fit(frame)
    peak = peak_rss()
    assert forecaster.fitted_.network is not None
    turn.say(before=before, peak=peak, frame=size, rows=len(frame), features=list(forecaster.fitted_.schema.features))


def epochs(settings: dict[str, Any], turn: Turn) -> None:
    """Memory held at the end of each of ten epochs, of so many steps each."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    from speed_parts import shapes
    from speed_parts.training import train_for

    shape = shapes.tiny()
    num_steps, held = settings["steps"], []
    done = itertools.count(1)

    def after_step(*_: Any) -> None:
        if next(done) % num_steps == 0:
            held.append(rss())

    register_optimizer_step_post_hook(after_step)
    rows = num_steps * shape.batch_size + shape.context_length + shape.horizon - 1  # so many windows are an epoch
    panel = shapes.panel_of(shapes.waves(1, rows))
    train_for(10 * num_steps, shapes.network_of(shape), panel, shape, settings)
    turn.say(held=held)


def write_csv(settings: dict[str, Any], turn: Turn) -> None:
    """A file of daily series, two thousand rows each."""
    from pathlib import Path

    from speed_parts.forecasting import long_frame

    long_frame(settings["rows"] // 2000, 2000).round(2).to_csv(settings["path"], index=False)
    turn.say(size=Path(settings["path"]).stat().st_size)


def read_csv(settings: dict[str, Any], turn: Turn) -> None:
    """Peak of reading it to the long frame, over what the process held with all imported."""
    from pathlib import Path

    from tsattn.config import ReadConfig
    from tsattn.data.frame import to_frame
    from tsattn.data.read import read

    few = Path(settings["path"]).with_name("few.csv")
    with open(settings["path"]) as file:
        few.write_text("".join(file.readline() for _ in range(500)))
    to_frame(read(str(few), ReadConfig()), ReadConfig())
    before = rss()
    forget_peak()
    frame = to_frame(read(settings["path"], ReadConfig()), ReadConfig())
    turn.say(before=before, peak=peak_rss(), rows=len(frame.df))


if __name__ == "__main__":
    serve({part.__name__: part for part in (fit, epochs, write_csv, read_csv)})
