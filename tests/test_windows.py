"""Windows against plain loops over series and rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tsattn.data.panel import select
from tsattn.data.windows import dates_between, features_at_end, gather, panel_tensors, windows_between

CONTEXT, HORIZON = 5, 3


def loop_window(panel, series, cut, end):
    """Rows `cut - CONTEXT .. cut + HORIZON - 1` of one series of `end` rows, one by one; (values, observed, features)."""
    values, observed, features = [], [], []
    has_history = [False] * panel.values.shape[1]
    for row in range(cut - CONTEXT, cut + HORIZON):
        for v in range(panel.values.shape[1]):
            value = panel.values[panel.indptr[series] + row, v] if 0 <= row < end else np.nan
            has_history[v] |= row < cut and not np.isnan(value)
            if row >= cut and not has_history[v]:  # nothing tells its scale
                value = np.nan
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


# ---- covariates --------------------------------------------------------------------------------------------------------


@pytest.fixture
def panel_with_covariates(ragged_panel):
    """Three covariates, the second known ahead, with HORIZON rows after the end of each series."""
    lengths = ragged_panel.lengths + HORIZON
    table = np.random.default_rng(1).normal(size=(lengths.sum(), 3)).astype(np.float32)
    start = np.cumsum(lengths) - lengths
    return ragged_panel._replace(covariates=table, covariate_start=start, known_ahead=np.array([False, True, False]))


def loop_covariates(panel, series, cut):
    """Covariates of the rows around a cut, one by one: nothing before the first row, nothing ahead that is not known."""
    found = np.zeros((CONTEXT + HORIZON, 3), np.float32)
    for place, row in enumerate(range(cut - CONTEXT, cut + HORIZON)):
        for column in range(3):
            if row >= 0 and (row < cut or column == 1):
                found[place, column] = panel.covariates[panel.covariate_start[series] + row, column]
    return found


def test_covariates_follow_the_calendar_and_end_at_the_cut_unless_known_ahead(panel_with_covariates):
    panel = panel_with_covariates
    pairs = [(s, cut) for s in range(4) for cut in range(panel.lengths[s] + 1)]
    series, cut = (torch.tensor(part) for part in zip(*pairs, strict=True))
    batch = gather(panel_tensors(panel), series, cut, context_length=CONTEXT, horizon=HORIZON)
    assert batch.features is not None
    assert batch.features.shape[2] == panel.num_features == 6
    for b, (s, c) in enumerate(pairs):
        np.testing.assert_array_equal(batch.features[b, :, 3:].numpy(), loop_covariates(panel, s, c))
        np.testing.assert_array_equal(batch.features[b, :, :3].numpy(), loop_window(panel, s, c, panel.lengths[s])[2])


def test_a_forecast_from_the_end_sees_the_features_of_a_window_cut_there(panel_with_covariates):
    panel = panel_with_covariates
    at_end = features_at_end(panel, CONTEXT, HORIZON)
    assert at_end is not None
    for s, length in enumerate(panel.lengths):
        np.testing.assert_array_equal(at_end[s, :, 3:], loop_covariates(panel, s, length))
        np.testing.assert_array_equal(at_end[s, :, :3], loop_window(panel, s, length, length)[2])


def test_what_a_past_covariate_holds_after_the_cut_reaches_nothing(panel_with_covariates):
    panel, cut = panel_with_covariates, 6
    poisoned = panel.covariates.copy()
    poisoned[panel.covariate_start[0] + cut : panel.covariate_start[1], [0, 2]] = 1e9
    where = {"context_length": CONTEXT, "horizon": HORIZON}
    one, other = (
        gather(panel_tensors(p), torch.tensor([0]), torch.tensor([cut]), **where)
        for p in (panel, panel._replace(covariates=poisoned))
    )
    assert torch.equal(one.features, other.features)
    later = gather(panel_tensors(panel._replace(covariates=poisoned)), torch.tensor([0]), torch.tensor([cut + 1]), **where)
    assert later.features.max() == 1e9  # one step on it is history


def test_cutting_and_choosing_series_keeps_their_covariates(panel_with_covariates):
    panel = panel_with_covariates
    cut = select(panel, np.arange(4), np.array([2, 0, 0, 3]))
    chosen = select(cut, np.array([3, 0]))
    before, after = features_at_end(panel, 2, HORIZON), features_at_end(chosen, 2, HORIZON)
    np.testing.assert_array_equal(after, before[[3, 0]])


# ---- series together ---------------------------------------------------------------------------------------------------


def test_series_together_are_cut_at_the_same_date(ragged_panel):
    single = ragged_panel._replace(values=ragged_panel.values[:, :1])
    offset = single.lengths.max() - single.lengths  # all end at the same date
    windows = dates_between(np.array([2, 1, 1, 2]), single.lengths - HORIZON, offset)
    dates = [date for date in range(14) if any(2 <= date - offset[s] <= single.lengths[s] - HORIZON for s in (0, 3))]
    assert windows.total == len(dates)
    series, cut = windows.locate(np.arange(windows.total))
    assert series.shape == cut.shape == (len(dates), 4)
    where = {"context_length": CONTEXT, "horizon": HORIZON}
    joint = gather(panel_tensors(single), torch.from_numpy(series), torch.from_numpy(cut), **where)
    for b, date in enumerate(dates):
        for s in range(4):
            values, observed, _ = loop_window(single, s, date - offset[s], single.lengths[s])
            np.testing.assert_array_equal(torch.cat([joint.context[b], joint.target[b]])[:, s].numpy(), values[:, 0])
            seen = torch.cat([joint.observed[b], joint.target_observed[b]])[:, s]
            np.testing.assert_array_equal(seen.numpy(), observed[:, 0])
    first = gather(panel_tensors(single), torch.from_numpy(series[:, 0]), torch.from_numpy(cut[:, 0]), **where)
    assert torch.equal(joint.features, first.features)


def test_a_series_that_begins_after_the_cut_has_no_targets(ragged_panel):
    level = ragged_panel._replace(values=np.full_like(ragged_panel.values, 1e6))
    series, cut = torch.tensor([[0, 3]]), torch.tensor([[4, -1]])
    batch = gather(panel_tensors(level._replace(values=level.values[:, :1])), series, cut, context_length=4, horizon=HORIZON)
    assert batch.target_observed[0].all(dim=0).tolist() == [True, False]
    assert batch.target[0, :, 1].tolist() == [0.0] * HORIZON


def test_no_date_fits_where_every_series_is_too_short():
    windows = dates_between(np.array([3, 3]), np.array([2, 0]), np.zeros(2, np.int64))
    assert windows.total == 0
