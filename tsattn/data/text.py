"""Text files -> columns of text: encoding, separator, comment lines, header, strict field counts. Nothing is converted here."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv as pa_csv

from tsattn.config import ReadConfig
from tsattn.data.findings import DataError, Finding

pc: Any = pyarrow.compute  # its functions are made at import time, unseen by type checkers
SEPARATORS = (",", ";", "\t", "|")
SEPARATOR_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
SPACES = " \t\u00a0\u202f\u2009\ufeff"
BAD_STARTS = ((b"PK\x03\x04", "an Excel or zip file"), (b"%PDF", "a PDF"), (b"PAR1", "a Parquet file: name it .parquet"))
NO_TABLES = (
    (r"<(!doctype|html|\?xml|head|body)", "a web page or XML file"),
    (r"(\{|\[\s*[\[{])", "a JSON file: read it with pandas and give the frame"),
    (r"version https://git-lfs", "a Git LFS pointer: fetch the file itself with git lfs pull"),
)
MAX_COLUMNS = 10_000


@dataclass
class TextTable:
    """Columns of text of one file, surrounding blanks removed, and what is needed to name a cell in words."""

    path: str
    columns: dict[str, pa.Array]
    content: str  # the decoded text after the comment lines
    sep: str
    header_line: int  # line number of the header, or 0 when there is none
    trimmed: set[str] = field(default_factory=set)  # columns that had blanks around some cells
    findings: list[Finding] = field(default_factory=list)

    def line(self, row: int) -> int:
        """The line number in the file of the data row `row` (0 = first)."""
        skipped = max(self.header_line, 1) - 1
        wanted = row + (1 if self.header_line else 0)
        for number, (line, _) in enumerate(records(self.content, self.sep)):
            if number == wanted:
                return line + skipped
        return 0


def records(content: str, sep: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of every record that is not wholly blank."""
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=sep)
    before = 0
    for fields in reader:
        if any(value.strip(SPACES) for value in fields):
            yield before + 1, fields
        before = reader.line_num


def read_text(path: Path, config: ReadConfig) -> TextTable:
    """The columns of one text file as text. `DataError` for a broken file, naming file and line."""
    findings: list[Finding] = []
    content, comments = _without_comments(_decoded(path, config, findings))
    if comments:
        findings.append(Finding("file", f"{path.name}: {comments} comment lines before the header were left out", "", "repair"))
    if not content.strip(SPACES + "\n"):
        raise DataError(f"{path.name}: the file is empty")
    for start, meaning in NO_TABLES:
        if re.match(start, content, re.IGNORECASE):
            raise DataError(f"{path.name}: this is {meaning}, not a text table")
    directive = re.match(r"sep=(.)\n", content)
    if directive:
        content, comments = content[directive.end() :], comments + 1
    sep = config.sep or (directive[1] if directive else _separator(content, path.name))
    sep = {"tab": "\t", "\\t": "\t"}.get(sep, sep)
    if len(sep) != 1:
        raise DataError(f"read.sep={config.sep} must be a single character, or tab")
    if config.sep is None and sep != ",":
        findings.append(
            Finding("file", f"{path.name}: columns are separated by {SEPARATOR_NAMES.get(sep, repr(sep))}", "read.sep=")
        )
    header = next(records(content, sep))[1]
    names = [name.strip(SPACES) for name in header]
    headless = len(names) == 1 and looks_numeric(names[0])
    if headless:
        names = ["y"]
        findings.append(Finding("columns", f"{path.name}: a single column of numbers without a header is taken as the values"))
    arrays = _parsed(content, sep, names, path.name, comments)
    if headless:
        arrays = [pa.concat_arrays([pa.array(header, pa.string()), arrays[0]])]
    table = TextTable(path.name, {}, content, sep, 0 if headless else comments + 1, findings=findings)
    trimmed = [pc.utf8_trim(array, SPACES) for array in arrays]
    _keep(table, names, trimmed)
    table.trimmed = {name for name, old, new in zip(names, arrays, trimmed, strict=True) if not old.equals(new)}
    return table


def looks_numeric(cell: str) -> bool:
    """Whether a cell is a plain number."""
    try:
        return cell == "" or float(cell.replace(",", ".")) is not None
    except ValueError:
        return False


def _decoded(path: Path, config: ReadConfig, findings: list[Finding]) -> str:
    raw = path.read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError) as error:
            raise DataError(f"{path.name}: the compressed file is damaged ({error})") from error
    for start, meaning in BAD_STARTS:
        if raw.startswith(start):
            raise DataError(f"{path.name}: this is {meaning}, not a text table")
    encoding = config.encoding or next((name for bom, name in BOMS if raw.startswith(bom)), None)
    try:
        content = raw.decode(encoding or "utf-8")
    except LookupError as error:
        raise DataError(f"{path.name}: read.encoding={encoding} is not known, e.g. utf-8, cp1252, utf-16") from error
    except UnicodeDecodeError as error:
        if encoding:
            raise DataError(f"{path.name}: byte {error.start} is not {encoding}: set read.encoding=") from error
        content = _western(raw, path.name)
        findings.append(
            Finding("file", f"{path.name}: the text is not UTF-8 and was read as cp1252", "read.encoding=", "repair")
        )
    if "\x00" in content:
        raise DataError(f"{path.name}: the file contains NUL characters: it is damaged, or of another read.encoding=")
    return content.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _western(raw: bytes, name: str) -> str:
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: the text is neither UTF-8 nor cp1252: set read.encoding=") from error


def _without_comments(content: str) -> tuple[str, int]:
    """The text from the header on, and the number of lines before it: # comments and blank lines."""
    count, start = 0, 0
    while start < len(content):
        end = content.find("\n", start)
        end = len(content) if end < 0 else end
        line = content[start:end].strip(SPACES)
        if line and not line.startswith("#"):
            break
        count, start = count + 1, end + 1
    return content[start:], count


def _separator(content: str, name: str) -> str:
    """The separator that cuts the first lines into the same number of fields, more than one; a comma when none does."""
    sample = content[:65536]
    if len(sample) < len(content):
        sample = sample[: sample.rfind("\n") + 1] or sample
    best = []
    for sep in SEPARATORS:
        try:
            widths = [len(fields) for _, fields in records(sample, sep)][:200]
        except csv.Error:
            continue
        if widths and widths[0] > 1:
            share = sum(width == widths[0] for width in widths) / len(widths)
            best.append((share, widths[0], sep))
    if not best:
        return ","
    best.sort(key=lambda item: (item[0] > 0.9, item[1], item[0]), reverse=True)
    if len(best) > 1 and best[0][0] > 0.9 and best[1][0] > 0.9 and best[0][1] == best[1][1]:
        pair = " or ".join(repr(item[2]) for item in best[:2])
        raise DataError(f"{name}: the columns may be separated by {pair}: set read.sep=")
    return best[0][2]


def _parsed(content: str, sep: str, names: list[str], name: str, skipped: int) -> list[pa.Array]:
    labels = [str(i) for i in range(len(names))]
    if len(names) == 1 and "\n\n" in content.rstrip(SPACES + "\n"):
        line = content[: content.index("\n\n")].count("\n") + 2 + skipped
        raise DataError(f"{name}: line {line} is blank: write NA there if a value is missing, or remove the line")
    if len(labels) > MAX_COLUMNS:
        raise DataError(f"{name}: {len(labels)} columns are more than {MAX_COLUMNS}; is read.sep= right?")
    try:
        table = pa_csv.read_csv(
            io.BytesIO(content.encode("utf-8", "surrogatepass")),
            read_options=pa_csv.ReadOptions(column_names=labels, skip_rows_after_names=1, block_size=1 << 24),
            parse_options=pa_csv.ParseOptions(delimiter=sep, newlines_in_values='"' in content),
            convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(labels, pa.string()), strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        raise DataError(_why_not_parsed(content, sep, names, name, skipped) or f"{name}: {error}") from error
    if table.num_rows == 0:
        raise DataError(f"{name}: there is a header but no row of data")
    return [column.combine_chunks() for column in table.columns]


def _why_not_parsed(content: str, sep: str, names: list[str], name: str, skipped: int) -> str:
    """Which lines have another number of fields than the header."""
    wrong, total = [], 0
    try:
        for line, fields in records(content, sep):
            if len(fields) != len(names):
                total += 1
                if len(wrong) < 5:
                    wrong.append(f"line {line + skipped} has {len(fields)}")
    except csv.Error as error:
        return f"{name}: the text table is damaged ({error})"
    if not wrong:
        return ""
    first = f"{name}: the header has {len(names)} fields but {', '.join(wrong)}"
    more = f" and {total - 5} more lines" if total > 5 else ""
    return f"{first}{more}. A separator or decimal comma inside a value needs quotes, or read.sep= is wrong"


def _keep(table: TextTable, names: list[str], arrays: list[pa.Array]) -> None:
    """Put the columns that hold anything into `table`, wholly empty rows dropped. Empty names and doubles are errors."""
    empty = [pc.all(pc.equal(array, "")).as_py() for array in arrays]
    nameless = [i + 1 for i, name in enumerate(names) if not name and not empty[i]]
    unnamed_index = nameless == [1] and len(names) > 1
    if nameless and not unnamed_index:
        raise DataError(f"{table.path}: column {nameless[0]} has values but no name in the header")
    dropped = [i + 1 for i, name in enumerate(names) if not name and empty[i]]
    if dropped:
        table.findings.append(
            Finding("columns", f"{table.path}: {len(dropped)} empty columns without a name were dropped", "", "repair")
        )
    kept = {i: (name or "Unnamed: 0") for i, name in enumerate(names) if i + 1 not in dropped}
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
            _report_blank_rows(table, number, full)
    table.columns = {name: arrays[i] for i, name in kept.items()}
    _check_alignment(table)


def _report_blank_rows(table: TextTable, number: int, full: pa.Array) -> None:
    if number == len(full):
        raise DataError(f"{table.path}: there is a header but no row of data")
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
