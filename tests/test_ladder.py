"""The verdict windows: which rows a rung sees, and the errors it gets, worked out by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tsattn import ladder
from tsattn.data.panel import Panel
from tsattn.fitted import Fitted, Prediction, Schema, Settings
from tsattn.sizing import split_parts
from tsattn.verdict import Verdict

NAN = float("nan")


def panel_of(*series: list[float]) -> Panel:
    indptr = np.cumsum([0, *map(len, series)]).astype(np.int64)
    values = np.concatenate(series).astype(np.float32)[:, None]
    names = tuple(f"s{i}" for i in range(len(series)))
    return Panel(
        values,
        indptr,
        np.zeros(len(series), np.int64),
        np.zeros((1, 0), np.float32),
        "D",
        names,
        np.zeros(len(series), np.int64),
    )


def draft_of(panel: Panel, *, horizon: int = 2, season_length: int = 1) -> Fitted:
    """A fit without a network."""
    schema = Schema(None, None, None, "D", season_length, False, (), len(panel.ids), len(panel.values), "")
    return Fitted(schema, Settings(horizon, 4, (0.1, 0.5, 0.9), (0.1, 0.5, 0.9), 0), Verdict("last_value", "cannot judge", ""))


def verdict_of(panel: Panel, horizon: int = 2, **options) -> Verdict:
    draft = draft_of(panel, horizon=horizon)
    return ladder.verdict_of(draft, ladder.score_windows(draft, panel, split_parts(panel.lengths, horizon)), **options)


def test_a_straight_line_is_answered_by_drift_with_errors_known_by_hand():
    found = verdict_of(panel_of([float(t) for t in range(40)]), reason="No model was trained. ")
    assert found.answer == "drift"
    assert found.num_windows == 4  # 40 // 5 // 2
    assert found.mase["drift"] == pytest.approx(0, abs=1e-5)
    assert found.mase["last_value"] == pytest.approx(1.5)  # errors 1 and 2 in units of a step of 1
    assert found.coverage == 1.0
    assert found.text.startswith("No model was trained.")


def test_each_window_is_forecast_from_the_rows_before_it_and_from_no_other(monkeypatch):
    panel = panel_of([float(t) for t in range(100)], [float(-t) for t in range(5)], [float(t) for t in range(30)])
    seen, plain = [], ladder.forecast_from

    def recorded(rung, history, **options):
        if rung == "last_value":
            seen.append(history.last_value.tolist())
        answer = plain(rung, history, **options)
        return answer._replace(mean=0 * answer.mean, quantiles=0 * answer.quantiles)

    monkeypatch.setattr(ladder, "forecast_from", recorded)
    found = verdict_of(panel, horizon=5)
    # a typical series of the long ones has 65 rows: 65 // 5 // 5 = 2, so 3 windows, 15 rows before the end of all; 5 rows: none
    np.testing.assert_array_equal(seen, [[[84, 89, 94], [NAN] * 3, [14, 19, 24]]])
    assert found.num_windows == 6
    # the errors are those of a forecast of 0, in units of a step of 1: the mean of the values themselves
    expected = [np.mean(range(first, first + 5)) for first in (85, 15, 90, 20, 95, 25)]
    assert found.mase["last_value"] == pytest.approx(np.mean(expected))


def test_the_network_is_shown_its_context_alone_and_a_naive_rung_stands_in_where_that_is_empty(monkeypatch):
    silent = [*range(30), *[NAN] * 6, 36.0, 37.0, 38.0, 39.0]
    panel = panel_of([float(t) for t in range(40)], [float(t) for t in silent])
    seen = []

    def recorded(fitted, panel, horizon, rung):
        seen.append([part.tolist() for part in np.split(panel.values[:, 0], panel.indptr[1:-1])])
        quantiles = np.full((len(panel.ids), horizon, 3), 50.0)
        return Prediction(quantiles[..., 1], quantiles)

    monkeypatch.setattr(ladder, "predict", recorded)
    draft = dataclasses.replace(draft_of(panel), network=object())
    windows = ladder.score_windows(draft, panel, split_parts(panel.lengths, 2))
    rows = [[float(t) for t in range(cut - 4, cut)] for cut in (32, 34, 36, 38)]
    late = [[28.0, 29.0, NAN, NAN], [NAN] * 4, [NAN] * 4, [NAN, NAN, 36.0, 37.0]]
    np.testing.assert_array_equal(seen, [list(pair) for pair in zip(rows, late, strict=True)])
    expected = [50 - np.mean([cut, cut + 1]) for cut in (32, 34, 36, 38)]  # in units of a step of 1
    first, second = (windows.errors["network"][windows.series == s] for s in (0, 1))
    np.testing.assert_allclose(first, expected)
    np.testing.assert_allclose(second[[2, 3]], [7.5, expected[3]])  # 36 and 37 after a last value of 29
    assert np.isnan(second[[0, 1]]).all()  # their values are missing


def test_rows_of_the_verdict_part_do_not_change_the_unit_of_error():
    quiet, loud = [float(t % 2) for t in range(40)], [float(t % 2) for t in range(40)]
    loud[32:] = [100.0] * 8
    one, other = verdict_of(panel_of(quiet)), verdict_of(panel_of(loud))
    assert one.mase["last_value"] == pytest.approx(0.5)  # off by 0 and 1, the step before the cut being 1
    assert other.mase["last_value"] == pytest.approx((99 + 99 + 0 + 0 + 0 + 0 + 0 + 0) / 8)


def test_missing_values_and_series_not_begun_are_not_scored():
    values = [float(t) for t in range(40)]
    values[33] = NAN  # one of two steps of the first window, and the last row before the second
    late = [NAN] * 38 + [7.0, 7.0]
    found = verdict_of(panel_of(values, late))
    assert found.num_windows == 4
    assert found.mase["last_value"] == pytest.approx(
        (1 + 2.5 + 1.5 + 1.5) / 4
    )  # the last known value is two rows back in the second


def test_every_window_says_which_series_which_cut_and_how_far_off_each_rung_was():
    panel = panel_of([float(t) for t in range(40)], [0.0] * 5, [float(2 * t) for t in range(40)])
    windows = ladder.score_windows(draft_of(panel), panel, split_parts(panel.lengths, 2))
    assert windows.series.tolist() == [
        0,
        2,
        0,
        2,
        0,
        1,
        2,
        0,
        1,
        2,
    ]  # 5 rows are begun at the third date, 4 rows before the end
    assert windows.origin.tolist() == [0, 0, 1, 1, 2, 2, 2, 3, 3, 3]
    assert windows.cut.tolist() == [32, 32, 34, 34, 36, 1, 36, 38, 3, 38]
    assert list(windows.errors) == ladder.rungs_of(draft_of(panel))
    expected = np.where(windows.series == 1, 0, 1.5)  # each in units of its own step
    np.testing.assert_allclose(windows.errors["last_value"], expected)
    assert windows.inside["last_value"].shape == (10, 2)


def test_without_a_verdict_part_there_is_no_window():
    panel = panel_of([1.0, 2.0, 3.0])
    windows = ladder.score_windows(draft_of(panel), panel, split_parts(panel.lengths, 2))
    assert windows.series.shape == windows.errors["drift"].shape == (0,)
    assert ladder.verdict_of(draft_of(panel), windows).decision == "cannot judge"


def test_targets_are_the_values_from_the_cut_on_and_nan_beyond_the_end():
    panel = panel_of([0.0, 1.0, 2.0], [5.0, NAN, 6.0, 7.0])
    found = ladder.targets(panel, np.array([0, 1, 0]), np.array([1, 0, 3]), 3)
    np.testing.assert_array_equal(found, [[1, 2, NAN], [5, NAN, 6], [NAN, NAN, NAN]])


@pytest.mark.parametrize(
    ("values", "season", "unit"),
    [
        ([0.0, 1.0, 3.0, 6.0], 1, 2.0),  # steps of 1, 2, 3
        ([0.0, 1.0, 3.0, 6.0], 2, 4.0),  # 3 and 5
        ([1.0, 5.0, 1.0, 5.0], 2, 4.0),  # a season without error: the steps take its place
        ([3.0, 3.0, 3.0, 3.0], 1, 3.0),  # nothing moves: the size of the values
        ([0.0, 0.0], 1, 1.0),  # nothing at all
        ([1.0, 4.0], 7, 3.0),  # shorter than a season
        ([NAN, NAN], 1, 1.0),
        ([0.0, NAN, 1.0, 3.0], 1, 2.0),  # known neighbours alone
    ],
)
def test_the_unit_of_error_is_the_seasonal_naive_one_or_what_stands_in_for_it(values, season, unit):
    panel = panel_of(values)
    assert ladder.units_of_error(panel, panel.lengths, season).tolist() == pytest.approx([unit])


def test_a_series_that_begins_within_the_verdict_part_is_measured_by_its_own_rows():
    long = [float(t % 3) for t in range(100)]
    late = [5000.0 + 10 * (t % 2) for t in range(9)]  # the verdict part of all begins 20 rows before the end
    found = verdict_of(panel_of(long, long, late), horizon=5)
    assert found.num_windows == 9
    assert found.mase["last_value"] < 2
