"""A fitted model <-> a folder: tensors as safetensors, everything else as JSON, a manifest with the SHA-256 of each file.

    model.safetensors   weights and buffers of the network (empty where none was trained)
    config.json         settings, schema, verdict, and the configuration that `fit` was called with
    findings.json       what was read, detected, repaired and decided
    manifest.json       format, versions, schema in short, SHA-256 of the files above

No pickle, and no class or function is ever looked up by a name that came with the folder, except in `models.MODELS`.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from tsattn import verdict
from tsattn.config import MODEL_CONFIGS, CovariatesConfig, FitConfig, ReadConfig, TrainerConfig
from tsattn.data.findings import Finding
from tsattn.files import write_file
from tsattn.fitted import Fitted, Schema, Settings, build_network

FORMAT = 1
FILES = ("model.safetensors", "config.json", "findings.json")
LIBRARIES = ("torch", "numpy", "pandas", "safetensors")
MAX_JSON_BYTES = 10_000_000


class ModelFolderError(ValueError):
    """The folder is not a model folder of this version, or not as it was saved."""


class Stored(NamedTuple):
    """All that a model folder holds."""

    fitted: Fitted
    config: FitConfig
    read: ReadConfig
    findings: list[Finding]


def save(stored: Stored, folder: str | os.PathLike[str]) -> Path:
    """Write the model folder; files of an earlier model in it are replaced, the manifest last. Returns its path."""
    from safetensors.torch import save as tensors_to_bytes

    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    fitted = stored.fitted
    state = {} if fitted.network is None else {k: v.contiguous().cpu() for k, v in fitted.network.state_dict().items()}
    described = {
        "settings": asdict(fitted.settings),
        "schema": asdict(fitted.schema),
        "verdict": asdict(fitted.verdict),
        "fit": asdict(stored.config),
        "read": asdict(stored.read),
    }
    contents = dict(
        zip(FILES, (tensors_to_bytes(state), to_json(described), to_json([f.as_dict() for f in stored.findings])), strict=True)
    )
    manifest = {
        "format": FORMAT,
        "tsattn": version("tsattn"),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "schema": asdict(fitted.schema),
        "freq": fitted.schema.freq,
        "cutoff": fitted.schema.cutoff,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    for name, content in {**contents, "manifest.json": to_json(manifest)}.items():
        write_file(target / name, content)
    return target


def load(folder: str | os.PathLike[str]) -> Stored:
    """Read a model folder back, on the CPU. Raises a ModelFolderError when anything is missing, changed or unknown."""
    from safetensors import SafetensorError
    from safetensors.torch import load as tensors_from_bytes

    source = Path(folder)
    manifest = _json(source, "manifest.json", _bytes(source, "manifest.json"))
    if not isinstance(manifest, dict) or not isinstance(manifest.get("sha256", {}), dict):
        raise ModelFolderError(f"{source / 'manifest.json'} is not the manifest of a model")
    if manifest.get("format") != FORMAT:
        raise ModelFolderError(
            f"{source}: format {manifest.get('format')!r} is not known: tsattn {version('tsattn')} reads format {FORMAT}; "
            "a newer model needs a newer tsattn"
        )
    contents = {name: _bytes(source, name) for name in FILES}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != manifest.get("sha256", {}).get(name):
            raise ModelFolderError(
                f"{source / name} is not the file that was saved (its SHA-256 differs): save the model again"
            )
    described = _json(source, "config.json", contents["config.json"])
    try:
        settings, schema = _settings(described["settings"]), Schema(**_tuples(described["schema"]))
        config = _fit_config(described["fit"])
        fitted = Fitted(schema, settings, verdict.from_dict(described["verdict"]))
        if settings.architecture is not None:
            network = build_network(settings, schema.num_features)
            network.load_state_dict(tensors_from_bytes(contents["model.safetensors"]))
            fitted = Fitted(schema, settings, fitted.verdict, network)
        findings = [Finding(**finding) for finding in _json(source, "findings.json", contents["findings.json"])]
        return Stored(fitted, config, ReadConfig(**described["read"]), findings)
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as problem:
        reason = " ".join(str(problem).split())[:300]
        raise ModelFolderError(
            f"{source}: the model cannot be rebuilt from its files; was it saved by another version of tsattn? Train again. "
            f"({reason})"
        ) from problem


def to_json(value: Any) -> bytes:
    """Indented JSON; NaN and infinity, which JSON lacks, become null."""
    return (json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def weights_sha256(fitted: Fitted) -> str | None:
    """SHA-256 of the network's tensors as they would be saved; None without a network."""
    from safetensors.torch import save as tensors_to_bytes

    if fitted.network is None:
        return None
    return hashlib.sha256(tensors_to_bytes({k: v.contiguous() for k, v in fitted.network.state_dict().items()})).hexdigest()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def _bytes(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as problem:
        raise ModelFolderError(
            f"{folder / name} cannot be read ({problem.strerror}): is {folder} a folder that tsattn saved?"
        ) from None


def _json(folder: Path, name: str, content: bytes) -> Any:
    if len(content) > MAX_JSON_BYTES:
        raise ModelFolderError(f"{folder / name} is larger than {MAX_JSON_BYTES // 1_000_000} MB")
    try:
        return json.loads(content)
    except ValueError as problem:
        raise ModelFolderError(f"{folder / name} is not valid JSON ({problem})") from None


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Lists of a JSON object as the tuples that the frozen dataclasses hold."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}


def _settings(values: dict[str, Any]) -> Settings:
    model = values.get("model")
    return Settings(**{**_tuples(values), "model": None if model is None else MODEL_CONFIGS[model["name"]](**model)})


def _fit_config(values: dict[str, Any]) -> FitConfig:
    model = MODEL_CONFIGS[values["model"]["name"]](**values["model"])
    covariates = CovariatesConfig(**values.get("covariates", {}))
    return FitConfig(**{**values, "model": model, "covariates": covariates, "trainer": TrainerConfig(**values["trainer"])})
