"""Scaling against numpy, and what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tsattn.config import SCALINGS
from tsattn.nn.scaling import ARCSINH_LIMIT, fit_scale, from_scaled, to_scaled


def window(seed=0, num_steps=12):
    """Values [3, L, 2] in float64 and which of them are observed, the last step of one series not."""
    rng = np.random.default_rng(seed)
    x = rng.normal(50, 8, (3, num_steps, 2))
    observed = rng.random(x.shape) < 0.8
    observed[:, :2] = True
    observed[1, -1, 0] = False
    return torch.from_numpy(x), torch.from_numpy(observed)


def everything(x):
    return torch.ones_like(x, dtype=torch.bool)


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[None, :, None]


def by_numpy(kind, seen):
    """Location and spread of the observed values of one series."""
    if kind == "robust":
        low, median, high = np.percentile(seen, [25, 50, 75])
        return median, (high - low) / 1.349
    return seen[-1] if kind == "last" else seen.mean(), seen.std()


@pytest.mark.parametrize("kind", SCALINGS)
def test_each_kind_equals_numpy_on_the_observed_values(kind):
    x, observed = window()
    scale = fit_scale(kind, x, observed)
    z = to_scaled(x, scale)
    assert scale.loc.dtype == scale.scale.dtype == torch.float64
    assert z.dtype == torch.float32
    for b in range(3):
        for v in range(2):
            loc, spread = by_numpy(kind, x[b, :, v].numpy()[observed[b, :, v].numpy()])
            assert float(scale.loc[b, 0, v]) == pytest.approx(loc)
            assert float(scale.scale[b, 0, v]) == pytest.approx(spread)
            expected = (x[b, :, v].numpy() - loc) / spread
            expected = np.arcsinh(expected) if kind == "arcsinh" else expected
            np.testing.assert_allclose(z[b, :, v].numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", SCALINGS)
def test_from_scaled_undoes_to_scaled_for_values_and_for_quantiles(kind):
    x, observed = window()
    scale = fit_scale(kind, x, observed)
    back = from_scaled(to_scaled(x, scale), scale)
    assert back.dtype == torch.float64
    torch.testing.assert_close(back, x, rtol=1e-5, atol=1e-5)
    several = torch.stack([to_scaled(x + shift, scale) for shift in (-1.0, 0.0, 2.0)], dim=-1)
    expected = torch.stack([x - 1, x, x + 2], dim=-1)
    torch.testing.assert_close(from_scaled(several, scale), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", SCALINGS)
@pytest.mark.parametrize("stored", [0.0, -1e30, float("nan"), float("inf")])
def test_numbers_stored_in_masked_places_have_no_influence(kind, stored):
    x, observed = window()
    expected = fit_scale(kind, x, observed)
    scale = fit_scale(kind, x.where(observed, stored), observed)
    assert torch.equal(scale.loc, expected.loc)
    assert torch.equal(scale.scale, expected.scale)
    changed = fit_scale(kind, x.where(~observed, 7.0), observed)
    assert not torch.equal(changed.loc, expected.loc)


@pytest.mark.parametrize("kind", SCALINGS)
def test_unobserved_rows_in_front_and_other_windows_have_no_influence(kind):
    x, observed = window()
    expected = fit_scale(kind, x, observed)
    nothing = torch.zeros_like(x[:, :5])
    padded = fit_scale(kind, torch.cat([nothing, x], 1), torch.cat([nothing.bool(), observed], 1))
    alone = fit_scale(kind, x[1:2], observed[1:2])
    for name in ("loc", "scale"):
        torch.testing.assert_close(getattr(padded, name), getattr(expected, name), rtol=1e-14, atol=0)
        torch.testing.assert_close(getattr(alone, name), getattr(expected, name)[1:2], rtol=1e-14, atol=0)


@pytest.mark.parametrize("kind", SCALINGS)
@pytest.mark.parametrize(
    ("values", "loc", "spread"),
    [([5.0] * 6, 5.0, 5.0), ([-1e9] * 6, -1e9, 1e9), ([0.0] * 6, 0.0, 1.0), ([3.0], 3.0, 3.0)],
    ids=["constant", "large constant", "zeros", "one value"],
)
def test_a_context_without_spread_takes_its_level_or_one_as_its_unit(kind, values, loc, spread):
    x = column(*values)
    scale = fit_scale(kind, x, everything(x))
    assert (float(scale.loc), float(scale.scale)) == (loc, spread)
    assert (to_scaled(x, scale) == 0).all()


@pytest.mark.parametrize("kind", SCALINGS)
def test_a_context_without_any_observed_value_is_left_as_it_is(kind):
    x = column(float("nan"), 3.0, 4.0)
    scale = fit_scale(kind, x, torch.zeros_like(x, dtype=torch.bool))
    assert (float(scale.loc), float(scale.scale)) == (0.0, 1.0)


def test_robust_takes_the_standard_deviation_where_more_than_half_of_the_values_are_equal():
    x = column(0, 0, 0, 0, 0, 0, 0, 9)
    scale = fit_scale("robust", x, everything(x))
    assert float(scale.loc) == 0
    assert float(scale.scale) == pytest.approx(np.std([0, 0, 0, 0, 0, 0, 0, 9]))


@pytest.mark.parametrize("kind", SCALINGS)
@pytest.mark.parametrize("level", [1e9, -1e9, 1e6])
def test_digits_of_a_small_spread_on_a_large_level_are_kept(kind, level):
    steps = np.array([0, 10, -10, 4, -6, 8, 1, -3])
    x = column(*(level + steps))
    scale = fit_scale(kind, x, everything(x))
    loc, spread = by_numpy(kind, steps)
    assert float(scale.loc) - level == pytest.approx(loc, abs=1e-5)
    assert float(scale.scale) == pytest.approx(spread, rel=1e-6)
    back = from_scaled(to_scaled(x, scale), scale) - level
    np.testing.assert_allclose(back[0, :, 0].numpy(), steps, atol=1e-4)


@pytest.mark.parametrize("kind", SCALINGS)
@pytest.mark.parametrize("level", [1e-6, 1e-30, 1e6, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tiny_and_huge_values_scale_like_those_of_size_one(kind, level, dtype):
    x = column(1, 2, 4, 3, 2, 5).to(dtype)
    z = to_scaled(x, fit_scale(kind, x, everything(x)))
    huge = x * level
    scale = fit_scale(kind, huge, everything(huge))
    torch.testing.assert_close(to_scaled(huge, scale), z, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(from_scaled(z, scale), x.double() * level, rtol=1e-5, atol=0)


@pytest.mark.parametrize("kind", SCALINGS)
@pytest.mark.parametrize(("factor", "shift"), [(1e-6, 0.0), (1e6, 0.0), (1.0, 1000.0), (3.0, -20.0)])
def test_scaled_values_do_not_depend_on_unit_and_origin(kind, factor, shift):
    x, observed = window()
    scale, moved = fit_scale(kind, x, observed), fit_scale(kind, factor * x + shift, observed)
    torch.testing.assert_close(moved.scale, factor * scale.scale, rtol=1e-9, atol=0)
    torch.testing.assert_close(moved.loc, factor * scale.loc + shift, rtol=1e-9, atol=0)
    torch.testing.assert_close(to_scaled(factor * x + shift, moved), to_scaled(x, scale), rtol=1e-5, atol=1e-6)


def test_arcsinh_stays_finite_whatever_an_untrained_head_says_and_keeps_the_order():
    x, observed = window()
    scale = fit_scale("arcsinh", x, observed)
    z = torch.tensor([-1e30, -12.0, -3.0, 0.0, 3.0, 12.0, 1e30]).expand(3, 4, 2, 7)
    values = from_scaled(z, scale)
    assert values.isfinite().all()
    assert (values[..., 1:-1].diff(dim=-1) > 0).all()
    torch.testing.assert_close(values[..., [0, -1]], values[..., [1, -2]])
    expected = float(scale.loc[0, 0, 0] + scale.scale[0, 0, 0] * np.sinh(ARCSINH_LIMIT))
    assert float(values[0, 0, 0, -1]) == pytest.approx(expected)


def test_an_unknown_kind_is_refused_with_the_known_ones():
    x, observed = window()
    with pytest.raises(ValueError, match="scaling='minmax' is not known: choose one of standard, robust, last, arcsinh"):
        fit_scale("minmax", x, observed)
