"""Text and numbers -> time stamps, one reading for the whole column, never a guess per row."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute

from tsattn.data import calendar
from tsattn.data.cells import doubts, forms
from tsattn.data.cells.digits import read_digits, rising
from tsattn.data.cells.quick import iso_seconds, whole_numbers
from tsattn.data.findings import DataError, Finding

pc: Any = pyarrow.compute
FIRST_YEAR, LAST_YEAR = forms.FIRST_YEAR, forms.LAST_YEAR


class Times(NamedTuple):
    """Stamps in row order, the rows that could not be read, why, and what was decided."""

    stamps: pd.Series  # datetime64[ns] naive or aware, or int64
    bad: np.ndarray  # row numbers
    reason: str
    findings: list[Finding]
    date_only: bool


def looks_like_time(column: pa.Array, sample: int = 200) -> bool:
    """Whether the first cells of a text column are dates written with letters or signs (plain numbers do not count)."""
    cells = Counter(_given(column, sample))  # ids repeat
    return cells.total() > 0 and sum(num for cell, num in cells.items() if forms.is_date(cell)) > 0.8 * cells.total()


def looks_like_clock(column: pa.Array, sample: int = 200) -> bool:
    """Whether the first cells are times of day without a date."""
    cells = _given(column, sample)
    return len(cells) > 0 and all(
        re.match(forms.CLOCK_ONLY, cell) and not re.fullmatch(r"\d{1,2}\.\d{2}", cell) for cell in cells
    )


def has_clock(column: pa.Array, sample: int = 200) -> bool:
    """Whether dates carry a time of day as well."""
    return any(":" in cell for cell in _given(column, sample))


def has_points(column: pa.Array, sample: int = 200) -> bool:
    """Whether most of the first cells are dates such as 31.12.2024."""
    cells = _given(column, sample)
    return sum(re.match(r"\d{1,2}\.\d{1,2}\.(\d{4}|\d{2})\b", cell) is not None for cell in cells) > 0.5 * len(cells)


def _given(column: pa.Array, sample: int) -> list[str]:
    return [cell for cell in column.slice(0, sample).to_pylist() if cell]


def parse_text(column: pa.Array, date_format: str | None, name: str) -> Times:
    """Stamps of a text column; each distinct text is read once."""
    parsed = None if date_format else _usual(column, name)
    if parsed is not None:
        return parsed
    coded = pc.dictionary_encode(column)
    codes = coded.indices.to_numpy()
    texts = _tidy(coded.dictionary)
    if pc.all(pc.match_substring_regex(texts, r"^\d{4}(\.0+)?( \d{1,2}(\.0+)?)+$")).as_py():
        texts = pc.replace_substring_regex(texts, r"\.0+\b", "")  # of columns that were joined
    if date_format:
        unique = _by_format(texts, date_format)
    elif pc.all(pc.match_substring_regex(texts, r"^[+-]?\d{1,19}(\.0*)?$")).as_py():
        unique = _whole_numbers(texts, name)
    else:
        unique = _with_weekdays(texts, name)
    bad = np.flatnonzero(np.isin(codes, unique.bad)) if len(unique.bad) else unique.bad
    stamps = unique.stamps.take(codes).reset_index(drop=True) if len(unique.stamps) else unique.stamps
    return unique._replace(stamps=stamps, bad=bad)


def _usual(column: pa.Array, name: str) -> Times | None:
    """Stamps of a column of dates such as 2024-01-31, with or without a clock, or of whole numbers; None for any other."""
    seconds = iso_seconds(column)
    if seconds is not None:
        years = seconds[[seconds.argmin(), seconds.argmax()]].astype("datetime64[s]").astype("datetime64[Y]").astype(int) + 1970
        if years[0] < FIRST_YEAR or years[1] > LAST_YEAR:
            return None
        seconds *= 1_000_000_000
        return _times(pd.Series(seconds.view("datetime64[ns]"), copy=False), date_only=len(column[0].as_py()) == 10)
    values = whole_numbers(column)
    if values is None or len(values) == 0:
        return None
    if rising(values):
        return parse_numbers(values, name)
    codes, distinct = pd.factorize(values)
    parsed = parse_numbers(np.asarray(distinct), name)
    bad = np.flatnonzero(np.isin(codes, parsed.bad)) if len(parsed.bad) else parsed.bad
    return parsed._replace(stamps=parsed.stamps.take(codes).reset_index(drop=True), bad=bad)


def _tidy(texts: pa.Array) -> pa.Array:
    """`forms.tidy` of those texts that may need it."""
    odd = pc.or_(pc.invert(pc.string_is_ascii(texts)), pc.match_substring_regex(texts, r"^[\s\[]|\s$"))
    if not pc.any(odd).as_py():
        return texts
    return pc.replace_with_mask(texts, odd, pa.array([forms.tidy(cell) for cell in texts.filter(odd).to_pylist()], pa.string()))


def _whole_numbers(texts: pa.Array, name: str) -> Times:
    """Stamps of texts that are whole numbers, some perhaps written as 2024.0."""
    cells = texts.to_pylist()
    whole = np.array([int(cell.partition(".")[0]) for cell in cells], dtype=object)
    large = np.abs(whole) > np.iinfo(np.int64).max
    if large.any():
        return _failed(texts, large, "is too large for a time")
    padded = any(re.match(r"0\d", cell) for cell in cells)
    parsed = parse_numbers(whole.astype(np.int64), name, padded=padded)
    pointed = next((cell for cell in cells if "." in cell), None)
    if pointed is not None and not len(parsed.bad):
        note = f"{name} holds whole numbers such as {pointed}, which were read without what follows the point"
        parsed.findings.append(doubts.time_note(note, "", "repair"))
    return parsed


def parse_numbers(values: np.ndarray, name: str, *, padded: bool = False) -> Times:
    """Whole numbers as time by `digits.read_digits`: dates, seconds since 1970, or integer time as it is."""
    reading = read_digits(values, name, padded=padded)
    if len(reading.bad):
        return Times(pd.Series(values, copy=False), reading.bad, reading.reason, [], False)
    findings = [doubts.time_note(reading.note, reading.override, reading.level)] if reading.note else []
    if reading.stamps.dtype.kind != "M":
        return _times(pd.Series(reading.stamps, copy=False), findings)
    index = pd.DatetimeIndex(reading.stamps)
    return _times(pd.Series(index.tz_localize("UTC") if reading.utc else index), findings, reading.date_only)


def years_as_dates(parsed: Times) -> Times:
    """Whole numbers that are all possible years as the first days of these years; anything else as it is."""
    stamps = parsed.stamps
    if stamps.dtype != "int64" or len(stamps) == 0 or stamps.min() < FIRST_YEAR or stamps.max() > LAST_YEAR:
        return parsed
    year = stamps.to_numpy()
    return parsed._replace(stamps=pd.Series(forms.assemble(year, np.ones_like(year), np.ones_like(year))), date_only=True)


def _times(stamps: pd.Series, findings: list[Finding] | None = None, date_only: bool = False) -> Times:
    return Times(stamps, np.zeros(0, dtype=np.int64), "", findings or [], date_only)


def _failed(texts: pa.Array, bad: np.ndarray, reason: str) -> Times:
    return Times(pd.Series(np.zeros(len(texts)), dtype="datetime64[ns]"), np.flatnonzero(bad), reason, [], False)


def _by_format(texts: pa.Array, date_format: str) -> Times:
    if not re.search(r"%[yYGcDFx]", date_format):
        raise DataError(f"read.date_format={date_format} has no year: it needs %Y (2024), %y (24) or %G (of weeks)")
    cells = pd.Series(_with_zeros(texts.to_pylist(), date_format), dtype=object)
    try:
        stamps = pd.to_datetime(cells, format=date_format, errors="coerce", utc="%z" in date_format)
    except ValueError as error:
        raise DataError(f"read.date_format={date_format} is no date format: {error}") from error
    outside = (stamps.dt.year < FIRST_YEAR) | (stamps.dt.year > LAST_YEAR)
    if outside.any():
        return _failed(texts, outside.to_numpy(), f"is not a possible date: years go from {FIRST_YEAR} to {LAST_YEAR}")
    bad = stamps.isna().to_numpy()
    if bad.any():
        return _failed(texts, bad, f"is not of the form read.date_format={date_format}")
    stamps = stamps.dt.as_unit("ns")
    if "%y" in date_format:
        future = (stamps.dt.year > dt.date.today().year).to_numpy()
        if future.any():
            return _failed(texts, future, "has a two-digit year that would lie in the future: write years with four digits")
    return _times(stamps, date_only=bool((calendar.wall(pd.DatetimeIndex(stamps)) % calendar.DAY == 0).all()))


def _with_zeros(cells: list[str], date_format: str) -> list[str]:
    """The cells with the zero that 01012024 loses as a number, where the form is made of digits alone.

    Without it the form could be met in another way: 1012024 as the 10th. Shorter ones, of unknown parts, become empty.
    """
    if not re.fullmatch(r"(%[YymdHMSj])+", date_format):
        return cells
    width = sum({"Y": 4, "j": 3}.get(letter, 2) for letter in date_format[1::2])
    return [cell if len(cell) >= width else f"0{cell}" if len(cell) == width - 1 else "" for cell in cells]


def _with_weekdays(texts: pa.Array, name: str) -> Times:
    """Read the texts; the name of a weekday before a date must be that of its day."""
    if not pc.any(pc.match_substring_regex(texts, r"^[^\d\s]{2,10} ")).as_py():
        return _by_form(texts, name)
    cells = [forms.split_weekday(cell) for cell in texts.to_pylist()]
    days = np.array([day for day, _ in cells])
    if not (days >= 0).any():
        return _by_form(texts, name)
    parsed = _by_form(pa.array([rest for _, rest in cells], pa.string()), name)
    if len(parsed.bad):
        return parsed
    true = (calendar.wall(pd.DatetimeIndex(parsed.stamps)) // calendar.DAY + 3) % 7
    away = (days - true) % 7
    aware = parsed.stamps.dt.tz is not None  # stamps of several offsets are in UTC, where it may be the day before or after
    wrong = (days >= 0) & (away > 0) & ~(aware & np.isin(away, (1, 6)))
    if wrong.any():
        return _failed(texts, wrong, f"is no {forms.WEEKDAYS[days[wrong.argmax()]].split()[1].capitalize()}")
    return parsed


def _by_form(texts: pa.Array, name: str) -> Times:
    """Read all texts by the one form most of them have."""
    matches = {
        form: pc.match_substring_regex(texts, re.sub(r"\(\?P<\w+>", "(", pattern)) for form, pattern in forms.FORMS.items()
    }
    form = max(matches, key=lambda key: pc.sum(matches[key]).as_py() or 0)
    bad = ~matches[form].to_numpy(zero_copy_only=False)
    if bad.any():
        hint = forms.hint(_example(texts, bad))
        if bad.all():
            return _failed(texts, bad, hint or forms.NO_FORM)
        usual = f"is not a date of the form of the others ({_example(texts, ~bad)})"
        return _failed(texts, bad, f"{usual}; it {hint}" if hint else usual)
    parts = _parts(texts, form)
    findings: list[Finding] = []
    without_day = form == "year-month" or (form == "year month day hour" and (parts["day"] < 0).all())
    if without_day and forms.words(name) & forms.WEEK_WORDS:
        parts["week"] = parts.pop("month")
        note = f"{name} was read {forms.ISO_WEEKS}, such as {texts[0].as_py()}"
        findings.append(doubts.time_note(note, "read.date_format=%Y-%m (months)" if form == "year-month" else "read.time="))
        return _stamps(parts, texts, name, findings)
    cells = [] if form == "year-month-day" else texts.to_pylist()  # of these no doubt is possible
    doubts.refuse_doubts(form, parts, cells, name)
    if "first" in parts:
        doubts.day_and_month(parts, cells, name, findings)
    short = parts["year_width"] == 2
    if short.any() and not short.all():
        return _failed(texts, short, "has a two-digit year, others have four digits")
    doubts.two_digit_years(parts, cells, name, findings)
    if without_day and form != "year-month" and any(forms.part_named(word) == "quarter" for word in forms.words(name)):
        parts["quarter"] = np.where(parts["month"] <= 4, parts["month"], 9)
    return _stamps(parts, texts, name, findings)


def _example(texts: pa.Array, rows: np.ndarray) -> str:
    return texts[int(np.flatnonzero(rows)[0])].as_py()


def _parts(texts: pa.Array, form: str) -> dict[str, np.ndarray]:
    """The named pieces of each text: int64 arrays, and text arrays for name, half and offset."""
    found = pc.extract_regex(texts, forms.FORMS[form])
    parts: dict[str, np.ndarray] = {}
    for i, field in enumerate(found.type):
        piece = found.field(i)
        if field.name in ("name", "half", "offset", "fraction"):
            parts[field.name] = np.array(piece.to_pylist(), dtype=object)
        else:
            filled = pc.if_else(pc.equal(piece, ""), "-1", piece)
            parts[field.name] = pc.cast(filled, pa.int64()).to_numpy()
            if field.name == "year":
                parts["year_width"] = pc.utf8_length(piece).to_numpy()
    return parts


def _stamps(parts: dict[str, Any], texts: pa.Array, name: str, findings: list[Finding]) -> Times:
    """Put the pieces together; the rows whose pieces make no date are `bad`."""
    num = len(texts)
    if "name" in parts:
        parts["month"] = np.array([forms.month_number(cell) for cell in parts["name"]])
    if "quarter" in parts:
        parts["month"] = 3 * parts["quarter"] - 2
    if "week" in parts:
        return _weeks(parts, texts, findings)
    day = parts.get("day", np.full(num, -1))
    day = np.where(day < 0, 1, day)
    no_clock, no_text = np.full(num, -1), np.full(num, "", dtype=object)
    hour, minute, second = (parts.get(key, no_clock) for key in ("hour", "minute", "second"))
    half, offset = (parts.get(key, no_text) for key in ("half", "offset"))
    date_only = bool((hour < 0).all())
    unmarked = (half == "") & (hour >= 1) & (hour <= 12)
    if (half != "").any() and unmarked.any():
        return _failed(texts, unmarked, "has no AM or PM while others have")
    hour, minute, second = (np.maximum(piece, 0) for piece in (hour, minute, second))
    hour, good_half = forms.twelve_hours(hour, half)
    possible = {cell: not cell or forms.possible_offset(cell) for cell in set(offset)}
    good = forms.valid_date(parts["year"], parts["month"], day) & good_half & np.array([possible[cell] for cell in offset])
    good &= (parts["year"] >= FIRST_YEAR) & (parts["year"] <= LAST_YEAR) & (hour < 24) & (minute < 60) & (second < 60)
    if not good.all():
        row = int(good.argmin())
        midnight = forms.assemble(*(np.maximum(piece[row : row + 1], 1) for piece in (parts["year"], parts["month"], day)))
        reason = _why_impossible(midnight[0], [int(piece[row]) for piece in (hour, minute, second)], parts, row)
        return _failed(texts, ~good, reason)
    clock = ((hour * 60 + minute) * 60 + second) * 1_000_000_000 + forms.nanoseconds(parts.get("fraction"), num)
    values = forms.assemble(parts["year"], parts["month"], day).astype(np.int64) + clock
    stamps = _with_offset(values, parts.get("offset"), texts, name, findings)
    return stamps if isinstance(stamps, Times) else _times(stamps, findings, date_only)


def _why_impossible(midnight: np.datetime64, clock: list[int], parts: dict[str, Any], row: int) -> str:
    """What is wrong with the first time that does not exist, and which one it may mean."""
    year, month = int(parts["year"][row]), int(parts["month"][row])
    if "name" in parts and month == 0:
        return (
            f"holds {parts['name'][row]!r}, which is no month in English, German, French, Spanish, Italian, Dutch or "
            "Portuguese: write months as numbers"
        )
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return f"is not a possible date: years go from {FIRST_YEAR} to {LAST_YEAR}"
    if 12 < month <= 53 and "day" not in parts:
        return f"is not a possible month; week {month} is written {year}-W{month}"
    there = forms.valid_date(*(parts[key][row : row + 1] for key in ("year", "month", "day"))).all() if "day" in parts else True
    if there and clock in ([24, 0, 0], [23, 59, 60]):
        text = str((midnight + np.timedelta64(1, "D")).astype("datetime64[m]")).replace("T", " ")
        what = "the hour 24" if clock[0] == 24 else "a leap second"
        return f"is not a possible date and time: {what} is written {text}, the start of the next day"
    if "offset" in parts and parts["offset"][row] and not forms.possible_offset(parts["offset"][row]):
        return f"has the UTC offset {parts['offset'][row]}, which no zone has"
    if not 1 <= month <= 12:
        return f"is not a possible date: there is no such {'quarter' if 'quarter' in parts else 'month'}"
    if not there:
        return "is not a possible date and time: there is no such day"
    return "is not a possible date and time: hours go from 0 to 23 (1 to 12 with AM or PM), minutes and seconds from 0 to 59"


def _weeks(parts: dict[str, Any], texts: pa.Array, findings: list[Finding]) -> Times:
    days = forms.mondays(parts["year"], parts["week"])
    bad = np.isnat(days)
    if bad.any():
        return _failed(texts, bad, forms.NO_WEEK)
    return _times(pd.Series(pd.DatetimeIndex(days)), findings, True)


def _with_offset(
    values: np.ndarray, offset: np.ndarray | None, texts: pa.Array, name: str, findings: list[Finding]
) -> pd.Series | Times:
    """The stamps, aware when the texts carry an offset: one offset is kept, several become UTC."""
    index = pd.DatetimeIndex(values.astype("datetime64[ns]"))
    if offset is None or not any(offset):
        return pd.Series(index)
    absent = np.array([not cell for cell in offset])
    if absent.any():
        return _failed(texts, absent, "has no UTC offset while others have one")
    kinds = {cell: forms.offset_minutes(cell) for cell in set(offset)}
    minutes = np.array([kinds[cell] for cell in offset])
    utc = pd.DatetimeIndex((values - minutes * 60_000_000_000).astype("datetime64[ns]")).tz_localize("UTC")
    if len(set(kinds.values())) == 1:
        same = minutes[0]
        return pd.Series(utc if same == 0 else utc.tz_convert(dt.timezone(dt.timedelta(minutes=int(same)))))
    message = f"{name} has {len(set(kinds.values()))} different UTC offsets: the stamps were converted to UTC"
    findings.append(doubts.time_note(message, "read.tz=Europe/Berlin (or another zone)", "repair"))
    return pd.Series(utc)
