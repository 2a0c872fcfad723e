"""Files that are no text table, known by how they begin: each is named, with what to do, and never opened."""

from __future__ import annotations

import re

from tsattn.data.findings import DataError

UNPACK = "unpack it and give the table in it"
AS_CSV = "save the sheet as CSV in the program that made it"
WITH_PANDAS = "read it with pandas and give the frame"
MAGIC = (
    (b"PK\x03\x04", "an Excel or zip file", f"{AS_CSV}, or {UNPACK}"),
    (b"PK\x05\x06", "an empty zip file", "pack it again"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel or Word file", AS_CSV),
    (b"%PDF", "a PDF", "get the numbers as CSV from where it was made"),
    (b"PAR1", "a Parquet file", "name it .parquet"),
    (b"ARROW1", "a Feather or Arrow file", WITH_PANDAS),
    (b"Obj\x01", "an Avro file", WITH_PANDAS),
    (
        b"SQLite format 3\x00",
        "an SQLite database",
        'sqlite3 -header -csv FILE "select * from TABLE" > table.csv writes a table',
    ),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", WITH_PANDAS),
    (b"CDF\x01", "a NetCDF file", "read it with xarray and give a frame"),
    (b"\x93NUMPY", "a NumPy array", "load it with numpy and give the array"),
    (b"\x1f\x8b", "a gzip file inside a gzip file", "unpack it once"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", "unpack it with zstd -d, or pack it with gzip"),
    (b"\x04\x22\x4d\x18", "an LZ4 file", "unpack it with lz4 -d, or pack it with gzip"),
    (b"\xfd7zXZ\x00", "an xz file", "unpack it with xz -d, or pack it with gzip"),
    (b"\x89PNG", "a picture", "give a table"),
    (b"\xff\xd8\xff", "a picture", "give a table"),
)
PATTERNS = (
    (rb"BZh[1-9]1AY&SY", "a bzip2 file", "unpack it with bunzip2, or pack it with gzip"),
    (rb"\x80[\x02-\x05](\x95|[\]}(cq])", "a pickle", "it is never opened, as it could run a program: write the table as CSV"),
    (rb"(?s).{257}ustar", "a tar archive", UNPACK),
)
TEXTS = (
    (r"\{\\rtf", "a text document (RTF)", "save it as plain text or CSV"),
    (
        r"<(!doctype html|html|head|body|table|script)",
        "a web page",
        "the download failed or needs a log-in: get the file itself",
    ),
    (r"<\?xml|<\w+[^<>,;|\t]*>[ \n]*<\w", "an XML file", "read it with pandas.read_xml and give the frame"),
    (r"\{[^\n]*\}\n\s*\{", "a file of JSON lines", "read it with pandas.read_json(FILE, lines=True) and give the frame"),
    (r"\{|\[\s*[\[{]", "a JSON file", WITH_PANDAS),
    (
        r"(?ms)(?=--|/\*|set |begin|start |pragma |use |insert |create |drop )"
        r".*?^\s*(insert\s+into|create\s+table|copy\s+\S+\s+\()",
        "an SQL dump",
        "load it into its database and export the table as CSV",
    ),
    (r"version https://git-lfs", "a Git LFS pointer", "git lfs pull gets the table that it stands for"),
)


def refuse_binary(name: str, head: bytes, tail: bytes) -> None:
    """`DataError` for bytes that begin (or, with ORC, end) as those of another kind of file."""
    for start, kind, advice in MAGIC:
        if head.startswith(start):
            raise no_table(name, kind, advice)
    for pattern, kind, advice in PATTERNS:
        if re.match(pattern, head):
            raise no_table(name, kind, advice)
    if head.startswith(b"ORC") and tail[-4:-1] == b"ORC":
        raise no_table(name, "an ORC file", WITH_PANDAS)


def refuse_text(name: str, head: str) -> None:
    """`DataError` for text that begins as something other than a table."""
    for pattern, kind, advice in TEXTS:
        if re.match(pattern, head, re.IGNORECASE):
            raise no_table(name, kind, advice)


def no_table(name: str, kind: str, advice: str) -> DataError:
    return DataError(f"{name}: this is {kind}, not a text table: {advice}")
