"""Position codes by their formulas, number by number."""

from __future__ import annotations

import cmath
import math

import pytest
import torch

from tsattn.nn.positional import Learned, rotary_angles, rotate, sinusoidal

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
