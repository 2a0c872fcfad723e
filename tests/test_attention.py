"""Every kind of attention against float64 loops over queries and keys, and what none of them may depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tsattn.config import ATTENTIONS
from tsattn.nn import blocked
from tsattn.nn.attention import (
    additive,
    attention,
    attention_with_weights,
    causal,
    causal_mask,
    full,
    local_mask,
    padding_mask,
)
from tsattn.nn.blocked import REGISTER, faster_in_blocks, in_blocks
from tsattn.nn.efficient import linear, local, prob_sparse
from tsattn.nn.positional import expand_bias, rotary_angles

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


def random_heads(seed=0, num_keys=TOKENS, num_queries=TOKENS):
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(BATCH, HEADS, num_queries, WIDTH, generator=generator, dtype=torch.float64)
    k, v = torch.randn(2, BATCH, HEADS, num_keys, WIDTH, generator=generator, dtype=torch.float64)
    return q, k, v


def random_bias(num_tokens=TOKENS, seed=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(HEADS, 2 * num_tokens - 1, generator=generator, dtype=torch.float64)


WEIGHT = torch.randn(HEADS, WIDTH, generator=torch.Generator().manual_seed(6), dtype=torch.float64)


def attend(kind, q, k, v, valid=None, bias=None, window=WINDOW):
    """The function of that kind."""
    if kind == "linear":
        return linear(q, k, v, valid)
    if kind == "local":
        return local(q, k, v, valid, bias, window=window)
    if kind == "additive":
        return additive(q, k, v, valid, bias, weight=WEIGHT.to(q))
    return {"full": full, "causal": causal, "prob_sparse": prob_sparse}[kind](q, k, v, valid, bias)


def loop_attention(q, k, v, allowed, score=None):
    """exp of the scores, their sum, the weighted sum of the values: one number at a time."""

    def scaled_product(b, a, i, j):
        return sum(float(q[b, a, i, c]) * float(k[b, a, j, c]) for c in range(WIDTH)) / math.sqrt(WIDTH)

    score = score or scaled_product
    result, weights = torch.zeros_like(q), torch.zeros(*q.shape[:3], k.shape[2], dtype=torch.float64)
    for b in range(q.shape[0]):
        for a in range(q.shape[1]):
            for i in range(q.shape[2]):
                keys = [j for j in range(k.shape[2]) if allowed(b, i, j)]
                scores = {j: math.exp(score(b, a, i, j)) for j in keys}
                for j in keys:
                    weights[b, a, i, j] = scores[j] / sum(scores.values())
                    for c in range(WIDTH):
                        result[b, a, i, c] += weights[b, a, i, j] * v[b, a, j, c]
    return result, weights


# ---- scaled dot products under a mask ----------------------------------------------------------------------------------


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


@pytest.mark.parametrize("case", CASES)
def test_both_paths_add_the_same_bias_to_the_scores(case):
    q, k, v = random_heads()
    mask, bias = CASES[case][0], expand_bias(random_bias(), TOKENS, TOKENS)
    expected, weights = attention_with_weights(q, k, v, mask, bias)
    torch.testing.assert_close(attention(q, k, v, mask, bias), expected, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(weights, attention_with_weights(q, k, v, mask)[1])


@pytest.mark.parametrize("num_keys", [1, TOKENS])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.03), (torch.float32, 2e-6)])
def test_in_training_it_goes_in_blocks_and_gives_the_numbers_and_gradients_of_the_fused_kernel_in_float64(
    dtype, tolerance, padded, biased, num_keys, monkeypatch
):
    heads = random_heads(seed=4, num_keys=num_keys)
    mask = padding_mask(torch.tensor(VALID)[:, -num_keys:]) if padded else None
    bias = expand_bias(random_bias(), TOKENS, num_keys).float() if biased else None
    calls, plain = [], torch.nn.functional.scaled_dot_product_attention
    spied = lambda *parts, **options: calls.append(1) or plain(*parts, **options)  # noqa: E731
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spied)

    def outcome(dtype):
        q, k, v = (part.to(dtype).requires_grad_() for part in heads)
        z = attention(q, k, v, mask, bias)
        (z.float() * torch.linspace(-1, 1, z.numel()).reshape(z.shape)).sum().backward()
        return [z.float(), *(part.grad.float() for part in (q, k, v))]

    found = outcome(dtype)
    assert not calls
    expected = outcome(torch.float64)
    assert calls == [1]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("rows", [None, 1, 5])
@pytest.mark.parametrize("biased", [None, 1, 5])
@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_blocks_of_windows_have_the_numbers_and_gradients_of_all_at_once(size, rows, biased, monkeypatch):
    """`rows`, `biased`: windows that the mask and the bias are for, 1 being for all."""
    draws = torch.Generator().manual_seed(1)
    shape = (5, HEADS, TOKENS, WIDTH)
    q, k, v = (torch.randn(shape, generator=draws, dtype=torch.float64).requires_grad_() for _ in range(3))
    mask = None if rows is None else torch.rand(rows, 1, TOKENS, TOKENS, generator=draws) < 0.5
    bias = None if biased is None else torch.randn(biased, HEADS, TOKENS, TOKENS, generator=draws, dtype=q.dtype)
    bias = None if bias is None else bias.requires_grad_()
    monkeypatch.setattr(blocked, "BLOCK_PAIRS", size * HEADS * TOKENS * REGISTER)
    calls, scores = [], blocked.scores_of  # 6 keys are filled up to 16
    monkeypatch.setattr(blocked, "scores_of", lambda q, *rest: calls.append(len(q)) or scores(q, *rest))
    found = in_blocks(q, k, v, mask, bias)
    assert calls == {1: [1] * 5, 2: [2, 2, 1], 5: [5], 9: [5]}[size]
    assert_same_with_gradients(found, attention_with_weights(q, k, v, mask, bias)[0], q, k, v, bias)


def assert_same_with_gradients(found, expected, *parts):
    """To twelve digits, the gradients of one sum of both to eleven."""
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    weight, parts = torch.linspace(-1, 1, found.numel(), dtype=found.dtype), [part for part in parts if part is not None]
    gradients = (torch.autograd.grad(z.flatten() @ weight, parts) for z in (found, expected))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(("learns", "windows"), [(False, 2), (True, 5)])
def test_weights_are_kept_for_gradients_alone(learns, windows, monkeypatch):
    monkeypatch.setattr(blocked, "BLOCK_PAIRS", 2 * HEADS * REGISTER * REGISTER)
    sizes, convert = set(), blocked.scores_to_weights
    monkeypatch.setattr(
        blocked, "scores_to_weights", lambda x, out: sizes.add(out.untyped_storage().nbytes()) or convert(x, out)
    )
    q = torch.randn(5, HEADS, REGISTER, WIDTH, requires_grad=True)
    with torch.set_grad_enabled(learns):
        in_blocks(q, q, q, None, None)
    assert sizes == {windows * HEADS * REGISTER * REGISTER * q.element_size()}


@pytest.mark.parametrize("learns", [False, True])
def test_no_windows_give_no_sums(learns):
    q = torch.empty(0, HEADS, TOKENS, WIDTH, requires_grad=learns)
    z = in_blocks(q, q, q, None, None)
    assert z.shape == q.shape
    assert z.requires_grad is learns


def test_few_pairs_in_half_precision_have_the_numbers_of_the_loops_and_zeros_where_no_key_is_seen():
    q, k, v = random_heads(seed=6)
    mask = padding_mask(torch.tensor(VALID)).clone()
    mask[-1] = False
    with torch.no_grad():
        found = attention(*(part.bfloat16() for part in (q, k, v)), mask)
        expected = attention_with_weights(q, k, v, mask)[0]
    assert found.dtype == torch.bfloat16
    assert not found[-1].any()
    torch.testing.assert_close(found.double(), expected.double(), rtol=0.03, atol=0.03)


@pytest.mark.parametrize("num_keys", [1, 13, 16, 17, 30])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("rows", [0, 1, TOKENS])
def test_keys_are_filled_up_without_a_trace(rows, biased, num_keys):
    """`rows`: no mask, one for all queries, one for each; all but 16 and 17 keys are filled up."""
    q, k, v = (part.requires_grad_() for part in random_heads(seed=5, num_keys=num_keys))
    mask = torch.rand(BATCH, 1, rows, num_keys, generator=torch.Generator().manual_seed(0)) < 0.5 if rows else None
    bias = torch.randn(1, HEADS, TOKENS, num_keys, dtype=q.dtype, requires_grad=True) if biased else None
    assert_same_with_gradients(in_blocks(q, k, v, mask, bias), attention_with_weights(q, k, v, mask, bias)[0], q, k, v, bias)


@pytest.mark.parametrize(
    ("shape", "num_keys", "dtype", "forwards", "backwards"),
    [
        ((2, 3, 80, 4), 80, torch.float32, False, True),
        ((2, 3, 128, 4), 512, torch.float32, False, True),
        ((2, 3, 128, 4), 513, torch.float32, False, False),  # so many that the fused kernel pays
        ((4096, 8, 32, 4), 32, torch.float32, False, True),
        ((4096, 8, 32, 4), 33, torch.float32, False, False),  # more than is kept
        ((2, 3, 80, 4), 80, torch.float64, False, False),
        ((2, 3, 300, 4), 300, torch.bfloat16, True, True),
        ((2, 3, 80, 4), 80, torch.bfloat16, False, True),  # so few that the calls cost more
        ((8192, 8, 32, 4), 32, torch.bfloat16, True, True),
        ((8192, 8, 32, 4), 33, torch.bfloat16, False, False),  # more pairs than are held
    ],
)
def test_on_a_cpu_attention_goes_in_blocks_where_these_are_faster(shape, num_keys, dtype, forwards, backwards):
    q, k = torch.empty(1, dtype=dtype).expand(shape), torch.empty(1, dtype=dtype).expand(*shape[:2], num_keys, shape[3])
    assert faster_in_blocks(q, k) is forwards
    assert faster_in_blocks(q.clone().requires_grad_(), k) is backwards
    assert not faster_in_blocks(torch.empty(shape, dtype=dtype, device="meta"), k)  # not on a CPU


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_query_without_any_key_gives_zero_and_finite_gradients(dtype):
    q, k, v = (part.to(dtype).requires_grad_() for part in random_heads())
    mask = torch.ones(1, 1, TOKENS, TOKENS, dtype=torch.bool)
    mask[..., 2, :] = False
    result = attention(q, k, v, mask)
    assert (result[:, :, 2] == 0).all()
    assert (result[:, :, 3] != 0).all()
    result.sum().backward()
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


# ---- each kind by loops ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("kind", ["full", "causal", "local", "additive"])
def test_each_kind_of_softmax_equals_loops(kind, padded, biased):
    q, k, v = random_heads(seed=3)
    bias = random_bias()
    inside = {"causal": lambda i, j: j <= i, "local": lambda i, j: (i + 2) // 4 - (j + 2) // 4 in (0, 1)}  # blocks of 4

    def allowed(b, i, j):
        return inside.get(kind, lambda i, j: True)(i, j) and (VALID[b][j] or not padded)

    def score(b, a, i, j):
        x, y = q[b, a, i].tolist(), k[b, a, j].tolist()
        if kind == "additive":
            matched = sum(w * math.tanh(x[c] + y[c]) for c, w in enumerate(WEIGHT[a].tolist()))
        else:
            matched = sum(x[c] * y[c] for c in range(WIDTH)) / math.sqrt(WIDTH)
        return matched + biased * float(bias[a, TOKENS - 1 + j - i])

    expected, _ = loop_attention(q, k, v, allowed, score)
    result = attend(kind, q, k, v, torch.tensor(VALID) if padded else None, bias if biased else None, window=4)
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_linear_attention_equals_its_quadratic_form(padded, turned):
    q, k, v = (part.numpy() for part in random_heads(seed=4))
    frequency = 10_000.0 ** (-2 * np.arange(WIDTH // 2) / WIDTH)

    def phi(x):
        return np.where(x > 0, x + 1, np.exp(np.minimum(x, 0)))

    def turn(x, position):
        """Pairs (x_c, x_{c + K/2}) as complex numbers."""
        return (x[: WIDTH // 2] + 1j * x[WIDTH // 2 :]) * np.exp(1j * turned * position * frequency)

    expected = np.zeros_like(q)
    for b in range(BATCH):
        for a in range(HEADS):
            for i in range(TOKENS):
                total = 0.0
                for j in range(TOKENS):
                    if VALID[b][j] or not padded:
                        x, y = phi(q[b, a, i]), phi(k[b, a, j])
                        expected[b, a, i] += np.sum(turn(x, i) * np.conj(turn(y, j))).real * v[b, a, j]
                        total += np.dot(x, y)
                expected[b, a, i] /= total
    valid = torch.tensor(VALID) if padded else None
    angles = rotary_angles(torch.arange(TOKENS), WIDTH) if turned else None
    result = linear(*(torch.from_numpy(part) for part in (q, k, v)), valid, angles)
    tolerance = 1e-6 if turned else 1e-12  # angles are float32
    torch.testing.assert_close(result, torch.from_numpy(expected), rtol=tolerance, atol=tolerance)


def loop_prob_sparse(q, k, v, valid, bias):
    """Which queries attend, and all outputs: one window and head after the other, in numpy."""
    num_tokens = q.shape[2]
    result, attending = np.zeros_like(q), []
    for b in range(BATCH):
        keys = [j for j in range(num_tokens) if valid[b][j]]
        num = min(len(keys), 5 * math.ceil(math.log(len(keys))))
        sample = [keys[(u + 1) * len(keys) // num - 1] for u in range(num)]
        for a in range(HEADS):

            def score(i, j, b=b, a=a):
                return np.dot(q[b, a, i], k[b, a, j]) / math.sqrt(WIDTH) + bias[a, num_tokens - 1 + j - i]

            measure = {i: max(score(i, j) for j in sample) - np.mean([score(i, j) for j in sample]) for i in keys}
            top = sorted(keys, key=lambda i: -measure[i])[:num]
            attending.append(set(top))
            for i in range(num_tokens):
                weights = np.exp([score(i, j) for j in keys]) if i in top else np.ones(len(keys))
                result[b, a, i] = weights / weights.sum() @ v[b, a, keys]
    return result, attending


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_prob_sparse_attention_equals_loops(padded, biased):
    num_tokens = 40
    parts = random_heads(seed=7, num_keys=num_tokens, num_queries=num_tokens)
    valid = np.ones((BATCH, num_tokens), bool)
    if padded:
        valid[1] = np.random.default_rng(0).random(num_tokens) < 0.6
        valid[0, :9] = False
    bias = random_bias(num_tokens) if biased else None
    table = np.zeros((HEADS, 2 * num_tokens - 1)) if bias is None else bias.numpy()
    expected, attending = loop_prob_sparse(*(part.numpy() for part in parts), valid, table)
    assert all(len(top) < valid.sum(1).max() for top in attending)
    assert attending[0] != attending[1]
    result = prob_sparse(*parts, torch.from_numpy(valid) if padded else None, bias)
    torch.testing.assert_close(result, torch.from_numpy(expected), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("num_tokens", [1, 2, 5, 15])
@pytest.mark.parametrize("biased", [False, True])
def test_prob_sparse_with_as_many_queries_as_tokens_is_full_attention(num_tokens, biased):
    q, k, v = random_heads(num_keys=num_tokens, num_queries=num_tokens)
    valid = torch.rand(BATCH, num_tokens, generator=torch.Generator().manual_seed(1)) < 0.8
    bias = random_bias(num_tokens) if biased else None
    result, expected = prob_sparse(q, k, v, valid, bias), full(q, k, v, valid, bias)
    for b in range(BATCH):
        torch.testing.assert_close(result[b, :, valid[b]], expected[b, :, valid[b]], rtol=1e-12, atol=1e-12)


def test_prob_sparse_attention_draws_no_random_number():
    parts = random_heads(num_keys=80, num_queries=80)
    state = torch.random.get_rng_state()
    assert torch.equal(prob_sparse(*parts), prob_sparse(*parts))
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize("num_tokens", [1, 2, 3, 7, 8, 9, 16, 21])
@pytest.mark.parametrize("window", [1, 2, 4, 9, 40])
def test_local_attention_equals_full_attention_under_its_mask(num_tokens, window):
    q, k, v = random_heads(num_keys=num_tokens, num_queries=num_tokens)
    valid = torch.rand(BATCH, num_tokens, generator=torch.Generator().manual_seed(2)) < 0.7
    bias = random_bias(num_tokens)
    mask = padding_mask(valid) & local_mask(num_tokens, window)
    expected, _ = attention_with_weights(q, k, v, mask, expand_bias(bias, num_tokens, num_tokens))
    torch.testing.assert_close(local(q, k, v, valid, bias, window=window), expected, rtol=1e-12, atol=1e-12)


# ---- what holds for all ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_tokens", [6, 40])
@pytest.mark.parametrize("kind", ATTENTIONS)
def test_what_an_invalid_token_holds_has_no_influence(kind, num_tokens):
    q, k, v = random_heads(num_keys=num_tokens, num_queries=num_tokens)
    valid = torch.arange(num_tokens).expand(BATCH, -1) % 3 > 0
    expected = attend(kind, q, k, v, valid)
    for stored in (-1e6, 1e30):
        other = [torch.where(valid[:, None, :, None], part, stored) for part in (q, k, v)]
        torch.testing.assert_close(attend(kind, *other, valid)[:, :, valid[0]], expected[:, :, valid[0]], rtol=0, atol=0)
    assert not torch.allclose(attend(kind, q, k, v), expected)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ATTENTIONS)
def test_a_window_without_any_valid_key_gives_zero_and_finite_gradients_in_every_kind(kind, dtype, biased):
    q, k, v = (part.to(dtype).requires_grad_() for part in random_heads())
    bias = random_bias().to(dtype).requires_grad_() if biased else None
    valid = torch.tensor([[True] * TOKENS, [False] * TOKENS])
    result = attend(kind, q, k, v, valid, bias)
    assert result.dtype == dtype
    assert (result[1] == 0).all()
    assert (result[0] != 0).all()
    result.square().sum().backward()
    for part in (q, k, v, bias):
        if part is not None and not (part is bias and kind == "linear"):
            assert part.grad is not None
            assert part.grad.isfinite().all()
            assert part.grad.any()


@pytest.mark.parametrize("kind", ATTENTIONS)
def test_the_gradient_is_the_slope_of_the_output(kind):
    parts = [part[:1, :, :5].requires_grad_() for part in random_heads()]
    valid = torch.tensor([[False, True, True, False, True]])
    bias = random_bias(5).requires_grad_() if kind != "linear" else None
    assert torch.autograd.gradcheck(lambda q, k, v: attend(kind, q, k, v, valid, bias), parts)


class Sizes(TorchDispatchMode):
    """Counts the numbers in every tensor that is made: the largest one and all together."""

    def __init__(self):
        super().__init__()
        self.largest = self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else [result]:
            if isinstance(part, torch.Tensor):
                stored = part.untyped_storage().nbytes() // part.element_size()  # a view makes nothing
                self.largest, self.total = max(self.largest, stored), self.total + stored
        return result


def sizes_of(kind, num_tokens, biased):
    parts = [part.requires_grad_() for part in random_heads(num_keys=num_tokens, num_queries=num_tokens)]
    valid = torch.ones(BATCH, num_tokens, dtype=torch.bool)
    bias = random_bias(num_tokens).requires_grad_() if biased else None  # a bias that is learned takes the unfused path
    with Sizes() as sizes:
        attend(kind, *parts, valid, bias, window=8).sum().backward()
    return sizes


@pytest.mark.parametrize(("kind", "biased"), [("local", False), ("local", True), ("linear", False)])
def test_numbers_made_by_local_and_linear_attention_grow_with_the_number_of_tokens(kind, biased):
    small, large = sizes_of(kind, 256, biased), sizes_of(kind, 1024, biased)
    assert large.largest <= 4 * small.largest
    assert large.total <= 4 * small.total + 1000
    assert large.largest < 1024 * 1024 / 8


@pytest.mark.parametrize("biased", [False, True])
def test_prob_sparse_attention_never_makes_a_number_for_every_pair_of_tokens(biased):
    small, large = sizes_of("prob_sparse", 256, biased), sizes_of("prob_sparse", 1024, biased)
    assert large.largest <= BATCH * HEADS * 1024 * 35  # c ceil(ln 1024)
    assert large.total < 6 * small.total


def test_full_attention_makes_numbers_for_every_pair_of_tokens():
    assert sizes_of("full", 256, True).largest >= BATCH * HEADS * 256 * 256


@pytest.mark.gpu
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ATTENTIONS)
def test_a_gpu_gives_the_numbers_and_gradients_of_the_cpu(kind, dtype, biased):
    """Fused kernels have rules of their own on windows without any key and on a bias."""
    valid, results = torch.tensor([VALID[1], [False] * TOKENS]), []
    for device, precision in (("cpu", torch.float64), ("cuda", dtype)):
        parts = [part.to(device, precision).requires_grad_() for part in random_heads()]
        bias = random_bias().to(device, precision) if biased else None
        result = attend(kind, *parts, valid.to(device), bias)
        (result * torch.arange(WIDTH, device=device)).sum().backward()
        results.append([part.double().cpu() for part in (result, *(part.grad for part in parts))])
    tolerance = 1e-4 if dtype == torch.float32 else 0.1
    for on_gpu, expected in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(on_gpu, expected, rtol=tolerance, atol=tolerance)
