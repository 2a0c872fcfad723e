"""Text files: what is damaged or no table is refused with its place, what can be read for certain is read."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import hypothesis
import hypothesis.strategies
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet
import pytest

from tsattn.config import ReadConfig
from tsattn.data.findings import DataError
from tsattn.data.raw import source, text
from tsattn.data.raw.load import Loaded, load
from tsattn.data.read import read

DAYS = ["2024-01-01", "2024-01-02", "2024-01-03"]
TABLE = "ds,y\n2024-01-01,1\n2024-01-02,2\n2024-01-03,3\n"
CELLS = {"ds": DAYS, "y": ["1", "2", "3"]}


def loaded(tmp_path: Path, content: str | bytes, **settings) -> Loaded:
    path = tmp_path / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load(path, ReadConfig(**settings))


def cells(table: Loaded) -> dict[str, list[str]]:
    return {name: column.to_pylist() for name, column in table.columns.items()}


def words(table: Loaded) -> str:
    return "\n".join(str(finding) for finding in table.findings)


def problem(tmp_path: Path, content: str | bytes, **settings) -> str:
    with pytest.raises(DataError) as caught:
        loaded(tmp_path, content, **settings)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    return message


# ---- read --------------------------------------------------------------------------------------------------------------

READ = {
    "a trailing separator in every row": (
        "ds,y\n2024-01-01,1,\n2024-01-02,2,\n2024-01-03,3,\n",
        CELLS,
        "~ file: a.csv: every row ends in a separator with nothing behind it",
    ),
    "a trailing separator in the header alone": ("ds,y,\n2024-01-01,1\n2024-01-02,2\n2024-01-03,3\n", CELLS, ""),
    "trailing separators everywhere": ("ds,y,\n2024-01-01,1,\n2024-01-02,2,\n2024-01-03,3,\n", CELLS, "1 empty columns"),
    "a line end inside the quotes around a cell": ('ds,y\n"2024-01-01\n",1\n2024-01-02,"\r\n2"\n2024-01-03,3\n', CELLS, ""),
    "a line of blanks": ("ds,y\n2024-01-01,1\n   \n2024-01-02,2\n\t\n2024-01-03,3\n", CELLS, "2 wholly empty rows"),
    "rows of nothing but separators": (
        "ds,y\n2024-01-01,1\n,,,\n2024-01-02,2\n,\n2024-01-03,3\n",
        CELLS,
        "1 wholly empty rows",
    ),
    "a byte order mark twice": (b"\xef\xbb\xbf\xef\xbb\xbf" + TABLE.encode(), CELLS, ""),
    "UTF-32": (TABLE.encode("utf-32"), CELLS, ""),
    "UTF-16, big end first": (codecs.BOM_UTF16_BE + TABLE.encode("utf-16-be"), CELLS, ""),
    "a gzip file in two parts": (
        gzip.compress(TABLE[:20].encode(), mtime=0) + gzip.compress(TABLE[20:].encode(), mtime=0),
        CELLS,
        "",
    ),
    "a gzip file with zeros behind it": (gzip.compress(TABLE.encode(), mtime=0) + b"\0" * 100, CELLS, ""),
    "old Mac line ends and a comment": ("# by hand\r" + TABLE.replace("\n", "\r"), CELLS, "1 comment lines"),
    "a separator line as Excel writes it": ("sep=;\r\n" + TABLE.replace(",", ";").replace("\n", "\r\n"), CELLS, ""),
    "a quote inside a cell": ('ds,y\n2024-01-01,5" pipe\n', {"ds": DAYS[:1], "y": ['5" pipe']}, ""),
    "empty cells in quotes in one column": ('y\n1\n""\n3\n', {"y": ["1", "", "3"]}, ""),
    "rows of separators above the header": (",,\n;\nds,y\n2024-01-01,1\n", {"ds": DAYS[:1], "y": ["1"]}, "2 comment lines"),
    "blanks below one column": ("y\n1\n2\n  \n\n \n", {"y": ["1", "2"]}, ""),
    "an empty cell in the only column with a name": ("y;\n1;\n;\n3;\n", {"y": ["1", "", "3"]}, ""),
    "names in angle brackets": ("<DATE>,<CLOSE>\n2024-01-01,1\n", {"<DATE>": DAYS[:1], "<CLOSE>": ["1"]}, ""),
    "text from right to left": ("ds,מספר\n2024-01-01,1\n", {"ds": DAYS[:1], "מספר": ["1"]}, ""),
    "a header with a line end": ('ds,"y\n(total)"\n2024-01-01,1\n', {"ds": DAYS[:1], "y\n(total)": ["1"]}, ""),
    "cp1252 letters": ("día,y\n2024-01-01,1\n".encode("cp1252"), {"día": DAYS[:1], "y": ["1"]}, "was read as cp1252"),
    "names that begin like other formats": ("ORCA,CDFs\n1,2\n", {"ORCA": ["1"], "CDFs": ["2"]}, ""),
}


@pytest.mark.parametrize("case", READ)
def test_what_can_be_read_for_certain_is_read(tmp_path, case):
    content, expected, finding = READ[case]
    table = loaded(tmp_path, content)
    assert cells(table) == expected
    assert finding in words(table)


@pytest.mark.parametrize("encoding", ["cp1251", "shift_jis", "utf-16-le", "utf-16-be", "latin-1", "UTF8", "utf-8-sig"])
def test_an_encoding_that_is_named_is_used(tmp_path, encoding):
    header = {"cp1251": "число", "shift_jis": "日付", "latin-1": "é"}.get(encoding, "€")
    table = loaded(tmp_path, f"ds,{header}\n2024-01-01,1\n".encode(encoding), encoding=encoding)
    assert list(table.columns) == ["ds", header]


def test_ten_thousand_columns_are_read_and_one_more_is_refused(tmp_path):
    def wide(num: int) -> str:
        return ",".join(f"c{i}" for i in range(num)) + "\n" + ",".join(["1"] * num) + "\n"

    assert len(loaded(tmp_path, wide(10_000)).columns) == 10_000
    assert "10001 columns are more than 10000" in problem(tmp_path, wide(10_001))


@pytest.mark.parametrize(
    ("content", "warned"),
    [
        ("ds,y\n2024-01-01,1234\n2024-01-02,12", True),
        ("ds,y\n2024-01-01,1234\n2024-01-02,", True),
        ("ds,y\n2024-01-01,12\n2024-01-02,1234", True),
        ("ds,y\n2024-01-01,12\n2024-01-02,13\n2024-01-03,14", False),
        ("y,ds\n1,2024-01-01\n2,2024-01-02\n3,2024-01-0", True),
        ('ds,y\n2024-01-01,"1234"\n2024-01-02,"12"', False),
        ("ds,y\n2024-01-01,1234\n2024-01-02,12\r", False),
        ("ds,y\n2024-01-01,1234\n2024-01-02,12\n", False),
    ],
)
def test_a_last_line_without_an_end_is_warned_of_where_its_last_cell_may_be_cut_off(tmp_path, content, warned):
    found = [finding for finding in loaded(tmp_path, content).findings if "no line end" in finding.message]
    assert [finding.level for finding in found] == ["warning"] * warned


def test_rows_are_found_again_by_their_lines(tmp_path):
    content = '# note\r\nds,y\r\n"2024\r\n-01-01",1\r\n\r\n,\r\n   \r\n2024-01-02,2\r\n2024-01-03,3\r\n'
    table = loaded(tmp_path, content)
    assert cells(table)["ds"] == ["2024\n-01-01", "2024-01-02", "2024-01-03"]
    assert [table.place(row) for row in (0, 1, 2, 1, 1, 0)] == [f"a.csv, line {line}" for line in (3, 8, 9, 8, 8, 3)]


CELL = hypothesis.strategies.text("a1é€,;\t\"'\n |#=. \u00a0日🙂-", max_size=8)


@hypothesis.settings(max_examples=50, deadline=None, derandomize=True)
@hypothesis.given(
    rows=hypothesis.strategies.lists(hypothesis.strategies.tuples(CELL, CELL), min_size=1, max_size=5),
    sep=hypothesis.strategies.sampled_from(",;\t|"),
    end=hypothesis.strategies.sampled_from(["\n", "\r\n", "\r"]),
    coding=hypothesis.strategies.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    packed=hypothesis.strategies.booleans(),
)
def test_any_table_that_is_written_by_the_rules_comes_back_with_its_lines(tmp_path_factory, rows, sep, end, coding, packed):
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=sep, lineterminator=end)
    writer.writerow(["id", "text"])
    lines = []
    for first, second in rows:
        lines.append(len(re.findall("\r\n?|\n", file.getvalue())) + 1)
        writer.writerow([cell.replace("\n", end) for cell in ("i" + first, second)])
    path = tmp_path_factory.mktemp("any") / "a.csv"
    content = file.getvalue().encode(coding)
    path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
    table = load(path, ReadConfig(sep=sep))
    expected = [[cell.strip(" \t\u00a0\n") for cell in ("i" + row[0], row[1])] for row in rows]
    assert [list(row) for row in zip(*cells(table).values(), strict=True)] == expected
    assert [table.place(i) for i in range(len(rows))] == [f"a.csv, line {line}" for line in lines]


@pytest.mark.parametrize(
    ("content", "line"),
    [('y\n""\n1\n', 3), ("y;\n;\n1;\n", 3), ("y\n1\n , \n3\n", 4), ("y;z\n;\n1;2\n", 3), ("\n#\n5\n6\n", 4)],
)
def test_rows_below_empty_cells_keep_their_lines(tmp_path, content, line):
    table = loaded(tmp_path, content)
    assert table.place(table.num_rows - 1) == f"a.csv, line {line}"


@pytest.mark.parametrize("sep", ["ab", '"', "§"])
def test_a_separator_that_cannot_be_one_is_named(tmp_path, sep):
    assert problem(tmp_path, TABLE, sep=sep).startswith(f"read.sep={sep} must be")


def test_a_cell_of_a_megabyte_is_read_and_shown_shortly(tmp_path):
    table = loaded(tmp_path, "ds,y\n2024-01-01," + "9" * 1_000_000 + "x\n2024-01-02,2\n")
    assert len(table.columns["y"][0].as_py()) == 1_000_001
    assert table.place(1) == "a.csv, line 3"
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a.csv")
    assert "a.csv, line 2: '999" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_number_of_five_thousand_digits_is_named_shortly(tmp_path):
    (tmp_path / "a.csv").write_text("ds,y\n2024-01-01," + "9" * 5000 + "\n2024-01-02,2\n")
    with pytest.raises(DataError) as caught:
        read(tmp_path / "a.csv")
    assert "a.csv, line 2: '999" in str(caught.value)
    assert len(str(caught.value)) < 400


# ---- refused -----------------------------------------------------------------------------------------------------------


def packed(kind: str) -> bytes:
    """A small table as another kind of file."""
    file, table = io.BytesIO(), pa.table({"y": [1, 2]})
    if kind == "orc":
        pyarrow.orc.write_table(table, file)
    elif kind == "feather":
        pyarrow.feather.write_feather(table, file)
    elif kind == "parquet":
        pyarrow.parquet.write_table(table, file)
    elif kind == "npy":
        np.save(file, np.arange(3))
    elif kind == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a.csv", TABLE)
    elif kind == "tar":
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            archive.addfile(tarfile.TarInfo("a.csv"))
    return file.getvalue()


MANY = "".join(f"2024-01-{day:02d},{day}\n" for day in range(1, 29))
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "nothing": (b"", "a.csv: the file is empty"),
    "nothing but a mark": (codecs.BOM_UTF8, "a.csv: the file is empty"),
    "nothing but comments": ("# a\n# b\n", "a.csv: the file is empty"),
    "empty quotes above the header": ('"",""\nds,y\n2024-01-01,1\n', "line 1, above the header, holds empty cells alone"),
    "nothing but quotes": ('""\n', "a.csv: the file holds no cell"),
    "nothing but separators": (",,\n,\n", "a.csv: the file is empty"),
    "blanks between cells of one column": ("y\n1\n  \n3\n", "line 3 is blank: write NA there"),
    "something in some trailing fields": (
        "ds,y\n2024-01-01,1,\n2024-01-02,2,x\n",
        "the header has 2 fields but line 3 has 3, the last one 'x'",
    ),
    "an unclosed quote": (
        'ds,y\n2024-01-01,"1\n2024-01-02,2\n2024-01-03,3\n',
        "line 2 opens a quote that is never closed ('2024-01-01,\"1')",
    ),
    "an unclosed quote in the last line": ('ds,y\n2024-01-01,1\n2024-01-02,"2', "line 3 opens a quote that is never closed"),
    "an unclosed quote after closed ones": ('ds,y\n"2024-01-01","1"\n2024-01-02,2\n"2024-01-03,3\n', "line 4 opens a quote"),
    "an unclosed quote behind a line end in quotes": ('ds,y\n"2024\n-01-01","1\n', "line 3 opens a quote"),
    "an unclosed quote above a long file": (
        'ds,y\n2024-01-01,"1\n' + MANY * 500,
        "line 2 opens a quote that is never closed ('2024-01-01,\"1')",
    ),
    "an unclosed quote below one inside a cell": ('ds,y\n5" pipe,1\n2024-01-02,"2\n2024-01-03,3\n', "line 3 opens a quote"),
    "an unclosed quote at the end below one inside a cell": ('ds,y\n5" pipe,1\n2024-01-02,"2', "line 3 opens a quote"),
    "a quote among blanks": ('ds,y\n2024-01-01,1\n "  \n2024-01-02,2"\n', "line 3 has 1"),
    "two unclosed quotes": ('ds,y\n2024-01-01,"1\n2024-01-02,2\n2024-01-03,"3,4\n', "a quote that opens in line 2"),
    "a merge conflict": (
        "ds,y\n2024-01-01,1\n<<<<<<< HEAD\n2024-01-01,1\n=======\n2024-01-01,2\n>>>>>>> b\n",
        "line 3 is a mark of a merge conflict ('<<<<<<< HEAD')",
    ),
    "a merge conflict half settled": ("ds,y\n2024-01-01,1\n>>>>>>> b\n", "line 3 is a mark of a merge conflict"),
    "a repeated header": (
        "ds,y\n2024-01-01,1\nds,y\n2024-01-02,2\nds, y\n",
        "the header ('ds,y') stands again in line 3, 5: remove",
    ),
    "title lines": (
        "Sales report\nGenerated 2024\nds,y\n2024-01-01,1\n",
        "the table seems to start at line 3: remove the lines",
    ),
    "title lines with commas": ("Sales, all shops, 2024\n\nds,y\n2024-01-01,1\n", "the table seems to start at line 3"),
    "a title above semicolons": ("Umsatz\n\nds;y\n2024-01-01;1\n2024-01-02;2\n", "the table seems to start at line 3"),
    "a title with another separator": ("Sales; 2024\nds,y\n2024-01-01,1\n2024-01-02,2\n", "the table seems to start at line 2"),
    "a title below a comment": ("# made by hand\nUmsatz\nds;y\n2024-01-01;1\n", "the table seems to start at line 3"),
    "a last line cut in its middle": (
        "ds,y\n2024-01-01,1\n2024-01-0",
        "the last line is cut off: line 3 has 1 ('2024-01-0') of 2 fields",
    ),
    "a long row": ("ds,y\n2024-01-01,1\n2024-01-02,2,9\n", "header has 2 fields but line 3 has 3 ('2024-01-02,2,9')"),
    "a long row of a megabyte": ("ds,y\n2024-01-01,1\n" + "9" * 100_000 + ",2,9\n", "but line 3 has 3 ('999"),
    "a row of nine megabytes": (
        "ds,y\n2024-01-01,1\n2024-01-02,2\n2024-01-03," + "9" * 9_000_000 + "\n",
        "a row has more than 4194304 bytes",
    ),
    "a first row of nine megabytes": ("ds,y\n2024-01-01," + "9" * 9_000_000 + "\n", "a cell in line 2 is too long"),
    "a tail of NUL": (
        TABLE.encode() + b"\0" * 4096,
        "from line 5 on there is nothing but 4096 NUL characters, as after a power loss",
    ),
    "a NUL in a cell": ("ds,y\n2024-01-01,1\n2024-\x0001-02,2\n", "line 3 contains a NUL character ('2024-\\x0001-02,2')"),
    "nothing but NUL": (b"\0" * 5000, "from line 1 on there is nothing but 5000 NUL"),
    "a truncated gzip file": (gzip.compress(TABLE.encode(), mtime=0)[:-12], "the compressed file is truncated"),
    "a damaged gzip file": (gzip.compress(TABLE.encode(), mtime=0)[:10] + b"\xff" * 40, "the compressed file is damaged"),
    "a gzip file with something behind it": (
        gzip.compress(TABLE.encode(), mtime=0) + b"rest",
        "the compressed file is damaged",
    ),
    "a lone surrogate": (b"id,y\na,1\n\xed\xa0\x80,2\n", "line 3: '\\xed\\xa0\\x80,2' holds half of a character"),
    "bytes that are undefined in cp1252": (b"id,y\na,1\nb\x81c,2\n", "line 3: 'b\\x81c,2' is neither UTF-8 nor cp1252"),
    "a broken byte in UTF-8": (
        "id,y\ncafé,1\nnaïve,2\n".encode() + b"caf\xe9,3\n",
        "line 4: 'caf\\xe9,3' is not UTF-8 although other lines are",
    ),
    "UTF-8 cut in a letter": ("id,y\ncafé,1\nb,é".encode()[:-1], "line 3: 'b,\\xc3' is not UTF-8 although"),
    "Cyrillic letters of Windows": ("дата,число\n1,2\n".encode("cp1251"), "line 1: .* is neither UTF-8 nor cp1252"),
    "Japanese": ("日付,数\n1,2\n".encode("shift_jis"), "line 1: .* is neither UTF-8 nor cp1252"),
    "UTF-16 without a mark": (TABLE.encode("utf-16-le"), "UTF-16 without its mark at the start: set read.encoding=utf-16-le"),
    "UTF-16 without a mark, big end first": (TABLE.encode("utf-16-be"), "set read.encoding=utf-16-be"),
    "binary data": (bytes(range(1, 256)), "is no text"),
    "RTF": (r"{\rtf1\ansi ds,y}", "a text document (RTF), not a text table"),
    "SQLite": (b"SQLite format 3\0" + bytes(100), "an SQLite database"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "ORC": (packed("orc"), "an ORC file"),
    "Avro": (b"Obj\x01\x04\x16avro.schema", "an Avro file"),
    "Feather": (packed("feather"), "a Feather or Arrow file"),
    "Parquet under another name": (packed("parquet"), "a Parquet file, not a text table: name it .parquet"),
    "NumPy": (packed("npy"), "a NumPy array, not a text table: load it with numpy"),
    "a pickle": (b"\x80\x04\x95\x0c\x00\x00\x00\x00\x00\x00\x00", "a pickle, not a text table: it is never opened"),
    "an old pickle": (b"\x80\x02]q\x00.", "a pickle"),
    "old Excel": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "an old Excel or Word file"),
    "zip": (packed("zip"), "an Excel or zip file"),
    "7z": (b"7z\xbc\xaf\x27\x1c" + bytes(50), "a 7z archive"),
    "tar": (packed("tar"), "a tar archive"),
    "gzip in gzip": (gzip.compress(gzip.compress(b"a", mtime=0), mtime=0), "a gzip file inside a gzip file"),
    "Zstandard": (b"\x28\xb5\x2f\xfd\x24\x00", "a Zstandard file"),
    "bzip2": (b"BZh91AY&SY" + bytes(20), "a bzip2 file"),
    "xz": (b"\xfd7zXZ\x00" + bytes(20), "an xz file"),
    "a PDF": (b"%PDF-1.7\n%\xe2\xe3", "a PDF"),
    "a web page": ("<!DOCTYPE html><html><body>404</body></html>\n", "a web page"),
    "XML": ('<?xml version="1.0"?>\n<rows/>\n', "an XML file"),
    "XML without a declaration": ("<rows>\n  <row>1</row>\n</rows>\n", "an XML file"),
    "JSON": ('[{"ds":"2024-01-01","y":1}]', "a JSON file"),
    "JSON lines": ('{"ds":"2024-01-01","y":1}\n{"ds":"2024-01-02","y":2}\n', "a file of JSON lines"),
    "an SQL dump": ("-- MySQL dump\n--\n\nDROP TABLE IF EXISTS `a`;\nCREATE TABLE `a` (y int);\n", "an SQL dump"),
    "SQL lines": ("INSERT INTO a VALUES ('2024-01-01', 1);\n", "an SQL dump"),
    "a Git LFS pointer": (
        "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n",
        "this is a Git LFS pointer, not a text table: git lfs pull gets the table",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_one_line_that_says_what_and_where(tmp_path, case):
    content, expected = REFUSED[case]
    message = problem(tmp_path, content)
    assert message.startswith("a.csv: ")
    head, _, tail = expected.partition(" .* ")
    assert head in message
    assert tail in message


def test_an_encoding_that_does_not_fit_is_named_with_the_place(tmp_path):
    assert "line 2: 'caf\\xe9,1' is not utf-8: mend it" in problem(tmp_path, b"id,y\ncaf\xe9,1\n", encoding="utf-8")
    assert "near byte 9 the text is not ascii" in problem(tmp_path, b"id,y\ncaf\xe9,1\n", encoding="ascii")


@pytest.mark.parametrize("encoding", ["utf-99", "hex", "zlib"])
def test_an_encoding_that_is_not_known_is_named(tmp_path, encoding):
    assert problem(tmp_path, TABLE, encoding=encoding).startswith(f"read.encoding={encoding} is not known")


def test_damage_behind_the_first_megabytes_is_found(tmp_path):
    rows = [f"2024-01-01,{i}\n" for i in range(300_000)]
    rows[260_000] = "2024-01-01,caf\u00e9\n"
    assert loaded(tmp_path, "ds,y\n" + "".join(rows)).num_rows == 300_000
    rows[260_001] = "2024-01-01,\x00\n"
    assert "line 260003 contains a NUL" in problem(tmp_path, "ds,y\n" + "".join(rows))
    rows[260_001] = "2024-01-01,1,2\n"
    assert "line 260003 has 3" in problem(tmp_path, "ds,y\n" + "".join(rows))
    rows[260_001] = '2024-01-01,"1\n'
    assert "line 260003 opens a quote" in problem(tmp_path, "ds,y\n" + "".join(rows))


# ---- places that are no plain files ------------------------------------------------------------------------------------


def refusal(path: str | os.PathLike[str]) -> str:
    with pytest.raises(DataError) as caught:
        load(path, ReadConfig())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    assert "pipe.csv: this is a named pipe, not a file" in refusal(tmp_path / "pipe.csv")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.csv"))
        assert "this is a socket" in refusal(tmp_path / "socket.csv")
    assert "zero: this is a device" in refusal("/dev/zero")
    os.mkfifo(tmp_path / "pipe.parquet")
    assert "this is a named pipe" in refusal(tmp_path / "pipe.parquet")
    (tmp_path / "link.csv").symlink_to("gone.csv")
    assert "link.csv: this is a link to 'gone.csv', which is not there" in refusal(tmp_path / "link.csv")
    (tmp_path / "circle.csv").symlink_to("circle.csv")
    assert "circle.csv: the file cannot be read" in refusal(tmp_path / "circle.csv")


def test_a_folder_is_answered_with_a_pattern_for_its_files(tmp_path):
    assert refusal(tmp_path).endswith("is a folder: name its files, e.g. " + str(tmp_path / "*.csv"))
    pa.parquet.write_table(pa.table({"y": [1]}), tmp_path / "a.parquet")
    assert refusal(tmp_path).endswith(str(tmp_path / "*.parquet"))


def test_names_that_no_file_has_are_told_in_one_line(tmp_path):
    assert "there is no such file" in refusal(tmp_path / "*.csv")
    assert "a\\nb.csv: there is no such file" in refusal(tmp_path / "a\nb.csv")
    assert "there is no such file" in refusal("a" * 5000)
    assert "there is no such file" in refusal("a\0b")


def test_a_name_with_a_line_end_is_shown_in_one_line(tmp_path):
    (tmp_path / "a\nb.csv").write_bytes(b"")
    assert refusal(tmp_path / "a\nb.csv") == "a\\nb.csv: the file is empty"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_says_so(tmp_path):
    (tmp_path / "a.csv").write_text(TABLE)
    (tmp_path / "a.csv").chmod(0)
    assert "a.csv: you may not read this file" in refusal(tmp_path / "a.csv")


def test_a_file_that_the_system_does_not_hand_out_says_so(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text(TABLE)
    for error, expected in ((PermissionError(13, "Permission denied"), "you may not read"), (OSError(5, "broken"), "(broken)")):

        def failing(*_, error=error):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(source.os, "open", failing)
            assert expected in refusal(tmp_path / "a.csv")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that fails when it is read")
def test_a_file_that_fails_while_it_is_read_says_so():
    assert "mem: the file cannot be read" in refusal("/proc/self/mem")


@pytest.mark.parametrize("content", [TABLE.encode(), gzip.compress(TABLE.encode(), mtime=0)], ids=["plain", "gzip"])
def test_a_pipe_of_the_shell_is_read_once(content):
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    try:
        table = load(f"/dev/fd/{reading}", ReadConfig())
        assert cells(table) == CELLS
        assert table.place(1).endswith(", line 3")
        assert "the file is empty" in refusal(f"/dev/fd/{reading}")
    finally:
        os.close(reading)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_process_substitution_is_read(tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(TABLE.encode(), mtime=0))
    code = (
        "import sys; from tsattn.data.raw.load import load; from tsattn.config import ReadConfig; "
        "print(load(sys.argv[1], ReadConfig()).num_rows)"
    )
    line = f'"{sys.executable}" -c "{code}" <(cat "{tmp_path}/a.csv.gz")'
    assert subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout == b"3\n"


# ---- files that change while they are read -----------------------------------------------------------------------------

CHANGES = {
    "grows": lambda path: path.write_text(TABLE + "2024-01-04,4\n"),
    "shrinks": lambda path: os.truncate(path, 10),
    "is written to": lambda path: (path.write_text(TABLE.replace("1", "7")), os.utime(path, ns=(1, 1))),
    "is replaced": lambda path: (path.with_name("b.csv").write_text(TABLE), os.replace(path.with_name("b.csv"), path)),
}


@pytest.mark.parametrize("moment", ["scan", "parse"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch, change, moment):
    path = tmp_path / "a.csv"
    path.write_text(TABLE)
    module, name = (source, "_look_through") if moment == "scan" else (text, "_parsed")
    before = getattr(module, name)

    def disturbed(*arguments):
        found = before(*arguments)
        CHANGES[change](path)
        return found

    monkeypatch.setattr(module, name, disturbed)
    assert "the file changed while it was read" in refusal(path)


def test_a_file_that_is_removed_while_it_is_read_is_named(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text(TABLE)
    monkeypatch.setattr(text, "find_shape", lambda found, _: (path.unlink(), found.check_unchanged()))
    assert "a.csv: the file was removed while it was read" in refusal(path)


def test_a_line_that_is_looked_up_after_the_file_changed_is_not_guessed(tmp_path):
    table = loaded(tmp_path, TABLE)
    (tmp_path / "a.csv").write_text("ds,y\n\n\n" + TABLE[5:])
    with pytest.raises(DataError, match="the file changed while it was read"):
        table.place(1)


def outcome(path: Path) -> list[str] | str:
    """The values of the file, or the error."""
    try:
        return load(path, ReadConfig()).columns["y"].to_pylist()
    except DataError as error:
        return str(error)


def test_a_file_that_is_written_to_without_pause_is_read_whole_or_refused(tmp_path):
    path, stop = tmp_path / "a.csv", threading.Event()
    path.write_text(TABLE)

    def write() -> None:
        with path.open("a") as file:
            for _ in range(2000):
                file.write("2024-01-04,4\n")
                file.flush()
                if stop.wait(0.0001):
                    return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        outcomes = [outcome(path) for _ in range(20)]
    finally:
        stop.set()
        writer.join()
    assert all(set(found) <= {"1", "2", "3", "4"} or "the file changed while it was read" in found for found in outcomes)


# ---- several files -----------------------------------------------------------------------------------------------------


def test_the_bad_files_among_good_ones_are_all_named(tmp_path):
    for name, content in (("1", TABLE), ("2", "ds,y\n2024-01-01\n"), ("3", TABLE), ("4", "")):
        (tmp_path / f"{name}.csv").write_text(content)
    with pytest.raises(DataError) as caught:
        load(tmp_path / "*.csv", ReadConfig())
    first, second = str(caught.value).splitlines()
    assert first.startswith("2.csv: the header has 2 fields but line 2 has 1")
    assert second == "4.csv: the file is empty"


def test_files_of_the_same_name_are_told_apart_by_their_folders(tmp_path):
    for year in ("2023", "2024"):
        (tmp_path / year).mkdir()
        (tmp_path / year / "a.csv").write_text(TABLE)
    table = load(tmp_path / "*" / "a.csv", ReadConfig())
    assert table.place(3) == f"{os.path.join('2024', 'a.csv')}, line 2"
    (tmp_path / "2024" / "a.csv").write_text("ds,y\n")
    assert refusal(tmp_path / "*" / "a.csv").startswith(os.path.join("2024", "a.csv") + ": there is a header")
