"""Paths and objects in memory -> named columns, nothing converted yet."""

from __future__ import annotations

import glob
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from tsattn.config import ReadConfig
from tsattn.data.columns import Columns
from tsattn.data.findings import DataError, Finding, printable
from tsattn.data.raw import memory, objects
from tsattn.data.raw.source import check_file
from tsattn.data.raw.text import TextTable, read_text

PARQUET = (".parquet", ".pq")
SAMPLE = 1 << 16


@dataclass
class Loaded:
    """Columns before conversion, and where they came from."""

    columns: Columns
    tables: list[TextTable] = field(default_factory=list)  # one per text file, in row order
    files: list[tuple[str, int]] = field(default_factory=list)  # (name, number of rows) of each file
    nameless: bool = False  # an array or list: no column names of the caller's
    trimmed: set[str] = field(default_factory=set)  # columns that had blanks around some cells
    findings: list[Finding] = field(default_factory=list)

    @property
    def num_rows(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def place(self, row: int) -> str:
        """Where a row stands, in words: file and line, or the row counted from 1."""
        rest = row
        for i, (name, num) in enumerate(self.files):
            if rest < num:
                return f"{name}, line {self.tables[i].line(rest)}" if self.tables else f"{name}, row {rest + 1}"
            rest -= num
        return f"row {row + 1}"


def release_memory() -> None:
    """Give back to the system what Arrow keeps of the memory that texts took."""
    pa.default_memory_pool().release_unused()


def load(data: Any, config: ReadConfig) -> Loaded:
    """The columns of any accepted input, the caller's object untouched."""
    if isinstance(data, str | os.PathLike):
        return _load_path(os.fspath(data), config)
    columns, nameless = objects.columns_of(data)
    columns, trimmed = objects.without_blanks(columns)
    return Loaded(columns, nameless=nameless, trimmed=trimmed)


def _load_path(path: str, config: ReadConfig) -> Loaded:
    paths = _paths(path)
    names = _names(paths)
    try:
        memory.check(names[0] if len(paths) == 1 else f"{len(paths)} files", *_sizes(paths))
        return _joined(_parts(paths, names, config))
    except MemoryError as error:
        size, _ = _sizes(paths)
        raise memory.too_large(names[0] if len(paths) == 1 else path, size, "need more memory than is available") from error


def _paths(path: str) -> list[Path]:
    """The files that a path or glob names, in the order of their names."""
    expanded = os.path.expanduser(path)
    try:
        found = [expanded] if os.path.lexists(expanded) else sorted(glob.glob(expanded, recursive=True))
    except (OSError, ValueError):  # no name that a file can have
        found = []
    if not found:
        raise DataError(f"{printable(path)}: there is no such file (paths are relative to {os.getcwd()})")
    if len(found) == 1 and os.path.isdir(found[0]):
        kinds = [kind for kind in (".parquet", ".csv") if glob.glob(os.path.join(glob.escape(found[0]), f"*{kind}"))]
        pattern = os.path.join(path, f"*{(kinds or ['.csv'])[0]}")
        raise DataError(f"{printable(path)} is a folder: name its files, e.g. {printable(pattern)}")
    return [Path(name) for name in found]


def _names(paths: list[Path]) -> list[str]:
    """What the files are called in messages: their names, with the folders where these differ."""
    names = [path.name for path in paths]
    if len(set(names)) < len(names):
        above = os.path.commonpath([path.parent for path in paths])
        names = [os.path.relpath(path, above) for path in paths]
    return [printable(name) for name in names]


def _sizes(paths: list[Path]) -> tuple[int, int]:
    """(bytes of the files, estimated bytes of memory to read and convert them), as far as they can be told."""
    size = needed = 0
    for path in paths:
        try:
            info = os.stat(path)
            if not stat.S_ISREG(info.st_mode):
                continue
            size += info.st_size
            parquet = path.suffix.lower() in PARQUET
            needed += _parquet_need(path) if parquet else memory.of_text(info.st_size, _rows_of_text(path, info.st_size))
        except (OSError, pa.ArrowInvalid):  # reading the file says what is wrong with it
            continue
    return size, needed


def _rows_of_text(path: Path, size: int) -> int:
    """The number of rows, estimated from the line ends of the start; 0 for a compressed file, counted as it is unpacked."""
    with path.open("rb") as file:
        start = file.read(SAMPLE)
    return 0 if start.startswith(b"\x1f\x8b") else start.count(b"\n") * size // max(len(start), 1)


def _parquet_need(path: Path) -> int:
    """The memory that a Parquet file needs, estimated from its metadata."""
    found = pyarrow.parquet.read_metadata(path)
    total = 0
    for group in range(found.num_row_groups):
        rows = found.row_group(group)
        for i in range(rows.num_columns):
            column = rows.column(i)
            least = 16 * rows.num_rows if column.physical_type == "BYTE_ARRAY" else 8 * rows.num_rows
            total += max(column.total_uncompressed_size, least)  # a dictionary makes repeated cells small
    return memory.of_parquet(total, found.num_rows)


def _parts(paths: list[Path], names: list[str], config: ReadConfig) -> list[Loaded]:
    """Every file as it was read; the problems of all files in one `DataError`."""
    parts: list[Loaded] = []
    problems: list[str] = []
    for path, name in zip(paths, names, strict=True):
        try:
            parts.append(_load_file(path, name, config))
        except DataError as error:
            problems.append(str(error))
    if problems:
        more = [f"{len(problems) - 5} more of the {len(paths)} files cannot be read either"] if len(problems) > 5 else []
        raise DataError("\n".join(problems[:5] + more))
    return parts


def _joined(parts: list[Loaded]) -> Loaded:
    """The files one below the other; they must have the same columns."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    for part in parts[1:]:
        if set(part.columns) != set(first.columns) or bool(part.tables) != bool(first.tables):
            differing = sorted(set(part.columns) ^ set(first.columns))
            raise DataError(f"{part.files[0][0]}: its columns differ from {first.files[0][0]}: {', '.join(differing[:10])}")
    _check_kinds(parts)
    columns = {name: objects.concatenated([part.columns[name] for part in parts]) for name in first.columns}
    every = [finding for part in parts for finding in part.findings]
    tables, files = [table for part in parts for table in part.tables], [name for part in parts for name in part.files]
    note = Finding("file", f"{len(parts)} files were read: {', '.join(name for name, _ in files[:5])}", "")
    trimmed = {name for part in parts for name in part.trimmed}
    return Loaded(columns, tables, files, findings=[note, *every], trimmed=trimmed)


def _check_kinds(parts: list[Loaded]) -> None:
    """DataError for a column that is of one kind in one file and of another in the next."""
    problems = []
    for name in parts[0].columns:
        kinds = {kind: part.files[0][0] for part in reversed(parts) if (kind := objects.kind_of(part.columns[name]))}
        if len(kinds) > 1:
            (other, file), (kind, first) = list(kinds.items())[-2:]
            problems.append(f"{file}: the column {name!r} holds {other}, but in {first} {kind}: convert one of them")
    if problems:
        raise DataError("\n".join(problems))


def _load_file(path: Path, name: str, config: ReadConfig) -> Loaded:
    if path.suffix.lower() in PARQUET:
        try:
            check_file(path, name)
            objects.check_names(pyarrow.parquet.read_schema(path).names, f"{name}: the file")
            table = pyarrow.parquet.read_table(path)
        except (pa.ArrowInvalid, OSError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{name}: this is not a Parquet file, or a damaged one ({reason})") from error
        columns, trimmed = objects.without_blanks(objects.arrow_columns(table))
        return Loaded(columns, files=[(name, table.num_rows)], trimmed=trimmed)
    table = read_text(path, config, name)
    about = {"nameless": not table.header_line, "findings": list(table.findings), "trimmed": table.trimmed}
    loaded = Loaded(dict(table.columns), [table], **about)
    loaded.files = [(name, loaded.num_rows)]
    return loaded
