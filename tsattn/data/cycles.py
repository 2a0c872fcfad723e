"""What repeats on a grid: the season of a frequency, and calendar features of stamps."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from tsattn.data.calendar import (
    DAY,
    MONTH_END,
    TICKS,
    Step,
    dates_of,
    from_ordinals,
    month_first,
    months_of,
    ordinals,
    parse,
    wall,
)
from tsattn.data.frequency import infer_freq
from tsattn.data.holiday import holiday_share

HOLIDAY = "holiday:"


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
    step, days = parse(freq or infer_freq(stamps)), dates_of(stamps)
    if step.kind in ("tick", "business") or (step.kind == "day" and step.num == 1):
        return days, days + 1
    numbers = ordinals(stamps, step)
    if step.day == MONTH_END:
        return dates_of(from_ordinals(numbers - step.num, step)) + 1, days + 1
    return days, dates_of(from_ordinals(numbers + step.num, step))


def _day_of_year(clock: np.ndarray) -> np.ndarray:
    days = clock // DAY
    years = days.astype("datetime64[D]").astype("datetime64[Y]")
    first, following = (year.astype("datetime64[D]").astype(np.int64) for year in (years, years + 1))
    return (days - first) / (following - first)


def _day_of_month(clock: np.ndarray) -> np.ndarray:
    days = clock // DAY
    months = months_of(days)
    first = month_first(months)
    return (days - first) / (month_first(months + 1) - first)


CYCLES = {
    "time_of_day": lambda clock: clock % DAY / DAY,
    "day_of_week": lambda clock: (clock // DAY + 3) % 7 / 7,
    "day_of_month": _day_of_month,
    "day_of_year": _day_of_year,
    "month_of_year": lambda clock: months_of(clock // DAY) % 12 / 12,
}
