"""Windows against plain loops over series and rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tsattn.data.windows import gather, panel_tensors, windows_between

CONTEXT, HORIZON = 5, 3


def loop_window(panel, series, cut, end):
    """Rows `cut - CONTEXT .. cut + HORIZON - 1` of one series of `end` rows, one by one; (values, observed, features)."""
    values, observed, features = [], [], []
    for row in range(cut - CONTEXT, cut + HORIZON):
        for v in range(panel.values.shape[1]):
            value = panel.values[panel.indptr[series] + row, v] if 0 <= row < end else np.nan
            observed.append(not np.isnan(value))
            values.append(0.0 if np.isnan(value) else value)
        stamp = min(max(panel.start[series] + row, 0), len(panel.calendar) - 1)
        features.append(panel.calendar[stamp])
    shape = (CONTEXT + HORIZON, panel.values.shape[1])
    return np.reshape(values, shape), np.reshape(observed, shape), np.stack(features)


@pytest.mark.parametrize("last", [None, [7, 0, 1, 10]])
def test_gather_equals_a_loop_over_series_rows_and_gaps(ragged_panel, last):
    tensors = panel_tensors(ragged_panel, None if last is None else np.array(last))
    ends = ragged_panel.lengths if last is None else last
    pairs = [(s, cut) for s in range(4) for cut in range(ends[s] + 1)]  # from no history to all of it
    series, cut = (torch.tensor(part) for part in zip(*pairs, strict=True))
    batch = gather(tensors, series, cut, context_length=CONTEXT, horizon=HORIZON)
    assert batch.features is not None
    for b, (s, c) in enumerate(pairs):
        values, observed, features = loop_window(ragged_panel, s, c, ends[s])
        np.testing.assert_array_equal(torch.cat([batch.context[b], batch.target[b]]).numpy(), values)
        np.testing.assert_array_equal(torch.cat([batch.observed[b], batch.target_observed[b]]).numpy(), observed)
        np.testing.assert_array_equal(batch.features[b].numpy(), features)
    assert batch.context.shape == (len(pairs), CONTEXT, 2)
    assert batch.target.shape == (len(pairs), HORIZON, 2)


def test_rows_beyond_an_earlier_end_have_no_influence(ragged_panel):
    last = np.array([6, 0, 1, 9])
    changed = ragged_panel._replace(values=ragged_panel.values.copy())
    for s in range(4):
        changed.values[ragged_panel.indptr[s] + last[s] : ragged_panel.indptr[s + 1]] = 1e6
    series, cut = torch.tensor([0, 0, 3, 3, 2, 1]), torch.tensor([4, 6, 8, 9, 1, 0])
    one, other = (
        gather(panel_tensors(panel, last), series, cut, context_length=CONTEXT, horizon=HORIZON)
        for panel in (ragged_panel, changed)
    )
    for name in one._fields:
        assert torch.equal(getattr(one, name), getattr(other, name))
    unlimited = gather(panel_tensors(changed), series, cut, context_length=CONTEXT, horizon=HORIZON)
    assert not torch.equal(unlimited.target, one.target)


def test_without_calendar_columns_there_are_no_features(ragged_panel):
    bare = ragged_panel._replace(calendar=np.zeros((1, 0), np.float32))
    batch = gather(panel_tensors(bare), torch.tensor([0]), torch.tensor([3]), context_length=CONTEXT, horizon=HORIZON)
    assert batch.features is None


def test_no_windows_give_an_empty_batch(ragged_panel):
    nothing = torch.zeros(0, dtype=torch.int64)
    batch = gather(panel_tensors(ragged_panel), nothing, nothing, context_length=CONTEXT, horizon=HORIZON)
    assert batch.context.shape == (0, CONTEXT, 2)
    assert batch.target.shape == (0, HORIZON, 2)


def test_tensors_share_the_memory_of_the_panel(ragged_panel):
    tensors = panel_tensors(ragged_panel)
    ragged_panel.values[0, 0] = 123.0
    assert float(tensors.values[0, 0]) == 123.0


cuts = st.lists(st.tuples(st.integers(0, 6), st.integers(-3, 9)), min_size=1, max_size=8)


@settings(deadline=None, derandomize=True, database=None)
@given(cuts)
def test_windows_between_numbers_exactly_the_cuts_that_a_loop_lists(pairs):
    first, last = (np.array(part, np.int64) for part in zip(*pairs, strict=True))
    expected = [(s, cut) for s in range(len(pairs)) for cut in range(first[s], last[s] + 1)]
    windows = windows_between(first, last)
    assert windows.total == len(expected)
    series, cut = windows.locate(np.arange(windows.total))
    assert list(zip(series.tolist(), cut.tolist(), strict=True)) == expected
    for number, pair in enumerate(expected):
        one_series, one_cut = windows.locate(np.array([number]))
        assert (int(one_series[0]), int(one_cut[0])) == pair


@settings(deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=5), st.integers(1, 4))
def test_no_target_of_a_window_crosses_the_end_it_was_given(pairs, horizon):
    lengths, wanted = (np.array(part, np.int64) for part in zip(*pairs, strict=True))
    end = np.minimum(wanted, lengths)
    windows = windows_between(np.ones_like(end), end - horizon)
    series, cut = windows.locate(np.arange(windows.total))
    assert windows.total == sum(max(0, int(e) - horizon) for e in end)
    assert (cut + horizon <= end[series]).all()
    assert (cut >= 1).all()
