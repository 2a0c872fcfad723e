"""A fitted model <-> a folder: tensors as safetensors, everything else as JSON, a manifest with the SHA-256 of each file.

    model.safetensors   weights and buffers of the network (empty where none was trained)
    config.json         settings, schema, verdict, and the configuration that `fit` was called with
    findings.json       what was read, detected, repaired and decided
    manifest.json       format, versions, schema in short, SHA-256 of the files above and of itself

No pickle, and no class or function is ever looked up by a name that came with the folder, except in `config.MODEL_CONFIGS` and
`models.MODELS`. A save that is interrupted leaves the earlier model or the new one (see `files.replace_together`).
"""

from __future__ import annotations

import os
import platform
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from tsattn.config import FitConfig, ModelConfig, ReadConfig
from tsattn.data.findings import Finding
from tsattn.files import replace_together
from tsattn.fitted import Fitted, Schema, Settings, build_network
from tsattn.manifest import (
    FILES,
    FORMAT,
    MANIFEST,
    MEND,
    WEIGHTS,
    ModelFolderError,
    folder_error,
    header_of,
    json_of,
    manifest_of,
    read_files,
    sealed,
    sha256,
    state_of,
    to_json,
)
from tsattn.stored import described, findings_of
from tsattn.turns import BUILDING

LIBRARIES = ("torch", "numpy", "pandas", "safetensors")
LEAST_TENSORS = 2  # of each layer of a network
DTYPES = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64", "I64": "int64", "BOOL": "bool"}
ATTEMPTS = 40
PAUSE = 0.05  # seconds between two of them


class Stored(NamedTuple):
    """All that a model folder holds."""

    fitted: Fitted
    config: FitConfig
    read: ReadConfig
    findings: list[Finding]


def save(stored: Stored, folder: str | os.PathLike[str]) -> Path:
    """Write the model folder and return its path; an earlier model in it is replaced as a whole, or stays as it was.

    ModelFolderError for what `load` would refuse, as weights that are not finite: nothing is written then.
    """
    target, contents = Path(folder), _contents(stored)
    try:
        _rebuilt(target, contents)
    except ModelFolderError as problem:
        raise ModelFolderError(f"not saved, as it could not be loaded again: {problem}") from problem
    target.mkdir(parents=True, exist_ok=True)
    replace_together(target, contents)
    return target


def load(folder: str | os.PathLike[str]) -> Stored:
    """Read a model folder back, on the CPU. Raises a ModelFolderError when anything is missing, changed or unknown.

    While another process saves into the folder, the earlier model or the new one is read; a save that was killed while it
    moved its files is read from where they lie.
    """
    source = Path(folder)
    for _ in range(ATTEMPTS):
        before = state_of(source)
        try:
            return _rebuilt(source, read_files(source))
        except ModelFolderError:
            if state_of(source) == before:
                raise
        time.sleep(PAUSE)
    raise ModelFolderError(f"{source} is being written again and again by another process: load it when that has ended")


def weights_sha256(fitted: Fitted) -> str | None:
    """SHA-256 of the network's tensors as they would be saved; None without a network."""
    return None if fitted.network is None else sha256(_weights(fitted))


def network_from(content: bytes, model: ModelConfig, *, context_length: int, horizon: int, levels: tuple[float, ...]) -> Any:
    """The network of these sizes with the weights of a safetensors file, in float32; buffers stay as they are built.

    Raises ValueError unless the weights are those of such a network and finite.
    """
    from safetensors.torch import load as tensors_from_bytes

    settings = Settings(horizon, context_length, levels, levels, seed=0, architecture=model.name, model=model)
    network = build_network(settings, 0)
    weights = {name: tensor.float() for name, tensor in tensors_from_bytes(content).items()}
    if {name: p.shape for name, p in network.named_parameters()} != {name: tensor.shape for name, tensor in weights.items()}:
        raise ValueError("the weights are not those of this model")
    if not all(bool(tensor.isfinite().all()) for tensor in weights.values()):
        raise ValueError("the weights are not all finite numbers")
    network.load_state_dict(weights, strict=False)
    return network


# ---- to files ----------------------------------------------------------------------------------------------------------


def _weights(fitted: Fitted) -> bytes:
    from safetensors.torch import save as tensors_to_bytes

    state = {} if fitted.network is None else fitted.network.state_dict()
    return tensors_to_bytes({name: tensor.contiguous().cpu() for name, tensor in state.items()})


def _contents(stored: Stored) -> dict[str, bytes]:
    """The bytes of each file."""
    schema = asdict(stored.fitted.schema)
    values = {
        "settings": asdict(stored.fitted.settings),
        "schema": schema,
        "verdict": asdict(stored.fitted.verdict),
        "fit": asdict(stored.config),
        "read": asdict(stored.read),
    }
    parts = (_weights(stored.fitted), to_json(values), to_json([finding.as_dict() for finding in stored.findings]))
    contents = dict(zip(FILES, parts, strict=True))
    manifest = {
        "format": FORMAT,
        "tsattn": version("tsattn"),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "schema": schema,
        "freq": schema["freq"],
        "cutoff": schema["cutoff"],
        "sha256": {name: sha256(content) for name, content in contents.items()},
    }
    return {**contents, MANIFEST: sealed(manifest)}


# ---- from files --------------------------------------------------------------------------------------------------------


def _rebuilt(folder: Path, contents: dict[str, bytes]) -> Stored:
    """The model that the files hold, each checked against the manifest and against the others."""
    manifest = manifest_of(folder / MANIFEST, contents[MANIFEST])
    for name in FILES:
        if sha256(contents[name]) != manifest.sha256[name]:
            raise folder_error(folder / name, f"is not the file that was saved (its SHA-256 differs){MEND}")
    complete = manifest.tsattn == version("tsattn")  # an older one may lack what has been added since
    values, findings = (json_of(folder / name, contents[name]) for name in FILES[1:])
    try:
        found = described(values, complete=complete)
        if (manifest.schema, manifest.freq, manifest.cutoff) != (values["schema"], found.schema.freq, found.schema.cutoff):
            raise ValueError("the schema of the manifest is another one than that of config.json")
        network = _network(found.settings, found.schema, contents[WEIGHTS])
        fitted = Fitted(found.schema, found.settings, found.verdict, network)
        return Stored(fitted, found.fit, found.read, findings_of(findings, complete=complete))
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as problem:
        other = "" if complete else f"; tsattn {manifest.tsattn:.20} saved it, this is {version('tsattn')}: use that one, or"
        raise folder_error(
            folder, f"cannot be loaded, its files do not make a model ({str(problem)[:300]}){other or ':'} train again"
        ) from problem


def _network(settings: Settings, schema: Schema, content: bytes) -> Any:
    """The network with these weights, None where none was trained. ValueError unless they are those of its settings."""
    from safetensors import SafetensorError
    from safetensors.torch import load as tensors_from_bytes

    header = header_of(content)
    if settings.architecture is None:
        if header:
            raise ValueError("there are weights, but no network was trained")
        return None
    expected = _shapes(settings, schema, len(header))
    given = {name: (DTYPES.get(tensor.dtype), tensor.shape) for name, tensor in header.items()}
    if expected != given:
        names = sorted(name for name in {*expected, *given} if expected.get(name) != given.get(name))
        raise ValueError(f"the weights do not fit the settings: {names[0]!r:.80} is not as they say")
    try:
        tensors = tensors_from_bytes(content)
    except SafetensorError as problem:
        raise ValueError(f"the weights cannot be read: {problem}") from problem
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ValueError(f"the weights {name} are not all finite numbers")
    network = build_network(settings, schema.num_features)
    network.load_state_dict(tensors)
    return network


def _shapes(settings: Settings, schema: Schema, num_tensors: int) -> dict[str, Any]:
    """(dtype, shape) of each tensor that a network of these settings has; nothing is allocated to find out."""
    import torch

    from tsattn.models import MODELS

    assert settings.model is not None
    num_layers = getattr(settings.model, "num_layers", None) or 0
    if num_layers * LEAST_TENSORS > num_tensors:
        raise ValueError(f"{num_layers} layers have more than {num_tensors} tensors")
    with BUILDING, torch.device("meta"):  # where nothing is drawn
        network = MODELS[settings.model.name](
            settings.model,
            num_features=schema.num_features,
            context_length=settings.context_length,
            horizon=settings.horizon,
            levels=list(settings.levels),
        )
    return {name: (str(t.dtype).removeprefix("torch."), list(t.shape)) for name, t in network.state_dict().items()}
