"""How a text file is cut into fields: comment lines, separator, header, number of columns."""

from __future__ import annotations

import csv
import io
import re
from typing import NamedTuple

from tsattn.config import ReadConfig
from tsattn.data.findings import DataError, Finding
from tsattn.data.raw import damage, kinds
from tsattn.data.raw.damage import SPACES, long_cells, records
from tsattn.data.raw.source import Source

SEPARATORS = (",", ";", "\t", "|")
SEPARATOR_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
MAX_COLUMNS = 10_000
SAMPLE = 1 << 16  # characters from which the separator is seen


class Shape(NamedTuple):
    """How the text after the comment lines is to be cut into fields."""

    start: int  # bytes before the header
    skipped: int  # lines before the header
    sep: str
    header: list[str]
    width: int  # fields per row: as the header, or one more or less that is empty


def find_shape(source: Source, config: ReadConfig) -> Shape:
    """Where the header is, what separates the columns, and how many there are."""
    name, findings = source.name, source.findings
    start, skipped, sample = _without_comments(source)
    if skipped:
        findings.append(Finding("file", f"{name}: {skipped} comment lines before the header were left out", "", "repair"))
    if not sample.strip(SPACES + "\r\n"):
        raise DataError(f"{name}: the file is empty")
    kinds.refuse_text(name, sample)
    directive = re.match(r"sep=([!-/:-~\t ])(\r\n?|\n)", sample)
    if directive:
        sample, start, skipped = sample[directive.end() :], start + len(directive[0].encode()), skipped + 1
    sep = config.sep or (directive[1] if directive else _separator(sample, name, skipped))
    sep = {"tab": "\t", "\\t": "\t"}.get(sep, sep)
    if len(sep) != 1 or sep in '"\r\n' or not sep.isascii():
        raise DataError(f"read.sep={config.sep} must be a single ASCII character other than a quote, or tab")
    if config.sep is None and sep != ",":
        findings.append(Finding("file", f"{name}: columns are separated by {SEPARATOR_NAMES.get(sep, repr(sep))}", "read.sep="))
    if source.seen.quotes % 2:
        check_quotes(source, start, skipped, sep)
    first = _first_records(source, start, skipped, sep)
    header, width = first[0], len(first[0])
    if len(first) > 1 and len(first[1]) == width + 1 and not first[1][-1].strip(SPACES):
        width += 1
    elif len(first) > 1 and len(first[1]) == width - 1 > 0 and not header[-1].strip(SPACES):
        width -= 1
    if width > MAX_COLUMNS:
        raise DataError(f"{name}: {width} columns are more than {MAX_COLUMNS}; is read.sep= right?")
    return Shape(start, skipped, sep, header, width)


def check_quotes(source: Source, start: int, skipped: int, sep: str) -> None:
    """`DataError` where a quote is open at the end of the text."""
    line, shown = damage.open_quote(source.lines(start), sep)
    if line:
        raise DataError(
            f"{source.name}: line {line + skipped} opens a quote that is never closed ({shown}): close or remove it"
        )


def _first_records(source: Source, start: int, skipped: int, sep: str) -> list[list[str]]:
    """The fields of the header and of the first row, where there is one."""
    name = source.name
    first: list[list[str]] = []
    try:
        with long_cells():
            for (line, fields), _ in zip(records(source.lines(start), sep), range(2), strict=False):
                if not first and line > 1:
                    raise DataError(f"{name}: line {skipped + 1}, above the header, holds empty cells alone: remove it")
                first.append(fields)
    except csv.Error as error:
        line = skipped + 1 + len(first)
        raise DataError(f"{name}: a cell in line {line} is too long to be one: is a quote not closed?") from error
    if not first:
        raise DataError(f"{name}: the file holds no cell")
    return first


def _without_comments(source: Source) -> tuple[int, int, str]:
    """(bytes, number of lines) before the header: # comments, lines without cells; and a sample of the text from there on."""
    with source.text() as text:
        start = skipped = 0
        while line := text.readline(SAMPLE):
            if line.strip(SPACES + "\r\n,;|") and not line.lstrip(SPACES).startswith("#"):
                break
            while line and len(line) == SAMPLE and line[-1] not in "\r\n":
                start, line = start + len(line.encode()), text.readline(SAMPLE)
            start, skipped = start + len(line.encode()), skipped + 1
        return start, skipped, line + text.read(SAMPLE)


def _separator(sample: str, name: str, skipped: int) -> str:
    """The separator that cuts the first lines into the same number of fields, more than one; a comma when none does."""
    if len(sample) > SAMPLE:
        sample = sample[: max(sample.rfind("\n"), sample.rfind("\r")) + 1] or sample
    best, starts = [], []
    for sep in SEPARATORS:
        try:
            rows = [row for _, row in zip(range(200), records(io.StringIO(sample, newline=""), sep), strict=False)]
        except csv.Error:
            continue
        widths = [len(fields) for _, fields in rows]
        if widths and widths[0] > 1:
            share = sum(width == widths[0] for width in widths) / len(widths)
            best.append((share, widths[0], sep))
        elif rows:
            starts.append(damage.table_start(rows))
    if any(starts) and all(share <= 0.5 for share, _, _ in best):
        raise damage.title_above(name, max(starts) + skipped)
    if not best:
        return ","
    best.sort(key=lambda item: (item[0] > 0.9, item[1], item[0]), reverse=True)
    if len(best) > 1 and best[0][0] > 0.9 and best[1][0] > 0.9 and best[0][1] == best[1][1]:
        pair = " or ".join(repr(item[2]) for item in best[:2])
        raise DataError(f"{name}: the columns may be separated by {pair}: set read.sep=")
    return best[0][2]
