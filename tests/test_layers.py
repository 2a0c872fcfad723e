"""Attention modules and blocks by hand, from their own weights, the textbook formula and torch.nn.MultiheadAttention."""

from __future__ import annotations

import math

import pytest
import torch

from tsattn.config import ATTENTIONS, POSITIONS_OF
from tsattn.nn.attention import attention
from tsattn.nn.layers import CrossAttention, DecoderBlock, Dropout, EncoderBlock, FeedForward, SelfAttention
from tsattn.nn.positional import Position, alibi, distances, rotary_angles

BATCH, TOKENS = 2, 6
VALID = torch.tensor([[True] * 6, [False, False, True, True, False, True]])


def seeded(make, *sizes, **settings):
    """The module with weights of size one, in double precision and evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = make(*sizes, **settings).double()
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return module.eval()


def random_tokens(num_tokens=TOKENS, width=8, seed=0):
    return torch.randn(BATCH, num_tokens, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_hand_norm(x, norm):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias


def by_hand_feed_forward(x, layer):
    hidden = x @ layer.widen.weight.T + layer.widen.bias
    gelu = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    return gelu @ layer.narrow.weight.T + layer.narrow.bias


def placed(attention, num_tokens, head_width=4, num_heads=2):
    """A `Position` that this kind of attention can use."""
    if "rotary" in POSITIONS_OF[attention]:
        return Position(angles=rotary_angles(torch.arange(num_tokens), head_width))
    return Position(bias=alibi(distances(num_tokens), num_heads))


# ---- self-attention ----------------------------------------------------------------------------------------------------


def test_one_head_without_output_projection_is_the_textbook_module():
    x, module = random_tokens(width=5), seeded(SelfAttention, 5, 1)
    w_q, w_k, w_v = module.qkv.weight.split(5)
    q, k, v = x @ w_q.T, x @ w_k.T, x @ w_v.T  # (batch, length, dim)
    expected = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(5), dim=-1) @ v
    with torch.no_grad():
        module.out.weight.copy_(torch.eye(5))
    torch.testing.assert_close(module(x), expected)
    torch.testing.assert_close(attention(*module.project(x))[:, 0], expected)


@pytest.mark.parametrize("case", ["all keys", "some keys", "causal"])
def test_self_attention_equals_multihead_attention_of_torch_with_the_same_weights(case):
    module = seeded(SelfAttention, 8, 2, kind="causal" if case == "causal" else "full")
    oracle = torch.nn.MultiheadAttention(8, 2, bias=False, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        oracle.in_proj_weight.copy_(module.qkv.weight)
        oracle.out_proj.weight.copy_(module.out.weight)
    x, valid = random_tokens(), VALID if case == "some keys" else None
    forbidden = torch.ones(TOKENS, TOKENS, dtype=torch.bool).triu(1) if case == "causal" else None
    expected, _ = oracle(x, x, x, key_padding_mask=None if valid is None else ~valid, attn_mask=forbidden)
    torch.testing.assert_close(module(x, valid), expected)


@pytest.mark.parametrize("changed", range(TOKENS))
def test_with_causal_attention_a_token_changes_no_output_before_it(changed):
    module, x = seeded(SelfAttention, 8, 2, kind="causal"), random_tokens()
    perturbed = x.clone()
    perturbed[:, changed] += 100.0
    before, after = module(x), module(perturbed)
    assert torch.equal(before[:, :changed], after[:, :changed])
    assert (before[:, changed:] != after[:, changed:]).any(-1).all()


@pytest.mark.parametrize("changed", range(TOKENS))
def test_with_local_attention_a_token_changes_only_outputs_of_its_block_and_the_next(changed):
    module, x = seeded(SelfAttention, 8, 2, kind="local", window=2), random_tokens()
    perturbed = x.clone()
    perturbed[:, changed] += 100.0
    moved = (module(x) != module(perturbed)).any(-1)
    for i in range(TOKENS):
        assert moved[:, i].tolist() == [i // 2 - changed // 2 in (0, 1)] * BATCH


@pytest.mark.parametrize("kind", ["full", "additive", "prob_sparse", "linear"])
def test_without_position_code_a_permutation_of_the_tokens_permutes_the_outputs(kind):
    module, x = seeded(SelfAttention, 8, 2, kind=kind), random_tokens()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    torch.testing.assert_close(module(x[:, order]), module(x)[:, order])
    position = placed(kind, TOKENS)
    assert not torch.allclose(module(x[:, order], position=position), module(x, position=position)[:, order])


@pytest.mark.parametrize("kind", ATTENTIONS)
def test_one_hot_values_give_the_weights_with_which_values_are_summed(kind):
    module, x = seeded(SelfAttention, 8, 2, kind=kind, window=2), random_tokens()
    q, k, v = module.project(x)
    one_hot = torch.eye(TOKENS, dtype=torch.float64).expand(BATCH, 2, -1, -1)
    weights = module.attend(q, k, one_hot, VALID)
    torch.testing.assert_close(module.attend(q, k, v, VALID), weights @ v)
    assert (weights[1, :, :, ~VALID[1]] == 0).all()
    torch.testing.assert_close(weights[0].sum(-1), torch.ones(2, TOKENS, dtype=torch.float64))


def test_a_width_that_heads_do_not_divide_and_an_unknown_kind_are_refused():
    for module in (SelfAttention, CrossAttention):
        with pytest.raises(ValueError, match="d_model=10 must be divisible by num_heads=3"):
            module(10, 3)
    with pytest.raises(ValueError, match=r"model.attention='sparse' is not known: choose one of full, causal"):
        SelfAttention(8, 2, kind="sparse")


# ---- cross-attention ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("valid", [None, VALID])
def test_cross_attention_equals_multihead_attention_of_torch_with_the_same_weights(valid):
    module = seeded(CrossAttention, 8, 2)
    oracle = torch.nn.MultiheadAttention(8, 2, bias=False, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        oracle.in_proj_weight.copy_(torch.cat([module.query.weight, module.key_value.weight]))
        oracle.out_proj.weight.copy_(module.out.weight)
    x, memory = random_tokens(3, seed=1), random_tokens()
    expected, _ = oracle(x, memory, memory, key_padding_mask=None if valid is None else ~valid)
    torch.testing.assert_close(module(x, memory, valid), expected)


@pytest.mark.parametrize("code", ["rotary", "alibi"])
def test_cross_attention_of_the_last_tokens_to_the_others_is_that_part_of_self_attention(code):
    """Memory and x of one token set, the memory alone being valid: positions are those of the whole set."""
    whole = seeded(SelfAttention, 8, 2)
    cross = seeded(CrossAttention, 8, 2)
    with torch.no_grad():
        w_q, w_k, w_v = whole.qkv.weight.split(8)
        cross.query.weight.copy_(w_q)
        cross.key_value.weight.copy_(torch.cat([w_k, w_v]))
        cross.out.weight.copy_(whole.out.weight)
    tokens = random_tokens(9)
    angles, bias = Position(angles=rotary_angles(torch.arange(9), 4)), Position(bias=alibi(distances(9), 2))
    position = angles if code == "rotary" else bias
    memory_alone = torch.arange(9).expand(BATCH, -1) < 6
    expected = whole(tokens, memory_alone, position)[:, 6:]
    torch.testing.assert_close(cross(tokens[:, 6:], tokens[:, :6], None, position), expected)


def test_a_memory_without_any_valid_token_adds_nothing():
    module = seeded(CrossAttention, 8, 2)
    nothing = torch.zeros(BATCH, TOKENS, dtype=torch.bool)
    for position in (Position(), Position(bias=alibi(distances(TOKENS + 3), 2))):
        assert (module(random_tokens(3), random_tokens(), nothing, position) == 0).all()


# ---- blocks ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def x():
    return random_tokens(width=4)


@pytest.fixture
def block():
    return seeded(EncoderBlock, 4, 2, 6, 0.5)


@pytest.fixture
def decoder():
    return seeded(DecoderBlock, 4, 2, 6, 0.5)


def test_feed_forward_equals_its_formula(block, x):
    torch.testing.assert_close(block.feed_forward(x), by_hand_feed_forward(x, block.feed_forward))


def test_feed_forward_treats_every_token_alone(x):
    layer = seeded(FeedForward, 4, 8, 0.0)
    changed = x.clone()
    changed[:, 2] += 1
    moved = (layer(x) != layer(changed)).any(-1)
    assert moved.tolist() == [[False, False, True, False, False, False]] * 2


@pytest.mark.parametrize("kind", ATTENTIONS)
@pytest.mark.parametrize("valid", [None, VALID])
def test_the_block_adds_attention_and_feed_forward_of_the_normed_tokens(x, kind, valid):
    block = seeded(EncoderBlock, 4, 2, 6, 0.5, kind=kind, window=2)
    position = placed(kind, TOKENS, head_width=2)
    middle = x + block.attention(by_hand_norm(x, block.norm_attention), valid, position)
    expected = middle + by_hand_feed_forward(by_hand_norm(middle, block.norm_feed_forward), block.feed_forward)
    torch.testing.assert_close(block(x, valid, position), expected)


@pytest.mark.parametrize(
    ("kind", "biased"), [(kind, biased) for kind in ATTENTIONS for biased in (False, True) if not (biased and kind == "linear")]
)
@pytest.mark.parametrize("valid", [None, VALID])
def test_the_last_tokens_alone_are_those_of_the_whole_block(x, kind, biased, valid):
    block = seeded(EncoderBlock, 4, 2, 6, 0.5, kind=kind, window=2)
    by_distance = Position(bias=torch.randn(2, 2 * TOKENS - 1, generator=torch.Generator().manual_seed(4)))
    position = by_distance if biased else placed(kind, TOKENS, head_width=2)
    for num_last in (1, 2, TOKENS):
        alone = block(x, valid, position, num_last=num_last)
        torch.testing.assert_close(alone, block(x, valid, position)[:, -num_last:])


@pytest.mark.parametrize("valid", [None, VALID])
def test_the_decoder_block_adds_causal_attention_attention_to_the_memory_and_feed_forward(decoder, x, valid):
    memory = random_tokens(width=4, seed=2)
    position = Position(angles=rotary_angles(torch.arange(2 * TOKENS), 2))
    causal = seeded(SelfAttention, 4, 2, kind="causal")
    causal.load_state_dict(decoder.attention.state_dict())
    own = Position(angles=rotary_angles(torch.arange(TOKENS), 2))  # only differences of positions matter
    first = x + causal(by_hand_norm(x, decoder.norm_attention), valid, own)
    middle = first + decoder.cross(by_hand_norm(first, decoder.norm_cross), memory, VALID, position)
    expected = middle + by_hand_feed_forward(by_hand_norm(middle, decoder.norm_feed_forward), decoder.feed_forward)
    torch.testing.assert_close(decoder(x, memory, valid, VALID, position), expected, rtol=1e-5, atol=1e-5)


def test_in_the_decoder_block_nothing_comes_from_later_tokens_and_nothing_from_hidden_ones(decoder, x):
    memory = random_tokens(width=4, seed=2)
    later, hidden = x.clone(), memory.clone()
    later[:, 4:] += 1
    hidden[~VALID] = 1e6
    expected = decoder(x, memory, None, VALID)
    assert torch.equal(decoder(later, memory, None, VALID)[:, :4], expected[:, :4])
    assert torch.equal(decoder(x, hidden, None, VALID), expected)
    assert not torch.allclose(decoder(x, hidden), expected)


def test_dropout_acts_in_training_only(block, decoder, x):
    for module, given in ((block, (x,)), (decoder, (x, x))):
        assert torch.equal(module(*given), module(*given))
        module.train()
        assert not torch.equal(module(*given), module(*given))


# ---- dropout -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.05, 0.2, 0.5, 0.9])
def test_dropout_zeroes_a_share_p_keeps_the_mean_and_sends_gradients_where_values_went(p):
    x = torch.full((501, 203), 3.0, requires_grad=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        y = Dropout(p).train()(x)
        y.sum().backward()
        torch.manual_seed(0)
        assert torch.equal(Dropout(p).train()(x), y)
        assert not torch.equal(Dropout(p).train()(x), y)
    dropped = y == 0
    assert float(dropped.float().mean()) == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / x.numel()))
    assert y[~dropped].tolist() == pytest.approx([3 / (1 - p)] * int((~dropped).sum()), rel=1e-4)
    assert torch.equal(x.grad * 3, y)


def test_values_next_to_each_other_are_dropped_independently():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        dropped = (Dropout(0.5).train()(torch.ones(400_000)) == 0).float() - 0.5
    for lag in range(1, 9):
        assert abs(float((dropped[lag:] * dropped[:-lag]).mean())) < 4 * 0.25 / math.sqrt(400_000)


def test_dropout_does_nothing_in_evaluation_and_for_a_share_of_0():
    x = torch.arange(6.0)
    assert Dropout(0.5).eval()(x) is x or torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0).train()(x), x)
    assert torch.equal(Dropout(0.5).train()(torch.zeros(0)), torch.zeros(0))
