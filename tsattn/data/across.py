"""Tables whose columns are times, months of a year or dates -> a row for each of them."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from tsattn.data.cells import forms
from tsattn.data.cells.characters import without_accents
from tsattn.data.findings import Finding

HOUR = re.compile(r"([01]?\d|2[0-4])(:00|:00:00| ?h|)")


def kind_of(names: list[str]) -> str:
    """ "months", "quarters", "weekdays" or "hours" where most of the columns are called so; else ""."""
    lower = [name.strip().lower() for name in names]
    months = {forms.month_number(name) for name in lower} - {0}
    quarters = {quarter for name in lower if (quarter := _quarter(name))}
    weekdays = {forms.WEEKDAY_NAMES[name] for word in lower if (name := without_accents(word)) in forms.WEEKDAY_NAMES}
    if len(months) > 5 or [name for name in lower if name.isdigit()] == [str(i) for i in range(1, 13)]:
        return "months"
    if len({found[0].rjust(2, "0") for name in lower if (found := HOUR.fullmatch(name.removeprefix("h").strip()))}) > 20:
        return "hours"
    return "quarters" if len(quarters) == 4 else "weekdays" if len(weekdays) > 4 else ""


def first_months(names: list[str]) -> dict[str, int]:
    """The first month, 1 to 12, of each column that is called after a month or quarter; names of anything else are left out."""
    lower = {name: name.strip().lower() for name in names}
    if kind_of(names) == "quarters":
        found = {name: 3 * _quarter(word) - 2 for name, word in lower.items() if _quarter(word)}
    else:
        found = {name: int(word) if word.isdigit() else forms.month_number(word) for name, word in lower.items()}
    return {name: month for name, month in found.items() if 1 <= month <= 12}


def _quarter(name: str) -> int:
    """1 to 4 for the name of a quarter in lower case, 0 for any other."""
    found = re.fullmatch(r"(?:q|qtr)([1-4])|([1-4])(?:q|\. ?quartal)", name)
    return int(found[1] or found[2]) if found else 0


def dated(names: list[str]) -> list[str]:
    """The columns that are called after dates or years, where there are three or more."""
    found = [name for name in names if is_dated(name)]
    return found if len(found) > 2 else []


def is_dated(name: str) -> bool:
    """Whether a column is called after a date or a year."""
    return forms.is_date(name) or re.fullmatch(r"(19|20)\d\d", name) is not None


def months_below(
    ids: np.ndarray, years: pd.Series, values: list[np.ndarray], months: dict[str, int], findings: list[Finding]
) -> pd.DataFrame:
    """`rows_below` for years [N] and columns that begin in the month that `months` gives each of them."""
    order = np.argsort(list(months.values()), kind="stable")
    year = years.to_numpy() if years.dtype == "int64" else years.dt.year.to_numpy()
    month = np.tile(np.sort(list(months.values())), len(year))
    stamps = forms.assemble(np.repeat(year, len(values)).astype(np.int64), month, np.ones_like(month))
    names = list(months)
    words = f"the columns {names[0]} to {names[-1]} are read as the {kind_of(names)} of a year"
    return rows_below(ids, pd.Series(stamps), [values[i] for i in order], words, f"read.value=[{names[0]},...]", findings)


def rows_below(
    ids: np.ndarray, stamps: pd.Series, values: list[np.ndarray], words: str, override: str, findings: list[Finding]
) -> pd.DataFrame:
    """unique_id, ds and y with a row for each of N rows and each column of `values` [N]; `stamps` [N columns], row by row.

    Each series goes from its first value to its last: cells of times when it was not there yet, or that are still to come, are
    no rows.
    """
    y, every = np.stack(values, axis=1).ravel(), np.repeat(ids, len(values))
    df = pd.DataFrame({"unique_id": pd.Series(every, dtype=object), "ds": stamps, "y": y})
    seen = df["ds"].where(df["y"].notna()).groupby(df["unique_id"], sort=False)
    first, last = seen.transform("min"), seen.transform("max")
    kept = (((df["ds"] >= first) & (df["ds"] <= last)) | first.isna()).to_numpy()
    empty = int((~kept).sum())
    note = f"; {empty} empty cells before the first or after the last value of a series are no rows" if empty else ""
    findings.append(Finding("columns", words + note, override))
    return df.loc[kept].reset_index(drop=True)
