"""Position codes by their formulas, number by number."""

from __future__ import annotations

import cmath
import math

import pytest
import torch

from tsattn.config import POSITIONALS
from tsattn.nn.positional import (
    UNPLACED,
    Learned,
    Position,
    PositionCode,
    RelativeBias,
    alibi,
    bias_at,
    bucket,
    distances,
    expand_bias,
    rotary_angles,
    rotate,
    sinusoidal,
)

POSITIONS = torch.tensor([-700, -31, -2, -1, 0, 1, 24])


def random_heads(num_tokens, width=8, seed=0):
    return torch.randn(2, 3, num_tokens, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("width", [2, 7, 8])
def test_sinusoidal_equals_its_formula(width):
    code = sinusoidal(POSITIONS, width)
    assert code.shape == (len(POSITIONS), width)
    for n, position in enumerate(POSITIONS.tolist()):
        for i in range(width):
            angle = position / 10_000 ** (2 * (i // 2) / width)
            expected = math.sin(angle) if i % 2 == 0 else math.cos(angle)
            assert float(code[n, i]) == pytest.approx(expected, abs=1e-4)


def test_sinusoidal_takes_real_positions_of_each_window():
    times = torch.tensor([[-7.25, -3.0, 0.5], [-1.5, 0.0, 2.75]])
    code = sinusoidal(times, 6)
    assert code.shape == (2, 3, 6)
    for b in range(2):
        for n in range(3):
            for i in range(6):
                angle = float(times[b, n]) / 10_000 ** (2 * (i // 2) / 6)
                assert float(code[b, n, i]) == pytest.approx(math.sin(angle) if i % 2 == 0 else math.cos(angle), abs=1e-5)


def test_rotary_multiplies_each_pair_as_a_complex_number():
    x = random_heads(len(POSITIONS))
    turned = rotate(x, rotary_angles(POSITIONS, 8))
    for b in range(2):
        for a in range(3):
            for n, position in enumerate(POSITIONS.tolist()):
                for i in range(4):
                    pair = complex(x[b, a, n, i], x[b, a, n, i + 4])
                    expected = pair * cmath.exp(1j * position / 10_000 ** (2 * i / 8))
                    assert complex(turned[b, a, n, i], turned[b, a, n, i + 4]) == pytest.approx(expected, abs=3e-4)


def test_rotary_keeps_the_norm_and_leaves_position_zero_as_it_is():
    x = random_heads(len(POSITIONS))
    turned = rotate(x, rotary_angles(POSITIONS, 8))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    zero = POSITIONS.tolist().index(0)
    assert torch.equal(turned[:, :, zero], x[:, :, zero])
    assert not torch.allclose(turned[:, :, zero + 1], x[:, :, zero + 1])


@pytest.mark.parametrize("shift", [-300, -7, 1, 50])
def test_rotary_scores_depend_on_the_difference_of_positions_only(shift):
    q, k, positions = random_heads(6), random_heads(6, seed=1), torch.arange(6)

    def scores(of_queries, of_keys):
        turned_q, turned_k = rotate(q, rotary_angles(of_queries, 8)), rotate(k, rotary_angles(of_keys, 8))
        return turned_q @ turned_k.transpose(-2, -1)

    torch.testing.assert_close(scores(positions + shift, positions + shift), scores(positions, positions), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(scores(positions + shift, positions), scores(positions, positions), atol=1e-2)


def test_rotary_has_the_dtype_of_what_it_turns():
    x = random_heads(6).bfloat16()
    assert rotate(x, rotary_angles(torch.arange(6), 8)).dtype == torch.bfloat16


def test_learned_gives_the_row_of_each_position_counted_from_the_first_future_token():
    learned = Learned(num_context=5, num_future=2, width=4)
    for first in range(-5, 1):
        rows = learned(-first, 2)
        assert len(rows) == 2 - first
        for n, position in enumerate(range(first, 2)):
            assert torch.equal(rows[n], learned.table[5 + position])


@pytest.mark.parametrize(("num_context", "num_future"), [(6, 2), (5, 3)])
def test_learned_refuses_positions_it_has_never_seen(num_context, num_future):
    learned = Learned(num_context=5, num_future=2, width=4)
    with pytest.raises(ValueError, match=f"5 context tokens and 2 future tokens, asked for {num_context} and {num_future}"):
        learned(num_context, num_future)


# ---- bias by distance --------------------------------------------------------------------------------------------------


def test_alibi_costs_a_slope_per_token_of_distance_in_both_directions():
    slopes = {
        1: [2**-8],
        8: [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256],
        3: [2 ** (-8 * a / 3) for a in (1, 2, 3)],
    }
    for num_heads, expected in slopes.items():
        table = alibi(distances(5), num_heads)
        for a in range(num_heads):
            assert table[a].tolist() == pytest.approx([-expected[a] * abs(d) for d in range(-4, 5)])


def test_buckets_are_those_of_the_published_encoder():
    """The formula of Raffel et al. 2020 as their code has it, one distance at a time, in whole numbers where it is exact."""
    for distance, found in zip(range(-300, 301), bucket(distances(301)).tolist(), strict=True):
        far = abs(distance)
        expected = far if far < 8 else 15
        for step in range(8):  # 8 + floor(8 log(far / 8) / log(16)) = 8 + step: far^2 from 8^2 2^step on
            if far >= 8 and 64 * 2**step <= far**2 < 64 * 2 ** (step + 1):
                expected = 8 + step
        assert found == expected + 16 * (distance > 0), distance


def test_a_relative_bias_is_one_number_per_head_and_bucket():
    module = RelativeBias(3)
    table = module(distances(40))
    for n, number in enumerate(bucket(distances(40)).tolist()):
        assert torch.equal(table[:, n], module.table[:, number])


@pytest.mark.parametrize(("num_queries", "num_keys", "ahead"), [(5, 5, 0), (2, 3, 3), (3, 6, 3), (1, 1, 0), (4, 8, 4)])
def test_a_bias_is_laid_out_by_the_distance_of_query_and_key(num_queries, num_keys, ahead):
    table = torch.randn(2, 9, generator=torch.Generator().manual_seed(0))  # distances -4 .. 4
    bias = expand_bias(table, num_queries, num_keys, ahead)
    assert bias.shape == (1, 2, num_queries, num_keys)
    query, key = torch.meshgrid(torch.arange(num_queries) + ahead, torch.arange(num_keys), indexing="ij")
    for i in range(num_queries):
        for j in range(num_keys):
            distance = j - i - ahead
            expected = table[:, 4 + distance] if -4 <= distance <= 4 else torch.zeros(2)
            assert torch.equal(bias[0, :, i, j], expected)
    if (key - query).abs().max() <= 4:
        assert torch.equal(bias_at(table, query[None, None], key[None, None]), bias)


def test_a_bias_of_sampled_pairs_is_looked_up_pair_by_pair():
    table = torch.randn(3, 19, generator=torch.Generator().manual_seed(0))
    queries, keys = torch.randint(10, (2, 3, 4, 1)), torch.randint(10, (2, 1, 1, 5))
    bias = bias_at(table, queries, keys)
    assert bias.shape == (2, 3, 4, 5)
    for b, a, i, j in torch.cartesian_prod(*(torch.arange(size) for size in bias.shape)).tolist():
        assert bias[b, a, i, j] == table[a, 9 + keys[b, 0, 0, j] - queries[b, a, i, 0]]


# ---- the code of a model -----------------------------------------------------------------------------------------------


def code_of(kind):
    return PositionCode(kind, d_model=8, num_heads=2, num_context=9, num_future=2)


@pytest.mark.parametrize("kind", ["alibi", "relative"])
def test_a_bias_depends_on_the_distance_only(kind):
    """Moved by any number of tokens, and in a longer context, a pair of tokens has the same bias."""
    code = code_of(kind)
    long, short = (code(torch.zeros(1, num, 8), 2)[1].bias for num in (9, 6))
    for shift in range(4):
        assert torch.equal(expand_bias(long, 9, 9)[..., shift : shift + 6, shift : shift + 6], expand_bias(short, 6, 6))


@pytest.mark.parametrize("kind", POSITIONALS)
def test_a_code_is_added_to_tokens_or_told_to_attention_never_both(kind):
    tokens, elapsed = torch.randn(3, 7, 8), torch.arange(-5.0, 2.0).expand(3, -1)
    placed, position = code_of(kind)(tokens, 2, elapsed)
    assert (position == UNPLACED) == (kind not in ("rotary", "alibi", "relative"))
    assert torch.equal(placed, tokens) == (kind in ("none", "rotary", "alibi", "relative"))
    if kind in ("sinusoidal", "calendar"):
        assert torch.equal(placed, tokens + sinusoidal(torch.arange(-5, 2), 8))
    if kind == "rotary":
        for part, expected in zip(position.angles, rotary_angles(torch.arange(-5, 2), 4), strict=True):
            assert torch.equal(part, expected)


def test_angles_that_were_kept_from_a_forecast_serve_a_training():
    code = code_of("rotary")
    with torch.inference_mode():
        code(torch.zeros(1, 6, 8), 3)
    x = torch.ones(6, 4, requires_grad=True)
    rotate(x, code(torch.zeros(1, 6, 8), 3)[1].angles).sum().backward()
    turned = [rotate(row, rotary_angles(torch.arange(-3, 3), 4)) for row in torch.eye(4)[:, None].expand(-1, 6, -1)]
    torch.testing.assert_close(x.grad, torch.stack([each.sum(-1) for each in turned], dim=-1))


def test_the_first_and_the_last_tokens_keep_their_angles_and_share_the_bias():
    position = Position(angles=rotary_angles(torch.arange(7), 4), bias=alibi(distances(7), 2))
    for part, expected in ((position.first(3), torch.arange(3)), (position.last(2), torch.arange(5, 7))):
        for angles, own in zip(part.angles, rotary_angles(expected, 4), strict=True):
            assert torch.equal(angles, own)
        assert part.bias is position.bias
    assert UNPLACED.first(2) is UNPLACED.last(2) is UNPLACED


def test_a_code_that_is_not_known_and_a_calendar_without_times_are_refused():
    with pytest.raises(ValueError, match=r"model.positional='auto' is not known: choose one of none, sinusoidal"):
        code_of("auto")
    with pytest.raises(ValueError, match="positional=calendar needs the elapsed time"):
        code_of("calendar")(torch.zeros(1, 3, 8), 1)
