"""Metrics against utilsforecast, hand values and plain loops."""

import math

import numpy as np
import pandas as pd
import pytest
import utilsforecast.losses as oracle

from tsattn import metrics

LEVELS = [0.1, 0.3, 0.5, 0.7, 0.9]


@pytest.fixture
def windows():
    """Six windows of four steps, each with 30 rows of history, a forecast and sorted quantiles."""
    rng = np.random.default_rng(0)
    history = rng.poisson(20, (6, 30)).astype(float)
    y = rng.poisson(20, (6, 4)).astype(float)
    quantiles = np.sort(20 + 6 * rng.standard_normal((6, 4, 5)), axis=-1)
    return history, y, quantiles[..., 2], quantiles


def as_frame(y, **columns):
    num_windows, horizon = y.shape
    frame = pd.DataFrame(
        {"unique_id": np.repeat(np.arange(num_windows), horizon), "ds": np.tile(np.arange(horizon), num_windows)}
    )
    frame["y"] = y.ravel()
    for name, values in columns.items():
        frame[name] = values.ravel()
    return frame


def with_gaps(y):
    y = y.copy()
    y[0, 1] = y[2, :3] = np.nan
    return y


@pytest.mark.parametrize("gaps", [False, True])
def test_mae_rmse_and_wape_per_window_equal_utilsforecast(windows, gaps):
    _, y, forecast, _ = windows
    y = with_gaps(y) if gaps else y
    frame = as_frame(y, model=forecast).dropna()
    per_window = metrics.absolute_errors(y, forecast).per_window()
    np.testing.assert_allclose(per_window, oracle.mae(frame, ["model"])["model"])
    np.testing.assert_allclose(
        np.sqrt(metrics.squared_errors(y, forecast).per_window()), oracle.rmse(frame, ["model"])["model"]
    )
    np.testing.assert_allclose(metrics.relative_absolute_errors(y, forecast).per_window(), oracle.nd(frame, ["model"])["model"])


@pytest.mark.parametrize("season_length", [1, 7])
def test_mase_and_rmsse_equal_utilsforecast_averaged_over_series(windows, season_length):
    history, y, forecast, _ = windows
    train = as_frame(history)
    frame = as_frame(y, model=forecast)
    expected = oracle.mase(frame, ["model"], season_length, train)["model"]
    scale = metrics.seasonal_scale(history, season_length)
    np.testing.assert_allclose(metrics.scaled_absolute_errors(y, forecast, scale=scale).per_window(), expected)
    assert metrics.mase(y, forecast, scale=scale) == (pytest.approx(expected.mean()), 6, 0)
    expected = oracle.rmsse(frame, ["model"], season_length, train)["model"]
    scale = metrics.seasonal_scale_squared(history, season_length)
    np.testing.assert_allclose(metrics.scaled_root_squared_errors(y, forecast, scale=scale).per_window(), expected)
    assert metrics.rmsse(y, forecast, scale=scale) == (pytest.approx(expected.mean()), 6, 0)


def test_pinball_coverage_and_weighted_quantile_loss_equal_utilsforecast(windows):
    _, y, _, quantiles = windows
    names = [f"q{level}" for level in LEVELS]
    frame = as_frame(y, **{name: quantiles[..., i] for i, name in enumerate(names)})
    for i, level in enumerate(LEVELS):
        expected = oracle.quantile_loss(frame, {"model": names[i]}, q=level)["model"]
        np.testing.assert_allclose(metrics.pinball_losses(y, quantiles[..., i : i + 1], levels=[level]).per_window(), expected)
    expected = oracle.mqloss(frame, {"model": names}, quantiles=np.array(LEVELS))["model"]
    np.testing.assert_allclose(metrics.pinball_losses(y, quantiles, levels=LEVELS).per_window(), expected)
    expected = oracle.scaled_crps(frame, {"model": names}, quantiles=np.array(LEVELS))["model"]
    np.testing.assert_allclose(metrics.weighted_quantile_losses(y, quantiles, levels=LEVELS).per_window(), expected)
    bounds = frame.rename(columns={"q0.1": "model-lo-80", "q0.9": "model-hi-80"})
    expected = oracle.coverage(bounds, ["model"], 80)["model"]
    np.testing.assert_allclose(metrics.covered(y, quantiles[..., 0], quantiles[..., -1]).per_window(), expected)


def test_pooled_numbers_equal_loops_over_all_known_values(windows):
    _, y, forecast, quantiles = windows
    y = with_gaps(y)
    absolute, squared, volume, loss, inside, count = 0.0, 0.0, 0.0, 0.0, 0, 0
    for n in range(6):
        for h in range(4):
            if math.isnan(y[n, h]):
                continue
            count += 1
            absolute += abs(y[n, h] - forecast[n, h])
            squared += (y[n, h] - forecast[n, h]) ** 2
            volume += abs(y[n, h])
            inside += quantiles[n, h, 0] <= y[n, h] <= quantiles[n, h, 4]
            for i, level in enumerate(LEVELS):
                error = y[n, h] - quantiles[n, h, i]
                loss += level * error if error > 0 else (level - 1) * error
    assert metrics.mae(y, forecast) == pytest.approx(absolute / count)
    assert metrics.rmse(y, forecast) == pytest.approx(math.sqrt(squared / count))
    assert metrics.wape(y, forecast) == pytest.approx(absolute / volume)
    assert metrics.pinball(y, quantiles, levels=LEVELS) == pytest.approx(loss / count / 5)
    assert metrics.weighted_quantile_loss(y, quantiles, levels=LEVELS) == pytest.approx(2 * loss / 5 / volume)
    assert metrics.coverage(y, quantiles[..., 0], quantiles[..., -1]) == pytest.approx(inside / count)


def test_hand_values_of_one_window():
    y, forecast = np.array([[2.0, 4.0]]), np.array([[1.0, 7.0]])
    assert metrics.mae(y, forecast) == 2.0
    assert metrics.rmse(y, forecast) == pytest.approx(math.sqrt(5))
    assert metrics.wape(y, forecast) == pytest.approx(4 / 6)
    assert metrics.mase(y, forecast, scale=np.array([4.0])) == (0.5, 1, 0)
    assert metrics.rmsse(y, forecast, scale=np.array([20.0])) == (0.5, 1, 0)
    # one level 0.9: one unit too low costs 0.9, three too high cost 0.3
    assert metrics.pinball(y, forecast[..., None], levels=[0.9]) == pytest.approx((0.9 + 0.3) / 2)


def test_pinball_at_the_median_is_half_the_mae_and_crps_is_the_mae(windows):
    _, y, forecast, _ = windows
    assert metrics.pinball(y, forecast[..., None], levels=[0.5]) == pytest.approx(metrics.mae(y, forecast) / 2)
    same = np.repeat(forecast[..., None], 9, axis=-1)
    assert metrics.crps(y, same, levels=np.arange(1, 10) / 10) == pytest.approx(metrics.mae(y, forecast))


def test_crps_with_equal_spacing_is_twice_the_mean_pinball(windows):
    _, y, _, quantiles = windows
    assert metrics.crps(y, quantiles, levels=LEVELS) == pytest.approx(2 * metrics.pinball(y, quantiles, levels=LEVELS))


@pytest.mark.parametrize("levels", [np.arange(1, 1000) / 1000, np.linspace(0.02, 0.998, 700) ** 1.5])
def test_crps_of_a_normal_forecast_equals_the_closed_form(levels):
    from scipy.special import ndtri

    y = 0.7
    density, below = math.exp(-(y**2) / 2) / math.sqrt(2 * math.pi), 0.5 * (1 + math.erf(y / math.sqrt(2)))
    expected = y * (2 * below - 1) + 2 * density - 1 / math.sqrt(math.pi)  # Gneiting & Raftery (2007), equation 21
    got = metrics.crps(np.array([[y]]), ndtri(levels)[None, None], levels=levels)
    assert got == pytest.approx(expected, rel=0.02)


def test_crps_does_not_depend_on_the_order_of_the_levels(windows):
    _, y, _, quantiles = windows
    levels = np.array([0.05, 0.1, 0.5, 0.8, 0.95])
    order = [3, 0, 4, 1, 2]
    assert metrics.crps(y, quantiles[..., order], levels=levels[order]) == pytest.approx(
        metrics.crps(y, quantiles, levels=levels)
    )


def test_seasonal_scale_equals_a_loop_with_missing_values_and_padding():
    rng = np.random.default_rng(1)
    history = rng.normal(10, 3, (5, 25))
    history[rng.random((5, 25)) < 0.2] = np.nan
    history[1, :12] = np.nan
    for season_length in (1, 4):
        for squared, function in ((False, metrics.seasonal_scale), (True, metrics.seasonal_scale_squared)):
            got = function(history, season_length)
            for n in range(5):
                pairs = [history[n, t] - history[n, t - season_length] for t in range(season_length, 25)]
                sizes = [d * d if squared else abs(d) for d in pairs if not math.isnan(d)]
                assert got[n] == pytest.approx(sum(sizes) / len(sizes))


def test_flat_history_with_indptr_equals_padded_history():
    rng = np.random.default_rng(2)
    lengths = [30, 3, 0, 17, 9]
    parts = [rng.normal(size=length) for length in lengths]
    padded = np.full((5, 30), np.nan)
    for row, part in zip(padded, parts, strict=True):
        row[30 - len(part) :] = part
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    np.testing.assert_allclose(
        metrics.seasonal_scale(np.concatenate(parts), 7, indptr=indptr), metrics.seasonal_scale(padded, 7), rtol=1e-12
    )


def test_short_history_falls_back_to_lag_one():
    history = np.array([[1.0, 2, 4, 8, 16, 32, 64, 128], [np.nan, 2, 4, 8, 16, 32, 64, 128]])
    # eight known values: m = 6 has two pairs, |64 - 1| and |128 - 2|; m = 7 has one pair and gives way to lag 1
    np.testing.assert_allclose(metrics.seasonal_scale(history, 6)[0], (63 + 126) / 2)
    np.testing.assert_allclose(metrics.seasonal_scale(history, 6)[1], (2 + 4 + 8 + 16 + 32 + 64) / 6)
    np.testing.assert_allclose(metrics.seasonal_scale(history, 7)[0], (1 + 2 + 4 + 8 + 16 + 32 + 64) / 7)


def test_windows_without_a_scale_are_dropped_and_counted_not_infinite():
    history = np.array([[5.0, 5, 5, 5], [1, 2, 3, 4], [np.nan, np.nan, np.nan, 7], [1, 2, 3, 4]])
    scale = metrics.seasonal_scale(history, 1)
    np.testing.assert_array_equal(scale, [np.nan, 1.0, np.nan, 1.0])
    y = np.array([[5.0, 6], [5, 6], [7, 7], [np.nan, np.nan]])
    forecast = np.array([[4.0, 4], [4, 4], [1, 1], [1, 1]])
    assert metrics.mase(y, forecast, scale=scale) == (1.5, 1, 2)
    assert metrics.mase(y, forecast, scale=np.nan_to_num(scale)) == (1.5, 1, 2)
    assert metrics.rmsse(y, forecast, scale=scale) == (pytest.approx(math.sqrt(2.5)), 1, 2)
    np.testing.assert_array_equal(
        metrics.scaled_absolute_errors(y, forecast, scale=scale).per_window(), [np.nan, 1.5, np.nan, np.nan]
    )
    nothing = metrics.mase(y[:1], forecast[:1], scale=scale[:1])
    assert math.isnan(nothing.value)
    assert nothing[1:] == (0, 1)


def test_zero_volume_gives_nan_for_all_windows_and_counts_as_error_for_one():
    zeros, ones = np.zeros((1, 2)), np.ones((1, 2))
    assert math.isnan(metrics.wape(zeros, ones))
    assert math.isnan(metrics.weighted_quantile_loss(zeros, ones[..., None], levels=[0.5]))
    assert metrics.wape(np.array([[0.0], [10.0]]), np.array([[1.0], [10.0]])) == pytest.approx(0.1)


def test_groups_of_windows_add_up_to_the_whole(windows):
    _, y, forecast, _ = windows
    sums = metrics.absolute_errors(with_gaps(y), forecast)
    first, rest = sums.take(np.arange(6) < 2), sums.take(np.arange(2, 6))
    together = (first.total.sum() + rest.total.sum()) / (first.weight.sum() + rest.weight.sum())
    assert sums.pooled() == pytest.approx(together)
    assert first.pooled() == pytest.approx(metrics.mae(with_gaps(y)[:2], forecast[:2]))


def test_a_window_without_known_values_is_nan_and_nothing_known_is_nan_overall():
    y, forecast = np.array([[np.nan, np.nan], [1.0, np.nan]]), np.array([[1.0, 1.0], [2.0, np.nan]])
    np.testing.assert_array_equal(metrics.absolute_errors(y, forecast).per_window(), [np.nan, 1.0])
    assert metrics.mae(y, forecast) == 1.0
    assert math.isnan(metrics.mae(y[:1], forecast[:1]))
    assert math.isnan(metrics.mae(np.zeros((0, 3)), np.zeros((0, 3))))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_forecast_that_is_not_finite_where_y_is_known_is_an_error(bad):
    y, forecast = np.array([[1.0, 2.0]]), np.array([[1.0, bad]])
    quantiles = forecast[..., None]
    for call in (
        lambda: metrics.mae(y, forecast),
        lambda: metrics.rmse(y, forecast),
        lambda: metrics.wape(y, forecast),
        lambda: metrics.mase(y, forecast, scale=np.ones(1)),
        lambda: metrics.pinball(y, quantiles, levels=[0.5]),
        lambda: metrics.crps(y, quantiles, levels=[0.5]),
        lambda: metrics.coverage(y, y, forecast),
    ):
        with pytest.raises(ValueError, match="1 forecast values are NaN or infinite"):
            call()


def test_wrong_shapes_and_levels_are_named():
    y = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"\(2, 3\) and the forecast \(3, 2\)"):
        metrics.mae(y, np.ones((3, 2)))
    with pytest.raises(ValueError, match="2 levels"):
        metrics.pinball(y, np.ones((2, 3, 1)), levels=[0.1, 0.9])
    with pytest.raises(ValueError, match="between 0 and 1"):
        metrics.pinball(y, np.ones((2, 3, 1)), levels=[1.0])
    with pytest.raises(ValueError, match="2 windows"):
        metrics.mase(y, y, scale=np.ones(3))
    with pytest.raises(ValueError, match="season_length=0"):
        metrics.seasonal_scale(y, 0)


def test_float32_input_is_computed_in_float64():
    y = np.full((1, 3), 1e8, dtype=np.float32)
    forecast = np.full((1, 3), 1e8 + 8, dtype=np.float32)
    assert metrics.rmse(y, forecast) == 8.0
    assert metrics.absolute_errors(y, forecast).total.dtype == np.float64
