"""`python -m tsattn.train`: train on a table, hear the verdict, keep the model in a run folder."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

from tsattn.cli import run, say_origin, show_table, table_of
from tsattn.config import TrainConfig


def main(config: TrainConfig) -> None:
    """Fit, print what was found, decided and forecast, and save the run folder."""
    data = table_of(config)
    from tsattn import store
    from tsattn.forecaster import Forecaster, fit_config_of
    from tsattn.training.fit import Reporting, make_console, resolve_device

    resolve_device(config.trainer)  # a GPU that is not there is said before the data are read
    folder = run_folder(config)
    say_origin(config)
    console = make_console()
    forecaster = Forecaster(config=fit_config_of(config))
    started = time.perf_counter()
    forecaster.fit(data, read=config.read, reporting=Reporting(folder, console))
    forecaster.save(folder)
    store.write_file(folder / "train.json", store.to_json(asdict(config)))
    console.print(f"\n{show_table(forecaster.predict())}\n", markup=False)
    console.print(str(forecaster.verdict_), markup=False)
    console.print(
        f"{time.perf_counter() - started:.0f} s; the model is in {folder}: python -m tsattn.predict load={folder} input=..."
    )


def run_folder(config: TrainConfig) -> Path:
    """`output=`, or a new folder runs/<dataset>-<time>."""
    if config.output is not None:
        folder = Path(config.output)
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"output={config.output} is a file: in train it names the run folder")
        return folder
    name = Path(config.input).name.split(".")[0] if config.input else config.dataset.name
    base = Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder, again = base, 1
    while folder.exists():
        again += 1
        folder = base.with_name(f"{base.name}-{again}")
    return folder


if __name__ == "__main__":
    run("train", TrainConfig, main)
