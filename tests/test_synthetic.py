"""The generators, their mixture and what is done to the windows of a step."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator

from tsattn.pretrain_config import PretrainConfig
from tsattn.synthetic import augment, components, draws, prior
from tsattn.synthetic.draws import choose, log_uniform, normal, pick, standardized, uniform
from tsattn.synthetic.generators import GENERATORS

PRIOR = PretrainConfig().prior


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


@pytest.mark.parametrize("length", [2, 7, 64, 300])
@pytest.mark.parametrize("name", GENERATORS)
def test_every_draw_is_finite_and_has_the_shape_asked_for(name, length):
    y = GENERATORS[name](seeded(3), 40, length)
    assert y.shape == (40, length)
    assert y.isfinite().all()


@pytest.mark.parametrize("name", GENERATORS)
def test_single_precision_as_on_a_gpu_is_enough(name, monkeypatch):
    for module in (draws, components):
        monkeypatch.setattr(module, "dtype_of", lambda _: torch.float32)
    y = GENERATORS[name](seeded(7), 400, 192)
    assert y.dtype == torch.float32
    assert y.isfinite().all()


@pytest.mark.parametrize("name", GENERATORS)
def test_the_same_seed_gives_the_same_series_and_another_seed_others(name):
    first, again, other = (GENERATORS[name](seeded(seed), 16, 50) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", GENERATORS)
def test_the_caller_s_random_state_is_not_touched(name):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    GENERATORS[name](seeded(), 8, 20)
    assert torch.equal(torch.rand(3), expected)


def test_counts_are_whole_numbers_of_zero_or_more_many_of_them_zero():
    y = GENERATORS["counts"](seeded(), 400, 60)
    assert torch.equal(y, y.round())
    assert y.min() == 0
    assert 0.2 < float((y == 0).double().mean()) < 0.8


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_season_repeats_exactly(dtype, monkeypatch):
    for module in (draws, components):
        monkeypatch.setattr(module, "dtype_of", lambda _: dtype)
    for period in (4, 7, 12, 24):
        y = components.season(seeded(period), 24 * 6, torch.full((60, 1), float(period), dtype=dtype))
        rounding = 1e-4 if dtype == torch.float64 else 2e-2  # phases of whole rows; a row in the place of another is far more
        torch.testing.assert_close(y[:, period:], y[:, :-period], atol=rounding, rtol=0)
        assert float(y.std(1).min()) > 0.5


@pytest.mark.parametrize(("count", "length"), [(0, 9), (5, 1)])
def test_less_than_a_series_of_two_rows_is_not_drawn(count, length):
    with pytest.raises(ValueError, match="at least one series of two rows"):
        prior.simulate(count, length)


def test_a_smooth_curve_has_the_covariance_of_its_kernel(monkeypatch):
    def squared(generator, groups, grid):
        return torch.exp(-0.5 * ((grid[:, None] - grid) / 0.2) ** 2).expand(groups, -1, -1)

    monkeypatch.setattr(components, "kernel", squared)
    drawn = components.uniform
    monkeypatch.setattr(components, "uniform", lambda *given: torch.ones_like(drawn(*given)))  # joined with nothing
    y = components.smooth(seeded(), 4000, components.GRID)
    found = (y[:, 20:21] * y).mean(0)
    gap = (torch.arange(components.GRID, dtype=torch.float64) - 20) / (components.GRID - 1)
    torch.testing.assert_close(found, torch.exp(-0.5 * (gap / 0.2) ** 2), atol=0.08, rtol=0)


def test_random_numbers_follow_their_names():
    g = seeded()
    assert float(uniform(g, 2, 4, 5000).mean()) == pytest.approx(3, abs=0.05)
    assert float(log_uniform(g, 1, 100, 5000).log().mean()) == pytest.approx(math.log(10), abs=0.06)
    assert float(normal(g, 1, 2, 5000).std()) == pytest.approx(2, abs=0.08)
    drawn = choose(g, (5.0, 9.0), (1, 3), 8000)
    assert float((drawn == 9).double().mean()) == pytest.approx(0.75, abs=0.02)
    assert pick(g, (0, 1, 0), 100).unique().tolist() == [1]


def test_standardized_rows_have_mean_0_and_deviation_1_and_constant_ones_are_0():
    x = torch.stack([torch.tensor([1.0, 2.0, 3.0, 6.0]), torch.full((4,), 7.0)]).double()
    y = standardized(x)
    assert y[0].tolist() == pytest.approx([(v - 3) / math.sqrt(3.5) for v in (1, 2, 3, 6)])
    assert y[1].tolist() == [0, 0, 0, 0]


def test_the_mixture_has_the_shares_of_its_weights(monkeypatch):
    called = {}
    for name in GENERATORS:
        monkeypatch.setitem(
            prior.GENERATORS, name, lambda g, n, t, name=name: called.update({name: n}) or torch.randn(n, t).double()
        )
    prior.draw({"counts": 3.0, "regimes": 1.0, "economic": 0.0}, 4000, 5, seed=1)
    assert set(called) == {"counts", "regimes"}
    assert called["counts"] == pytest.approx(3000, abs=100)
    assert sum(called.values()) == 4000


def test_a_bank_is_kept_in_its_folder_and_its_chunks_do_not_depend_on_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr(prior, "CHUNK", 20)
    monkeypatch.setattr(prior, "LENGTHS", (24, 40, 80))
    small = prior.make_bank((PRIOR,) * 3, (20, 20, 20), seed=2)
    large = prior.make_bank((PRIOR,) * 3, (50, 40, 20), seed=2, folder=tmp_path)
    assert [tuple(part.shape) for part in large] == [(50, 24), (40, 40), (20, 80)]
    assert all(torch.equal(a, b[:20]) for a, b in zip(small, large, strict=True))
    monkeypatch.setattr(prior, "draw", None)  # whoever draws again fails
    again = prior.make_bank((PRIOR,) * 3, (50, 40, 20), seed=2, folder=tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(again, large, strict=True))


@pytest.mark.parametrize(
    ("weights", "words"),
    [({"fractals": 1.0}, "no generator fractals"), ({"counts": -1.0}, "shares of 0 or more"), ({}, "shares")],
)
def test_a_prior_that_cannot_be_drawn_is_refused_in_words(weights, words):
    with pytest.raises(ValueError, match=words):
        prior.draw(weights, 10, 10, seed=0)


def test_windows_are_rows_of_the_bank_one_after_the_other_or_a_few_apart():
    bank = (1000 * torch.arange(5)[:, None] + torch.arange(100)).float()
    x = augment.windows_of(seeded(), bank, 3000, 20)
    steps = x.diff(dim=1)
    assert torch.equal(steps, steps[:, :1].expand_as(steps))
    shares = torch.bincount(steps[:, 0].long(), minlength=5).double() / 3000
    assert shares[0] == 0
    assert float(shares[1]) == pytest.approx(0.85, abs=0.03)  # 80 %, and a quarter of the other 20 %
    assert float(shares[4]) == pytest.approx(0.05, abs=0.02)
    assert x[:, 0].remainder(1000).max() <= 80
    assert (x[:, 0] // 1000 == x[:, -1] // 1000).all()


def test_what_is_seen_of_a_context_is_mostly_its_end_and_has_3_values_or_more():
    there = augment.observed_part(seeded(), 4000, 64)
    assert there.sum(1).min() >= 3
    assert 0.9 < float(there[:, -1].double().mean()) < 1  # the last step itself may be missing
    first = there.double().argmax(1)
    plain = there.sum(1) == 64 - first  # nothing is missing after the first
    assert 0.8 < float(plain.double().mean()) < 0.95
    assert float((64 - first < 16).double().mean()) > 0.2  # short contexts


def test_augmentation_leaves_most_windows_as_they_are_and_all_of_them_finite():
    x = standardized(prior.draw(PRIOR, 600, 60, seed=4).double()).float()
    y = augment.augmented(seeded(), x)
    assert y.isfinite().all()
    same = torch.isclose(y, x, atol=1e-6).all(1).double().mean()
    assert 0.35 < float(same) < 0.65
    turned = torch.isclose(y, -x, atol=1e-6).all(1).double().mean()
    assert 0.05 < float(turned) < 0.2
