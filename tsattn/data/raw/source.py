"""The bytes of one text file as UTF-8: what may be opened, compression, encoding, damage. Nothing is held that need not be."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tsattn.config import ReadConfig
from tsattn.data.findings import DataError, Finding
from tsattn.data.raw import damage, kinds, memory
from tsattn.data.raw.damage import Bytes

CHUNK = 1 << 22
BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
PIPES = re.compile(r"/dev/stdin|/dev/fd/(\d+)|/proc/(?:self|\d+)/fd/(\d+)")
NOT_FILES = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISDIR, "a folder"))


class Stamp(NamedTuple):
    """What changes when somebody writes to a file or puts another one in its place."""

    inode: int
    size: int
    time: int


class Seen(NamedTuple):
    """What one pass over the text showed; positions in bytes, -1 for nowhere."""

    size: int
    nul: int  # the first NUL
    bad: int  # the first byte that is not UTF-8
    quotes: int
    returns: bool  # whether there are carriage returns
    conflict: int  # the first mark of a merge conflict
    last: bytes


NOTHING_SEEN = Seen(0, -1, -1, 0, False, -1, b"")


@dataclass
class Source:
    """A text file that can be read from its start as often as needed."""

    name: str  # for messages, always in one line
    path: Path
    stamp: Stamp | None  # None: a pipe
    data: bytes | None = None  # the text where it had to be unpacked, recoded or came through a pipe
    start: int = 0  # the bytes of a byte order mark
    seen: Seen = NOTHING_SEEN
    findings: list[Finding] = field(default_factory=list)

    def open(self, offset: int = 0) -> Bytes:
        """The bytes from `offset` on (0: after the byte order mark). `DataError` where the file is not as it was."""
        if self.data is None:
            self.check_unchanged()
        file = _opened(self.path, self.name) if self.data is None else io.BytesIO(self.data)
        file.seek(self.start + offset)
        return file

    def text(self, offset: int = 0) -> io.TextIOWrapper:
        """The text from `offset` on, line ends as they are."""
        return io.TextIOWrapper(io.BufferedReader(self.open(offset), CHUNK), "utf-8", newline="")

    def lines(self, offset: int = 0) -> Iterator[str]:
        """The lines from `offset` on, each with its line end."""
        with self.text(offset) as text:
            yield from text

    def check_unchanged(self) -> None:
        """`DataError` where the file was written to, replaced or removed since it was opened."""
        if self.stamp is None:
            return
        try:
            now = _stamp(os.stat(self.path))
        except OSError as error:
            raise DataError(f"{self.name}: the file was removed while it was read") from error
        if now != self.stamp:
            raise DataError(
                f"{self.name}: the file changed while it was read ({self.stamp.size} bytes, then {now.size}): "
                "wait until it is complete, or copy it and give the copy"
            )


def open_source(path: Path, name: str, config: ReadConfig) -> Source:
    """The text of a file: unpacked, recoded to UTF-8 where it is not, and looked through. `DataError` where that fails."""
    try:
        source = _found(path, name)
        _recode(source, config)
        source.check_unchanged()
    except OSError as error:
        raise DataError(f"{name}: the file cannot be read ({error.strerror or error})") from error
    if source.seen.conflict >= 0:
        line, shown = damage.line_at(source.open(), source.seen.conflict)
        raise DataError(f"{name}: line {line} is a mark of a merge conflict ({shown}): settle the conflict with git first")
    return source


def check_file(path: Path, name: str) -> None:
    """`DataError` for what cannot be opened as a file."""
    _opened(path, name).close()


# ---- opening -----------------------------------------------------------------------------------------------------------


def _found(path: Path, name: str) -> Source:
    """The file with its content unpacked; what is neither a file nor a pipe given by the shell is refused unopened."""
    with _opened(path, name) as file:
        info = os.fstat(file.fileno())
        source = Source(name, path, _stamp(info) if stat.S_ISREG(info.st_mode) else None)
        raw: Bytes = file
        if source.stamp is None:
            source.data = _drained(file, name)
            raw = io.BytesIO(source.data)
        head, tail = raw.read(CHUNK), b""
        if head[:2] == b"\x1f\x8b":
            raw.seek(0)
            source.data = _unpacked(raw, name)
            head = source.data[:CHUNK]
        elif head[:3] == b"ORC":
            raw.seek(max(-4, -len(head)), os.SEEK_END)
            tail = raw.read()
    kinds.refuse_binary(name, head, tail)
    return source


def _opened(path: Path, name: str) -> Bytes:
    """The open file, unbuffered; a pipe of the shell as a copy of its own descriptor."""
    try:
        pipe = PIPES.fullmatch(str(path))
        info = os.stat(path)
        if pipe and stat.S_ISFIFO(info.st_mode):
            return os.fdopen(os.dup(int(pipe[1] or pipe[2] or 0)), "rb", buffering=0)
        _check_kind(info.st_mode, name)
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except PermissionError as error:
        raise DataError(f"{name}: you may not read this file: chmod u+r, or ask its owner") from error
    except FileNotFoundError as error:
        missing = f"this is a link to {os.readlink(path)!r}, which is" if os.path.islink(path) else "the file is"
        raise DataError(f"{name}: {missing} not there") from error
    file = os.fdopen(descriptor, "rb", buffering=0)
    try:
        _check_kind(os.fstat(descriptor).st_mode, name)
    except DataError:
        file.close()
        raise
    return file


def _check_kind(mode: int, name: str) -> None:
    if stat.S_ISREG(mode):
        return
    kind = next((words for test, words in NOT_FILES if test(mode)), "a device")
    raise DataError(f"{name}: this is {kind}, not a file: give a file, or a pipe as /dev/stdin")


def _stamp(info: os.stat_result) -> Stamp:
    return Stamp(info.st_ino, info.st_size, info.st_mtime_ns)


def _drained(file: Bytes, name: str) -> bytes:
    """All that comes through a pipe, as far as the memory allows."""
    return b"".join(_bounded(iter(lambda: file.read(CHUNK), b""), name))


def _bounded(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The chunks, until there are more than the memory allows."""
    most, size, rows = memory.most_unpacked(), 0, 0
    for chunk in chunks:
        size, rows = size + len(chunk), rows + chunk.count(b"\n")
        if most is not None and size + memory.of_text(size, rows) > most:
            raise memory.too_large(name, size, "and more need more memory than is available")
        yield chunk


def _unpacked(raw: Bytes, name: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=raw) as unpacked:
            return b"".join(_bounded(iter(lambda: unpacked.read(CHUNK), b""), name))
    except EOFError as error:
        raise DataError(f"{name}: the compressed file is truncated: copy or download it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{name}: the compressed file is damaged ({error}): copy or download it again") from error


# ---- encoding ----------------------------------------------------------------------------------------------------------


def _recode(source: Source, config: ReadConfig) -> None:
    """Find the encoding, recode to UTF-8 what is not, and look the text through."""
    with source.open() as file:
        head = file.read(CHUNK)
    bom, found = next(((bom, name) for bom, name in BOMS if head.startswith(bom)), (b"", None))
    encoding = config.encoding or found
    if encoding is None:
        damage.refuse_unmarked_utf16(source.name, head)
    if encoding is not None and not _is_utf8(encoding):
        source.data = _decoded(source, encoding)
        bom = codecs.BOM_UTF8 if source.data.startswith(codecs.BOM_UTF8) else b""
    source.start = len(bom) if bom == codecs.BOM_UTF8 else 0
    source.seen = _look_through(source.open())
    if source.seen.nul >= 0:
        damage.refuse_trailing_nuls(source.name, source.open, source.seen.nul, source.seen.size)
    if source.seen.bad >= 0:
        damage.refuse_unless_western(source.name, source.open, source.seen.bad, config.encoding)
        source.data = _decoded(source, "cp1252")
        source.start, source.seen = 0, _look_through(io.BytesIO(source.data))
        source.findings.append(
            Finding("file", f"{source.name}: the text is not UTF-8 and was read as cp1252", "read.encoding=", "repair")
        )
    if source.seen.nul >= 0:
        raise damage.nul_inside(source.name, source.open, source.seen.nul)


def _is_utf8(encoding: str) -> bool:
    try:
        "a".encode(encoding)
        return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
    except LookupError as error:
        raise DataError(f"read.encoding={encoding} is not known, e.g. utf-8, cp1252, utf-16") from error


def _decoded(source: Source, encoding: str) -> bytes:
    """The text in UTF-8. `DataError` naming the place of what is not of `encoding`."""
    decoder, parts, done = codecs.getincrementaldecoder(encoding)(), [], 0
    with source.open() as file:
        for chunk in _bounded(iter(lambda: file.read(CHUNK), b""), source.name):
            parts.append(_recoded(decoder, chunk, source.name, encoding, done))
            done += len(chunk)
    parts.append(_recoded(decoder, b"", source.name, encoding, done))
    return b"".join(parts)


def _recoded(decoder: codecs.IncrementalDecoder, chunk: bytes, name: str, encoding: str, done: int) -> bytes:
    try:
        return decoder.decode(chunk, not chunk).encode("utf-8")
    except UnicodeError as error:
        place = done + getattr(error, "start", 0)
        raise DataError(
            f"{name}: near byte {place + 1} the text is not {encoding}: set read.encoding= to the right one"
        ) from error


def _conflict(chunk: bytes, done: int) -> int:
    """Where a line begins as one that git left in a file it could not merge; -1 for nowhere."""
    marks = (b"<<<<<<< ", b">>>>>>> ")
    if done == 0 and chunk.startswith(marks):
        return 0
    places = [done + place + 1 for mark in marks if (place := chunk.find(b"\n" + mark)) >= 0]
    return min(places, default=-1)


def _look_through(file: Bytes) -> Seen:
    """One pass over the bytes."""
    size, quotes, nul, bad, conflict, returns, last = 0, 0, -1, -1, -1, False, b""
    rest = b""  # the start of a character that the chunk's end cuts
    with file:
        while chunk := file.read(CHUNK):
            quotes += chunk.count(b'"')
            returns = returns or b"\r" in chunk
            if nul < 0 and (place := chunk.find(0)) >= 0:
                nul = size + place
            if conflict < 0:
                conflict = _conflict(chunk, size)
            if bad < 0 and (rest or not chunk.isascii()):
                try:
                    rest = (rest + chunk)[codecs.utf_8_decode(rest + chunk)[1] :]
                except UnicodeDecodeError as error:
                    bad = size - len(rest) + error.start
            size, last = size + len(chunk), chunk[-1:]
    return Seen(size, nul, size - len(rest) if bad < 0 and rest else bad, quotes, returns, conflict, last)
