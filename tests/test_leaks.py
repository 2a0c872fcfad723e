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
from tsattn.config import BacktestConfig, CovariatesConfig, EncoderConfig, FitConfig, ReadConfig, TrainerConfig
from tsattn.forecaster import Forecaster
from tsattn.testing import check_no_leak, leaks

HORIZON = 4
TINY = FitConfig(
    horizon=HORIZON,
    model=EncoderConfig(d_model=8, num_layers=1, num_heads=1, d_ff=8, patch_length=1),
    trainer=TrainerConfig(max_steps=6, validate_every=3, warmup_steps=1),
)


SALES = CovariatesConfig(past=["visitors", "weather"], known=["price"])


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


def poisoned(df: pd.DataFrame, origins: int, poison: Any) -> pd.DataFrame:
    after = df["ds"] > cut_off(df, origins)
    return df.assign(y=np.where(after, poison(df["y"].to_numpy()), df["y"]))


@pytest.mark.parametrize("gaps", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["complete", "gaps before the cut"])
@pytest.mark.parametrize(
    "origins",
    [1, pytest.param(3, marks=pytest.mark.slow), pytest.param(6, marks=pytest.mark.slow)],
    ids=lambda origins: f"{origins} origins",
)
def test_nothing_after_the_cut_off_moves_forecasts_weights_findings_or_settings(origins: int, gaps: bool) -> None:
    forecaster, df = Forecaster(config=TINY), counts(gaps=gaps, origins=origins)
    before = df.copy()
    compared = check_no_leak(forecaster, df, cutoffs=[origins])
    assert compared["weights_sha256"] is not None, "a network must have been trained for the test to mean anything"
    assert {"forecasts", "settings", "findings", "verdict", "schema"} < set(compared)
    assert compared["forecasts"]["cutoff"] == [cut_off(df, origins)] * 2 * HORIZON
    assert vars(forecaster) == vars(Forecaster(config=TINY))
    pd.testing.assert_frame_equal(df, before)


def sales(num: int = 90) -> pd.DataFrame:
    """Numbered shops in columns of a user, values as text with a decimal comma, a price, visitors and the weather."""
    rng = np.random.default_rng(6)
    frames = []
    for shop in (7, 12):
        price, visitors = rng.integers(1, 5, num) / 4, rng.poisson(30, num)
        sold = 20 + 10 * price + visitors + rng.normal(0, 1, num)
        day = pd.date_range("2024-03-01", periods=num).strftime("%d.%m.%Y")
        weather = np.array(["sun", "rain"])[rng.integers(0, 2, num)]
        text = [f"{value:.2f}".replace(".", ",") for value in sold]
        columns = {"shop": shop, "day": day, "sold": text, "price": price, "visitors": visitors, "weather": weather}
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


@pytest.mark.slow
def test_a_table_in_the_caller_s_own_words_with_covariates_is_poisoned_too() -> None:
    forecaster = Forecaster(config=replace(TINY, covariates=SALES))
    forecaster.read_ = ReadConfig(id="shop")
    compared = check_no_leak(forecaster, sales(), cutoffs=[1, 2])
    assert set(compared["forecasts"]["shop"]) == {7, 12}
    assert compared["schema"]["covariates"]["past"]["columns"] == ["visitors", "weather"]


def honest_but(leak: Any, config: FitConfig = TINY) -> Forecaster:
    """A forecaster whose back-test first passes the rows of its table to `leak`."""

    class Leaky(Forecaster):
        def backtest(self, data: Any = None, **settings: Any) -> pd.DataFrame:
            return super().backtest(leak(data), **settings)

    return Leaky(config=config)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("leak", "said"),
    [
        (lambda df: df.assign(y=df["y"].bfill()), r"first tripled, 3 rows before blank: .*forecasts moved, first \w+ from \["),
        (
            lambda df: df.assign(y=df["y"] - df["y"].mean()),
            r"1 cut-off, values after the first tripled: .*verdict moved, first mase from .*; forecasts moved",
        ),
    ],
    ids=["filled from the future", "scaled by all rows"],
)
def test_what_moved_is_named(leak: Any, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "POISONS", (leaks.tripled,))
    with pytest.raises(AssertionError, match=said):
        check_no_leak(honest_but(leak), counts(gaps=False, origins=1), cutoffs=[1])


@pytest.mark.parametrize(
    ("name", "rows"), [("visitors", 1), ("price", HORIZON)], ids=["past, of the next day", "known, beyond the horizon"]
)
@pytest.mark.parametrize("leaks_it", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["leaking", "honest"])
def test_a_leak_through_a_covariate_is_caught(name: str, rows: int, leaks_it: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "POISONS", (leaks.tripled,))
    forecaster = honest_but(
        lambda df: df.assign(**{name: df.groupby("shop")[name].shift(-rows).fillna(1)}) if leaks_it else df,
        replace(TINY, covariates=CovariatesConfig(**{"past" if name == "visitors" else "known": [name]})),
    )
    forecaster.read_ = ReadConfig(id="shop")
    table = sales()[["shop", "day", "sold", name]]
    if not leaks_it:
        check_no_leak(forecaster, table, cutoffs=[2])
        return
    with pytest.raises(AssertionError, match=r"2 cut-offs, values after the first tripled: .*forecasts moved"):
        check_no_leak(forecaster, table, cutoffs=[2])


def test_known_covariates_are_poisoned_beyond_the_horizon_and_others_after_the_cut_off() -> None:
    df, forecaster = sales(), Forecaster(config=replace(TINY, covariates=SALES))
    forecaster.read_ = ReadConfig(id="shop")
    table = leaks._table(forecaster, df, 2)
    day = pd.to_datetime(df["day"], format="%d.%m.%Y")
    cutoff = day.max() - pd.Timedelta(days=2 * HORIZON)
    assert (table.after == (day > cutoff)).all()
    assert (table.beyond == (day > cutoff + pd.Timedelta(days=HORIZON))).all()
    assert (table.hidden == ((day <= cutoff) & (day > cutoff - pd.Timedelta(days=3)))).all()
    changed = leaks._poisoned(table, leaks.tripled)
    assert ((changed["visitors"] == 3 * df["visitors"] + 100) == table.after).all()
    assert ((changed["price"] == 3 * df["price"] + 100) == table.beyond).all()
    assert (changed["weather"] == df["weather"])[~table.after].all()
    assert (changed["weather"] != df["weather"]).any()
    assert changed["sold"][0] == float(df["sold"][0].replace(",", "."))


@pytest.mark.parametrize("read", [{"count_per": "D"}, {"resample": "W-MON"}])
def test_tables_without_a_value_per_row_are_refused(read: dict[str, str]) -> None:
    forecaster = Forecaster(config=TINY)
    forecaster.read_ = ReadConfig(**read)
    df = counts(gaps=False, origins=1)
    with pytest.raises(ValueError, match="needs a long table: a row per series and time"):
        check_no_leak(forecaster, df[["unique_id", "ds"]] if "count_per" in read else df)
    with pytest.raises(ValueError, match="needs a long table"):
        check_no_leak(Forecaster(config=TINY), df.pivot(index="ds", columns="unique_id", values="y").reset_index())


@pytest.mark.slow
@pytest.mark.parametrize("gaps", [pytest.param(False, marks=pytest.mark.slow), True], ids=["complete", "gaps before the cut"])
def test_the_command_on_the_full_file_is_as_blind(
    gaps: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    df = counts(gaps=gaps, origins=1)
    outputs = {}
    for name, table in {"clean": df, **{p.__name__: poisoned(df, 1, p) for p in leaks.POISONS}}.items():
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
    leak(monkeypatch)
    with pytest.raises(AssertionError, match=r"1 cut-off, values after the first .* moved.*forecasts moved"):
        check_no_leak(Forecaster(config=TINY), counts(gaps=True, origins=1), cutoffs=[1])


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
