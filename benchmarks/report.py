"""Tables of the benchmarks in their README, each between the marks of its name."""

from __future__ import annotations

from pathlib import Path

README = Path(__file__).resolve().parent / "README.md"


def put(name: str, table: str) -> None:
    """The table in the place of the one that stood there."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, after = README.read_text().split(begin)[0], README.read_text().split(end)[1]
    README.write_text(f"{before}{begin}\n{table}\n{end}{after}")
    print(f"table: {README}")
