"""JSON values from a model folder -> the dataclasses they were written from, or a ValueError; nothing is converted in silence.

Each value is checked against the annotation of its field, whatever file it came from: a folder may be damaged, or made to do
harm. Sizes are bounded, as a small file can ask for endless memory.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, NamedTuple, NoReturn, Union, get_args, get_origin, get_type_hints

from tsattn.baselines import BASELINES
from tsattn.config import MAX_LEVELS, MAX_STEPS, MAX_WINDOW, MODEL_CONFIGS, FitConfig, ModelConfig, ReadConfig, TrainerConfig
from tsattn.data.covariates import from_plain
from tsattn.data.findings import LEVELS, Finding
from tsattn.fitted import Schema, Settings
from tsattn.verdict import NETWORK, PRETRAINED, Verdict

MAX_CALENDAR = 1000
MAX_FEATURES = 20_000  # of the calendar and of covariates
MAX_DEPTH = 30
MAX_PAIRS = 4 * 10**9  # of tokens in attention over all pairs, times the heads
MAX_HELD = 4 * 10**8  # numbers of 4 bytes held for pairs of tokens, once more while they are made
MAX_DIGITS = 300
INT64 = 2**63
Column = str | int | float | None | list[str | int | float]
ANNOTATED_FREELY = {ReadConfig: dict.fromkeys(("id", "time", "value"), Column)}


class Described(NamedTuple):
    """What config.json holds."""

    settings: Settings
    schema: Schema
    verdict: Verdict
    fit: FitConfig
    read: ReadConfig


def parse(content: bytes) -> Any:
    """The value of a JSON text. ValueError for what `store.to_json` never writes: doubled keys, NaN, endless numbers, depth."""
    try:
        value = json.loads(
            content.decode(),
            object_pairs_hook=_unique,
            parse_int=_int,
            parse_float=_float,
            parse_constant=_no_number,
        )
        _check_plain(value, MAX_DEPTH)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"{name!r:.50} stands in it twice")
        values[name] = value
    return values


def _int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"it holds a number of {len(text)} digits")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]} is no number that is ever written")


def _check_plain(value: Any, depth: int) -> None:
    """Raise a ValueError for text that is no Unicode and for values nested more than `depth` deep."""
    if depth < 0:
        raise ValueError("it is nested too deeply")
    if isinstance(value, str):
        value.encode()  # a lone surrogate raises UnicodeEncodeError
    elif isinstance(value, dict):
        for name, inner in value.items():
            name.encode()
            _check_plain(inner, depth - 1)
    elif isinstance(value, list):
        for inner in value:
            _check_plain(inner, depth - 1)


def of_type(kind: Any, value: Any, where: str, *, complete: bool = True) -> Any:
    """`value` as an object of the annotation `kind`. ValueError with the place `where` for anything else.

    Without `complete`, fields that have a default may be absent: the folder was written before there were such fields.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if kind is ModelConfig:
        return _object(_model_class(value, where), value, where, complete)
    if is_dataclass(kind):
        return _object(kind, value, where, complete)
    if origin in (Union, UnionType):
        return _one_of(parts, value, where, complete)
    if origin is dict and isinstance(value, dict):
        return {name: of_type(parts[1], inner, f"{where}.{name}", complete=complete) for name, inner in value.items()}
    if origin in (list, tuple) and isinstance(value, list):
        each = (parts[0],) * len(value) if origin is list or parts[1:] == (...,) else parts
        if len(each) == len(value):
            pairs = enumerate(zip(each, value, strict=True))
            return origin(of_type(part, inner, f"{where}[{i}]", complete=complete) for i, (part, inner) in pairs)
    if kind in (str, bool, NoneType) and isinstance(value, kind):
        return value
    if kind in (int, float) and isinstance(value, int | float) and type(value) is not bool:
        number = float(value) if kind is float else int(value)
        if number == value and (kind is float or abs(number) < INT64):
            return number
    raise ValueError(f"{where} is {value!r:.50}, not {getattr(kind, '__name__', None) or kind}")


def _one_of(kinds: tuple[Any, ...], value: Any, where: str, complete: bool) -> Any:
    """`value` as the first of several annotations that it fits; where one beside None is left, its error is told."""
    if value is None and NoneType in kinds:
        return None
    others = [kind for kind in kinds if kind is not NoneType]
    for kind in others[:-1]:
        try:
            return of_type(kind, value, where, complete=complete)
        except ValueError:
            continue
    return of_type(others[-1], value, where, complete=complete)


def _model_class(value: Any, where: str) -> type[ModelConfig]:
    name = value.get("name") if isinstance(value, dict) else None
    if not isinstance(name, str) or name not in MODEL_CONFIGS:
        raise ValueError(f"{where}.name is {name!r:.50}: known are {', '.join(MODEL_CONFIGS)}")
    return MODEL_CONFIGS[name]


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return {**get_type_hints(kind), **ANNOTATED_FREELY.get(kind, {})}


def _object(kind: Any, value: Any, where: str, complete: bool) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is {value!r:.50}, not the values of {kind.__name__}")
    hints = _hints(kind)
    names = [field.name for field in fields(kind)]
    optional = {f.name for f in fields(kind) if f.default is not MISSING or f.default_factory is not MISSING}
    unknown = [name for name in value if name not in names]
    absent = [name for name in names if name not in value and (complete or name not in optional)]
    if unknown or absent:
        raise ValueError(f"{where} has no {absent[0]}" if absent else f"{where} has an unknown key {unknown[0]!r:.50}")
    if kind is TrainerConfig and value.get("gradient_clip", 0) is None:
        value = {**value, "gradient_clip": math.inf}  # which is written as null: no clipping
    given = {name: of_type(hints[name], inner, f"{where}.{name}", complete=complete) for name, inner in value.items()}
    return kind(**given)


def described(values: Any, *, complete: bool) -> Described:
    """The content of config.json as what it stands for, checked also against each other. ValueError for anything else."""
    kinds = get_type_hints(Described)
    if not isinstance(values, dict) or set(values) != set(kinds):
        raise ValueError(f"it holds {', '.join(kinds)} and nothing else")
    found = Described(**{name: of_type(kind, values[name], name, complete=complete) for name, kind in kinds.items()})
    _check_settings(found)
    _check_schema(found)
    network = found.settings.architecture
    models = {NETWORK: network, PRETRAINED: found.settings.pretrained and not network}
    verdict, rungs = found.verdict, {*BASELINES, *(rung for rung, there in models.items() if there)}
    if verdict.answer not in rungs or verdict.best_baseline not in {None, *BASELINES}:
        raise ValueError(f"verdict: {verdict.answer!r:.50} cannot answer, it must be one of {', '.join(sorted(rungs))}")
    return found


def findings_of(values: Any, *, complete: bool) -> list[Finding]:
    """The content of findings.json; ValueError for anything else."""
    found = of_type(list[Finding], values, "findings", complete=complete)
    for finding in found:
        if finding.level not in LEVELS:
            raise ValueError(f"findings: the level {finding.level!r:.50} is none of {', '.join(LEVELS)}")
    return found


def _check_settings(found: Described) -> None:
    settings, schema, fit = found.settings, found.schema, found.fit
    sizes = {
        "settings.horizon": settings.horizon,
        "settings.context_length": settings.context_length,
        "schema.season_length": schema.season_length,
        "fit.horizon": fit.horizon,
        "fit.context_length": fit.context_length,
        "fit.season_length": fit.season_length,
    }
    for name, size in sizes.items():
        if size is not None and not 1 <= size <= MAX_STEPS:
            raise ValueError(f"{name} is {size}, not a number from 1 to {MAX_STEPS:,}")
    for name, size in vars(settings.model).items() if settings.model else ():
        most = MAX_WINDOW if name == "attention_window" else MAX_STEPS
        if isinstance(size, int) and abs(size) > most:
            raise ValueError(f"settings.model.{name} is {size}, more than {most:,}")
    _check_pairs(settings)
    for name, count in (("steps", settings.steps), ("seed", settings.seed)):
        if count < 0:
            raise ValueError(f"settings.{name} is {count}, not a number of 0 or more")
    levels, quantiles = settings.levels, settings.quantiles
    rising = levels == tuple(sorted(set(levels))) and all(0 < level < 1 for level in levels)
    if not (rising and 0.5 in levels and len(levels) <= MAX_LEVELS and 0 < len(set(quantiles)) == len(quantiles)):
        raise ValueError(f"settings.levels are not up to {MAX_LEVELS} rising numbers between 0 and 1 with 0.5 among them")
    if not set(quantiles) <= set(levels):
        raise ValueError("settings.quantiles are not among settings.levels")
    if settings.pretrained and not re.fullmatch("[0-9a-f]{64}", settings.pretrained):
        raise ValueError("settings.pretrained is not the SHA-256 of weights")
    if not 0 <= settings.share <= 1 or (settings.share and not (settings.pretrained and settings.architecture)):
        raise ValueError(f"settings.share is {settings.share}, not a share from 0 to 1 beside a trained network")
    if settings.architecture != (settings.model and settings.model.name):
        raise ValueError(f"settings.architecture is {settings.architecture!r:.50}, but settings.model is another one")
    if settings.architecture not in (None, fit.model.name):
        raise ValueError(f"settings.architecture is {settings.architecture!r:.50}, but fit.model is another one")


def _check_pairs(settings: Settings) -> None:
    """Raise a ValueError for tokens whose pairs no machine of 2 GB could hold, or that would take it minutes."""
    model: Any = settings.model
    if getattr(model, "patch_length", None) is None or getattr(model, "num_heads", None) is None:
        return
    past, future = model.num_tokens(settings.context_length, settings.horizon)
    over_all = model.attention in ("full", "causal", "additive")
    pairs, held = (past + future) ** 2 * model.num_heads * over_all, past * future * model.num_heads
    if over_all and model.attention == "additive":
        held = (past + future) ** 2 * (model.d_model or 1)
    elif over_all and model.positional in ("alibi", "relative"):  # biases, with which no fused kernel serves
        held = pairs
    for count, most in ((pairs, MAX_PAIRS), (held, MAX_HELD)):
        if count > most:
            raise ValueError(
                f"settings.context_length is {settings.context_length} and settings.horizon {settings.horizon}: "
                f"{count:,} pairs of tokens are more than {most:,}"
            )


def _check_schema(found: Described) -> None:
    from tsattn.data.calendar import canonical, parse

    schema, config = found.schema, found.fit.covariates
    if canonical(schema.freq) != schema.freq or parse(schema.freq).num >= INT64:
        raise ValueError(f"schema.freq is {schema.freq!r:.50}, which is no frequency")
    if min(schema.num_series, schema.num_rows) < 0:
        raise ValueError("schema.num_series and schema.num_rows must be 0 or more")
    if len(schema.features) > MAX_CALENDAR:
        raise ValueError(f"schema.features are {len(schema.features):,}, more than {MAX_CALENDAR:,}")
    for role, covariates in schema.covariates.items():
        _check_covariates(covariates, f"schema.covariates.{role}")
    roles = {role: getattr(config, role) for role in ("past", "known", "static")}
    if {role: schema.columns_of(role) for role in schema.covariates} != {role: own for role, own in roles.items() if own}:
        raise ValueError("schema.covariates are not the columns of fit.covariates")
    if schema.num_features > MAX_FEATURES:
        raise ValueError(f"schema: {schema.num_features:,} features per step are more than {MAX_FEATURES:,}")


def _check_covariates(values: Any, where: str) -> None:
    """Raise a ValueError unless these are the columns of a role as `covariates.fit_covariates` writes them."""
    kinds = {"columns": list[str], "texts": list[str], "features": list[Any], "transformer": bool}
    if not isinstance(values, dict) or set(values) != set(kinds):
        raise ValueError(f"{where} must hold {', '.join(kinds)} and nothing else")
    for name, kind in kinds.items():
        of_type(kind, values[name], f"{where}.{name}")
    columns = set(values["columns"])
    if len(columns) < len(values["columns"]) or not set(values["texts"]) <= columns:
        raise ValueError(f"{where}.texts are not among its columns, or a column stands there twice")
    others = {feature.column for feature in from_plain(values["features"])} - columns
    if others:
        raise ValueError(f"{where}.features: {min(others)!r:.50} is none of its columns")
