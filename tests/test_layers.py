"""The encoder block by hand, from its own weights."""

from __future__ import annotations

import math

import pytest
import torch

from tsattn.nn.attention import causal_mask
from tsattn.nn.layers import EncoderBlock, FeedForward


@pytest.fixture
def block():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block = EncoderBlock(d_model=4, num_heads=2, d_ff=6, dropout=0.5).double()
        for parameter in block.parameters():
            torch.nn.init.normal_(parameter)
    return block.eval()


@pytest.fixture
def x():
    return torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def by_hand_norm(x, norm):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias


def by_hand_feed_forward(x, layer):
    hidden = x @ layer.widen.weight.T + layer.widen.bias
    gelu = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    return gelu @ layer.narrow.weight.T + layer.narrow.bias


def test_feed_forward_equals_its_formula(block, x):
    torch.testing.assert_close(block.feed_forward(x), by_hand_feed_forward(x, block.feed_forward))


@pytest.mark.parametrize("mask", [None, causal_mask(5)[None, None]])
def test_the_block_adds_attention_and_feed_forward_of_the_normed_tokens(block, x, mask):
    middle = x + block.attention(by_hand_norm(x, block.norm_attention), mask)
    expected = middle + by_hand_feed_forward(by_hand_norm(middle, block.norm_feed_forward), block.feed_forward)
    torch.testing.assert_close(block(x, mask), expected)


def test_dropout_acts_in_training_only(block, x):
    assert torch.equal(block(x), block(x))
    block.train()
    assert not torch.equal(block(x), block(x))


def test_feed_forward_treats_every_token_alone(x):
    layer = FeedForward(4, 8, dropout=0.0).double()
    changed = x.clone()
    changed[:, 2] += 1
    moved = (layer(x) != layer(changed)).any(-1)
    assert moved.tolist() == [[False, False, True, False, False]] * 2
