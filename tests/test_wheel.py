"""The wheel: built, installed without dependencies, and used from another folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def run(*command: object, **options) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, **options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from a copy of the sources, so that nothing is left among them."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("tsattn", "conf", "data"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_sources_settings_and_sample_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        licences = [name for name in archive.namelist() if name.endswith("LICENSE")]
    expected = {f"tsattn/{path.relative_to(ROOT / 'tsattn')}" for path in (ROOT / "tsattn").rglob("*.py")} | {"tsattn/py.typed"}
    expected |= {f"tsattn/conf/{path.relative_to(ROOT / 'conf')}" for path in (ROOT / "conf").rglob("*.yaml")}
    expected |= {"tsattn/conf/__init__.py"}
    expected |= {f"tsattn/sample_data/{path.name}" for path in (ROOT / "data").iterdir() if path.is_file()}
    expected |= {f"tsattn/pretrained/{name}" for name in ("model.safetensors", "manifest.json", "MODEL_CARD.md")}
    assert names == expected
    assert {"tsattn/conf/train.yaml", "tsattn/conf/model/encoder.yaml", "tsattn/sample_data/image_counts.csv"} <= names
    assert licences


def test_an_installed_wheel_trains_on_the_sample_and_forecasts_from_another_folder(wheel, tmp_path):
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    python = tmp_path / "env" / "bin" / "python"
    (site,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    (site / "present.pth").write_text(sysconfig.get_path("purelib") + "\n")  # the libraries, without an editable tsattn
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    work = tmp_path / "work"
    work.mkdir()
    where = run(python, "-c", "import tsattn, tsattn.conf; print(tsattn.__file__, tsattn.conf.__file__)", cwd=work)
    assert all(path.startswith(str(site)) for path in where.split())
    settings = ("trainer.max_steps=20", "trainer=cpu", "horizon=7", "output=run")
    trained = run(python, "-m", "tsattn.train", "dataset=image_counts", *settings, cwd=work)
    assert "the model is in run" in trained
    run(python, "-m", "tsattn.predict", "dataset=image_counts", "load=run", "output=forecast.csv", cwd=work)
    assert len((work / "forecast.csv").read_text().splitlines()) == 1 + 3 * 7
    assert sorted(path.name for path in work.iterdir()) == ["forecast.csv", "run"]
