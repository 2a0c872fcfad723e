"""Attention over values: against loops, and the naive forecasts it can express."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from tsattn.nn.copying import CopyAttention
from tsattn.nn.positional import rotary_angles


def random_case(num_heads: int = 2) -> tuple[CopyAttention, Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(3)
    module = CopyAttention(8, num_heads, 3)
    torch.nn.init.normal_(module.mix.weight)
    seen = torch.rand(2, 4, 3) < 0.7
    seen[0, 1] = False  # a token without any value
    z = torch.where(seen, torch.randn(2, 4, 3), 0.0)
    return module, torch.randn(2, 6, 8), z, seen, torch.randn(2)


def test_the_mixture_equals_float64_loops() -> None:
    module, tokens, z, seen, last = random_case()
    result = module(tokens[:, :4], tokens[:, 4:], z, seen, last)[0].detach()
    weights = {name: value.double() for name, value in module.state_dict().items()}
    for b in range(2):
        q, k = (tokens[b].double() @ weights[f"{name}.weight"].T for name in ("query", "key"))
        for f in range(2):
            logits = tokens[b, 4 + f].double() @ weights["mix.weight"].T + weights["mix.bias"]
            for p in range(3):
                options = []
                for a in range(2):
                    head = slice(4 * a, 4 * a + 4)
                    total = weight = 0.0
                    for n in range(4):
                        if seen[b, n].any():
                            w = math.exp(float(q[4 + f, head] @ k[n, head]) / 2.0)
                            total += w * float(z[b, n, p])
                            weight += w * float(seen[b, n, p])
                    options.append(total / weight if weight else 0.0)
                share = torch.softmax(logits[4 * p : 4 * p + 4], dim=0)
                expected = sum(float(s) * o for s, o in zip(share, [*options, float(last[b]), 0.0], strict=True))
                assert float(result[b, f, p]) == pytest.approx(expected, abs=1e-5)


def test_equal_weights_give_the_mean_of_what_was_seen_at_each_place_of_the_patch() -> None:
    module, tokens, z, seen, last = random_case(num_heads=1)
    torch.nn.init.zeros_(module.key.weight)
    torch.nn.init.zeros_(module.mix.weight)
    with torch.no_grad():
        module.mix.bias.copy_(torch.tensor([60.0, 0.0, 0.0]).repeat(3))  # all on the copy
    result, _ = module(tokens[:, :4], tokens[:, 4:], z, seen, last)
    for b in range(2):
        for p in range(3):
            values = [float(z[b, n, p]) for n in range(4) if seen[b, n, p]]
            mean = sum(values) / len(values) if values else 0.0
            assert result[b, :, p].tolist() == pytest.approx([mean, mean], abs=1e-6)


def test_the_last_value_alone_is_the_last_value_forecast() -> None:
    module, tokens, z, seen, last = random_case(num_heads=1)
    torch.nn.init.zeros_(module.mix.weight)
    with torch.no_grad():
        module.mix.bias.copy_(torch.tensor([0.0, 60.0, 0.0]).repeat(3))
    assert torch.allclose(
        module(tokens[:, :4], tokens[:, 4:], z, seen, last)[0], last[:, None, None].expand(2, 2, 3), atol=1e-6
    )


def test_nothing_seen_gives_a_finite_answer() -> None:
    module, tokens, z, seen, _ = random_case()
    result, _ = module(tokens[:, :4], tokens[:, 4:], torch.zeros_like(z), torch.zeros_like(seen), torch.zeros(2))
    assert torch.equal(result, torch.zeros_like(result))


def test_with_rotary_angles_only_the_distance_of_tokens_matters() -> None:
    module, tokens, z, seen, last = random_case()
    here, there = (rotary_angles(torch.arange(6) - shift, 4) for shift in (4, 11))
    result, _ = module(tokens[:, :4], tokens[:, 4:], z, seen, last, here)
    assert torch.allclose(result, module(tokens[:, :4], tokens[:, 4:], z, seen, last, there)[0], atol=1e-5)
    assert not torch.allclose(result, module(tokens[:, :4], tokens[:, 4:], z, seen, last)[0], atol=1e-3)


@torch.no_grad()
def test_the_spread_of_moved_copies_equals_float64_loops() -> None:
    """Patches of 3 steps, read from 0, 1 or 2 steps on: the variance of the values that each head copies, in their shares."""
    torch.manual_seed(4)
    module = CopyAttention(8, 2, 3, by_step=True, spread=True).double()
    for part in (module.mix, module.move, module.widen):
        torch.nn.init.normal_(part.weight)
        torch.nn.init.normal_(part.bias)
    seen = torch.rand(2, 4, 3) < 0.7
    z = torch.where(seen, torch.randn(2, 4, 3, dtype=torch.float64), 0.0)
    tokens = torch.randn(2, 6, 8, dtype=torch.float64)
    mixture, wider = module(tokens[:, :4], tokens[:, 4:], z, seen, torch.zeros(2, dtype=torch.float64))
    for b in range(2):
        values, known = z[b].flatten(), seen[b].flatten()
        for f in range(2):
            token = tokens[b, 4 + f]
            moves = module.move(token).reshape(2, 3).softmax(-1)
            gain, logits = float(module.widen(token)), module.mix(token).reshape(3, 4)
            q, k = module.query(token).reshape(2, 4), module.key(tokens[b, :4]).reshape(4, 2, 4)
            for p in range(3):
                share, location, variance = logits[p].softmax(-1), 0.0, 0.0
                for a in range(2):
                    scores = [math.exp(float(q[a] @ k[n, a]) / 2) if seen[b, n].any() else 0.0 for n in range(4)]
                    places = [(n, s, 3 * n + s + p) for n in range(4) for s in range(3)]
                    there = [(scores[n] * float(moves[a, s]), row) for n, s, row in places if row < 12 and known[row]]
                    total = sum(w for w, _ in there)
                    mean = sum(w * float(values[row]) for w, row in there) / total
                    location += float(share[a]) * mean
                    variance += float(share[a]) * sum(w * (float(values[row]) - mean) ** 2 for w, row in there) / total
                expected = gain * math.log(math.sqrt(variance + 1e-3) / 0.2) * float(share[:2].sum())
                assert float(mixture[b, f, p]) == pytest.approx(location, abs=1e-9)
                assert float(wider[b, f, p]) == pytest.approx(expected, abs=1e-9)


def test_the_spread_has_no_effect_before_it_is_learned() -> None:
    torch.manual_seed(5)
    module = CopyAttention(8, 2, 3, by_step=True, spread=True)
    _, wider = module(
        torch.randn(2, 4, 8), torch.randn(2, 2, 8), torch.randn(2, 4, 3), torch.ones(2, 4, 3, dtype=torch.bool), torch.zeros(2)
    )
    assert torch.equal(wider, torch.zeros(2, 2, 3))
