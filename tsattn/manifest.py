"""The files of a model folder as bytes, read with suspicion: plain files of bounded size that are what the manifest says.

The manifest holds the SHA-256 of the other files and of itself, and its bytes are the only ones that say what it says, so that
a changed bit anywhere is seen.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tsattn.files import newest
from tsattn.stored import of_type, parse

FORMAT = 2  # 2: the last block of an encoder works out future tokens alone
MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"
FILES = (WEIGHTS, "config.json", "findings.json")
OWN_DIGEST = "manifest_sha256"  # of the manifest as it would be without this key
MAX_JSON_BYTES = 10_000_000
MAX_HEADER_BYTES = 500_000  # a hundred bytes per tensor
MAX_WEIGHTS_BYTES = 2_000_000_000
MEND = ": copy it once more, or save the model again"


class ModelFolderError(ValueError):
    """The folder is not a model folder of this version, or not as it was saved."""


@dataclass(frozen=True)
class TensorEntry:
    """What the header of the weights says of a tensor."""

    dtype: str
    shape: list[int]
    data_offsets: list[int]


@dataclass(frozen=True)
class Manifest:
    """What manifest.json holds."""

    format: int
    tsattn: str
    python: str
    libraries: dict[str, str]
    schema: dict[str, Any]
    freq: str
    cutoff: str
    sha256: dict[str, str]  # file -> digest
    manifest_sha256: str


def folder_error(path: Path, problem: str) -> ModelFolderError:
    """An error of one line without control characters, whatever stands in the files: the path and what is wrong with it."""
    text = " ".join(problem.split())
    return ModelFolderError(f"{path} {''.join(c if c.isprintable() else '?' for c in text)}")


def to_json(value: Any) -> bytes:
    """Indented JSON; numbers of NumPy become plain ones, NaN and infinity, which JSON lacks, null."""
    return (json.dumps(_finite(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode(errors="backslashreplace")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, np.generic):
        return _finite(value.item())
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def sha256(content: bytes) -> str:
    """The digest as the manifest holds it."""
    return hashlib.sha256(content).hexdigest()


def sealed(manifest: dict[str, Any]) -> bytes:
    """The bytes of a manifest, its own digest added."""
    own = {name: value for name, value in manifest.items() if name != OWN_DIGEST}
    return to_json({**own, OWN_DIGEST: sha256(to_json(own))})


def state_of(folder: Path) -> list[Any]:
    """Changes whenever one of the files does, or the place that it lies in."""
    return [_place(newest(folder, name)) for name in (*FILES, MANIFEST)]


def _place(path: Path) -> tuple[Any, ...]:
    try:
        found = path.lstat()
    except (OSError, ValueError):
        return (path,)
    return path, found.st_ino, found.st_size, found.st_mtime_ns


def read_files(folder: Path) -> dict[str, bytes]:
    """The bytes of each file. The manifest is looked at first: of a newer format, it alone can be understood."""
    contents = {MANIFEST: _bytes(folder, MANIFEST, MAX_JSON_BYTES)}
    manifest_of(folder / MANIFEST, contents[MANIFEST])
    for name in FILES:
        contents[name] = _bytes(folder, name, MAX_WEIGHTS_BYTES if name == WEIGHTS else MAX_JSON_BYTES)
    return contents


def _bytes(folder: Path, name: str, most: int) -> bytes:
    """The content of a plain file of at most so many bytes. No link, pipe or device is opened."""
    path = newest(folder, name)
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise folder_error(path, "is no plain file, and tsattn saves no other: copy the file itself there")
        with open(os.open(path, flags), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise folder_error(path, f"has {size:,} bytes, more than the {most:,} that are read")
            head = _head(path, file.read(min(size, 8 + MAX_HEADER_BYTES)), size) if name == WEIGHTS else b""
            return head + file.read(size - len(head))
    except ModelFolderError:
        raise
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise folder_error(path, f"cannot be read ({reason}): is {folder} a folder that tsattn saved?") from None


def _head(path: Path, head: bytes, size: int) -> bytes:
    """The first bytes of the weights, after a look at whether the tensors that they announce fill the file."""
    try:
        end = max((tensor.data_offsets[1] for tensor in header_of(head).values()), default=0)
    except (ValueError, IndexError) as problem:
        raise folder_error(path, f"is not the file that was saved ({problem}){MEND}") from None
    if size != 8 + int.from_bytes(head[:8], "little") + end:
        raise folder_error(path, f"is not the file that was saved (it is not as long as its first bytes say){MEND}")
    return head


def header_of(content: bytes) -> dict[str, TensorEntry]:
    """The table of tensors that safetensors begins with; ValueError where there is none."""
    length = int.from_bytes(content[:8], "little")
    if not 2 <= length <= min(MAX_HEADER_BYTES, len(content) - 8):
        raise ValueError(f"its header has {length} bytes")
    return of_type(dict[str, TensorEntry], parse(content[8 : 8 + length]), "header")


def manifest_of(path: Path, content: bytes) -> Manifest:
    """The manifest, as it was saved to the bit."""
    values = json_of(path, content)
    if not isinstance(values, dict) or "format" not in values:
        raise folder_error(path, "is not the manifest of a model: is it in a folder that tsattn saved?")
    number = values["format"]
    if type(number) is not int or number != FORMAT:
        newer = type(number) is int and number > FORMAT
        advice = "upgrade tsattn to load this model: pip install --upgrade tsattn" if newer else "train the model again"
        raise folder_error(
            path, f"is of format {number!r:.20}, which is not known: tsattn {version('tsattn')} reads format {FORMAT}; {advice}"
        )
    if content != sealed(values):
        raise folder_error(path, f"is not the file that was saved (its own SHA-256 differs){MEND}")
    try:
        manifest = of_type(Manifest, values, "manifest")
        if set(manifest.sha256) != set(FILES):
            raise ValueError(f"it must name {', '.join(FILES)} and nothing else")
    except ValueError as problem:
        raise folder_error(path, f"is not the manifest of a model ({problem})") from None
    return manifest


def json_of(path: Path, content: bytes) -> Any:
    """The value of a JSON file; ModelFolderError where there is none."""
    try:
        return parse(content)
    except ValueError as problem:
        raise folder_error(path, f"is not valid JSON ({problem}){MEND}") from None
