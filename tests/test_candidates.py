"""Which model is judged: from scratch, pretrained or tuned, by the validation windows alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tsattn import Forecaster, candidates, zero_shot
from tsattn.config import EncoderConfig, FitConfig, PatchConfig, TrainerConfig
from tsattn.fitted import model_of

QUICK = FitConfig(horizon=4, trainer=TrainerConfig(max_steps=6, validate_every=3, accelerator="cpu"), refit=False)


def table(rows: int = 90) -> pd.DataFrame:
    random = np.random.default_rng(0)
    y = 20 + 5 * np.sin(2 * np.pi * np.arange(rows) / 7) + random.normal(size=rows)
    return pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=rows), "y": y})


@pytest.fixture(scope="module")
def fitted():
    """Few steps from scratch lose against a network that has seen many seasons."""
    return Forecaster(config=QUICK).fit(table())


def losses_of(forecaster) -> dict[str, float]:
    return forecaster.fitted_.settings.details["candidates"]


def test_all_three_are_compared_and_the_best_is_judged(fitted):
    losses = losses_of(fitted)
    assert set(losses) == {"from scratch", "pretrained", "tuned"}
    best = min(losses, key=lambda name: losses[name])
    assert best in ("pretrained", "tuned")
    assert ("network" in fitted.verdict_.mase) == (best == "tuned")
    assert ("pretrained" in fitted.verdict_.mase) == (best == "pretrained")
    [found] = [finding for finding in fitted.findings_ if finding.topic == "candidate"]
    assert found.message.startswith(f"{best}; validation loss from scratch")


@pytest.mark.parametrize("best", ["from scratch", "pretrained", "tuned"])
def test_the_one_with_the_least_loss_answers_and_forecasts_the_same_from_its_folder(best, monkeypatch, tmp_path):
    plain = candidates._learned

    def learned(fitted, panel, plan, trainer, name, reporting):
        found, _ = plain(fitted, panel, plan, trainer, name, reporting)
        return found, 0.0 if best == ("tuned" if name == "tuned" else "from scratch") else 2.0

    monkeypatch.setattr(candidates, "_learned", learned)
    monkeypatch.setattr(candidates, "_pretrained_loss", lambda *_: 1.0)
    forecaster = Forecaster(config=QUICK).fit(table())
    settings = forecaster.fitted_.settings
    assert (forecaster.fitted_.network is None) == (best == "pretrained")
    assert bool(settings.pretrained) == (best != "from scratch")
    verdict = replace(forecaster.fitted_.verdict, answer=model_of(forecaster.fitted_))
    forecaster.fitted_ = replace(forecaster.fitted_, verdict=verdict)  # a naive forecast would be the same from any folder
    forecaster.save(tmp_path / "model")
    pd.testing.assert_frame_equal(Forecaster.load(tmp_path / "model").predict(table()), forecaster.predict())


def test_tuning_begins_with_the_pretrained_weights_and_changes_them_a_little(monkeypatch):
    monkeypatch.setattr(candidates, "_pretrained_loss", lambda *_: np.inf)
    forecaster = Forecaster(config=QUICK).fit(table())
    assert losses_of(forecaster)["tuned"] < losses_of(forecaster)["from scratch"]
    network = forecaster.fitted_.network
    start = dict(zero_shot.pretrained().network.named_parameters())
    moved = [float((p - start[name]).detach().abs().max()) for name, p in network.named_parameters()]
    assert 0 < max(moved) < 0.01
    assert forecaster.fitted_.schema.features == ()


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
    assert "candidates" not in Forecaster(config=config).fit(table()).fitted_.settings.details


def test_other_levels_are_not_tuned_but_the_pretrained_network_is_compared():
    forecaster = Forecaster(config=QUICK, quantiles=[0.05, 0.5, 0.95]).fit(table())
    assert set(losses_of(forecaster)) == {"from scratch", "pretrained"}


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
