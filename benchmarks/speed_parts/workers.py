"""The measuring side: processes that take turns, so that ours and a peer are timed A B A B in the same minutes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

BENCHMARKS = Path(__file__).resolve().parents[1]
TURN_SECONDS = 900.0  # a process that says nothing for so long is ended


class Run(NamedTuple):
    """What all questions are asked with."""

    threads: int
    scratch: Path
    quick: bool = False
    data: Path | None = None  # folder with ltsf/
    peers: str | None = None  # the Python of the peers' environment
    device: str = "cpu"

    def size(self, full: Any, quick: Any) -> Any:
        """The size to measure with."""
        return quick if self.quick else full


class Failed(RuntimeError):
    """A measured process ended before it had answered."""


def environment(threads: int) -> dict[str, str]:
    """Of every measured process: the same number of threads, and the parts importable."""
    count = str(threads)
    return {**os.environ, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "PYTHONPATH": str(BENCHMARKS)}


class Worker:
    """A process that prepares on its own and measures when told to; `facts` is what it said when it was ready."""

    def __init__(self, run: Run, where: Sequence[str], part: str, settings: dict[str, Any]) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.name = f"{where[-1]} {part}"
        self.process = subprocess.Popen(
            [*where, part, json.dumps({**settings, "threads": run.threads, "device": run.device})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=run.scratch,
            env=environment(run.threads),
        )
        self.facts = self.read()

    def read(self) -> dict[str, Any]:
        """The next line it says."""
        assert self.process.stdout is not None
        timer = threading.Timer(TURN_SECONDS, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        if not line:
            code = self.process.wait()
            self.errors.seek(0)
            raise Failed(f"{self.name} ended with {code}\n{self.errors.read()[-3000:]}")
        return json.loads(line)

    def turn(self) -> dict[str, Any]:
        """One more measurement."""
        assert self.process.stdin is not None
        print("go", file=self.process.stdin, flush=True)
        return self.read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, problem: BaseException | None, where: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()


def ours(run: Run, module: str, part: str, **settings: Any) -> Worker:
    """A process of ours: `part` of `speed_parts.<module>`."""
    return Worker(run, [sys.executable, "-m", f"speed_parts.{module}"], part, settings)


def peer(run: Run, script: str, part: str, **settings: Any) -> Worker:
    """A process of the peers' environment: `part` of `peers/<script>.py`."""
    assert run.peers is not None
    return Worker(run, [run.peers, str(BENCHMARKS / "peers" / f"{script}.py")], part, settings)


def asked(run: Run, module: str, part: str, **settings: Any) -> dict[str, Any]:
    """What a fresh process of ours says, once."""
    with ours(run, module, part, **settings) as worker:
        return worker.facts


def alternate(workers: dict[str, Worker], turns: int) -> dict[str, list[float]]:
    """Seconds of every turn by worker, A B A B."""
    found: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(turns):
        for name, worker in workers.items():
            found[name].append(worker.turn()["seconds"])
    return found


def seconds_of(command: list[str], run: Run) -> float:
    """Wall time of a command from start to exit, in the scratch folder."""
    began = time.perf_counter()
    ended = subprocess.run(command, cwd=run.scratch, env=environment(run.threads), capture_output=True, text=True)
    if ended.returncode:
        raise Failed(f"{' '.join(command)} ended with {ended.returncode}\n{ended.stderr[-3000:]}")
    return time.perf_counter() - began


def measured(values: Sequence[float], scale: float = 1.0) -> dict[str, Any]:
    """Median, range and number of `values` times `scale`."""
    scaled = [value * scale for value in values]
    return {"median": statistics.median(scaled), "range": [min(scaled), max(scaled)], "repeats": len(scaled)}


def rate(amount: float, seconds: Sequence[float]) -> dict[str, Any]:
    """Median, range and number of `amount` per second."""
    return measured([amount / one for one in seconds])
