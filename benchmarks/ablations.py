"""What each kind of attention and each position code is worth: the tables of two multiruns, kept here.

    TSATTN_DATA=FOLDER python -m tsattn.train --multirun experiment=ablate_attention output=runs/ablate_attention
    TSATTN_DATA=FOLDER python -m tsattn.train --multirun experiment=ablate_positional output=runs/ablate_positional
    python benchmarks/ablations.py runs/ablate_attention runs/ablate_positional

The multiruns (about 50 minutes together on one free core) compare their runs themselves; this copies `comparison.csv` and
`comparison.md` to `benchmarks/results/ablations/` and writes the tables into `benchmarks/README.md`.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "ablations"
BEGIN, END = "<!-- ablations: begin -->", "<!-- ablations: end -->"


def tables() -> str:
    """The tables of every comparison that is kept, a heading for each."""
    parts = []
    for path in sorted(RESULTS.glob("*.md")):
        groups = path.read_text().split("## ")[1:]
        parts.append(f"### {path.stem}")
        for group in groups:
            title, table = group.split("\n", 1)
            parts.append(f"**{title}**\n\n{re.sub(r' +', ' ', table).strip()}")
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", help="sweep folders; none: only write the tables again")
    RESULTS.mkdir(parents=True, exist_ok=True)
    for folder in parser.parse_args().folders:
        for name in ("comparison.csv", "comparison.md"):
            (RESULTS / f"{folder.name}{Path(name).suffix}").write_text((folder / name).read_text())
    readme = HERE / "README.md"
    before, rest = readme.read_text().split(BEGIN)
    readme.write_text(f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
