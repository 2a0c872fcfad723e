"""Every setting of tsattn with its default and its checks: the only place where a default is written.

Plain dataclasses without torch, pandas or Hydra. The commands generate their Hydra schema from them;
a notebook builds them directly. Each checks itself in `__post_init__` and says what is allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MISSING_RULES = ("mask", "zero", "ffill")
DUPLICATE_RULES = ("error", "sum", "mean", "last")


def check_choice(field: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raise a `ValueError` that lists the allowed values of `field`."""
    if value not in allowed:
        raise ValueError(f"{field}={value!r} is not known: choose one of {', '.join(allowed)}")


@dataclass
class ReadConfig:
    """How a table is read. None means: detect it and report what was found."""

    sep: str | None = None  # column separator: one of , ; tab | or any single character
    decimal: str | None = None  # decimal sign: . or ,
    thousands: str | None = None  # thousands separator, removed before conversion
    encoding: str | None = None  # e.g. utf-8, cp1252, utf-16
    date_format: str | None = None  # strptime format, e.g. %d.%m.%Y
    tz: str | None = None  # zone of the stamps: naive ones are placed in it, aware ones converted
    id: str | None = None  # column that names the series
    time: Any = None  # column with the time, or a list of columns joined by a blank
    value: Any = None  # column to forecast, or a list (wide table: one series per column)
    missing: str = "mask"  # a missing row or value: mask (unknown) | zero | ffill
    duplicates: str = "error"  # two rows for one id and time: error | sum | mean | last
    count_per: str | None = None  # count rows per period: D, W-MON, MS, h, ...
    resample: str | None = None  # sum a count series into longer periods: W-MON, MS, ...

    def __post_init__(self) -> None:
        check_choice("read.missing", self.missing, MISSING_RULES)
        check_choice("read.duplicates", self.duplicates, DUPLICATE_RULES)
        if self.count_per and self.resample:
            raise ValueError("read.count_per counts events and read.resample re-bins counts: set one of them")
