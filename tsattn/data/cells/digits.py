"""Whole numbers -> times by their digits: 20240131, 202401, 2024013122, seconds since 1970; never where two readings fit."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from tsattn.data.cells import forms
from tsattn.data.findings import DataError

UNITS = (("seconds", 1_000_000_000), ("milliseconds", 1_000_000), ("microseconds", 1000), ("nanoseconds", 1))
COUNTERS = ("t", "step", "index", "no", "nr")  # names of columns that count
EXCEL_DAY_0 = np.datetime64("1899-12-30")


class Reading(NamedTuple):
    """What whole numbers mean as times."""

    stamps: np.ndarray  # datetime64[ns], or int64 where they stay numbers
    note: str = ""  # what was decided, to be said
    override: str = "read.date_format="
    level: str = "info"
    utc: bool = False
    date_only: bool = False
    bad: np.ndarray = np.zeros(0, dtype=np.int64)  # rows that are no times like the others
    reason: str = ""


def read_digits(values: np.ndarray, name: str, *, padded: bool = False) -> Reading:
    """The reading of int64 numbers in the time column `name`; `DataError` where two readings are possible.

    `padded` tells that some were written with zeros before them.
    """
    if len(values) == 0:
        return Reading(values)
    counter = name.lower() in COUNTERS
    for reading in (_with_clock, _since_1970, _dates) if counter else (_with_clock, _since_1970, _dates, _months):
        found = reading(values, name)
        if found is not None and not (counter and len(found.bad)):
            return found
    if not counter:
        _refuse_other_orders(values, name)
        _refuse_other_months(values, name, padded)
    low, high = int(values.min()), int(values.max())
    if low >= 36526 and high <= 62000 and not counter:
        day = EXCEL_DAY_0 + np.timedelta64(low, "D")
        note = f"{name} stays whole numbers such as {low}; if these are days as a spreadsheet counts them ({low} is {day}), "
        return Reading(values, note + "format the column as dates and export it again", "", "warning")
    for order, good in (("%y%m%d", _are_short_dates(values)), ("%Y%j", _are_days_of_year(values))):
        if good and not counter:
            note = f"{name} stays whole numbers such as {low}, which may be dates"
            return Reading(values, note, f"read.date_format={order}", "warning")
    return Reading(values)


def are_dates(values: np.ndarray) -> bool:
    """Whether int64 numbers are all dates by their digits, as 20240131 and 31012024, with or without a time of day."""
    read = any(found is not None and not len(found.bad) for found in (_with_clock(values, ""), _dates(values, "")))
    return read or bool(_other_orders(values))


def may_be_times(values: np.ndarray) -> bool:
    """Whether int64 numbers may all be seconds (or less) since 1970, years, months, weeks or days in other digits."""
    found = _since_1970(values, "")
    if found is not None and not len(found.bad):
        known = found.stamps.astype("datetime64[Y]").astype(np.int64) + 1970
        return bool((known >= 1990).all() and (known <= 2050).all())  # other numbers are of this size too
    year, last = values // 100, values % 100
    parts = (year >= 1900) & (year <= 2100) & (last >= 1) & (last <= 53)
    years = (values >= 1900) & (values <= 2100)
    return bool(years.all() or parts.all()) or _are_short_dates(values) or _are_days_of_year(values)


def _rest(values: np.ndarray, good: np.ndarray, what: str) -> Reading | None:
    """The error for the few values that are not `good` where most are; None where most are not."""
    if good.mean() <= 0.5:
        return None
    example = int(values[np.flatnonzero(good)[0]])
    return Reading(values, bad=np.flatnonzero(~good), reason=f"is not {what}, as {example} and most others are")


def _with_clock(values: np.ndarray, name: str) -> Reading | None:
    """2024013122, 202401312259 and 20240131225959."""
    for clock, unit in ((2, "hour"), (4, "minute"), (6, "second")):
        if not _most_between(values, 1900_00_00 * 10**clock, 2101_00_00 * 10**clock):
            continue
        days, rest = values // 10**clock, values % 10**clock
        year, month, day = days // 10000, days // 100 % 100, days % 100
        pieces = [rest // 10 ** (clock - 2 - 2 * i) % 100 if 2 * i < clock else np.zeros_like(rest) for i in range(3)]
        good = forms.valid_date(np.clip(year, 1, 9999), month, day) & (year >= 1900) & (year <= 2100)
        good &= (pieces[0] < 24) & (pieces[1] < 60) & (pieces[2] < 60)
        if good.all():
            seconds = (pieces[0] * 60 + pieces[1]) * 60 + pieces[2]
            stamps = forms.assemble(year, month, day) + (seconds * 1_000_000_000).astype("timedelta64[ns]")
            first = values.argmin()
            return Reading(stamps, f"{name} was read as dates to the {unit} such as {values[first]} = {_shown(stamps[first])}")
        if (found := _rest(values, good, f"a date to the {unit}")) is not None:
            return found
    return None


def _since_1970(values: np.ndarray, name: str) -> Reading | None:
    for words, factor in UNITS:
        scale = 1_000_000_000 // factor
        good = (values >= 500_000_000 * scale) & (values < 9_000_000_000 * scale)
        since_1973 = (values >= 100_000_000 * scale) & (values < 9_000_000_000 * scale)
        if good.all() or (good.mean() > 0.5 and since_1973.all()):
            stamps = (values * factor).astype("datetime64[ns]")
            note = f"{name} was read as {words} since 1970 in UTC, from {_shown(stamps.min())}"
            return Reading(stamps, note, "read.tz=", utc=True)
        if (found := _rest(values, good, f"a time in {words} since 1970")) is not None:
            return found
    return None


def _dates(values: np.ndarray, name: str) -> Reading | None:
    """20240131."""
    if not _most_between(values, forms.FIRST_YEAR * 10_000, (forms.LAST_YEAR + 1) * 10_000):
        return None
    year, month, day = values // 10000, values // 100 % 100, values % 100
    good = (year >= forms.FIRST_YEAR) & (year <= forms.LAST_YEAR)
    good &= forms.valid_date(np.clip(year, 1, 9999), month, day)
    if good.all():
        stamps = forms.assemble(year, month, day)
        low = int(values.min())
        return Reading(stamps, f"{name} was read as dates such as {low} = {_shown(stamps.min())[:10]}", date_only=True)
    return _rest(values, good, "a date")


def _months(values: np.ndarray, name: str) -> Reading | None:
    """202401; a week of the same look, and days such as 200101 (1 January 2020) are not."""
    if not _most_between(values, forms.FIRST_YEAR * 100, (forms.LAST_YEAR + 1) * 100):
        return None
    year, last = values // 100, values % 100
    in_range = (year >= forms.FIRST_YEAR) & (year <= forms.LAST_YEAR)
    words = set(re.split(r"[^a-zA-Z]+", name.lower()))
    weekly = in_range & (last >= 1) & (last <= 53)
    if weekly.all() and words & forms.WEEK_WORDS:
        return _weeks(values, name)
    if weekly.all() and (last > 12).any() and year.min() < year.max():
        row = last.argmax()
        raise DataError(f"{name}: {values[row]} is no month: write weeks as {year[row]}-W{last[row]:02d}")
    good = in_range & (last >= 1) & (last <= 12)
    if not good.all():
        return None if _are_short_dates(values) else _rest(values, good, "a month")
    months = year * 12 + last
    if _are_short_dates(values) and "month" not in words and not (_even(months) and not _even(_short_days(values))):
        raise DataError(
            f"{name}: {values.min()} may be a month or, with a two-digit year, a day: "
            "set read.date_format=%Y%m or read.date_format=%y%m%d"
        )
    stamps = forms.assemble(year, last, np.ones_like(values))
    low = int(values.min())
    return Reading(stamps, f"{name} was read as months such as {low} = {_shown(stamps.min())[:7]}", date_only=True)


def _weeks(values: np.ndarray, name: str) -> Reading:
    """202401 in a column that is named after weeks."""
    stamps = forms.mondays(values // 100, values % 100)
    bad = np.flatnonzero(np.isnat(stamps))
    if len(bad):
        return Reading(values, bad=bad, reason=forms.NO_WEEK)
    note = f"{name} was read {forms.ISO_WEEKS}, such as {values.min()} = {_shown(stamps.min())[:10]}"
    return Reading(stamps, note, "read.date_format=%Y%m (months)", date_only=True)


def _refuse_other_orders(values: np.ndarray, name: str) -> None:
    """`DataError` for numbers that are dates in another order: 31012024, 01312024, 240131."""
    possible = _other_orders(values)
    if not _even(values):
        possible += ["%y%m%d"] * _are_short_dates(values) + ["%Y%j"] * _are_days_of_year(values)
    if possible:
        settings = " or ".join(f"read.date_format={order}" for order in possible)
        raise DataError(f"{name}: {values[0]} may be a date: set {settings}, or call the column step if it only counts")


def _refuse_other_months(values: np.ndarray, name: str, padded: bool) -> None:
    """`DataError` for numbers that are months in another order, 122024, 2412 or 1224, and as counts would be mostly gaps."""
    distinct = _distinct(values)
    gaps = int(distinct[-1]) - int(distinct[0]) + 1 > 2 * len(distinct)
    if len(distinct) < 3 or not gaps or (not padded and len(np.unique(np.diff(distinct))) == 1):
        return
    first, last, year = values // 100, values % 100, values % 10_000
    named = [(first >= 1) & (first <= 12), (last >= 1) & (last <= 12)]
    low = 0 if padded else 100
    orders = {
        "%m%Y": (values // 10_000 >= 1) & (values // 10_000 <= 12) & (year >= 1900) & (year <= 2100),
        "%y%m": (values >= low) & (first <= 99) & named[1],
        "%m%y": named[0],
    }
    possible = [order for order, good in orders.items() if good.all()]
    if possible:
        settings = " or ".join(f"read.date_format={order}" for order in possible)
        width = 6 if possible == ["%m%Y"] else 4
        first_cell = str(values[0]).zfill(width) if padded else values[0]
        raise DataError(f"{name}: {first_cell} may be a month: set {settings}, or call the column step if it only counts")


def _other_orders(values: np.ndarray) -> list[str]:
    """The orders with the year at the end in which all numbers are dates, as 31012024."""
    if values.min() < 1_01_1900 or values.max() > 31_12_2100:
        return []
    first, second, year = values // 1_000_000, values // 10_000 % 100, values % 10_000
    modern, years = (year >= 1900) & (year <= 2100), np.clip(year, 1, 9999)
    good = {"%d%m%Y": forms.valid_date(years, second, first), "%m%d%Y": forms.valid_date(years, first, second)}
    return [order for order, dates in good.items() if (modern & dates).all()]


def _are_short_dates(values: np.ndarray) -> bool:
    """Whether all numbers are dates of six digits with a two-digit year."""
    if values.min() < 100_000 or values.max() > 999_999:
        return False
    return bool(forms.valid_date(forms.century(values // 10000), values // 100 % 100, values % 100).all())


def _are_days_of_year(values: np.ndarray) -> bool:
    """Whether all numbers are a year and the day in it, as 2024366."""
    if values.min() < 1900_001 or values.max() > 2100_366:
        return False
    day = values % 1000
    return bool(((day >= 1) & (day <= 366)).all())


def _most_between(values: np.ndarray, low: int, high: int) -> bool:
    """Whether more than half of the values lie from `low` to below `high`: else nothing that needs it can hold for most."""
    return bool(((values >= low) & (values < high)).mean() > 0.5)


def rising(values: np.ndarray) -> bool:
    """Whether each value is greater than the one before."""
    return bool((values[1:] > values[:-1]).all())


def _short_days(values: np.ndarray) -> np.ndarray:
    year, month, day = forms.century(values // 10000), values // 100 % 100, values % 100
    return forms.assemble(year, month, day).astype("datetime64[D]").astype(np.int64)


def _even(values: np.ndarray) -> bool:
    """Whether the sorted values follow one another without a gap."""
    distinct = _distinct(values)
    return int(distinct[-1]) - int(distinct[0]) + 1 == len(distinct)


def _distinct(values: np.ndarray) -> np.ndarray:
    """The distinct values, sorted."""
    return values if rising(values) else np.unique(values)


def _shown(stamp: np.datetime64) -> str:
    return str(stamp.astype("datetime64[s]")).replace("T", " ")
