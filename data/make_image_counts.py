"""Writes image_counts.csv: SIMULATED daily image counts of three sources, 2022-01-01 to 2024-12-31. Nothing in it was measured.

    python data/make_image_counts.py

rewrites the file next to this script, byte for byte the same. Each count is a negative binomial draw (more scattered than
Poisson) around an expected number that is a product of growth, weekly season, yearly season, holidays and a slowly wandering
factor; `SOURCES` has the numbers, README.md says in words what they mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

SEED = 20220101
HOLIDAYS = ("01-01", "01-06", "05-01", "11-01", "12-24", "12-25", "12-26", "12-31")  # fixed dates, the same every year


class Source(NamedTuple):
    level: float  # images per day at the start
    growth: float  # factor per year
    weekly: tuple[float, ...]  # factors Monday to Sunday
    yearly: float  # half the range of the yearly season, on the log scale
    peak: int  # day of the year of its maximum
    holiday: float  # factor on holidays
    wander: float  # standard deviation of the autocorrelated factor, on the log scale
    size: float  # negative binomial size: variance = mean + mean^2 / size


SOURCES = {
    "ct_scanner": Source(620, 1.04, (1.10, 1.15, 1.10, 1.08, 1.00, 0.35, 0.22), 0.08, 30, 0.30, 0.05, 60),
    "camera_trap": Source(28, 1.00, (1.0,) * 7, 0.95, 160, 1.0, 0.20, 6),
    "photo_uploads": Source(240, 1.45, (0.85, 0.84, 0.86, 0.90, 1.05, 1.25, 1.25), 0.22, 205, 1.35, 0.08, 25),
}
OUTAGE = ("camera_trap", "2023-09-04", "2023-09-22")  # flat battery: these days have no row


def simulate() -> pd.DataFrame:
    """The table source, date, images: one row per source and day, but for the days of the outage."""
    # RandomState, because its stream is frozen (NEP 19); that of default_rng may change with a numpy release
    random = np.random.RandomState(SEED)
    days = pd.date_range("2022-01-01", "2024-12-31", freq="D")
    parts = []
    for name, source in SOURCES.items():
        expected = expected_images(source, days, random)
        images = random.negative_binomial(source.size, source.size / (source.size + expected))
        parts.append(pd.DataFrame({"source": name, "date": days.strftime("%Y-%m-%d"), "images": images}))
    table = pd.concat(parts, ignore_index=True)
    name, first, last = OUTAGE
    return table[~((table["source"] == name) & table["date"].between(first, last))]


def expected_images(source: Source, days: pd.DatetimeIndex, random: np.random.RandomState) -> np.ndarray:
    """The mean of each day's count."""
    years = np.arange(len(days)) / 365.25
    season = source.yearly * np.cos(2 * np.pi * (days.day_of_year.to_numpy() - source.peak) / 365.25)
    weekly = np.array(source.weekly)[days.day_of_week.to_numpy()]
    holiday = np.where(days.strftime("%m-%d").isin(HOLIDAYS), source.holiday, 1.0)
    # a scanner that rests on Sunday does not rest twice on a Sunday that is a holiday
    calendar = np.minimum(weekly, holiday) if source.holiday < 1 else weekly * holiday
    return source.level * source.growth**years * np.exp(season + wandering(len(days), source.wander, random)) * calendar


def wandering(length: int, spread: float, random: np.random.RandomState) -> np.ndarray:
    """A stationary AR(1) series with coefficient 0.7 and standard deviation `spread`."""
    shocks = random.standard_normal(length) * spread
    values = np.empty(length)
    values[0] = shocks[0]
    for day in range(1, length):
        values[day] = 0.7 * values[day - 1] + np.sqrt(1 - 0.7**2) * shocks[day]
    return values


if __name__ == "__main__":
    path = Path(__file__).with_name("image_counts.csv")
    path.write_bytes(simulate().to_csv(index=False, lineterminator="\n").encode())
    print(f"wrote {path}")
