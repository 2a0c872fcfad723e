"""Seeded synthetic panels, shared by the tests."""

from __future__ import annotations

import numpy as np
import pytest

from tsattn.data.panel import Panel

LENGTHS = [9, 0, 1, 14]
STARTS = [5, 0, 3, 2]  # calendar row of the first row of each series
CALENDAR_ROWS = 25


@pytest.fixture
def ragged_panel() -> Panel:
    """Four series of 9, 0, 1 and 14 rows with two variates, gaps, and a calendar of three columns that reaches 6 rows on."""
    rng = np.random.default_rng(0)
    values = rng.normal(10, 3, (sum(LENGTHS), 2)).astype(np.float32)
    values[rng.random(values.shape) < 0.2] = np.nan
    calendar = rng.uniform(-1, 1, (CALENDAR_ROWS, 3)).astype(np.float32)
    indptr = np.cumsum([0, *LENGTHS]).astype(np.int64)
    return Panel(values, indptr, np.array(STARTS, np.int64), calendar, "D", ("a", "empty", "single", "long"))
