"""CONTRIBUTING.md is short, and the architecture in it works as it stands."""

from __future__ import annotations

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import test_models as promises

from tsattn import Forecaster
from tsattn.config import MODEL_CONFIGS
from tsattn.models import MODELS

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


def test_its_architecture_keeps_what_every_architecture_promises(example, monkeypatch):
    monkeypatch.setitem(promises.SMALL, "mlp", example.MLPConfig(d_model=8))
    for kind in promises.KINDS:
        promises.test_every_head_gives_one_output_per_step_and_variate("mlp", kind, 5, 3)
        promises.test_the_gradient_reaches_every_parameter("mlp", kind)
    promises.test_forecasts_of_degenerate_contexts_are_finite("mlp", "arcsinh")
    promises.test_the_number_stored_for_a_missing_value_has_no_influence("mlp", float("nan"))
    promises.test_batch_mates_have_no_influence_and_their_order_only_permutes("mlp")
    promises.test_variates_are_forecast_alone_unless_the_architecture_reads_them_together("mlp")
    promises.test_forecasts_follow_the_unit_and_the_origin_of_the_values("mlp", "quantile", "arcsinh", 1.0, 1000.0)
    promises.test_features_of_the_future_change_the_forecast_and_are_needed_where_they_were_learned_from("mlp")
    promises.test_a_forward_pass_never_waits_for_the_device("mlp")
    promises.test_precision_is_single_under_autocast_and_whatever_the_caller_s_default("mlp")
