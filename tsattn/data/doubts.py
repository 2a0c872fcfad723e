"""Dates that may be read in two ways, columns that may name series or not: settled where one makes sense, else refused."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tsattn.data import calendar, describe, forms
from tsattn.data.characters import without_accents
from tsattn.data.findings import DataError, Finding

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


def example(texts: list[str], rows: np.ndarray) -> str:
    """The first of the texts that `rows` marks."""
    return texts[int(rows.argmax())]


def time_note(message: str, override: str, level: str = "info") -> Finding:
    """What was decided about the times of a column."""
    return Finding("time", message, override, level)


def refuse_doubts(form: str, parts: dict[str, Any], texts: list[str], name: str) -> None:
    """`DataError` for texts of the given form that may mean something else: weeks, seasons, days of a month."""
    words, year, month = forms.words(name), parts["year"], parts.get("month")
    without_day = form in ("year-month", "month/year") or (form == "year month day hour" and (parts["day"] < 0).all())
    if without_day and words & forms.WEEK_WORDS:
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
    where = calendar.positions(stamps, calendar.infer_freq(stamps))
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


# ---- columns that may name series -------------------------------------------------------------------------------------


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
    names, stamps = [name for name in names if name], stamps[given]
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
    """Whether names say yes and no, or what the calendar says of the times: weekdays, months, seasons, quarters, weeks."""
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
