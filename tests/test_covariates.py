"""Covariates as numbers: what is read off a scikit-learn transformer gives what scikit-learn gives, and is plain JSON."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)

from tsattn.data.covariates import Feature, check_future, encode, from_plain, plain_features, to_plain
from tsattn.data.findings import DataError

Columns = dict[str, np.ndarray]


def text(*values: str | None) -> np.ndarray:
    return np.array(values, dtype=object)


def table(columns: Columns) -> pd.DataFrame:
    """The frame that a user would give to scikit-learn."""
    return pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in columns.items()})


def dense(values) -> np.ndarray:
    return np.asarray(values.todense() if hasattr(values, "todense") else values, dtype=float)


def made(num: int = 40, seed: int = 0) -> Columns:
    """Two numeric columns on very different scales, a constant one, two of text."""
    rng = np.random.default_rng(seed)
    return {
        "price": rng.normal(1e4, 3, num),
        "shop": text(*rng.choice(["north", "süd", "42"], num)),
        "rate": rng.normal(-1e-3, 1e-5, num),
        "same": np.full(num, 7.0),
        "promo": text(*rng.choice(["yes", "no"], num)),
    }


NUMBERS, TEXTS = ["price", "rate", "same"], ["shop", "promo"]


def only(columns: Columns, names: list[str]) -> Columns:
    return {name: columns[name] for name in names}


def assert_same_as_sklearn(transformer, columns: Columns, later: Columns) -> None:
    features = plain_features(transformer, columns)
    fitted = clone(transformer).fit(table(columns))
    for rows in (columns, later):
        expected, found = dense(fitted.transform(table(rows))), encode(features, rows)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found[:, : expected.shape[1]], expected, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(found[:, expected.shape[1] :], 0)


# ---- the same as scikit-learn ------------------------------------------------------------------------------------------

SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    StandardScaler(with_mean=False, with_std=False),
    MinMaxScaler(),
    MinMaxScaler((-2, 5)),
    MaxAbsScaler(),
    RobustScaler(),
    RobustScaler(with_centering=False, unit_variance=True),
    RobustScaler(with_scaling=False, quantile_range=(10, 80)),
    make_pipeline(MinMaxScaler(), StandardScaler(), MaxAbsScaler()),
    make_pipeline("passthrough", RobustScaler()),
    make_pipeline(StandardScaler(), None),
    FunctionTransformer(),
]


@pytest.mark.parametrize("scaler", SCALERS, ids=lambda step: type(step).__name__)
def test_a_scaler_is_one_multiplication_and_one_addition(scaler):
    assert_same_as_sklearn(scaler, only(made(), NUMBERS), only(made(15, 1), NUMBERS))


ENCODERS = [
    OneHotEncoder(),
    OneHotEncoder(sparse_output=False, handle_unknown="ignore"),
    OneHotEncoder(drop="first"),
    OneHotEncoder(drop="if_binary"),
    OneHotEncoder(drop=["süd", "yes"]),
    OneHotEncoder(categories=[["süd", "north", "42", "west"], ["yes", "no"]]),
    make_pipeline(OneHotEncoder(), MaxAbsScaler()),
    make_pipeline(OneHotEncoder(sparse_output=False, drop="first"), StandardScaler()),
    make_pipeline(OneHotEncoder(sparse_output=False), StandardScaler(), MinMaxScaler((-1, 1))),
]


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda step: type(step).__name__)
def test_an_encoder_is_an_indicator_per_category(encoder):
    assert_same_as_sklearn(encoder, only(made(), TEXTS), only(made(15, 1), TEXTS))


MIXED = [
    make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(), TEXTS)),
    make_column_transformer((OneHotEncoder(sparse_output=False), TEXTS), (MinMaxScaler(), ["rate", "price"])),
    make_column_transformer((StandardScaler(), make_column_selector(dtype_include="number")), remainder="drop"),
    make_column_transformer((OneHotEncoder(), [1, 4]), remainder="passthrough"),
    make_column_transformer((OneHotEncoder(), make_column_selector(dtype_exclude="number")), remainder=RobustScaler()),
    make_column_transformer((StandardScaler(), slice("price", "price")), ("drop", TEXTS), remainder="passthrough"),
    make_column_transformer((StandardScaler(), slice(2, 4)), (OneHotEncoder(drop="first"), [-1])),
    make_column_transformer((StandardScaler(), [True, False, True, False, False]), (MaxAbsScaler(), [])),
    make_column_transformer((StandardScaler(), ["price"]), (MinMaxScaler(), ["price"]), ("passthrough", ["price"])),
    ColumnTransformer([("n", MinMaxScaler(), NUMBERS), ("t", OneHotEncoder(), TEXTS)], transformer_weights={"n": 3, "t": 0.5}),
    make_pipeline(
        make_column_transformer((OneHotEncoder(), TEXTS), (RobustScaler(), NUMBERS), sparse_threshold=0), StandardScaler()
    ),
    Pipeline(
        [
            ("first", ColumnTransformer([("t", OneHotEncoder(drop="first"), TEXTS), ("n", "passthrough", NUMBERS)])),
            ("second", ColumnTransformer([("b", MinMaxScaler(), [0, 3]), ("a", StandardScaler(), slice(1, 3))])),
        ]
    ),
    make_column_transformer(
        (make_pipeline(OneHotEncoder(sparse_output=False), StandardScaler()), ["promo"]),
        (make_column_transformer((StandardScaler(), ["rate"]), remainder="passthrough"), ["same", "rate"]),
    ),
]


@pytest.mark.parametrize("transformer", MIXED, ids=lambda step: type(step).__name__)
def test_columns_go_where_a_column_transformer_puts_them(transformer):
    assert_same_as_sklearn(transformer, made(), made(15, 1))


def test_output_as_a_frame_makes_no_difference():
    first = make_column_transformer((OneHotEncoder(sparse_output=False), TEXTS), (StandardScaler(), NUMBERS))
    chained = make_pipeline(first, make_column_transformer((MinMaxScaler(), ["standardscaler__rate"]), remainder="passthrough"))
    assert_same_as_sklearn(chained.set_output(transform="pandas"), made(), made(15, 1))


finite = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.lists(finite | st.just(float("nan")), min_size=3, max_size=3), min_size=2, max_size=8),
    words=st.lists(st.sampled_from(["a", "b", "c d", "é"]), min_size=8, max_size=8),
    scaler=st.sampled_from(SCALERS[:10]),
    drop=st.sampled_from([None, "first", "if_binary"]),
)
def test_any_table_is_transformed_as_by_scikit_learn(numbers, words, scaler, drop):
    values = np.array(numbers)
    values[0] = np.nan_to_num(values[0])  # a column without any value is another test
    columns = {f"n{i}": values[:, i] for i in range(3)} | {"w": text(*words[: len(values)])}
    transformer = make_column_transformer((OneHotEncoder(drop=drop), ["w"]), (scaler, ["n2", "n0", "n1"]))
    features = plain_features(transformer, columns)
    expected = dense(clone(transformer).fit_transform(table(columns)))
    found = encode(features, columns)[:, : expected.shape[1]]
    size = np.nanmax(np.abs(expected), initial=1.0)
    np.testing.assert_allclose(found, np.nan_to_num(expected), rtol=1e-6, atol=1e-6 * size)


# ---- what is done by default -------------------------------------------------------------------------------------------


def test_by_default_numbers_are_standardised_and_text_becomes_indicators():
    columns = {"n": np.array([1.0, 3, np.nan, 5]), "t": text("b", None, "a", "b")}
    features = plain_features(None, columns)
    assert [feature[:2] for feature in features] == [("n", None), ("t", "a"), ("t", "b")]
    step = np.sqrt(1.5)  # (5 - 3) / sqrt(8 / 3)
    np.testing.assert_allclose(
        encode(features, columns), [[-step, 0, 1], [0, 0, 0], [0, 1, 0], [step, 0, 1]], rtol=1e-6, atol=1e-7
    )


def test_constant_columns_are_zero_and_stay_finite():
    columns = {"n": np.full(3, 7.0), "t": text("x", "x", "x")}
    features = plain_features(None, columns)
    np.testing.assert_array_equal(encode(features, columns), [[0, 1]] * 3)
    np.testing.assert_array_equal(encode(features, {"n": np.array([9.0]), "t": text("x")}), [[2, 1]])


def test_a_column_without_a_value_is_zero_for_ever():
    columns = {"n": np.full(3, np.nan), "t": text(None, None, None), "m": np.arange(3.0)}
    for transformer in (None, make_column_transformer((StandardScaler(), ["n", "m"]))):
        features = plain_features(transformer, columns)
        assert features[0] == Feature("n", None, 0.0, 0.0)
        assert encode(features, {**columns, "n": np.array([1.0, 2, 3])})[:, 0].tolist() == [0, 0, 0]
        assert len(features) == 2


def test_no_columns_are_no_features():
    assert plain_features(None, {}) == []
    assert encode([], {"n": np.zeros(3)}).shape == (3, 0)


# ---- missing and unknown -----------------------------------------------------------------------------------------------


def test_a_missing_value_is_zero_in_every_feature_of_its_column():
    columns = {"n": np.array([1.0, 2, np.nan, 6]), "t": text("b", None, "a", "b")}
    transformer = make_column_transformer(
        (MinMaxScaler((1, 2)), ["n"]), (make_pipeline(OneHotEncoder(sparse_output=False), StandardScaler()), ["t"])
    )
    features = plain_features(transformer, columns)
    assert [feature[:2] for feature in features] == [("n", None), ("t", "a"), ("t", "b")]  # None is no category
    found = encode(features, columns)
    expected = transformer.fit_transform(table(columns))
    np.testing.assert_allclose(found[[0, 3]], expected[[0, 3], :3], rtol=1e-6)
    assert found[2, 0] == 0
    assert found[1, 1:].tolist() == [0, 0]


def test_unknown_categories_are_named_beside_the_known_ones():
    features = plain_features(None, {"t": text("b", "a", "b"), "s": text("x", "y", "x")})
    with pytest.raises(DataError) as caught:
        encode(features, {"t": text("a", "q1", "q2", "q1", "q3", "q4", "q5", "q6"), "s": text(*"xxxxxxxz")})
    first, second = str(caught.value).splitlines()
    assert first.startswith("column 't': 'q1', 'q2', 'q3', 'q4', 'q5' and 1 more is no category")
    assert first.endswith("they are a, b")
    assert "column 's': 'z'" in second


def test_a_dropped_category_is_known_and_has_no_effect():
    features = plain_features(OneHotEncoder(drop="first"), {"t": text("b", "a", "c")})
    assert features == [Feature("t", "b", 1.0, 0.0), Feature("t", "c", 1.0, 0.0), Feature("t", "a", 0.0, 0.0)]
    np.testing.assert_array_equal(encode(features, {"t": text("a", "c")}), [[0, 0, 0], [0, 1, 0]])
    with pytest.raises(DataError, match="'z' is no category"):
        encode(features, {"t": text("z")})


def test_numbers_can_be_categories():
    columns = {"store": np.array([10.0, 2.5, 10, np.nan])}
    features = plain_features(OneHotEncoder(), columns)
    assert [feature.category for feature in features] == ["2.5", "10"]
    np.testing.assert_array_equal(encode(features, columns), [[0, 1], [1, 0], [0, 1], [0, 0]])
    np.testing.assert_array_equal(encode(features, {"store": text("10", None)}), [[0, 1], [0, 0]])
    with pytest.raises(DataError, match="'7' is no category"):
        encode(features, {"store": np.array([7.0])})


def test_text_where_the_fit_had_numbers_is_an_error():
    features = plain_features(None, {"n": np.arange(3.0)})
    with pytest.raises(DataError, match="column 'n': 'cheap' is text, but the model was trained on numbers"):
        encode(features, {"n": text(None, "cheap")})
    assert encode(features, {"n": text(None, None)}).tolist() == [[0], [0]]


def test_columns_that_are_not_there_are_listed():
    features = plain_features(None, {"price": np.arange(3.0), "promo": np.arange(3.0)})
    with pytest.raises(DataError, match="expected columns price, promo; the table has prize, promo"):
        encode(features, {"prize": np.arange(3.0), "promo": np.arange(3.0)})


def test_numbers_too_large_for_single_precision_are_an_error():
    features = plain_features("passthrough", {"n": np.array([1.0, 2.0])})
    with pytest.raises(DataError, match="column 'n': values up to 1e\\+40 are too large"):
        encode(features, {"n": np.array([1e40])})


# ---- which transformers ------------------------------------------------------------------------------------------------


class Own(StandardScaler):
    """A subclass may compute anything."""


@pytest.mark.parametrize(
    ("transformer", "named"),
    [
        (PowerTransformer(), "PowerTransformer"),
        (make_pipeline(SimpleImputer(), StandardScaler()), "SimpleImputer"),
        (make_column_transformer((PowerTransformer(), ["price"])), "PowerTransformer"),
        (make_column_transformer((StandardScaler(), ["price"]), remainder=PowerTransformer()), "PowerTransformer"),
        (make_column_transformer((make_pipeline(PowerTransformer()), ["price"])), "PowerTransformer"),
        (FunctionTransformer(np.log1p), "FunctionTransformer with a function"),
        (MinMaxScaler(clip=True), r"MinMaxScaler\(clip=True\)"),
        (OneHotEncoder(min_frequency=2), "OneHotEncoder with min_frequency= or max_categories="),
        (Own(), "test_covariates.Own"),
        (StandardScaler, "StandardScaler as a class and not as an object"),
        ("standard", "standard"),
        (3, "builtins.int"),
    ],
)
def test_other_transformers_are_refused_by_name_with_what_works(transformer, named):
    with pytest.raises(
        ValueError, match=rf"cannot be transformed by {named}; what works: StandardScaler, MinMaxScaler, .*drop"
    ):
        plain_features(transformer, only(made(), NUMBERS))


def test_an_encoder_behind_a_scaler_is_refused():
    with pytest.raises(ValueError, match="OneHotEncoder must be the first to see the column n"):
        plain_features(make_pipeline(StandardScaler(), OneHotEncoder()), {"n": np.arange(4.0)})


def test_text_needs_an_encoder():
    for transformer in ("passthrough", make_column_transformer((StandardScaler(), ["price"]), remainder="passthrough")):
        with pytest.raises(ValueError, match="leaves text as it is in shop, promo: give these columns a OneHotEncoder"):
            plain_features(transformer, only(made(), ["price", "shop", "promo"]))
    with pytest.raises(ValueError, match="does not fit the covariates shop, promo: could not convert string to float"):
        plain_features(StandardScaler(), only(made(), TEXTS))


def test_a_column_transformer_that_asks_for_another_column_says_so():
    with pytest.raises(ValueError, match=r"does not fit the covariates price, rate, same: .*prize"):
        plain_features(make_column_transformer((StandardScaler(), ["prize"])), only(made(), NUMBERS))


def test_the_transformer_of_the_caller_is_not_fitted():
    transformer = make_column_transformer((StandardScaler(), NUMBERS))
    plain_features(transformer, made())
    assert not hasattr(transformer, "transformers_")


def test_a_fitted_transformer_is_taken_as_it_is():
    wide = {**made(), "other": np.arange(40.0)}
    transformer = make_column_transformer((OneHotEncoder(), ["promo"]), (StandardScaler(), ["rate", "price"])).fit(table(wide))
    columns = only(made(15, 1), ["price", "promo", "rate"])
    found = encode(plain_features(transformer, columns), columns)
    np.testing.assert_allclose(found, transformer.transform(table({**made(15, 1), "other": np.arange(15.0)})), rtol=1e-6)
    with pytest.raises(ValueError, match="expects columns promo; the covariates are price, rate"):
        plain_features(transformer, only(columns, ["price", "rate"]))
    nameless = StandardScaler().fit(np.arange(6.0).reshape(3, 2))
    assert [feature.column for feature in plain_features(nameless, only(columns, ["rate", "price"]))] == ["rate", "price"]
    with pytest.raises(ValueError, match="was fitted on 2 columns, but these are 1: rate"):
        plain_features(nameless, only(columns, ["rate"]))


def test_encoding_needs_no_scikit_learn():
    code = "import sys, tsattn.data.covariates as c; c.encode(c.from_plain([['a', None, 1, 2]]), {'a': c.np.zeros(2)})"
    code += "; assert not {'sklearn', 'pandas', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- as JSON, and the future -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transformer", [None, *MIXED[:3]], ids=lambda step: type(step).__name__)
def test_features_survive_json_to_the_last_bit(transformer):
    columns = made()
    features = plain_features(transformer, columns)
    again = from_plain(json.loads(json.dumps(to_plain(features))))
    assert again == tuple(features)
    np.testing.assert_array_equal(encode(again, columns), encode(features, columns))


@pytest.mark.parametrize(
    "plain",
    [
        {},
        "abc",
        None,
        [["a", None, 1.0]],
        [["a", None, 1.0, 2.0, 3.0]],
        [[1, None, 1.0, 2.0]],
        [["a", 1, 1.0, 2.0]],
        [["a", None, "1", 2.0]],
        [["a", None, True, 2.0]],
        [["a", None, float("nan"), 2.0]],
        [["a", None, 1.0, float("inf")]],
        [["a", None, 10**400, 0]],
        ["abcd"],
        [{"a": 1}],
    ],
)
def test_what_is_no_list_of_features_is_refused(plain):
    with pytest.raises(ValueError, match="feature"):
        from_plain(plain)


def test_missing_future_values_are_all_listed_per_column():
    check_future({})
    check_future({"price": []})
    pairs = [("a", f"2024-01-{day:02d}") for day in range(1, 26)]
    with pytest.raises(DataError) as caught:
        check_future({"price": pairs[:2], "promo": pairs, "rate": pairs[:2], "temp": [], "alone": [("", "2024-01-01")]})
    lines = str(caught.value).splitlines()
    assert lines[0] == "price, rate must be known ahead, but there is no value for a at 2024-01-01, a at 2024-01-02"
    assert lines[1].startswith("promo must be known ahead, but there is no value for a at 2024-01-01, a at 2024-01-02")
    assert lines[1].endswith("a at 2024-01-20 and 5 more")
    needed = "give them in future=, a table with a row per series and step"
    assert lines[2] == f"alone must be known ahead, but there is no value for 2024-01-01; {needed}"
    assert len(lines) == 3
