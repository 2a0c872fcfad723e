"""Histories before many cuts at once against loops over one history, one number after the other."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from tsattn.history import blocks, look_back, seasonal_scales
from tsattn.metrics import seasonal_scale

NAN = math.nan


@pytest.fixture(scope="module")
def ragged() -> list[np.ndarray]:
    """Series of very different size and length: whole, with holes, silent at first, without a value, empty."""
    rng = np.random.default_rng(5)
    series = [10.0 ** (3 * s) * (5 + rng.normal(size=length).cumsum()) for s, length in enumerate([40, 25, 31, 12, 9, 0])]
    series[1][rng.random(25) < 0.4] = NAN
    series[2][:14] = NAN
    series[4][:] = NAN
    return series


def residuals(y: list[float]) -> list[tuple[float, int]]:
    known = [t for t in range(len(y)) if not math.isnan(y[t])]
    return [(y[t] - y[s], t - s) for s, t in itertools.pairwise(known)]


@pytest.mark.parametrize("rows", [5, 16, 1000])  # pieces of a series, a series, several
@pytest.mark.parametrize("season", [1, 3, 12])
def test_every_cut_has_the_sums_of_a_loop_over_the_rows_before_it(ragged, rows, season, monkeypatch):
    monkeypatch.setattr("tsattn.history.ROWS", rows)
    values, lengths = np.concatenate(ragged), np.array([len(y) for y in ragged])
    begin = np.cumsum(lengths) - lengths
    cuts = np.stack([lengths // 3, lengths // 2, lengths], axis=1)
    for part in blocks(lengths):
        found = look_back(values, begin[part], cuts[part], season_length=season, horizon=5)
        scales = seasonal_scales(found)
        for (i, s), k in itertools.product(enumerate(range(part.start, part.stop)), range(3)):
            y = ragged[s][: cuts[s, k]].tolist()
            known = [value for value in y if not math.isnan(value)]
            steps, seasons = residuals(y), [pair for p in range(season) for pair in residuals(y[p::season])]
            slope = (known[-1] - known[0]) / max(sum(gap for _, gap in steps), 1) if known else 0.0
            expected = {
                "count": len(known),
                "volume": sum(map(abs, known)),
                "squares": sum(value**2 for value in known),
                "sloped": sum((rise - gap * slope) ** 2 / gap for rise, gap in steps),
            }
            for name, value in expected.items():
                assert getattr(found, name)[i, k] == pytest.approx(value, rel=1e-10), name
            for sums, pairs in ((found.steps, steps), (found.seasons, seasons)):
                assert sums.count[i, k] == len(pairs)
                assert sums.squares[i, k] == pytest.approx(sum(rise**2 / gap for rise, gap in pairs), rel=1e-10)
            unit = seasonal_scale(np.array([y]), season)[0] if y else NAN
            if unit > 0:
                assert scales[i, k] == pytest.approx(unit, rel=1e-10)


def test_residuals_from_a_slope_keep_their_digits_before_a_spike_a_million_times_as_large():
    line = np.arange(200) + np.tile([0.0, 0.5], 100)
    values = np.append(line, 1e9)
    found = look_back(values, np.array([0]), np.array([[100, 200, 201]]), season_length=1, horizon=1)
    for k, cut in enumerate((100, 200)):
        rises = np.diff(line[:cut])
        assert found.sloped[0, k] == pytest.approx(((rises - (line[cut - 1] - line[0]) / (cut - 1)) ** 2).sum(), rel=1e-12)


def test_blocks_hold_neighbouring_series_and_cover_all(monkeypatch):
    monkeypatch.setattr("tsattn.history.ROWS", 200)
    found = list(blocks(np.array([1, 64, 72, 500, 3, 0])))
    assert found == [slice(0, 3), slice(3, 4), slice(4, 6)]  # 64 + 64 + 72, 500, 64 + 64
    assert list(blocks(np.zeros(0, int))) == []
