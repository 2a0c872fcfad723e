"""The model folder: what was saved comes back to the bit, and what is damaged, foreign or unknown is named."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from damage import write_config, write_manifest

from tsattn import Forecaster, ModelFolderError, PatchConfig, store

FILES = ("model.safetensors", "config.json", "findings.json", "manifest.json")
HEADS = ("quantile", "negative_binomial", "point")


@pytest.fixture(scope="module")
def saved_heads(two_waves, quick, answered_by_network, tmp_path_factory):
    """{head: (forecaster whose network answers, its folder)}."""
    folders = tmp_path_factory.mktemp("heads")
    saved = {}
    for head in HEADS:
        forecaster = answered_by_network(Forecaster(config=quick(head=head, trainer={"max_steps": 8})).fit(two_waves))
        forecaster.save(folders / head)
        saved[head] = (forecaster, folders / head)
    return saved


@pytest.fixture
def copied(trained_folder, tmp_path) -> Path:
    """A model folder that a test may damage."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_bytes((trained_folder / name).read_bytes())
    return folder


# ---- round trips -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", HEADS)
def test_a_loaded_model_forecasts_as_the_saved_one_to_the_bit(saved_heads, two_waves, head):
    forecaster, folder = saved_heads[head]
    loaded = Forecaster.load(folder)
    newer = two_waves.groupby("shop").head(100)
    for data, horizon in ((two_waves, 5), (newer, 3), (newer, 11)):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="horizon=11 is longer than the trained 5")
            expected, found = (f.predict(data, horizon=horizon) for f in (forecaster, loaded))
        assert (expected["model"] == "network").all()
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.slow
def test_another_process_forecasts_the_same_to_the_bit(saved_heads, two_waves, tmp_path):
    two_waves.to_parquet(tmp_path / "waves.parquet")
    code = (
        "import sys; from tsattn import Forecaster\n"
        "for folder in sys.argv[1:]:\n"
        "    Forecaster.load(folder).predict('waves.parquet').to_parquet(folder.rsplit('/', 1)[1])\n"
    )
    folders = [str(folder) for _, folder in saved_heads.values()]
    subprocess.run([sys.executable, "-c", code, *folders], cwd=tmp_path, check=True)
    for head, (forecaster, _) in saved_heads.items():
        expected = forecaster.predict(two_waves)
        found = pd.read_parquet(tmp_path / head)
        pd.testing.assert_frame_equal(found, expected, check_exact=True, check_dtype=False)


def test_all_that_was_decided_comes_back(trained, trained_folder):
    loaded = Forecaster.load(trained_folder)
    assert loaded.fitted_.settings == trained.fitted_.settings
    assert loaded.fitted_.schema == trained.fitted_.schema
    assert loaded.verdict_ == trained.verdict_
    assert loaded.findings_ == trained.findings_
    assert loaded.config_ == trained.config_
    assert loaded.read_ == trained.read_


def test_saving_a_loaded_model_writes_the_same_files(trained_folder, tmp_path):
    Forecaster.load(trained_folder).save(tmp_path / "again")
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (trained_folder / name).read_bytes(), name


def test_the_reading_of_the_training_table_is_kept_for_the_next_one(tmp_path):
    (tmp_path / "a.csv").write_text("t;v\n" + "".join(f"{i};{i % 4},25\n" for i in range(1, 30)))
    forecaster = Forecaster(2).fit_naive(tmp_path / "a.csv", read={"sep": ";", "decimal": ",", "time": "t"})
    forecaster.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.predict(tmp_path / "a.csv"), forecaster.predict(), check_exact=True)


def test_a_model_without_a_network_comes_back_too(two_waves, tmp_path):
    forecaster = Forecaster(4, quantiles=[0.25, 0.75]).fit_naive(two_waves)
    forecaster.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    assert loaded.fitted_ == forecaster.fitted_
    assert loaded.fitted_.network is None
    assert store.weights_sha256(loaded.fitted_) is None
    pd.testing.assert_frame_equal(loaded.predict(two_waves), forecaster.predict(), check_exact=True)


def test_a_patch_model_comes_back_as_one(two_waves, quick, tmp_path):
    config = quick(model=PatchConfig(head="quantile"), trainer={"max_steps": 2}, refit=False)
    Forecaster(config=config).fit(two_waves).save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    assert type(loaded.config_.model) is PatchConfig
    assert loaded.fitted_.network.config.patch_length == 16


def test_a_second_model_takes_the_place_of_the_first(trained, trained_folder, two_waves, tmp_path):
    Forecaster(4).fit_naive(two_waves).save(tmp_path / "model")
    trained.save(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == sorted(FILES)
    assert Forecaster.load(tmp_path / "model").verdict_.answer == "network"


def test_nan_and_infinity_are_written_as_null_of_plain_json():
    text = store.to_json({"a": [float("nan"), float("inf"), -float("inf"), 1.5], "b": (1, None), 3: "é"})
    assert json.loads(text) == {"a": [None, None, None, 1.5], "b": [1, None], "3": "é"}


def test_numbers_of_numpy_are_saved_as_plain_ones(trained, tmp_path):
    details = {"loss": np.float32(0.5), "lost": np.float64("nan"), "rows": np.int64(3)}
    settings = replace(trained.fitted_.settings, details=details)
    kept = store.Stored(replace(trained.fitted_, settings=settings), trained.config_, trained.read_, trained.findings_)
    store.save(kept, tmp_path / "model")
    assert store.load(tmp_path / "model").fitted.settings.details == {"loss": 0.5, "lost": None, "rows": 3}


# ---- what is in the folder ---------------------------------------------------------------------------------------------


def test_the_manifest_tells_format_versions_schema_and_the_digest_of_every_file(trained_folder):
    manifest = json.loads((trained_folder / "manifest.json").read_text())
    assert sorted(path.name for path in trained_folder.iterdir()) == sorted(FILES)
    assert manifest["format"] == 2
    assert manifest["tsattn"] == version("tsattn")
    assert manifest["libraries"] == {name: version(name) for name in ("torch", "numpy", "pandas", "safetensors")}
    assert manifest["python"] == ".".join(map(str, sys.version_info[:3]))
    assert manifest["freq"] == "D"
    assert manifest["cutoff"].startswith("2024-04-29")
    assert {name: manifest["schema"][name] for name in ("id", "time", "value", "season_length", "integer", "num_series")} == {
        "id": "shop",
        "time": "day",
        "value": "sold",
        "season_length": 7,
        "integer": True,
        "num_series": 2,
    }
    digests = {name: hashlib.sha256((trained_folder / name).read_bytes()).hexdigest() for name in FILES[:3]}
    assert manifest["sha256"] == digests
    own = manifest.pop("manifest_sha256")
    assert own == hashlib.sha256((json.dumps(manifest, indent=1) + "\n").encode()).hexdigest()


def test_the_weights_are_safetensors_of_the_network_and_nothing_else(trained, trained_folder):
    content = (trained_folder / "model.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    state = trained.fitted_.network.state_dict()
    assert {name: entry["shape"] for name, entry in header.items()} == {name: list(t.shape) for name, t in state.items()}
    assert store.weights_sha256(trained.fitted_) == hashlib.sha256(content).hexdigest()


def test_no_value_of_the_training_data_is_in_the_folder(quick, tmp_path):
    rng = np.random.default_rng(3)
    values = 1e6 + rng.normal(0, 1e4, 90) + 0.123
    forecaster = Forecaster(config=quick(trainer={"max_steps": 3}, refit=False)).fit(values)
    forecaster.save(tmp_path / "model")
    everything = b"".join(path.read_bytes() for path in (tmp_path / "model").iterdir())
    for value in values:
        for trace in (np.float32(value).tobytes(), np.float64(value).tobytes(), f"{value:.2f}"[:-1].encode()):
            assert trace not in everything


# ---- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(copied, name):
    (copied / name).unlink()
    with pytest.raises(ModelFolderError, match=f"{copied / name} cannot be read .*is {copied} a folder that tsattn saved"):
        store.load(copied)


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_one_changed_byte_is_named(copied, name):
    content = bytearray((copied / name).read_bytes())
    content[-10] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(ModelFolderError, match=f"{name} is not the file that was saved"):
        store.load(copied)


@pytest.mark.parametrize("kept", [0, 1, 100])
def test_a_truncated_manifest_is_named(copied, kept):
    (copied / "manifest.json").write_bytes((copied / "manifest.json").read_bytes()[:kept])
    with pytest.raises(ModelFolderError, match=r"manifest\.json is not valid JSON"):
        store.load(copied)


@pytest.mark.parametrize("content", ["[]", "null", "3", '"text"', '{"format": 2}', '{"format": 2, "sha256": []}'])
def test_a_manifest_of_another_kind_is_refused_as_such(copied, content):
    (copied / "manifest.json").write_text(content)
    with pytest.raises(ModelFolderError, match=str(copied)):
        store.load(copied)


@pytest.mark.parametrize(("number", "advice"), [(0, "train"), (1, "train"), (3, "upgrade"), (None, "train"), ("2", "train")])
def test_an_unknown_format_is_refused_with_the_known_one(copied, number, advice):
    write_manifest(copied, {**json.loads((copied / "manifest.json").read_text()), "format": number})
    with pytest.raises(ModelFolderError, match=f"format {number!r}, which is not known: .* reads format 2; {advice}"):
        store.load(copied)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("verdict"),
        lambda c: c["settings"].pop("horizon"),
        lambda c: c["settings"].update(unknown=1),
        lambda c: c["settings"]["model"].update(name="os.system"),
        lambda c: c["settings"]["model"].update(d_model=32),
        lambda c: c["settings"]["model"].update(head="point"),
        lambda c: c["settings"].update(levels=[0.1, 0.9]),
        lambda c: c["schema"].update(features=[]),
        lambda c: c["fit"].update(horizon=0),
        lambda c: c["fit"].update(model=None),
        lambda c: c["read"].update(missing="drop"),
    ],
)
def test_a_configuration_that_does_not_fit_the_weights_is_refused(copied, change):
    values = json.loads((copied / "config.json").read_text())
    change(values)
    write_config(copied, values)
    with pytest.raises(ModelFolderError, match=re.escape(str(copied))):
        store.load(copied)


def test_a_folder_that_is_a_file_is_refused(copied):
    with pytest.raises(ModelFolderError, match=r"manifest\.json"):
        store.load(copied / "config.json")


# ---- devices -----------------------------------------------------------------------------------------------------------


def test_a_model_is_loaded_on_the_cpu_whatever_device_is_the_default(trained, trained_folder, two_waves):
    with torch.device("meta"):  # stands for a GPU: a tensor without values betrays itself in the forecast
        loaded = Forecaster.load(trained_folder)
    assert {t.device.type for t in loaded.fitted_.network.state_dict().values()} == {"cpu"}
    pd.testing.assert_frame_equal(loaded.predict(two_waves), trained.predict(), check_exact=True)


def test_saved_weights_know_no_device(trained, trained_folder, tmp_path):
    moved = []

    class Elsewhere:
        """Weights as on a GPU: they can be brought to the CPU and nothing else."""

        def __init__(self, tensor):
            self.tensor = tensor

        def contiguous(self):
            return self

        def cpu(self):
            moved.append(self)
            return self.tensor

    state = trained.fitted_.network.state_dict()
    network = type("Network", (), {"state_dict": lambda _: {name: Elsewhere(t) for name, t in state.items()}})()
    fitted = replace(trained.fitted_, network=network)
    store.save(store.Stored(fitted, trained.config_, trained.read_, trained.findings_), tmp_path / "model")
    assert len(moved) == len(state)
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == (trained_folder / "model.safetensors").read_bytes()


@pytest.mark.gpu
def test_a_model_trained_on_a_gpu_forecasts_on_a_cpu(two_waves, quick, answered_by_network, tmp_path):
    forecaster = Forecaster(config=quick(trainer={"accelerator": "gpu"}, head="auto")).fit(two_waves)
    expected = answered_by_network(forecaster).predict()
    forecaster.save(tmp_path / "model")
    two_waves.to_parquet(tmp_path / "waves.parquet")
    code = "from tsattn import Forecaster; Forecaster.load('model').predict('waves.parquet').to_parquet('out.parquet')"
    hidden = {"CUDA_VISIBLE_DEVICES": "", "PATH": ""}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=hidden, check=True)
    found = pd.read_parquet(tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-4)
