"""What the commands print and write: tables in plain text, as CSV and as Parquet."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

from tsattn.files import write_file

OTHER_FORMATS = (".xlsx", ".xls", ".ods", ".json", ".feather", ".zip", ".bz2", ".xz", ".zst", ".html", ".db")


def check_table_path(path: str | None) -> None:
    """Refuse a folder in place of a file, before the work and not after it."""
    if path is not None and Path(path).is_dir():
        raise ValueError(f"output={path} is a folder: name a file, for example {Path(path) / 'forecast.csv'}")
    if path is not None and Path(path).suffix.lower() in OTHER_FORMATS:
        raise ValueError(f"output={path}: tables are written as CSV (.csv, .csv.gz) or Parquet (.parquet)")


def write_table(table: Any, path: str) -> None:
    """The table as CSV, or as Parquet where the name ends so; the old file stays until the new one is complete."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix.lower() in (".parquet", ".pq"):
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        write_file(target, buffer.getvalue())
    else:
        content = table.to_csv(index=False).encode()
        write_file(target, gzip.compress(content) if target.suffix.lower() == ".gz" else content)


def show_table(table: Any, most: int = 30) -> str:
    """The table in plain text with few digits, middle rows left out beyond `most`."""
    numbers = table.select_dtypes("number").columns
    shown = table.copy()
    for name in numbers:
        if table[name].dtype.kind == "f":
            shown[name] = table[name].map(lambda value: f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}")
    if len(shown) <= most:
        return shown.to_string(index=False)
    head, tail = shown.head(most - 5), shown.tail(5)
    left_out = len(shown) - most
    lines = shown.loc[[*head.index, *tail.index]].to_string(index=False).splitlines()
    return "\n".join([*lines[:-5], f"... {left_out} rows more ...", *lines[-5:]])
