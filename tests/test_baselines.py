"""Baselines against loops over one series at a time, pandas, and the formulas of FPP3."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tsattn.baselines import BASELINES, SMOOTHING, forecast

LEVELS = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
NAN = math.nan


def panel(*series):
    lengths = [len(values) for values in series]
    return np.concatenate([np.asarray(values, dtype=float) for values in series]), np.concatenate([[0], np.cumsum(lengths)])


def one(name, values, horizon=5, season_length=1, levels=LEVELS, integer=False):
    values, indptr = panel(values)
    mean, quantiles = forecast(
        name, values, indptr, horizon=horizon, season_length=season_length, levels=levels, integer=integer
    )
    return mean[0], quantiles[0]


# ------------------------------------------------------------------ the same written once more, one number after the other


def loop_residuals(y, slope=0.0):
    """(y_t - y_s - (t - s) slope) / sqrt(t - s), s the known value before t."""
    known = [t for t in range(len(y)) if not math.isnan(y[t])]
    return [(y[t] - y[s] - (t - s) * slope) / math.sqrt(t - s) for s, t in itertools.pairwise(known)]


def loop_last_value(y, horizon, m):
    last = max(t for t in range(len(y)) if not math.isnan(y[t]))
    steps = [len(y) - 1 - last + h for h in range(1, horizon + 1)]
    return [y[last]] * horizon, [math.sqrt(step) for step in steps], loop_residuals(y), 0


def loop_seasonal_naive(y, horizon, m):
    plain_mean, plain_widening, _, _ = loop_last_value(y, horizon, m)
    means, widening = [], []
    for h in range(1, horizon + 1):
        k = 1
        while (t := len(y) - 1 + h - m * k) >= 0 and (t >= len(y) or math.isnan(y[t])):
            k += 1
        means.append(y[t] if t >= 0 else plain_mean[h - 1])
        widening.append(math.sqrt(k) if t >= 0 else plain_widening[h - 1])
    residuals = [e for position in range(m) for e in loop_residuals(list(y[position::m]))]
    return means, widening, residuals, 0


def loop_drift(y, horizon, m):
    known = [t for t in range(len(y)) if not math.isnan(y[t])]
    slope = (y[known[-1]] - y[known[0]]) / (known[-1] - known[0])
    steps = [len(y) - 1 - known[-1] + h for h in range(1, horizon + 1)]
    widening = [math.sqrt(step * (1 + step / (known[-1] - known[0]))) for step in steps]
    return [y[known[-1]] + slope * step for step in steps], widening, loop_residuals(y, slope), 1


def loop_damped_mean(y, horizon, m):
    best = None
    for a in SMOOTHING:
        errors = []
        for t in range(len(y)):
            past = [(1 - a) ** (t - 1 - s) for s in range(t) if not math.isnan(y[s])]
            if past and not math.isnan(y[t]):
                level = sum((1 - a) ** (t - 1 - s) * y[s] for s in range(t) if not math.isnan(y[s])) / sum(past)
                errors.append(y[t] - level)
        if best is None or sum(e * e for e in errors) < sum(e * e for e in best[1]):
            best = (a, errors)
    a, errors = best
    weights = {t: (1 - a) ** (len(y) - 1 - t) for t in range(len(y)) if not math.isnan(y[t])}
    level = sum(weight * y[t] for t, weight in weights.items()) / sum(weights.values())
    since = len(y) - 1 - max(weights)
    return [level] * horizon, [math.sqrt(1 + (since + h - 1) * a * a) for h in range(1, horizon + 1)], errors, 1


def loop_window_mean(y, horizon, m):
    window = m
    while window < 8:
        window += m
    used = [value for value in y if not math.isnan(value)][-window:]
    mean = sum(used) / len(used)
    return [mean] * horizon, [math.sqrt(1 + 1 / len(used))] * horizon, [value - mean for value in used], 1


LOOPS = {
    "last_value": loop_last_value,
    "seasonal_naive": loop_seasonal_naive,
    "drift": loop_drift,
    "damped_mean": loop_damped_mean,
    "window_mean": loop_window_mean,
}


@pytest.fixture(scope="module")
def ragged():
    """Twelve series of 9 to 40 values, some with holes inside, at the start and at the end."""
    rng = np.random.default_rng(0)
    series = [50 + rng.normal(size=length).cumsum() + 5 * np.arange(length) % 7 for length in rng.integers(9, 41, 12)]
    for values in series[:6]:
        values[rng.random(len(values)) < 0.25] = NAN
    series[0][-3:] = NAN
    series[1][:4] = NAN
    series[1][-1] = NAN
    return series


@pytest.mark.parametrize("season_length", [1, 3, 7])
@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_equals_a_loop_over_one_series(name, season_length, ragged):
    mean, quantiles = forecast(name, *panel(*ragged), horizon=9, season_length=season_length, levels=LEVELS)
    assert mean.shape == (12, 9)
    assert quantiles.shape == (12, 9, len(LEVELS))
    for s, y in enumerate(ragged):
        expected, widening, residuals, num_parameters = LOOPS[name](list(y), 9, season_length)
        np.testing.assert_allclose(mean[s], expected)
        freedom = len(residuals) - num_parameters
        if freedom < 2:  # the fallbacks have tests of their own
            continue
        sigma = math.sqrt(sum(e * e for e in residuals) / freedom)
        for q, level in enumerate(LEVELS):
            np.testing.assert_allclose(quantiles[s, :, q], expected + sigma * np.array(widening) * stats.t.ppf(level, freedom))


def test_every_baseline_has_a_loop_in_these_tests():
    assert LOOPS.keys() == BASELINES.keys()


# ------------------------------------------------------------------ formulas


def test_intervals_without_gaps_are_those_of_the_textbook():
    y = np.random.default_rng(1).normal(100, 10, 28)
    h = np.arange(1, 16)
    differences = np.diff(y)
    expected = {
        "last_value": np.sqrt(np.mean(differences**2) * h) * stats.t.ppf(0.9, 27),
        "drift": differences.std(ddof=1) * np.sqrt(h * (1 + h / 27)) * stats.t.ppf(0.9, 26),
        "seasonal_naive": np.sqrt(np.mean((y[7:] - y[:-7]) ** 2) * ((h - 1) // 7 + 1)) * stats.t.ppf(0.9, 21),
        "window_mean": np.repeat(y[-14:].std(ddof=1) * np.sqrt(1 + 1 / 14) * stats.t.ppf(0.9, 13), 15),
    }
    for name, half_width in expected.items():
        mean, quantiles = one(name, y, horizon=15, season_length=7, levels=[0.1, 0.9])
        np.testing.assert_allclose(quantiles, np.stack([mean - half_width, mean + half_width], axis=-1))


def test_the_damped_mean_is_the_adjusted_exponentially_weighted_mean_of_pandas(ragged):
    mean, _ = forecast("damped_mean", *panel(*ragged), horizon=1, season_length=1, levels=LEVELS)
    for s, y in enumerate(ragged):
        candidates = [pd.Series(y).ewm(alpha=a, adjust=True, ignore_na=False).mean() for a in SMOOTHING]
        errors = [((pd.Series(y) - level.shift()) ** 2).sum() for level in candidates]
        assert mean[s, 0] == pytest.approx(candidates[int(np.argmin(errors))].iloc[-1])


def test_the_damped_mean_is_near_the_mean_of_noise_and_near_the_end_of_a_random_walk():
    noise = np.random.default_rng(2).normal(size=500)
    assert abs(one("damped_mean", noise)[0][0]) < 0.3
    walk = noise.cumsum()
    assert abs(one("damped_mean", walk)[0][0] - walk[-1]) < 1


def test_eighty_percent_intervals_from_five_points_hold_about_eighty_percent_or_a_little_more():
    rng = np.random.default_rng(3)
    walks = rng.normal(size=(4000, 8)).cumsum(axis=1)
    noise = rng.normal(size=(4000, 8))
    indptr = np.arange(0, 20_001, 5)
    cases = {"last_value": walks, "drift": walks, "seasonal_naive": walks, "window_mean": noise, "damped_mean": noise}
    for name, data in cases.items():
        _, quantiles = forecast(name, data[:, :5].ravel(), indptr, horizon=3, season_length=1, levels=[0.1, 0.9])
        inside = (quantiles[..., 0] <= data[:, 5:]) & (data[:, 5:] <= quantiles[..., 1])
        assert 0.74 < inside.mean() < (0.92 if name == "damped_mean" else 0.86), name


# ------------------------------------------------------------------ missing values and short series


def test_seasonal_naive_goes_back_one_more_season_over_a_missing_value():
    y = [1.0, 2, 3, 11, 12, 13, 21, NAN, 23]
    mean, quantiles = one("seasonal_naive", y, horizon=6, season_length=3, levels=[0.5, 0.9])
    np.testing.assert_allclose(mean, [21, 12, 23, 21, 12, 23])
    width = quantiles[:, 1] - quantiles[:, 0]
    np.testing.assert_allclose(width / width[0], np.sqrt([1, 2, 1, 2, 3, 2]))


def test_seasonal_naive_within_the_first_season_takes_the_last_value_where_nothing_was_seen():
    mean, quantiles = one("seasonal_naive", [4.0, 6, 5], horizon=7, season_length=7, levels=[0.5, 0.9])
    np.testing.assert_allclose(mean, [5, 5, 5, 5, 4, 6, 5])
    assert (quantiles[:, 1] > quantiles[:, 0]).all()


def test_missing_rows_at_the_end_widen_as_if_they_were_steps():
    y = [3.0, 5, 4, 6, 7, 5]
    for name in ("last_value", "drift", "damped_mean"):
        mean, quantiles = one(name, y, horizon=5)
        later_mean, later_quantiles = one(name, [*y, NAN, NAN], horizon=3)
        np.testing.assert_allclose(later_mean, mean[2:])
        np.testing.assert_allclose(later_quantiles, quantiles[2:])


@pytest.mark.parametrize("name", BASELINES)
def test_missing_rows_at_the_start_change_nothing(name):
    y = [3.0, 5, 4, 6, 7, 5, 8, 9, 4, 5]
    for got, expected in zip(one(name, [NAN] * 4 + y, season_length=2), one(name, y, season_length=2), strict=True):
        np.testing.assert_allclose(got, expected)


@pytest.mark.parametrize("name", BASELINES)
def test_one_point_is_its_own_forecast_with_an_interval_of_its_own_size(name):
    mean, quantiles = one(name, [6.0], horizon=1, season_length=7, levels=[0.1, 0.5, 0.9])
    assert mean == [6.0]
    widening = {"drift": math.sqrt(2), "window_mean": math.sqrt(2)}.get(name, 1.0)
    np.testing.assert_allclose(quantiles[0], 6 + 6 * widening * stats.t.ppf([0.1, 0.5, 0.9], 1))
    _, zero = one(name, [0.0], horizon=1, levels=[0.9])
    np.testing.assert_allclose(zero[0], widening * stats.t.ppf([0.9], 1))


@pytest.mark.parametrize("name", BASELINES)
def test_two_points_give_a_wide_interval_even_when_they_are_equal(name):
    for y in ([4.0, 6.0], [5.0, 5.0]):
        mean, quantiles = one(name, y, horizon=3, season_length=7, levels=[0.1, 0.9])
        assert np.isfinite(mean).all()
        assert (quantiles[:, 1] - quantiles[:, 0] > 4).all()


@pytest.mark.parametrize("name", BASELINES)
def test_a_long_constant_series_is_forecast_as_itself_without_spread(name):
    mean, quantiles = one(name, [0.1] * 40, season_length=7)
    np.testing.assert_allclose(mean, 0.1, rtol=1e-12)
    np.testing.assert_allclose(quantiles, 0.1, rtol=1e-12)


@pytest.mark.parametrize("name", BASELINES)
def test_series_without_a_known_value_are_nan_and_leave_their_neighbours_alone(name):
    known = [3.0, 5, 4, 6, 7, 5]
    values, indptr = panel([NAN, NAN, NAN], known, [], known)
    mean, quantiles = forecast(name, values, indptr, horizon=2, season_length=2, levels=LEVELS, integer=True)
    assert np.isnan(mean[[0, 2]]).all()
    assert np.isnan(quantiles[[0, 2]]).all()
    for s in (1, 3):
        expected_mean, expected_quantiles = one(name, known, horizon=2, season_length=2, integer=True)
        np.testing.assert_array_equal(mean[s], expected_mean)
        np.testing.assert_array_equal(quantiles[s], expected_quantiles)


@pytest.mark.parametrize("name", BASELINES)
def test_a_series_silent_for_thousands_of_rows_has_a_forecast(name):
    mean, quantiles = one(name, [*range(1, 101), *[NAN] * 3000], season_length=7)
    assert np.isfinite(mean).all()
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=1) >= 0).all()
    if name in ("last_value", "damped_mean"):
        assert mean.tolist() == [100.0] * 5


@pytest.mark.parametrize("name", BASELINES)
def test_an_empty_panel_gives_empty_tables(name):
    for indptr, num_series in (([0], 0), ([0, 0], 1)):
        mean, quantiles = forecast(name, np.zeros(0), np.array(indptr), horizon=2, season_length=7, levels=LEVELS)
        assert mean.shape == (num_series, 2)
        assert quantiles.shape == (num_series, 2, len(LEVELS))


# ------------------------------------------------------------------ properties


@pytest.mark.parametrize("rows", [4, 10, 200])  # pieces of a series, a series, several series
@pytest.mark.parametrize("name", BASELINES)
def test_parts_of_the_panel_do_not_matter(name, rows, ragged, monkeypatch):
    whole = forecast(name, *panel(*ragged), horizon=4, season_length=3, levels=LEVELS)
    monkeypatch.setattr("tsattn.baselines.MAX_CELLS", 50)
    monkeypatch.setattr("tsattn.history.ROWS", rows)
    parts = forecast(name, *panel(*ragged), horizon=4, season_length=3, levels=LEVELS)
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(parts.quantiles, whole.quantiles, rtol=1e-12)


@pytest.mark.parametrize("integer", [False, True])
@pytest.mark.parametrize("name", BASELINES)
def test_quantiles_rise_with_the_level_and_counts_are_whole_and_not_negative(name, integer):
    counts = [np.random.default_rng(s).poisson(2, 3 + 4 * s) for s in range(8)]
    mean, quantiles = forecast(name, *panel(*counts), horizon=10, season_length=7, levels=LEVELS, integer=integer)
    assert (np.diff(quantiles, axis=-1) >= 0).all()
    np.testing.assert_allclose(quantiles[..., 3], mean)
    if integer:
        assert (mean >= 0).all()
        assert (quantiles >= 0).all()
        outer = quantiles[..., [0, 1, 2, 4, 5, 6]]
        np.testing.assert_array_equal(outer, np.round(outer))


def test_count_intervals_are_rounded_outwards():
    y = [3.0, 5, 4, 6, 7, 5]
    _, plain = one("last_value", y, levels=[0.2, 0.8])
    _, whole = one("last_value", y, levels=[0.2, 0.8], integer=True)
    np.testing.assert_array_equal(whole[:, 0], np.maximum(np.floor(plain[:, 0]), 0))
    np.testing.assert_array_equal(whole[:, 1], np.ceil(plain[:, 1]))
    _, constant = one("damped_mean", [5.0] * 30, integer=True)
    np.testing.assert_allclose(constant, 5, rtol=1e-12)


@pytest.mark.parametrize("name", BASELINES)
def test_forecasts_scale_and_shift_with_the_data(name, ragged):
    base = forecast(name, *panel(*ragged), horizon=4, season_length=3, levels=LEVELS)
    moved = forecast(name, *panel(*[1000 * y + 7e6 for y in ragged]), horizon=4, season_length=3, levels=LEVELS)
    np.testing.assert_allclose(moved.mean, 1000 * base.mean + 7e6)
    np.testing.assert_allclose(moved.quantiles, 1000 * base.quantiles + 7e6, rtol=1e-6)


@pytest.mark.parametrize("name", BASELINES)
def test_input_is_not_changed_and_float32_is_computed_in_float64(name):
    values = np.array([3, 5, 4, 6, NAN, 7], dtype=np.float32)
    before = values.copy()
    result = forecast(name, values, np.array([0, 6]), horizon=2, season_length=2, levels=LEVELS)
    np.testing.assert_array_equal(values, before)
    assert result.mean.dtype == result.quantiles.dtype == np.float64


def test_wrong_arguments_are_named():
    values, indptr = panel([1.0, 2.0])
    with pytest.raises(ValueError, match="choose one of last_value, seasonal_naive, drift, damped_mean, window_mean"):
        forecast("naive", values, indptr, horizon=1, season_length=1, levels=LEVELS)
    with pytest.raises(ValueError, match="horizon=0"):
        forecast("drift", values, indptr, horizon=0, season_length=1, levels=LEVELS)
    with pytest.raises(ValueError, match="between 0 and 1"):
        forecast("drift", values, indptr, horizon=1, season_length=1, levels=[0.0, 0.5])
