"""From a window to tokens by loops, and back."""

from __future__ import annotations

import pytest
import torch

from tsattn.nn.positional import PositionCode
from tsattn.nn.scaling import fit_scale, to_scaled
from tsattn.nn.tokens import TokenEmbedding, by_token, elapsed_time, timeline, to_patches

LENGTH, AHEAD, PATCH, VARIATES = 7, 5, 3, 2
SEEN = torch.tensor([True, True, False, True, False, False, False])


def window():
    generator = torch.Generator().manual_seed(0)
    context = torch.randn(2, LENGTH, VARIATES, generator=generator)
    observed = torch.ones_like(context, dtype=torch.bool)
    observed[0, :, 1] = SEEN
    return context, observed, torch.randn(2, LENGTH + AHEAD, 3, generator=generator)


def test_the_last_value_ends_the_last_patch_and_what_is_missing_is_0():
    context, observed, _ = window()
    patches = to_patches(context, observed, scaling="robust", patch_length=PATCH)
    scale = fit_scale("robust", context, observed)
    scaled = to_scaled(context, scale)
    assert patches.z.shape == patches.seen.shape == (4, 3, 3)
    for b in range(2):
        for v in range(VARIATES):
            row = b * VARIATES + v
            for place in range(9):
                step = place - 2  # two steps before the context
                there = step >= 0 and bool(observed[b, step, v])
                assert bool(patches.seen[row, place // 3, place % 3]) == there
                assert patches.z[row, place // 3, place % 3] == (scaled[b, step, v] if there else 0.0)
    assert patches.last.tolist() == [scaled[0, 6, 0], scaled[0, 3, 1], scaled[1, 6, 0], scaled[1, 6, 1]]
    assert torch.equal(patches.scale.loc, scale.loc)


def test_features_stand_at_the_steps_of_each_token_of_each_variate():
    context, observed, features = window()
    seen = to_patches(context, observed, scaling="standard", patch_length=PATCH).seen
    known = by_token(features, seen, AHEAD, PATCH)
    assert known.shape == (4, 5, 3, 3)
    for row in range(4):
        for place in range(15):
            step = place - 2
            expected = features[row // VARIATES, step] if 0 <= step < LENGTH + AHEAD else torch.zeros(3)
            assert torch.equal(known[row, place // 3, place % 3], expected)


def test_the_time_of_a_token_is_the_mean_of_its_observed_steps_since_the_first_future_one():
    context, observed, _ = window()
    seen = to_patches(context, observed, scaling="standard", patch_length=PATCH).seen
    time = torch.tensor([0.0, 1.0, 4.0, 9.0, 16.0, 25.0, 36.0, 50.0, 51.0, 53.0, 56.0, 60.0]).expand(2, -1)
    elapsed = elapsed_time(time, seen, AHEAD, PATCH)
    ahead = [(0 + 1 + 3) / 3, (6 + 10) / 2]  # the last token has two steps
    assert elapsed[0].tolist() == pytest.approx([-50.0, (1 + 4 + 9) / 3 - 50, (16 + 25 + 36) / 3 - 50, *ahead])
    assert elapsed[1].tolist() == pytest.approx([-50.0, (1 + 9) / 2 - 50, 0.0, *ahead])  # no step of the third is observed
    assert torch.equal(elapsed_time(time + 1000, seen, AHEAD, PATCH), elapsed)


def test_steps_before_the_first_observed_one_are_padding_whose_features_are_left_out():
    context, observed, features = window()
    observed[0, :4, 0] = False
    patches = to_patches(context, observed, scaling="standard", patch_length=PATCH)
    embedding = TokenEmbedding(
        8,
        PATCH,
        num_features=3,
        position=PositionCode("none", d_model=8, num_heads=2, num_context=3, num_future=2),
    )
    with torch.no_grad():
        expected = embedding(patches, features, AHEAD)
        for step, moves in ((3, False), (4, True), (LENGTH + AHEAD - 1, True)):
            changed = features.clone()
            changed[0, step] += 1
            moved = embedding(patches, changed, AHEAD)
            assert torch.equal(moved.x[0], expected.x[0]) != moves
    assert expected.valid.tolist() == [[False, False, True, True, True], [True, True, False, True, True], *[[True] * 5] * 2]


@pytest.mark.parametrize(("length", "stride"), [(LENGTH, 1), (LENGTH, 2), (LENGTH, 3), (8, 2), (2, 2), (3, 2)])
def test_patches_that_overlap_end_one_stride_after_another_and_the_last_with_the_context(length, stride):
    context, observed, features = window()
    context, observed, features = context[:, -length:], observed[:, -length:], features[:, -length - AHEAD :]
    length = context.shape[1]
    observed[1] = True
    patches = to_patches(context, observed, scaling="standard", patch_length=PATCH, stride=stride)
    num_past, num_future = patches.z.shape[1], -(-AHEAD // stride)
    assert num_past == -(-length // stride)  # each step is among the last of one of them
    scaled = to_scaled(context, fit_scale("standard", context, observed))
    known = by_token(features, patches.seen, AHEAD, stride)
    time = torch.arange(length + AHEAD, dtype=torch.float64).square().expand(2, -1)
    elapsed = elapsed_time(time, patches.seen, AHEAD, stride)
    steps_of = timeline(patches.seen, stride)
    for row, token in ((row, token) for row in range(4) for token in range(num_past + num_future)):
        b, v, times = row // VARIATES, row % VARIATES, []
        for place in range(PATCH):
            step = length - PATCH + (token - num_past + 1) * stride + place
            inside = 0 <= step < length + AHEAD
            assert torch.equal(known[row, token, place], features[b, step] if inside else torch.zeros(3))
            there = 0 <= step < length and bool(observed[b, step, v])
            if token < num_past:
                assert bool(patches.seen[row, token, place]) == there
                assert patches.z[row, token, place] == (scaled[b, step, v] if there else 0.0)
            if there or length <= step < length + AHEAD:
                times.append(float(time[b, step] - time[b, length]))
        assert float(elapsed[row, token]) == pytest.approx(sum(times) / len(times) if times else 0.0)
    for row in range(4):
        assert steps_of[row, -length:].tolist() == observed[row // VARIATES, :, row % VARIATES].tolist()
        assert not steps_of[row, :-length].any()
