"""The declared columns of a frame as the covariates of its panel, and what is known of the steps after its end.

Letters: S series, H steps ahead, F features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tsattn.config import CovariatesConfig
from tsattn.data import calendar
from tsattn.data.covariates import check_future, encode, from_plain, plain_features, to_plain
from tsattn.data.findings import DataError, Finding
from tsattn.data.frame import Frame
from tsattn.data.panel import Panel
from tsattn.data.read import Rows

ROLES = ("past", "known", "static")


def fit_covariates(frame: Frame, config: CovariatesConfig, transformer: Any, verdict: np.ndarray) -> dict[str, Any]:
    """How each declared column becomes numbers, decided from the rows of `frame`: role -> columns and plain features.

    Numbers are standardised by the rows of each series before `verdict` [S]; categories are those of all rows. A `transformer`
    of the caller's is fitted on all rows.
    """
    roles = {role: list(getattr(config, role)) for role in ROLES if getattr(config, role)}
    if transformer is not None and not roles:
        raise ValueError("transformer= is for covariates, and none are declared: covariates={'known': [...]} names them")
    if not roles:
        return {}
    columns = {name: frame.df[f"x:{name}"].to_numpy() for names in roles.values() for name in names}
    texts = {name for name, values in columns.items() if values.dtype == object}
    known = columns
    if transformer is None:
        seen = row_of(frame.lengths) < verdict.repeat(frame.lengths)
        known = {name: values if name in texts else np.where(seen, values, np.nan) for name, values in columns.items()}
    features = plain_features(transformer, known)
    return {
        role: {
            "columns": names,
            "texts": [name for name in names if name in texts],
            "features": to_plain(feature for feature in features if feature.column in names),
            "transformer": transformer is not None,
        }
        for role, names in roles.items()
    }


def describe(covariates: dict[str, Any], frame: Frame, holidays: list[str]) -> list[Finding]:
    """What helps the forecast, and how often series are drawn."""
    words = []
    for role, described in covariates.items():
        features = from_plain(described["features"])
        for name in described["columns"]:
            own = [feature.category for feature in features if feature.column == name]
            categories = len({category for category in own if category is not None})
            what = f"{categories} categories" if categories else "number" if own else "dropped by the transformer"
            words.append(f"{role} {name} ({what})")
    words += [f"public holidays of {country}" for country in holidays]
    findings = [Finding("covariates", f"the model is told {', '.join(words)}", "covariates.known=")] if words else []
    if frame.weights is not None:
        low, high = frame.weights.min(), frame.weights.max()
        findings.append(
            Finding("weights", f"windows of the series are drawn by weights of {low:g} to {high:g}", "read.weight=")
        )
    return findings


def row_of(lengths: np.ndarray) -> np.ndarray:
    """0 .. length - 1 of each series, series after series, int64 [T]."""
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def with_covariates(
    panel: Panel,
    frame: Frame,
    covariates: dict[str, Any],
    ahead: pd.DataFrame,
    future: Rows | None = None,
    *,
    horizon: int = 0,
    strict: bool = True,
) -> Panel:
    """The panel with the encoded covariates of its rows and of the steps `ahead` of each series (see `tables.stamps_after`).

    The first `horizon` of these steps are told what is known of them in `future`; with `strict` all must be known there, and no
    category be new. Otherwise such a value counts as missing.
    """
    if not covariates:
        return panel
    lengths, steps = panel.lengths, len(ahead) // max(len(panel.ids), 1)
    known = covariates.get("known", {}).get("columns", [])
    if known:
        asked = np.arange(len(ahead)) % steps < horizon
        found = _known_ahead(ahead, future, known)
        found.loc[~asked] = np.nan
        ahead = ahead.join(found)
        if strict:
            _check_known(ahead, known, asked)
    start = np.cumsum(lengths + steps) - (lengths + steps)
    place = np.concatenate([np.repeat(start, lengths) + row_of(lengths), _rows_ahead(start + lengths, steps)])
    parts = []
    for role, described in covariates.items():
        columns = {}
        for name in described["columns"]:
            past = frame.df[f"x:{name}"].to_numpy()
            columns[name] = np.empty(len(place), past.dtype)
            columns[name][place] = np.concatenate(_past_and_ahead(role, past, ahead.get(f"x:{name}"), panel, steps))
        parts.append(encode(from_plain(described["features"]), columns, strict=strict))
    known_ahead = np.concatenate([np.full(part.shape[1], role != "past") for role, part in zip(covariates, parts, strict=True)])
    return panel._replace(covariates=np.concatenate(parts, axis=1), covariate_start=start, known_ahead=known_ahead)


def _rows_ahead(first: np.ndarray, steps: int) -> np.ndarray:
    """`steps` rows from each of `first` [S] on, int64 [S steps]."""
    return np.repeat(first, steps) + np.tile(np.arange(steps), len(first))


def _past_and_ahead(role: str, past: np.ndarray, ahead: Any, panel: Panel, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The values of a column in the rows of the panel [T] and in the steps after each series [S steps]."""
    if role == "static":  # also in rows that were added for a gap
        per_series = past[panel.indptr[:-1]]
        return np.repeat(per_series, panel.lengths), np.repeat(per_series, steps)
    if role == "known":
        return past, ahead.to_numpy(past.dtype)
    return past, np.full(len(panel.ids) * steps, np.nan, past.dtype)


def after_end(future: Rows, frame: Frame) -> Rows:
    """`future` with the ids and times of `frame`.

    Series without ids (the columns of a wide table) share its rows; rows without times are the steps after the end.
    """
    df = future.df
    if str(df["ds"].dtype) != str(frame.df["ds"].dtype):
        kinds = f"its times are {df['ds'].dtype}, those of the history {frame.df['ds'].dtype}"
        raise DataError(f"future=: {kinds}: write both as whole numbers, as dates of one zone, or as dates without")
    if frame.names.id is None:
        ids = frame.df["unique_id"].unique()
        df = pd.concat([df.assign(unique_id=name) for name in ids], ignore_index=True)
    if frame.names.time is None:
        last = dict(zip(frame.df["unique_id"], frame.df["ds"], strict=True))  # of each series: its rows are in time order
        df = df.assign(ds=[step + last.get(name, 0) for step, name in zip(df["ds"], df["unique_id"], strict=True)])
    return future._replace(df=df)


def _known_ahead(ahead: pd.DataFrame, future: Rows | None, known: list[str]) -> pd.DataFrame:
    """The columns known ahead at the steps of `ahead`, in its order; missing where `future` has no such row."""
    names = [f"x:{name}" for name in known]
    if future is None:
        return pd.DataFrame(np.nan, index=ahead.index, columns=names, dtype=object)
    keys = ["unique_id", "ds"]
    rows = future.df.loc[~future.df.duplicated(keys, keep="last"), [*keys, *names]]
    return ahead.merge(rows, on=keys, how="left").drop(columns=keys)


def _check_known(ahead: pd.DataFrame, known: list[str], asked: np.ndarray) -> None:
    """Raise one DataError that names every value of the columns `known` that is missing in the steps `asked` for."""
    missing = {}
    for name in known:
        rows = ahead[ahead[f"x:{name}"].isna().to_numpy() & asked]
        stamps = [calendar.written(stamp) for stamp in rows["ds"]]
        missing[name] = list(zip(rows["unique_id"].astype(str), stamps, strict=True))
    check_future(missing)
