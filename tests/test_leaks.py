"""Future poison: whatever is changed after a cut-off, nothing decided before it may move; and planted leaks are caught."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsattn import cli, evaluation
from tsattn.config import BacktestConfig, EncoderConfig, FitConfig, TrainerConfig
from tsattn.forecaster import Forecaster

HORIZON = 4
TINY = FitConfig(
    horizon=HORIZON,
    model=EncoderConfig(d_model=8, num_layers=1, num_heads=1, d_ff=8, patch_length=1),
    trainer=TrainerConfig(max_steps=6, validate_every=3, warmup_steps=1),
)


def counts(num: int = 90, *, gaps: bool, origins: int) -> pd.DataFrame:
    """Two weekly count series; with gaps, the three rows before the first cut-off are blank, in b the last two absent."""
    rng = np.random.default_rng(5)
    ds = pd.date_range("2024-01-01", periods=num)
    frames = []
    for k, name in enumerate(("a", "b")):
        level = 40 + 10 * k + 15 * (np.arange(num) % 7 < 5) + np.arange(num) * 0.1
        frames.append(pd.DataFrame({"unique_id": name, "ds": ds, "y": rng.poisson(level).astype(float)}))
        if gaps:
            end = num - HORIZON * origins
            frames[-1].loc[end - 3 : end - 1, "y"] = np.nan
            if name == "b":
                frames[-1] = frames[-1].drop(index=[end - 2, end - 1])
    return pd.concat(frames, ignore_index=True)


def cut_off(df: pd.DataFrame, origins: int) -> pd.Timestamp:
    return df["ds"].max() - pd.Timedelta(days=HORIZON * origins)


def times_three(y: pd.Series) -> pd.Series:
    return y * 3 + 100


def blank(y: pd.Series) -> pd.Series:
    return y * np.nan


def fractional(y: pd.Series) -> pd.Series:
    return y + 0.37


def other_season(y: pd.Series) -> pd.Series:
    return 50 + 40 * (np.arange(len(y)) % 3 == 0) + 0 * y.fillna(0)


POISONS = [times_three, blank, fractional, other_season]


def poisoned(df: pd.DataFrame, origins: int, poison: Any) -> pd.DataFrame:
    changed = df.copy()
    after = changed["ds"] > cut_off(df, origins)
    for _, rows in changed[after].groupby("unique_id"):
        changed.loc[rows.index, "y"] = poison(rows["y"])
    return changed


def decided_before_the_cut(df: pd.DataFrame, origins: int) -> dict[str, Any]:
    """Everything a back-test from the FULL table decided and forecast at its first cut-off."""
    forecaster = Forecaster(config=TINY)
    table = forecaster.backtest(df, windows=origins)
    fold = forecaster.backtest_.folds[0]
    first = table[table["cutoff"] == table["cutoff"].min()]
    return {**fold, "forecasts": first.drop(columns=["y"]).to_dict("list")}


def differences(clean: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [name for name in clean if repr(clean[name]) != repr(other[name])]


@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "gaps before the cut"])
@pytest.mark.parametrize(
    "origins",
    [1, pytest.param(3, marks=pytest.mark.slow), pytest.param(6, marks=pytest.mark.slow)],
    ids=lambda origins: f"{origins} origins",
)
def test_nothing_after_the_cut_off_moves_forecasts_weights_findings_or_settings(origins: int, gaps: bool) -> None:
    df = counts(gaps=gaps, origins=origins)
    clean = decided_before_the_cut(df, origins)
    assert clean["weights_sha256"] is not None, "a network must have been trained for the test to mean anything"
    for poison in POISONS:
        assert differences(clean, decided_before_the_cut(poisoned(df, origins, poison), origins)) == [], poison.__name__


@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "gaps before the cut"])
def test_the_command_on_the_full_file_is_as_blind(
    gaps: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    df = counts(gaps=gaps, origins=1)
    outputs = {}
    for name, table in {"clean": df, **{p.__name__: poisoned(df, 1, p) for p in POISONS}}.items():
        table.to_csv(f"{name}.csv", index=False)
        settings = ["windows=1", "horizon=4", "trainer.max_steps=6", "trainer.validate_every=3", "model.d_model=8"]
        monkeypatch.setattr(sys, "argv", ["backtest", f"input={name}.csv", f"output={name}_out.csv", *settings])
        from tsattn.backtest import main

        assert cli.exit_code("backtest", BacktestConfig, main) == 0
        printed = capsys.readouterr().out
        weights = [line for line in printed.splitlines() if "weights" in line]
        outputs[name] = (weights, pd.read_csv(f"{name}_out.csv").drop(columns="y").to_csv())
        assert weights
        assert "weights none" not in weights[0]
    for name, output in outputs.items():
        assert output == outputs["clean"], name


def global_scaler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scales the rows before the cut by mean and spread of all rows."""
    honest = evaluation.cut

    def leaky(rows: Any, cutoff: Any) -> Any:
        known, y = honest(rows, cutoff), rows.df["y"]
        return known._replace(df=known.df.assign(y=(known.df["y"] - y.mean()) / (y.std() or 1.0) if y.notna().any() else 0.0))

    monkeypatch.setattr(evaluation, "cut", leaky)


def backward_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fills missing values before the cut from the next known value, which may stand after it."""
    honest = evaluation.cut

    def leaky(rows: Any, cutoff: Any) -> Any:
        filled = rows.df.assign(y=rows.df.groupby("unique_id")["y"].bfill())
        return honest(rows._replace(df=filled), cutoff)

    monkeypatch.setattr(evaluation, "cut", leaky)


def season_from_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the season with the strongest autocorrelation in the whole table."""
    everything: list[pd.DataFrame] = []
    honest_cut, honest_fit = evaluation.cut, evaluation.fit_rows

    def remember(rows: Any, cutoff: Any) -> Any:
        everything[:] = [rows.df]
        return honest_cut(rows, cutoff)

    def leaky(known: Any, read: Any, config: FitConfig, **rest: Any) -> Any:
        y = everything[0]["y"].ffill().fillna(0.0).tail(3 * HORIZON)
        season = max(range(2, 7), key=lambda m: float((y * y.shift(m)).mean()))
        return honest_fit(known, read, replace(config, season_length=season), **rest)

    monkeypatch.setattr(evaluation, "cut", remember)
    monkeypatch.setattr(evaluation, "fit_rows", leaky)


def window_across_the_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learns from windows whose targets reach one horizon beyond the cut."""
    everything: list[Any] = []
    honest_cut, honest_fit = evaluation.cut, evaluation.fit_rows

    def remember(rows: Any, cutoff: pd.Series) -> Any:
        everything[:] = [rows, cutoff]
        return honest_cut(rows, cutoff)

    def leaky(known: Any, read: Any, config: FitConfig, **rest: Any) -> Any:
        rows, cutoff = everything
        frame, _ = honest_fit(known, read, config, **rest)
        return frame, honest_fit(honest_cut(rows, cutoff + pd.Timedelta(days=HORIZON)), read, config, **rest)[1]

    monkeypatch.setattr(evaluation, "cut", remember)
    monkeypatch.setattr(evaluation, "fit_rows", leaky)


@pytest.mark.parametrize("leak", [global_scaler, backward_fill, season_from_all_rows, window_across_the_cut])
def test_a_planted_leak_is_caught(leak: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    df = counts(gaps=True, origins=1)
    leak(monkeypatch)
    clean = decided_before_the_cut(df, 1)
    caught = {p.__name__: differences(clean, decided_before_the_cut(poisoned(df, 1, p), 1)) for p in POISONS}
    assert any(caught.values()), "the future-poison test cannot see this leak"
    assert any("forecasts" in found for found in caught.values())


def test_forecasts_start_after_the_cut_off_where_rows_are_absent_before_it() -> None:
    df = counts(gaps=True, origins=1)
    forecaster = Forecaster(config=TINY)
    table = forecaster.backtest(df, windows=1)
    cutoff = cut_off(df, 1)
    assert (table["cutoff"] == cutoff).all()
    expected = [cutoff + pd.Timedelta(days=step) for step in range(1, HORIZON + 1)]
    assert table["ds"].tolist() == expected * 2
    known = df.set_index(["unique_id", "ds"])["y"]
    assert table["y"].tolist() == [known[key] for key in zip(table["unique_id"], table["ds"], strict=True)]
