"""A panel that does not fit on the device stays where it is: batches are gathered there and sent, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tsattn.config import EncoderConfig, TrainerConfig
from tsattn.data.panel import Panel
from tsattn.data.windows import PanelTensors, gather, panel_tensors, windows_between
from tsattn.fitted import Settings, build_network
from tsattn.training import fit
from tsattn.training.machine import is_streamed
from tsattn.training.module import ForecastModule

CONTEXT, HORIZON, LEVELS = 8, 4, (0.1, 0.5, 0.9)
ENCODER = EncoderConfig(
    patch_length=4, d_model=16, num_layers=1, num_heads=2, d_ff=16, dropout=0.1, positional="rotary", head="quantile"
)


def panel() -> Panel:
    values = np.random.default_rng(0).normal(size=(120, 1)).astype(np.float32)
    values[50:54] = np.nan
    calendar = np.sin(np.arange(90.0, dtype=np.float32))[:, None]
    nothing = np.zeros(2, np.int64)
    return Panel(values, np.array([0, 70, 120]), nothing, calendar, "D", ("a", "b"), nothing)


def network() -> torch.nn.Module:
    settings = Settings(HORIZON, CONTEXT, LEVELS, LEVELS, 0, "encoder", ENCODER)
    return build_network(settings, 1)


def module_of(*, streamed: bool) -> ForecastModule:
    tensors = panel_tensors(panel())
    return ForecastModule(network(), tensors, TrainerConfig(), context_length=CONTEXT, horizon=HORIZON, streamed=streamed)


def trained() -> list[torch.Tensor]:
    """The weights after a training with validation."""
    model, whole = network(), panel()
    held_out = np.array([0, 0, 1, 1]), np.array([60, 62, 40, 42])
    windows = windows_between(np.full(2, CONTEXT), np.array([50, 30]))
    ends = torch.from_numpy(whole.indptr[1:])
    data = fit.TrainData(panel_tensors(whole, np.array([58, 38])), windows, whole.ids, held_out, ends)
    config = TrainerConfig(accelerator="cpu", max_steps=12, validate_every=4, warmup_steps=1, progress=False)
    fit.train(model, data, config, context_length=CONTEXT, horizon=HORIZON, seed=0)
    return [p.detach().clone() for p in model.parameters()]


def test_a_training_with_batches_that_are_sent_ends_with_the_same_weights_to_the_bit(monkeypatch):
    expected, asked = trained(), []
    monkeypatch.setattr(fit, "is_streamed", lambda panel, config: asked.append(panel) or True)
    found = trained()
    assert len(asked) == 1
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_a_streamed_panel_stays_while_the_model_and_what_is_gathered_go_to_the_device():
    windows = torch.tensor([0, 1]), torch.tensor([20, 30])
    streamed, resident = module_of(streamed=True).to("meta"), module_of(streamed=False).to("meta")
    assert next(streamed.model.parameters()).device.type == "meta"
    assert {part.device.type for part in streamed.panel} == {"cpu"}
    assert {part.device.type for part in resident.panel} == {"meta"}
    batch = streamed.gather(windows, streamed.panel)
    assert {part.device.type for part in batch if part is not None} == {"meta"}
    here = torch.device("meta")
    assert {part.device.type for part in streamed.transfer_batch_to_device(windows, here, 0)} == {"cpu"}
    assert {part.device.type for part in resident.transfer_batch_to_device(windows, here, 0)} == {"meta"}


def test_a_batch_that_is_sent_holds_what_was_gathered():
    series, cut = torch.tensor([0, 1, 0]), torch.tensor([20, 30, 52])
    for tensors in (panel_tensors(panel()), panel_tensors(panel()._replace(calendar=np.zeros((1, 0), np.float32)))):
        batch = gather(tensors, series, cut, context_length=CONTEXT, horizon=HORIZON)
        for one, other in zip(batch.to(torch.device("cpu")), batch, strict=True):
            assert (one is None) == (other is None)
            assert one is None or torch.equal(one, other)


@pytest.mark.parametrize(("free", "expected"), [(2, False), (1.99, True)])
def test_a_panel_is_streamed_when_it_takes_more_than_half_of_what_is_free_on_the_gpu(free, expected, monkeypatch):
    monkeypatch.setattr("tsattn.training.machine.resolve_device", lambda config: ("gpu", "32-true"))
    tensors: PanelTensors = panel_tensors(panel())
    size = 4 * 120 + 8 * 4 * 2 + 4 * 90  # values; begin, end, start and the start of covariates; calendar
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free * size, 10**12))
    assert is_streamed(tensors, TrainerConfig()) is expected


def test_on_a_cpu_nothing_is_streamed(monkeypatch):
    monkeypatch.setattr("tsattn.training.machine.resolve_device", lambda config: ("cpu", "32-true"))
    assert not is_streamed(panel_tensors(panel()), TrainerConfig())
