"""The future poison: whatever stands after a cut-off, nothing decided or forecast at it may move."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from typing import Any, NamedTuple

import numpy as np

from tsattn.data.read import Rows

HIDDEN = 3  # rows before the cut-off that are blanked in a second round: what is filled from later rows shows there alone


def tripled(x: np.ndarray) -> np.ndarray:
    """Three times as much and 100 more."""
    return x * 3 + 100


def blank(x: np.ndarray) -> np.ndarray:
    """Nothing known."""
    return x * np.nan


def fractional(x: np.ndarray) -> np.ndarray:
    """No whole numbers any more."""
    return x + 0.37


def other_season(x: np.ndarray) -> np.ndarray:
    """A season of three rows, and no gaps."""
    return 50 + 40.0 * (np.arange(len(x)) % 3 == 0)


POISONS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (tripled, blank, fractional, other_season)


class Table(NamedTuple):
    """The caller's table and what a forecaster reads in it, row by row."""

    df: Any  # the pandas frame, with numbers in its value column
    rows: Rows
    after: np.ndarray  # bool, rows after the first cut-off of their series
    beyond: np.ndarray  # bool, rows after the last step that is forecast from there
    hidden: np.ndarray  # bool, the last rows before it


def check_no_leak(forecaster: Any, df: Any, *, cutoffs: Iterable[int] = (1, 3)) -> dict[str, Any]:
    """Raise an AssertionError that names what moved when only rows after a cut-off were changed.

    For each number in `cutoffs`, `forecaster` is back-tested on `df` from so many cut-offs, then again on copies in which all
    values and past covariates after the first of them, and known covariates beyond its horizon, are tripled, blanked, made
    fractional, given another season. All forecasts from that cut-off and all that the fit decided (weights, settings,
    findings, verdict: `backtest_.folds`) must be the same to the bit. Everything is done twice, the second time with the three
    rows before the cut-off blanked: values filled from the future show there alone, smoothing into it shows elsewhere.

    `forecaster` is a `Forecaster`, fitted or not, or one of a class of yours that inherits from it; it and `df` are left as
    they are. `df` is a long pandas, polars or pyarrow frame that the forecaster can read: a row per series and time. Returns
    what was compared in the last clean back-test. Raises a ValueError for other tables, a DataError where one is too short.

    >>> check_no_leak(Forecaster(horizon=7), pd.read_csv("counts.csv"))    # doctest: +SKIP
    """
    compared: dict[str, Any] = {}
    for windows in cutoffs:
        table = _table(forecaster, df, windows)
        for name, clean in (("", table), (f", {HIDDEN} rows before blank", _hidden(table))):
            compared = _decided(forecaster, clean.df, windows)
            for poison in POISONS:
                other = _decided(forecaster, _poisoned(clean, poison), windows)
                moved = [part for part in compared if repr(compared[part]) != repr(other[part])]
                if moved:
                    where = f"{windows} cut-off{'s' * (windows != 1)}, values after the first {poison.__name__}{name}"
                    raise AssertionError(f"{where}: {'; '.join(_difference(part, compared, other) for part in moved)}")
    return compared


def _table(forecaster: Any, df: Any, windows: int) -> Table:
    """The table in numbers, and where its first cut-off lies, by a back-test on it."""
    df = (df.to_pandas() if hasattr(df, "to_pandas") else df).reset_index(drop=True)
    rows, read = forecaster._rows(df)
    if len(rows.df) != len(df) or rows.names.value is None or read.count_per or read.resample:
        raise ValueError("check_no_leak needs a long table: a row per series and time, with one column of values as they are")
    df = df.assign(**{rows.names.value: rows.df["y"].to_numpy(np.float64)})
    first = _first_forecasts(forecaster, df, windows)[0]
    ids = first[rows.names.id or "unique_id"].astype(str) if (rows.names.id or "unique_id") in first else None
    names = list(rows.df["unique_id"]) if ids is not None else [""] * len(df)
    keys = list(ids) if ids is not None else [""] * len(first)
    time = first[rows.names.time or "ds"]
    cutoff = dict(zip(keys, first["cutoff"], strict=True))
    end = dict(zip(keys, time, strict=True))  # the last step of each series
    known = [name in cutoff for name in names]
    stamps = list(rows.df["ds"])
    after = np.array([k and stamp > cutoff[name] for k, name, stamp in zip(known, names, stamps, strict=True)], dtype=bool)
    beyond = np.array([k and stamp > end[name] for k, name, stamp in zip(known, names, stamps, strict=True)], dtype=bool)
    if not after.any():
        raise ValueError(
            f"no row of {', '.join(sorted(set(names))[:5])} lies after a cut-off: are these the ids of the forecast?"
        )
    return Table(df, rows, after, beyond, _last_before(rows, after))


def _last_before(rows: Rows, after: np.ndarray) -> np.ndarray:
    """The last `HIDDEN` rows of each series that has rows after its cut-off, before it."""
    order = rows.df.assign(after=after).sort_values("ds", kind="stable")
    kept = order[~order["after"] & order["unique_id"].isin(list(order.loc[order["after"], "unique_id"].unique()))]
    hidden = np.zeros(len(after), dtype=bool)
    hidden[kept.groupby("unique_id", sort=False).tail(HIDDEN).index] = True
    return hidden


def _hidden(table: Table) -> Table:
    """The table without the values just before the cut-off."""
    value = str(table.rows.names.value)
    return table._replace(df=table.df.assign(**{value: table.df[value].where(~table.hidden)}))


def _poisoned(table: Table, poison: Callable[[np.ndarray], np.ndarray]) -> Any:
    """A copy with another future."""
    df, covariates = table.df.copy(), table.rows.covariates
    roles = [(table.rows.names.value, table.after)]
    if covariates is not None:
        roles += [(name, table.after) for name in covariates.past] + [(name, table.beyond) for name in covariates.known]
    for name, places in roles:
        source = table.df[name] if name == table.rows.names.value else table.rows.df[f"x:{name}"]
        if source.dtype.kind == "f":
            numbers = source.to_numpy(np.float64).copy()
            numbers[places] = poison(numbers[places])
            df[name] = numbers
        else:  # texts: the same ones in another order, or none
            texts = df[name].to_numpy(object).copy()
            texts[places] = None if poison is blank else texts[places][::-1]
            df[name] = texts
    return df


def _first_forecasts(forecaster: Any, df: Any, windows: int) -> tuple[Any, dict[str, Any]]:
    """The rows of a back-test that belong to its first cut-off, and the fit behind them."""
    tested = copy(forecaster)  # what a back-test leaves behind stays in the copy
    table = tested.backtest(df, windows=windows)
    result = tested.backtest_
    rows, _ = tested._rows(df)
    name = rows.names.id or "unique_id"
    cutoff = table.groupby(name, sort=False)["cutoff"] if name in table else table["cutoff"]
    earliest = cutoff.transform("min") if name in table else cutoff.min()
    several = cutoff.transform("nunique") if name in table else cutoff.nunique()
    return table[(table["cutoff"] == earliest) & (several == windows)], result.folds[0]


def _decided(forecaster: Any, df: Any, windows: int) -> dict[str, Any]:
    """Everything that was decided and forecast at the first cut-off."""
    first, fold = _first_forecasts(forecaster, df, windows)
    return {**fold, "forecasts": first.drop(columns="y").to_dict("list")}


def _difference(part: str, clean: dict[str, Any], other: dict[str, Any]) -> str:
    """What moved, with the first entry that did where there are several."""
    one, two = clean[part], other[part]
    if isinstance(one, dict) and isinstance(two, dict):
        for name in one:
            if repr(one[name]) != repr(two.get(name)):
                return f"{part} moved, first {name} from {_short(one[name])} to {_short(two.get(name))}"
    return f"{part} moved from {_short(one)} to {_short(two)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
