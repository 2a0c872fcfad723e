"""The model that is judged: from scratch, and averaged with the pretrained one by the validation windows alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tsattn import DataError, Forecaster, candidates, verdict, zero_shot
from tsattn.config import EncoderConfig, FitConfig, PatchConfig, TrainerConfig
from tsattn.data.panel import Panel
from tsattn.fitted import LOOK_BACK, predict

SHARES = np.linspace(0, 1, 1001)
QUICK = FitConfig(horizon=4, trainer=TrainerConfig(max_steps=6, validate_every=3, accelerator="cpu"), refit=False)


def table(rows: int = 90, *, counts: bool = False) -> pd.DataFrame:
    random = np.random.default_rng(0)
    y = 20 + 5 * np.sin(2 * np.pi * np.arange(rows) / 7) + random.normal(size=rows)
    return pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=rows), "y": y.round() if counts else y})


@pytest.fixture(scope="module")
def fitted():
    """A few steps from scratch, beside a network that has seen many seasons."""
    return Forecaster(config=QUICK).fit(table())


def panel_of(y: np.ndarray) -> Panel:
    zeros, ends = np.zeros(1, np.int64), np.array([0, len(y)])
    return Panel(y.astype(np.float32)[:, None], ends, zeros, np.zeros((len(y) + 8, 0), np.float32), "D", ("a",), zeros)


def alone(fitted, share: float):
    """The same fit with another share of the pretrained network."""
    return replace(fitted, settings=replace(fitted.settings, share=share))


def test_both_count_by_their_losses(fitted):
    settings = fitted.fitted_.settings
    own, other, mean = (settings.details["averaged"][name] for name in ("from scratch", "pretrained", "mean"))
    variance = [(1 - share) ** 2 * own**2 + share**2 * other**2 + share * (1 - share) * own * other / 2 for share in SHARES]
    assert settings.share == pytest.approx(SHARES[np.argmin(variance)], abs=1e-3)  # of errors with a correlation of 1/4
    assert 0.5 < settings.share < 1  # so few steps from scratch teach little
    assert mean < max(own, other)
    [found] = [finding for finding in fitted.findings_ if finding.topic == "mean"]
    own_share, its_share = (f"{100 * share:.0f} % the " for share in (1 - settings.share, settings.share))
    assert found.message.startswith(f"{own_share}network from scratch, {its_share}pretrained one; validation loss from scratch")


def test_both_are_judged_by_the_windows_in_which_both_see_values(monkeypatch):
    """After an outage longer than the context, what a naive forecast says in place of the network is no loss of either."""
    scored, loss = [], candidates._loss

    def watched(fitted, panel, plan, series, y, quantiles):
        scored.append(np.isfinite(y).any(axis=1))
        return loss(fitted, panel, plan, series, y, quantiles)

    broken = table(360).assign(y=lambda rows: rows["y"].where((rows.index < 200) | (rows.index >= 270)))
    monkeypatch.setattr(candidates, "_loss", watched)
    Forecaster(config=replace(QUICK, horizon=7)).fit(broken)
    _, own, other, mean = scored  # of the training, then of the three
    assert 0 < own.sum() < len(own)
    assert own.tolist() == other.tolist() == mean.tolist()


@pytest.mark.parametrize(
    ("loss", "other", "share"),
    [(1.0, 1.0, 0.5), (1.0, 2.0, 3.5 / 4), (2.0, 1.0, 0.5 / 4), (4.0, 1.0, 0.0), (9.0, 1.0, 0.0), (1.0, 9.0, 1.0)]
    + [(0.0, 3.0, 1.0), (3.0, 0.0, 0.0), (0.0, 0.0, 0.5)]
    + [(np.inf, 1.0, 0.0), (1.0, np.inf, 1.0), (np.inf, np.inf, 0.5)],
)
def test_shares_worked_out_by_hand(loss, other, share):
    assert candidates.share_of(loss, other) == pytest.approx(share)


def test_a_network_that_is_far_better_stays_alone(monkeypatch):
    monkeypatch.setattr(candidates, "share_of", lambda *_: 0.0)
    forecaster = Forecaster(config=QUICK).fit(table())
    assert (forecaster.fitted_.settings.share, forecaster.fitted_.settings.pretrained) == (0.0, "")
    [found] = [finding for finding in forecaster.findings_ if finding.topic == "mean"]
    assert found.message.startswith("100 % the network from scratch, 0 % the pretrained one; validation loss from scratch")


@pytest.mark.parametrize(("config", "trusted"), [(QUICK, True), (replace(QUICK, pretrained=False), False)])
def test_only_a_model_with_the_pretrained_network_in_it_is_trusted(monkeypatch, config, trusted):
    seen, plain = [], verdict.judge

    def recorded(*errors, trusted, **options):
        seen.append(trusted)
        return plain(*errors, trusted=trusted, **options)

    monkeypatch.setattr(verdict, "judge", recorded)
    Forecaster(config=config).fit(table())
    assert seen == [trusted]


def test_the_mean_is_taken_quantile_by_quantile(fitted):
    """Of one pass of the pretrained network over the last rows, and of the trained one."""
    found, y = fitted.fitted_, table(1100)["y"].to_numpy()
    found = replace(found, schema=replace(found.schema, features=()), settings=replace(found.settings, share=0.3))
    found = replace(found, network=candidates.build_network(found.settings, 0))
    mean, own = predict(found, panel_of(y), 4, "network"), predict(alone(found, 0.0), panel_of(y), 4, "network")
    other = zero_shot.forecast(panel_of(y[-LOOK_BACK:]), 4, levels=found.settings.levels, aids=zero_shot.NO_AIDS)
    np.testing.assert_allclose(mean.quantiles, 0.7 * own.quantiles + 0.3 * other[1], rtol=1e-6)
    np.testing.assert_allclose(mean.mean, 0.7 * own.mean + 0.3 * other[0], rtol=1e-6)


@pytest.mark.filterwarnings("ignore:horizon=7 is longer")
@pytest.mark.parametrize("mixed", [True, False])
@pytest.mark.parametrize("head", ["quantile", "negative_binomial"])
def test_quantiles_of_counts_are_whole_numbers_when_rolled_too(head, mixed):
    config = replace(QUICK, model=EncoderConfig(head=head, d_model=4, num_layers=1, num_heads=1, d_ff=4))
    found = Forecaster(config=config).fit(table(counts=True))
    share = {"share": 0.4, "pretrained": zero_shot.pretrained().sha256} if mixed else {}
    settings = replace(found.fitted_.settings, **share)
    found.fitted_ = replace(found.fitted_, settings=settings, verdict=replace(found.verdict_, answer="network"))
    forecast = found.predict(horizon=7)
    levels = forecast.filter(regex="forecast|^q")
    assert len(levels) == 7
    assert (levels == levels.round()).all(axis=None)
    assert (levels >= 0).all(axis=None)
    assert (np.diff(levels.filter(regex="^q"), axis=1) >= 0).all()
    assert (forecast["mean"] != forecast["mean"].round()).any()


def test_the_mean_forecasts_the_same_from_its_folder(fitted, tmp_path):
    network = replace(fitted.fitted_.verdict, answer="network")  # a naive forecast would be the same from any folder
    fitted.fitted_ = replace(fitted.fitted_, verdict=network)
    fitted.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.predict(table()), fitted.predict())
    loaded.fitted_ = alone(loaded.fitted_, 0.0)
    assert not np.allclose(loaded.predict(table())["mean"], fitted.predict()["mean"])


def test_other_pretrained_weights_are_refused(fitted):
    other = replace(fitted.fitted_, settings=replace(fitted.fitted_.settings, pretrained="0" * 64))
    with pytest.raises(ValueError, match="made with other pretrained weights"):
        predict(other, panel_of(table()["y"].to_numpy()), 4, "network")


def test_the_pretrained_network_itself_is_never_changed(fitted):
    content = {name: p.clone() for name, p in zero_shot.pretrained().network.named_parameters()}
    Forecaster(config=QUICK).fit(table(70))
    assert all(torch.equal(p, content[name]) for name, p in zero_shot.pretrained().network.named_parameters())


@pytest.mark.parametrize(
    "config",
    [
        replace(QUICK, model=EncoderConfig(d_model=8, num_layers=1)),
        replace(QUICK, model=PatchConfig()),
        replace(QUICK, pretrained=False),
        replace(QUICK, context_length=14),
    ],
    ids=["sizes given", "another architecture", "not wanted", "context given"],
)
def test_where_the_model_is_not_left_open_it_is_trained_from_scratch(config, monkeypatch):
    monkeypatch.setattr(zero_shot, "pretrained", None)  # whoever asks it fails
    settings = Forecaster(config=config).fit(table()).fitted_.settings
    assert (settings.share, settings.pretrained, "averaged" in settings.details) == (0.0, "", False)


def test_levels_of_the_user_are_averaged_too():
    table_ = Forecaster(config=QUICK, quantiles=[0.05, 0.5, 0.95]).fit(table()).predict()
    assert (table_["q0.05"] < table_["q0.5"]).all()
    assert (table_["q0.5"] < table_["q0.95"]).all()


def test_a_series_too_short_to_train_on_is_continued_by_the_pretrained_network():
    forecaster = Forecaster(config=QUICK).fit([3.0, 5.0, 4.0, 6.0, 7.0, 5.0])
    assert set(forecaster.predict()["model"]) == {"pretrained"}
    assert "too few" in str(forecaster.verdict_)


def test_losses_of_the_pretrained_network_are_those_of_its_forecasts_from_the_rows_before(monkeypatch, fitted):
    """Rows after a window's cut have no say in it."""
    seen = []

    def recorded(panel, horizon, **options):
        seen.append(panel.lengths.tolist())
        return np.zeros((len(panel.ids), horizon)), np.zeros((len(panel.ids), horizon, 9))

    monkeypatch.setattr(zero_shot, "forecast", recorded)
    Forecaster(config=QUICK).fit(table())
    first = seen[0]  # the validation windows: cuts one row apart
    assert first == list(range(first[0], first[0] + len(first)))
    assert first[-1] + 4 <= 90


def test_series_that_begin_in_the_validation_rows_are_no_obstacle():
    """Before their first validation window there is nothing to forecast from."""
    late = table().iloc[-22:]  # of which the last 16 are for the verdict
    both = pd.concat([table().assign(unique_id="long"), late.assign(unique_id="late"), table().assign(unique_id="other")])
    losses = Forecaster(config=QUICK).fit(both).fitted_.settings.details["averaged"]
    assert all(np.isfinite(loss) and loss > 0 for loss in losses.values())


def test_without_any_validation_window_both_count_the_same():
    """A series that ended weeks ago, and a new one, each too short for its validation rows to hold a window."""
    old = pd.DataFrame({"ds": pd.date_range("2024-02-18", periods=59), "y": [6.0, *[np.nan] * 57, 4.5], "unique_id": "old"})
    new = pd.DataFrame({"ds": pd.date_range("2024-05-25", periods=10), "y": np.arange(10.0), "unique_id": "new"})
    forecaster = Forecaster(config=replace(QUICK, horizon=3)).fit(pd.concat([old, new]))
    settings = forecaster.fitted_.settings
    assert settings.share == 0.5
    assert settings.details["averaged"] == dict.fromkeys(("from scratch", "pretrained", "mean"), np.inf)
    assert forecaster.predict()["forecast"].notna().all()


def uneven(seed: int) -> tuple[pd.DataFrame, int]:
    """Up to six series of any lengths, ends, kinds and gaps, and a horizon."""
    random = np.random.default_rng(seed)
    freq, longest = str(random.choice(["D", "W-MON", "MS", "h", "QS"])), int(random.integers(5, 120))
    parts = []
    for name in "abcdef"[: random.integers(1, 7)]:
        length = int(random.choice([longest, random.integers(1, longest + 1), random.integers(1, 6)]))
        kinds = (
            random.normal(100, 10, length),
            random.poisson(2, length),
            np.full(length, 5),
            np.cumsum(random.normal(size=length)),
        )
        y = np.where(random.random(length) < random.choice([0, 0, 0.1, 0.9]), np.nan, kinds[random.integers(4)].astype(float))
        part = pd.DataFrame({"unique_id": name, "ds": pd.date_range(end="2024-06-03", periods=length, freq=freq), "y": y})
        parts.append(part.iloc[: max(length - int(random.choice([0, 0, length // 2])), 1)])
    return pd.concat(parts, ignore_index=True), int(random.choice([1, 3, 7, 12]))


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 200))])
def test_uneven_series_are_answered_or_refused_in_words(seed):
    table, horizon = uneven(seed)
    try:
        forecast = Forecaster(config=replace(QUICK, horizon=horizon)).fit(table).predict()
    except DataError:
        return
    known = table.groupby("unique_id")["y"].count()
    ids = forecast["unique_id"] if "unique_id" in forecast else pd.Series(known.index[0], forecast.index)
    assert len(forecast) == horizon * len(known)
    assert forecast["forecast"].isna().tolist() == (ids.map(known) == 0).tolist()
    assert (np.diff(forecast.filter(regex="^q").dropna(), axis=1) >= 0).all()
