"""CONTRIBUTING.md is short, and the architecture in it works as it stands."""

from __future__ import annotations

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from tsattn import Forecaster
from tsattn.config import MODEL_CONFIGS
from tsattn.models import MODELS
from tsattn.testing import check_model

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The code of CONTRIBUTING.md as a module, its architecture registered as it says."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    (tmp_path / "example.py").write_text(code)
    spec = spec_from_file_location("example", tmp_path / "example.py")
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "example", module)
    spec.loader.exec_module(module)
    for registry, name in re.findall(r'in (MODELS|MODEL_CONFIGS)\b.*: "mlp": (\w+)', code):
        monkeypatch.setitem({"MODELS": MODELS, "MODEL_CONFIGS": MODEL_CONFIGS}[registry], "mlp", getattr(module, name))
    return module


def test_it_is_at_most_sixty_lines():
    assert len(TEXT.splitlines()) <= 60


def test_its_architecture_trains_forecasts_and_comes_back_from_a_folder(
    example, quick, two_waves, answered_by_network, tmp_path
):
    forecaster = answered_by_network(Forecaster(config=quick(model=example.MLPConfig(head="quantile"))).fit(two_waves))
    assert type(forecaster.fitted_.network) is example.MLP
    expected = forecaster.predict()["forecast"].to_numpy()
    assert np.isfinite(expected).all()
    forecaster.save(tmp_path / "model")
    assert np.array_equal(Forecaster.load(tmp_path / "model").predict(two_waves)["forecast"].to_numpy(), expected)


def test_its_architecture_keeps_what_every_architecture_promises(example):
    kept = check_model("mlp", config=example.MLPConfig(d_model=8))
    assert [invariant for invariant, reason in kept.items() if reason != "kept"] == ["padding", "causality"]
    assert 'check_model("mlp")' in TEXT
