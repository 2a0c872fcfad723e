"""What gathering costs: the same training loop with windows that are drawn and gathered, and with one fixed batch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from speed_parts.turns import Turn, serve
from speed_parts.workers import Run, alternate, measured, ours

TURNS = 5


def data_path(run: Run) -> dict[str, Any]:
    """Share of a step that drawing and gathering take, of a network such as `auto` builds and of one like PatchTST."""
    found, details = {}, {}
    for name, steps in run.size({"usual": 50, "patchtst": 8}, {"usual": 1}).items():
        shape = run.size(name, "tiny")
        found[name], details[name] = extra(run, shape, steps=steps, series=run.size(1000, 10))
    return {"measured": found, "details": details}


def extra(run: Run, shape: str, *, steps: int, series: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """How much longer a step with gathering is, turn by turn, in per cent of the step on a fixed batch."""
    settings = {"shape": shape, "steps": steps, "series": series, "turns": run.size(TURNS, 1), "warm": run.size(5, 1)}
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(ours(run, "data_path", "train", fixed=name == "fixed", **settings))
            for name in ("gathered", "fixed")
        }
        seconds = alternate(workers, settings["turns"])
    shares = [100 * (with_it / without - 1) for with_it, without in zip(seconds["gathered"], seconds["fixed"], strict=True)]
    return {"ours": measured(shares)}, {"seconds": seconds, "settings": settings}


def train(settings: dict[str, Any], turn: Turn) -> None:
    """The full loop on hourly series of 10,000 rows with calendar features; `fixed`: every step has the first batch."""
    from speed_parts import shapes
    from speed_parts.training import training
    from tsattn.training.module import ForecastModule
    from tsattn.training.stream import BatchStream

    shape = shapes.SHAPES[settings["shape"]]()
    panel = shapes.with_calendar(shapes.panel_of(shapes.waves(settings["series"], 10_000)))
    network = shapes.network_of(shape, num_features=panel.calendar.shape[1])
    if settings["fixed"]:
        BatchStream.batch, ForecastModule.gather = once(BatchStream.batch), once(ForecastModule.gather)
    training(settings, turn, network, panel, shape)


def once(made: Callable[..., Any]) -> Callable[..., Any]:
    """A function that gives what `made` gave the first time."""
    held: list[Any] = []

    def same(*given: Any) -> Any:
        if not held:
            held.append(made(*given))
        return held[0]

    return same


if __name__ == "__main__":
    serve({"train": train})
