"""Text files -> columns of text with strict field counts. Nothing is converted here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv as pa_csv

from tsattn.config import ReadConfig
from tsattn.data.cells.characters import UNSEEN
from tsattn.data.columns import UNNAMED
from tsattn.data.findings import DataError, Finding, printable
from tsattn.data.raw import damage, memory
from tsattn.data.raw.damage import BLOCK, SPACES, long_cells, records
from tsattn.data.raw.shape import Shape, check_quotes, find_shape
from tsattn.data.raw.source import Source, open_source

pc: Any = pyarrow.compute  # its functions are made at import time, unseen by type checkers


@dataclass
class TextTable:
    """Columns of text of one file, surrounding blanks removed, and what is needed to name a cell in words."""

    path: str
    columns: dict[str, pa.Array]
    source: Source
    start: int  # where the text after the comment lines begins, in bytes
    skipped: int  # lines before it
    sep: str
    width: int  # fields per row in the file
    header_line: int  # line number of the header, or 0 when there is none
    trimmed: set[str] = field(default_factory=set)  # columns that had blanks around some cells
    findings: list[Finding] = field(default_factory=list)
    _passed: Iterator[int] = field(default_factory=lambda: iter(()))  # lines of the rows after row `_row`
    _row: int = -1

    def line(self, row: int) -> int:
        """The line number in the file of the data row `row` (0 = first), read from the file again: quick for rows in order."""
        if row <= self._row or self._row < 0:
            self._passed, self._row = self._lines(), -1
        line = 0
        with long_cells():
            while self._row < row:
                line, self._row = next(self._passed, 0), self._row + 1
        return line

    def _lines(self) -> Iterator[int]:
        blank = self.width if len(self.columns) == 1 else 0  # rows without any cell were dropped from tables of more columns
        found = records(self.source.lines(self.start), self.sep, blank=blank)
        if self.header_line:
            next(found, None)
        for line, _ in found:
            yield line + self.skipped


def read_text(path: Path, config: ReadConfig, name: str | None = None) -> TextTable:
    """The columns of one text file as text. `DataError` for a broken file, naming file (as `name`) and line."""
    source = open_source(path, name or printable(path.name), config)
    shape = find_shape(source, config)
    names = [name.strip(SPACES + UNSEEN) for name in shape.header]
    headless = len(names) == 1 and looks_numeric(names[0])
    if headless:
        names = ["y"]
        source.findings.append(
            Finding("columns", f"{source.name}: a single column of numbers without a header is taken as the values")
        )
    table = TextTable(
        source.name,
        {},
        source,
        shape.start,
        shape.skipped,
        shape.sep,
        shape.width,
        0 if headless else shape.skipped + 1,
        findings=source.findings,
    )
    columns = _parsed(table, shape)
    arrays, changed = [], []
    while columns:
        array, trimmed = _trimmed(columns.pop(0), source)
        arrays.append(array)
        changed.append(trimmed)
        pa.default_memory_pool().release_unused()
    source.check_unchanged()
    if headless:
        arrays = [pa.concat_arrays([pa.array([shape.header[0].strip(SPACES)], pa.string()), arrays[0]])]
    _check_end(table, arrays[-1])
    if shape.width > len(names):
        _drop_trailing(table, arrays.pop(), len(names))
    names = names[: len(arrays)]
    table.columns = dict(zip(names, arrays, strict=True))
    _check_repeated_header(table, names, arrays)
    _keep(table, names, arrays)
    table.trimmed = {name for name, trimmed in zip(names, changed, strict=False) if trimmed}
    return table


def looks_numeric(cell: str) -> bool:
    """Whether a cell is a plain number."""
    try:
        return cell == "" or float(cell.replace(",", ".")) is not None
    except ValueError:
        return False


# ---- cells -------------------------------------------------------------------------------------------------------------


def _parsed(table: TextTable, shape: Shape) -> list[pa.ChunkedArray]:
    """The cells of the rows, column by column."""
    labels = [str(i) for i in range(shape.width)]
    at_end = _blank_at_end(table) if shape.width == 1 else 0
    blank = 0

    def wrong_width(row: Any) -> str:
        nonlocal blank
        if row.text.strip(SPACES + shape.sep + '"\r\n') or any(records([row.text], shape.sep)):
            return "error"
        blank += 1
        return "skip"

    try:
        with table.source.open(shape.start) as file:
            parsed = pa_csv.read_csv(
                pa.PythonFile(file, "r"),
                read_options=pa_csv.ReadOptions(column_names=labels, skip_rows_after_names=1, block_size=BLOCK),
                parse_options=pa_csv.ParseOptions(
                    delimiter=shape.sep, newlines_in_values=table.source.seen.quotes > 0, invalid_row_handler=wrong_width
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(labels, pa.string()), strings_can_be_null=False
                ),
            )
    except pa.ArrowInvalid as error:
        raise _not_parsed(table, shape, str(error)) from error
    parsed = parsed.slice(0, parsed.num_rows - at_end)
    if parsed.num_rows == 0:
        raise DataError(f"{table.path}: there is a header but no row of data")
    if blank:
        _report_blank_rows(table, blank)
    last = parsed.column(shape.width - 1)[parsed.num_rows - 1].as_py()
    if table.source.seen.quotes and ("\n" in last or "\r" in last or table.source.seen.last not in b'\r\n"'):
        check_quotes(table.source, shape.start, shape.skipped, shape.sep)
    return parsed.columns


def _not_parsed(table: TextTable, shape: Shape, problem: str) -> DataError:
    table.source.check_unchanged()
    name, text = table.path, table.source.lines(shape.start)
    if "straddl" in problem:
        return DataError(f"{name}: a row has more than {BLOCK} bytes: is a quote not closed, or read.sep= wrong?")
    cut = table.source.seen.last not in b"\r\n"
    return DataError(damage.wrong_widths(name, text, shape.sep, shape.width, shape.skipped, cut) or f"{name}: {problem}")


def _blank_at_end(table: TextTable) -> int:
    """How many lines of blanks end a table of one column. `DataError` for one above: is it a missing value or none?"""
    blank = blanks = 0
    for number, line in enumerate(table.source.lines(table.start), table.skipped + 1):
        if not line.strip(SPACES + "\r\n"):
            blank, blanks = blank or number, blanks + bool(line.strip("\r\n"))
        elif blank:
            raise DataError(f"{table.path}: line {blank} is blank: write NA there if a value is missing, or remove the line")
    return blanks


def _trimmed(column: pa.ChunkedArray, source: Source) -> tuple[pa.Array, bool]:
    """The column in one piece without blanks and line ends around its cells, and whether there were any."""
    chunks, changed = [], False
    for chunk in column.chunks:
        if source.seen.returns and source.seen.quotes:
            chunk = pc.replace_substring(pc.replace_substring(chunk, "\r\n", "\n"), "\r", "\n")
        plain = pc.utf8_trim(chunk, SPACES + "\r\n")
        if not plain.equals(chunk):
            chunk, changed = plain, True
        chunks.append(chunk)
    if sum(chunk.nbytes for chunk in chunks) >= 1 << 31:
        raise memory.too_large(source.name, source.seen.size, "hold a column of more than 2 GB of text")
    return pa.concat_arrays(chunks), changed


def _drop_trailing(table: TextTable, array: pa.Array, num: int) -> None:
    """Every row has one field more than the header: nothing may stand in it."""
    given = pc.index(pc.not_equal(array, ""), True).as_py()
    if given >= 0:
        raise DataError(
            f"{table.path}: the header has {num} fields but line {table.line(given)} has {num + 1}, the last one "
            f"{damage.short([array[given].as_py()], '')}: name this column in the header, or remove it"
        )
    message = f"{table.path}: every row ends in a separator with nothing behind it, which was left out"
    table.findings.append(Finding("file", message, "", "repair"))


def _check_end(table: TextTable, last: pa.Array) -> None:
    """Warn of a last line without an end whose last cell may have been longer."""
    if table.source.seen.last in b'\r\n" \t':
        return
    lengths = pc.utf8_length(last)
    others = pc.unique(lengths.slice(0, len(last) - 1))
    if len(last) > 2 and len(others) == 1 and others[0] == lengths[len(last) - 1]:
        return
    cell = damage.short([last[len(last) - 1].as_py()], "")
    message = f"{table.path}: the last line has no line end: the file may be cut off, its last cell is {cell}"
    table.findings.append(Finding("file", message, "", "warning"))


def _check_repeated_header(table: TextTable, names: list[str], arrays: list[pa.Array]) -> None:
    """`DataError` where the header stands among the rows again, as in files put one behind the other."""
    again = pc.equal(arrays[0], names[0])
    if not table.header_line or not pc.any(again).as_py():
        return
    for name, array in zip(names[1:], arrays[1:], strict=True):
        again = pc.and_(again, pc.equal(array, name))
    rows = pc.indices_nonzero(again).to_pylist()
    if rows:
        lines = ", ".join(str(table.line(row)) for row in rows[:5]) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
        raise DataError(
            f"{table.path}: the header ({damage.short(names, table.sep)}) stands again in line {lines}: "
            "remove the repeated header, or keep the tables in files of their own"
        )


def _keep(table: TextTable, names: list[str], arrays: list[pa.Array]) -> None:
    """Put the columns that hold anything into `table`, wholly empty rows dropped. Empty names and doubles are errors."""
    empty = [pc.all(pc.equal(array, "")).as_py() for array in arrays]
    nameless = [i + 1 for i, name in enumerate(names) if not name and not empty[i]]
    unnamed_index = nameless == [1] and len(names) > 1
    if nameless and not unnamed_index:
        start = _row_of_names(arrays)
        if start:
            raise damage.title_above(table.path, table.line(start - 1))
        raise DataError(
            f"{table.path}: column {nameless[0]} has values but no name in the header: name it there, and remove lines above"
        )
    dropped = [i + 1 for i, name in enumerate(names) if not name and empty[i]]
    if dropped:
        table.findings.append(
            Finding("columns", f"{table.path}: {len(dropped)} empty columns without a name were dropped", "", "repair")
        )
    kept = {i: (name or UNNAMED) for i, name in enumerate(names) if i + 1 not in dropped}
    doubles = [name for name, count in Counter(kept.values()).items() if count > 1]
    if doubles:
        raise DataError(f"{table.path}: the header names {', '.join(map(repr, doubles))} more than once")
    blank = arrays[0]
    if len(kept) > 1 and pc.any(pc.equal(blank, "")).as_py():
        full = pa.array([False] * len(blank))
        for i in kept:
            full = pc.or_(full, pc.not_equal(arrays[i], ""))
        number = len(blank) - (pc.sum(full).as_py() or 0)
        if number:
            arrays = [array.filter(full) for array in arrays]
            if number == len(full):
                raise DataError(f"{table.path}: there is a header but no row of data")
            _report_blank_rows(table, number)
    table.columns = {name: arrays[i] for i, name in kept.items()}
    _check_alignment(table)


def _row_of_names(arrays: list[pa.Array]) -> int:
    """The number, 1 for the first, of the row among the first thirty that names every column below a title; 0 for none."""
    rows = zip(*(array.slice(0, 30).to_pylist() for array in arrays), strict=True)
    for number, cells in enumerate(filter(any, rows), start=1):  # wholly empty ones have no number
        if all(cell and not cell[0].isdigit() and not damage.NUMBER.fullmatch(cell) for cell in cells):
            return number if len(set(cells)) == len(cells) else 0
    return 0


def _report_blank_rows(table: TextTable, number: int) -> None:
    table.findings.append(Finding("file", f"{table.path}: {number} wholly empty rows were dropped", "", "repair"))


def _check_alignment(table: TextTable) -> None:
    """Refuse a comma-separated file whose decimal commas were taken for separators.

    Its rows end at changing columns, nothing else is empty, and no number has decimals.
    """
    arrays = list(table.columns.values())
    if table.sep != "," or len(arrays) < 5 or len(arrays[0]) < 3:
        return
    run, empty = pa.array([0] * len(arrays[0])), pa.array([0] * len(arrays[0]))
    ended = pa.array([False] * len(arrays[0]))
    for array in reversed(arrays):
        blank = pc.equal(array, "")
        ended = pc.or_(ended, pc.invert(blank))
        run = pc.add(run, pc.if_else(ended, 0, 1))
        empty = pc.add(empty, pc.if_else(blank, 1, 0))
    lengths = run.to_numpy()
    ends = len(set(lengths.tolist()))
    if ends < 3 or (lengths[1:] != lengths[:-1]).mean() < 0.05 or not run.equals(empty):
        return
    if not any(pc.any(pc.match_substring_regex(array, r"^-?\d+\.\d+$")).as_py() for array in arrays):
        raise DataError(
            f"{table.path}: the rows end at {ends} different columns and no number has decimals: decimal commas were probably "
            "taken for separators, so the columns are out of line; export the file again with another separator (read.sep=)"
        )
