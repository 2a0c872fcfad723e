"""What the commands print and write: tables in plain text, as CSV and as Parquet, and where files may go."""

from __future__ import annotations

import contextlib
import csv
import errno
import glob
import gzip
import io
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tsattn.data.findings import printable, shorten
from tsattn.files import write_file

OTHER_FORMATS = {
    *(".xlsx", ".xls", ".ods", ".json", ".feather", ".zip", ".bz2", ".xz", ".zst", ".html", ".db"),
    *(".png", ".svg", ".pdf", ".safetensors"),
}
PICTURES = (".png", ".svg", ".pdf")
STREAMS = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # what a spreadsheet takes for the start of a formula, after OWASP
LONGEST = 40  # characters of a name in a printed table


def check_table_path(path: str | None, sources: Iterable[Any] = ()) -> None:
    """Refuse, before the work and not after it, a place where the table cannot go; see `check_place`."""
    if path is None:
        return
    if path == "-":
        raise ValueError("output=-: name a file, or /dev/stdout for what is printed")
    if os.path.isdir(path) or path.endswith(os.sep):
        raise ValueError(f"output={path} is a folder: name a file, for example {Path(path) / 'forecast.csv'}")
    if Path(path).suffix.lower() in OTHER_FORMATS or path.lower().endswith((".parquet.gz", ".pq.gz")):
        raise ValueError(f"output={path}: tables are written as CSV (.csv, .csv.gz) or Parquet (.parquet)")
    check_place("output", path, sources)


def check_picture_path(path: str | None, sources: Iterable[Any] = ()) -> None:
    """Refuse a picture of another format or in a place where it cannot go; see `check_place`."""
    if path is None:
        return
    if Path(path).suffix.lower() not in PICTURES:
        raise ValueError(f"plot={path} must end in {', '.join(PICTURES)}")
    if os.path.isdir(path):
        raise ValueError(f"plot={path} is a folder: name a file, for example {Path(path) / 'forecast.png'}")
    check_place("plot", path, sources)


def check_place(setting: str, path: str, sources: Iterable[Any]) -> None:
    """Raise a ValueError or an OSError where no file can be made at `path`, or where one of `sources` would be lost.

    `sources` are the paths and globs that the command reads or writes besides; what is no path among them is passed over. A
    folder that is not there is no fault: it is made later.
    """
    target = os.path.realpath(path)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.stat(path)  # a name that is too long
    if os.path.exists(path) and not os.path.isfile(path):
        return  # a pipe or a device
    for source in sources:
        if isinstance(source, str) and any(_are_one(found, target) for found in paths_of(source)):
            raise ValueError(
                f"{setting}={path} would take the place of {source}, which this command needs: choose another name"
            )
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "the file is write-protected", path)
    folder = Path(target).parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise ValueError(f"{setting}={path}: {folder} is a file and can hold no other")
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as problem:
        raise OSError(problem.errno, f"no file can be made in {folder} ({problem.strerror})", path) from None


def paths_of(source: str) -> list[str]:
    """The files that a path or glob stands for; the path itself where there are none yet."""
    expanded = os.path.expanduser(source)
    return [expanded, *glob.glob(expanded, recursive=True)]


def _are_one(path: str, target: str) -> bool:
    """Whether two paths are one file, by whatever links they lead to it."""
    if os.path.exists(path) and os.path.exists(target):
        return os.path.samefile(path, target)
    return os.path.realpath(path) == target


def write_table(table: Any, path: str, *, escape_formulas: bool = False) -> None:
    """The table as CSV, or as Parquet where the name ends so; the old file stays until the new one is complete.

    Read back, a CSV has the same texts, also those with quotes and line ends. With `escape_formulas` a `'` stands before each
    text and column name in it that a spreadsheet would run as a formula (CWE-1236); numbers and Parquet stay as they are.
    """
    target = Path(path)
    if target.suffix.lower() in (".parquet", ".pq"):
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        content = buffer.getvalue()
    else:
        content = to_csv(without_formulas(table) if escape_formulas else table)
        content = gzip.compress(content) if target.suffix.lower() == ".gz" else content
    if path in STREAMS:  # behind what is printed: a file opened a second time would be written from its start
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    write_file(target, content)


def to_csv(table: Any) -> bytes:
    """The table as CSV in UTF-8."""
    # a carriage return alone is an end of line for most readers, and not every Python quotes it
    texts = [*table.columns, *(cell for name in table.columns if holds_text(table[name]) for cell in table[name])]
    quoting = csv.QUOTE_NONNUMERIC if any("\r" in str(text) for text in texts) else csv.QUOTE_MINIMAL
    return table.to_csv(index=False, quoting=quoting).encode(errors="backslashreplace")  # half a character of a file name


def without_formulas(table: Any) -> Any:
    """The table with a `'` before every text and column name that begins like a formula."""

    def quoted(cell: Any) -> Any:
        return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell

    safe = table.copy()
    for name in table.columns:
        if holds_text(table[name]):
            safe[name] = [quoted(cell) for cell in table[name]]
    return safe.rename(columns=quoted)


def holds_text(column: Any) -> bool:
    """Whether a column may hold text: whether it is not of numbers or times."""
    return column.dtype.kind == "O"


def show_table(table: Any, most: int = 30) -> str:
    """The table in plain text with few digits and names cut to 40 characters, middle rows left out beyond `most`."""
    left_out = len(table) - most
    shown = table.copy() if left_out <= 0 else table.iloc[[*range(most - 5), *range(len(table) - 5, len(table))]].copy()
    for name in table.columns:
        if table[name].dtype.kind == "f":
            shown[name] = shown[name].map(lambda value: f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}")
        elif holds_text(table[name]):
            shown[name] = [shorten(printable(str(cell)), LONGEST) for cell in shown[name]]
    shown = shown.rename(columns=lambda name: shorten(printable(str(name)), LONGEST))
    if left_out <= 0:
        return shown.to_string(index=False)
    lines = shown.to_string(index=False).splitlines()
    return "\n".join([*lines[:-5], f"... {left_out} rows more ...", *lines[-5:]])
