"""Is it as fast as the machine? Training, forecasting, starting, memory and growth, beside peers that are measured in turns.

    python benchmarks/speed.py --data DATA --peers PYTHON     all questions; those answered for this commit are kept
    python benchmarks/speed.py --only starting patchtst ...   these, again
    python benchmarks/speed.py --quick                        a rehearsal with small sizes, a minute; nothing is written
    python benchmarks/speed.py --gpu                          the question for a GPU alone, without data or Hydra
    python benchmarks/speed.py --table                        only write the table from the results that are there

DATA is the folder with `ltsf/ETTh1.csv.gz`. PYTHON is that of an environment with the peers
(`python -m venv peers && peers/bin/pip install -r benchmarks/peers/requirements-speed.txt`); without it only our halves are
measured. Nothing else should run on the machine: the load at the start is noted. Ours and the peer are processes of their own
with the same number of threads. Each prepares, warms up and then measures when it is its turn, A B A B, with a clock inside;
ratios are those of medians. One function a question, in `speed_parts/`; what must be reached is in `speed_parts/targets.py`.
Written: `results/speed/<question>.json`, pictures, and the table in `benchmarks/README.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from speed_parts.data_path import data_path
from speed_parts.forecasting import forecasting, tables
from speed_parts.gpu import gpu
from speed_parts.growth import growth
from speed_parts.memory import memory
from speed_parts.profiling import profile
from speed_parts.starting import starting
from speed_parts.targets import rows, table
from speed_parts.training import patchtst, transformer
from speed_parts.workers import Failed, Run

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "speed"
BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"


class Question(NamedTuple):
    """How it is answered, and about how many minutes that takes on two cores."""

    answer: Callable[[Run], dict[str, Any]]
    minutes: float


QUESTIONS = {
    "patchtst": Question(patchtst, 10),
    "transformer": Question(transformer, 4),
    "forecasting": Question(forecasting, 1.5),
    "tables": Question(tables, 3),
    "starting": Question(starting, 0.6),
    "data_path": Question(data_path, 3),
    "memory": Question(memory, 4),
    "growth": Question(growth, 12),
    "profile": Question(profile, 10),
    "gpu": Question(gpu, 3),
}


def main() -> None:
    arguments = parsed()
    if arguments.table:
        write_readme()
        return
    asked = ["gpu"] if arguments.gpu else arguments.only or [name for name in QUESTIONS if name != "gpu"]
    on = {**machine(arguments.peers), "threads": arguments.threads, "commit": commit()}
    kept = [] if arguments.quick or arguments.only or arguments.gpu else [name for name in asked if answered(name, on)]
    asked = [name for name in asked if name not in kept]
    if arguments.quick:
        print("QUICK: small sizes and few repeats, to see that everything runs; the figures say nothing and are not kept")
    else:
        minutes = sum(QUESTIONS[name].minutes for name in asked)
        print(f"kept: {', '.join(kept) or 'none'}; to answer: {', '.join(asked)}; about {minutes:.0f} minutes", flush=True)
    answers, failed = {}, []
    for name in asked:
        try:
            answers[name] = answer(name, arguments, on)
            print(f"{name}: {answers[name]['seconds']} s", flush=True)
        except Failed as problem:
            failed.append(name)
            print(f"{name}: {problem}", file=sys.stderr, flush=True)
    if not arguments.quick:
        write_readme()
    print(table(answers))
    if failed:
        raise SystemExit(f"not answered: {', '.join(failed)}")


def answer(name: str, arguments: argparse.Namespace, on: dict[str, Any]) -> dict[str, Any]:
    """The answer to a question; it and its pictures are kept unless it is a rehearsal."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        found = QUESTIONS[name].answer(run_of(arguments, Path(scratch)))
        rehearsal = arguments.quick or found.get("rehearsal", False)
        for picture, draw in found.get("pictures", {}).items():
            draw((Path(scratch) if rehearsal else RESULTS) / picture)
    seconds = round(time.perf_counter() - began, 1)
    given = {"rows": rows(name, found["measured"]), "details": found["details"], "text": found.get("text", [])}
    given |= {"seconds": seconds, "on": on}
    if not rehearsal:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / f"{name}.json").write_text(json.dumps(given, indent=1) + "\n")
    return given


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--peers", metavar="PYTHON")
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, metavar="NAME", help=", ".join(QUESTIONS))
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    return parser.parse_args()


def run_of(arguments: argparse.Namespace, scratch: Path) -> Run:
    data = arguments.data and arguments.data.resolve()
    return Run(arguments.threads, scratch, quick=arguments.quick, data=data, peers=arguments.peers)


def machine(peers: str | None) -> dict[str, Any]:
    """What the figures were taken on."""
    facts = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_at_start": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "pandas", "pytorch-lightning")},
        "date": time.strftime("%Y-%m-%d"),
    }
    if peers is not None:
        names = ("neuralforecast", "chronos-forecasting", "torch", "transformers", "pandas", "pytorch-lightning")
        code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {names}}}))"
        facts["peers"] = json.loads(subprocess.run([peers, "-c", code], capture_output=True, check=True).stdout)
    return facts


def processor() -> str:
    """Its name; the family and model where the name says as little as that of a virtual one."""
    info = Path("/proc/cpuinfo")
    pairs = (line.partition(":") for line in info.read_text().splitlines()) if info.exists() else ()
    found = {name.strip(): value.strip() for name, _, value in pairs}
    return f"{found.get('model name', platform.processor())} (family {found.get('cpu family')}, model {found.get('model')})"


def commit() -> str:
    """The commit measured, with a + where files of the library or of this benchmark differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=HERE.parent, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--", "tsattn", "conf", "benchmarks/speed.py", "benchmarks/speed_parts")
    return git("rev-parse", "--short=12", "HEAD") + "+" * bool(changed)


def answered(name: str, on: dict[str, Any]) -> bool:
    """Whether there is a result of this question for the same commit, threads and peers."""
    path = RESULTS / f"{name}.json"
    before = json.loads(path.read_text())["on"] if path.exists() else {}
    return all(before.get(key) == on.get(key) for key in ("commit", "threads", "processor", "peers"))


def write_readme() -> None:
    """The section of `benchmarks/README.md` between the marks, from the results that are there."""
    answers = {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}
    readme = HERE / "README.md"
    text = readme.read_text()
    if BEGIN not in text:
        text = f"{text.rstrip()}\n\n## As fast as the machine\n\n{BEGIN}\n{END}\n"
    more = ["\n".join(answers[name]["text"]) for name in QUESTIONS if answers.get(name, {}).get("text")]
    section = "\n\n".join([measured_on(answers), table(answers), *more])
    readme.write_text(f"{text.split(BEGIN)[0]}{BEGIN}\n{section}\n{END}{text.split(END)[1]}")


def measured_on(answers: dict[str, dict[str, Any]]) -> str:
    """Machines, versions and commits of the answers, a sentence for those that share them."""
    shared: dict[str, list[str]] = {}
    for name, given in answers.items():
        on = given["on"]
        peers = on.get("peers", {})
        beside = f"; peers: {', '.join(f'{peer} {number}' for peer, number in peers.items())}" if peers else ""
        facts = f"{on['processor']}, {on['threads']} threads, torch {on['torch']}, commit {on['commit']}, {on['date']}{beside}"
        shared.setdefault(facts, []).append(name)
    lines = [f"{', '.join(names)}: {facts}." for facts, names in shared.items()]
    return "\n".join(lines) or "Nothing has been measured."


if __name__ == "__main__":
    main()
