"""Any bytes as a table file: an error in words, or a frame that holds what an independent strict parser reads."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bad_files import FILES
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tsattn.data.findings import DataError
from tsattn.data.frame import Frame, to_frame, to_rows
from tsattn.data.read import Rows

GOOD = {
    "long": b"unique_id,ds,y\n"
    + b"".join(b"%s,2024-01-%02d,%d.5\n" % (name, i, i) for name in (b"a", b"b") for i in range(1, 8)),
    "daily": b"ds,y\n" + b"".join(b"2024-01-%02d,%d\n" % (i, i * i) for i in range(1, 21)),
    "negative": b"ds,y\n" + b"".join(b"2024-%02d-01,%d.25\n" % (i, -i) for i in range(1, 13)),
    "wide": b"date;north;south\r\n" + b"".join(b"%d.01.2024;%d,5;%d\r\n" % (i, i, 2 * i) for i in range(8, 20)),
    "stamps": b"timestamp\tvalue\n" + b"".join(b"%d\t%d\n" % (1704067200 + 3600 * i, i) for i in range(12)),
}
CORPUS = [*GOOD.values(), *(content for content in FILES.values() if len(content) < 2000)]
CELLS = [
    "",
    "NA",
    "-",
    "1,5",
    "1.234",
    "1e5",
    "−3",
    "５",
    "\u200f7",
    "0x1F",
    "inf",
    "1e999",
    '"',
    '"x"',
    "'",
    "2024-02-30",
    "01.02.03",
]
CELLS += [
    "20240101",
    "1704067200",
    "2024-W10",
    "Total",
    "٣",
    "\x00",
    "\ufeff",
    "\ud7ff",
    "é",
    "9" * 40,
    "a\nb",
    "2024-01-01T25:00",
]
PLAIN_NUMBER = re.compile(r"-?\d{1,15}(\.(\d\d?|\d{4,9}))?")  # 1.234 may be meant for 1234
PLAIN_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
Row = tuple[str, str, float]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


# ---- what is written ---------------------------------------------------------------------------------------------------


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A file of the corpus, changed a few times: bytes, cells, lines removed, doubled, replaced; cut; spliced with another."""
    content = draw(st.sampled_from(CORPUS))
    for _ in range(draw(st.integers(1, 4))):
        change = draw(st.sampled_from([_bytes_changed, _cell_changed, _lines_changed, _spliced]))
        content = change(draw, content)
    return content


def _bytes_changed(draw: st.DrawFn, content: bytes) -> bytes:
    start = draw(st.integers(0, len(content)))
    end = min(len(content), start + draw(st.integers(0, 6)))
    piece = content[start:end]
    new = draw(
        st.one_of(st.just(b""), st.just(piece + piece), st.binary(max_size=4), st.just(bytes(255 - sign for sign in piece)))
    )
    return content[:start] + new + content[end:]


def _cell_changed(draw: st.DrawFn, content: bytes) -> bytes:
    ends = [0, *(found.end() for found in re.finditer(rb"[,;\t\n]", content))]
    start = draw(st.sampled_from(ends))
    found = re.search(rb"[,;\t\r\n]", content[start:])
    end = len(content) if found is None else start + found.start()
    return content[:start] + draw(st.sampled_from(CELLS)).encode() + content[end:]


def _lines_changed(draw: st.DrawFn, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True) or [b""]
    i, j = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
    kind = draw(st.sampled_from(["remove", "double", "swap", "cut"]))
    if kind == "swap":
        lines[i], lines[j] = lines[j], lines[i]
    elif kind == "cut":
        lines = lines[: i + 1]
    else:
        lines[i : i + 1] = [] if kind == "remove" else [lines[i]] * 2
    return b"".join(lines)


def _spliced(draw: st.DrawFn, content: bytes) -> bytes:
    other = draw(st.sampled_from(CORPUS))
    return content[: draw(st.integers(0, len(content)))] + other[draw(st.integers(0, len(other))) :]


ANY_TEXT = st.text(st.sampled_from("0123456789-./:;,\t|\"'\n\r +eE%#aT\u00a0\u2212\uff15\u0663\x00é"), max_size=120).map(
    str.encode
)


# ---- what must hold ----------------------------------------------------------------------------------------------------


def plain_rows(content: bytes) -> list[Row] | None:
    """The rows of a plain long CSV with whole dates and plain numbers, read by other means; None for any other file."""
    lines = content.decode("ascii", "replace").split("\n")
    header = lines[0] if lines else ""
    if header not in ("ds,y", "unique_id,ds,y") or not content.endswith(b"\n") or b"\r" in content or b'"' in content:
        return None
    rows = []
    for line in lines[1:-1]:
        found = re.fullmatch(r"([a-z]),(.*),(.*)" if "unique" in header else r"()(.*),(.*)", line)
        if found is None or not PLAIN_DATE.fullmatch(found[2]) or not PLAIN_NUMBER.fullmatch(found[3]):
            return None
        rows.append((found[1] or "y", found[2], float(found[3])))
    return rows


def assert_sound(frame: Frame) -> None:
    """Ids and times unique, in order and complete; every value a number or missing."""
    df = frame.df
    assert len(df)
    assert df["unique_id"].map(type).eq(str).all()
    assert df["ds"].notna().all()
    assert not df.duplicated(["unique_id", "ds"]).any()
    assert all(group.is_monotonic_increasing for _, group in df.groupby("unique_id", sort=False)["ds"])
    assert (df["unique_id"] != df["unique_id"].shift()).sum() == df["unique_id"].nunique()
    assert not np.isinf(df["y"].to_numpy()).any()


def check(content: bytes, folder: Path) -> None:
    """Read the bytes as a file: a `DataError` in words, or a sound frame with the rows of a plain file, none more or less."""
    path = folder / "any.csv"
    path.write_bytes(content)
    expected = plain_rows(content)
    try:
        frame = to_frame(to_rows(path))
    except DataError as error:
        message = str(error)
        assert len(message) > 10
        assert not re.search(r"\b(line|row) 0\b", message), message
        assert expected is None or not _must_be_read(expected), message
        return
    assert_sound(frame)
    if expected is not None:
        given = frame.df[frame.df["y"].notna()]
        found = [(name, str(stamp)[:10], y) for name, stamp, y in zip(given["unique_id"], given["ds"], given["y"], strict=True)]
        assert sorted(found) == sorted(expected)


def _must_be_read(rows: list[Row]) -> bool:
    """Whether a plain file leaves no excuse: two rows or more, dates that exist, none twice, close together."""
    try:
        days = [dt.date.fromisoformat(date) for _, date, _ in rows]
    except ValueError:
        return False
    close = len(rows) > 1 and (max(days) - min(days)).days < 40 and min(days).year > 1700 and max(days).year < 2200
    daily = len(rows) > 2 and math.isclose((max(days) - min(days)).days + 1, len(set(days)))
    return close and daily and len({row[:2] for row in rows}) == len(rows)


@settings(max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(content=mutated())
def test_changed_files_are_read_soundly_or_refused_in_words(folder, content):
    check(content, folder)


LONG = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@settings(LONG, max_examples=1500)
@given(content=mutated())
def test_many_changed_files_are_read_soundly_or_refused_in_words(folder, content):
    check(content, folder)


@pytest.mark.slow
@settings(LONG, max_examples=800)
@given(content=st.one_of(st.binary(max_size=200), ANY_TEXT))
@example(content=b"\n")
def test_any_bytes_are_read_soundly_or_refused_in_words(folder, content):
    check(content, folder)


@pytest.mark.slow
@settings(LONG, max_examples=800)
@given(content=ANY_TEXT, header=st.sampled_from(["ds,y\n", "unique_id,ds,y\n", "ds;y\n", "y\n", "date,a,b\n"]))
def test_any_text_below_a_header_is_read_soundly_or_refused_in_words(folder, content, header):
    check(header.encode() + content, folder)


def test_the_independent_parser_reads_plain_files_and_no_others():
    rows = plain_rows(GOOD["daily"])
    assert rows is not None
    assert rows[2] == ("y", "2024-01-03", 9.0)
    assert len(plain_rows(GOOD["long"]) or []) == 14
    assert plain_rows(GOOD["wide"]) is None
    assert plain_rows(b"ds,y\n2024-01-01,1,2\n") is None


def test_the_check_finds_a_lost_row(folder, monkeypatch):
    def lossy(rows: Rows, whole: Callable[[Rows], Frame] = to_frame) -> Frame:
        return whole(rows._replace(df=rows.df.iloc[1:]))

    monkeypatch.setitem(check.__globals__, "to_frame", lossy)
    with pytest.raises(AssertionError):
        check(GOOD["daily"], folder)
