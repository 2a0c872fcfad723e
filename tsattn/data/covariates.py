"""Covariates as numbers: one multiplication and one addition per feature, whatever scikit-learn transformer they came from.

A transformer is fitted by scikit-learn and read off into `Feature`s, which are plain JSON values: what is saved with a model
needs neither scikit-learn nor pickle. scikit-learn is loaded inside the functions that fit.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tsattn.data.findings import DataError, listed
from tsattn.turns import ONE_AT_A_TIME

SCALERS = ("StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler")
WORKING = f"{', '.join(SCALERS)}, OneHotEncoder, ColumnTransformer and Pipeline of these, 'passthrough' and 'drop'"
MISSING = ""  # the category that an encoder may have made of missing rows; a text that is there is never empty


MOST_CATEGORIES = 500  # of a column: each is a number in every row


class Feature(NamedTuple):
    """One number per row: `gain * value + offset`, or `gain * (value == category) + offset`; 0.0 where the value is missing.

    After a `StandardScaler` 0.0 is the mean of the column. A category with gain and offset 0.0 is one that the encoder knows
    but gives no column of its own (`drop=`).
    """

    column: str
    category: str | None
    gain: float
    offset: float


def number_text(value: Any) -> str:
    """A number as the name of its category: 3.0 is "3"; equal numbers have equal names."""
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _is_missing(value: Any) -> bool:
    return value is None or bool(value != value or value == MISSING)


def _is_text(column: np.ndarray) -> bool:
    return column.dtype.kind in "OUS"


# ---- from a transformer ------------------------------------------------------------------------------------------------


def plain_features(transformer: Any | None, columns: dict[str, np.ndarray]) -> list[Feature]:
    """The features that `transformer` makes of `columns`, in the order of its output, then the categories that it drops.

    `columns` are arrays of one length: float64 with NaN, or objects (text, None) where they hold categories. A transformer that
    is not fitted is cloned and fitted on them, the caller's object stays as it is; a fitted one is taken as it is. None means
    `StandardScaler` for numbers and `OneHotEncoder` for text, without its missing rows. A column without any value gives
    features that are always 0.0; missing rows are no category. `ValueError` for a transformer that cannot be written so.
    """
    if transformer is None:
        return [feature for name, values in columns.items() for feature in _usual(name, values)]
    _check(transformer)
    fitted = _fitted(transformer, columns)
    names = [str(name) for name in getattr(fitted, "feature_names_in_", columns)]
    num_expected = getattr(fitted, "n_features_in_", len(names))
    if num_expected != len(names):
        raise ValueError(f"the transformer was fitted on {num_expected} columns, but these are {len(names)}: {listed(names)}")
    dropped: list[Feature] = []
    features = _through(fitted, [Feature(name, None, 1.0, 0.0) for name in names], dropped)
    absent = dict.fromkeys(feature.column for feature in features if feature.column not in columns)
    if absent:
        raise ValueError(f"the transformer expects columns {listed(absent)}; the covariates are {listed(columns)}")
    texts = dict.fromkeys(f.column for f in features if f.category is None and _is_text(columns[f.column]))
    if texts:
        raise ValueError(f"the transformer leaves text as it is in {listed(texts)}: give these columns a OneHotEncoder")
    return [_finite(feature) for feature in [*features, *dropped] if feature.category != MISSING]


def _usual(name: str, values: np.ndarray) -> list[Feature]:
    """What is done where no transformer is given."""
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    if not _is_text(values):
        if np.isnan(values).all():
            return [Feature(name, None, 0.0, 0.0)]
        return _through(StandardScaler().fit(values[:, None]), [Feature(name, None, 1.0, 0.0)], [])
    present = np.array([value for value in values if not _is_missing(value)], dtype=object)
    num = len(set(present.tolist()))
    if num > MOST_CATEGORIES:
        raise DataError(
            f"column {name!r} has {num:,} categories, more than {MOST_CATEGORIES}: declare a coarser one, or numbers"
        )
    return _through(OneHotEncoder().fit(present[:, None]), [Feature(name, None, 1.0, 0.0)], []) if len(present) else []


def _kind(step: Any) -> str:
    """The name of a transformer: its class where that is scikit-learn's, the word itself, None as "passthrough"."""
    if step is None or isinstance(step, str):
        return step or "passthrough"
    own = type(step).__module__.startswith("sklearn.")
    return type(step).__name__ if own else f"{type(step).__module__}.{type(step).__qualname__}"


def _check(step: Any) -> None:
    """Raise a ValueError that lists what works unless `step` is made of that."""
    kind = _kind(step)
    reason = ""
    if kind == "Pipeline":
        for _, part in step.steps:
            _check(part)
    elif kind == "ColumnTransformer":
        for part in [*(part for _, part, *_ in step.transformers), step.remainder]:
            _check(part)
    elif kind == "FunctionTransformer" and step.func is not None:
        reason = "FunctionTransformer with a function"
    elif kind in SCALERS and getattr(step, "clip", False):
        reason = f"{kind}(clip=True)"
    elif kind == "OneHotEncoder" and (step.min_frequency is not None or step.max_categories is not None):
        reason = "OneHotEncoder with min_frequency= or max_categories="
    elif kind not in (*SCALERS, "OneHotEncoder", "FunctionTransformer", "passthrough", "drop"):
        reason = f"{step.__name__} as a class and not as an object" if isinstance(step, type) else kind
    if reason:
        raise ValueError(f"covariates cannot be transformed by {reason}; what works: {WORKING}; missing values need no imputer")


def _fitted(transformer: Any, columns: dict[str, np.ndarray]) -> Any:
    """The transformer itself where it is fitted, else a clone fitted on the columns."""
    if _is_fitted(transformer):
        return transformer
    from sklearn.base import clone

    from tsattn.data.declared import as_table

    try:
        fresh: Any = clone(transformer)
        with ONE_AT_A_TIME, warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a column without any value
            return fresh.fit(as_table(columns))
    except (ValueError, TypeError) as error:
        raise ValueError(f"the transformer does not fit the covariates {listed(columns)}: {error}") from error


def unfitted(transformer: Any) -> Any:
    """A copy that has seen no data, to be fitted on fewer rows than the caller's; `ValueError` as in `plain_features`."""
    if transformer is None or isinstance(transformer, str):
        return transformer
    _check(transformer)
    from sklearn.base import clone

    return clone(transformer)


def _is_fitted(step: Any) -> bool:
    """Whether scikit-learn takes a transformer as fitted; all steps of a pipeline must be."""
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    if step is None or isinstance(step, str):
        return True
    if _kind(step) == "Pipeline":
        return all(_is_fitted(part) for _, part in step.steps)
    try:
        check_is_fitted(step)
    except NotFittedError:
        return False
    return True


def _through(step: Any, features: list[Feature], dropped: list[Feature]) -> list[Feature]:
    """What a fitted step makes of features; categories that it gives no column are added to `dropped`."""
    kind = _kind(step)
    if kind in ("passthrough", "FunctionTransformer"):
        return features
    if kind == "drop":
        return []
    if kind == "Pipeline":
        for _, part in step.steps:
            features = _through(part, features, dropped)
        return features
    if kind == "ColumnTransformer":
        return _side_by_side(step, features, dropped)
    if kind == "OneHotEncoder":
        return _categories(step, features, dropped)
    gain, offset = _line(step, kind)
    return [_scaled(f, float(a), float(b)) for f, a, b in zip(features, gain, offset, strict=True)]


def _side_by_side(step: Any, features: list[Feature], dropped: list[Feature]) -> list[Feature]:
    """The outputs of the parts of a ColumnTransformer, one after the other."""
    names = list(getattr(step, "feature_names_in_", []))
    weights = step.transformer_weights or {}
    outputs = []
    for name, part, chosen in step.transformers_:
        own = [features[i] for i in _chosen(chosen, names, len(features))]
        if own:
            outputs += [_scaled(f, float(weights.get(name, 1.0)), 0.0) for f in _through(part, own, dropped)]
    return outputs


def _chosen(chosen: Any, names: list[str], num: int) -> list[int]:
    """Positions of the columns that a ColumnTransformer names: a name, a position, a slice, a mask, or a list of them."""
    if isinstance(chosen, slice) and isinstance(chosen.start or chosen.stop, str):
        last = None if chosen.stop is None else names.index(chosen.stop) + 1
        chosen = slice(None if chosen.start is None else names.index(chosen.start), last, chosen.step)
    elif isinstance(chosen, str):
        chosen = names.index(chosen)
    elif not isinstance(chosen, slice):
        chosen = [names.index(one) if isinstance(one, str) else one for one in np.atleast_1d(np.asarray(chosen)).tolist()]
        chosen = np.array(chosen, dtype=bool if chosen and isinstance(chosen[0], bool) else np.int64)
    return np.atleast_1d(np.arange(num)[chosen]).tolist()


def _categories(step: Any, features: list[Feature], dropped: list[Feature]) -> list[Feature]:
    """An indicator per category of each column."""
    outputs = []
    drop = step.drop_idx_ if step.drop_idx_ is not None else [None] * len(features)
    for feature, categories, left_out in zip(features, step.categories_, drop, strict=True):
        if feature[1:] != (None, 1.0, 0.0):
            raise ValueError(f"OneHotEncoder must be the first to see the column {feature.column}, not what a step made of it")
        for i, category in enumerate(categories):
            if i == left_out:
                dropped.append(Feature(feature.column, _name(category), 0.0, 0.0))
            else:
                outputs.append(Feature(feature.column, _name(category), 1.0, 0.0))
    return outputs


def _name(category: Any) -> str:
    """The name of a category as the columns hold it."""
    if _is_missing(category):
        return MISSING
    is_number = isinstance(category, int | float | np.number) and not isinstance(category, bool)
    return number_text(category) if is_number else str(category)


def _line(step: Any, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """(gain, offset) of each column of a fitted scaler."""
    if kind == "MinMaxScaler":
        return step.scale_, step.min_
    num = step.n_features_in_
    center = {"StandardScaler": lambda: step.mean_ if step.with_mean else None, "RobustScaler": lambda: step.center_}
    center = center.get(kind, lambda: None)()
    scale = np.ones(num) if step.scale_ is None else step.scale_
    return 1 / scale, -(np.zeros(num) if center is None else center) / scale


def _scaled(feature: Feature, gain: float, offset: float) -> Feature:
    return feature._replace(gain=gain * feature.gain, offset=gain * feature.offset + offset)


def _finite(feature: Feature) -> Feature:
    """The feature, or one that is always 0.0 where its column had no value to fit on."""
    finite = math.isfinite(feature.gain) and math.isfinite(feature.offset)
    return Feature(feature.column, feature.category, float(feature.gain), float(feature.offset)) if finite else _zero(feature)


def _zero(feature: Feature) -> Feature:
    return feature._replace(gain=0.0, offset=0.0)


# ---- to numbers --------------------------------------------------------------------------------------------------------


def encode(features: Sequence[Feature], columns: dict[str, np.ndarray], *, strict: bool = True) -> np.ndarray:
    """The features of each row, [n, F] float32 without NaN: a missing value gives 0.0 in all features of its column.

    `DataError` for a column that is not there, for text where the fit had numbers, and with `strict` for categories that the
    fit did not see; otherwise these count as missing.
    """
    places: dict[str, list[int]] = {}
    for place, feature in enumerate(features):
        places.setdefault(feature.column, []).append(place)
    if any(name not in columns for name in places):
        raise DataError(f"covariates: expected columns {listed(places)}; the table has {listed(columns)}")
    num_rows = len(next(iter(columns.values()))) if columns else 0
    result = np.zeros((num_rows, len(features)), dtype=np.float32)
    problems: list[str] = []
    for name, where in places.items():
        of_values = [place for place in where if features[place].category is None]
        of_categories = [place for place in where if features[place].category is not None]
        if of_values:
            result[:, of_values] = _values(name, [features[place] for place in of_values], columns[name], problems)
        if of_categories:
            own, unknown = [features[place] for place in of_categories], problems if strict else []
            result[:, of_categories] = _indicators(name, own, columns[name], unknown)
    if problems:
        raise DataError("\n".join(problems))
    return result


def _values(name: str, features: list[Feature], column: np.ndarray, problems: list[str]) -> np.ndarray:
    if _is_text(column):
        texts = [value for value in column if isinstance(value, str) and value != MISSING]
        if texts:
            problems.append(f"column {name!r}: {texts[0]!r} is text, but the model was trained on numbers")
            return np.zeros((len(column), len(features)))
        column = np.array([np.nan if _is_missing(value) else float(value) for value in column])
    given = ~np.isnan(column)
    values = np.where(given, column, 0.0)[:, None]
    numbers = values * [feature.gain for feature in features] + [feature.offset for feature in features]
    if np.abs(numbers).max(initial=0.0) > np.finfo(np.float32).max:
        problems.append(f"column {name!r}: values up to {np.abs(values).max():g} are too large: divide them by a large number")
        return np.zeros_like(numbers)
    return np.where(given[:, None], numbers, 0.0)


def _indicators(name: str, features: list[Feature], column: np.ndarray, problems: list[str]) -> np.ndarray:
    """Rows of a table with a row per known category; the last row, of zeros, is for what is missing or unknown."""
    known = list(dict.fromkeys(feature.category for feature in features))
    offsets, gains = [feature.offset for feature in features], [feature.gain for feature in features]
    table = np.zeros((len(known) + 1, len(features)), np.float32)
    table[:-1] = offsets + np.array([[feature.category == category for feature in features] for category in known]) * gains
    code = {category: row for row, category in enumerate(known)}
    texts = [_name(value) for value in column.tolist()]
    codes = np.array([-1 if text == MISSING else code.get(text, -2) for text in texts], dtype=np.int64)
    unknown = list(dict.fromkeys(texts[row] for row in np.flatnonzero(codes == -2)))
    if unknown:
        problems.append(
            f"column {name!r}: {listed(map(repr, unknown), 5)} is no category that the model was trained with: "
            f"they are {listed(str(category) for category in known)}"
        )
    return table[np.maximum(codes, -1)]


def check_future(missing: dict[str, list[tuple[str, str]]]) -> None:
    """Raise one `DataError` that lists per column the (id, time) pairs without a value, if there are any."""
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name, pairs in missing.items():
        if pairs:
            groups.setdefault(tuple(pairs), []).append(name)
    lines = []
    for pairs, names in groups.items():
        where = listed((f"{series} at {stamp}" if series else stamp for series, stamp in pairs))
        lines.append(f"{listed(names)} must be known ahead, but there is no value for {where}")
    if lines:
        raise DataError("\n".join(lines) + "; give them in future=, a table with a row per series and step")


# ---- as JSON -----------------------------------------------------------------------------------------------------------


def to_plain(features: Iterable[Feature]) -> list[list[Any]]:
    """The features as lists of JSON values."""
    return [list(feature) for feature in features]


def from_plain(plain: Any) -> tuple[Feature, ...]:
    """The features of `to_plain`; `ValueError` for anything else."""
    if not isinstance(plain, list):
        raise ValueError(f"features are a list of [column, category, gain, offset], not {type(plain).__name__}")
    return tuple(_from_list(one) for one in plain)


def _from_list(one: Any) -> Feature:
    if isinstance(one, list) and len(one) == 4:
        column, category, gain, offset = one
        numbers = all(type(number) in (int, float) and abs(number) <= 1e308 for number in (gain, offset))
        if isinstance(column, str) and isinstance(category, str | None) and numbers:
            return Feature(column, category, float(gain), float(offset))
    raise ValueError(f"a feature is [column, category or null, gain, offset] with finite numbers, not {one!r:.100}")
