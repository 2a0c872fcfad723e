"""What was tried to break tsattn, and what came of it: counts for `benchmarks/reliability.md`.

    python benchmarks/reliability.py [PART ...] --data DATA

Without a PART all are run, about half an hour on one free core; each writes `results/reliability/PART.json`, and the page is
written from these files. DATA is the folder with `messy/`; that part is left out without it. The files, damages and kills are
those of the tests: `tests/bad_files.py`, `tests/damage.py`, `tests/crashes.py`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "reliability"
PAGE = HERE / "reliability.md"
sys.path.insert(0, str(HERE.parent / "tests"))

FUZZ_SECONDS = 120
KILLS_AT_STEPS, KILLS_AT_MOMENTS, KILLS_WHILE_SAVING = 5, 20, 60


def command(name: str, *settings: str, cwd: Path, gigabytes: float | None = None) -> dict[str, Any]:
    """A command in a process of its own: exit code, lines on stderr, seconds, peak memory in bytes."""
    limit = None if gigabytes is None else int(gigabytes * 1e9)
    code = (
        "import resource, runpy, sys\n"
        f"{'' if limit is None else f'resource.setrlimit(resource.RLIMIT_AS, ({limit}, {limit}))'}\n"
        "try: runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)\n"
        "finally: print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)\n"
    )
    started = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-c", code, f"tsattn.{name}", *settings],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    peak = int(ended.stdout.rsplit("peak ", 1)[-1]) if "peak " in ended.stdout else 0
    return {
        "code": ended.returncode,
        "lines": ended.stderr.splitlines(),
        "seconds": time.perf_counter() - started,
        "peak": peak,
    }


def ends(paths: list[Path], settings: dict[str, list[str]] | None = None) -> dict[str, int]:
    """How `predict` ends for each file, in this process: read, refused in one line, or neither of the two."""
    from tsattn import cli, predict
    from tsattn.config import PredictConfig

    counts = {"files": len(paths), "forecast": 0, "refused in one line": 0, "neither": 0}
    for path in paths:
        out, err = io.StringIO(), io.StringIO()
        sys.argv = ["predict", f"input={path}", "horizon=1", *(settings or {}).get(path.name, [])]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.exit_code("predict", PredictConfig, predict.main)
        lines = [line for line in err.getvalue().splitlines() if not line.startswith("! ")]
        one_line = code == 2 and len(lines) == 1 and lines[0].startswith("error: ")
        counts["forecast" if code == 0 else "refused in one line" if one_line else "neither"] += 1
    return counts


# ---- parts -------------------------------------------------------------------------------------------------------------


def files(scratch: Path, data: Path | None) -> dict[str, Any]:
    """Every file of `tests/bad_files.py` through the command."""
    from bad_files import KNOWN, write_all

    return {"known": len(KNOWN), **ends(list(write_all(scratch).values()))}


def messy(scratch: Path, data: Path | None) -> dict[str, Any] | None:
    """Every untidy real file through the command, without a setting."""
    return None if data is None else ends(sorted((data / "messy").glob("*.csv*")))


def fuzz(scratch: Path, data: Path | None) -> dict[str, Any]:
    """Files changed at random for a while: what is read is held against an independent parser, the rest must be refused."""
    from bad_files import FILES
    from test_fuzz import check

    draw, counts = random.Random(0), {"inputs": 0, "neither": 0}
    corpus = [content for content in FILES.values() if 0 < len(content) < 2000]
    ending = time.monotonic() + FUZZ_SECONDS
    while time.monotonic() < ending:
        content = bytearray(draw.choice(corpus))
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(content) + 1)
            kind = draw.randrange(4)
            if kind == 0:
                content[at:at] = draw.randbytes(draw.randint(1, 3))
            elif kind == 1:
                del content[at : at + draw.randint(1, 8)]
            elif kind == 2:
                content[at : at + 1] = bytes([draw.randrange(256)])
            else:
                other = draw.choice(corpus)
                content[at:] = other[draw.randrange(len(other)) :]
        counts["inputs"] += 1
        try:
            check(bytes(content), scratch)
        except Exception as problem:
            counts["neither"] += 1
            print(f"{bytes(content)!r}: {problem!r}", file=sys.stderr)
    return {**counts, "seconds": FUZZ_SECONDS}


def large(scratch: Path, data: Path | None) -> dict[str, Any]:
    """Ten million rows through `predict`; five gigabytes under a limit of two."""
    import numpy as np
    import pandas as pd

    path = scratch / "rows.csv"
    days = pd.date_range("1990-01-01", periods=10_000).strftime("%Y-%m-%d").to_numpy()
    rng = np.random.default_rng(0)
    with open(path, "w") as file:
        file.write("unique_id,ds,y\n")
        for store in range(1000):
            numbers = rng.poisson(100, size=len(days))
            file.write("".join(f"store_{store:05},{day},{number}\n" for day, number in zip(days, numbers, strict=True)))
    read = command("predict", f"input={path}", "horizon=7", "output=forecast.csv", cwd=scratch)
    size = path.stat().st_size
    path.unlink()
    huge = scratch / "huge.csv"
    huge.write_text("unique_id,ds,y\na,2024-01-01,1\n")
    os.truncate(huge, 5_000_000_000)
    refused = command("predict", f"input={huge}", "horizon=7", cwd=scratch, gigabytes=2)
    return {"rows": 10_000_000, "bytes": size, "read": read, "refused": refused}


def flips(scratch: Path, data: Path | None) -> dict[str, Any]:
    """One bit of every byte of every file of each golden folder."""
    from damage import GOLDEN, flip_everywhere

    folders = [path for path in sorted(GOLDEN.iterdir()) if path.is_dir()]
    counts = [flip_everywhere(folder) for folder in folders]
    return {
        "folders": len(folders),
        "flips": sum(number for number, _ in counts),
        "caught": sum(caught for _, caught in counts),
    }


def damages(scratch: Path, data: Path | None) -> dict[str, Any]:
    """Every kind of damage and malice of `tests/damage.py`: one `ModelFolderError` of one line, and no code run."""
    import shutil

    import damage

    from tsattn import store

    counts = {"kinds": 0, "refused": 0, "code run": 0}
    for number, (_, change) in enumerate(damage.damages()):
        place = scratch / str(number)
        folder = place / "model"
        shutil.copytree(damage.GOLDEN / "format1_encoder_counts", folder)
        before = Path.cwd()
        try:
            os.chdir(place)
            change(folder)
            counts["kinds"] += 1
            store.load(folder)
        except store.ModelFolderError as problem:
            counts["refused"] += "\n" not in str(problem)
        finally:
            os.chdir(before)
        counts["code run"] += (place / damage.CANARY).exists() or (folder / damage.CANARY).exists()
    return counts


def saving(scratch: Path, data: Path | None) -> dict[str, Any]:
    """A process that saves two models in turn, killed at random moments."""
    from damage import kill_while_saving

    kills, loaded = kill_while_saving(KILLS_WHILE_SAVING)
    return {"kills": kills, "loaded": loaded}


def steps(scratch: Path, data: Path | None) -> dict[str, Any]:
    """A training with dropout killed at random steps, each attempt with another hash seed, then left to end."""
    from crashes import kill_at_steps

    return kill_at_steps(scratch, times=KILLS_AT_STEPS, seed=1)._asdict()


def moments(scratch: Path, data: Path | None) -> dict[str, Any]:
    """Trainings into a folder that holds a model, killed at random moments, half with TMPDIR on another file system."""
    from crashes import kill_at_moments

    shared = Path("/dev/shm")
    places = [None, shared if shared.is_dir() else None]
    outcomes = [
        kill_at_moments(scratch / str(i), times=KILLS_AT_MOMENTS // 2, seed=i, tmpdir=place) for i, place in enumerate(places)
    ]
    kills, loaded, left = zip(*outcomes, strict=True)
    return {"attempts": KILLS_AT_MOMENTS, "kills": sum(kills), "loaded": sum(loaded), "left over": sum(map(len, left))}


PARTS: dict[str, Callable[[Path, Path | None], dict[str, Any] | None]] = {
    part.__name__: part for part in (files, messy, fuzz, large, flips, damages, saving, steps, moments)
}


# ---- the page ----------------------------------------------------------------------------------------------------------


def rows(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(what was tried, how often, what came of it) for each part there is."""

    def ended(part: dict[str, Any]) -> str:
        return f"{part['forecast']} forecast, {part['refused in one line']} refused in one line, {part['neither']} neither"

    def big(part: dict[str, Any]) -> str:
        read, refused = part["read"], part["refused"]
        peak = f"peak {read['peak'] / 1e9:.1f} GB ({read['peak'] / part['bytes']:.1f} times the file)"
        first = f"forecast in {read['seconds']:.0f} s, {peak}, exit code {read['code']}"
        return f"{first}; refused after {refused['seconds']:.1f} s, exit code {refused['code']}"

    texts: dict[str, tuple[str, Callable[[dict[str, Any]], tuple[str, str]]]] = {
        "files": (
            "broken and treacherous files, `predict`",
            lambda part: (f"{part['files']} ({part['known']} of a known list)", ended(part)),
        ),
        "messy": ("untidy real files, `predict` without a setting", lambda part: (str(part["files"]), ended(part))),
        "fuzz": (
            "files of the list changed at random, read",
            lambda part: (
                f"{part['inputs']:,} in {part['seconds']} s",
                f"{part['neither']} neither a sound table nor refused in words",
            ),
        ),
        "large": (
            "10 million rows; 5 GB with a limit of 2 GB, `predict`",
            lambda part: (f"{part['bytes'] / 1e6:.0f} MB; 5 GB", big(part)),
        ),
        "flips": (
            "a flipped bit in every byte of a model folder",
            lambda part: (f"{part['flips']:,} in {part['folders']} folders", f"{part['caught']:,} found"),
        ),
        "damages": (
            "damaged and malicious model folders",
            lambda part: (f"{part['kinds']} kinds", f"{part['refused']} refused in one line, code run in {part['code run']}"),
        ),
        "saving": (
            "`kill -9` while a model is saved over another",
            lambda part: (f"{part['kills']}", f"{part['loaded']} times the old or the new model loaded"),
        ),
        "steps": (
            "`kill -9` at random steps of one training (dropout 0.2), then gone on",
            lambda part: (
                f"{part['kills']}",
                "the weights are those of a training left alone, to the bit"
                if part["found"] == part["expected"]
                else f"other weights: {part['found'][:12]} and not {part['expected'][:12]}",
            ),
        ),
        "moments": (
            "`kill -9` at random moments of training and saving, half with TMPDIR elsewhere",
            lambda part: (
                f"{part['kills']}",
                f"{part['loaded']} of {part['attempts']} times a whole model loaded; {part['left over']} files left over",
            ),
        ),
    }
    return [(what, *told(found[name])) for name, (what, told) in texts.items() if name in found]


def write_page() -> None:
    """`reliability.md` from the results that are there."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    versions = sorted({part["on"] for part in found.values()})
    lines = [f"| {what} | {often} | {outcome} |" for what, often, outcome in rows(found)]
    table = "\n".join(["| what was tried | how often | what came of it |", "|---|---|---|", *lines])
    PAGE.write_text(
        "# What was tried to break it\n\n"
        "Written by `python benchmarks/reliability.py --data DATA`; the files, damages and kills are those of the tests\n"
        "(`tests/bad_files.py`, `tests/damage.py`, `tests/crashes.py`), and `results/reliability/` holds the figures.\n"
        "`neither` counts wrong exit codes, tracebacks and answers of more than one line: it has to be 0.\n\n"
        f"{table}\n\nOn {'; '.join(versions)}. Seconds beside other work.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in arguments.parts or PARTS:
        with tempfile.TemporaryDirectory() as scratch:
            result = PARTS[name](Path(scratch), arguments.data)
        if result is not None:
            on = f"Python {platform.python_version()}, {platform.system()}"
            (RESULTS / f"{name}.json").write_text(json.dumps({**result, "on": on}, indent=1) + "\n")
            print(name, result, flush=True)
        write_page()


if __name__ == "__main__":
    main()
