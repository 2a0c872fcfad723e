"""The interval of a mean difference: coverage by simulation, Student's t and plain means as references."""

import math
import time

import numpy as np
import pytest
from scipy import stats

from tsattn.bootstrap import _resampled_means, _table, _variance_of_mean, paired_block_bootstrap


def grid(table):
    series, origin = np.indices(table.shape)
    return table.ravel(), {"series": series.ravel(), "origin": origin.ravel()}


def share_covering_zero(draw, repetitions=300, **options):
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(repetitions):
        difference, where = grid(draw(rng))
        low, high = paired_block_bootstrap(difference, **where, num_resamples=400, **options)
        hits += low <= 0 <= high
    return hits / repetitions


def test_eight_independent_windows_of_one_series_are_covered_as_promised():
    assert 0.90 <= share_covering_zero(lambda rng: rng.normal(size=(1, 8))) <= 0.99


@pytest.mark.parametrize(("by_series", "by_origin"), [(1, 1), (1, 0), (0, 1)])
def test_twenty_series_at_three_origins_are_covered_as_promised(by_series, by_origin):
    def draw(rng):
        return by_series * rng.normal(size=(20, 1)) + by_origin * rng.normal(size=(1, 3)) + rng.normal(size=(20, 3))

    assert 0.90 <= share_covering_zero(draw) <= 0.99


def test_blocks_cover_far_better_than_single_origins_when_neighbours_are_alike():
    def draw(rng):
        noise = rng.normal(size=(1, 60))
        return (noise[:, 20:] + noise[:, 19:-1] + noise[:, 18:-2] + noise[:, 17:-3])[:, :40]

    assert share_covering_zero(draw) < 0.8
    assert share_covering_zero(draw, block_length=5) > 0.88


def test_one_series_has_nearly_the_t_interval():
    difference = np.random.default_rng(0).normal(1, 2, 12)
    low, high = paired_block_bootstrap(difference, series=np.zeros(12, int), origin=np.arange(12), num_resamples=20_000)
    expected = stats.t.interval(0.95, 11, loc=difference.mean(), scale=stats.sem(difference))
    np.testing.assert_allclose([low, high], expected, atol=0.1 * (expected[1] - expected[0]))


def test_variance_in_a_full_table_is_that_of_the_two_way_analysis_of_variance():
    table = np.random.default_rng(1).normal(size=(4, 3)) + np.array([[0], [3], [1], [5]]) + np.array([[0, 2, 7]])
    rows, columns, mean = table.mean(axis=1), table.mean(axis=0), table.mean()
    ms_series = 3 * sum((r - mean) ** 2 for r in rows) / 3
    ms_block = 4 * sum((c - mean) ** 2 for c in columns) / 2
    ms_rest = sum((table[s, o] - rows[s] - columns[o] + mean) ** 2 for s in range(4) for o in range(3)) / 6
    variance, freedom = _variance_of_mean(table, np.ones((4, 3)), 1)
    combined = ms_series + ms_block - ms_rest
    assert variance == pytest.approx(combined / 12)
    assert freedom == pytest.approx(combined**2 / (ms_series**2 / 3 + ms_block**2 / 2 + ms_rest**2 / 6))


def test_variance_of_one_series_in_blocks_is_that_of_the_block_means():
    values = np.random.default_rng(2).normal(size=12)
    variance, freedom = _variance_of_mean(values[None], np.ones((1, 12)), 3)
    assert variance == pytest.approx(np.var([values[i : i + 3].mean() for i in range(0, 12, 3)], ddof=1) / 4)
    assert freedom == pytest.approx(3)


def test_resamples_draw_whole_rows_and_the_same_circular_blocks_for_all_series():
    # the powers of 32 make every resampled sum readable as the list of what was drawn
    table = 32.0 ** np.arange(3)[:, None] + 32.0 ** np.arange(3, 8)[None]
    sums = _resampled_means(table, np.ones((3, 5)), 2, 200, np.random.default_rng(0)) * 15
    for value in sums:
        digits = [round(value) // 32**place % 32 for place in range(8)]
        rows, columns = digits[:3], digits[3:8]
        assert sum(rows) == 5 * 3
        assert all(times % 5 == 0 for times in rows)
        assert all(times % 3 == 0 for times in columns)
        drawn = [times // 3 for times in columns]
        assert sum(drawn) == 5
        blocks = [
            np.bincount([a, (a + 1) % 5, b, (b + 1) % 5, c], minlength=5).tolist()
            for a in range(5)
            for b in range(5)
            for c in range(5)
        ]
        assert drawn in blocks


def test_a_table_with_holes_and_repeated_windows_works_and_centres_on_the_plain_mean():
    rng = np.random.default_rng(3)
    series, origin = rng.integers(30, size=400), rng.integers(12, size=400)
    keep = ~((series < 10) & (origin < 6))
    series, origin = series[keep], origin[keep]
    difference = 5 + rng.normal(size=len(series))
    low, high = paired_block_bootstrap(difference, series=series, origin=origin, block_length=2)
    assert low < difference.mean() < high
    assert high - low < 1
    total, count = _table(difference, series, origin)
    assert total.sum() == pytest.approx(difference.sum())
    assert count.sum() == len(series)


def test_names_of_series_and_origins_and_the_order_of_rows_do_not_matter():
    rng = np.random.default_rng(4)
    difference, where = grid(rng.normal(size=(5, 4)))
    order = rng.permutation(20)
    shifted = {"series": where["series"][order] * 7 + 3, "origin": where["origin"][order] * 10}
    first, second = paired_block_bootstrap(difference, **where), paired_block_bootstrap(difference[order], **shifted)
    np.testing.assert_allclose(first, second)


def test_nan_differences_are_left_out():
    difference, where = grid(np.random.default_rng(5).normal(size=(4, 6)))
    difference[[0, 9, 10]] = np.nan
    known = ~np.isnan(difference)
    expected = paired_block_bootstrap(difference[known], series=where["series"][known], origin=where["origin"][known])
    assert paired_block_bootstrap(difference, **where) == expected


@pytest.mark.parametrize("num_windows", [0, 1])
def test_nothing_to_compare_gives_an_endless_interval(num_windows):
    zeros = np.zeros(num_windows, dtype=int)
    assert paired_block_bootstrap(np.ones(num_windows), series=zeros, origin=zeros) == (-math.inf, math.inf)


def test_one_series_in_a_single_block_gives_an_endless_interval():
    where = {"series": np.zeros(4, int), "origin": np.arange(4)}
    assert paired_block_bootstrap(np.arange(4.0), **where, block_length=4) == (-math.inf, math.inf)


def test_equal_models_give_an_interval_of_zero_width_at_zero():
    difference, where = grid(np.zeros((3, 4)))
    assert paired_block_bootstrap(difference, **where) == (0.0, 0.0)


def test_the_interval_turns_with_the_sign_scales_with_the_unit_and_repeats_with_the_seed():
    difference, where = grid(np.random.default_rng(6).exponential(size=(6, 5)))
    low, high = paired_block_bootstrap(difference, **where)
    assert paired_block_bootstrap(difference, **where) == (low, high)
    assert paired_block_bootstrap(difference, **where, seed=1) != (low, high)
    np.testing.assert_allclose(paired_block_bootstrap(-1000 * difference, **where), [-1000 * high, -1000 * low])


def test_the_callers_random_state_is_untouched():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    difference, where = grid(np.ones((2, 3)))
    paired_block_bootstrap(difference, **where)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.slow
def test_five_thousand_windows_take_well_under_a_second():
    for shape in ((1000, 5), (5000, 1), (1, 5000)):
        difference, where = grid(np.random.default_rng(0).normal(size=shape))
        start = time.process_time()
        paired_block_bootstrap(difference, **where)
        assert time.process_time() - start < 2  # 0.05 to 0.3 s; the margin is for a busy machine


def test_wrong_arguments_are_named():
    ones, ids = np.ones(3), np.arange(3)
    with pytest.raises(ValueError, match="level=95"):
        paired_block_bootstrap(ones, series=ids, origin=ids, level=95.0)
    with pytest.raises(ValueError, match="block_length=0"):
        paired_block_bootstrap(ones, series=ids, origin=ids, block_length=0)
    with pytest.raises(ValueError, match=r"must be \[N\] alike"):
        paired_block_bootstrap(ones, series=ids[:2], origin=ids)
