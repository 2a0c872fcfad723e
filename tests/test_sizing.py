"""Sizes from row counts: tables worked out by hand, and the order of train, validation and verdict rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsattn import sizing
from tsattn.config import EncoderConfig, EncoderDecoderConfig, PatchConfig


@pytest.mark.parametrize(("season", "horizon"), [(1, 7), (7, 7), (12, 12), (24, 24), (52, 52)])
def test_the_horizon_is_one_season_or_seven_steps(season, horizon):
    assert sizing.default_horizon(season)[0] == horizon
    assert str(horizon) in sizing.default_horizon(season)[1]


@pytest.mark.parametrize(
    ("horizon", "season", "longest", "context"),
    [
        (7, 7, 1000, 42),  # six horizons
        (1, 7, 1000, 28),  # four seasons
        (14, 1, 1000, 84),
        (24, 168, 5000, 672),
        (7, 7, 49, 42),  # 42 rows before a window: just enough
        (7, 7, 48, 41),  # one row too few
        (12, 12, 20, 8),
        (10, 1, 5, 1),  # never below one step
    ],
)
def test_the_context_is_six_horizons_or_four_seasons_where_the_data_hold_them(horizon, season, longest, context):
    found, reason = sizing.default_context_length(horizon, season, longest)
    assert found == context
    assert ("more than" in reason) == (context < max(6 * horizon, 4 * season))


@pytest.mark.parametrize(
    ("context", "horizon", "season", "patch"),
    [
        (57, 7, 7, 1),  # 64 steps: a token each
        (58, 7, 7, 7),
        (72, 24, 24, 12),  # half a day: 24 is more than 16
        (336, 96, 24, 12),
        (100, 10, 12, 12),
        (208, 52, 52, 13),  # a quarter of a year
        (100, 10, 1, 8),
        (700, 24, 168, 8),  # no part of a week of hours is 16 or less
    ],
)
def test_a_patch_is_a_whole_part_of_the_season_in_long_windows(context, horizon, season, patch):
    assert sizing.default_patch_length(context, horizon, season)[0] == patch


def complete(model: EncoderConfig, num_rows: int = 200) -> EncoderConfig:
    return sizing.complete_model(model, num_rows=num_rows, context_length=42, horizon=7, season_length=7)[0]


@pytest.mark.parametrize(
    ("num_rows", "sizes"),
    [(0, (16, 1)), (499, (16, 1)), (500, (32, 2)), (4_999, (32, 2)), (99_999, (64, 2)), (100_000, (64, 3))],
)
def test_the_model_grows_with_the_number_of_rows(num_rows, sizes):
    model = complete(EncoderConfig(), num_rows)
    assert (model.d_model, model.num_layers) == sizes
    assert model.d_ff == 2 * model.d_model
    assert model.d_model % model.num_heads == 0


def test_a_short_series_gets_a_small_model():
    from tsattn.models.encoder import Encoder

    model = complete(EncoderConfig(head="quantile"), 200)
    network = Encoder(model, num_features=8, context_length=42, horizon=7, levels=[0.1, 0.5, 0.9])
    assert sum(p.numel() for p in network.parameters()) < 20_000


def test_given_sizes_are_kept_and_nothing_else_is_changed():
    given_sizes = {"d_model": 48, "num_layers": 4, "num_heads": 2, "d_ff": 100, "patch_length": 3}
    model = complete(EncoderConfig(**given_sizes, attention="causal", dropout=0.25, head="point"))
    assert {name: getattr(model, name) for name in given_sizes} == given_sizes
    assert (model.attention, model.dropout, model.head) == ("causal", 0.25, "point")
    assert complete(PatchConfig()).patch_length == 16
    assert (
        "16 steps per token, as given"
        in sizing.complete_model(PatchConfig(), num_rows=9, context_length=9, horizon=1, season_length=1)[1]
    )


@pytest.mark.parametrize(
    ("lengths", "horizon", "validation", "verdict"),
    [
        # one series of 100 rows: 100 // 5 // 5 = 4 windows of 5 from row 80, 100 // 8 = 12 rows before it for validation
        ([100], 5, [68], [80]),
        # 1000 rows, horizon 5: 40 windows = 200 rows; 125 rows for validation
        ([1000], 5, [675], [800]),
        # 10,000 rows, horizon 5: 400 windows would fit, 40 are taken; validation no longer than they are
        ([10_000], 5, [9_600], [9_800]),
        # a single series of 40 rows, horizon 5: a fifth is 1 window, 3 are needed and leave (20 - 5) // 5 = 3
        ([40], 5, [20], [25]),
        # of a single series of 35 rows, half leaves 2 windows
        ([35], 5, [20], [25]),
        # one window where each of the three parts can have a horizon of rows
        ([19], 5, [9], [14]),
        # too short to hold out anything: training alone
        ([16], 5, [16], [16]),
        ([0], 5, [0], [0]),
        # half of thirty rows leaves 2 windows
        ([30, 30, 30], 5, [15, 15, 15], [20, 20, 20]),
        # a short series beside long ones is not learned from at dates at which they are judged: it is all held out
        ([100, 8, 100], 5, [68, 0, 68], [80, 0, 80]),
    ],
)
def test_the_parts_of_series_worked_out_by_hand(lengths, horizon, validation, verdict):
    parts = sizing.split_parts(np.array(lengths), horizon)
    assert parts.validation.tolist() == validation
    assert parts.verdict.tolist() == verdict
    assert parts.end.tolist() == lengths
    whole = [(n - v) // horizon for n, v in zip(lengths, verdict, strict=True)]
    assert parts.num_verdict.tolist() == whole


def test_parts_are_cut_at_the_same_dates_when_series_end_together_and_from_their_own_end_otherwise():
    lengths = np.array([100, 100, 60])
    ended_early = sizing.split_parts(lengths, 5, np.array([0, 0, 10]))  # the third ends ten rows before the others
    assert ended_early.verdict.tolist() == [80, 80, 50]  # 20 rows before the latest end: of its own rows the last 10
    assert [ended_early.cuts(k).tolist() for k in range(4)] == [[80, 80, 50], [85, 85, 55], [90, 90, 0], [95, 95, 0]]
    unrelated = sizing.split_parts(lengths, 5, np.array([0, 300, 900]))
    assert unrelated.verdict.tolist() == [80, 80, 40]


@given(lengths=st.lists(st.integers(0, 3000), min_size=1, max_size=8), horizon=st.integers(1, 100))
def test_the_parts_never_overlap_and_half_of_a_typical_series_is_for_training(lengths, horizon):
    lengths = np.array(lengths)
    parts = sizing.split_parts(lengths, horizon)
    assert (parts.validation >= 0).all()
    assert (parts.validation <= parts.verdict).all()
    assert (parts.verdict <= parts.end).all()
    assert (parts.end == lengths).all()
    assert (parts.num_verdict <= min(parts.num_origins, sizing.MAX_ORIGINS)).all()
    for origin in range(parts.num_origins):
        cut = parts.cuts(origin)
        assert ((lengths - cut)[cut > 0] == (parts.num_origins - origin) * horizon).all()  # one date for all series
        assert (cut[cut > 0] >= parts.verdict[cut > 0]).all()
    usable = lengths[lengths >= 3 * horizon + 2]
    if len(usable):
        typical = int(np.median(usable))
        held_out = lengths.max() - parts.validation[lengths.argmax()]
        assert held_out <= max(typical // 2, 2 * horizon) + typical // 8
        assert held_out >= 2 * horizon  # room for one validation window and one verdict window
    else:
        assert parts.validation.tolist() == lengths.tolist()


@given(lengths=st.lists(st.integers(1, 3000), min_size=2, max_size=8), horizon=st.integers(1, 100))
def test_the_order_of_series_does_not_change_their_parts(lengths, horizon):
    forwards, backwards = (sizing.split_parts(np.array(part), horizon) for part in (lengths, lengths[::-1]))
    assert forwards.validation.tolist() == backwards.validation.tolist()[::-1]
    assert forwards.verdict.tolist() == backwards.verdict.tolist()[::-1]


def test_a_large_panel_holds_out_a_bounded_number_of_windows():
    parts = sizing.split_parts(np.full(10_000, 2000), 5)
    assert parts.num_verdict.tolist() == [3] * 10_000
    assert sizing.split_parts(np.full(1_000, 2000), 5).num_verdict.sum() == sizing.MAX_HELD_OUT_WINDOWS


@pytest.mark.parametrize(
    ("config", "context", "told"),
    [
        (EncoderConfig, 30, False),
        (EncoderConfig, 24, True),
        (EncoderDecoderConfig, 30, True),
        (EncoderDecoderConfig, 33, False),
    ],
)
def test_local_attention_over_all_tokens_is_told_of(config, context, told):
    """Blocks of 32 tokens: an encoder alone holds those of 7 future steps too."""
    model = config(attention="local", attention_window=32, patch_length=1)
    assert bool(sizing.idle_attention(model, context, 7)) == told
