"""Heads: losses against loops and scikit-learn, negative binomial against SciPy, intervals against their share of points."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import nbinom
from sklearn.metrics import mean_pinball_loss

from tsattn.config import POINT_LOSSES
from tsattn.nn.heads import (
    SHRINKAGE,
    make_head,
    masked_mean,
    negative_binomial_nll,
    negative_binomial_quantiles,
    quantile_weights,
)
from tsattn.nn.scaling import Scale

LEVELS = [0.1, 0.3, 0.5, 0.7, 0.9]
KINDS = ["quantile", "negative_binomial", "point"]


def head_of(kind, *, levels=LEVELS, patch_length=1, point_loss="mae", d_model=4):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make_head(kind, d_model=d_model, patch_length=patch_length, levels=levels, point_loss=point_loss)


def num_raw(kind, levels=LEVELS):
    return {"quantile": len(levels), "negative_binomial": 2, "point": 1}[kind]


def scale_of(loc=0.0, scale=1.0, *, num_windows=2, arcsinh=False):
    full = torch.ones(num_windows, 1, 1, dtype=torch.float64)
    return Scale(loc * full, scale * full, arcsinh)


def random_raw(kind, *, num_windows=2, horizon=3, size=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(num_windows, horizon, 1, num_raw(kind), generator=generator)


def random_targets(*, num_windows=2, horizon=3, seed=1):
    """Whole numbers around 10 and a mask with gaps."""
    rng = np.random.default_rng(seed)
    target = torch.from_numpy(rng.poisson(10, (num_windows, horizon, 1)).astype(np.float32))
    observed = torch.from_numpy(rng.random(target.shape) < 0.7)
    observed[0, 0], observed[0, 1] = True, False
    return target, observed


def raw_of_quantiles(*distances):
    """The raw outputs of a quantile head whose neighbouring quantiles lie `distances` apart, around a median of 0."""
    raw = [math.log(math.expm1(distance)) + 1 for distance in distances]
    return torch.tensor([*raw[: len(raw) // 2], 0.0, *raw[len(raw) // 2 :]])


# ---- all heads ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_each_future_token_gives_its_steps_in_order(kind):
    head, width = head_of(kind, patch_length=3, d_model=4), num_raw(kind)
    tokens = torch.randn(2, 5, 4, 4, generator=torch.Generator().manual_seed(0))  # B V N D
    raw = head(tokens)
    assert raw.shape == (2, 12, 5, width)
    for step in range(12):
        rows = slice(step % 3 * width, (step % 3 + 1) * width)
        expected = tokens[:, :, step // 3] @ head.linear.weight[rows].T + head.linear.bias[rows]
        torch.testing.assert_close(raw[:, step], expected)


@pytest.mark.parametrize("point_loss", POINT_LOSSES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stored", [0.0, -5.0, 1e30, float("nan"), float("inf")])
def test_masked_targets_matter_neither_to_the_loss_nor_to_its_gradient(kind, point_loss, stored):
    head, scale = head_of(kind, point_loss=point_loss), scale_of(10.0, 3.0)
    target, observed = random_targets()
    results = []
    for masked in (7.0, stored):
        raw = random_raw(kind).requires_grad_()
        loss = head.loss(raw, target.where(observed, masked), observed, scale)
        loss.backward()
        results.append((loss.detach(), raw.grad))
    torch.testing.assert_close(results[1], results[0], rtol=0, atol=0)
    changed = head.loss(random_raw(kind), target.where(~observed, 30.0), observed, scale)
    assert not torch.equal(changed, results[0][0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stored", [0.0, 1e30, float("nan")])
def test_masked_targets_do_not_matter_to_the_intervals(kind, stored):
    target, observed = random_targets(num_windows=40)
    target = 3 * target  # far outside the intervals of the untrained head
    raw, scale = random_raw(kind, num_windows=40), scale_of(10.0, 3.0, num_windows=40)
    one, other = head_of(kind), head_of(kind)
    one.calibrate(raw, target, observed, scale)
    other.calibrate(raw, target.where(observed, stored), observed, scale)
    assert torch.equal(one.quantiles(raw, scale), other.quantiles(raw, scale))
    assert not torch.equal(one.quantiles(raw, scale), head_of(kind).quantiles(raw, scale))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_points", [0, 1])
def test_without_points_or_with_one_everything_stays_finite(kind, num_points):
    head, raw, scale = head_of(kind), random_raw(kind).requires_grad_(), scale_of(10.0, 3.0)
    target, observed = torch.full((2, 3, 1), torch.nan), torch.zeros(2, 3, 1, dtype=torch.bool)
    target.view(-1)[:num_points], observed.view(-1)[:num_points] = 4.0, True
    loss = head.loss(raw, target, observed, scale)
    loss.backward()
    assert raw.grad is not None
    assert raw.grad.isfinite().all()
    assert bool(raw.grad.any()) == (num_points == 1)
    assert bool(loss.isfinite())
    assert bool(loss == 0) == (num_points == 0)
    head.calibrate(raw.detach(), target, observed, scale)
    assert head.quantiles(raw.detach(), scale).isfinite().all()
    assert all(buffer.isfinite().all() for buffer in head.buffers())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("arcsinh", [False, True])
@pytest.mark.parametrize("size", [0.0, 1.0, 50.0])
def test_quantiles_never_cross_whatever_the_raw_outputs(kind, arcsinh, size):
    levels = [0.025, *LEVELS, 0.975]
    head = head_of(kind, levels=levels)
    generator = torch.Generator().manual_seed(0)
    raw = size * torch.randn(50, 3, 1, num_raw(kind, levels), generator=generator)
    scale = scale_of(10.0, 3.0, num_windows=50, arcsinh=arcsinh)
    y = 10 + 10 * torch.randn(50, 3, 1, generator=generator)
    for _ in range(2):
        quantiles = head.quantiles(raw, scale)
        assert quantiles.shape == (50, 3, 1, 7)
        assert quantiles.dtype == torch.float64
        assert quantiles.isfinite().all()
        assert (quantiles.diff(dim=-1) >= 0).all()
        head.calibrate(raw, y.round().clamp(min=0), torch.ones_like(y, dtype=torch.bool), scale)


def test_the_masked_mean_divides_the_sum_by_the_count_of_observed_places():
    x, observed = random_targets()
    values = [float(x[b, h, 0]) for b in range(2) for h in range(3) if observed[b, h, 0]]
    assert float(masked_mean(x, observed)) == pytest.approx(sum(values) / len(values))
    assert float(masked_mean(x * torch.nan, ~observed & observed)) == 0


def test_an_undecided_head_is_refused():
    with pytest.raises(ValueError, match="head='auto' must be decided before the model is built"):
        head_of("auto")


# ---- quantile ----------------------------------------------------------------------------------------------------------


def test_quantiles_are_the_median_and_summed_positive_distances():
    head = head_of("quantile")
    raw = raw_of_quantiles(0.5, 2.0, 1.0, 0.25).expand(2, 3, 1, 5).clone()
    raw[..., 2] = 1.5
    expected = 100 + 10 * torch.tensor([1.5 - 2.5, 1.5 - 2.0, 1.5, 1.5 + 1.0, 1.5 + 1.25], dtype=torch.float64)
    torch.testing.assert_close(head.quantiles(raw, scale_of(100.0, 10.0))[1, 2, 0], expected, rtol=1e-6, atol=0)


def test_the_pinball_loss_equals_a_loop_and_twice_that_of_scikit_learn():
    head, raw, scale = head_of("quantile"), random_raw("quantile"), scale_of(10.0, 4.0)
    target, observed = random_targets()
    quantiles = (head.quantiles(raw, scale).numpy() - 10.0) / 4.0  # in scaled units
    y = (target.numpy() - 10.0) / 4.0
    losses = []
    for b in range(2):
        for h in range(3):
            for i, level in enumerate(LEVELS):
                if observed[b, h, 0]:
                    error = y[b, h, 0] - quantiles[b, h, 0, i]
                    losses.append(2 * (level * error if error >= 0 else (level - 1) * error))
    loss = float(head.loss(raw, target, observed, scale))
    assert loss == pytest.approx(np.mean(losses), rel=1e-5)
    seen = observed.numpy()
    oracle = [mean_pinball_loss(y[seen], quantiles[seen][:, i], alpha=level) for i, level in enumerate(LEVELS)]
    assert loss == pytest.approx(2 * np.mean(oracle), rel=1e-5)


@pytest.mark.parametrize("levels", [LEVELS, [0.5], [0.05, 0.5], [0.025, 0.1, 0.25, 0.5, 0.6, 0.99]])
def test_the_mean_is_the_integral_of_the_quantile_function(levels):
    quantiles = np.sort(np.random.default_rng(0).normal(20, 5, len(levels)))
    num, total = 4000, 0.0
    for step in range(num):
        total += np.interp((step + 0.5) / num, levels, quantiles) / num  # constant beyond the outermost levels
    weights = quantile_weights(levels).numpy()
    assert weights @ quantiles == pytest.approx(total, abs=1e-4)
    assert weights.sum() == pytest.approx(1)
    head = head_of("quantile", levels=levels)
    raw = torch.randn(2, 3, 1, len(levels), generator=torch.Generator().manual_seed(0))
    scale = scale_of(10.0, 3.0, arcsinh=True)
    expected = (head.quantiles(raw, scale).numpy() * weights).sum(-1)
    np.testing.assert_allclose(head.mean(raw, scale).numpy(), expected)


# ---- negative binomial -------------------------------------------------------------------------------------------------

MEANS = [1e-3, 0.3, 1.0, 17.5, 1e3, 1e5]
DISPERSIONS = [1e-4, 1e-2, 0.3, 1.0, 10.0]


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("dispersion", DISPERSIONS)
def test_the_likelihood_of_counts_equals_scipy(mean, dispersion):
    r = 1 / dispersion
    y = np.unique(np.r_[0, 1, 2, 7, np.round(mean * np.array([0.1, 0.5, 1.0, 2.0, 5.0]))])
    expected = -nbinom.logpmf(y, r, r / (r + mean))
    result = negative_binomial_nll(
        *(torch.from_numpy(np.broadcast_to(part, y.shape).reshape(-1, 1, 1).copy()) for part in (y, mean, dispersion))
    )
    np.testing.assert_allclose(result.ravel().numpy(), expected, rtol=1e-7, atol=1e-6)


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("dispersion", [*DISPERSIONS, 30.0])
def test_quantiles_of_counts_equal_scipy_even_far_in_the_tail(mean, dispersion):
    levels, r = [0.001, 0.1, 0.5, 0.9, 0.99, 0.9999, 0.999999], 1 / dispersion
    result = negative_binomial_quantiles(np.array(mean), np.array(dispersion), levels)
    np.testing.assert_array_equal(result, nbinom.ppf(levels, r, r / (r + mean)))


def test_quantiles_of_counts_of_many_means_at_once_keep_their_places():
    mean, dispersion = np.meshgrid(MEANS, DISPERSIONS)
    result = negative_binomial_quantiles(mean, dispersion, LEVELS)
    assert result.shape == (5, 6, 5)
    for i in range(5):
        for j in range(6):
            r = 1 / dispersion[i, j]
            np.testing.assert_array_equal(result[i, j], nbinom.ppf(LEVELS, r, r / (r + mean[i, j])))


def test_quantiles_of_means_beyond_all_whole_numbers_are_found_too():
    result = negative_binomial_quantiles(np.array([1e18, 1e30]), np.array([0.1, 1e-6]), [0.1, 0.5, 0.9])
    assert (np.diff(result) > 0).all()
    np.testing.assert_allclose(result[:, 1], [1e18, 1e30], rtol=0.05)


@pytest.mark.parametrize("size", [0.5, 30.0])
@pytest.mark.parametrize("widening", [0.5, 1.0, 1.7])
def test_forecasts_of_counts_are_whole_numbers_and_never_negative(size, widening):
    head = head_of("negative_binomial")
    head.widening.fill_(widening)
    raw, scale = random_raw("negative_binomial", num_windows=50, size=size), scale_of(4.0, 3.0, num_windows=50, arcsinh=True)
    quantiles = head.quantiles(raw, scale)
    assert (quantiles >= 0).all()
    assert (quantiles == quantiles.round()).all()
    assert (head.mean(raw, scale) > 0).all()
    assert quantiles.unique().numel() > 5


@pytest.mark.parametrize("widening", [0.7, 1.0, 1.3])
def test_intervals_of_counts_are_widened_around_the_median_to_the_nearest_whole_numbers(widening):
    head, scale = head_of("negative_binomial"), scale_of(20.0, 3.0)
    raw = random_raw("negative_binomial")
    exact = head.quantiles(raw, scale)
    head.widening.fill_(widening)
    widened = head.quantiles(raw, scale)
    for b in range(2):
        for h in range(3):
            median = float(exact[b, h, 0, 2])
            for i in range(5):
                moved = median + widening * (float(exact[b, h, 0, i]) - median)
                assert float(widened[b, h, 0, i]) == max(round(moved), 0)


def test_mean_and_dispersion_of_counts_are_the_bent_outputs():
    head, raw = head_of("negative_binomial"), torch.tensor([0.5, 2.0]).expand(2, 3, 1, 2)
    mean, dispersion = head.parameters_of(raw, scale_of(10.0, 4.0))
    location = 0.5 * 4 + 10
    assert float(mean[0, 0, 0]) == pytest.approx(4 * math.log1p(math.exp(4 * location / 4)) / 4)
    assert float(mean[0, 0, 0]) == pytest.approx(location, rel=1e-3)  # hardly bent where it is positive
    assert float(dispersion[0, 0, 0]) == pytest.approx(math.log1p(math.exp(0.5)))
    assert torch.equal(head.mean(raw, scale_of(10.0, 4.0)), mean)


def test_the_loss_of_counts_is_the_mean_of_the_likelihoods():
    head, raw, scale = head_of("negative_binomial"), random_raw("negative_binomial"), scale_of(10.0, 4.0)
    target, observed = random_targets()
    mean, dispersion = (part.numpy() for part in head.parameters_of(raw, scale))
    terms = []
    for b in range(2):
        for h in range(3):
            if observed[b, h, 0]:
                r = 1 / dispersion[b, h, 0]
                terms.append(-nbinom.logpmf(float(target[b, h, 0]), r, r / (r + mean[b, h, 0])))
    assert float(head.loss(raw, target, observed, scale)) == pytest.approx(np.mean(terms), rel=1e-5)


# ---- point -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point_loss", POINT_LOSSES)
def test_point_losses_equal_their_formulas_in_scaled_units(point_loss):
    head, raw, scale = head_of("point", point_loss=point_loss), random_raw("point"), scale_of(10.0, 2.0)
    target, observed = random_targets()
    error = ((target.numpy() - 10.0) / 2.0 - raw[..., 0].numpy())[observed.numpy()]
    expected = {
        "mae": np.abs(error).mean(),
        "mse": np.square(error).mean(),
        "huber": np.where(np.abs(error) <= 1, error**2 / 2, np.abs(error) - 0.5).mean(),
    }
    assert float(head.loss(raw, target, observed, scale)) == pytest.approx(expected[point_loss], rel=1e-5)


def test_the_point_lies_in_the_units_of_the_series_and_is_its_own_median():
    head, raw, scale = head_of("point"), random_raw("point"), scale_of(10.0, 2.0)
    head.residuals.copy_(torch.tensor([-1.0, -0.5, 0.0, 0.5, 3.0]))
    expected = 10 + 2 * raw[..., 0].double()
    torch.testing.assert_close(head.mean(raw, scale), expected)
    torch.testing.assert_close(head.quantiles(raw, scale)[..., 2], expected)
    torch.testing.assert_close(head.quantiles(raw, scale)[..., 4], expected + 6)


def test_intervals_of_the_point_head_are_the_quantiles_of_its_errors_around_its_own_median():
    head, raw, scale = head_of("point"), random_raw("point", num_windows=30), scale_of(10.0, 2.0, num_windows=30)
    target, observed = random_targets(num_windows=30)
    head.calibrate(raw, target, observed, scale)
    errors = ((target.numpy().astype(float) - 10) / 2 - raw[..., 0].numpy())[observed.numpy()]
    expected = np.quantile(errors, LEVELS) - np.median(errors)
    np.testing.assert_allclose(head.residuals.numpy(), expected, rtol=1e-5, atol=1e-6)


# ---- intervals on held-out data ----------------------------------------------------------------------------------------


def coverage(head, raw, y, scale):
    """Share of the points between the outermost quantiles."""
    quantiles = head.quantiles(raw, scale)
    inside = (y >= quantiles[..., 0]) & (y <= quantiles[..., -1])
    return float(inside.double().mean())


NOISE = {"normal": lambda rng, n: rng.normal(0, 1, n), "skewed": lambda rng, n: rng.exponential(1, n) - math.log(2)}


@pytest.mark.parametrize(
    ("noise", "width"), [("normal", 0.6), ("normal", 1.0), ("normal", 1.8), ("skewed", 0.4), ("skewed", 1.4)]
)
def test_after_calibration_the_80_percent_interval_of_the_quantile_head_covers_80_percent(noise, width):
    head, rng = head_of("quantile"), np.random.default_rng(0)
    raw = raw_of_quantiles(0.76 * width, 0.52 * width, 0.52 * width, 0.76 * width).expand(3000, 1, 1, 5)
    scale, everything = scale_of(50.0, 5.0, num_windows=3000), torch.ones(3000, 1, 1, dtype=torch.bool)
    held_out, fresh = (torch.from_numpy(50 + 5 * NOISE[noise](rng, 3000)).reshape(3000, 1, 1) for _ in range(2))
    before = coverage(head, raw, fresh, scale)
    head.calibrate(raw, held_out, everything, scale)
    assert coverage(head, raw, fresh, scale) == pytest.approx(0.8, abs=0.025)
    assert width == 1.0 or abs(before - 0.8) > 0.1


def test_after_calibration_the_80_percent_interval_of_the_point_head_covers_80_percent():
    head, rng = head_of("point"), np.random.default_rng(0)
    raw, scale = torch.zeros(3000, 1, 1, 1), scale_of(50.0, 5.0, num_windows=3000)
    held_out, fresh = (torch.from_numpy(50 + 5 * rng.normal(0, 1, 3000)).reshape(3000, 1, 1) for _ in range(2))
    assert coverage(head, raw, fresh, scale) < 0.01
    head.calibrate(raw, held_out, torch.ones(3000, 1, 1, dtype=torch.bool), scale)
    assert coverage(head, raw, fresh, scale) == pytest.approx(0.8, abs=0.025)


@pytest.mark.parametrize("true_dispersion", [0.02, 0.5])
def test_after_calibration_the_80_percent_interval_of_counts_covers_about_80_percent(true_dispersion):
    head, rng, num = head_of("negative_binomial"), np.random.default_rng(0), 3000
    believed = math.log(math.expm1(0.1)) + 1.5  # the raw output of a dispersion of 0.1
    raw, scale = torch.tensor([0.0, believed]).expand(num, 1, 1, 2), scale_of(200.0, 20.0, num_windows=num)
    r = 1 / true_dispersion
    held_out, fresh = (torch.from_numpy(rng.negative_binomial(r, r / (r + 200), (num, 1, 1)).astype(float)) for _ in range(2))
    before = coverage(head, raw, fresh, scale)
    head.calibrate(raw, held_out, torch.ones(num, 1, 1, dtype=torch.bool), scale)
    assert coverage(head, raw, fresh, scale) == pytest.approx(0.8, abs=0.03)
    assert abs(before - 0.8) > 0.1


@pytest.mark.parametrize("levels", [LEVELS, [0.2, 0.5, 0.8], [0.4, 0.5, 0.6]])
@pytest.mark.parametrize("num", [1, 4, 9, 35, 100])
def test_the_widening_is_the_conformal_rank_of_the_scores_shrunk_towards_one(levels, num):
    head, rng = head_of("quantile", levels=levels), np.random.default_rng(num)
    raw = raw_of_quantiles(*[1.0] * (len(levels) - 1)).expand(num, 1, 1, len(levels))
    y = rng.normal(0, 1.5 * (len(levels) // 2), num)
    head.calibrate(
        raw, torch.from_numpy(y).reshape(num, 1, 1), torch.ones(num, 1, 1, dtype=torch.bool), scale_of(num_windows=num)
    )
    tenths = round(10 * (levels[-1] - levels[0]))
    rank = min(-(-(num + 1) * tenths // 10), num)  # ceil in whole numbers
    score = sorted(abs(y) / (len(levels) // 2))[rank - 1]
    assert float(head.widening) == pytest.approx(min(max(score, 0.5), 3.0) ** (num / (num + SHRINKAGE)), rel=1e-5)


def test_levels_on_one_side_only_are_left_as_they_are():
    head, raw = head_of("quantile", levels=[0.5, 0.9]), torch.zeros(2, 3, 1, 2)
    target, observed = random_targets()
    head.calibrate(raw, target, observed, scale_of())
    assert float(head.widening) == 1
