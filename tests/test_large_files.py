"""Files larger than the memory that is left: refused before they are read, with the way out; what fits is read in pieces."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from tsattn.config import ReadConfig
from tsattn.data.findings import DataError
from tsattn.data.raw import load as loading
from tsattn.data.raw import memory, text
from tsattn.data.raw.load import load
from tsattn.data.read import read

resource = pytest.importorskip("resource")
GB = 10**9
ON_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limits of a process are those of Linux")
TABLE = "shop,date,number\n" + "".join(f"00{shop},2024-01-0{day},{day}\n" for shop in (1, 2) for day in range(1, 8))


def limited(code: str, *arguments: str, gigabytes: float = 2) -> subprocess.CompletedProcess[str]:
    """Python code run with so much address space."""
    most = int(gigabytes * GB)
    return subprocess.run(
        [sys.executable, *(["-c", code] if code else []), *arguments],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)),
        timeout=300,
    )


READ = "import sys; from tsattn.config import ReadConfig; from tsattn.data.raw.load import load\n"
TRIED = READ + (
    "try: print(load(sys.argv[1], ReadConfig()).num_rows)\n"
    "except Exception as error: sys.exit(f'{type(error).__name__}: {error}')\n"
)


# ---- how much there is -------------------------------------------------------------------------------------------------


@pytest.fixture
def system(tmp_path, monkeypatch):
    """`system(**files)`: /proc and /sys/fs/cgroup with these files alone, and no limits of the process."""
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def written(files: dict[str, str]) -> int | None:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return memory.available()

    return written


MEMINFO = {"proc/meminfo": "MemTotal:       2000 kB\nMemAvailable:   1000 kB\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        (MEMINFO, 1_024_000),
        (MEMINFO | {"proc/self/cgroup": "0::/a/b\n", "cgroup/memory.stat": ""}, 1_024_000),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "cgroup/a/b/memory.max": "max\n",
                "cgroup/a/b/memory.current": "500\n",
                "cgroup/a/memory.max": "9000\n",
                "cgroup/a/memory.current": "2000\n",
                "cgroup/a/memory.stat": "anon 3\ninactive_file 700\n",
            },
            7700,
        ),
        (
            {
                "proc/self/cgroup": "5:cpu:/x\n4:memory:/c\n0::/\n",
                "cgroup/memory/c/memory.limit_in_bytes": "5000\n",
                "cgroup/memory/c/memory.usage_in_bytes": "4000\n",
                "cgroup/memory/c/memory.stat": "inactive_file 1\ntotal_inactive_file 200\n",
            },
            1200,
        ),
        (
            MEMINFO
            | {
                "proc/self/cgroup": "0::/\n",
                "cgroup/memory.max": "100\n",
                "cgroup/memory.current": "300\n",
            },
            0,
        ),
    ],
    ids=["nothing known", "the machine", "no limit", "version 2", "version 1", "over the limit"],
)
def test_the_memory_that_is_left_is_the_least_that_any_limit_leaves(system, files, expected):
    assert system(files) == expected


def test_limits_of_the_process_count_what_it_has_taken(system, monkeypatch):
    limits = {resource.RLIMIT_AS: 10_000_000, resource.RLIMIT_DATA: 3_000_000}
    monkeypatch.setattr(resource, "getrlimit", lambda name: (limits[name], resource.RLIM_INFINITY))
    status = {"proc/self/status": "Name:\tpython\nVmSize:\t    1000 kB\nVmData:\t     500 kB\n"}
    assert system(status) == 3_000_000 - 512_000
    limits[resource.RLIMIT_AS] = 2_000_000
    assert system(status) == 2_000_000 - 1_024_000


# ---- what does not fit -------------------------------------------------------------------------------------------------


@pytest.fixture
def little(monkeypatch):
    """A machine on which 1 GB is left."""
    monkeypatch.setattr(memory, "available", lambda: GB)


def sparse(path: Path, size: int, start: bytes = b"") -> Path:
    path.write_bytes(start)
    os.truncate(path, size)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        load(path, ReadConfig())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.usefixtures("little")
def test_a_file_that_does_not_fit_is_refused_unread_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "read_text", None)
    message = refusal(sparse(tmp_path / "big.csv", 5 * GB))
    assert message.startswith("big.csv: 5.0 GB of data need about 25.0 GB of memory, but 1.0 GB are available: write ")
    assert message.endswith("and give input='pieces/*.parquet', or some of the pieces")


@pytest.mark.usefixtures("little")
def test_files_of_a_glob_are_added_up(tmp_path, monkeypatch):
    for i in range(3):
        sparse(tmp_path / f"{i}.csv", 100_000_000)
    monkeypatch.setattr(loading, "_load_file", lambda *_: loading.Loaded({}))
    load(tmp_path / "0.csv", ReadConfig())
    assert refusal(tmp_path / "*.csv").startswith("3 files: 300 MB of data need about 1.5 GB of memory, but 1.0 GB are")


def test_parquet_is_measured_by_what_it_holds_not_by_its_size(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pa.table({"id": pa.array(["x"] * 2_000_000), "y": np.zeros(2_000_000)}), path)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(memory, "available", lambda: 100_000_000)
    assert re.search(r"a.parquet: 0 MB of data need about 504 MB of memory, but 100 MB are available", refusal(path))
    monkeypatch.setattr(memory, "available", lambda: 600_000_000)
    assert load(path, ReadConfig()).num_rows == 2_000_000


MEASURED = [  # (bytes of a file, its rows, bytes that `python -m tsattn.predict` took at its peak above those of a tiny one)
    (6_000_000, 3_000_000, 556_000_000),  # one column of digits
    (28_900_000, 3_000_000, 621_000_000),  # i,i%7
    (39_600_000, 1_000_000, 355_000_000),  # date,number
    (55_800_000, 2_000_000, 374_000_000),  # id,date,number
    (21_600_000, 100_000, 111_000_000),  # date and ten columns of 18 digits, one of them forecast
    (30_100_000, 100_000, 133_000_000),  # date,number and eight texts
]


@pytest.mark.parametrize(("size", "rows", "peak"), MEASURED)
def test_the_estimate_is_near_what_was_measured_for_narrow_and_wide_tables(size, rows, peak):
    assert peak * 0.95 < memory.of_text(size, rows) < 2 * peak


def test_short_rows_need_more_than_their_bytes_tell(tmp_path, monkeypatch):
    path = tmp_path / "narrow.csv"
    path.write_text("y\n" + "7\n" * 999_999)
    monkeypatch.setattr(memory, "available", lambda: 100_000_000)
    monkeypatch.setattr(loading, "read_text", None)
    assert "narrow.csv: 2 MB of data need about 190 MB of memory, but 100 MB are available" in refusal(path)


def test_short_rows_of_a_compressed_file_are_counted_as_it_is_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "narrow.csv.gz"
    path.write_bytes(gzip.compress(b"y\n" + b"7\n" * 5_999_999, compresslevel=1, mtime=0))
    monkeypatch.setattr(memory, "available", lambda: 1_000_000_000)
    assert "and more need more memory than is available" in refusal(path)


def test_a_wide_table_is_measured_by_its_series(monkeypatch):
    table = pa.table({f"s{i}": np.arange(100_000) % 7 for i in range(10)} | {"ds": np.arange(100_000)})
    monkeypatch.setattr(memory, "available", lambda: 170_000_000)
    with pytest.raises(
        DataError, match="100000 rows of 10 series need about 180 MB of memory, but 170 MB are available: name "
    ):
        read(table, ReadConfig(time="ds"))
    assert len(read(table, ReadConfig(time="ds", value=["s0", "s1"])).df) == 200_000


def test_the_way_out_is_a_command_that_works(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text(TABLE)
    message = str(memory.too_large("a.csv", 1, "do not fit"))
    found = re.search('python -c "([^"]*)"', message)
    assert found is not None
    code = found[1].replace("FILE.csv", "a.csv").replace("'ID'", "'shop'").replace("'DATE', 'NUMBER'", "'date', 'number'")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "message", "exec"), {})
    table = load("pieces/*.parquet", ReadConfig())
    assert list(table.columns) == ["shop", "date", "number"]
    assert table.columns["shop"].to_pylist() == ["001"] * 7 + ["002"] * 7


TEXTS = [" a", None, "b ", ""]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(TEXTS),
        pa.array(TEXTS, pa.large_string()),
        pa.array([None if cell is None else cell.encode() for cell in TEXTS]),
        pa.array(TEXTS).dictionary_encode(),
        pa.chunked_array([TEXTS[:1], TEXTS[1:]]),
    ],
    ids=["text", "large text", "bytes", "categories", "parts"],
)
def test_texts_of_parquet_and_arrow_are_taken_as_they_are(tmp_path, column):
    table = pa.table({"id": column})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    for found in (load(table, ReadConfig()), load(tmp_path / "a.parquet", ReadConfig())):
        assert isinstance(found.columns["id"], pa.StringArray)
        assert found.columns["id"].to_pylist() == ["a", "", "b", ""]


def test_bytes_that_are_no_text_are_an_error(tmp_path):
    with pytest.raises(DataError, match="the text of the column 'id' cannot be read"):
        load(pa.table({"id": pa.array([b"caf\xe9"])}), ReadConfig())


def test_a_compressed_file_is_unpacked_only_as_far_as_the_memory_goes(tmp_path, monkeypatch):
    path = tmp_path / "bomb.csv.gz"
    with gzip.GzipFile(path, "wb", mtime=0) as file:
        file.write(b"ds,y\n")
        for _ in range(40):
            file.write(b"2024-01-01,1\n" * 80_000)
    assert path.stat().st_size < 200_000
    monkeypatch.setattr(memory, "available", lambda: 0)
    assert re.match(r"bomb.csv.gz: 4 MB of data and more need more memory than is available: write", refusal(path))


def test_a_recoded_file_is_bounded_too(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_bytes(("ds,y\n" + "2024-01-01,1\n" * 500_000).encode("utf-16"))
    monkeypatch.setattr(memory, "most_unpacked", lambda: 6_000_000)
    assert "and more need more memory than is available" in refusal(path)


@pytest.mark.parametrize("error", [MemoryError(), pa.ArrowMemoryError("malloc of size 64 failed")], ids=["python", "arrow"])
def test_memory_that_ends_while_reading_is_answered_with_the_same_way_out(tmp_path, monkeypatch, error):
    (tmp_path / "a.csv").write_text(TABLE)

    def failing(*_):
        raise error

    monkeypatch.setattr(text, "_trimmed", failing)
    message = refusal(tmp_path / "a.csv")
    assert message.startswith("a.csv: 0 MB of data need more memory than is available: write the needed columns as Parquet")


# ---- for real ----------------------------------------------------------------------------------------------------------


@ON_LINUX
def test_five_gigabytes_on_two_are_one_line_and_exit_code_2(tmp_path):
    path, start = sparse(tmp_path / "big.csv", 5 * GB, TABLE.encode()), time.monotonic()
    ended = limited("", "-m", "tsattn.predict", f"input={path}", "horizon=3")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert re.fullmatch(
        r"error: big.csv: 5.0 GB of data need about 25.\d GB of memory, but 1.\d GB are available: .*\n", ended.stderr
    )
    assert time.monotonic() - start < 30


@ON_LINUX
@pytest.mark.slow
@pytest.mark.parametrize("unit", ["2024-01-01,1\n", "1,", "\0"], ids=["rows", "columns", "zeros"])
def test_a_compressed_file_that_unpacks_to_gigabytes_does_no_harm(tmp_path, unit):
    path = tmp_path / "bomb.csv.gz"
    with gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as file:
        file.write(b"ds,y\n")
        for _ in range(5000):
            file.write(unit.encode() * (1_000_000 // len(unit)))
    ended = limited(TRIED, str(path))
    assert ended.returncode == 1
    assert re.match(r"DataError: bomb.csv.gz: \d+ MB of data and more need more memory than is available", ended.stderr)


def write_rows(path: Path, num: int) -> None:
    """Rows of 1000 series: id, date, number."""
    each = num // 1000
    names = pa.array([f"store_{i:05d}" for i in range(1000)])
    ids = names.take(pa.array(np.repeat(np.arange(1000), each)))
    days = pa.array(np.tile(np.datetime64("1990-01-01") + np.arange(each), 1000)).cast(pa.string())
    table = pa.table({"unique_id": ids, "ds": days, "y": np.random.default_rng(0).integers(0, 10_000, num)})
    pyarrow.csv.write_csv(table, path, pyarrow.csv.WriteOptions(quoting_style="none"))


@ON_LINUX
@pytest.mark.slow
def test_ten_million_rows_are_read_in_three_and_a_half_times_their_size(tmp_path):
    path = tmp_path / "ten.csv"
    write_rows(path, 10_000_000)
    code = READ + (
        "import resource, time; start = time.monotonic()\n"
        "table = load(sys.argv[1], ReadConfig())\n"
        "assert table.columns['unique_id'][9_999_999].as_py() == 'store_00999'\n"
        "assert table.columns['ds'][9_999_999].as_py() == '2017-05-18'\n"
        "print(table.num_rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, time.monotonic() - start)\n"
    )
    ended = limited(code, str(path), gigabytes=4)
    rows, peak, seconds = ended.stdout.split()
    size = path.stat().st_size
    print(f"{size / 1e6:.0f} MB, peak {int(peak) / size:.2f} times that, {float(seconds):.1f} s")
    assert (int(rows), 250e6 < size < 300e6) == (10_000_000, True)
    assert int(peak) < 3.5 * size
