"""What was read, detected or repaired in a table, in words, each with the setting that settles it."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

LEVELS = ("info", "repair", "warning")
STEERING = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")  # Unicode's controls, formats, surrogates, private ones, ends of lines
JOINERS = "\u200c\u200d"  # formats too, but Persian and emoji are written with them


def printable(text: str) -> str:
    """One line that steers no terminal: control characters, turned directions of writing and the like become \\x1b, \\u202e."""
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in STEERING and character not in JOINERS
        else character
        for character in text
    )


def listed(names: Iterable[str], most: int = 20) -> str:
    """The first names and how many there are besides."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def shorten(text: str, length: int) -> str:
    """At most `length` characters, the middle left out: names differ at both ends."""
    if len(text) <= length:
        return text
    return f"{text[: math.ceil(length / 2) - 1]}…{text[len(text) - length // 2 :]}"


@dataclass(frozen=True)
class Finding:
    """One statement about the data: plain words for people, `details` (JSON values only) for programs."""

    topic: str  # file, columns, time, frequency, order, duplicates, gaps, missing, constant, partial, integer, season ...
    message: str  # one sentence
    override: str = ""  # the setting that decides otherwise, e.g. "read.missing=zero"
    level: str = "info"  # info | repair | warning
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        mark = {"info": " ", "repair": "~", "warning": "!"}[self.level]
        return printable(f"{mark} {self.topic}: {self.message}" + (f"  [{self.override}]" if self.override else ""))


class Findings(list[Finding]):
    """Findings in order; shown one per line, as in the last line of a notebook cell."""

    def __repr__(self) -> str:
        return "\n".join(map(str, self))


class DataError(ValueError):
    """The table cannot be used as it is. The message names every problem found and how to mend it."""
