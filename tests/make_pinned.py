"""Forecasts of ten series by the network that ships, for the test that nothing changes them.

    python tests/make_pinned.py

Made again whenever other weights are put into the package.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tsattn import zero_shot
from tsattn.data.panel import Panel

PINNED = Path(__file__).parent / "pinned_forecasts.json"
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
HORIZON = 6


def series() -> list[np.ndarray]:
    """Short and long, with and without season, counts, a walk, gaps, and one that never changes."""
    random = np.random.default_rng(5)
    t = np.arange(600)
    gaps = 10 + np.sin(t[:80] / 5)
    gaps[[3, 20, 21, 22, 60]] = np.nan
    return [
        np.array([2.0, 5, 10, 6, 8]),
        np.array([7.0, 9, 8]),
        100 * 1.01 ** t[:90] * (1 + 0.3 * np.sin(2 * np.pi * t[:90] / 12)),
        50 + t[:40] + np.tile([5.0, -3, 8, -10], 10),
        random.poisson(np.where(t[:200] % 7 < 5, 120, 30)).astype(float),
        random.poisson(0.4, 60).astype(float),
        random.normal(size=150).cumsum(),
        gaps,
        np.sin(2 * np.pi * t / 24) + 0.3 * np.sin(2 * np.pi * t / 168) + 0.1 * random.normal(size=600),
        np.full(30, 4.0),
    ]


def panel_of(parts: list[np.ndarray]) -> Panel:
    """Series as a panel without calendar."""
    indptr = np.concatenate([[0], np.cumsum([len(y) for y in parts])]).astype(np.int64)
    zeros = np.zeros(len(parts), np.int64)
    ids = tuple(map(str, range(len(parts))))
    return Panel(np.concatenate(parts)[:, None], indptr, zeros, np.zeros((1, 0), np.float32), "D", ids, zeros)


def main() -> None:
    """Write the series, rounded, and the quantiles of the steps after them."""
    parts = [y.round(6) for y in series()]
    _, quantiles = zero_shot.forecast(panel_of(parts), HORIZON, levels=LEVELS)
    shown = [[None if np.isnan(value) else value for value in y.tolist()] for y in parts]
    found = {"sha256": zero_shot.pretrained().sha256, "series": shown, "quantiles": quantiles.round(8).tolist()}
    PINNED.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
