"""Whether a table fits the memory that is left, found out before it is read; nothing is checked where a system does not say."""

from __future__ import annotations

from pathlib import Path

from tsattn.data.findings import DataError

# What reading, converting and a naive forecast take at their peak: see the table in tests/test_large_files.py.
TEXT_FACTOR = 5  # bytes of memory per byte of text
PARQUET_FACTOR = 3  # the same per byte of the columns as they lie in memory
ROW = 180  # bytes per row besides: ids, times and values, twice, and the numbers between them in a forecast
SMALL = 64_000_000  # a need below this is not checked
PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def available() -> int | None:
    """The bytes that this process may still take: the least of its own limits, its control group's and the machine's."""
    free = [*_below_own_limits(), *_in_control_groups(), *_in_machine()]
    return max(min(free), 0) if free else None


def of_text(size: int, rows: int) -> int:
    """The bytes of memory that so much text in so many rows needs."""
    return TEXT_FACTOR * size + ROW * rows


def of_parquet(size: int, rows: int) -> int:
    """The bytes of memory that columns of `size` bytes, as they lie in memory, need."""
    return PARQUET_FACTOR * size + ROW * rows


def most_unpacked() -> int | None:
    """How many bytes text may need that is held as a whole besides; None where that is not known."""
    free = available()
    return None if free is None else max(free, SMALL)


def check(name: str, size: int, needed: int) -> None:
    """`DataError` where `needed` bytes of memory are not there to read `size` bytes of data."""
    if needed < SMALL:
        return
    free = available()
    if free is not None and needed > free:
        raise too_large(name, size, f"need about {_shown(needed)} of memory, but {_shown(free)} are available")


def check_wide(rows: int, series: int) -> None:
    """`DataError` where a table of so many rows and columns of values is too large to be laid out row by row."""
    needed, free = ROW * rows * series, available()
    if needed >= SMALL and free is not None and needed > free:
        raise DataError(
            f"{rows} rows of {series} series need about {_shown(needed)} of memory, but {_shown(free)} are available: "
            "name fewer columns with read.value=, or give a part of the rows"
        )


def too_large(name: str, size: int, problem: str) -> DataError:
    """The error that says what does not fit and how to go on."""
    return DataError(
        f"{name}: {_shown(size)} of data {problem}: write the needed columns as Parquet, e.g. python -c "
        '"import pyarrow as pa, pyarrow.csv as c, pyarrow.dataset as d; '
        "d.write_dataset(c.open_csv('FILE.csv', convert_options=c.ConvertOptions(include_columns=['ID', 'DATE', 'NUMBER'], "
        "column_types={'ID': pa.string()})), 'pieces', format='parquet', max_rows_per_file=10**7)\", "
        "and give input='pieces/*.parquet', or some of the pieces"
    )


def _shown(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _below_own_limits() -> list[int]:
    """What RLIMIT_AS and RLIMIT_DATA leave."""
    try:
        import resource
    except ImportError:  # Windows
        return []
    used = _table(PROC / "self/status")
    found = []
    for limit, key in (("RLIMIT_AS", "VmSize"), ("RLIMIT_DATA", "VmData")):
        most = resource.getrlimit(getattr(resource, limit))[0] if hasattr(resource, limit) else resource.RLIM_INFINITY
        if most != resource.RLIM_INFINITY and key in used:
            found.append(most - used[key])
    return found


def _in_control_groups() -> list[int]:
    """What the control groups of this process leave, in version 1 and 2, with those above them; cached files do not count."""
    found = []
    for line in _text(PROC / "self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        kinds, _, place = rest.partition(":")
        if kinds not in ("", "memory"):
            continue
        top = CGROUPS / kinds
        most, used, cached = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            if kinds
            else ("memory.max", "memory.current", "inactive_file")
        )
        folder = top / place.strip("/")
        for group in (folder, *folder.parents):
            if not group.is_relative_to(top):
                break
            limit, taken = _text(group / most).strip(), _text(group / used).strip()
            if limit.isdigit() and taken.isdigit():
                found.append(int(limit) - int(taken) + _table(group / "memory.stat", 1).get(cached, 0))
    return found


def _in_machine() -> list[int]:
    table = _table(PROC / "meminfo")
    return [table["MemAvailable"]] if "MemAvailable" in table else []


def _table(path: Path, unit: int = 1024) -> dict[str, int]:
    """The whole numbers of a file of lines `name: number kB`, in bytes."""
    pairs = (line.replace(":", " ").split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) * unit for pair in pairs if len(pair) > 1 and pair[1].isdigit()}


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""
