"""Ways to damage a model folder, and drivers that count how many of them loading sees. For tests, and for scripts that count.

    flip_everywhere(folder)        flips a bit in every byte of every file, or some bits of each
    damages()                      [(name, function of a folder)]: each must end in a ModelFolderError
    wrong_values(values)           JSON values with one value, key or element in it wrong
    kill_while_saving(times, seed) kill -9 at random moments of saving

Digests are computed here with the standard library, not by the code under test.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent / "golden"
FILES = ("model.safetensors", "config.json", "findings.json", "manifest.json")
CANARY = "canary"  # in the folder above the damaged one; it appears where code from a file has run
Damage = Callable[[Path], None]


class Canary:
    """What runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.path}'",)


def as_json(values: Any) -> bytes:
    """The form in which tsattn writes JSON."""
    return (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


def sign(folder: Path) -> None:
    """Make the manifest fit the other files, as an attacker would."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["sha256"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES[:3]}
    write_manifest(folder, manifest)


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """A manifest with its own digest."""
    own = {name: value for name, value in manifest.items() if name != "manifest_sha256"}
    digest = hashlib.sha256(as_json(own)).hexdigest()
    (folder / "manifest.json").write_bytes(as_json({**own, "manifest_sha256": digest}))


def write_config(folder: Path, values: Any) -> None:
    """Another config.json, with all that the manifest repeats of it, signed."""
    (folder / "config.json").write_bytes(as_json(values))
    manifest = json.loads((folder / "manifest.json").read_bytes())
    schema = values.get("schema") if isinstance(values, dict) else None
    if isinstance(schema, dict):
        manifest |= {"schema": schema, "freq": schema.get("freq"), "cutoff": schema.get("cutoff")}
    write_manifest(folder, manifest)
    sign(folder)


# ---- bits --------------------------------------------------------------------------------------------------------------


def flip_everywhere(folder: Path, *, bits: int | None = None, names: tuple[str, ...] = FILES, seed: int = 0) -> tuple[int, int]:
    """(flips, caught): of a copy of the folder, with one bit flipped at a time and loaded.

    A random bit of every byte of every file (of those in `names`), or `bits` random bits of each file. Caught are those that
    end in a ModelFolderError of one line; any other error is raised.
    """
    from tsattn import store

    rng, flips, caught = random.Random(seed), 0, 0
    with tempfile.TemporaryDirectory() as place:
        work = Path(shutil.copytree(folder, Path(place) / "model"))
        for name in names:
            whole = (work / name).read_bytes()
            places = [8 * i + rng.randrange(8) for i in range(len(whole))]
            if bits is not None:
                places = [rng.randrange(8 * len(whole)) for _ in range(bits)]
            with open(work / name, "r+b", buffering=0) as file:
                for bit in places:
                    os.pwrite(file.fileno(), bytes([whole[bit // 8] ^ 1 << bit % 8]), bit // 8)
                    flips += 1
                    try:
                        store.load(work)
                    except store.ModelFolderError as problem:
                        caught += "\n" not in str(problem)
                    os.pwrite(file.fileno(), whole[bit // 8 : bit // 8 + 1], bit // 8)
        assert all((work / name).read_bytes() == (folder / name).read_bytes() for name in FILES)
    return flips, caught


# ---- damages -----------------------------------------------------------------------------------------------------------


def damages() -> list[tuple[str, Damage]]:
    """[(name, function)]: what can happen to a folder, or be done to it; a canary lies in wait above it."""
    found = [(f"{name}: {what}", _to_file(name, damage)) for name in FILES for what, damage in _of_any_file().items()]
    found += [(f"manifest: {what}", _to_manifest(change)) for what, change in _of_manifest().items()]
    found += [(f"config: {what}", _to_config(change)) for what, change in _of_config().items()]
    found += [(f"weights: {what}", _to_weights(change)) for what, change in _of_weights().items()]
    found += [(f"text: {what}", _to_text(content)) for what, content in _texts().items()]
    others = {"a folder of another tool": _other_tool, "an empty folder": _emptied, "a header of 200 MB": _long_header}
    return [*found, *others.items()]


def _to_file(name: str, damage: Damage) -> Damage:
    return lambda folder: damage(folder / name)


def _of_any_file() -> dict[str, Damage]:
    """Damages of one file, unsigned."""

    def replaced(path: Path, how: Damage) -> None:
        path.unlink()
        how(path)

    def linked(path: Path) -> None:
        elsewhere = path.parent.parent / f"elsewhere-{path.name}"
        path.rename(elsewhere)
        path.symlink_to(elsewhere)

    def huge(path: Path) -> None:
        with open(path, "r+b") as file:
            file.truncate(10**12)  # a hole: it takes no room on the disk

    def pickled(path: Path) -> None:
        path.write_bytes(pickle.dumps(Canary(path.parent.parent / CANARY)))
        if path.name != "manifest.json":
            sign(path.parent)

    return {
        "missing": Path.unlink,
        "empty": lambda path: path.write_bytes(b""),
        "cut in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        "a byte short": lambda path: path.write_bytes(path.read_bytes()[:-1]),
        "a byte too long": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
        "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
        "a terabyte": huge,
        "a directory": lambda path: replaced(path, Path.mkdir),
        "a pipe": lambda path: replaced(path, os.mkfifo),
        "a device": lambda path: replaced(path, lambda p: p.symlink_to("/dev/zero")),
        "a link": linked,
        "a broken link": lambda path: replaced(path, lambda p: p.symlink_to("nowhere")),
        "a link to itself": lambda path: replaced(path, lambda p: p.symlink_to(p.name)),
        "a pickle": pickled,
    }


def _to_manifest(change: Callable[[dict[str, Any]], Any]) -> Damage:
    def damage(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        change(manifest)
        write_manifest(folder, manifest)

    return damage


def _of_manifest() -> dict[str, Callable[[dict[str, Any]], Any]]:
    """Changes of the manifest, which then has the right digest of itself."""
    digest = "0" * 64
    formats = {f"format {number!r:.20}": number for number in (3, 1, 0, -1, None, "2", True, 2.5, [1], {}, 10**12)}
    names = ("../secret", "/etc/passwd", "model.safetensors\0", "a" * 300, "model.pkl", "", "..", "MODEL.SAFETENSORS")
    return {
        **{what: lambda m, number=number: m.update(format=number) for what, number in formats.items()},
        **{f"names {name!r:.30}": lambda m, name=name: m["sha256"].update({name: digest}) for name in names},
        "names ../ in place of the weights": lambda m: m["sha256"].update({"../x": m["sha256"].pop("model.safetensors")}),
        "no digests": lambda m: m.pop("sha256"),
        "digests a list": lambda m: m.update(sha256=[digest]),
        "a digest a number": lambda m: m["sha256"].update({"config.json": 0}),
        "another digest": lambda m: m["sha256"].update({"config.json": digest}),
        "no version": lambda m: m.pop("tsattn"),
        "a version as a number": lambda m: m.update(tsattn=0.1),
        "another schema": lambda m: m["schema"].update(season_length=3),
        "another freq": lambda m: m.update(freq="h"),
        "_target_": lambda m: m.update(_target_="os.system"),
        "_instantiator": lambda m: m.update(_instantiator="os.system"),
        "an unknown key": lambda m: m.update(unknown=1),
    }


def _to_config(change: Callable[[dict[str, Any]], Any]) -> Damage:
    def damage(folder: Path) -> None:
        values = json.loads((folder / "config.json").read_bytes())
        change(values)
        write_config(folder, values)

    return damage


def _of_config() -> dict[str, Callable[[dict[str, Any]], Any]]:
    """Changes of config.json, signed. They hold for a folder with a network that has a width."""
    code = ("_target_", "_instantiator", "__reduce__", "__class__", "_partial_", "py/object", "!!python/object")
    sections = ("settings", "schema", "verdict", "fit", "read")
    absurd = {"d_model": 10**9, "num_layers": 10**6, "num_heads": 10**9, "d_ff": 10**15, "patch_length": 10**12}
    numbers = (0, -1, 10**12, 10**18, 10**30, True, 2.5)
    levels = [i / 10**5 for i in range(1, 10**5)]
    return {
        **{f"{key} in {part}": lambda c, p=part, k=key: c[p].update({k: "os.system"}) for part in sections for key in code},
        **{f"{key} at the top": lambda c, k=key: c.update({k: "os.system"}) for key in code},
        **{f"no {part}": lambda c, p=part: c.pop(p) for part in sections},
        **{f"{name}={n}": lambda c, k=name, n=n: c["settings"]["model"].update({k: n}) for name, n in absurd.items()},
        **{f"context_length={n}": lambda c, n=n: c["settings"].update(context_length=n) for n in numbers},
        **{f"horizon={n}": lambda c, n=n: c["settings"].update(horizon=n) for n in numbers},
        **{f"season_length={n}": lambda c, n=n: c["schema"].update(season_length=n) for n in numbers},
        "another width": lambda c: c["settings"]["model"].update(d_model=2, num_heads=1),
        "a block of 10**12 tokens": lambda c: c["settings"]["model"].update(attention="local", attention_window=10**12),
        "10**5 levels": lambda c: c["settings"].update(levels=levels, quantiles=levels),
        "no level": lambda c: c["settings"].update(levels=[], quantiles=[]),
        "levels without a median": lambda c: c["settings"].update(levels=[0.1, 0.9], quantiles=[0.1, 0.9]),
        "levels falling": lambda c: c["settings"]["levels"].reverse(),
        "levels beyond 1": lambda c: c["settings"].update(levels=[0.5, 1.5], quantiles=[0.5]),
        "an unknown model": lambda c: c["settings"]["model"].update(name="os.system"),
        "a model with a list for a name": lambda c: c["settings"]["model"].update(name=["encoder"]),
        "another model": lambda c: c["settings"].update(architecture="lstm"),
        "no model": lambda c: c["settings"].update(model=None),
        "no network": lambda c: c["settings"].update(model=None, architecture=None),
        "an undecided head": lambda c: c["settings"]["model"].update(head="auto"),
        "an unknown head": lambda c: c["settings"]["model"].update(head="__import__"),
        "an undecided width": lambda c: c["settings"]["model"].update(d_model=None),
        "an unknown rung": lambda c: c["verdict"].update(answer="os.system"),
        "an unknown baseline": lambda c: c["verdict"].update(best_baseline="os.system"),
        "an unknown frequency": lambda c: c["schema"].update(freq="fortnight"),
        "an endless frequency": lambda c: c["schema"].update(freq="9" * 100 + "D"),
        "features doubled": lambda c: c["schema"].update(features=c["schema"]["features"] * 2),
        "10**4 features": lambda c: c["schema"].update(features=c["schema"]["features"][:1] * 10**4),
        "features missing": lambda c: c["schema"].update(features=[]),
        "covariates of an unknown role": lambda c: c["schema"]["covariates"].update(future=_role("x")),
        "covariates that are not declared": lambda c: c["schema"]["covariates"].update(known=_role("x")),
        "covariates without texts": lambda c: c["schema"]["covariates"].update(known={"columns": []}),
        "covariates as a list": lambda c: c["schema"].update(covariates=[]),
        "a column declared twice": lambda c: c["fit"]["covariates"].update(known=["a"], past=["a"]),
        "settings a list": lambda c: c.update(settings=[]),
        "a lone surrogate": lambda c: c["schema"].update(value="\ud800"),
        "a lone surrogate as a key": lambda c: c["settings"]["details"].update({"\udfff": 1}),
        "deep details": lambda c: c["settings"]["details"].update(deep=_deep(200)),
    }


def _role(column: str) -> dict[str, Any]:
    return {"columns": [column], "texts": [], "features": [[column, None, 1.0, 0.0]], "transformer": False}


def _deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def _to_weights(change: Callable[[dict[str, Any], bytes], bytes]) -> Damage:
    def damage(folder: Path) -> None:
        content = (folder / "model.safetensors").read_bytes()
        length = int.from_bytes(content[:8], "little")
        (folder / "model.safetensors").write_bytes(change(json.loads(content[8 : 8 + length]), content[8 + length :]))
        sign(folder)

    return damage


def packed(header: dict[str, Any], data: bytes, *, length: int | None = None) -> bytes:
    """safetensors by hand; `length` is what it says of its header."""
    text = json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def _of_weights() -> dict[str, Callable[[dict[str, Any], bytes], bytes]]:
    """Changes of the weights, signed."""

    def of_first(**changes: Any) -> Callable[[dict[str, Any], bytes], bytes]:
        return lambda h, data: packed({**h, next(iter(h)): {**h[next(iter(h))], **changes}}, data)

    def with_number(pattern: bytes) -> Callable[[dict[str, Any], bytes], bytes]:
        def change(header: dict[str, Any], data: bytes) -> bytes:
            begin = next(entry["data_offsets"][0] for entry in header.values() if entry["dtype"] == "F32")
            return packed(header, data[:begin] + pattern + data[begin + 4 :])

        return change

    extra = {"dtype": "F32", "shape": [1], "data_offsets": [0, 0]}
    return {
        "NaN": with_number(b"\x00\x00\xc0\x7f"),
        "infinity": with_number(b"\x00\x00\x80\x7f"),
        "another dtype": of_first(dtype="I32"),
        "an unknown dtype": of_first(dtype="PICKLE"),
        "a dtype as a list": of_first(dtype=["F32"]),
        "another shape": of_first(shape=[1, 1, 1]),
        "an endless shape": of_first(shape=[10**18]),
        "a negative shape": of_first(shape=[-1]),
        "offsets beyond the file": of_first(data_offsets=[0, 10**15]),
        "offsets as text": of_first(data_offsets=["0", "4"]),
        "one offset": of_first(data_offsets=[0]),
        "an unknown key": of_first(_target_="os.system"),
        "an extra tensor": lambda h, data: packed(
            {**h, "extra": {**extra, "data_offsets": [len(data), len(data) + 4]}}, data + b"\0" * 4
        ),
        "a tensor renamed": lambda h, data: packed({f"{name}x": entry for name, entry in h.items()}, data),
        "a tensor fewer": lambda h, data: packed(dict(list(h.items())[:-1]), data),
        "no tensor": lambda h, data: packed({}, b""),
        "metadata": lambda h, data: packed({"__metadata__": {"_target_": "os.system"}, **h}, data),
        "truncated": lambda h, data: packed(h, data[:-4]),
        "too long": lambda h, data: packed(h, data + bytes(4)),
        "a header that is longer than the file": lambda h, data: packed(h, data, length=10**6),
        "a header of 2**64 bytes": lambda h, data: packed(h, data, length=2**64 - 1),
        "a header of no bytes": lambda h, data: packed(h, data, length=0),
        "a header shorter than said": lambda h, data: packed(h, data, length=len(json.dumps(h)) - 1),
        "no header": lambda h, data: b"\0" * 4,
        "a header as a list": lambda h, data: (2).to_bytes(8, "little") + b"[]",
    }


def _to_text(content: bytes) -> Damage:
    def damage(folder: Path) -> None:
        for name in ("config.json", "findings.json"):
            (folder / name).write_bytes(content)
        sign(folder)

    return damage


def _texts() -> dict[str, bytes]:
    """Contents in place of JSON, signed."""
    return {
        "YAML": b"settings:\n  _target_: os.system\n  _args_: [touch canary]\n",
        "a YAML object": b"!!python/object/apply:os.system ['touch canary']\n",
        "a doubled key": b'{"settings": 1, "settings": 2}',
        "deep lists": b"[" * 100_000 + b"]" * 100_000,
        "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "a number of 5,000 digits": b"[" + b"9" * 5000 + b"]",
        "a number beyond floats": b"[1e999]",
        "NaN": b"[NaN]",
        "infinity": b"[-Infinity]",
        "another encoding": "[\u00e9]".encode("utf-16"),
        "no Unicode": b'["\xff\xfe"]',
        "a surrogate": b'["\\ud800"]',
        "eleven megabytes": b"[" + b" " * 11_000_000 + b"]",
        "null": b"null",
        "a number": b"1",
        "code": b"__import__('os').system('touch canary')",
        "a byte order mark": b"\xef\xbb\xbf{}",
    }


def _other_tool(folder: Path) -> None:
    _emptied(folder)
    (folder / "config.json").write_text('{"architectures": ["T5ForConditionalGeneration"], "d_model": 512}')
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Canary(folder.parent / CANARY)))


def _long_header(folder: Path) -> None:
    with open(folder / "model.safetensors", "wb") as file:
        file.write((200_000_000).to_bytes(8, "little") + b"{")
        file.truncate(8 + 200_000_000)
    write_manifest(folder, json.loads((folder / "manifest.json").read_bytes()))


def _emptied(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


# ---- values ------------------------------------------------------------------------------------------------------------

WRONG = ("text", "", 7, -1, 0.5, 10**12, -(10**25), True, None, [], [None], {}, {"_target_": "os.system"}, "\x1b[31m", "\x00")


def wrong_values(values: Any) -> Iterator[tuple[str, Any]]:
    """(place, the same JSON with another value there, without the key, with an unknown one, with an element more or fewer)."""
    for place in _places(values):
        name = ".".join(map(str, place))
        for wrong in WRONG:
            yield f"{name} = {wrong!r}", _with(values, place, wrong)
        inner = _at(values, place)
        if isinstance(inner, dict):
            yield f"{name} + unknown", _with(values, place, {**inner, "unknown": 1})
            for key in inner:
                yield f"{name} - {key}", _with(values, place, {k: v for k, v in inner.items() if k != key})
        elif isinstance(inner, list) and inner:
            yield f"{name} + its last", _with(values, place, [*inner, inner[-1]])
            yield f"{name} - its last", _with(values, place, inner[:-1])


def _places(values: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = values.items() if isinstance(values, dict) else enumerate(values[:2]) if isinstance(values, list) else ()
    for key, value in inner:
        yield (*above, key)
        yield from _places(value, (*above, key))


def _at(values: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        values = values[key]
    return values


def _with(values: Any, place: tuple[Any, ...], wrong: Any) -> Any:
    if not place:
        return wrong
    changed = copy.copy(values)
    changed[place[0]] = _with(values[place[0]], place[1:], wrong)
    return changed


# ---- kills -------------------------------------------------------------------------------------------------------------

SAVER = """
import os, sys
from tsattn import store
models = [store.load(folder) for folder in sys.argv[2:]]
for _ in sys.stdin:
    pid = os.fork()
    if pid == 0:
        while True:
            for model in models:
                store.save(model, sys.argv[1])
    print(pid, flush=True)
    os.waitpid(pid, 0)
"""


def kill_while_saving(times: int, seed: int = 0) -> tuple[int, int]:
    """(kills, loaded): two models are saved in turn into one folder, the saver is killed (-9) at random moments.

    Loaded are the folders that then give one of the two models, whole. The folder is kept from kill to kill; the next save
    must leave nothing in it but the four files.
    """
    from tsattn import store

    folders = [GOLDEN / "format2_encoder_counts", GOLDEN / "format2_naive"]
    known = [_digests(store.load(folder)) for folder in folders]
    rng, loaded = random.Random(seed), 0
    with tempfile.TemporaryDirectory() as place:
        target = Path(place) / "model"
        saver = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(target), *map(str, folders)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert saver.stdin is not None
        assert saver.stdout is not None
        with saver:
            for _ in range(times):
                saver.stdin.write(b"\n")
                saver.stdin.flush()
                pid = int(saver.stdout.readline())
                while not target.exists() or not any(target.glob("**/manifest.json")):
                    time.sleep(0.001)
                time.sleep(rng.uniform(0, 0.2))
                os.kill(pid, signal.SIGKILL)
                while _runs(pid):
                    time.sleep(0.001)
                loaded += _digests(store.load(target)) in known
            saver.stdin.close()
        store.save(store.load(folders[0]), target)
        left = sorted(os.listdir(target))
    if left != sorted(FILES):
        raise AssertionError(f"a save after the kills leaves {', '.join(left)}")
    return times, loaded


def _runs(pid: int) -> bool:
    """Whether a process is there; one that is dead but not yet waited for no longer writes."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _digests(stored: Any) -> tuple[Any, ...]:
    """What tells two models apart."""
    from tsattn import store

    return store.weights_sha256(stored.fitted), stored.fitted.settings, stored.fitted.verdict, stored.findings
