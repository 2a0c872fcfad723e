"""Forecaster: the manners of scikit-learn, tables in and out, and what a forecast must not depend on."""

from __future__ import annotations

import gc
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from sklearn.base import clone

import tsattn
from tsattn import EncoderConfig, FitConfig, Forecaster, NotFittedError, PatchConfig, ReadConfig, store
from tsattn import forecaster as forecaster_module
from tsattn.data.findings import DataError
from tsattn.data.frame import to_rows
from tsattn.tables import fit_rows, window_table
from tsattn.training.callbacks import TrainingError

LEVELS = [f"q0.{i}" for i in range(1, 10)]
MONTHS = pd.date_range("2021-01-01", periods=30, freq="MS")
VALUES = (np.arange(30) % 12 + 10.5).tolist()


def numbers(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns="model")


def quantiles(table: pd.DataFrame) -> np.ndarray:
    return table[LEVELS].to_numpy()


def python(code: str, *arguments: str) -> str:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True).stdout


# ---- the manners of scikit-learn ---------------------------------------------------------------------------------------


def test_the_constructor_stores_what_it_is_given_and_does_nothing_else():
    config, levels = FitConfig(), [0.2, 0.8]
    given = {"horizon": 3, "model": "patch", "context_length": 9, "quantiles": levels, "config": config, "seed": 4}
    forecaster = Forecaster(**given)
    assert vars(forecaster) == given
    assert forecaster.quantiles is levels
    assert forecaster.config is config
    assert Forecaster(horizon=-1, model="absent").model == "absent"  # refused by fit, not here


def test_parameters_are_read_and_changed_by_name():
    forecaster = Forecaster(3)
    assert forecaster.set_params(horizon=5, seed=2) is forecaster
    assert forecaster.get_params() == {
        "horizon": 5,
        "model": "auto",
        "context_length": None,
        "quantiles": None,
        "config": None,
        "seed": 2,
    }
    with pytest.raises(ValueError, match="'horizn' is not a parameter of Forecaster: choose from horizon, model"):
        forecaster.set_params(horizn=3)


def test_scikit_learn_clones_a_fitted_forecaster_into_an_unfitted_one():
    forecaster = Forecaster(3, config=FitConfig(season_length=4), quantiles=[0.1, 0.9]).fit_naive(VALUES)
    copy = clone(forecaster)
    assert copy.get_params() == forecaster.get_params()
    assert copy.config is not forecaster.config
    with pytest.raises(NotFittedError):
        copy.predict()


def test_the_representation_names_what_was_changed():
    assert repr(Forecaster()) == "Forecaster()"
    assert repr(Forecaster(3, seed=1)) == "Forecaster(horizon=3, seed=1)"
    assert repr(Forecaster().set_params(quantiles=np.array([0.1, 0.9]))) == "Forecaster(quantiles=array([0.1, 0.9]))"


def test_fit_returns_the_forecaster(two_waves, quick):
    forecaster = Forecaster(config=quick(trainer={"max_steps": 1}, refit=False))
    assert forecaster.fit(two_waves) is forecaster
    assert forecaster.fit_naive(VALUES) is forecaster


@pytest.mark.parametrize(
    "use", [lambda f: f.predict(), lambda f: f.predict(VALUES), lambda f: f.plot(VALUES), lambda f: f.verdict_]
)
def test_an_unfitted_forecaster_says_so_and_stays_unfitted(use):
    forecaster = Forecaster(3)
    with pytest.raises(NotFittedError, match="not fitted yet: call fit"):
        use(forecaster)
    assert not [name for name in vars(forecaster) if name.endswith("_")]


def test_an_unfitted_forecaster_cannot_be_saved(tmp_path):
    with pytest.raises(NotFittedError):
        Forecaster(3).save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_loaded_forecaster_asks_for_data(trained_folder):
    with pytest.raises(ValueError, match="no data are kept here, as in a loaded model"):
        Forecaster.load(trained_folder).predict()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"horizon": 0}, "horizon=0 must be a whole number"),
        ({"model": "gru"}, "model='gru' is not known: choose one of auto, encoder, patch"),
        ({"context_length": 0}, "context_length=0 must be a whole number of steps"),
        ({"quantiles": [0.5, 2.0]}, "must be numbers between 0 and 1"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_fit_refuses_what_the_constructor_only_stored(given, words):
    with pytest.raises(ValueError, match=words):
        Forecaster(**given).fit(VALUES)


def test_an_unknown_read_setting_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="read has no setting 'seperator': choose from sep, decimal"):
        Forecaster(3).fit(VALUES, read={"seperator": ";"})


def test_the_arguments_win_over_the_config():
    config = FitConfig(horizon=9, context_length=20, quantiles=[0.4], seed=5, model=PatchConfig(dropout=0.3))
    fitted = Forecaster(2, context_length=7, quantiles=[0.25], seed=6, model="encoder", config=config).fit_naive(VALUES)
    assert (fitted.config_.horizon, fitted.config_.context_length, fitted.config_.quantiles) == (2, 7, [0.25])
    assert fitted.config_.seed == 6
    assert type(fitted.config_.model) is EncoderConfig
    kept = Forecaster(config=config, model="patch").fit_naive(VALUES).config_
    assert (kept.horizon, kept.seed, kept.model.dropout) == (9, 5, 0.3)


def test_the_seed_of_the_config_counts_unless_one_is_given():
    config = FitConfig(seed=5)
    assert [Forecaster(config=config, seed=seed).fit_naive(VALUES).config_.seed for seed in (None, 0, 6)] == [5, 0, 6]


def test_what_becomes_of_the_table_after_a_fit_changes_no_forecast(two_waves):
    df = two_waves.copy()
    forecaster = Forecaster(horizon=5).fit_naive(df)
    before = forecaster.predict()
    df.loc[:, "sold"] = 0
    df.loc[:, "shop"] = "elsewhere"
    df.loc[:, "day"] = "2000-01-01"
    pd.testing.assert_frame_equal(forecaster.predict(), before)


@pytest.mark.parametrize("kind", ["datetime64[ns]", "datetime64[us]", "int64"])
def test_arrays_given_as_columns_are_not_those_that_are_kept(kind):
    values = np.arange(60.0) % 7
    times = np.arange(60) if kind == "int64" else pd.date_range("2024-01-01", periods=60).to_numpy().astype(kind)
    forecaster = Forecaster(horizon=5).fit_naive(pd.DataFrame({"day": times, "sold": values}, copy=False))
    before = forecaster.predict()
    values[:], times[:] = 0, times[0]
    pd.testing.assert_frame_equal(forecaster.predict(), before)


def test_a_fit_that_fails_leaves_the_earlier_one_in_place(two_waves, quick):
    forecaster = Forecaster(config=quick(trainer={"max_steps": 20, "learning_rate": 1e30})).fit_naive(VALUES)
    before = forecaster.predict()
    with pytest.raises(TrainingError):
        forecaster.fit(two_waves, read=ReadConfig(missing="zero"))
    with pytest.raises(DataError):
        forecaster.fit(["a", "b"])
    pd.testing.assert_frame_equal(forecaster.predict(), before, check_exact=True)
    assert forecaster.read_ == ReadConfig()


# ---- tables in and out -------------------------------------------------------------------------------------------------

LONG = pd.DataFrame({"item_id": ["b", "a"] * 30, "timestamp": np.repeat(MONTHS, 2), "target": np.repeat(VALUES, 2)})
WIDE = pd.DataFrame({"month": MONTHS, "cats": VALUES, "dogs": VALUES[::-1]})
SINGLE = pd.DataFrame({"month": MONTHS.strftime("%Y-%m-%d"), "cats": VALUES})
NEXT = [pd.Timestamp("2023-07-01"), pd.Timestamp("2023-08-01")]
INPUTS = {
    "long": (LONG, ["item_id", "timestamp"], {"item_id": ["b", "b", "a", "a"], "timestamp": NEXT * 2}),
    "wide": (WIDE, ["unique_id", "month"], {"unique_id": ["cats"] * 2 + ["dogs"] * 2, "month": NEXT * 2}),
    "one column": (SINGLE, ["month"], {"month": NEXT}),
    "indexed frame": (WIDE.set_index("month")[["cats"]], ["month"], {"month": NEXT}),
    "indexed series": (pd.Series(VALUES, MONTHS), ["ds"], {"ds": NEXT}),
    "named series": (pd.Series(VALUES, MONTHS.rename("when"), name="cats"), ["when"], {"when": NEXT}),
    "period series": (pd.Series(VALUES, MONTHS.to_period("M")), ["ds"], {"ds": NEXT}),
    "plain series": (pd.Series(VALUES), ["ds"], {"ds": [31, 32]}),
    "list": (VALUES, ["ds"], {"ds": [31, 32]}),
    "array": (np.array(VALUES), ["ds"], {"ds": [31, 32]}),
    "matrix": (
        np.array([VALUES, VALUES]).T,
        ["unique_id", "ds"],
        {"unique_id": ["series_1"] * 2 + ["series_2"] * 2, "ds": [31, 32] * 2},
    ),
    "polars": (pl.from_pandas(LONG), ["item_id", "timestamp"], {"item_id": ["b", "b", "a", "a"], "timestamp": NEXT * 2}),
    "lazy polars": (pl.from_pandas(SINGLE).lazy(), ["month"], {"month": NEXT}),
    "pyarrow": (
        pa.Table.from_pandas(WIDE),
        ["unique_id", "month"],
        {"unique_id": ["cats"] * 2 + ["dogs"] * 2, "month": NEXT * 2},
    ),
}


@pytest.mark.parametrize("kind", INPUTS)
def test_a_forecast_continues_the_stamps_in_the_names_of_the_caller(kind):
    data, names, expected = INPUTS[kind]
    table = Forecaster(2).fit_naive(data).predict()
    assert table.columns.tolist() == [*names, "forecast", "mean", *LEVELS, "model"]
    assert {name: table[name].tolist() for name in names} == expected
    assert np.isfinite(table[["forecast", "mean", *LEVELS]].to_numpy()).all()


def test_asked_quantiles_are_the_columns_and_the_median_is_the_forecast(trained, two_waves, quick):
    config = quick(quantiles=[0.9, 0.05, 0.25], trainer={"max_steps": 2}, refit=False)
    for forecaster in (Forecaster(config=config).fit(two_waves), Forecaster(3, quantiles=[0.05, 0.25, 0.9]).fit_naive(VALUES)):
        columns = forecaster.predict().columns
        assert [name for name in columns if name.startswith("q0")] == ["q0.05", "q0.25", "q0.9"]
    table = trained.predict()
    assert (table["forecast"] == table["q0.5"]).all()


@pytest.mark.parametrize("method", ["fit", "fit_naive", "predict", "backtest", "plot"])
def test_the_frame_of_the_caller_stays_as_it_is(trained, two_waves, quick, method):
    shuffled = two_waves.sample(frac=1, random_state=0)
    shuffled.loc[shuffled.index[5], "sold"] = 0
    before = shuffled.copy(deep=True)
    if method == "predict":
        trained.predict(shuffled)
    elif method == "plot":
        trained.plot(shuffled)
    else:
        getattr(Forecaster(config=quick(trainer={"max_steps": 1}, refit=False)), method)(shuffled)
    pd.testing.assert_frame_equal(shuffled, before, check_exact=True)


@pytest.mark.parametrize("many", [0, 10**9])
def test_what_the_caller_does_to_a_frame_after_the_fit_has_no_say(two_waves, monkeypatch, many):
    monkeypatch.setattr(forecaster_module, "MANY_ROWS", many)
    given, other = two_waves.copy(), two_waves.assign(sold=two_waves["sold"] + 1000)
    fitted = Forecaster(horizon=3).fit_naive(given)
    expected = Forecaster(horizon=3).fit_naive(two_waves.copy()).predict(two_waves.copy())
    assert not expected["forecast"].equals(fitted.predict(other)["forecast"])
    for change in (
        lambda: given.__setitem__("sold", 0.0),
        lambda: given.iloc.__setitem__((slice(None), given.columns.get_loc("sold")), -5.0),
        lambda: given.__delitem__("day"),
        lambda: setattr(given, "columns", ["a", "b"]),
    ):
        change()
        pd.testing.assert_frame_equal(fitted.predict(), expected)
    pd.testing.assert_frame_equal(fitted.predict(other), Forecaster(horizon=3).fit_naive(two_waves).predict(other))
    assert isinstance(fitted.data_, pd.DataFrame) == (many == 0 and int(pd.__version__.split(".")[0]) >= 3)


def test_of_a_large_frame_no_other_table_is_left_when_training_begins(two_waves, quick, monkeypatch):
    """The panel, and times from the last one before the verdict on: what else has a row per row of the data is gone."""
    monkeypatch.setattr(forecaster_module, "MANY_ROWS", 0)
    original, alive = forecaster_module.fit_prepared, []

    def tables() -> list[pd.DataFrame]:
        gc.collect()
        return [each for each in gc.get_objects() if issubclass(type(each), pd.DataFrame) and len(each) == len(two_waves)]

    def watched(prepared, *given, **named):
        alive.append(len(tables()))
        return original(prepared, *given, **named)

    monkeypatch.setattr(forecaster_module, "fit_prepared", watched)
    before = len(tables())
    Forecaster(config=quick(trainer={"max_steps": 1}, refit=False)).fit(two_waves)
    assert alive == [before + 1]  # the frame that shares its memory with the caller's, or the rows that are kept where none can


@pytest.mark.parametrize("rows", [120, 30, 9, 4])
def test_the_times_of_the_windows_are_those_of_the_whole_table(two_waves, rows):
    table = pd.concat([two_waves.iloc[-rows:], two_waves.iloc[: rows // 2 + 1]])  # the later name first, of unequal lengths
    frame, fit = fit_rows(to_rows(table), ReadConfig(), FitConfig(horizon=2), network=False)
    windows = Forecaster(horizon=2).fit_naive(table).verdict_windows_
    pd.testing.assert_frame_equal(windows, window_table(frame, fit.windows))
    assert (len(windows) > 0) == (rows > 4)


def test_a_file_gives_the_same_forecast_as_its_frame(trained, two_waves, waves_csv):
    pd.testing.assert_frame_equal(trained.predict(waves_csv), trained.predict(two_waves), check_exact=True, check_dtype=False)


def test_the_history_of_the_picture_is_the_table_of_the_caller(trained, two_waves):
    figure = trained.plot(horizon=3)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["north", "south"]
    line = max(figure.axes[0].lines, key=lambda line: len(line.get_xdata()))
    shown = np.asarray(line.get_ydata(), float)
    assert shown[-20:].tolist() == two_waves["sold"][100:120].tolist()


@pytest.mark.parametrize("name", ["model", "forecast", "mean", "q0.25"])
@pytest.mark.parametrize("role", ["id", "time"])
def test_a_column_called_like_one_that_comes_out_is_refused_before_any_work(monkeypatch, name, role):
    monkeypatch.setattr("tsattn.fitting.fit", None)
    data = LONG.rename(columns={"item_id" if role == "id" else "timestamp": name})
    forecaster = Forecaster(2, quantiles=[0.25, 0.75])
    for method in (forecaster.fit, forecaster.fit_naive, forecaster.backtest):
        with pytest.raises(DataError, match=f"the column '{name}' .* rename yours, or choose another one with read.{role}="):
            method(data, **({} if method == forecaster.backtest else {"read": {role: name}}))


def test_new_data_for_a_fitted_model_are_refused_too_when_a_column_would_be_lost(trained, two_waves):
    with pytest.raises(DataError, match="the column 'mean' names the series"):
        trained.predict(two_waves.rename(columns={"shop": "mean"}))


@pytest.mark.parametrize("name", ["cutoff", "y", "drift", "network"])
def test_names_that_come_out_of_a_back_test_alone_are_refused_there_alone(name):
    data = SINGLE.rename(columns={"month": name})
    assert Forecaster(2).fit_naive(data).predict().columns[0] == name
    with pytest.raises(DataError, match=f"the column '{name}' holds the time"):
        Forecaster(2).backtest(data)


@pytest.mark.parametrize(("zone", "last"), [("Africa/Cairo", "2024-04-26"), ("America/Sao_Paulo", "2018-11-04")])
def test_a_forecast_after_a_day_without_midnight_begins_its_days_at_midnight(zone, last):
    days = pd.date_range(end=last, periods=20).tz_localize(zone, nonexistent="shift_forward")
    assert days[-1].hour == 1
    table = Forecaster(3).fit_naive(pd.DataFrame({"day": days, "sold": range(20)})).predict()
    assert table["day"].tolist() == (pd.date_range(last, periods=4)[1:].tz_localize(zone)).tolist()


NUMBERED = LONG.assign(item_id=np.tile([20, 3], 30))
NUMBERED_INPUTS = {
    "pandas": (NUMBERED, "int64"),
    "categories": (NUMBERED.astype({"item_id": "category"}), "int64"),
    "nullable": (NUMBERED.astype({"item_id": "Int32"}), "int32"),
    "floats": (NUMBERED.assign(item_id=np.tile([20.5, 3.0], 30)), "float64"),
    "polars": (pl.from_pandas(NUMBERED), "int64"),
    "pyarrow": (pa.Table.from_pandas(NUMBERED), "int64"),
}


@pytest.mark.parametrize("kind", NUMBERED_INPUTS)
def test_ids_that_are_numbers_in_a_frame_are_numbers_in_the_forecast(kind):
    data, dtype = NUMBERED_INPUTS[kind]
    forecaster = Forecaster(2).fit_naive(data)
    ids = [20.5, 20.5, 3.0, 3.0] if kind == "floats" else [20, 20, 3, 3]
    for table in (forecaster.predict(), forecaster.predict(data)):
        assert table["item_id"].dtype == dtype
        assert table["item_id"].tolist() == ids
    figure = forecaster.plot()
    assert [axis.get_title(loc="left") for axis in figure.axes] == [str(ids[0]), str(ids[2])]
    assert all(len(axis.lines[0].get_xdata()) > 2 for axis in figure.axes)  # the history was found


def test_ids_are_numbers_in_a_back_test_and_text_where_they_came_from_a_file(tmp_path):
    for suffix, write in ((".csv", NUMBERED.to_csv), (".parquet", NUMBERED.to_parquet)):
        write(tmp_path / f"a{suffix}", index=False)
        assert Forecaster(2).fit_naive(tmp_path / f"a{suffix}").predict()["item_id"].tolist() == ["20", "20", "3", "3"]
    forecaster = Forecaster(2)
    table = forecaster.backtest(NUMBERED, windows=2)
    assert table["item_id"].tolist() == [20, 20, 3, 3] * 2
    assert forecaster.backtest_.table is table


def test_findings_about_new_data_are_kept_apart_from_those_of_fit(trained, two_waves):
    before = list(trained.findings_)
    trained.predict(two_waves.drop(index=[50, 51]).assign(sold=two_waves["sold"] - 100))
    found = {finding.topic: finding.level for finding in trained.data_findings_}
    assert found["gaps"] == "repair"
    assert found["integer"] == "warning"
    trained.predict()
    assert not [finding for finding in trained.data_findings_ if finding.level != "info"]
    assert list(trained.findings_) == before


# ---- what a forecast of the network depends on -------------------------------------------------------------------------


def test_rows_in_any_order_give_the_same_forecast(trained, two_waves):
    expected = trained.predict()
    shuffled = trained.predict(two_waves.sample(frac=1, random_state=1))
    assert sorted(shuffled["shop"].unique()) == ["north", "south"]
    shuffled = shuffled.sort_values(["shop", "day"], ignore_index=True)
    pd.testing.assert_frame_equal(shuffled, expected, rtol=1e-5)


def test_the_order_of_series_is_the_order_of_the_rows(trained, two_waves):
    turned = trained.predict(pd.concat([two_waves[120:], two_waves[:120]]))
    assert turned["shop"].tolist() == ["south"] * 5 + ["north"] * 5


def test_other_series_in_the_table_change_nothing(trained, two_waves):
    alone = trained.predict(two_waves[two_waves["shop"] == "south"])
    crowd = [two_waves.assign(shop=two_waves["shop"] + str(i), sold=two_waves["sold"] * (i + 2)) for i in range(3)]
    together = trained.predict(pd.concat([*crowd, two_waves]))
    together = together[together["shop"] == "south"].reset_index(drop=True)
    pd.testing.assert_frame_equal(together, alone, rtol=1e-5)


def test_many_series_in_several_passes_give_the_same_as_in_one(trained, two_waves, monkeypatch):
    expected = trained.predict()
    monkeypatch.setattr("tsattn.rolling.CELLS", 1)
    pd.testing.assert_frame_equal(trained.predict(), expected, rtol=1e-5)


def test_a_single_series_keeps_the_id_column_the_model_knows(trained, two_waves):
    table = trained.predict(two_waves[two_waves["shop"] == "south"].assign(returns=3))
    assert table["shop"].tolist() == ["south"] * 5


def test_columns_beside_those_of_fit_do_not_become_series(two_waves):
    south = two_waves[two_waves["shop"] == "south"].drop(columns="shop")
    forecaster = Forecaster(2).fit_naive(south)
    table = forecaster.predict(south.assign(returns=3))
    pd.testing.assert_frame_equal(table, forecaster.predict(), check_exact=True)


def test_series_never_seen_before_are_forecast_from_their_own_level(trained, two_waves):
    north = two_waves[two_waves["shop"] == "north"]
    table = trained.predict(north.assign(shop="new", sold=north["sold"] * 50))
    assert table["shop"].unique().tolist() == ["new"]
    assert table["forecast"].between(0.2 * 50 * 10, 5 * 50 * 30).all()


def test_a_series_without_any_value_gives_nan_and_disturbs_nobody(trained, two_waves):
    empty = two_waves[two_waves["shop"] == "north"].assign(shop="empty", sold=np.nan)
    table = trained.predict(pd.concat([empty, two_waves]))
    assert table[table["shop"] == "empty"][["forecast", "mean", *LEVELS]].isna().all(axis=None)
    others = table[table["shop"] != "empty"].reset_index(drop=True)
    pd.testing.assert_frame_equal(others, trained.predict(), rtol=1e-5, check_dtype=False)


def test_fitting_beside_a_series_without_any_value_works(two_waves, quick):
    empty = two_waves[two_waves["shop"] == "north"].assign(shop="empty", sold=np.nan)
    table = Forecaster(config=quick(trainer={"max_steps": 5})).fit(pd.concat([two_waves, empty])).predict()
    assert table[table["shop"] == "empty"]["forecast"].isna().all()
    assert table[table["shop"] != "empty"]["forecast"].notna().all()


@pytest.mark.parametrize("rung", ["network", "last_value", "seasonal_naive", "drift", "damped_mean", "window_mean"])
def test_a_shorter_horizon_is_the_beginning_of_the_trained_one(trained, rung):
    forecaster = Forecaster()
    vars(forecaster).update(vars(trained))
    forecaster.fitted_ = replace(trained.fitted_, verdict=replace(trained.verdict_, answer=rung))
    whole = forecaster.predict()
    for steps in range(1, 5):
        begun = whole[whole.groupby("shop").cumcount() < steps].reset_index(drop=True)
        pd.testing.assert_frame_equal(forecaster.predict(horizon=steps), begun, check_exact=True)


def test_a_longer_horizon_begins_like_the_trained_one_and_its_intervals_widen(trained, two_waves):
    high = two_waves.assign(sold=two_waves["sold"] + 1000)  # far from 0, where intervals of counts end
    with pytest.warns(UserWarning, match="horizon=12 is longer than the trained 5"):
        rolled = trained.predict(high, horizon=12)
    step = rolled.groupby("shop").cumcount()
    pd.testing.assert_frame_equal(rolled[step < 5].reset_index(drop=True), trained.predict(high), check_exact=True)
    for low, upper in (("q0.1", "q0.9"), ("q0.3", "q0.7")):
        width = (rolled[upper] - rolled[low]).to_numpy().reshape(2, 12)
        assert (width[:, 5:] >= width[:, 4:5] * (1 - 1e-9)).all()
        assert (width[:, 11] > width[:, 4]).all()


def test_a_longer_horizon_of_a_naive_forecast_needs_no_warning():
    assert len(Forecaster(2).fit_naive(VALUES).predict(horizon=7)) == 7


@pytest.mark.parametrize("horizon", [0, -3, 2.5, True])
def test_predict_refuses_a_horizon_that_is_no_number_of_steps(trained, horizon):
    for method in (trained.predict, trained.plot):
        with pytest.raises((ValueError, TypeError), match="horizon"):
            method(horizon=horizon)


def test_quantiles_are_ordered_and_counts_are_never_negative(two_waves, quick, answered_by_network):
    rare = two_waves.assign(sold=np.random.default_rng(0).poisson(0.3, 240))
    for head in ("quantile", "negative_binomial", "point"):
        forecaster = Forecaster(config=quick(head=head, trainer={"max_steps": 3}, refit=False)).fit(rare)
        assert forecaster.fitted_.schema.integer
        table = answered_by_network(forecaster).predict()
        assert (np.diff(quantiles(table)) >= 0).all(), head
        assert (table[["forecast", "mean", *LEVELS]].to_numpy() >= 0).all(), head


def test_a_stamp_off_the_grid_of_the_model_is_refused(trained):
    weekly = pd.DataFrame({"shop": "x", "day": pd.date_range("2024-01-01 12:00", periods=40, freq="13h"), "sold": 1})
    with pytest.raises(DataError):
        trained.predict(weekly)


# ---- randomness --------------------------------------------------------------------------------------------------------


def test_fit_and_predict_leave_every_random_state_of_the_caller_alone(two_waves, quick):
    torch.manual_seed(11)
    np.random.seed(12)  # noqa: NPY002
    states = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    forecaster = Forecaster(config=quick(model=EncoderConfig(head="quantile", dropout=0.2), trainer={"max_steps": 3})).fit(
        two_waves
    )
    forecaster.predict()
    forecaster.backtest(windows=1)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), states[1], strict=True))  # noqa: NPY002


def test_the_random_state_of_the_caller_has_no_say(two_waves, quick):
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        found.append(store.weights_sha256(Forecaster(config=quick(trainer={"max_steps": 3})).fit(two_waves).fitted_))
    assert found[0] == found[1]


def test_the_default_precision_of_the_caller_has_no_say_either(trained, two_waves, quick):
    torch.set_default_dtype(torch.float64)
    try:
        forecaster = Forecaster(config=quick()).fit(two_waves)
        forecaster.predict()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert store.weights_sha256(forecaster.fitted_) == store.weights_sha256(trained.fitted_)


@pytest.mark.slow  # Lightning is imported once more; tests/test_cli.py compares the weights of two processes too
def test_another_process_gives_the_same_weights_and_leaves_the_random_state_of_python_alone(waves_csv, trained):
    code = (
        "import random, sys; from tsattn import EncoderConfig, FitConfig, Forecaster, TrainerConfig, store\n"
        "trainer = TrainerConfig(accelerator='cpu', max_steps=20, validate_every=10, warmup_steps=5)\n"
        "config, state = FitConfig(horizon=5, model=EncoderConfig(head='quantile'), trainer=trainer), random.getstate()\n"
        "forecaster = Forecaster(config=config).fit(sys.argv[1])\n"
        "print(store.weights_sha256(forecaster.fitted_), random.getstate() == state)\n"
    )
    assert python(code, str(waves_csv)).split() == [store.weights_sha256(trained.fitted_), "True"]


@pytest.mark.slow  # Lightning is imported once more; tests/test_architecture.py looks at the imports
def test_a_report_to_the_terminal_leaves_the_random_state_of_python_alone():
    code = (
        "import random; random.seed(5); state = random.getstate()\n"
        "from tsattn.forecaster import make_reporting; make_reporting(True); print(random.getstate() == state)"
    )
    assert python(code).split() == ["True"]


def test_another_seed_gives_other_weights_and_other_forecasts(trained, two_waves, quick, answered_by_network):
    other = answered_by_network(Forecaster(config=quick(), seed=1).fit(two_waves))
    assert store.weights_sha256(other.fitted_) != store.weights_sha256(trained.fitted_)
    assert (other.predict()["forecast"] != trained.predict()["forecast"]).any()


# ---- what is loaded when -----------------------------------------------------------------------------------------------


def test_importing_the_package_is_quick_and_loads_no_library():
    code = (
        "import sys, time; begin = time.process_time(); import tsattn; seconds = time.process_time() - begin\n"
        "print(seconds, *(m for m in ('torch', 'pandas', 'numpy', 'pytorch_lightning', 'hydra') if m in sys.modules))"
    )
    seconds, *loaded = python(code).split()
    assert float(seconds) < 0.2
    assert loaded == []


@pytest.mark.slow
def test_forecasting_from_a_folder_loads_neither_lightning_nor_scikit_learn_nor_matplotlib(trained_folder, waves_csv):
    code = (
        "import sys; from tsattn import Forecaster\n"
        "table = Forecaster.load(sys.argv[1]).predict(sys.argv[2])\n"
        "unwanted = ('pytorch_lightning', 'lightning', 'sklearn', 'matplotlib', 'hydra', 'torchmetrics', 'rich')\n"
        "print(len(table), *(m for m in unwanted if m in sys.modules))"
    )
    assert python(code, str(trained_folder), str(waves_csv)).split() == ["10"]


def test_the_public_names_are_found_and_listed():
    for name in tsattn.__all__:
        assert getattr(tsattn, name).__name__ == name
    assert dir(tsattn) == sorted(tsattn.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Forecast'"):
        tsattn.Forecast  # noqa: B018


@pytest.mark.gpu
def test_training_on_a_gpu_answers_on_the_cpu(two_waves, quick):
    forecaster = Forecaster(config=quick(trainer={"accelerator": "gpu"}, head="auto")).fit(two_waves)
    assert {p.device.type for p in forecaster.fitted_.network.parameters()} == {"cpu"}
    assert len(forecaster.predict()) == 10
