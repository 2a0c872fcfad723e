"""Checkpoints: a training that was cut short and goes on ends as if it had never stopped, and nothing foreign is let in."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from test_training import CONTEXT, HORIZON, Constant, data_of, panel_of, settings
from torch import nn

from tsattn.config import EncoderConfig
from tsattn.fitted import Settings, build_network
from tsattn.training import checkpoint as module
from tsattn.training import fit
from tsattn.training.callbacks import TrainingError
from tsattn.training.checkpoint import Checkpoint, fingerprint
from tsattn.training.fit import Reporting, train
from tsattn.training.stream import BatchStream

NUM_STEPS = 30


class PulledOut(Exception):
    """The plug was."""


def network(dropout: float = 0.3) -> nn.Module:
    config = EncoderConfig(
        patch_length=1, d_model=8, num_layers=1, num_heads=2, d_ff=8, head="quantile", positional="rotary", dropout=dropout
    )
    return build_network(Settings(HORIZON, CONTEXT, (0.1, 0.5, 0.9), (0.5,), 0, "encoder", config), 0)


def data(validation: bool = True):
    rng = np.random.default_rng(3)
    panel = panel_of(*[(20 + rng.normal(size=40)).tolist() for _ in range(3)])
    return data_of(panel, last=[34] * 3, validation=[(0, 36), (1, 37)] if validation else None)


def run(
    model: nn.Module,
    tmp_path: Path,
    *,
    seed: int = 0,
    validation: bool = True,
    heard: list[str] | None = None,
    made_with: EncoderConfig | None = None,
    **changes,
):
    class Heard(Reporting):
        def say(self, *lines: object) -> None:
            if heard is not None:
                heard.extend(map(str, lines))

    reporting = Heard(tmp_path, None, tmp_path / "checkpoints")
    config = settings(**{"max_steps": NUM_STEPS, "validate_every": 7, "log_every": 4, "batch_size": 6, **changes})
    return train(
        model,
        data(validation),
        config,
        context_length=CONTEXT,
        horizon=HORIZON,
        seed=seed,
        name="a part",
        reporting=reporting,
        made_with=made_with,
    )


def pull_out_at(monkeypatch, step: int) -> None:
    """Let training end in the middle of `step` (from 0), once."""
    original = BatchStream.batch

    def batch(self, number):
        if number == step:
            monkeypatch.setattr(BatchStream, "batch", original)
            raise PulledOut
        return original(self, number)

    monkeypatch.setattr(BatchStream, "batch", batch)


def weights(model: nn.Module) -> list[bytes]:
    return [p.detach().numpy().tobytes() for p in model.parameters()]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    model = network()
    trained = run(model, folder)
    return weights(model), trained, pd.read_csv(folder / "logs" / "a_part" / "metrics.csv")


# ---- going on ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [[8], [9, 22], [15, 16, 29]], ids=str)
def test_a_training_that_was_cut_short_ends_as_one_that_never_stopped(tmp_path, monkeypatch, uninterrupted, steps):
    heard: list[str] = []
    for step in steps:
        pull_out_at(monkeypatch, step)
        with pytest.raises(PulledOut):
            run(network(), tmp_path, heard=heard)
    torch.manual_seed(999)  # another process has another random state
    model = network()
    trained = run(model, tmp_path, heard=heard)
    expected, whole, log = uninterrupted
    assert weights(model) == expected
    assert (trained.steps, trained.validation_loss, trained.history) == (whole.steps, whole.validation_loss, whole.history)
    assert f"  a part: goes on from step {steps[-1] // 7 * 7}" in heard
    columns = ["step", "loss", "learning_rate"]
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "logs" / "a_part" / "metrics.csv")[columns], log[columns])


def test_dropout_is_at_work_from_the_first_step_on(tmp_path):
    model, other = network(0.3), network(0.0)
    train(model, data(False), settings(max_steps=1), context_length=CONTEXT, horizon=HORIZON, seed=0, steps=1)
    train(other, data(False), settings(max_steps=1), context_length=CONTEXT, horizon=HORIZON, seed=0, steps=1)
    assert weights(model) != weights(other)


def test_the_random_state_of_a_step_does_not_depend_on_what_was_drawn_before(tmp_path, monkeypatch, uninterrupted):
    original = BatchStream.batch

    def batch(self, number):
        torch.rand(number)  # somebody else draws
        return original(self, number)

    monkeypatch.setattr(BatchStream, "batch", batch)
    model = network()
    run(model, tmp_path)
    assert weights(model) == uninterrupted[0]


def test_a_finished_training_is_not_done_again(tmp_path, monkeypatch, uninterrupted):
    run(network(), tmp_path)
    monkeypatch.setattr(fit, "run_once", lambda *_: pytest.fail("trained again"))
    heard: list[str] = []
    model = network()
    trained = run(model, tmp_path, heard=heard)
    assert weights(model) == uninterrupted[0]
    assert not model.training
    assert trained.steps == uninterrupted[1].steps
    assert heard == [f"  a part: trained before, {trained.steps} steps"]


def test_without_validation_the_averaged_weights_go_on_too(tmp_path, monkeypatch):
    whole, cut = network(), network()
    run(whole, tmp_path / "whole", validation=False)
    pull_out_at(monkeypatch, 17)
    with pytest.raises(PulledOut):
        run(network(), tmp_path / "cut", validation=False)
    run(cut, tmp_path / "cut", validation=False)
    assert weights(cut) == weights(whole)


@pytest.mark.parametrize("change", ["seed", "data", "setting", "weights", "model"])
def test_a_checkpoint_of_other_data_or_settings_is_not_used(tmp_path, monkeypatch, change):
    pull_out_at(monkeypatch, 9)
    with pytest.raises(PulledOut):
        run(network(), tmp_path)
    heard: list[str] = []
    run(
        Constant() if change == "weights" else network(),
        tmp_path,
        seed=1 if change == "seed" else 0,
        validation=change != "data",
        heard=heard,
        made_with=EncoderConfig(attention="causal") if change == "model" else None,  # whose weights look the same
        **({"learning_rate": 1e-3} if change == "setting" else {}),
    )
    assert len(heard) == 1
    assert heard[0].endswith("a_part.ckpt is of other data or settings: training begins anew")


def test_settings_that_only_show_things_do_not_matter(tmp_path, monkeypatch, uninterrupted):
    pull_out_at(monkeypatch, 9)
    with pytest.raises(PulledOut):
        run(network(), tmp_path)
    heard: list[str] = []
    model = network()
    run(model, tmp_path, heard=heard, progress=False, logger="none")
    assert heard == ["  a part: goes on from step 7"]
    assert weights(model) == uninterrupted[0]


# ---- damaged and foreign files -----------------------------------------------------------------------------------------


class Canary:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return (os.mkdir, (self.path,))


def signed(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode() + content


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def flipped(content: bytes) -> bytes:
    return content[:500] + bytes([content[500] ^ 4]) + content[501:]


@pytest.mark.parametrize("damage", ["empty", "half", "flipped", "pickle", "list", "text"])
def test_a_checkpoint_that_is_damaged_or_foreign_is_said_and_not_used(tmp_path, monkeypatch, uninterrupted, damage):
    pull_out_at(monkeypatch, 9)
    with pytest.raises(PulledOut):
        run(network(), tmp_path)
    path = tmp_path / "checkpoints" / "a_part.ckpt"
    content = path.read_bytes()
    made = {
        "empty": b"",
        "half": content[: len(content) // 2],
        "flipped": flipped(content),
        "pickle": signed(saved({"fingerprint": "x", "training": Canary(tmp_path / "canary")})),
        "list": signed(saved([1, 2])),
        "text": signed(b"hello"),
    }
    path.write_bytes(made[damage])
    heard: list[str] = []
    model = network()
    run(model, tmp_path, heard=heard)
    assert len(heard) == 1
    assert "a_part.ckpt" in heard[0]
    assert heard[0].endswith("training begins anew")
    assert weights(model) == uninterrupted[0]
    assert not (tmp_path / "canary").exists()


def test_a_full_disk_costs_the_checkpoint_and_the_log_but_not_the_training(tmp_path, monkeypatch, uninterrupted):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(module, "write_file", full)
    heard: list[str] = []
    model = network()
    run(model, tmp_path, heard=heard)
    assert heard == [
        f"! no checkpoint from here on: {tmp_path / 'checkpoints' / 'a_part.ckpt'}: No space left on device",
    ]
    assert weights(model) == uninterrupted[0]


def test_a_fingerprint_tells_values_types_shapes_and_order_apart():
    alike = [fingerprint({"b": 1, "a": (2.0, None)}, np.arange(3)), fingerprint({"a": (2.0, None), "b": 1}, torch.arange(3))]
    assert alike[0] == alike[1]
    others = [
        fingerprint({"b": 1, "a": (2, None)}, np.arange(3)),
        fingerprint({"b": 1, "a": (2.0, "None")}, np.arange(3)),
        fingerprint({"b": 1, "a": (2.0, None)}, np.arange(3)[:, None]),
        fingerprint({"b": 1, "a": (2.0, None)}, np.arange(3, dtype=np.int32)),
        fingerprint(np.arange(3), {"b": 1, "a": (2.0, None)}),
        fingerprint({"b": 1, "a": ((2.0,), None)}, np.arange(3)),
    ]
    assert len({*alike, *others}) == 1 + len(others)


def test_a_checkpoint_without_a_place_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nowhere = Checkpoint(None, "", pytest.fail)
    nowhere.write(finished={})
    assert nowhere.read() == {}
    assert list(tmp_path.iterdir()) == []


# ---- out of memory -----------------------------------------------------------------------------------------------------


class Hungry(nn.Module):
    """A network that runs out of memory with more than `most` windows at once in training."""

    def __init__(self, most: int, error: type[Exception] = torch.OutOfMemoryError, text: str = "CUDA out of memory") -> None:
        super().__init__()
        self.inner, self.most, self.error, self.text = network(0.0), most, error, text
        self.sizes: list[int] = []

    @property
    def head(self):
        return self.inner.head

    def forward(self, context, observed, features, num_future):
        self.sizes.append(len(context))
        if len(context) > self.most:
            raise self.error(self.text)
        return self.inner(context, observed, features, num_future)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (torch.OutOfMemoryError, "CUDA out of memory"),
        pytest.param(RuntimeError, "DefaultCPUAllocator: can't allocate memory", marks=pytest.mark.slow),
        pytest.param(MemoryError, "", marks=pytest.mark.slow),
    ],
    ids=["gpu", "cpu", "python"],
)
def test_out_of_memory_halves_the_batch_and_says_so_once(tmp_path, error, text):
    heard: list[str] = []
    model = Hungry(2, error, text)
    run(model, tmp_path, heard=heard, max_steps=8)
    assert heard == [f"! a part: out of memory: each step takes its 6 windows in {parts} parts" for parts in (2, 4)]
    assert model.sizes[:2] == [6, 3]
    assert set(model.sizes[2:]) == {1, 2}


@pytest.mark.slow
def test_equal_parts_give_the_weights_of_the_whole_batch(tmp_path):
    model, plain = Hungry(3), network(0.0)
    run(model, tmp_path / "a", validation=False)
    run(plain, tmp_path / "b", validation=False)
    for ours, theirs in zip(model.inner.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_training_in_parts_goes_on_after_a_stop(tmp_path, monkeypatch):
    whole, cut = Hungry(3), Hungry(3)
    run(whole, tmp_path / "whole")
    pull_out_at(monkeypatch, 16)
    with pytest.raises(PulledOut):
        run(Hungry(3), tmp_path / "cut")
    run(cut, tmp_path / "cut")
    assert weights(cut) == weights(whole)


@pytest.mark.slow
def test_memory_too_small_for_a_single_window_is_an_error_that_says_so(tmp_path):
    with pytest.raises(TrainingError, match="not enough memory for a single window"):
        run(Hungry(0), tmp_path)


def test_other_errors_of_a_model_are_not_taken_for_want_of_memory(tmp_path):
    with pytest.raises(RuntimeError, match="shapes differ"):
        run(Hungry(2, RuntimeError, "shapes differ"), tmp_path)
