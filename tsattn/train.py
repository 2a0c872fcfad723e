"""`python -m tsattn.train`: train on a table, hear the verdict, keep the model in a run folder.

Beside the model (see `tsattn.store`) the folder holds

    train.json            the settings of this run, as the command got them, and size and time of its files; written last
    checkpoints/          where the training stands; gone when it is through. The same command goes on from there, and its
                          result is that of a training which was never stopped
    verdict_windows.csv   where the model fails: a row per held-out window with the series, the last time before the window
                          (`cutoff`), the number of that cut-off (`origin`), and the scaled absolute error of every rung
    logs/                 losses and seconds of the training

A multirun (`--multirun seed=0,1,2 model.attention=full,causal output=sweep`) trains each combination into a folder of its own
(sweep/0, sweep/1 ...) and ends with `comparison.csv` and `comparison.md` in sweep/ (see `tsattn.comparison`). Started again it
takes the runs that are there already, so that an interrupted sweep goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from tsattn.cli import Job, claimed, in_multirun, job_overrides, run, same_command, say_origin, table_of
from tsattn.config import SHOWN, TrainConfig
from tsattn.data.findings import printable
from tsattn.files import remove_leftovers, write_file
from tsattn.output import paths_of, show_table, write_table

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

NOTE = "train.json"
CHECKPOINTS, LOCK = "checkpoints", ".running"


def main(config: TrainConfig) -> None:
    """Train into the run folder. A run of a multirun that is there already is taken as it is."""
    data = table_of(config)
    from tsattn.training.fit import Reporting, make_console
    from tsattn.training.machine import resolve_device

    resolve_device(config.trainer)  # a GPU that is not there is said before the data are read
    folder, console = run_folder(config), make_console()
    if in_multirun():
        config.pretrained = False  # trained networks are compared with each other
        job = " ".join(f"{name}={value}" for name, value in job_overrides().items())
        console.print(f"\n{printable(f'{folder}: {job}')}")
        if is_done(folder, config, data):
            console.print(f"{printable(str(folder))}: already there")
            return
    say_origin(config)
    again = printable(same_command("train", output=folder.parent if in_multirun() else folder))
    refuse_links(folder)
    with only_run_in(folder):
        checkpoints = checkpoints_for(folder, config, console)
        try:
            train_into(folder, config, data, Reporting(folder, console, checkpoints, again))
        except (KeyboardInterrupt, SystemExit):
            if checkpoints.exists():
                print(f"\nit goes on with: {again}", file=sys.stderr)
            raise


def checkpoints_for(folder: Path, config: TrainConfig, console: Any) -> Path:
    """The folder for the checkpoints of a training with these settings; those of a training with others stay beside it."""
    from tsattn.store import to_json

    settings = {name: value for name, value in asdict(config).items() if name not in ("input", "output", "dataset")}
    settings["trainer"] = {name: value for name, value in settings["trainer"].items() if name not in SHOWN}
    place = folder / CHECKPOINTS / hashlib.sha256(to_json(settings)).hexdigest()[:12]
    if place.parent.exists() and not place.exists():
        told = f"! {folder} holds an unfinished training with other settings: this one begins anew, that one stays"
        console.print(printable(told))
    return place


def train_into(folder: Path, config: TrainConfig, data: Any, reporting: Any) -> None:
    """Fit, print what was found, decided and forecast, and save the run folder."""
    from tsattn import comparison, store
    from tsattn.forecaster import Forecaster, fit_config_of
    from tsattn.verdict import NETWORK

    started, console, files = time.perf_counter(), reporting.console, states_of(data)
    remove_leftovers(folder)
    forecaster = Forecaster(config=fit_config_of(config))
    forecaster.fit(data, read=config.read, reporting=reporting)
    (folder / NOTE).unlink(missing_ok=True)  # it tells of the model before, and is written last
    forecaster.save(folder)
    write_table(forecaster.verdict_windows_, str(folder / comparison.WINDOWS))
    write_file(folder / NOTE, store.to_json({**asdict(config), "files": files}))
    shutil.rmtree(reporting.checkpoints, ignore_errors=True)
    with suppress(OSError):  # another training has not come to its end
        (folder / CHECKPOINTS).rmdir()
    fitted = forecaster.fitted_
    ahead = fitted.schema.columns_of("known") if fitted.verdict.answer == NETWORK else []
    place = printable(str(folder))
    needs = f"A forecast needs {printable(', '.join(ahead))} ahead: python -m tsattn.predict load={place} input=... future=FILE"
    console.print(f"\n{needs if ahead else show_table(forecaster.predict())}\n")
    console.print(str(forecaster.verdict_))
    console.print(
        f"{time.perf_counter() - started:.0f} s; the model is in {place}: python -m tsattn.predict load={place} input=..."
    )


@contextmanager
def only_run_in(folder: Path) -> Iterator[None]:
    """Make the folder and hold it against a second run, where the system can. A run that left nothing leaves no folder."""
    with _locked(folder):
        try:
            yield
        finally:
            (folder / LOCK).unlink(missing_ok=True)
            with suppress(OSError):
                folder.rmdir()


def _locked(folder: Path) -> TextIO:
    """The open lock file of the folder. ValueError where another run has it."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / LOCK, "w")  # noqa: SIM115
        if fcntl is None:
            return file
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise ValueError(f"another run is writing into {folder}: wait for its end, or name another output=") from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(folder / LOCK)):
                return file
        file.close()  # the run that had it has ended, and removed it meanwhile


def refuse_links(folder: Path) -> None:
    """Raise a ValueError where the folder holds links, pipes or the like: a run writes into no file but its own."""
    for path in [*folder.glob("*"), *(folder / "logs").rglob("*"), *(folder / CHECKPOINTS).rglob("*")]:
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(
                f"{path} is no plain file or folder, as all in a run folder must be: remove it, or name another output="
            )


def compare(jobs: list[Job]) -> None:
    """Print the comparison of the runs of a multirun, and write it beside their folders."""
    from tsattn import comparison

    names = comparison.variants([job.overrides for job in jobs])
    folders = [Path(job.config.output) for job in jobs]
    runs = [
        comparison.read_run(folder, variant=name, data=data_of(job.config))
        for folder, name, job in zip(folders, names, jobs, strict=True)
    ]
    groups = comparison.compare(runs)
    paths = comparison.write(groups, folders[0].parent)
    print(f"\n{comparison.to_markdown(groups)}\nThis comparison is in {printable(' and '.join(map(str, paths)))}")


def data_of(config: TrainConfig) -> str:
    """What names the data of a run: its file, or its data set where that has a name of its own."""
    path = config.dataset.path if config.dataset.name == "csv" else None
    return config.input or path or config.dataset.name


def is_done(folder: Path, config: TrainConfig, data: Any) -> bool:
    """Whether the folder holds the finished model of these settings and of the files as they are now."""
    from tsattn import comparison, store

    note = folder / NOTE
    if not note.exists() or not (folder / comparison.WINDOWS).exists():
        return False
    found, wanted = json.loads(note.read_bytes()), json.loads(store.to_json({**asdict(config), "files": states_of(data)}))
    if {**found, "output": None} != {**wanted, "output": None}:
        return False
    try:
        store.load(folder)
    except store.ModelFolderError:
        return False
    return True


def states_of(data: str) -> dict[str, list[int]]:
    """Size and time of the last change, in ns, of each file that a path or glob stands for."""
    found = {path: os.stat(path) for path in paths_of(data) if os.path.isfile(path)}
    return {path: [state.st_size, state.st_mtime_ns] for path, state in sorted(found.items())}


def run_folder(config: TrainConfig) -> Path:
    """`output=`, or a new folder runs/<dataset>-<time>."""
    if config.output is not None:
        folder = Path(config.output)
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"output={config.output} is a file: in train it names the run folder")
        return folder
    name = Path(config.input).name.split(".")[0] if config.input else config.dataset.name
    return claimed(Path("runs") / f"{slug(name)}-{time.strftime('%Y%m%d-%H%M%S')}")


def slug(name: str) -> str:
    """A name as the harmless start of a folder's name: letters, digits, _ and -, 40 at most."""
    return re.sub(r"\W+", "-", name)[:40].strip("-") or "table"


if __name__ == "__main__":
    run("train", TrainConfig, main, compare)
