"""Attention against float64 loops over queries and keys, the textbook formula and torch.nn.MultiheadAttention."""

from __future__ import annotations

import math

import pytest
import torch

from tsattn.nn.attention import (
    SelfAttention,
    attention,
    attention_with_weights,
    causal_mask,
    local_mask,
    padding_mask,
)

BATCH, HEADS, TOKENS, WIDTH, WINDOW = 2, 3, 6, 4, 2
VALID = [[True] * 6, [False, False, True, True, False, True]]

# (mask given to the code, may query i of batch row b see key j?)
CASES = {
    "none": (None, lambda b, i, j: True),
    "padding": (padding_mask(torch.tensor(VALID)), lambda b, i, j: VALID[b][j]),
    "causal": (causal_mask(TOKENS)[None, None], lambda b, i, j: j <= i),
    "local": (local_mask(TOKENS, WINDOW)[None, None], lambda b, i, j: abs(i - j) <= WINDOW),
    "padding and causal": (
        padding_mask(torch.tensor(VALID)) & causal_mask(TOKENS),
        lambda b, i, j: VALID[b][j] and j <= i,
    ),
    "padding and local": (
        padding_mask(torch.tensor(VALID)) & local_mask(TOKENS, 1),
        lambda b, i, j: VALID[b][j] and abs(i - j) <= 1,
    ),
}


def random_heads(seed=0, num_keys=TOKENS):
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(BATCH, HEADS, TOKENS, WIDTH, generator=generator, dtype=torch.float64)
    k, v = torch.randn(2, BATCH, HEADS, num_keys, WIDTH, generator=generator, dtype=torch.float64)
    return q, k, v


def random_tokens(num_tokens=TOKENS, width=8, seed=0):
    return torch.randn(BATCH, num_tokens, width, generator=torch.Generator().manual_seed(seed))


def seeded(width=8, num_heads=2, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SelfAttention(width, num_heads)


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


def test_masks_equal_loops():
    for i in range(TOKENS):
        for j in range(TOKENS):
            assert bool(causal_mask(TOKENS)[i, j]) == (j <= i)
            assert bool(local_mask(TOKENS, WINDOW)[i, j]) == (-WINDOW <= i - j <= WINDOW)
    assert padding_mask(torch.tensor(VALID)).shape == (BATCH, 1, 1, TOKENS)


def test_one_head_without_output_projection_is_the_textbook_module():
    x, module = random_tokens(width=5).double(), seeded(width=5, num_heads=1).double()
    w_q, w_k, w_v = module.qkv.weight.split(5)
    q, k, v = x @ w_q.T, x @ w_k.T, x @ w_v.T  # (batch, length, dim)
    expected = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(5), dim=-1) @ v
    with torch.no_grad():
        module.out.weight.copy_(torch.eye(5))
    torch.testing.assert_close(module(x), expected)
    torch.testing.assert_close(attention(*module.project(x))[:, 0], expected)


@pytest.mark.parametrize("case", ["none", "padding", "causal"])
def test_self_attention_equals_multihead_attention_of_torch_with_the_same_weights(case):
    module = seeded(width=8, num_heads=2)
    oracle = torch.nn.MultiheadAttention(8, 2, bias=False, batch_first=True)
    with torch.no_grad():
        oracle.in_proj_weight.copy_(module.qkv.weight)
        oracle.out_proj.weight.copy_(module.out.weight)
    x, valid = random_tokens(), torch.tensor(VALID)
    forbidden = torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1) if case == "causal" else None
    expected, _ = oracle(x, x, x, key_padding_mask=~valid if case == "padding" else None, attn_mask=forbidden)
    torch.testing.assert_close(module(x, CASES[case][0]), expected)


@pytest.mark.parametrize("changed", range(TOKENS))
def test_with_a_causal_mask_a_token_changes_no_output_before_it(changed):
    module, x = seeded(), random_tokens()
    perturbed = x.clone()
    perturbed[:, changed] += 100.0
    mask = causal_mask(TOKENS)[None, None]
    before, after = module(x, mask), module(perturbed, mask)
    assert torch.equal(before[:, :changed], after[:, :changed])
    assert (before[:, changed:] != after[:, changed:]).any(-1).all()


@pytest.mark.parametrize("changed", range(TOKENS))
def test_with_a_local_mask_a_token_changes_only_outputs_within_the_window(changed):
    module, x = seeded(), random_tokens()
    perturbed = x.clone()
    perturbed[:, changed] += 100.0
    mask = local_mask(TOKENS, WINDOW)[None, None]
    moved = (module(x, mask) != module(perturbed, mask)).any(-1)
    for i in range(TOKENS):
        assert moved[:, i].tolist() == [abs(i - changed) <= WINDOW] * BATCH


def test_without_position_code_and_mask_a_permutation_of_the_tokens_permutes_the_outputs():
    module, x = seeded(), random_tokens()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(module(x[:, order]), module(x)[:, order])
    with_mask = [module(tokens, causal_mask(TOKENS)[None, None]) for tokens in (x[:, order], x)]
    assert not torch.allclose(with_mask[0], with_mask[1][:, order])


def test_a_width_that_heads_do_not_divide_is_refused_with_both_numbers():
    with pytest.raises(ValueError, match="d_model=10 must be divisible by num_heads=3"):
        SelfAttention(10, 3)
