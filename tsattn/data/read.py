"""Whatever holds a table -> rows of (unique_id, ds, y), converted strictly, in the order they came.

Every problem found is reported at once in one `DataError`; every decision is a `Finding`. Nothing decided here depends on how
large the values are, so that a back-test may cut the rows and build its frame from the rest.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from tsattn.config import CovariatesConfig, ReadConfig
from tsattn.data import across, describe, hidden, several
from tsattn.data.cells import convert, numbers, times, zones
from tsattn.data.columns import (
    Columns,
    are_months,
    as_list,
    check_one_series,
    choose_id,
    choose_names,
    choose_time,
    choose_values,
    is_time,
    matching,
    maybe_time,
    split_name,
    with_found_names,
)
from tsattn.data.declared import Declared, check_roles, check_settings, find_declared, missing_columns, settle_static
from tsattn.data.findings import DataError, Finding
from tsattn.data.raw.load import Loaded, load

SUFFIXES = r"(?i)(?<=[^/])(\.(csv|tsv|txt|gz|parquet|pq))+$"  # what a series named by its file is not called


@dataclass(frozen=True)
class Names:
    """The caller's own column names; None where the table had none."""

    id: str | None
    time: str | None
    value: str | None
    id_dtype: str | None = None  # numpy dtype of ids that were numbers in a frame; files and names have text


class Rows(NamedTuple):
    """Rows as read: unique_id (str), ds (datetime64[ns], naive or aware, or int64), y (float64, NaN = missing).

    Behind them a column `x:<name>` per covariate (float64 with NaN, or objects: text, None), in the order past, known, static,
    and `weight` (float64) where `read.weight` is set.
    """

    df: pd.DataFrame
    names: Names
    findings: tuple[Finding, ...]
    freq: str | None = None  # the period of counted or re-binned rows; None: to be seen from the stamps
    covariates: CovariatesConfig | None = None  # what the columns x: are


def read(
    data: Any,
    config: ReadConfig | None = None,
    known: Names | None = None,
    covariates: CovariatesConfig | None = None,
    *,
    texts: Collection[str] | None = None,
) -> Rows:
    """The rows of a file (path or glob of CSV, TSV, Parquet), a pandas, polars or pyarrow frame, a Series, an array or a list.

    With `read.count_per` every row is an event: y is 1.0 and `to_rows` counts them. `known` are the names of an earlier table:
    its id and value columns are taken again where they are there. Declared `covariates` are never id, time or value by
    detection; `texts` are the ones that an earlier fit took as categories (None: seen from the cells). `DataError` names every
    cell at fault.
    """
    config, covariates = config or ReadConfig(), covariates or CovariatesConfig()
    check_settings(config, covariates)
    loaded = _loaded(data, config)
    config = with_found_names(loaded.columns, _as_before(config, known, loaded.columns))
    declared = find_declared(loaded.columns, config, covariates)
    problems: list[str] = []
    chosen, parsed = _chosen(loaded, config, declared, texts, problems)
    if config.count_per:
        parsed = _event_times(parsed, config)
    return _rows(loaded, chosen, parsed, config, problems)._replace(covariates=covariates)


def future_rows(
    data: Any,
    config: ReadConfig,
    names: Names,
    covariates: CovariatesConfig,
    *,
    texts: Collection[str] | None = None,
) -> Rows:
    """Rows of what is known ahead: id (where the fit had one), time and the `known` columns; y is NaN, a value column ignored.

    `names` are those of the fit, `texts` the columns that it took as categories. Without an id in `names` the rows are those of
    the one series (or of all series of a wide table, then called "series"); without a time they are numbered 1, 2, ... per
    series: steps after its end. `DataError` lists the expected columns against those of the table, and rows that repeat an id
    and time; with `read.duplicates` set, the last one counts.
    """
    loaded = _loaded(data, config)
    columns = loaded.columns
    ids = as_list(config.id) or split_name(columns, names.id, "/")
    stamps = as_list(config.time) or split_name(columns, names.time, " ")
    expected = dict.fromkeys(str(name) for name in [*ids, *stamps, *covariates.known])
    found = {name: matching(columns, name) for name in expected}
    if None in found.values():
        raise missing_columns("future", {name: column is not None for name, column in found.items()}, columns)
    config = replace(config, weight=None, count_per=None, resample=None)
    known = CovariatesConfig(known=covariates.known)
    time_names, id_names = [[str(found[str(name)]) for name in part] for part in (stamps, ids)]
    declared = find_declared(columns, config, known).with_texts(texts, id_names)
    check_roles(declared, id_names, time_names, [])
    problems: list[str] = []
    parsed = convert.stamps(loaded, time_names, config, problems)
    rows = _rows(loaded, Chosen(time_names, id_names, [], declared), parsed, config, problems)
    if not id_names:
        rows.df["unique_id"] = pd.Series([names.value or "series"] * len(rows.df), dtype=object)
    repeats = np.flatnonzero(rows.df.duplicated(["unique_id", "ds"]).to_numpy())
    if len(repeats) and config.duplicates == "error":
        firsts = ", ".join(describe.places(rows.df, repeats))
        raise DataError(f"future: {len(repeats)} rows repeat the id and time of another row: {firsts}")
    df = rows.df.drop_duplicates(["unique_id", "ds"], keep="last", ignore_index=True)
    return rows._replace(df=df, covariates=known)


# ---- which columns -----------------------------------------------------------------------------------------------------


class Chosen(NamedTuple):
    """The columns that make up the rows."""

    time: list[str]
    ids: list[str]
    values: list[str]
    declared: Declared
    months: dict[str, int] | None = None  # of columns that are months or quarters: the first month of each
    header: times.Times | None = None  # of columns that are dates: the time of each


def _loaded(data: Any, config: ReadConfig) -> Loaded:
    loaded = load(data, config)
    if loaded.num_rows == 0:
        raise DataError("the table has no rows")
    convert.check_header(loaded)
    return loaded


def _as_before(config: ReadConfig, known: Names | None, columns: Columns) -> ReadConfig:
    """The settings with the id and value columns of an earlier table, where these are here and no other is asked for.

    Nor is a weight asked for that is no longer there: it matters in training only.
    """
    if known is None:
        return config
    ids = split_name(columns, known.id, "/")
    id_names = ids if config.id is None and all(name in columns for name in ids) else config.id
    value = known.value if config.value is None and known.value in columns and not config.count_per else config.value
    weight = config.weight if config.weight is not None and matching(columns, config.weight) else None
    return replace(config, id=id_names or None, value=value, weight=weight)


def _chosen(
    loaded: Loaded,
    config: ReadConfig,
    declared: Declared,
    texts: Collection[str] | None,
    problems: list[str],
) -> tuple[Chosen, times.Times | None]:
    """The columns and the parsed times."""
    taken = declared.taken([*as_list(config.id), *as_list(config.time), *as_list(config.value)])
    columns = {name: column for name, column in loaded.columns.items() if name not in taken}
    time_names = choose_time(columns, config, loaded.findings)
    turned = across.dated(list(columns)) if not time_names and config.value is None and not config.count_per else []
    if turned and not declared.taken([]):
        return _with_header(columns, turned, config, declared, loaded.findings), None
    dated = [name for name, column in declared.covariates.items() if is_time(loaded.columns[column])]
    if dated and not time_names:
        problems.append(f"covariates: {dated[0]} holds the times: leave it out, the calendar helps by itself")
    parsed = convert.stamps(loaded, time_names, config, problems)
    stamps = None if problems or parsed is None else parsed.stamps
    id_names: list[str] = []
    value_names: list[str] = []
    try:
        id_names = choose_id(columns, time_names, stamps, config, loaded.findings)
    except DataError as error:
        problems.append(str(error))
    try:
        if not config.count_per:
            value_names = choose_values(columns, time_names, id_names, config, loaded.findings)
        if stamps is not None and value_names and not id_names:
            check_one_series(columns, [*time_names, *map(str, as_list(config.value))], value_names, stamps)
    except DataError as error:
        problems.append(str(error))
    if not time_names:
        free = [name for name in columns if name not in (*id_names, *value_names)]
        counted = value_names or config.count_per
        found = hidden.problems(loaded.columns, id_names, free, config.id is not None) if counted else []
        problems += found or _without_time(loaded, value_names, config)
    try:
        months = _months(value_names, stamps, declared) if time_names and config.value is None else None
        value_names = value_names if months is None else list(months)
        check_roles(declared, id_names, time_names, value_names)
    except DataError as error:
        months = None
        problems.append(str(error))
    return Chosen(time_names, id_names, value_names, declared.with_texts(texts, id_names), months), parsed


def _with_header(
    columns: Columns, turned: list[str], config: ReadConfig, declared: Declared, findings: list[Finding]
) -> Chosen:
    """The columns of a table that has its times in the header, and the column that names its rows."""
    parsed = times.parse_text(pa.array(turned, pa.string()), config.date_format, "the header")
    if len(parsed.bad):
        raise DataError(f"the header holds times, but {turned[parsed.bad[0]]!r} {parsed.reason}")
    findings += parsed.findings
    free = [name for name in columns if name not in turned]
    ids = [str(name) for name in as_list(config.id)] or choose_names(columns, free, findings)
    return Chosen([], ids, turned, declared, header=parsed)


def _months(values: list[str], stamps: pd.Series | None, declared: Declared) -> dict[str, int] | None:
    """The first month of each column of values where these are months or quarters of years; `DataError` for other parts."""
    kind = across.kind_of(values)
    if not kind or stamps is None:
        return None
    if kind in ("months", "quarters") and several.are_years(stamps) and not declared.taken([]):
        return across.first_months(values)
    raise DataError(
        f"the columns {', '.join(values[:20])} are {kind} of one time: write a row for each of them with its own date, or set "
        "read.value=[...] if each is a series of its own"
    )


def _without_time(loaded: Loaded, values: list[str], config: ReadConfig) -> list[str]:
    """What speaks against a table without a time column."""
    if config.count_per:
        return ["read.count_per counts events in time, but no time column was found: set read.time="]
    listed = ", ".join(list(loaded.columns)[:20])
    dated = all(map(across.is_dated, values[-3:]))
    if loaded.tables and not dated and any(re.fullmatch(numbers.PLAIN, name) for name in values):
        return [f"the first row ({listed}) looks like data: put a header with column names above it"]
    for name in values:
        if len(values) > 1 and are_months(loaded.columns[name]):
            return [f"no time column was found, but {name} may hold the times, as months: set read.time={name}"]
    if len(values) > 1 and not loaded.nameless:
        hint = "; the header holds times: turn the table round, a row for each time" if dated else ""
        return [f"no time column was found among {listed}: set read.time= or read.value={hint}"]
    return []


def _event_times(parsed: times.Times | None, config: ReadConfig) -> times.Times | None:
    """The times of an event log; whole years become dates."""
    if config.value is not None:
        raise DataError("read.count_per counts rows and needs no read.value: set one of them")
    return None if parsed is None else times.years_as_dates(parsed)


# ---- rows --------------------------------------------------------------------------------------------------------------


def _rows(loaded: Loaded, chosen: Chosen, parsed: times.Times | None, config: ReadConfig, problems: list[str]) -> Rows:
    """Convert the chosen columns and put them together, a wide table one series after the other."""
    ids = convert.ids(loaded, chosen.ids, problems)
    values, further = _numbers(loaded, chosen, config, problems)
    if problems:
        raise DataError("\n".join(problems))
    findings, num, wide = loaded.findings, loaded.num_rows, len(values) > 1
    if parsed is not None:
        findings += parsed.findings
    if ids is None and not wide:
        ids = _ids_of_files(loaded, parsed)
    turned = chosen.months is not None or chosen.header is not None
    one_id = chosen.values[0] if chosen.values and not turned and not loaded.nameless else "series"
    ids = np.array([one_id] * num, dtype=object) if ids is None else ids
    if chosen.header is not None:
        stamps = _placed(chosen.header, np.asarray(chosen.values, dtype=object), config)
    else:
        stamps = _integer_time(loaded, chosen, ids) if parsed is None else _placed(parsed, ids, config)
    if turned:
        df = _turned(chosen, ids, stamps, values, findings)
        names = Names("/".join(chosen.ids) or None, None, None, convert.number_type(loaded, chosen.ids))
        return Rows(df, names, tuple(findings))
    if wide:
        _check_wide(stamps, chosen.values)
        ids = np.repeat(np.array(chosen.values, dtype=object), num)
        stamps = pd.concat([stamps] * len(values), ignore_index=True)
    y = np.concatenate(values) if wide else values[0]  # may be the caller's, as ids and ds never are
    df = pd.DataFrame({"unique_id": pd.Series(ids, dtype=object, copy=False), "ds": stamps, "y": y}, copy=False)
    for name, column in further.items():
        df[name] = pd.Series(np.tile(column, len(values)), dtype=column.dtype)
    problems += settle_static(df, chosen.declared.static)
    if problems:
        raise DataError("\n".join(problems))
    value_name = None if wide or loaded.nameless or not chosen.values else chosen.values[0]
    time_name = " ".join(chosen.time) if parsed is not None else None
    names = Names("/".join(chosen.ids) or None, time_name, value_name, convert.number_type(loaded, chosen.ids))
    return Rows(df, names, tuple(findings))


def _numbers(
    loaded: Loaded, chosen: Chosen, config: ReadConfig, problems: list[str]
) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """(the values of each series of a wide table or of the one value column, the declared columns)."""
    declared = chosen.declared
    names = [*chosen.values, *declared.maybe_numbers(loaded.columns)]
    try:
        marks = convert.notation(loaded, names, config)
        texts = {name: column for name in names if isinstance(column := loaded.columns[name], pa.Array)}
        plain = marks.decimal == "." and not marks.thousands and config.decimal is None
        if texts and plain and _maybe_points_part(loaded):
            numbers.refuse_points(texts, loaded.files[0][0] if loaded.files else "the table")
    except DataError as error:
        problems.append(str(error))
        return [], {}
    values = list(convert.values(loaded, chosen.values, marks, problems).values())
    further = convert.covariates(loaded, declared, marks, problems)
    return values or [np.full(loaded.num_rows, 1.0 if config.count_per else np.nan)], further


def _maybe_points_part(loaded: Loaded) -> bool:
    """Whether the table may be of a country where points part thousands: no comma parts its columns, or points its dates."""
    if len(loaded.columns) == 1 or any(table.sep != "," for table in loaded.tables):
        return True
    return any(isinstance(column, pa.Array) and times.has_points(column) for column in loaded.columns.values())


def _check_wide(stamps: pd.Series, names: list[str]) -> None:
    """Refuse several columns of numbers where a time stands in several rows."""
    if stamps.duplicated().any():
        repeated = stamps.loc[stamps.duplicated().to_numpy()].iloc[0]
        raise DataError(
            f"the time {repeated} stands in more than one row and {len(names)} columns hold numbers: "
            f"{', '.join(names[:10])}; set read.value= to the column to forecast and read.id= to the one that names "
            "the series, or read.count_per=D for events"
        )


def _turned(
    chosen: Chosen, ids: np.ndarray, stamps: pd.Series, values: list[np.ndarray], findings: list[Finding]
) -> pd.DataFrame:
    """The rows of a table whose columns are months or dates."""
    if chosen.months is not None:
        if not chosen.ids:
            _check_wide(stamps, chosen.values)
        return across.months_below(ids, stamps, values, chosen.months, findings)
    words = f"the columns {chosen.values[0]} to {chosen.values[-1]} are read as times, each row as a series"
    every = pd.concat([stamps] * len(ids), ignore_index=True)
    return across.rows_below(ids, every, values, words, "read.time=", findings)


def _integer_time(loaded: Loaded, chosen: Chosen, ids: np.ndarray) -> pd.Series:
    used = {*chosen.ids, *chosen.values, *chosen.declared.taken([])}
    free = {name: column for name, column in loaded.columns.items() if name not in used}
    maybe = maybe_time(free) or next((name for name, column in free.items() if hidden.may_count(column, ids == ids[0])), None)
    message = "there is no time column: the rows are taken in their order, as times 1, 2, 3 ..."
    if maybe is None:
        loaded.findings.append(Finding("time", message, "read.time=<column>"))
    else:
        message = f"{message}; is {maybe} the time?"
        loaded.findings.append(Finding("time", message, f"read.time={maybe}", "warning"))
    return pd.Series(pd.Series(ids).groupby(ids, sort=False).cumcount().to_numpy() + 1, dtype="int64")


def _placed(parsed: times.Times, ids: np.ndarray, config: ReadConfig) -> pd.Series:
    if config.tz is None:
        return parsed.stamps
    if parsed.stamps.dtype == "int64":
        raise DataError(f"read.tz={config.tz} needs dates, but the time is made of whole numbers")
    return zones.to_zone(parsed.stamps, config.tz, None if config.count_per else ids, parsed.date_only)


def _ids_of_files(loaded: Loaded, parsed: times.Times | None) -> np.ndarray | None:
    """Name series by their files when several files hold the same times and no column names the series."""
    if len(loaded.files) < 2:
        return None
    sizes = [num for _, num in loaded.files]
    shared = sum(sizes) if parsed is None else _shared_times(parsed.stamps, sizes)
    if not shared:
        return None
    names = _series_names([name for name, _ in loaded.files])
    message, level = f"{len(names)} files are {len(names)} series, named by their files", "info"
    if shared < (len(names) - 1) / len(names) * sum(sizes) / 2:  # of files over the same times, all but one repeat them
        message += f"; only {shared} rows repeat a time of another file: remove them if the files are parts of one series"
        level = "warning"
    loaded.findings.append(Finding("columns", message, "read.id=", level))
    return np.repeat(np.array(names, dtype=object), sizes)


def _shared_times(stamps: pd.Series, sizes: list[int]) -> int:
    """How many rows repeat a time of an earlier file."""
    rows = pd.DataFrame({"file": np.repeat(np.arange(len(sizes)), sizes), "ds": stamps}).drop_duplicates()
    return int(rows["ds"].duplicated().sum())


def _series_names(files: list[str]) -> list[str]:
    """The names of the files, all different: without their suffixes where that tells them apart; else `DataError`."""
    stems = [re.sub(SUFFIXES, "", name) for name in files]
    for names in (stems, files):
        if len(set(names)) == len(names):
            return names
    double = next(name for name in files if files.count(name) > 1)
    raise DataError(f"the file {double} is read twice: name each file once, or add a column that names the series")
