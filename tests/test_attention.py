"""Attention against float64 loops over queries and keys."""

from __future__ import annotations

import math

import pytest
import torch

from tsattn.nn.attention import attention, attention_with_weights, causal_mask, local_mask, padding_mask

BATCH, HEADS, TOKENS, WIDTH, WINDOW = 2, 3, 6, 4, 2
VALID = [[True] * 6, [False, False, True, True, False, True]]

# (mask given to the code, may query i of batch row b see key j?)
CASES = {
    "none": (None, lambda b, i, j: True),
    "padding": (padding_mask(torch.tensor(VALID)), lambda b, i, j: VALID[b][j]),
    "causal": (causal_mask(TOKENS)[None, None], lambda b, i, j: j <= i),
    "local": (local_mask(TOKENS, WINDOW)[None, None], lambda b, i, j: i // WINDOW - j // WINDOW in (0, 1)),
    "padding and causal": (
        padding_mask(torch.tensor(VALID)) & causal_mask(TOKENS),
        lambda b, i, j: VALID[b][j] and j <= i,
    ),
    "padding and local": (
        padding_mask(torch.tensor(VALID)) & local_mask(TOKENS, 4),
        lambda b, i, j: VALID[b][j] and i - (i + 2) % 4 - 4 <= j < i - (i + 2) % 4 + 4,  # blocks of 2 and 4 tokens
    ),
}


def random_heads(seed=0, num_keys=TOKENS):
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(BATCH, HEADS, TOKENS, WIDTH, generator=generator, dtype=torch.float64)
    k, v = torch.randn(2, BATCH, HEADS, num_keys, WIDTH, generator=generator, dtype=torch.float64)
    return q, k, v


def loop_attention(q, k, v, allowed):
    """exp of the scores, their sum, the weighted sum of the values: one number at a time."""
    result, weights = torch.zeros_like(q), torch.zeros(*q.shape[:3], k.shape[2], dtype=torch.float64)
    for b in range(q.shape[0]):
        for a in range(q.shape[1]):
            for i in range(q.shape[2]):
                keys = [j for j in range(k.shape[2]) if allowed(b, i, j)]
                scores = {
                    j: math.exp(sum(float(q[b, a, i, c]) * float(k[b, a, j, c]) for c in range(WIDTH)) / math.sqrt(WIDTH))
                    for j in keys
                }
                for j in keys:
                    weights[b, a, i, j] = scores[j] / sum(scores.values())
                    for c in range(WIDTH):
                        result[b, a, i, c] += weights[b, a, i, j] * v[b, a, j, c]
    return result, weights


@pytest.mark.parametrize("case", CASES)
def test_attention_equals_loops_over_queries_and_keys(case):
    mask, allowed = CASES[case]
    q, k, v = random_heads()
    expected, _ = loop_attention(q, k, v, allowed)
    torch.testing.assert_close(attention(q, k, v, mask), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_the_written_out_path_gives_the_same_sums_and_the_weights_of_the_loops(case):
    mask, allowed = CASES[case]
    q, k, v = random_heads(seed=1)
    expected, expected_weights = loop_attention(q, k, v, allowed)
    result, weights = attention_with_weights(q, k, v, mask)
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(weights, expected_weights, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_rows_of_the_weights_sum_to_one_or_to_zero_where_no_key_is_allowed(case):
    mask, allowed = CASES[case]
    _, weights = attention_with_weights(*random_heads(seed=2), mask)
    for b in range(BATCH):
        for i in range(TOKENS):
            expected = float(any(allowed(b, i, j) for j in range(TOKENS)))
            for a in range(HEADS):
                assert float(weights[b, a, i].sum()) == pytest.approx(expected)


def test_queries_may_see_another_number_of_keys_than_there_are_queries():
    q, k, v = random_heads(num_keys=9)
    expected, _ = loop_attention(q, k, v, lambda b, i, j: True)
    torch.testing.assert_close(attention(q, k, v), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_query_without_any_key_gives_zero_and_finite_gradients(dtype):
    q, k, v = (part.to(dtype).requires_grad_() for part in random_heads())
    mask = torch.ones(1, 1, TOKENS, TOKENS, dtype=torch.bool)
    mask[..., 2, :] = False
    for result in (attention(q, k, v, mask), attention_with_weights(q, k, v, mask)[0]):
        assert (result[:, :, 2] == 0).all()
        assert (result[:, :, 3] != 0).all()
    attention(q, k, v, mask).sum().backward()
    for part in (q, k, v):
        assert part.grad is not None
        assert part.grad.isfinite().all()


def test_masks_say_which_keys_a_query_sees():
    for i in range(TOKENS):
        for j in range(TOKENS):
            assert bool(causal_mask(TOKENS)[i, j]) == (j <= i)
    assert local_mask(5, 2).int().tolist() == [  # blocks 0, 12, 34: the last token ends the last block
        [1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 0, 0],
        [0, 1, 1, 1, 1],
        [0, 1, 1, 1, 1],
    ]
    assert local_mask(3, 8).all()
    assert padding_mask(torch.tensor(VALID)).shape == (BATCH, 1, 1, TOKENS)
