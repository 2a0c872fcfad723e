"""Time grids: which frequency stamps follow, the stamps that continue it, season and calendar features.

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

from tsattn.data.holiday import holiday_share

DAY = 86_400_000_000_000
TICKS = {"D": DAY, "h": 3_600_000_000_000, "min": 60_000_000_000, "s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}
WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
LAST_DAY = 106_750  # days from 1970 that fit into int64 nanoseconds
MONTH_DAYS = 30.436875
MONTH_END = 31
OLD_NAMES = {"H": "h", "T": "min", "S": "s", "M": "ME", "Q": "QE", "Y": "YE", "A": "YE", "AS": "YS", "L": "ms", "U": "us"}
HOLIDAY = "holiday:"
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
            return _tick(count * TICKS[unit])
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


def _tick(nanoseconds: int) -> Step:
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


def _dates(stamps: pd.Index) -> np.ndarray:
    return wall(stamps) // DAY


def _months(days: np.ndarray) -> np.ndarray:
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def _month_first(months: np.ndarray) -> np.ndarray:
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def ordinals(stamps: pd.Index, step: Step) -> np.ndarray:
    """The ordinal of each stamp, int64 [N]; the part of a day or month below it is dropped."""
    if step.kind == "int":
        return np.asarray(stamps, dtype=np.int64)
    if step.kind == "tick":
        return instants(stamps)
    days = _dates(stamps)
    if step.kind == "business":
        return 5 * ((days + 3) // 7) + np.minimum((days + 3) % 7, 4)
    return _months(days) if step.kind == "month" else days


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
        first = _month_first(numbers)
        days = first + np.minimum(step.day, _month_first(numbers + 1) - first) - 1
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


def _first_rows(codes: np.ndarray | None, num_rows: int) -> np.ndarray:
    """For each row the row number of the first row of its series (rows of a series are together)."""
    if codes is None or num_rows == 0:
        return np.zeros(num_rows, dtype=np.int64)
    first = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    return np.repeat(first, np.diff(np.r_[first, num_rows]))


def _most_common(values: np.ndarray) -> Any:
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
        reference = np.where(mixed, _most_common(values[mixed]), reference)
    return reference


def clocks(stamps: pd.Index, freq: str, codes: np.ndarray | None = None) -> np.ndarray:
    """The usual time of day of the series of each stamp, nanoseconds, int64 [N]; 0 where the step is shorter than a day.

    A single stamp may stand elsewhere: where the zone skips the usual time, at the end of the skip.
    """
    if parse(freq).kind in ("int", "tick"):
        return np.zeros(len(stamps), dtype=np.int64)
    return _reference(wall(stamps) % DAY, _first_rows(codes, len(stamps)))


def positions(stamps: pd.Index, freq: str, codes: np.ndarray | None = None) -> Positions:
    """Where each stamp lies on the grid `freq` that begins at the first stamp of its series.

    `codes` numbers the series of each row, rows of a series together and in time order; None means one series.
    """
    step = parse(freq)
    if len(stamps) == 0:
        return Positions(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool))
    first_rows = _first_rows(codes, len(stamps))
    if _are_even(stamps, step, first_rows):
        first = np.flatnonzero(first_rows == np.arange(len(stamps)))
        lengths = np.diff(np.r_[first, len(stamps)])
        start = _positions(stamps[first], step, np.arange(len(first)))
        index = np.arange(len(stamps))
        index -= first_rows
        return Positions(index, np.repeat(start.fits, lengths))
    return _positions(stamps, step, first_rows)


def _are_even(stamps: pd.Index, step: Step, first_rows: np.ndarray) -> bool:
    """Whether each row is one step of equal size after the row before it in its series."""
    if step.kind == "int":
        values, size = np.asarray(stamps, dtype=np.int64), step.num
    elif step.kind == "tick" or (step.kind == "day" and getattr(stamps, "tz", None) is None):
        values, size = instants(stamps), step.num * (1 if step.kind == "tick" else DAY)
    else:
        return False
    return bool(((values[1:] - values[:-1] == size) | (first_rows[1:] != first_rows[:-1])).all())


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


def grid(first: pd.Index, lengths: np.ndarray, freq: str, clock: np.ndarray | None = None) -> pd.Index:
    """The stamps of many series one after the other: `lengths[i]` of them from `first[i]` on, which must lie on `freq`.

    `clock` is the usual time of day of each series (see `clocks`); without it that of its first stamp.
    """
    step = parse(freq)
    lengths = np.asarray(lengths, dtype=np.int64)
    if step.kind == "tick" and len(lengths) and instants(first).max() + lengths.max() * float(step.num) > LAST_DAY * float(DAY):
        raise ValueError(f"{lengths.max()} steps of {freq} go beyond the years 1678 to 2261")
    if step.kind == "int" and len(lengths) and int(np.max(first)) + int(lengths.max() - 1) * step.num >= 2**63:
        raise ValueError(f"{lengths.max()} steps of {freq} go beyond {2**63 - 1}, the largest whole number of 64 bits")
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
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


# ---- which frequency ---------------------------------------------------------------------------------------------------


def infer_freq(stamps: pd.Index, codes: np.ndarray | None = None) -> str:
    """The frequency that most steps follow, over all series together.

    Rows of a series are together, in time order, without duplicates. The most common step is taken; when not all stamps lie on
    its grid, the next common ones that make up a fifth of the steps are tried. The caller checks `positions(...).fits`.
    Without any step: "D", or "1" for integers.
    """
    is_int = pd.api.types.is_integer_dtype(stamps.dtype)
    values = np.asarray(stamps, dtype=np.int64) if is_int else wall(stamps)
    inner = np.ones(max(len(values) - 1, 0), dtype=bool) if codes is None else codes[1:] == codes[:-1]
    if not inner.any():
        return "1" if is_int else "D"
    steps = values[1:] - values[:-1]
    usual = steps[inner.argmax()]
    sizes, counts = np.array([usual]), np.array([inner.sum()])
    if not ((steps == usual) | ~inner).all():
        sizes, counts = np.unique(steps[inner], return_counts=True)
    del steps, inner  # of ten million rows 90 MB, while their positions are computed
    order = np.argsort(-counts, kind="stable")
    common = [sizes[i] for i in order[:4] if sizes[i] > 0 and (i == order[0] or 5 * counts[i] >= counts.sum())]
    candidates = [text(_step_of(int(size), stamps, codes, is_int)) for size in common] or ["1" if is_int else "D"]
    for candidate in candidates:
        if positions(stamps, candidate, codes).fits.all():
            return candidate
    return candidates[0]


def usual_step(stamps: pd.Index, codes: np.ndarray) -> str:
    """The frequency that most steps follow; where fewer than half do, the median step, in whole seconds."""
    is_int = pd.api.types.is_integer_dtype(stamps.dtype)
    steps = np.diff(np.asarray(stamps, dtype=np.int64) if is_int else instants(stamps))[codes[1:] == codes[:-1]]
    if not len(steps) or 2 * np.unique(steps, return_counts=True)[1].max() >= len(steps):
        return infer_freq(stamps, codes)
    unit = 1 if is_int else 1_000_000_000
    median = max(int(np.median(steps)) // unit, 1) * unit
    return str(median) if is_int else text(_tick(median))


def _step_of(size: int, stamps: pd.Index, codes: np.ndarray | None, is_int: bool) -> Step:
    """The grid with neighbours `size` apart (nanoseconds on the wall clock, or integers)."""
    if is_int:
        return Step("int", size)
    if size % DAY:
        same = np.diff(_first_rows(codes, len(stamps))) == 0
        utc = np.diff(instants(stamps))[same]
        return _tick(size if (utc == size).any() else int(_most_common(utc)))
    days = size // DAY
    months = round(days / MONTH_DAYS)
    if months and abs(days - months * MONTH_DAYS) <= 3:
        step = _monthly(months, stamps, codes)
        if 2 * positions(stamps, text(step), codes).fits.sum() >= len(stamps):
            return step
    if days == 1 and _only_business_days(stamps, codes):
        return Step("business")
    weekdays = (_dates(stamps) + 3) % 7
    own_weekdays = (weekdays == weekdays[_first_rows(codes, len(stamps))]).all()
    if days % 7 == 0 and ((weekdays == weekdays[0]).all() or not own_weekdays):
        return Step("day", days, int(_most_common(weekdays)))
    return Step("day", days)


def _monthly(months: int, stamps: pd.Index, codes: np.ndarray | None) -> Step:
    dates = _dates(stamps)
    numbers = _months(dates)
    first = _month_first(numbers)
    day, length = dates - first + 1, _month_first(numbers + 1) - first
    usual = int(_most_common(day))
    ends, same_day = int((day == length).sum()), int((day == np.minimum(usual, length)).sum())
    target = MONTH_END if ends == len(day) or ends > same_day else usual
    phases = numbers % months
    own_phase = (phases == phases[_first_rows(codes, len(stamps))]).all()
    named = months in (1, 3, 12) and ((phases == phases[0]).all() or not own_phase)
    return Step("month", months, int(_most_common(phases)) if named else None, min(target, MONTH_END))


def _only_business_days(stamps: pd.Index, codes: np.ndarray | None) -> bool:
    """No stamp on a weekend, and weekends were passed over: some Friday is followed by the next Monday."""
    dates = _dates(stamps)
    if len(dates) < 6 or ((dates + 3) % 7 > 4).any():
        return False
    same = np.diff(_first_rows(codes, len(stamps))) == 0
    return bool((same & (np.diff(dates) == 3) & ((dates[:-1] + 3) % 7 == 4)).any())


# ---- season ------------------------------------------------------------------------------------------------------------


def season_length(freq: str, num_rows: int) -> tuple[int, str]:
    """(season, reason): rows until the usual cycle of `freq` repeats, 1 when `num_rows` hold fewer than two of them."""
    step = parse(freq)
    season, cycle = _season(step)
    if season == 1:
        return 1, f"there is no usual season for {freq} data" if step.kind != "int" else "integer time has no usual season"
    if num_rows < 2 * season:
        return 1, f"{num_rows} rows are fewer than two seasons of {season} ({cycle})"
    return season, f"{season} rows make {cycle}"


def _season(step: Step) -> tuple[int, str]:
    if step.kind == "business":
        return 5, "a week of business days"
    if step.kind == "tick":
        for size, cycle in ((DAY, "a day"), (TICKS["h"], "an hour")):
            if size % step.num == 0 and size // step.num <= 1440:
                return size // step.num, cycle
    if step.kind == "day":
        if step.num == 1:
            return 7, "a week"
        if step.num % 7 == 0 and 364 % step.num == 0:
            return 364 // step.num, "a year"
    if step.kind == "month" and 12 % step.num == 0:
        return 12 // step.num, "a year"
    return 1, ""


# ---- features ----------------------------------------------------------------------------------------------------------


def feature_names(freq: str, num_rows: int) -> list[str]:
    """Calendar features worth having: of each cycle only when `num_rows` span it at least twice. Integer time has none."""
    step = parse(freq)
    if step.kind == "int":
        return []
    if step.kind == "month":
        months = num_rows * step.num
        return _pairs("month_of_year", min(6, 6 // step.num)) if months >= 24 and step.num < 12 else []
    per_row = {"tick": step.num / DAY, "day": step.num, "business": 7 / 5}[step.kind]
    days, names = num_rows * per_row, []
    if step.kind == "tick" and days >= 2:
        names += _pairs("time_of_day", min(2, DAY // (2 * step.num)))
    if days >= 14 and per_row % 7:
        names += _pairs("day_of_week", 3)
    if step.num == 1 and step.kind in ("day", "business") and days >= 62:
        names += _pairs("day_of_month", 2)
    if days >= 730 - per_row and per_row < 60:
        names += _pairs("day_of_year", 3)
    return names


def _pairs(name: str, harmonics: int) -> list[str]:
    pairs = [f"{name}_{wave}{k}" for k in range(1, harmonics + 1) for wave in ("sin", "cos")]
    return [pair for pair in pairs if pair != "month_of_year_sin6"]  # that sine is zero in every month


def features(stamps: pd.Index, names: list[str], freq: str | None = None) -> np.ndarray:
    """The named calendar features of each stamp on its wall clock: float32 [U, K] in [-1, 1], no NaN.

    "holiday:DE" is the share of public holidays of a country among the days of the period that begins with the stamp (of ME, QE
    and YE: that ends with it), so 1 or 0 where steps are a day or shorter. `freq` is needed for that alone; without it, it is
    seen from the stamps.
    """
    result = np.zeros((len(stamps), len(names)), dtype=np.float32)
    phases: dict[str, np.ndarray] = {}
    for column, name in enumerate(names):
        if name.startswith(HOLIDAY):
            result[:, column] = holiday_share(*_period_days(stamps, freq), name.removeprefix(HOLIDAY))
            continue
        match = re.fullmatch(r"(\w+)_(sin|cos)(\d)", name)
        if match is None or match[1] not in CYCLES:
            raise ValueError(f"calendar feature {name!r} is not known: cycles are {', '.join(CYCLES)}; or {HOLIDAY}DE")
        if match[1] not in phases:
            phases[match[1]] = CYCLES[match[1]](wall(stamps))
        angle = 2 * np.pi * int(match[3]) * phases[match[1]]
        result[:, column] = np.sin(angle) if match[2] == "sin" else np.cos(angle)
    return result


def _period_days(stamps: pd.Index, freq: str | None) -> tuple[np.ndarray, np.ndarray]:
    """(first day, day after the last) of the period of each stamp, counted from 1970 on its wall clock."""
    if pd.api.types.is_integer_dtype(stamps.dtype):
        raise ValueError("public holidays need dates, but the time is made of whole numbers")
    step, days = parse(freq or infer_freq(stamps)), _dates(stamps)
    if step.kind in ("tick", "business") or (step.kind == "day" and step.num == 1):
        return days, days + 1
    numbers = ordinals(stamps, step)
    if step.day == MONTH_END:
        return _dates(from_ordinals(numbers - step.num, step)) + 1, days + 1
    return days, _dates(from_ordinals(numbers + step.num, step))


def _day_of_year(clock: np.ndarray) -> np.ndarray:
    days = clock // DAY
    years = days.astype("datetime64[D]").astype("datetime64[Y]")
    first, following = (year.astype("datetime64[D]").astype(np.int64) for year in (years, years + 1))
    return (days - first) / (following - first)


def _day_of_month(clock: np.ndarray) -> np.ndarray:
    days = clock // DAY
    months = _months(days)
    first = _month_first(months)
    return (days - first) / (_month_first(months + 1) - first)


CYCLES = {
    "time_of_day": lambda clock: clock % DAY / DAY,
    "day_of_week": lambda clock: (clock // DAY + 3) % 7 / 7,
    "day_of_month": _day_of_month,
    "day_of_year": _day_of_year,
    "month_of_year": lambda clock: _months(clock // DAY) % 12 / 12,
}
