"""Which of several trainings is better? Runs on the same held-out windows, compared window by window.

Runs are grouped by data and horizon. What differs between the runs of a group besides the seed is the variant; the seeds of a
variant are its replicates. Every variant is compared with the first one: errors are averaged over the seeds that both have,
and the mean of the paired differences gets the interval of the verdict (`tsattn.verdict.difference_interval`).

Letters: N windows.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tsattn import verdict
from tsattn.data.findings import printable
from tsattn.files import newest, write_file
from tsattn.verdict import NETWORK, WORDS

WINDOWS = "verdict_windows.csv"  # in a run folder: id, cutoff, origin, and a column per rung
NOT_VARIANTS = ("seed", "output", "input", "dataset", "horizon")  # replicates, places, and what the groups are made of
EXPLAINED = """\
MASE is that of the trained model, mean over seeds (standard deviation over seeds), on windows that neither training nor
early stopping has read. "minus" is the mean paired difference of the errors, negative where the row is better, with its 95 %
interval over windows. Seconds are those of the training alone; steps are those behind the weights that were kept."""


class Run(NamedTuple):
    """A finished training and how it did on its verdict windows."""

    variant: str
    data: str
    horizon: int
    seed: int
    ids: np.ndarray  # [N] names of the series
    origin: np.ndarray  # [N] numbers of the cut-offs
    errors: dict[str, np.ndarray]  # {rung: [N]} scaled absolute errors, NaN where a window could not be scored
    seconds: float
    steps: int
    parameters: int


class Row(NamedTuple):
    """One variant on one table; NaN where there is nothing to say."""

    data: str
    horizon: int
    variant: str
    seeds: str
    windows: int
    mase: float
    mase_sd: float  # over seeds
    difference: float  # of MASE, from the first variant
    low: float
    high: float
    best_naive: str
    best_naive_mase: float
    seconds: float
    steps: float
    parameters: float


class Group(NamedTuple):
    """The variants on one table."""

    title: str
    rows: list[Row]
    notes: list[str]  # what could not be compared, and why


def variants(overrides: list[dict[str, str]]) -> list[str]:
    """A name for each run: its overrides that are not the same in all runs, seeds and places aside."""
    names = [name for name in dict.fromkeys(name for given in overrides for name in given) if not _is_place(name)]
    varied = [name for name in names if len({given.get(name) for given in overrides}) > 1]
    shown = varied or names  # one variant alone is named by all that was given
    return [" ".join(f"{name}={given[name]}" for name in shown if name in given) or "as given" for given in overrides]


def _is_place(name: str) -> bool:
    return name in NOT_VARIANTS or name.startswith("dataset.")


def read_run(folder: Path, *, variant: str, data: str) -> Run:
    """A run from its folder: `config.json` and `verdict_windows.csv`."""
    settings = json.loads(newest(folder, "config.json").read_bytes())["settings"]
    with open(folder / WINDOWS, newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    errors = {rung: np.array([float(line[3 + i] or "nan") for line in lines]) for i, rung in enumerate(header[3:])}
    details = settings["details"]
    return Run(
        variant,
        data,
        settings["horizon"],
        settings["seed"],
        np.array([line[0] for line in lines], dtype=object),
        np.array([int(line[2]) for line in lines], dtype=np.int64),
        errors,
        details.get("seconds", {}).get("total", math.nan),
        settings["steps"],
        details.get("parameters", 0),
    )


def compare(runs: list[Run]) -> list[Group]:
    """The runs grouped by data and horizon, in their order."""
    keys = dict.fromkeys((run.data, run.horizon) for run in runs)
    return [_group([run for run in runs if (run.data, run.horizon) == key]) for key in keys]


def _group(runs: list[Run]) -> Group:
    """Every variant of a group beside the first one that has a network."""
    notes = [f"{run.variant}, seed {run.seed}: {reason}." for run in runs if (reason := why_not_judged(run))]
    judged = [run for run in runs if not why_not_judged(run)]
    title = f"{runs[0].data}, {runs[0].horizon} step{'s' * (runs[0].horizon != 1)} ahead"
    if not judged:
        return Group(title, [], notes)
    names = list(dict.fromkeys(run.variant for run in judged))
    first = [run for run in judged if run.variant == names[0]]
    rows = []
    for name in names:
        own = [run for run in judged if run.variant == name]
        reason = next((reason for run in own if (reason := why_not_paired(first[0], run))), "")
        if reason:
            notes.append(f"{name} is not compared with {names[0]}: {reason}.")
        row, note = _row(own, [] if reason else first)
        rows.append(row)
        notes += note
    ids, origins = first[0].ids, first[0].origin
    title += f": {len(ids):,} windows of {len(set(ids))} series at {len(set(origins))} dates"
    return Group(title, rows, notes)


def scored(run: Run) -> np.ndarray:
    """The windows on which every rung has an error, bool [N]."""
    return np.all([np.isfinite(found) for found in run.errors.values()], axis=0)


def why_not_judged(run: Run) -> str:
    """Why a run says nothing about its variant; empty where it does."""
    if NETWORK not in run.errors:
        return "no network was trained"
    return "" if scored(run).any() else "no window could be scored"


def why_not_paired(one: Run, other: Run) -> str:
    """Why the windows of two runs cannot be compared one by one; empty where they can.

    Naive forecasts know neither seed nor model: where theirs are wrong by another amount, the rows, the season or the reading
    of the table differ.
    """
    if len(one.ids) != len(other.ids):
        return f"{len(other.ids):,} windows against {len(one.ids):,}"
    elsewhere = np.flatnonzero((one.ids != other.ids) | (one.origin != other.origin))
    if len(elsewhere):
        found, wanted = (f"{run.ids[elsewhere[0]]} at cut-off {run.origin[elsewhere[0]]}" for run in (other, one))
        return f"the windows are others, for example {found} in place of {wanted}"
    for rung in sorted((set(one.errors) & set(other.errors)) - {NETWORK}):
        if not np.allclose(one.errors[rung], other.errors[rung], rtol=1e-6, equal_nan=True):
            return (
                f"on the same windows {WORDS.get(rung, rung)} has other errors, so the rows, the season or the reading differ"
            )
    return ""


def _row(own: list[Run], first: list[Run]) -> tuple[Row, list[str]]:
    """The row of a variant, compared with the runs of the `first` one, none where it cannot be."""
    mase = [float(run.errors[NETWORK][scored(run)].mean()) for run in own]
    naive = {rung: float(found[scored(own[0])].mean()) for rung, found in own[0].errors.items() if rung != NETWORK}
    best = min(naive, key=lambda rung: naive[rung])
    difference, low, high, notes = math.nan, math.nan, math.nan, []
    if first and own[0].variant != first[0].variant:
        seeds = sorted({run.seed for run in own} & {run.seed for run in first})
        if seeds:
            difference, low, high = paired_difference(_of(own, seeds), _of(first, seeds))
        if len(seeds) < max(len(own), len(first)):
            shared = f"seed{'s' * (len(seeds) != 1)} {_listed(seeds)} alone" if seeds else "no seed"
            notes.append(f"{own[0].variant} shares {shared} with {first[0].variant}: the difference rests on what they share.")
    row = Row(
        data=own[0].data,
        horizon=own[0].horizon,
        variant=own[0].variant,
        seeds=_listed(sorted(run.seed for run in own)),
        windows=int(scored(own[0]).sum()),
        mase=float(np.mean(mase)),
        mase_sd=float(np.std(mase, ddof=1)) if len(mase) > 1 else math.nan,
        difference=difference,
        low=low,
        high=high,
        best_naive=best,
        best_naive_mase=naive[best],
        seconds=float(np.mean([run.seconds for run in own])),
        steps=float(np.mean([run.steps for run in own])),
        parameters=float(np.mean([run.parameters for run in own])),
    )
    return row, notes


def paired_difference(ours: list[Run], theirs: list[Run]) -> tuple[float, float, float]:
    """Mean difference of the errors, each averaged over its runs first, and its 95 % interval."""
    known = np.all([scored(run) for run in (*ours, *theirs)], axis=0)
    means = [np.mean([run.errors[NETWORK][known] for run in runs], axis=0) for runs in (ours, theirs)]
    series = np.unique(ours[0].ids[known].astype(str), return_inverse=True)[1]
    paired = means[0] - means[1]
    if not len(paired):
        return math.nan, math.nan, math.nan
    return float(paired.mean()), *verdict.difference_interval(paired, series, ours[0].origin[known])


def _of(runs: list[Run], seeds: list[int]) -> list[Run]:
    """One run for each of the seeds."""
    return [next(run for run in runs if run.seed == seed) for seed in seeds]


def _listed(seeds: list[int]) -> str:
    return ", ".join(map(str, seeds))


def write(groups: list[Group], folder: Path) -> list[Path]:
    """comparison.csv, a row per table and variant, and comparison.md; returns their paths."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(Row._fields)
    for group in groups:
        lines.writerows([["" if value != value else value for value in row] for row in group.rows])
    contents = {"comparison.csv": text.getvalue(), "comparison.md": to_markdown(groups)}
    for name, content in contents.items():
        write_file(folder / name, content.encode())
    return [folder / name for name in contents]


def to_markdown(groups: list[Group]) -> str:
    """A table per group, readable as plain text too; names of settings, files and series are text in it and nothing else."""
    parts = ["# Comparison", EXPLAINED]
    for group in groups:
        parts.append(f"## {literal(group.title)}")
        if group.rows:
            parts.append(_table(group.rows))
        parts += [f"- {literal(note)}" for note in group.notes]
    return "\n\n".join(parts) + "\n"


def literal(text: str) -> str:
    """The text as Markdown that shows it: on one line, without HTML, and with no mark that ends a cell, sets code or links."""
    text = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"\\(?=[!-/:-@\[-`{-~])|[|`*]|(?<=\])\(", r"\\\g<0>", text)


def _table(rows: list[Row]) -> str:
    first = rows[0]
    header = ["variant", "seeds", "MASE", f"minus {first.variant}, 95 % interval", "seconds", "steps", "parameters"]
    lines = [header, ["---"] * len(header), *map(_cells, rows)]
    naive = dict.fromkeys((row.best_naive, f"{row.best_naive_mase:.3f}") for row in rows)
    lines += [[f"best naive: {WORDS.get(rung, rung)}", "", mase, "", "", "", ""] for rung, mase in naive]
    lines = [[literal(cell) for cell in line] for line in lines]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(f"| {' | '.join(map(str.ljust, line, widths))} |" for line in lines)


def _cells(row: Row) -> list[str]:
    spread = "" if math.isnan(row.mase_sd) else f" ({row.mase_sd:.3f})"
    compared = "" if math.isnan(row.difference) else f"{row.difference:+.3f} ({row.low:+.3f} to {row.high:+.3f})"
    seconds = "" if math.isnan(row.seconds) else f"{row.seconds:.0f}"
    return [row.variant, row.seeds, f"{row.mase:.3f}{spread}", compared, seconds, f"{row.steps:.0f}", f"{row.parameters:,.0f}"]
