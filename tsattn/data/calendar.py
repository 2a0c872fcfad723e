"""Time grids: frequencies as text and as steps, where stamps lie on a grid, the stamps that continue it.

A frequency is text. The pandas aliases are kept ("D", "B", "W-MON", "MS", "ME", "QS-OCT", "YS-JAN", "h", "15min"); ours are
"MS+14D" (each 15th; a day the month does not have is its last day), "3MS" or "7D" (no anchor: each series has its own), and
"1", "10" for integer time. Sub-daily steps are taken in UTC, days and longer on the wall clock of the stamps' own zone.

Inside, a grid is a `Step`: every stamp has an ordinal (nanosecond, day, business day, month, integer) and neighbours
differ by `num` of them. Everything below is arithmetic on ordinals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tsattn.data.panel import PART

DAY = 86_400_000_000_000
TICKS = {"D": DAY, "h": 3_600_000_000_000, "min": 60_000_000_000, "s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}
WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
LAST_DAY = 106_750  # days from 1970 that fit into int64 nanoseconds
MONTH_END = 31
OLD_NAMES = {"H": "h", "T": "min", "S": "s", "M": "ME", "Q": "QE", "Y": "YE", "A": "YE", "AS": "YS", "L": "ms", "U": "us"}
KNOWN = (
    "D, B, W-MON ... W-SUN, MS, ME, MS+14D, QS-OCT, QE-DEC, YS-JAN, YE-DEC, h, min, s, multiples (15min), or an integer step"
)


@dataclass(frozen=True)
class Step:
    """A grid: neighbouring stamps are `num` ordinals of `kind` apart."""

    kind: str  # int | tick (ns, in UTC) | day | business | month
    num: int = 1
    anchor: int | None = None  # day: weekday, Monday 0; month: month index (January 0) modulo num
    day: int = 1  # month only: day of the month, 31 for its last day


class Positions(NamedTuple):
    """Where stamps lie on a grid."""

    index: np.ndarray  # int64 [N], steps since the first stamp of the same series
    fits: np.ndarray  # bool [N], False where the stamp is not on the grid


def parse(freq: str) -> Step:
    """The `Step` of a frequency text; `ValueError` with the known ones when it has no meaning."""
    if re.fullmatch(r"[1-9]\d*", freq):
        return Step("int", int(freq))
    match = re.fullmatch(r"(\d*)([A-Za-z]+)(?:-([A-Za-z]{3}))?(?:\+(\d+)D)?", freq.strip())
    if match is None:
        raise ValueError(f"frequency {freq!r} is not known: use {KNOWN}")
    count, unit = int(match[1] or 1), OLD_NAMES.get(match[2], match[2])
    anchor, offset = (match[3] or "").upper(), int(match[4] or 0)
    if count < 1 or offset > 29:
        raise ValueError(f"frequency {freq!r} is not known: use {KNOWN}")
    if unit == "W" and not offset and (anchor or "SUN") in WEEKDAYS:
        return Step("day", 7 * count, WEEKDAYS.index(anchor or "SUN"))
    if unit in ("MS", "ME", "QS", "QE", "YS", "YE") and not (offset and unit[1] == "E"):
        if not anchor or (anchor in MONTHS and unit[0] != "M"):
            return _month_step(count, unit, anchor, offset)
    elif not anchor and not offset:
        if unit in TICKS and unit != "D":
            return tick_of(count * TICKS[unit])
        if unit == "D":
            return Step("day", count)
        if unit == "B" and count == 1:
            return Step("business")
    raise ValueError(f"frequency {freq!r} is not known: use {KNOWN}")


def _month_step(count: int, unit: str, anchor: str, offset: int) -> Step:
    num = count * {"M": 1, "Q": 3, "Y": 12}[unit[0]]
    day = MONTH_END if unit[1] == "E" else 1 + offset
    default = "DEC" if unit[1] == "E" else "JAN"
    keeps_anchor = unit[0] != "M" and count == 1
    return Step("month", num, MONTHS.index(anchor or default) % num if keeps_anchor else (0 if num == 1 else None), day)


def tick_of(nanoseconds: int) -> Step:
    return Step("day", nanoseconds // DAY) if nanoseconds % DAY == 0 else Step("tick", nanoseconds)


def text(step: Step) -> str:
    """The canonical frequency text of a `Step`, as pandas.infer_freq writes it where it has a name for it."""
    if step.kind == "int":
        return str(step.num)
    if step.kind == "business":
        return "B"
    count = "" if step.num == 1 else str(step.num)
    if step.kind == "tick":
        unit = next(name for name, size in TICKS.items() if step.num % size == 0)
        count = step.num // TICKS[unit]
        return f"{count if count > 1 else ''}{unit}"
    if step.kind == "day":
        if step.anchor is None:
            return f"{count}D"
        return f"{step.num // 7 if step.num > 7 else ''}W-{WEEKDAYS[step.anchor]}"
    end = step.day == MONTH_END
    tail = "" if end or step.day == 1 else f"+{step.day - 1}D"
    letter = "E" if end else "S"
    if step.anchor is not None and step.num == 3:
        return f"Q{letter}-{MONTHS[9 + step.anchor]}{tail}"
    if step.anchor is not None and step.num == 12:
        return f"Y{letter}-{MONTHS[step.anchor]}{tail}"
    return f"{count}M{letter}{tail}"


def canonical(freq: str) -> str:
    """`freq` in the one spelling used everywhere here: "QS" -> "QS-OCT", "60min" -> "h", "M" -> "ME"."""
    return text(parse(freq))


# ---- stamps <-> ordinals ----------------------------------------------------------------------------------------------


def stamps_of(df: pd.DataFrame) -> pd.Index:
    """The times of a long frame."""
    return pd.Index(df["ds"])


def written(stamp: Any) -> str:
    """A stamp in words, without a clock where it is midnight of its zone."""
    if not isinstance(stamp, pd.Timestamp):
        return str(stamp)
    clock = stamp.tz_localize(None)  # some zones skip midnight
    return f"{stamp:%Y-%m-%d}" if clock == clock.normalize() else str(stamp)


def wall(stamps: pd.Index) -> np.ndarray:
    """Wall-clock nanoseconds since 1970 of a DatetimeIndex, zone dropped: int64 [N]."""
    index = _as_dates(stamps)
    return _nanoseconds(index if index.tz is None else index.tz_localize(None))


def instants(stamps: pd.Index) -> np.ndarray:
    """Nanoseconds since 1970 in UTC (naive stamps as they are): int64 [N]."""
    return _nanoseconds(_as_dates(stamps))


def _as_dates(stamps: pd.Index) -> pd.DatetimeIndex:
    return stamps if isinstance(stamps, pd.DatetimeIndex) else pd.DatetimeIndex(stamps)


def _nanoseconds(index: pd.DatetimeIndex) -> np.ndarray:
    return (index if index.unit == "ns" else index.as_unit("ns")).asi8


def dates_of(stamps: pd.Index) -> np.ndarray:
    return wall(stamps) // DAY


def months_of(days: np.ndarray) -> np.ndarray:
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def month_first(months: np.ndarray) -> np.ndarray:
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def ordinals(stamps: pd.Index, step: Step) -> np.ndarray:
    """The ordinal of each stamp, int64 [N]; the part of a day or month below it is dropped."""
    if step.kind == "int":
        return np.asarray(stamps, dtype=np.int64)
    if step.kind == "tick":
        return instants(stamps)
    days = dates_of(stamps)
    if step.kind == "business":
        return 5 * ((days + 3) // 7) + np.minimum((days + 3) % 7, 4)
    return months_of(days) if step.kind == "month" else days


def from_ordinals(numbers: np.ndarray, step: Step, time_of_day: Any = 0, tz: Any = None) -> pd.Index:
    """The stamps of ordinals: int64 index, or datetime64[ns] index in zone `tz`, days and longer at `time_of_day` ns.

    A wall-clock time that the zone skips moves to the end of the skip; of a repeated one the first is taken.
    """
    if step.kind == "int":
        return pd.Index(numbers, dtype="int64")
    if step.kind == "tick":
        index = pd.DatetimeIndex(numbers.astype("datetime64[ns]"))
        return index if tz is None else index.tz_localize("UTC").tz_convert(tz)
    if step.kind == "business":
        days = 7 * (numbers // 5) + numbers % 5 - 3
    elif step.kind == "month":
        first = month_first(numbers)
        days = first + np.minimum(step.day, month_first(numbers + 1) - first) - 1
    else:
        days = numbers
    if len(days) and (days.max() > LAST_DAY or days.min() < -LAST_DAY):
        raise ValueError("the times go beyond the years 1678 to 2261, which are all that nanoseconds can count")
    index = pd.DatetimeIndex((days * DAY + time_of_day).astype("datetime64[ns]"))
    if tz is None:
        return index
    # pandas' shift_forward takes the skip for a whole hour: its last instant, and one more, is right everywhere
    zoned = index.tz_localize(tz, nonexistent="shift_backward", ambiguous=np.ones(len(index), dtype=bool))
    skipped = zoned.tz_localize(None) != index
    return zoned + pd.to_timedelta(skipped.astype(np.int64), unit="ns") if skipped.any() else zoned


def first_rows_of(codes: np.ndarray | None, num_rows: int) -> np.ndarray:
    """For each row the row number of the first row of its series (rows of a series are together)."""
    if codes is None or num_rows == 0:
        return np.zeros(num_rows, dtype=np.int64)
    first = first_of_series(codes)
    return np.repeat(first, np.diff(first, append=num_rows))


def first_of_series(codes: np.ndarray | None) -> np.ndarray:
    """The row number of the first row of each series, of one or more rows in all."""
    return np.zeros(1, np.int64) if codes is None else np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])


def most_common(values: np.ndarray) -> Any:
    found, counts = np.unique(values, return_counts=True)
    return found[np.argmax(counts)]


def _reference(values: np.ndarray, first_rows: np.ndarray) -> np.ndarray:
    """The value all rows of a series should share: its first, or the most common of all where a series disagrees."""
    if (values == values[:1]).all():
        return values
    reference = values[first_rows]
    wrong = values != reference
    if wrong.any():
        mixed = np.isin(first_rows, first_rows[wrong])
        reference = np.where(mixed, most_common(values[mixed]), reference)
    return reference


def clocks(stamps: pd.Index, freq: str, codes: np.ndarray | None = None) -> np.ndarray:
    """The usual time of day of the series of each stamp, nanoseconds, int64 [N]; 0 where the step is shorter than a day.

    A single stamp may stand elsewhere: where the zone skips the usual time, at the end of the skip.
    """
    if parse(freq).kind in ("int", "tick"):
        return np.zeros(len(stamps), dtype=np.int64)
    return _reference(wall(stamps) % DAY, first_rows_of(codes, len(stamps)))


def positions(stamps: pd.Index, freq: str, codes: np.ndarray | None = None) -> Positions:
    """Where each stamp lies on the grid `freq` that begins at the first stamp of its series.

    `codes` numbers the series of each row, rows of a series together and in time order; None means one series.
    """
    step = parse(freq)
    if len(stamps) == 0:
        return Positions(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool))
    if _are_even(stamps, step, codes):
        first = first_of_series(codes)
        lengths = np.diff(first, append=len(stamps))
        start = _positions(stamps[first], step, np.arange(len(first)))
        index = np.ones(len(stamps), dtype=np.int64)
        index[first] = 1 - np.concatenate([[1], lengths[:-1]])  # back to 0 after the series before
        return Positions(np.cumsum(index, out=index), np.repeat(start.fits, lengths))
    return _positions(stamps, step, first_rows_of(codes, len(stamps)))


def _are_even(stamps: pd.Index, step: Step, codes: np.ndarray | None) -> bool:
    """Whether each row is one step of equal size after the row before it in its series."""
    if step.kind == "int":
        values, size = np.asarray(stamps, dtype=np.int64), step.num
    elif step.kind == "tick" or (step.kind == "day" and getattr(stamps, "tz", None) is None):
        values, size = instants(stamps), step.num * (1 if step.kind == "tick" else DAY)
    else:
        return False
    for begin in range(0, len(values) - 1, PART):
        part = slice(begin, begin + PART + 1)
        uneven = np.diff(values[part]) != size
        if uneven.any() and (codes is None or (uneven & (np.diff(codes[part]) == 0)).any()):
            return False
    return True


def _positions(stamps: pd.Index, step: Step, first_rows: np.ndarray) -> Positions:
    """The same for any rows, whose series begin at `first_rows` [N]."""
    numbers = ordinals(stamps, step)
    phase = numbers % step.num if step.num > 1 else np.zeros_like(numbers)
    fits = phase == _reference(phase, first_rows)
    tz = getattr(stamps, "tz", None)
    if step.kind == "day" and tz is None:
        clock = wall(stamps) - numbers * DAY
        fits &= clock == _reference(clock, first_rows)
    elif step.kind in ("day", "business", "month"):
        clock = wall(stamps)
        made = from_ordinals(numbers, step, _reference(clock % DAY, first_rows), tz)
        fits &= (wall(made) == clock) | (instants(made) == instants(stamps))
    if step.anchor is not None and step.kind == "day":
        fits &= (numbers + 3) % 7 == step.anchor
    elif step.anchor is not None:
        fits &= phase == step.anchor
    index = numbers - numbers[first_rows]
    return Positions(index // step.num if step.num > 1 else index, fits)


def grid(first: pd.Index, lengths: np.ndarray, freq: str, clock: np.ndarray | None = None, *, skipped: int = 0) -> pd.Index:
    """The stamps of many series one after the other: `lengths[i]` of them from `first[i]` on, which must lie on `freq`.

    Of each the first `skipped` are left out. `clock` is the usual time of day of each series (see `clocks`); without it that of
    its first stamp.
    """
    step = parse(freq)
    lengths = np.asarray(lengths, dtype=np.int64)
    if step.kind == "tick" and len(lengths) and instants(first).max() + lengths.max() * float(step.num) > LAST_DAY * float(DAY):
        raise ValueError(f"{lengths.max()} steps of {freq} go beyond the years 1678 to 2261")
    if step.kind == "int" and len(lengths) and int(np.max(first)) + int(lengths.max() - 1) * step.num >= 2**63:
        raise ValueError(f"{lengths.max()} steps of {freq} go beyond {2**63 - 1}, the largest whole number of 64 bits")
    lengths = lengths - skipped
    starts = np.repeat(np.cumsum(lengths) - lengths - skipped, lengths)
    numbers = np.repeat(ordinals(first, step), lengths) + step.num * (np.arange(lengths.sum()) - starts)
    if step.kind in ("int", "tick"):
        return from_ordinals(numbers, step, tz=getattr(first, "tz", None))
    clock = wall(first) % DAY if clock is None else clock
    return from_ordinals(numbers, step, np.repeat(clock, lengths), pd.DatetimeIndex(first).tz)


def fractional_steps(stamps: pd.Index, freq: str) -> np.ndarray:
    """Steps of `freq` since its origin, a real number for stamps between two of them; a month counts as 1/12 of 365.25 days."""
    step = parse(freq)
    if step.kind == "int":
        return np.asarray(stamps, dtype=np.float64) / step.num
    unit = {"tick": 1.0, "month": 365.25 / 12 * DAY}.get(step.kind, float(DAY))
    return instants(stamps) / (unit * step.num)


def _single(stamp: Any, freq: str) -> pd.Index:
    step = parse(freq)
    is_number = isinstance(stamp, int | np.integer)
    if is_number != (step.kind == "int"):
        raise ValueError(f"the stamp {stamp!r} does not go with frequency {freq!r}")
    index = pd.Index([int(stamp)], dtype="int64") if is_number else pd.DatetimeIndex([pd.Timestamp(stamp)]).as_unit("ns")
    if not positions(index, freq).fits[0]:
        raise ValueError(f"the stamp {stamp} is not on the grid {freq!r}")
    return index


def stamps_from(first: Any, num: int, freq: str) -> pd.Index:
    """`num` stamps from `first` on, `first` included; `ValueError` when it is not on the grid."""
    return grid(_single(first, freq), np.array([num]), freq)


def future_stamps(last: Any, num: int, freq: str) -> pd.Index:
    """The `num` stamps after `last`: int64, or datetime64[ns] in the zone of `last`."""
    return stamps_from(last, num + 1, freq)[1:]
