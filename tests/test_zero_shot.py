"""The network that ships: its files, what it promises for any series, and who asks it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import ndtri

from tsattn import CovariatesConfig, FitConfig, Forecaster, zero_shot
from tsattn.data.panel import Panel
from tsattn.fitted import predict
from tsattn.manifest import ModelFolderError, sha256
from tsattn.pretrain_config import PretrainConfig
from tsattn.synthetic.prior import CHUNK, LENGTHS, chunk_seed, digest, draw

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
NAN = float("nan")


def panel_of(*series) -> Panel:
    values = np.concatenate([np.asarray(y, float) for y in series])[:, None]
    indptr = np.concatenate([[0], np.cumsum([len(y) for y in series])]).astype(np.int64)
    zeros = np.zeros(len(series), np.int64)
    return Panel(values, indptr, zeros, np.zeros((1, 0), np.float32), "D", tuple(map(str, range(len(series)))), zeros)


def forecast(*series, horizon=12, **options):
    return zero_shot.forecast(panel_of(*series), horizon, **{"levels": LEVELS, **options})


def waves(length, seed=0):
    random = np.random.default_rng(seed)
    t = np.arange(length)
    return 50 + 0.1 * t + 10 * np.sin(2 * np.pi * t / 12) + random.normal(size=length)


# ---- the files ---------------------------------------------------------------------------------------------------------


def test_the_weights_are_those_of_the_manifest_in_16_bits_and_under_10_megabytes():
    folder = resources.files("tsattn") / "pretrained"
    facts, content = json.loads((folder / "manifest.json").read_text()), (folder / "model.safetensors").read_bytes()
    assert sha256(content) == facts["sha256"] == zero_shot.pretrained().sha256
    assert len(content) < 10e6
    assert facts["windows"] > 0
    parameters = sum(p.numel() for p in zero_shot.pretrained().network.parameters())
    assert 1e6 <= parameters <= 5e6
    assert len(content) == pytest.approx(2 * parameters, rel=0.05)


def test_changed_weights_are_refused(tmp_path, monkeypatch):
    folder = resources.files("tsattn") / "pretrained"
    (tmp_path / "pretrained").mkdir()
    for name in ("manifest.json", "model.safetensors"):
        (tmp_path / "pretrained" / name).write_bytes((folder / name).read_bytes())
    changed = bytearray((tmp_path / "pretrained" / "model.safetensors").read_bytes())
    changed[-1] ^= 1
    (tmp_path / "pretrained" / "model.safetensors").write_bytes(changed)
    monkeypatch.setattr(zero_shot.resources, "files", lambda _: tmp_path)
    with pytest.raises(ModelFolderError, match="not the file that was made"):
        zero_shot.pretrained.__wrapped__()


def test_the_first_1000_series_of_the_prior_are_drawn_again_from_the_manifest_s_seed():
    facts = json.loads((resources.files("tsattn") / "pretrained" / "manifest.json").read_text())
    series = draw(facts["config"]["short_prior"], CHUNK, LENGTHS[0], seed=chunk_seed(facts["config"]["seed"], 0, 0))
    assert digest(series) == facts["prior_sha256"]
    assert facts["config"]["prior"] == PretrainConfig().prior
    assert facts["config"]["short_prior"] == PretrainConfig().short_prior


def test_forecasts_of_ten_series_are_those_that_were_written_down():
    """By `tests/make_pinned.py`, when the weights were made."""
    pinned = json.loads((Path(__file__).parent / "pinned_forecasts.json").read_text())
    series = [[NAN if value is None else value for value in y] for y in pinned["series"]]
    assert len(series) == 10
    assert pinned["sha256"] == zero_shot.pretrained().sha256
    _, quantiles = forecast(*series, horizon=6)
    expected = np.array(pinned["quantiles"])
    spread = np.array([np.nanstd(y) + 1e-9 * np.nanmax(np.abs(y)) for y in series])[:, None, None]
    np.testing.assert_allclose(quantiles / spread, expected / spread, rtol=1e-3, atol=1e-4)


# ---- promises ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [3, 5, 16, 17, 60, 500, 2048, 100_000])
def test_a_series_of_any_length_gets_finite_rising_quantiles(length):
    mean, quantiles = forecast(waves(length))
    assert mean.shape == (1, 12)
    assert quantiles.shape == (1, 12, 9)
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=-1) >= 0).all()
    np.testing.assert_allclose(mean, quantiles @ zero_shot.mean_weights(LEVELS))


def test_the_sign_scale_and_shift_of_a_series_have_no_say():
    y = waves(90)
    _, plain = forecast(y)
    _, scaled = forecast(1e4 * y - 3e5)
    _, turned = forecast(-y)
    np.testing.assert_allclose(scaled, 1e4 * plain - 3e5, atol=1e4 * 1e-3)
    np.testing.assert_allclose(turned, -plain[..., ::-1], atol=1e-9)


def test_neither_other_series_nor_missing_rows_before_the_first_value_have_a_say():
    y = waves(70)
    _, alone = forecast(y)
    _, among = forecast(waves(300, 1), y, waves(64, 2), waves(5, 3), y)
    np.testing.assert_allclose(among[1], alone[0], atol=1e-4)
    np.testing.assert_allclose(among[4], alone[0], atol=1e-4)
    plain = zero_shot.Aids(views=(), recent=None, pull=0.0)  # shares of the rows count those that are missing
    _, whole = forecast(y, aids=plain)
    _, padded = forecast(np.concatenate([np.full(45, NAN), y]), aids=plain)
    np.testing.assert_allclose(padded, whole, atol=1e-4)


def test_missing_values_are_bridged_and_a_series_without_any_gets_none():
    y = waves(80)
    y[[3, 40, 41, 42, 79]] = NAN
    mean, quantiles = forecast(y, np.full(20, NAN))
    assert np.isfinite(quantiles[0]).all()
    assert np.isnan(quantiles[1]).all()
    assert np.isnan(mean[1]).all()


def test_a_long_silence_at_the_end_leaves_the_views_that_see_nothing_out():
    y = np.concatenate([waves(60), np.full(40, NAN)])
    _, quantiles = forecast(y)  # the last quarter is empty, the last half holds ten values
    np.testing.assert_allclose(quantiles, averaged(y, y, y[50:]), atol=1e-4)


def test_the_answer_is_the_mean_of_the_views_right_side_up_and_upside_down():
    y = waves(64)
    _, found = forecast(y)
    np.testing.assert_allclose(found, averaged(y, y, y[32:], y[48:]), atol=1e-4)  # shorter than 1024: twice as a whole


def test_a_long_series_is_read_in_four_views():
    y = waves(1200)
    _, found = forecast(y)
    np.testing.assert_allclose(found, averaged(y, y[600:], y[900:], y[-1024:]), atol=1e-4)


def test_an_answer_that_is_surer_of_itself_counts_more_and_at_most_four_times():
    widths, usual = np.array([1.0, 0.8, 0.1, 0.0, 3.0, 1.5, 7.0]), np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    np.testing.assert_allclose(zero_shot._trust(widths, usual), [1, 1 / 0.64, 4, 4, 1, 1, 1])


def test_a_view_of_equal_values_does_not_decide_alone():
    y = np.concatenate([waves(96), np.full(32, 60.0)])  # the last quarter has not moved
    _, quantiles = forecast(y)
    np.testing.assert_allclose(quantiles, averaged(y, y, y[64:], y[96:]), atol=1e-4)
    assert (quantiles[0, :, -1] - quantiles[0, :, 0]).min() > 0.1


def test_fewer_than_eight_values_pull_the_answer_part_of_the_way_to_the_last_one():
    y = np.array([3.0, 8.0, NAN, 5.0, 9.0, 4.0, NAN])
    mean, found = forecast(y, waves(8), np.append(y, [2.0, NAN]))
    free_mean, free = forecast(y, waves(8), np.append(y, [2.0, NAN]), aids=zero_shot.Aids(pull=0.0))
    for series, last in ((0, 4.0), (2, 2.0)):
        way = zero_shot.AIDS.pull * (last - free[series, :, 4])
        np.testing.assert_allclose(found[series], free[series] + way[:, None], atol=1e-9)
        np.testing.assert_allclose(mean[series], free_mean[series] + way, atol=1e-9)
    np.testing.assert_array_equal(found[1], free[1])


def averaged(*parts):
    """The mean of the answers to the parts, right side up and upside down, weighted by how sure they are, 94 % as wide.

    Of the first part, the whole series, the weight is 1; of others at each step the square of how many times it is as wide as
    they, at least once and at most twice.
    """
    answers, weights = [], []
    for part in parts:
        plain = forecast(part, aids=zero_shot.NO_AIDS)[1]
        answer = (plain - forecast(-part, aids=zero_shot.NO_AIDS)[1][..., ::-1]) / 2
        width = [step[-1] - step[0] for step in answer[0]]
        usual = width if not answers else usual
        shares = [min(max(theirs / max(own, 1e-9), 1.0), 2.0) for theirs, own in zip(usual, width, strict=True)]
        weights.append(np.array([share**2 for share in shares])[:, None])
        answers.append(answer)
    mean = sum(weight * answer for weight, answer in zip(weights, answers, strict=True)) / sum(weights)
    return mean[..., 4:5] + 0.94 * (mean - mean[..., 4:5])


def test_quantiles_of_counts_are_whole_numbers_from_zero_on_that_hold_what_they_held():
    y = np.random.default_rng(0).poisson(0.3, 60)
    plain = forecast(y)[1]
    assert plain.min() < 0
    mean, found = forecast(y, integer=True)
    np.testing.assert_array_equal(found, np.round(found))
    np.testing.assert_array_equal(found[..., 4], np.floor(np.maximum(plain[..., 4], 0) + 0.5))
    for number in range(4):  # the median may lie outside of an interval within which there is no whole number
        before = (plain[..., 0] <= number) & (number <= plain[..., -1])
        after = (found[..., 0] <= number) & (number <= found[..., -1])
        assert (before | (found[..., 4] == number) == after).all()
    assert (np.diff(found, axis=-1) >= 0).all()
    assert mean.min() >= 0
    assert 0 < mean.max() < 1  # which is not rounded


def test_quantiles_of_counts_at_levels_of_one_s_own_are_whole_numbers_too():
    y = np.random.default_rng(0).poisson(0.7, 60)
    assert forecast(y, levels=(0.001, 0.25, 0.5, 0.975))[1].min() < -1  # beyond the levels of the network
    found = forecast(y, integer=True, levels=(0.001, 0.25, 0.5, 0.975))[1]
    assert not np.signbit(found).any()
    np.testing.assert_array_equal(found, np.round(found))
    assert (np.diff(found, axis=-1) >= 0).all()
    assert found.min() >= 0


def test_a_horizon_beyond_one_pass_is_rolled_with_intervals_that_do_not_shrink():
    y = waves(200)
    _, near = forecast(y, horizon=256)
    _, far = forecast(y, horizon=400)
    np.testing.assert_allclose(far[:, :256], near, atol=1e-6)
    width = far[0, :, -1] - far[0, :, 0]
    assert (width[256:] >= width[255] - 1e-9).all()


def test_other_levels_lie_on_a_normal_curve_through_those_of_the_network():
    own = np.sort(np.random.default_rng(1).normal(size=(2, 3, 9)))
    found = zero_shot.at_levels(own, LEVELS, (0.05, 0.1, 0.25, 0.5, 0.99))
    median = own[..., 4]
    np.testing.assert_array_equal(found[..., 1], own[..., 0])
    np.testing.assert_array_equal(found[..., 3], median)
    np.testing.assert_allclose(found[..., 0], median + (own[..., 0] - median) * ndtri(0.05) / ndtri(0.1))
    np.testing.assert_allclose(found[..., 4], median + (own[..., 8] - median) * ndtri(0.99) / ndtri(0.9))
    share = (ndtri(0.25) - ndtri(0.2)) / (ndtri(0.3) - ndtri(0.2))
    np.testing.assert_allclose(found[..., 2], own[..., 1] + share * (own[..., 2] - own[..., 1]))


def test_batches_hold_every_series_once_and_no_more_steps_than_they_may(monkeypatch):
    monkeypatch.setattr("tsattn.rolling.CELLS", 1000)
    lengths = np.random.default_rng(2).integers(1, 400, 300)
    parts = zero_shot.batches(lengths, 24)
    assert sorted(np.concatenate(parts).tolist()) == list(range(300))
    for part in parts:
        assert len(part) == 1 or len(part) * (lengths[part].max() + 24 + 24) <= 1000
        assert lengths[part].max() <= max(1.25 * lengths[part].min(), lengths[part].min() + 32)


def test_batches_that_are_rolled_on_have_room_for_what_they_grow_to(monkeypatch):
    monkeypatch.setattr("tsattn.rolling.CELLS", 10_000)
    for part in zero_shot.batches(np.full(40, 20), 1500):
        assert len(part) * (20 + 1500 + 256) <= 10_000


def test_a_view_that_reads_the_rows_of_another_counts_for_it_and_is_not_asked():
    views = zero_shot._views(np.array([6, 12, 300, 1200, 2048]), zero_shot.AIDS)
    assert [rows.tolist() for rows, _ in views] == [
        [6, 12, 300, 1200, 2048],
        [6, 8, 150, 600, 1024],
        [6, 8, 75, 300, 512],
        [6, 12, 300, 1024, 1024],
    ]
    assert [weights.tolist() for _, weights in views] == [[4, 2, 2, 1, 1], [0, 2, 1, 1, 2], [0, 0, 1, 1, 1], [0, 0, 0, 1, 0]]


def test_a_series_of_two_values_among_others_is_continued_by_a_naive_forecast():
    frame = pd.DataFrame({"id": ["a"] * 40 + ["b"] * 2 + ["c"] * 3, "ds": [*range(40), *range(2), *range(3)], "y": waves(45)})
    table = Forecaster(3, model="pretrained").fit(frame).predict()
    model = table.groupby("id")["model"].first()
    assert model["a"] == model["c"] == "pretrained"
    assert model["b"] != "pretrained"


def test_an_unfitted_one_can_be_saved_after_it_has_forecast(tmp_path):
    forecaster = Forecaster.pretrained(horizon=2)
    expected = forecaster.predict(waves(30))
    loaded = Forecaster.load(forecaster.save(tmp_path / "model") and tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.predict(waves(30)), expected)


@pytest.mark.parametrize("manifest", [None, {}, {"sha256": "0"}], ids=["missing", "empty", "another file"])
def test_a_package_without_its_weights_says_so(tmp_path, monkeypatch, manifest):
    (tmp_path / "pretrained").mkdir()
    if manifest is not None:
        (tmp_path / "pretrained" / "manifest.json").write_text(json.dumps(manifest))
        (tmp_path / "pretrained" / "model.safetensors").write_bytes(b"")
    monkeypatch.setattr(zero_shot.resources, "files", lambda _: tmp_path)
    with pytest.raises(ModelFolderError, match="install tsattn again"):
        zero_shot.pretrained.__wrapped__()


def test_many_windows_are_judged_at_all_dates_and_for_all_series():
    """Every second of twenty series at thirty dates would be the same ten series each time."""
    y = np.concatenate([waves(150, seed) for seed in range(20)])
    frame = pd.DataFrame({"id": np.repeat(list("abcdefghijklmnopqrst"), 150), "ds": np.tile(np.arange(150), 20), "y": y})
    windows = Forecaster(1, model="pretrained").fit(frame).verdict_windows_
    assert len(windows) > 300
    judged = windows[windows["pretrained"].notna()]
    assert len(judged) == 300
    assert judged["id"].nunique() == 20
    assert set(judged["origin"]) == set(windows["origin"])


def test_forecasting_leaves_the_callers_random_state_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    forecast(waves(30))
    assert torch.equal(torch.rand(2), expected)


def test_five_numbers_are_continued_without_the_compiler_of_torch_lightning_or_scikit_learn():
    """Each would cost a second or more at the start of every `predict`."""
    asked = "from tsattn import Forecaster; Forecaster.pretrained().predict([2, 5, 10, 6, 8], horizon=1)"
    there = "import sys; print({'torch._dynamo', 'pytorch_lightning', 'sklearn'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", f"{asked}; {there}"], capture_output=True, text=True)
    assert ran.stdout == "set()\n", ran.stdout + ran.stderr


# ---- who asks it -------------------------------------------------------------------------------------------------------


def test_five_numbers_are_continued_by_the_pretrained_network():
    forecaster = Forecaster.pretrained()
    table = forecaster.predict([2, 5, 10, 6, 8], horizon=1)
    assert table["model"].tolist() == ["pretrained"]
    assert 2 <= table["forecast"].item() <= 12
    assert table["q0.1"].item() < table["forecast"].item() < table["q0.9"].item()
    assert str(forecaster.verdict_).startswith("Cannot judge")


@pytest.mark.parametrize("values", [[4.0], [4.0, 5.0]])
def test_one_or_two_numbers_are_continued_by_the_last_value(values):
    assert Forecaster.pretrained().predict(values, horizon=2)["model"].tolist() == ["last_value"] * 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"config": FitConfig(covariates=CovariatesConfig(known=["x"]))}, "reads no covariates"),
        ({"config": FitConfig(covariates=CovariatesConfig(holidays=["DE"]))}, "reads no covariates"),
        ({"context_length": 5}, "leave context_length out"),
    ],
)
def test_what_it_cannot_read_is_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Forecaster(2, model="pretrained", **settings).fit(pd.DataFrame({"x": range(30), "y": range(30)}))


def test_a_back_test_of_its_folder_trains_nothing(tmp_path):
    table = pd.DataFrame({"ds": range(1, 151), "y": waves(150).round(2)})
    fitted = Forecaster(6, model="pretrained").fit(table)
    expected = fitted.backtest(windows=2)
    fitted.save(tmp_path / "m")
    pd.testing.assert_frame_equal(Forecaster.load(tmp_path / "m").backtest(table, windows=2), expected)
    assert {"pretrained", "network"} & set(expected.columns) == {"pretrained"}
    assert Forecaster.load(tmp_path / "m").fit(table).fitted_.network is None


def test_a_fit_to_too_few_rows_leaves_a_back_test_of_more_free_to_train(quick):
    table = pd.DataFrame({"ds": range(1, 121), "y": waves(120).round(2)})
    forecaster = Forecaster(config=quick(horizon=6, head="auto")).fit(table[:12])
    assert forecaster.fitted_.network is None
    assert forecaster.fitted_.settings.pretrained
    assert "network" in forecaster.backtest(table, windows=1).columns


def test_the_verdict_compares_it_with_the_naive_forecasts():
    y = waves(150).round(2)
    forecaster = Forecaster.pretrained(horizon=6)
    table = forecaster.predict(pd.DataFrame({"ds": range(1, 151), "y": y}))
    mase = forecaster.verdict_.mase
    assert set(mase) == {"last_value", "seasonal_naive", "drift", "damped_mean", "window_mean", "pretrained"}
    assert table["model"].unique().tolist() == [min(mase, key=lambda name: mase[name])]


def test_it_is_saved_and_loaded_without_weights_and_forecasts_the_same(tmp_path):
    y = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=120), "y": waves(120).round(3)})
    forecaster = Forecaster(7, model="pretrained").fit(y)
    loaded = Forecaster.load(forecaster.save(tmp_path / "model") and tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.predict(y), forecaster.predict())
    assert (tmp_path / "model" / "model.safetensors").stat().st_size < 100


def test_a_back_test_asks_it_and_trains_nothing(monkeypatch):
    monkeypatch.setattr("tsattn.candidates.from_scratch", None)  # whoever trains fails
    table = Forecaster(5, model="pretrained").backtest(waves(90), windows=3)
    assert "pretrained" in table.columns
    assert table["cutoff"].nunique() == 3


def test_covariates_are_refused():
    with pytest.raises(ValueError, match="reads no covariates"):
        Forecaster(model="pretrained").fit(waves(50), covariates={"known": ["price"]})


def test_other_weights_than_those_of_the_folder_are_refused(monkeypatch):
    forecaster = Forecaster(3, model="pretrained").fit(waves(60))
    other = zero_shot.pretrained()._replace(sha256="0" * 64)
    monkeypatch.setattr(zero_shot, "pretrained", lambda: other)
    with pytest.raises(ValueError, match="other pretrained weights"):
        predict(forecaster.fitted_, panel_of(waves(60)), 3, "pretrained")


# ---- short series that go one way --------------------------------------------------------------------------------------


def test_short_series_that_go_one_way_are_read_with_a_line_added_and_taken_off():
    random = np.random.default_rng(4)
    up = np.cumsum(3 + 2 * random.normal(size=20))
    down, gaps = -up, np.where(np.arange(20) % 7 == 3, NAN, up)
    plain = zero_shot.AIDS._replace(tilt=False, narrow=1.0)  # nor are they narrowed
    for y in (up, down, gaps):
        slope = np.abs(np.diff(y[~np.isnan(y)])).mean()
        line = slope * np.arange(-19, 1)
        answers = []
        for sign in (0, 1, -1):
            answers.append(forecast(y + sign * line, aids=plain)[1] - sign * slope * np.arange(1, 13)[None, :, None])
        np.testing.assert_allclose(forecast(y)[1], np.mean(answers, axis=0), rtol=1e-4, atol=1e-4 * slope)


def test_other_series_are_not_tilted():
    random = np.random.default_rng(5)
    walk = np.cumsum(3 + 2 * random.normal(size=65))  # too long
    quarters = np.arange(40) + 20.0 * (np.arange(40) % 4 == 0)
    counts = np.where(np.arange(40) == 35, 9.0, 0.0)
    noise = random.normal(size=40)
    constant, three = np.full(30, 7.0), np.array([1.0, 2.0, 3.0])
    for y in (walk, quarters, counts, noise, constant, three):
        _, found = forecast(y)
        np.testing.assert_array_equal(found, forecast(y, aids=zero_shot.AIDS._replace(tilt=False))[1])
