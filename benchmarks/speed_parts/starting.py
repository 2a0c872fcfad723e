"""How long it takes to begin: imports and commands, each in a fresh process."""

from __future__ import annotations

import sys
import time
from typing import Any

from speed_parts.turns import Turn, serve
from speed_parts.workers import Run, asked, measured, seconds_of


def starting(run: Run) -> dict[str, Any]:
    """Seconds of imports inside a fresh process, of commands from start to exit; in turns, the first time not counted."""
    python = sys.executable
    commands = {
        "torch": [python, "-c", "import torch"],
        "predict": [python, "-m", "tsattn.predict", "values=[2,5,10,6,8]", "horizon=1"],
        "help": [python, "-m", "tsattn.train", "--help"],
    }
    modules = ("tsattn", "tsattn.forecaster", "torch", "pandas")
    found: dict[str, list[float]] = {}
    for time_around in range(run.size(6, 1)):
        taken = {name: seconds_of(command, run) for name, command in commands.items()}
        taken |= {f"import {name}": asked(run, "starting", "importing", imported=name)["seconds"] for name in modules}
        for name, seconds in taken.items() if time_around or run.quick else ():
            found.setdefault(name, []).append(seconds)
    figures = {name: measured(seconds) for name, seconds in found.items()}
    return {
        "measured": {
            "import": {"ours": figures["import tsattn"]},
            "predict": {"ours": figures["predict"], "peer": figures["torch"]},
            "help": {"ours": figures["help"]},
        },
        "details": figures,
    }


def importing(settings: dict[str, Any], turn: Turn) -> None:
    """Seconds that the import of a module takes."""
    import importlib

    began = time.perf_counter()
    importlib.import_module(settings["imported"])
    turn.say(seconds=time.perf_counter() - began)


if __name__ == "__main__":
    serve({"importing": importing})
