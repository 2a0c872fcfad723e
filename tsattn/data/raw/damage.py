"""What is wrong with a damaged text file, in one line that names the place: found out only when something is wrong."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from tsattn.data.findings import DataError

CHUNK = 1 << 22
BLOCK = 1 << 22  # bytes of a text that are parsed at once; a row must not be longer
SPACES = " \t\u00a0\u202f\u2009\ufeff"
MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
SURROGATE = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
UNDEFINED = b"\x81\x8d\x8f\x90\x9d"  # in cp1252
CONTROL = bytes([*range(9), *range(14, 32), 127])
HIGH = bytes(range(128, 256))
Bytes = io.FileIO | io.BytesIO
Open = Callable[[], Bytes]
NUMBER = re.compile(r"[+-]?[\d.,]+([eE][+-]?\d+)?")


# ---- bytes -------------------------------------------------------------------------------------------------------------


def line_at(file: Bytes, place: int) -> tuple[int, str]:
    """(line number, what stands around the byte at `place`, quoted)."""
    ends, done, before = 0, 0, b""
    with file:
        while done < place and (chunk := file.read(min(CHUNK, place - done))):
            ends += len(re.findall(rb"\r\n?|\n", chunk)) - (before[-1:] == b"\r" and chunk[:1] == b"\n")
            done, before = done + len(chunk), (before + chunk)[-24:]
        after = file.read(24)
    if before[-1:] == b"\r" and after[:1] == b"\n":
        ends -= 1
    shown = re.split(rb"[\r\n]", before)[-1].lstrip(bytes(range(0x80, 0xC0))) + (re.split(rb"[\r\n]", after)[0] or after[:1])
    return ends + 1, repr(shown.decode("utf-8", "backslashreplace")).replace("\\\\x", "\\x")


def refuse_unmarked_utf16(name: str, head: bytes) -> None:
    """`DataError` where every second byte is NUL, as in UTF-16 without a byte order mark."""
    head = head[:4096].rstrip(b"\x00")
    half = len(head) // 2
    for kind, start in (("utf-16-le", 1), ("utf-16-be", 0)):
        if half and head[start::2].count(0) > 0.4 * half and head[1 - start :: 2].count(0) < 0.1 * half:
            raise DataError(f"{name}: this is UTF-16 without its mark at the start: set read.encoding={kind}")


def refuse_trailing_nuls(name: str, opened: Open, first: int, size: int) -> None:
    """`DataError` where nothing but NUL follows the first one, as a power loss leaves files."""
    with opened() as file:
        file.seek(first, 1)
        while chunk := file.read(CHUNK):
            if chunk.strip(b"\x00"):
                return
    line, _ = line_at(opened(), first)
    raise DataError(
        f"{name}: from line {line} on there is nothing but {size - first} NUL characters, as after a power loss: "
        "what stood there is lost; get the file again, or remove them with: tr -d '\\0'"
    )


def nul_inside(name: str, opened: Open, place: int) -> DataError:
    line, shown = line_at(opened(), place)
    return DataError(
        f"{name}: line {line} contains a NUL character ({shown}): the file is damaged, get it again; or set read.encoding="
    )


def refuse_unless_western(name: str, opened: Open, place: int, encoding: str | None) -> None:
    """`DataError` where bytes that are not UTF-8 are no sensible cp1252 either, or UTF-8 was asked for or is used elsewhere."""
    line, shown = line_at(opened(), place)
    where = f"{name}: line {line}: {shown}"
    if encoding is not None:
        raise DataError(f"{where} is not {encoding}: mend it, or set read.encoding= to the right one, e.g. cp1252")
    facts = _foreign_bytes(opened())
    if facts.control:
        raise DataError(f"{where} is no text: the file is damaged or of another kind; get it again, or save it as CSV")
    if facts.surrogates:
        raise DataError(f"{where} holds half of a character (a lone surrogate): write this cell again")
    if facts.valid:
        raise DataError(
            f"{where} is not UTF-8 although other lines are: mend it, or set read.encoding= if the whole file is in another one"
        )
    if facts.undefined or 2 * facts.in_runs >= facts.high >= 4:
        raise DataError(
            f"{where} is neither UTF-8 nor cp1252: set read.encoding=, e.g. cp1250, cp1251, koi8-r, shift_jis, gbk, big5"
        )


class Foreign(NamedTuple):
    """Counts of bytes, or of sequences of bytes, outside ASCII."""

    control: int
    surrogates: int
    valid: int  # characters in UTF-8
    undefined: int  # in cp1252
    high: int
    in_runs: int  # bytes that stand next to others outside ASCII, as letters of other alphabets do and accented ones do not


def _foreign_bytes(file: Bytes) -> Foreign:
    total = [0] * 6
    with file:
        while chunk := file.read(CHUNK):
            runs, in_runs = _runs(chunk)
            surrogates = len(SURROGATE.findall(runs))
            counts = (_count(chunk, CONTROL), surrogates, len(MULTIBYTE.findall(runs)) - surrogates)
            counts += (_count(chunk, UNDEFINED), _count(chunk, HIGH), in_runs)
            total = [a + b for a, b in zip(total, counts, strict=True)]
    return Foreign(*total)


def _runs(chunk: bytes) -> tuple[bytes, int]:
    """The bytes outside ASCII that stand next to each other, a blank behind each run, and how many they are."""
    values = np.frombuffer(b" " + chunk + b" ", np.uint8)
    high = values >= 128
    inside = high[1:-1] & (high[2:] | high[:-2])
    behind = np.concatenate([[False], inside[:-1]])
    return np.where(inside, values[1:-1], ord(" "))[inside | behind].astype(np.uint8).tobytes(), int(inside.sum())


def _count(chunk: bytes, wanted: bytes) -> int:
    return len(chunk) - len(chunk.translate(None, wanted))


# ---- records -----------------------------------------------------------------------------------------------------------


def records(text: Iterable[str], sep: str, *, blank: int = 0) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of every record that is not wholly blank; below the header also those of `blank` empty fields."""
    reader = csv.reader(text, delimiter=sep)
    before, begun = 0, False
    for fields in reader:
        if any(value.strip(SPACES) for value in fields) or (begun and len(fields) == blank > 0):
            begun = True
            yield before + 1, fields
        before = reader.line_num


@contextmanager
def long_cells() -> Iterator[None]:
    """Let the csv module read cells as long as a row may be meanwhile."""
    before = csv.field_size_limit(2 * BLOCK)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def short(fields: list[str], sep: str) -> str:
    """A record, quoted and cut to a few words."""
    shown = repr(sep.join(fields))
    return shown if len(shown) < 60 else shown[:56] + " ...'"


def open_quote(text: Iterable[str], sep: str) -> tuple[int, str]:
    """The line on which a quote opens that is never closed, and what stands there; (0, "") where there is none."""
    pending: list[str] = []

    def lines() -> Iterator[str]:
        for line in text:
            pending.append(line)
            yield line

    reader = csv.reader(lines(), delimiter=sep)
    start, before, last, fields = 1, 0, [""], []
    try:
        for fields in reader:  # noqa: B007
            start, before, last = before + 1, reader.line_num, pending.copy()
            pending.clear()
        list(csv.reader(["".join(last)], delimiter=sep, strict=True))
    except csv.Error as error:
        if "field larger" in str(error):  # everything from here on would be one cell
            return before + 1, short([pending[0].rstrip()], "")
        if "unexpected end" in str(error):
            earlier = sum(field.count("\n") for field in fields[:-1])
            return start + earlier, short([last[earlier].rstrip()], "")
    return 0, ""


def table_start(rows: list[tuple[int, list[str]]]) -> int:
    """The line on which a table with names above numbers begins below a title; 0 where there is no title."""
    width = len(rows[-1][1])
    first = len(rows)
    while first and len(rows[first - 1][1]) == width:
        first -= 1
    if width < 2 or not 0 < first <= 30 or len(rows) - first < 2:
        return 0
    line, names = rows[first]
    plain = [name.strip(SPACES) for name in names]
    if any(not name or name[0].isdigit() or NUMBER.fullmatch(name) for name in plain) or len(set(plain)) < len(plain):
        return 0
    return line


def title_above(name: str, line: int) -> DataError:
    return DataError(f"{name}: the table seems to start at line {line}: remove the lines above it")


def wrong_widths(name: str, text: Iterable[str], sep: str, num: int, skipped: int, cut: bool) -> str:
    """Which records have another number of fields than the header; "" where none has. `cut`: the file has no last line end."""
    wrong: list[str] = []
    total = line = 0
    fields: list[str] = []
    sample: list[tuple[int, list[str]]] = []
    opening = 0
    try:
        for line, fields in records(text, sep):
            if len(sample) < 200:
                sample.append((line, fields))
            if len(fields) != num:
                total += 1
                opening = opening or (line if any("\n" in field for field in fields) else 0)
                if len(wrong) < 5:
                    wrong.append(f"line {line + skipped} has {len(fields)} ({short(fields, sep)})")
    except csv.Error:
        return (
            f"{name}: after line {line + skipped} a cell has over {csv.field_size_limit()} characters: is a quote not closed?"
        )
    if not wrong:
        return ""
    start = table_start(sample)
    if start:
        return str(title_above(name, start + skipped))
    if total == 1 and cut and len(fields) < num:
        return f"{name}: the last line is cut off: {wrong[0]} of {num} fields: get the file again, or remove the line"
    if opening:
        return f"{name}: a quote that opens in line {opening + skipped} is closed too late ({wrong[0]} of {num} fields)"
    first = f"{name}: the header has {num} fields but {', '.join(wrong)}"
    more = f" and {total - 5} more lines" if total > 5 else ""
    return f"{first}{more}. A separator or decimal comma inside a value needs quotes, or read.sep= is wrong"
