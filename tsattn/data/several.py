"""Whether a column that nobody declared may name several series: then one is asked, as one series of them makes no sense."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tsattn.data import describe
from tsattn.data.cells import forms
from tsattn.data.cells.characters import without_accents

PART = re.compile(
    r"Q[1-4]|[1-4]Q|QTR ?[1-4]|T[1-4]|[1-4]\. ?QUARTAL|M(0?[1-9]|1[0-3])|[HS][12]|[12]H|[12]\. ?HALBJAHR|(W|KW ?)\d\d?"
)
SEASONS = frozenset(
    ("spring", "summer", "autumn", "fall", "winter", "fruhling", "fruhjahr", "fruehling", "fruehjahr", "sommer", "herbst")
    + ("printemps", "ete", "automne", "hiver", "primavera", "verano", "otono", "invierno", "estate", "autunno", "inverno")
)
FLAGS = frozenset(
    ("yes", "no", "y", "n", "true", "false", "on", "off", "ja", "nein", "oui", "non", "si", "sim", "nao", "nee", "0", "1")
    + ("weekend", "weekday", "workday")
)
SHARE = 0.8  # of the steps of a series on a grid of its own that are its usual one


def parts_of_year(column: Any) -> str:
    """A cell of a column that holds nothing but quarters, months, weeks, half years or seasons; "" for any other column."""
    if not isinstance(column, pa.Array):
        return ""
    cells = [cell for cell in column.dictionary_encode().dictionary.to_pylist() if cell]
    return cells[0] if len(cells) > 1 and all(map(_is_part, cells)) else ""


def are_years(stamps: pd.Series) -> bool:
    """Whether times are whole years: numbers such as 2024, or nothing but first days of January."""
    if stamps.dtype == "int64":
        return bool(((stamps >= forms.FIRST_YEAR) & (stamps <= forms.LAST_YEAR)).all())
    return bool(((stamps.dt.month == 1) & (stamps.dt.day == 1) & (stamps.dt.normalize() == stamps)).all())


def why_several(column: Any, stamps: pd.Series) -> str:
    """What makes a column beside a single series look like the names of several; "" where it looks like notes.

    Each time stands in one row. Series of their own are met at times of their own: in turns, years apart, or written one below
    the other, each in order. Notes do nothing of this; days of the week, seasons, and yes and no are notes whatever they do.
    """
    if not isinstance(column, pa.Array):
        column = pa.array(column.astype(object).map(lambda cell: "" if pd.isna(cell) else str(cell)), pa.string())
    coded = column.dictionary_encode()
    codes, names = coded.indices.to_numpy(), coded.dictionary.to_pylist()
    given = codes != (names.index("") if "" in names else -1)
    names, stamps = [name for name in names if name], stamps.loc[given]
    codes, values = np.unique(codes[given], return_inverse=True)[1], describe.stamp_values(stamps)
    counts = np.bincount(codes, minlength=1)
    if given.mean() < 0.9 or len(names) < 2 or counts.min() < 2 or _are_notes(names, codes, stamps):
        return ""
    shown = ", ".join(f"{count} rows of {name}" for name, count in list(zip(names, counts, strict=True))[:2])
    if _one_below_the_other(codes, values):
        return f"{shown} and so on are each in time order, all together are not"
    order = np.argsort(values, kind="stable")
    codes, values = codes[order], values[order]
    if counts.min() > 2 and (_in_turns(codes, np.arange(len(codes))) or _in_turns(codes, values)):
        return f"{shown} and so on each have their own regular times"
    return f"{shown} and so on lie apart in time" if _apart(codes, values) else ""


def _is_part(cell: str) -> bool:
    word = without_accents(cell)
    return PART.fullmatch(cell.upper()) is not None or word in forms.MONTH_NAMES or word in SEASONS


def _are_notes(names: list[str], codes: np.ndarray, stamps: pd.Series) -> bool:
    """Whether names say yes and no, or what the calendar says of the times: weekdays, months, seasons, quarters, weeks.

    Times of day are notes as well: when a period ends, beside the column that says when it begins.
    """
    if all(forms.CLOCK_ALONE.fullmatch(name) for name in names):
        return True
    words = {without_accents(name.rstrip(".")) for name in names}
    if any(words <= known for known in (FLAGS, SEASONS, forms.MONTH_NAMES.keys(), forms.WEEKDAY_NAMES.keys())):
        return True
    if stamps.dtype == "int64" or not all(map(_is_part, names)):
        return False
    return any(_follow(part.to_numpy(np.int64), codes) for part in (stamps.dt.month, stamps.dt.isocalendar().week))


def _follow(parts: np.ndarray, codes: np.ndarray) -> bool:
    """Whether each part of the year, such as a month, has one name only, and each name parts in a row."""
    pairs = np.unique(np.stack([parts, codes]), axis=1)
    around = np.r_[pairs[1], pairs[1][:1]]
    return bool(len(np.unique(pairs[0])) == pairs.shape[1] and (np.diff(around) != 0).sum() <= codes.max() + 1)


def _one_below_the_other(codes: np.ndarray, values: np.ndarray) -> bool:
    """Whether names stand in blocks, the times of each rise (or fall in all), and those of the whole table do not."""
    steps, change = np.diff(values), np.diff(codes) != 0
    if change.sum() != codes.max():
        return False
    inner, between = steps[~change], steps[change]
    return bool(((inner > 0).all() and (between < 0).any()) or ((inner < 0).all() and (between > 0).any()))


def _in_turns(codes: np.ndarray, values: np.ndarray) -> bool:
    """Whether the rows of each name are mostly one same step apart, longer than the usual one between rows."""
    usual = _usual_step(values)[0]
    groups = np.split(values[np.argsort(codes, kind="stable")], np.cumsum(np.bincount(codes))[:-1])
    return all(step > usual and share >= SHARE for step, share in map(_usual_step, groups))


def _usual_step(values: np.ndarray) -> tuple[int, float]:
    """(the most frequent step, its share of all steps)."""
    steps, counts = np.unique(np.diff(values), return_counts=True)
    return int(steps[counts.argmax()]), float(counts.max() / counts.sum())


def _apart(codes: np.ndarray, values: np.ndarray) -> bool:
    """Whether names follow one another in time, with a wider gap between two of them than inside any."""
    steps, change = np.diff(values), np.diff(codes) != 0
    return bool(change.sum() == codes.max() and steps[change].max() > 2 * steps[~change].max())
