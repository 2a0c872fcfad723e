"""Model folders that are damaged, hostile, interrupted or old: a model that was saved, or one ModelFolderError, and no code."""

from __future__ import annotations

import copy
import errno
import itertools
import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import warnings
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import pandas as pd
import pytest
from beartype.door import is_bearable
from damage import (
    CANARY,
    FILES,
    GOLDEN,
    Canary,
    as_json,
    damages,
    flip_everywhere,
    kill_while_saving,
    sign,
    write_config,
    write_manifest,
    wrong_values,
)

from tsattn import Forecaster, ModelFolderError, files, store, stored

NAMES = ("format2_encoder_counts", "format2_linear_covariates", "format2_naive")
COLUMN = str | int | float | None | list[str | int | float]


@pytest.fixture
def model(tmp_path) -> Path:
    """A copy of a small model folder that a test may damage."""
    return copied("format2_encoder_counts", tmp_path)


def copied(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(GOLDEN / name, folder / "model"))


def config_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_bytes())


def forecast(folder: Path, name: str) -> pd.DataFrame:
    """What the model in `folder` says about the table that the golden one of this name came from."""
    future = GOLDEN / f"{name}_future.csv"
    return Forecaster.load(folder).predict(str(GOLDEN / f"{name}.csv"), future=str(future) if future.exists() else None)


# ---- old folders -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_a_released_format_forecasts_as_it_did(name):
    expected = pd.read_csv(GOLDEN / f"{name}_forecast.csv", dtype={"day": str})
    found = forecast(GOLDEN / name, name)
    found = found.assign(day=found["day"].astype(str).str[:10])
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-5)


def test_golden_folders_are_small():
    for name in NAMES:
        assert sum(path.stat().st_size for path in (GOLDEN / name).iterdir()) < 40_000


def test_a_field_that_came_later_has_its_default_in_an_older_folder_and_is_demanded_of_one_of_today(model):
    values = config_of(model)
    del values["fit"]["trainer"]["patience"], values["settings"]["model"]["attention"]
    write_config(model, values)
    with pytest.raises(ModelFolderError, match=r"settings\.model has no attention"):
        store.load(model)
    manifest = json.loads((model / "manifest.json").read_bytes())
    write_manifest(model, {**manifest, "tsattn": "0.0.9"})
    assert store.load(model).config.trainer.patience == 8
    assert store.load(model).fitted.settings.model.attention == "full"


def test_an_unknown_key_of_another_version_names_both_versions(model):
    values = config_of(model)
    values["settings"]["colour"] = "red"
    write_config(model, values)
    write_manifest(model, {**json.loads((model / "manifest.json").read_bytes()), "tsattn": "0.7.0"})
    with pytest.raises(ModelFolderError, match=r"unknown key 'colour'.*tsattn 0\.7\.0 saved it, this is 0\.1"):
        store.load(model)


@pytest.mark.parametrize(("share", "pretrained"), [(1.5, "a" * 64), (-0.5, "a" * 64), (0.5, "")])
def test_a_share_that_is_none_is_refused(model, share, pretrained):
    values = config_of(model)
    values["settings"] |= {"share": share, "pretrained": pretrained}
    write_config(model, values)
    with pytest.raises(ModelFolderError, match=f"settings.share is {share}, not a share from 0 to 1 beside a trained network"):
        store.load(model)


def test_a_newer_format_asks_for_a_newer_tsattn_whatever_else_is_in_the_folder(model):
    (model / "manifest.json").write_text('{"format": 3, "weights": "model.pt2"}')
    (model / "model.safetensors").unlink()
    with pytest.raises(ModelFolderError, match=r"format 3, which is not known: tsattn .* reads format 2; upgrade tsattn"):
        store.load(model)


# ---- damages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [8, pytest.param(1, marks=pytest.mark.slow)])
def test_every_damage_is_one_line_about_the_folder_and_runs_nothing(tmp_path, every):
    wrong = {}
    for number, (name, damage) in list(enumerate(damages()))[::every]:
        folder = copied("format2_encoder_counts", tmp_path / str(number))
        damage(folder)
        try:
            store.load(folder)
            wrong[name] = "loaded"
        except ModelFolderError as problem:
            text = str(problem)
            if not text.startswith(str(folder)) or "\n" in text or len(text) > len(str(folder)) + 500:
                wrong[name] = text
        if (folder.parent / CANARY).exists():
            wrong[name] = "code has run"
        shutil.rmtree(folder.parent)
    assert wrong == {}
    assert number > 200


@pytest.mark.parametrize("beside", ["model.pkl", "pytorch_model.bin", "model.ckpt", "config.pickle", "conftest.py", "a.pth"])
def test_a_pickle_beside_the_files_is_left_alone(model, beside):
    (model / beside).write_bytes(pickle.dumps(Canary(model.parent / CANARY)))
    store.load(model)
    assert not (model.parent / CANARY).exists()


def test_the_canary_sings():
    """Otherwise the tests above prove nothing."""
    path = GOLDEN.parent / f".{CANARY}-{os.getpid()}"
    try:
        pickle.loads(pickle.dumps(Canary(path)))
        assert path.exists()
    finally:
        path.unlink(missing_ok=True)


def test_a_link_to_a_model_folder_is_followed_and_a_link_in_it_is_not(model, tmp_path):
    (tmp_path / "link").symlink_to(model)
    assert store.load(tmp_path / "link").fitted.settings.horizon == 3
    (tmp_path / "next").mkdir()
    for name in FILES:
        (model / name).rename(tmp_path / "next" / name)
    (model / files.NEXT).symlink_to(tmp_path / "next")
    with pytest.raises(ModelFolderError, match="cannot be read"):
        store.load(model)


def test_escape_codes_in_a_file_do_not_reach_the_terminal(model):
    values = config_of(model)
    values["schema"]["freq"] = "\x1b[2J\x1b]0;title\x07"
    write_config(model, values)
    with pytest.raises(ModelFolderError) as caught:
        store.load(model)
    assert str(caught.value).isprintable()


@pytest.mark.slow
def test_no_damage_asks_for_memory():
    code = (
        "import resource, shutil, sys, tempfile; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from damage import GOLDEN, damages; from tsattn import store\n"
        "store.load(GOLDEN / 'format2_encoder_counts')\n"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000,) * 2)\n"
        "for name, damage in damages():\n"
        "    with tempfile.TemporaryDirectory() as place:\n"
        "        folder = Path(shutil.copytree(GOLDEN / 'format2_encoder_counts', Path(place) / 'model'))\n"
        "        damage(folder)\n"
        "        try: store.load(folder)\n"
        "        except store.ModelFolderError: continue\n"
        "        raise SystemExit(name)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(GOLDEN.parent)], check=True, timeout=300)


# ---- bits --------------------------------------------------------------------------------------------------------------


def test_a_hundred_flipped_bits_of_each_file_are_seen():
    assert flip_everywhere(GOLDEN / "format2_naive", bits=100) == (400, 400)


def test_a_flipped_bit_in_any_byte_of_the_manifest_is_seen():
    flips, caught = flip_everywhere(GOLDEN / "format2_naive", names=("manifest.json", "model.safetensors"))
    assert flips == caught > 900


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_bit_in_any_byte_of_any_file_is_seen(name):
    flips, caught = flip_everywhere(GOLDEN / name, seed=1)
    print(f"{name}: {caught} of {flips} flipped bits seen")
    assert flips == caught == sum((GOLDEN / name / file).stat().st_size for file in FILES)


# ---- values of the wrong type ------------------------------------------------------------------------------------------


def misfits(found: Any, where: str) -> list[str]:
    """Fields whose value is not of their annotation, by another reader of annotations than ours."""
    wrong = []
    for field in fields(found):
        hint, value = get_type_hints(type(found))[field.name], getattr(found, field.name)
        hint = COLUMN if where == "read" and field.name in ("id", "time", "value") else hint
        if is_dataclass(value):
            wrong += misfits(value, f"{where}.{field.name}")
        elif not is_bearable(value, hint) or (isinstance(value, bool) and "bool" not in str(hint)):
            wrong.append(f"{where}.{field.name} = {value!r}")
    return wrong


def with_wrong_values(name: str, every: int) -> tuple[int, dict[str, list[str]]]:
    """(how many were refused, misfits of those that were not), of each so many-th wrong value."""
    refused, wrong = 0, {}
    for place, values in itertools.islice(wrong_values(config_of(GOLDEN / name)), 0, None, every):
        try:
            found = stored.described(values, complete=True)
        except ValueError:
            refused += 1
            continue
        bad = [misfit for part, value in found._asdict().items() for misfit in misfits(value, part)]
        if bad:
            wrong[place] = bad
    return refused, wrong


def test_a_value_of_the_wrong_type_does_not_get_through():
    refused, wrong = with_wrong_values("format2_linear_covariates", 7)
    assert wrong == {}
    assert refused > 200


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_value_of_a_wrong_type_gets_through(name):
    refused, wrong = with_wrong_values(name, 1)
    assert wrong == {}
    assert refused > 1000


def test_wrong_findings_are_refused(model):
    values = json.loads((model / "findings.json").read_bytes())
    for wrong in (
        {},
        [1],
        [None],
        [{}],
        [{**values[0], "level": "loud"}],
        [{**values[0], "topic": 1}],
        [{**values[0], "x": 1}],
    ):
        (model / "findings.json").write_bytes(as_json(wrong))
        sign(model)
        with pytest.raises(ModelFolderError, match="findings"):
            store.load(model)


@pytest.mark.parametrize(
    "change",
    [
        {"columns": ["kind", "kind"]},
        {"columns": "kind"},
        {"texts": ["elsewhere"]},
        {"features": [["kind", "big", 1.0]]},
        {"features": [["kind", 3, 1.0, 0.0]]},
        {"features": [["kind", "big", True, 0.0]]},
        {"features": [["elsewhere", None, 1.0, 0.0]]},
        {"features": {}},
        {"transformer": "os.system"},
        {"_target_": "os.system"},
    ],
)
def test_covariates_that_no_fit_writes_are_refused(tmp_path, change):
    folder = copied("format2_linear_covariates", tmp_path)
    values = config_of(folder)
    values["schema"]["covariates"]["static"].update(change)
    write_config(folder, values)
    with pytest.raises(ModelFolderError, match=r"covariates\.static|a feature is|features are a list"):
        store.load(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_signed_folder_with_another_value_gives_a_forecast_or_a_value_error(name, tmp_path):
    folder = copied(name, tmp_path)
    for place, values in itertools.islice(wrong_values(config_of(GOLDEN / name)), 0, None, 3):
        try:
            write_config(folder, values)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                forecast(folder, name)
        except ValueError:
            pass
        except Exception as problem:
            raise AssertionError(place) from problem
    assert not (tmp_path / CANARY).exists()


# ---- saving ------------------------------------------------------------------------------------------------------------


def test_an_endless_gradient_clip_comes_back(model, tmp_path):
    kept = store.load(model)
    trainer = replace(kept.config.trainer, gradient_clip=float("inf"))
    store.save(kept._replace(config=replace(kept.config, trainer=trainer)), tmp_path / "again")
    assert store.load(tmp_path / "again").config.trainer == trainer


def test_what_could_not_be_loaded_again_is_not_saved(model):
    before = {name: (model / name).read_bytes() for name in FILES}
    broken = store.load(model)
    next(broken.fitted.network.parameters()).data[0] = float("nan")
    with pytest.raises(ModelFolderError, match=r"not saved, as it could not be loaded again: .* not all finite"):
        store.save(broken, model)
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_a_full_disk_leaves_the_old_model_and_nothing_else(model, monkeypatch):
    before = {name: (model / name).read_bytes() for name in FILES}
    other, calls = store.load(GOLDEN / "format2_naive"), []

    def full(_):
        calls.append(1)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=f"No space left on device: .*{model.name}"):
        store.save(other, model)
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_a_folder_in_the_place_of_a_file_is_not_replaced(model):
    (model / "config.json").unlink()
    (model / "config.json").mkdir()
    with pytest.raises(IsADirectoryError, match=str(model)):
        store.save(store.load(GOLDEN / "format2_naive"), model)
    assert sorted(path.name for path in model.iterdir()) == sorted(FILES)


class Snapshots:
    """Copies of a folder as it is before each step of `tsattn.files`, which is what a kill at that moment leaves."""

    def __init__(self, folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.place, self.busy, self.taken = folder, place, False, []
        for name in ("replace", "rename", "mkdir", "rmdir", "fsync", "unlink"):
            monkeypatch.setattr(os, name, self.before(getattr(os, name)))
        monkeypatch.setattr(files, "open", self.before(open), raising=False)

    def before(self, step: Any) -> Any:
        def stepping(*args: Any, **kwargs: Any) -> Any:
            if not self.busy:
                self.busy = True
                self.taken.append(shutil.copytree(self.folder, self.place / str(len(self.taken))))
                self.busy = False
            return step(*args, **kwargs)

        return stepping


@pytest.mark.parametrize("old", ["format2_naive", pytest.param(None, marks=pytest.mark.slow)])
def test_a_save_that_is_killed_before_any_step_leaves_the_old_model_or_the_new_one(old, tmp_path):
    new = store.load(GOLDEN / "format2_encoder_counts")
    folder = tmp_path / "model"
    folder.mkdir()
    if old:
        store.save(store.load(GOLDEN / old), folder)
    with pytest.MonkeyPatch.context() as patch:
        snapshots = Snapshots(folder, tmp_path / "killed", patch)
        store.save(new, folder)
        snapshots.busy = True
    found = [model_in(path) for path in snapshots.taken]
    before, after = old and "seasonal_naive", "network"
    assert found == [before] * found.count(before) + [after] * found.count(after)
    assert found.count(before) > 10
    assert found.count(after) > 5
    for path in snapshots.taken:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files, "_is_alive", lambda _: False)
            store.save(new, path)
        assert sorted(file.name for file in path.iterdir()) == sorted(FILES)
        assert model_in(path) == after


def model_in(folder: Path) -> str | None:
    """What answers in the model there; None where there is none."""
    if not any((folder / place / "manifest.json").exists() for place in (".", files.NEXT)):
        with pytest.raises(ModelFolderError, match="cannot be read"):
            store.load(folder)
        return None
    return store.load(folder).fitted.verdict.answer


def test_while_a_folder_is_written_the_old_model_or_the_new_one_is_read(tmp_path):
    first, second = (store.load(GOLDEN / name) for name in ("format2_naive", "format2_encoder_counts"))
    folder, enough = store.save(first, tmp_path / "model"), threading.Event()

    def save_in_turn() -> None:
        while not enough.is_set():
            store.save(second, folder)
            store.save(first, folder)

    writer = threading.Thread(target=save_in_turn)
    writer.start()
    seen = []
    try:
        while len(seen) < 20 or (len(set(seen)) < 2 and len(seen) < 2000):
            found = store.load(folder)
            seen.append(found.fitted.verdict.answer)
            assert (found.fitted.network is None) == (found.fitted.verdict.answer == "seasonal_naive")
    finally:
        enough.set()
        writer.join()
    assert set(seen) == {"seasonal_naive", "network"}


def test_two_threads_that_save_at_once_leave_one_whole_model(tmp_path):
    models = [store.load(GOLDEN / name) for name in ("format2_naive", "format2_encoder_counts")]
    folder = store.save(models[0], tmp_path / "model")
    writers = [threading.Thread(target=lambda m=m: [store.save(m, folder) for _ in range(10)]) for m in models]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert store.load(folder).fitted.verdict.answer in ("seasonal_naive", "network")
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


@pytest.mark.parametrize(
    ("sizes", "model_sizes", "fits"),
    [
        ({"context_length": 100_000}, {}, False),
        ({"context_length": 50_000, "horizon": 10_000}, {"attention": "local"}, False),
        ({"context_length": 100_000}, {"attention": "local"}, True),
        ({"context_length": 100_000}, {"attention": "linear"}, True),
        ({"context_length": 100_000}, {"patch_length": 16}, True),
        ({"context_length": 20_000, "horizon": 2000}, {}, True),
        ({"context_length": 20_000}, {"attention": "additive", "positional": "sinusoidal"}, False),
        ({"context_length": 5_000}, {"attention": "additive", "positional": "sinusoidal"}, True),
        ({"context_length": 40_000}, {"positional": "alibi"}, False),
    ],
    ids=["full", "far ahead", "local", "linear", "patches", "long", "long sums", "sums", "long with biases"],
)
def test_more_pairs_of_tokens_than_a_machine_could_hold_are_refused(model, sizes, model_sizes, fits):
    values = config_of(model)
    values["settings"] |= sizes
    values["settings"]["model"] |= model_sizes
    if fits:
        stored.described(values, complete=True)
    else:
        write_config(model, values)
        with pytest.raises(
            ModelFolderError, match=r"context_length is \d+ and settings.horizon \d+: .* pairs of tokens are more"
        ):
            store.load(model)


SAVING = """
import sys, time
from tsattn import store
kept, folder = store.load(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
ends = time.monotonic() + 2
while time.monotonic() < ends:
    store.save(kept, folder)
print("done")
"""


@pytest.mark.slow
def test_two_processes_that_save_at_once_leave_one_whole_model(tmp_path):
    names, folder = ("format2_naive", "format2_encoder_counts"), tmp_path / "model"
    store.save(store.load(GOLDEN / names[0]), folder)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SAVING, str(GOLDEN / name), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    seen = set()
    while any(process.poll() is None for process in started):
        seen.add(store.load(folder).fitted.verdict.answer)
    assert [process.communicate()[0] for process in started] == ["done\n", "done\n"]
    assert seen == {"seasonal_naive", "network"}
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_a_folder_that_changes_at_each_look_is_said_to_be_written(model, monkeypatch):
    monkeypatch.setattr(store, "PAUSE", 0.0)
    (model / "config.json").write_bytes(b"{}")
    real = store.read_files

    def touched(folder):
        os.utime(folder / "config.json", ns=(0, (model / "config.json").stat().st_mtime_ns + 1))
        return real(folder)

    monkeypatch.setattr(store, "read_files", touched)
    with pytest.raises(ModelFolderError, match="is being written again and again by another process"):
        store.load(model)


@pytest.mark.slow
def test_a_kill_at_twenty_random_moments_of_saving_leaves_a_model():
    assert kill_while_saving(20, seed=1) == (20, 20)


def test_a_saved_copy_of_a_golden_model_is_the_same_to_the_byte(tmp_path):
    """So that reading and writing agree on every field."""
    kept = store.load(GOLDEN / "format2_linear_covariates")
    store.save(kept, tmp_path / "model")
    again = store.load(tmp_path / "model")
    assert copy.copy(again.fitted.settings) == kept.fitted.settings
    assert asdict(again.config) == asdict(kept.config)
    for name in ("model.safetensors", "findings.json"):
        assert (tmp_path / "model" / name).read_bytes() == (GOLDEN / "format2_linear_covariates" / name).read_bytes()
