"""Covariates from a table to a forecast: past, known ahead, static; and what of them may not be seen."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from tsattn import EncoderConfig, Forecaster
from tsattn.config import CovariatesConfig, FitConfig
from tsattn.data.findings import DataError

HORIZON = 4
ROLES = {"known": ["promo"], "past": ["weather"], "static": ["kind", "area"]}
TINY = EncoderConfig(head="quantile", d_model=8, num_layers=1, num_heads=1, d_ff=8, patch_length=1)


@pytest.fixture(scope="module")
def shops() -> pd.DataFrame:
    """Two shops over 90 days that sell 30 more on days of a promotion."""
    rng = np.random.default_rng(1)
    num = 90
    data = pd.DataFrame(
        {
            "shop": np.repeat(["a", "b"], num),
            "day": [*pd.date_range("2024-01-01", periods=num)] * 2,
            "promo": rng.integers(0, 2, 2 * num).astype(float),
            "weather": rng.normal(size=2 * num),
            "kind": np.repeat(["big", "small"], num),
            "area": np.repeat([100.0, 40.0], num),
        }
    )
    return data.assign(sold=20 + 30 * data["promo"] + rng.poisson(3, 2 * num))


def next_days(shops: pd.DataFrame, num: int = HORIZON) -> pd.DataFrame:
    days = pd.date_range(shops["day"].max(), periods=num + 1)[1:]
    rows = [
        {"shop": shop, "day": day, "promo": float((i + k) % 2)} for k, shop in enumerate("ab") for i, day in enumerate(days)
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def config(quick):
    return quick(model=TINY, horizon=HORIZON, context_length=14, refit=False, trainer={"max_steps": 6, "validate_every": 3})


@pytest.fixture(scope="module")
def trained(shops, config) -> Forecaster:
    return Forecaster(config=config).fit(shops, covariates=ROLES)


@pytest.fixture(scope="module")
def learned(shops, quick) -> Forecaster:
    trainer = {"max_steps": 150, "validate_every": 25}
    config = quick(model=TINY, horizon=HORIZON, context_length=14, refit=False, trainer=trainer)
    return Forecaster(config=config).fit(shops, covariates=ROLES)


@pytest.mark.slow
def test_a_promotion_that_is_known_ahead_is_learned(shops, learned):
    assert learned.verdict_.answer == "network"
    future = next_days(shops)
    forecast = learned.predict(future=future)["forecast"].to_numpy()
    assert forecast[future["promo"] == 1].min() > forecast[future["promo"] == 0].max() + 10


def test_the_same_comes_out_of_a_saved_model_and_nothing_of_the_data_is_in_its_folder(trained, shops, tmp_path):
    future = next_days(shops)
    trained.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.predict(shops, future=future), trained.predict(future=future))
    described = json.loads((tmp_path / "model" / "config.json").read_text())["schema"]["covariates"]
    assert described["known"]["columns"] == ["promo"]
    price = described["known"]["features"]
    seen = shops.loc[shops.groupby("shop").cumcount() < 90 - 16, "promo"]  # 4 windows of 4 rows are for the verdict
    mean, deviation = seen.mean(), seen.std(ddof=0)
    assert price == [["promo", None, pytest.approx(1 / deviation), pytest.approx(-mean / deviation)]]
    assert [feature[:2] for feature in described["static"]["features"]] == [["kind", "big"], ["kind", "small"], ["area", None]]


@pytest.mark.parametrize("missing", [None, "rows", "cells"])
def test_every_missing_value_ahead_is_named(learned, shops, missing):
    future = next_days(shops)
    absent = [("a", "2024-03-31"), ("a", "2024-04-01"), ("a", "2024-04-02"), ("a", "2024-04-03")]
    absent += [("b", day) for _, day in absent]
    if missing == "rows":
        future, absent = future.drop(index=[1, 6]), [absent[1], absent[6]]
    elif missing == "cells":
        future.loc[[2, 3], "promo"] = np.nan
        absent = [absent[2], absent[3]]
    with pytest.raises(DataError, match="promo must be known ahead") as problem:
        learned.predict(future=None if missing is None else future)
    for name, day in absent:
        assert f"{name} at {day}" in str(problem.value)
    assert str(problem.value).count(" at ") == len(absent)


def test_a_category_stays_text_in_a_file_that_holds_no_other(shops, config, tmp_path):
    coded = shops.assign(kind=shops["shop"].map({"a": "01", "b": "x"}))  # of shop a alone "01" looks like a number
    for name, rows in (("both.csv", coded), ("one.csv", coded[coded["shop"] == "a"])):
        rows.to_csv(tmp_path / name, index=False)
    read = {"id": "shop", "value": "sold"}
    forecaster = Forecaster(config=config).fit(tmp_path / "both.csv", read=read, covariates={"static": ["kind"]})
    both, one = (forecaster.predict(tmp_path / name) for name in ("both.csv", "one.csv"))
    np.testing.assert_allclose(one["forecast"], both.loc[both["shop"] == "a", "forecast"], rtol=1e-5)


def test_renamed_columns_and_unknown_categories_are_named(learned, shops):
    with pytest.raises(DataError, match=r"expected columns .*promo.*the table has shop, day, Promotion"):
        learned.predict(future=next_days(shops).rename(columns={"promo": "Promotion"}))
    with pytest.raises(DataError, match="expected columns weather, promo, kind, area"):
        learned.predict(shops.rename(columns={"kind": "type"}), future=next_days(shops))
    with pytest.raises(DataError, match=r"'huge' is no category .* big, small"):
        learned.predict(shops.replace({"kind": {"big": "huge"}}), future=next_days(shops))


def test_a_naive_answer_needs_nothing_ahead(shops, config):
    forecaster = Forecaster(config=replace(config, covariates=CovariatesConfig(**ROLES))).fit_naive(
        shops, read={"id": "shop", "value": "sold"}
    )
    assert forecaster.predict()["forecast"].notna().all()


def test_rows_beyond_the_horizon_that_was_asked_have_no_say(shops, learned):
    future = next_days(shops, 8)
    with pytest.warns(UserWarning, match="longer than the trained"):
        whole = learned.predict(horizon=6, future=future)
    later = future["day"] > shops["day"].max() + pd.Timedelta(days=6)
    with pytest.warns(UserWarning, match="longer than the trained"):
        pd.testing.assert_frame_equal(learned.predict(horizon=6, future=future[~later]), whole)


def test_a_category_that_comes_up_after_the_cut_off_counts_as_missing_in_a_back_test(shops, config):
    late = shops[(shops["shop"] == "a") | (shops.groupby("shop").cumcount() >= 83)]  # b is there at the second cut-off alone
    table = Forecaster(config=replace(config, covariates=CovariatesConfig(**ROLES))).backtest(late, windows=2)
    assert table.groupby("shop").size().to_dict() == {"a": 8, "b": 4}
    assert table["network"].notna().all()


def test_a_future_without_known_covariates_is_refused(shops, config):
    forecaster = Forecaster(config=config).fit(shops[["shop", "day", "sold", "weather"]], covariates={"past": ["weather"]})
    with pytest.raises(ValueError, match=r"trained without covariates\.known="):
        forecaster.predict(future=next_days(shops))


# ---- what may not be seen ----------------------------------------------------------------------------------------------


def network_forecasts(data: pd.DataFrame, config, windows: int = 1) -> np.ndarray:
    declared = replace(config, covariates=CovariatesConfig(**ROLES))
    table = Forecaster(config=declared).backtest(data, windows=windows)
    return table[table["cutoff"] == table["cutoff"].min()]["network"].to_numpy()


def after_cut_off(data: pd.DataFrame, windows: int = 1) -> pd.Series:
    return data["day"] > data["day"].max() - pd.Timedelta(days=HORIZON * windows)


def test_what_past_covariates_hold_after_a_cut_off_reaches_nothing(shops, config):
    poisoned = shops.copy()
    poisoned.loc[after_cut_off(shops), "weather"] = 1e9
    np.testing.assert_array_equal(network_forecasts(shops, config), network_forecasts(poisoned, config))


def test_what_is_known_ahead_counts_for_the_forecast_and_beyond_the_horizon_for_nothing(shops, config):
    ahead, beyond = shops.copy(), shops.copy()
    ahead.loc[after_cut_off(shops, 2) & ~after_cut_off(shops, 1), "promo"] = 5.0
    beyond.loc[after_cut_off(shops, 1), "promo"] = 5.0
    before = network_forecasts(shops, config, windows=2)
    assert not np.array_equal(network_forecasts(ahead, config, windows=2), before)
    np.testing.assert_array_equal(network_forecasts(beyond, config, windows=2), before)


def test_a_transformer_sees_the_rows_before_the_cut_off_only(shops, config):
    later = shops.copy()
    later.loc[after_cut_off(shops), "weather"] *= 1000
    features = []
    for data in (shops, later):
        forecaster = Forecaster(config=replace(config, covariates=CovariatesConfig(**ROLES)))
        forecaster.backtest(data, windows=1)
        features.append(forecaster.backtest_.folds[0]["schema"]["covariates"])
    assert features[0] == features[1]
    seen = shops.loc[shops.groupby("shop").cumcount() < 86 - 16, "weather"]  # 4 windows of 4 rows are for the verdict
    assert features[0]["past"]["features"][0][2] == pytest.approx(1 / seen.std(ddof=0))


def test_a_back_test_fits_a_transformer_afresh_that_came_fitted_on_all_rows(shops, config):
    fitted = StandardScaler().fit(shops[["weather"]])
    mean = fitted.mean_[0]
    read = {"id": "shop", "value": "sold"}
    forecaster = Forecaster(config=config).fit(shops, read=read, covariates={"past": ["weather"]}, transformer=fitted)
    forecaster.backtest(windows=1)
    _, _, gain, offset = forecaster.backtest_.folds[0]["schema"]["covariates"]["past"]["features"][0]
    assert -offset / gain == pytest.approx(shops.loc[~after_cut_off(shops), "weather"].mean())
    assert fitted.mean_[0] == mean != pytest.approx(-offset / gain)


# ---- transformers, holidays, tables of other shapes --------------------------------------------------------------------


def test_a_column_transformer_of_scikit_learn_says_how_columns_become_numbers(shops, config):
    transformer = ColumnTransformer(
        [
            ("numbers", Pipeline([("one", MinMaxScaler()), ("two", StandardScaler())]), ["weather", "area"]),
            ("words", OneHotEncoder(sparse_output=False), ["kind"]),
            ("flag", "passthrough", ["promo"]),
        ]
    )
    forecaster = Forecaster(config=config).fit(shops, covariates=ROLES, transformer=transformer)
    schema = forecaster.fitted_.schema
    assert schema.covariates["known"]["features"] == [["promo", None, 1.0, 0.0]]
    assert schema.num_features == len(schema.features) + 5
    assert forecaster.predict(future=next_days(shops))["forecast"].notna().all()


def test_public_holidays_need_no_column(shops, config):
    pytest.importorskip("holidays")
    forecaster = Forecaster(config=config).fit(shops[["shop", "day", "sold"]], covariates={"holidays": "DE"})
    assert forecaster.fitted_.schema.features[-1] == "holiday:DE"
    assert len(forecaster.predict()) == 2 * HORIZON


def test_the_columns_of_a_wide_table_share_what_is_known_ahead(shops, config):
    wide = shops.pivot_table(index="day", columns="shop", values="sold").reset_index()
    wide["promo"] = shops.loc[shops["shop"] == "a", "promo"].to_numpy()
    forecaster = Forecaster(config=config).fit(wide, covariates={"known": ["promo"]})
    future = next_days(shops).query("shop == 'a'")[["day", "promo"]]
    assert len(forecaster.predict(future=future)) == 2 * HORIZON


def test_rows_without_times_are_followed_by_steps_one_two_three(shops, config):
    one = shops.loc[shops["shop"] == "a", ["sold", "promo"]]
    forecaster = Forecaster(config=config).fit(one, covariates={"known": ["promo"]})
    table = forecaster.predict(future=pd.DataFrame({"promo": [0.0, 1.0, 0.0, 1.0]}))
    assert table["ds"].tolist() == [91, 92, 93, 94]
    with pytest.raises(DataError, match="94"):
        forecaster.predict(future=pd.DataFrame({"promo": [0.0, 1.0, 0.0]}))


def test_times_of_another_kind_are_refused(trained, shops):
    future = next_days(shops)
    with pytest.raises(DataError, match="future=: its times are"):
        trained.predict(future=future.assign(day=future["day"].dt.tz_localize("UTC")))


def test_series_together_take_no_covariates_and_must_end_together(shops, quick):
    config = quick(horizon=HORIZON, context_length=14)
    with pytest.raises(ValueError, match="model=inverted reads the calendar, but no covariates"):
        Forecaster(config=config, model="inverted").fit(shops, covariates=ROLES)
    with pytest.raises(ValueError, match="'b' ends 2 steps before the latest"):
        Forecaster(config=config, model="inverted").fit(shops[["shop", "day", "sold"]].iloc[:-2])
    table = Forecaster(config=config, model="inverted").fit(shops[["shop", "day", "sold"]]).backtest(windows=2)
    assert len(table) == 2 * 2 * HORIZON


def test_a_naive_forecast_is_not_said_to_know_covariates(shops):
    fitted = Forecaster(HORIZON, config=FitConfig(covariates=CovariatesConfig(known=["promo"]))).fit_naive(
        shops, read={"id": "shop", "value": "sold"}
    )
    assert "covariates" not in {finding.topic for finding in fitted.findings_}
    assert len(fitted.predict()) == 2 * HORIZON
