"""Dates that may be read in two ways, columns that may name series or not: settled where one makes sense, else refused."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import numpy as np
import pandas as pd

from tsattn.data import calendar, frequency
from tsattn.data.cells import forms
from tsattn.data.findings import DataError, Finding


def example(texts: list[str], rows: np.ndarray) -> str:
    """The first of the texts that `rows` marks."""
    return texts[int(rows.argmax())]


def time_note(message: str, override: str, level: str = "info") -> Finding:
    """What was decided about the times of a column."""
    return Finding("time", message, override, level)


def refuse_doubts(form: str, parts: dict[str, Any], texts: list[str], name: str) -> None:
    """`DataError` for texts of the given form that may mean something else: weeks, seasons, days of a month."""
    words, year, month = forms.words(name), parts["year"], parts.get("month")
    if form == "month/year" and words & forms.WEEK_WORDS:
        raise DataError(f"{name}: {texts[0]} may be a week or a month: write weeks as 2024-W05, or set read.date_format=")
    if form == "year-month" and month is not None and len(texts) > 1:
        if (month == (year + 1) % 100).all():
            raise DataError(
                f"{name}: {texts[0]} may be a season over two years or a month: write the year, or set read.date_format="
            )
        cut = [re.fullmatch(r"\d{4}\.1", text) is not None for text in texts]
        if any(cut) and not (month == 10).any() and any(re.fullmatch(r"\d{4}\.\d\d", text) for text in texts):
            raise DataError(
                f"{name}: {example(texts, np.array(cut))} may be January, or October without its 0: write months as 2020-10"
            )
    if form == "month-yy" and len(texts) > 1:
        named = {forms.month_number(cell) for cell in parts["name"]}
        if len(named) == 1 and (year >= 1).all() and (year <= 31).all():
            raise DataError(
                f"{name}: {texts[0]} may be a day or a year: set read.date_format=%b-%y, or write dates such as 2024-01-31"
            )


def day_and_month(parts: dict[str, Any], texts: list[str], name: str, findings: list[Finding]) -> None:
    """Decide once for the column which of the two first numbers is the day."""
    first, second = parts.pop("first"), parts.pop("second_number")
    _check_one_hand(texts, name)
    _check_year_first(parts, first, second, texts, name)
    day_first, month_first = (first > 12).any(), (second > 12).any()
    if day_first and month_first:
        a, b = example(texts, first > 12), example(texts, second > 12)
        raise DataError(f"{name}: {a} can only be day/month and {b} only month/day: set read.date_format=")
    if not day_first and not month_first:
        day_first = _regular_reading(parts, first, second, texts, name, findings)
    else:
        proof = example(texts, (first if day_first else second) > 12)
        order = "day before month" if day_first else "month before day"
        findings.append(time_note(f"{name} is read with the {order}, as {proof} shows", "read.date_format="))
    parts["day"], parts["month"] = (first, second) if day_first else (second, first)


def _check_one_hand(texts: list[str], name: str) -> None:
    """`DataError` for dates written in several ways: a spreadsheet that took day for month writes what it took anew."""
    ways: dict[tuple[str, ...], str] = {}
    for text in texts:
        found = re.match(r"(\d+)(\D)(\d+)(\D)", text)
        pieces = found.groups() if found is not None else ()
        # a piece of two digits above 9 says nothing of how 1 to 9 are written
        way = tuple(
            piece if not piece.isdigit() else "" if piece[0] in "123" and len(piece) == 2 else str(len(piece))
            for piece in pieces
        )
        ways.setdefault(way, text)
    for position in range(4):
        seen = {way[position]: text for way, text in ways.items() if len(way) > position and way[position]}
        if len(seen) > 1:
            some, others = list(seen.values())[:2]
            raise DataError(
                f"{name}: {some} and {others} are written in two ways, as where a spreadsheet took days for months in some: "
                "export the dates again as text, or set read.date_format="
            )


def _check_year_first(parts: dict[str, Any], first: np.ndarray, second: np.ndarray, texts: list[str], name: str) -> None:
    """`DataError` where dates such as 24-01-13 may begin with the year: the first number changes no more than the last one."""
    last = parts["year"]
    if (parts["year_width"] != 2).any() or (forms.century(first) < 2000).any():
        return
    if not forms.valid_date(first + 2000, second, last).all() or len(np.unique(first)) > len(np.unique(last)):
        return
    clock = np.maximum(parts["hour"], 0) * 60 + np.maximum(parts["minute"], 0)
    year_first = _is_regular(forms.assemble(first + 2000, second, last), clock)
    day_first = forms.valid_date(last + 2000, second, first).all() and _is_regular(
        forms.assemble(last + 2000, second, first), clock
    )
    if day_first and (not year_first or ((first == 1).all() and (last != 1).all())):
        return  # firsts of months, rather than the same day in the months of a year long gone
    text, sign = texts[0], re.sub(r"\d", "", texts[0])[:1]
    raise DataError(
        f"{name}: {text} may begin with the year or with the day: set read.date_format=%y{sign}%m{sign}%d or "
        f"read.date_format=%d{sign}%m{sign}%y"
    )


def _regular_reading(
    parts: dict[str, Any], first: np.ndarray, second: np.ndarray, texts: list[str], name: str, findings: list[Finding]
) -> bool:
    """Whether only the day-first reading (True) or only the month-first reading (False) gives a regular grid."""
    year = np.where(parts["year_width"] == 2, parts["year"] + 2000, parts["year"])
    clock = np.maximum(parts["hour"], 0) * 60 + np.maximum(parts["minute"], 0)
    regular = {}
    for day_first in (True, False):
        day, month = (first, second) if day_first else (second, first)
        regular[day_first] = forms.valid_date(year, month, day).all() and _is_regular(forms.assemble(year, month, day), clock)
    sign = re.sub(r"\d", "", texts[0])[:1] or "/"
    width = "%y" if parts["year_width"][0] == 2 else "%Y"
    orders = {True: f"%d{sign}%m{sign}{width}", False: f"%m{sign}%d{sign}{width}"}
    if regular[True] == regular[False]:
        row = int((first != second).argmax())
        readings = f"{year[row]}-{second[row]:02d}-{first[row]:02d} or {year[row]}-{first[row]:02d}-{second[row]:02d}"
        raise DataError(
            f"{name}: {texts[row]} may be {readings}: set read.date_format={orders[True]} or read.date_format={orders[False]}"
        )
    order = "day before month" if regular[True] else "month before day"
    message = f"{name} could be read both ways; only the {order} gives evenly spaced dates, so that was taken"
    findings.append(time_note(message, f"read.date_format={orders[not regular[True]]}", "warning"))
    return regular[True]


def _is_regular(dates: np.ndarray, clock: np.ndarray) -> bool:
    values = np.unique(dates.astype("datetime64[m]").astype(np.int64) + clock)
    if len(values) < 3:
        return False
    stamps = pd.DatetimeIndex((values * 60_000_000_000).astype("datetime64[ns]"))
    where = calendar.positions(stamps, frequency.infer_freq(stamps))
    return bool(where.fits.all() and (np.diff(where.index) == 1).all())


def two_digit_years(parts: dict[str, Any], texts: list[str], name: str, findings: list[Finding]) -> None:
    """Complete years of two digits where only one century is possible for all; never into the future."""
    short = parts["year_width"] == 2
    if not short.any():
        return
    year, now = parts["year"], dt.date.today().year % 100
    if (year <= now).all() or (year > now).all():
        century = 2000 if (year <= now).all() else 1900
        parts["year"] = year + century
        message = f"{name} has two-digit years, read as {century + year.min()} to {century + year.max()}"
        findings.append(time_note(message, "read.date_format=%Y-%m-%d (dates with four-digit years)", "warning"))
        return
    first = example(texts, year > now)
    raise DataError(
        f"{name}: two-digit years from {year.min():02d} to {year.max():02d} may be of two centuries (e.g. {first}): "
        "write years with four digits, or set read.date_format= with %y (00-68 is 2000-2068, 69-99 is 1969-1999)"
    )
