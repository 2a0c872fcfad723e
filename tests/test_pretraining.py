"""Pretraining: from the seed alone, stopped and continued, without any file of a user's and without a network."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Generator

from tsattn.config import PatchConfig
from tsattn.nn.scaling import fit_scale
from tsattn.pretrain_config import LengthConfig, PretrainConfig
from tsattn.synthetic.prior import Bank, make_bank
from tsattn.training import pretraining
from tsattn.training.pretraining import Batch, batch_of, loss_of, network_of, pretrain, rate_at, typical_step
from tsattn.training.pretraining_state import comparable

SMALL = PretrainConfig(
    minutes=100.0,
    accelerator="cpu",
    precision="32",
    model=PatchConfig(d_model=16, num_layers=1, num_heads=2, d_ff=16, head="quantile", positional="rotary", copying="spread"),
    lengths=[LengthConfig(32, 2, 12, 0.5), LengthConfig(64, 3, 8, 0.3), LengthConfig(1024, 4, 2, 0.2)],
    short_series=40,
    medium_series=40,
    long_series=10,
)


@pytest.mark.parametrize(("half_takes", "half"), [(0.5, True), (2.0, False)])
def test_products_are_in_bfloat16_where_the_processor_is_faster_with_them(monkeypatch, half_takes, half):
    seconds = {torch.float32: 1.0, torch.bfloat16: half_takes}
    monkeypatch.setattr(pretraining, "product_seconds", seconds.__getitem__)
    cpu = torch.device("cpu")
    assert pretraining.is_half("auto", cpu) is half
    assert pretraining.is_half("bf16", cpu)
    assert not pretraining.is_half("32", cpu)


def test_a_product_takes_as_long_as_a_clock_says(monkeypatch):
    ticks = iter([0.0, 3.0, 10.0, 11.5, 20.0, 25.0, 30.0, 32.0, 40.0, 42.0])
    monkeypatch.setattr(pretraining, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    assert pretraining.product_seconds.__wrapped__(torch.float32) == 1.5


@pytest.fixture(scope="module")
def bank() -> Bank:
    return make_bank((SMALL.prior,) * 3, (40, 40, 10), seed=0)


class Clock:
    """Time that goes on by a second with each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def short(monkeypatch, bank):
    """Pretraining in seconds of a clock of its own, on a bank that is there."""
    monkeypatch.setattr(pretraining, "make_bank", lambda *_, **__: bank)
    monkeypatch.setattr(pretraining.time, "monotonic", Clock().monotonic)
    monkeypatch.setattr(pretraining, "LOG_STEPS", 5)


def weights_in(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


@pytest.mark.parametrize("length", SMALL.lengths, ids=lambda length: str(length.context))
def test_a_batch_follows_from_its_seed_and_has_whole_patches_of_future(length, bank):
    first, again, other = (batch_of(length, bank, Generator().manual_seed(seed)) for seed in (4, 4, 5))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.context, other.context)
    assert first.context.shape == first.observed.shape == (length.windows, length.context, 1)
    assert first.target.shape[1] in {16 * n for n in range(1, length.num_future + 1)}
    assert all(part.isfinite().all() for part in first)
    assert (first.context[~first.observed] == 0).all()


def test_the_loss_is_the_pinball_loss_with_each_window_weighted_by_its_step(bank):
    network = network_of(SMALL)
    batch = batch_of(SMALL.lengths[0], bank, Generator().manual_seed(1))
    with torch.no_grad():
        raw, scale = network(batch.context, batch.observed, None, batch.target.shape[1])
        quantiles = network.head.scaled_quantiles(raw)[:, :, 0].double()
        found = float(loss_of(network, batch))
    total = weights = 0.0
    for b in range(len(batch.target)):
        loc, spread = float(scale.loc[b]), float(scale.scale[b])
        y = [math.asinh((float(v) - loc) / spread) for v in batch.target[b]]
        loss = 0.0
        for t, value in enumerate(y):
            for level, quantile in zip(pretraining.LEVELS, quantiles[b, t].tolist(), strict=True):
                loss += 2 * max(level * (value - quantile), (level - 1) * (value - quantile))
        z = [
            math.asinh((float(v) - loc) / spread) if o else None
            for v, o in zip(batch.context[b], batch.observed[b], strict=True)
        ]
        means = []
        for m in (1, 4, 7, 12, 24):
            steps = [abs(y - x) for x, y in zip(z, z[m:], strict=False) if x is not None and y is not None]
            means += [sum(steps) / len(steps)] if len(steps) >= m else []
        weight = (min(means) + 0.02) ** -0.5
        total, weights = total + weight * loss / (len(y) * 9), weights + weight
    assert found == pytest.approx(total / weights, rel=1e-4)


def test_a_window_without_two_steps_in_a_row_has_a_typical_step_of_1():
    observed = torch.tensor([True, False, True, False])[None, :, None]
    context = torch.tensor([1.0, 0.0, 3.0, 0.0])[None, :, None]
    batch = Batch(context, observed, torch.zeros(1, 2, 1))
    assert typical_step(batch, fit_scale("arcsinh", context, observed)).tolist() == [1.0]


def test_the_typical_step_of_an_exact_week_is_0_once_a_whole_week_repeats():
    week = torch.tensor([5.0, 6.0, 4.0, 7.0, 5.5, 1.0, 0.0])
    for num, is_zero in ((13, False), (14, True), (28, True)):
        context = week.repeat(4)[:num].reshape(1, num, 1)
        batch = Batch(context, torch.ones_like(context, dtype=torch.bool), torch.zeros(1, 2, 1))
        assert bool(typical_step(batch, fit_scale("arcsinh", *batch[:2])) < 1e-6) == is_zero


def test_the_rate_rises_stays_and_falls_to_0():
    config = replace(SMALL, warmup=0.1, decay=0.4)
    assert [rate_at(share, config) for share in (0.0, 0.05, 0.1, 0.6)] == pytest.approx([0, 0.5, 1, 1])
    assert [rate_at(share, config) for share in (0.8, 0.9, 1.0, 1.2)] == pytest.approx([0.5, 0.25, 0, 0])


def test_a_pretraining_in_slices_goes_on_where_it_was(tmp_path, short):
    config = replace(SMALL, minutes=0.5, output=str(tmp_path / "run"))
    said = []
    assert pretrain(replace(config, slice_minutes=0.2), said.append) is None
    assert not (tmp_path / "run" / pretraining.WEIGHTS).exists()
    state = weights_in(tmp_path / "run" / pretraining.STATE)
    assert pretrain(config, said.append) == tmp_path / "run"
    first = int(said[0].split("step ")[1].split(" ")[0]), int(said[2].split("step ")[1].split(" ")[0])
    assert first == (0, 12)  # a second each
    rows = [json.loads(line) for line in (tmp_path / "run" / pretraining.LOG).read_text().splitlines()]
    assert [row["step"] for row in rows] == [5, 10, 15, 20, 25, 30]
    assert rows[-1]["windows"] > rows[0]["windows"] > 0
    weights = weights_in(tmp_path / "run" / pretraining.WEIGHTS)
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert not torch.equal(weights["norm.weight"].float(), state["weights.norm.weight"])


@pytest.mark.slow
def test_what_is_continued_differs_from_a_run_in_one_piece_by_rounding_of_the_momenta_alone(tmp_path, short):
    whole, parts = (replace(SMALL, minutes=0.4, output=str(tmp_path / name)) for name in ("whole", "parts"))
    pretrain(whole, str)
    pretrain(replace(parts, slice_minutes=0.2), str)
    pretrain(parts, str)
    a, b = (weights_in(tmp_path / name / pretraining.WEIGHTS) for name in ("whole", "parts"))
    start = dict(network_of(SMALL).named_parameters())
    moved = max(float((a[name].float() - start[name]).detach().abs().max()) for name in a)
    apart = max(float((a[name].float() - b[name].float()).abs().max()) for name in a)
    assert moved > 1e-2
    assert apart < moved / 20


def test_other_settings_do_not_go_on_with_a_state(tmp_path, short):
    config = replace(SMALL, minutes=0.2, slice_minutes=0.05, output=str(tmp_path / "run"))
    pretrain(config, str)
    with pytest.raises(ValueError, match="other settings"):
        pretrain(replace(config, prior={"counts": 1.0}), str)
    shipped = replace(config, start="shipped")
    assert comparable(replace(shipped, train="intervals")) != comparable(shipped) == comparable(replace(shipped, minutes=1.0))
    pretrain(replace(config, learning_rate=0.1), str)  # rates may change at a stop
    assert json.loads((tmp_path / "run" / pretraining.LOG).read_text().splitlines()[-1])["step"] == 5


def test_it_may_begin_with_the_weights_that_ship_and_says_so(tmp_path, short):
    from tsattn import zero_shot

    config = replace(SMALL, model=PretrainConfig().model, start="shipped", minutes=0.03, output=str(tmp_path))
    shipped = zero_shot.pretrained()
    first, own = dict(network_of(config).named_parameters()), dict(shipped.network.named_parameters())
    assert all(torch.equal(p, own[name]) for name, p in first.items() if name in own)
    assert {*own} <= {*first}
    assert not any(p.any() for name, p in first.items() if name not in own)
    pretrain(config, str)
    facts = json.loads((tmp_path / "manifest.json").read_text())
    assert facts["began_with"]["sha256"] == shipped.sha256 != facts["sha256"]
    assert facts["began_with"]["windows"] == shipped.facts["windows"]


def test_intervals_alone_are_not_trained_around_medians_that_are_not():
    with pytest.raises(ValueError, match="start=shipped"):
        PretrainConfig(train="intervals")


def test_intervals_alone_may_be_trained_and_every_median_stays(tmp_path, short):
    config = replace(
        SMALL, model=PretrainConfig().model, start="shipped", train="intervals", minutes=0.05, output=str(tmp_path)
    )
    before = network_of(config).eval()
    pretrain(config, str)
    after = network_of(config).eval()
    missing = after.load_state_dict(
        {name: p.float() for name, p in weights_in(tmp_path / pretraining.WEIGHTS).items()}, strict=False
    )
    assert missing.missing_keys == ["head.widening"]
    assert after.copy.widen.weight.any()
    values = torch.randn(3, 64, 1, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, expected = (network(values, values > -2, None, 32)[0] for network in (after, before))
    middle = before.head.middle
    assert torch.equal(found[..., middle], expected[..., middle])
    assert not torch.equal(found[..., 0], expected[..., 0])


def test_a_loss_that_is_no_number_ends_it_and_the_state_stays(tmp_path, short, monkeypatch):
    monkeypatch.setattr(pretraining, "loss_of", lambda network, batch: network.norm.weight.sum() * torch.nan)
    with pytest.raises(ValueError, match="is no number"):
        pretrain(replace(SMALL, minutes=0.5, output=str(tmp_path)), str)
    assert not (tmp_path / pretraining.WEIGHTS).exists()


def test_a_share_of_the_first_weights_is_left_in_those_that_were_trained_on(tmp_path, short):
    from tsattn import zero_shot

    config = replace(SMALL, model=PretrainConfig().model, start="shipped", minutes=0.03, output=str(tmp_path), blend=0.25)
    assert pretrain(config, lambda _: None) == tmp_path
    found, state = weights_in(tmp_path / pretraining.WEIGHTS), weights_in(tmp_path / pretraining.STATE)
    for name, first in zero_shot.pretrained().network.named_parameters():
        trained = state[f"weights.{name}"] + state[f"average.{name}"].float()
        expected = 0.25 * first.detach() + 0.75 * trained
        torch.testing.assert_close(found[name].float(), expected, rtol=2e-3, atol=2e-5)
    assert json.loads((tmp_path / "manifest.json").read_text())["config"]["blend"] == 0.25


def test_weights_that_are_no_numbers_are_neither_shipped_nor_saved(tmp_path, short, monkeypatch):
    sliced = replace(SMALL, minutes=0.2, slice_minutes=0.1, output=str(tmp_path))
    assert pretrain(sliced, str) is None
    before = (tmp_path / pretraining.STATE).read_bytes()
    monkeypatch.setattr(pretraining, "loss_of", lambda network, batch: network.norm.weight.sum() * torch.nan)
    monkeypatch.setattr(pretraining, "LOG_STEPS", 10_000)
    with pytest.raises(ValueError, match="no finite number"):
        pretrain(sliced, str)
    assert (tmp_path / pretraining.STATE).read_bytes() == before
    assert not (tmp_path / pretraining.WEIGHTS).exists()


def test_a_bank_of_other_series_in_the_folder_is_not_taken(tmp_path):
    first = make_bank(({"economic": 1.0},) * 3, (3, 3, 3), seed=0, folder=tmp_path)
    again = make_bank(({"economic": 1.0},) * 3, (3, 3, 3), seed=0, folder=tmp_path)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert len(list(tmp_path.iterdir())) == 3
    for prior, seed in (({"counts": 1.0}, 0), ({"economic": 1.0}, 1)):
        other = make_bank((prior,) * 3, (3, 3, 3), seed=seed, folder=tmp_path)
        assert not torch.equal(first.short, other.short)


def test_weights_that_ship_are_not_put_into_another_model():
    with pytest.raises(ValueError, match="of another model"):
        network_of(replace(SMALL, start="shipped"))


def losses_of(network, config, bank):
    """The loss of each length on windows that no training draws."""
    with torch.inference_mode():
        drawn = [batch_of(length, bank, Generator().manual_seed(2_147_000_000 + length.context)) for length in config.lengths]
        return [float(loss_of(network, batch)) for batch in drawn]


@pytest.mark.slow
def test_training_lowers_the_loss_on_windows_that_are_not_trained_on(tmp_path, short, monkeypatch):
    """On walks with a season, which so small a network can learn from so few; of the whole prior it learns 4 % at most."""
    trained, fresh = (make_bank(({"seasonal_walk": 1.0},) * 3, (40, 40, 10), seed=seed) for seed in (0, 1))
    monkeypatch.setattr(pretraining, "make_bank", lambda *_, **__: trained)
    config = replace(SMALL, minutes=4.0, learning_rate=1e-2, output=str(tmp_path))
    before = losses_of(network_of(config), config, fresh)
    pretrain(config, str)
    network = network_of(config)
    network.load_state_dict(
        {**network.state_dict(), **{k: v.float() for k, v in weights_in(tmp_path / pretraining.WEIGHTS).items()}}
    )
    after = losses_of(network, config, fresh)
    assert np.mean(after) < 0.7 * np.mean(before)


GUARD = """
import socket, sys
socket.socket.connect = None
opened = []
def watch(event, args):
    if event == "open" and isinstance(args[0], str) and args[0].endswith((".csv", ".parquet", ".gz", ".xlsx")):
        opened.append(args[0])
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind"):
        opened.append(event)
sys.addaudithook(watch)
from tsattn.config import PatchConfig
from tsattn.pretrain_config import LengthConfig, PretrainConfig
from tsattn.training.pretraining import pretrain
model = PatchConfig(d_model=16, num_layers=1, num_heads=2, d_ff=16, head="quantile", positional="rotary", copying="spread")
pretrain(PretrainConfig(output="run", minutes=0.02, accelerator="cpu", model=model, short_series=20, medium_series=20,
    long_series=5, lengths=[LengthConfig(32, 2, 8, 1.0)]), str)
assert not opened, opened
assert not {"hydra", "pytorch_lightning", "pandas"} & set(sys.modules), "pretraining needs none of these"
"""


@pytest.mark.slow
def test_pretraining_reads_no_data_opens_no_socket_and_needs_neither_hydra_nor_lightning(tmp_path):
    ran = subprocess.run([sys.executable, "-c", GUARD], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "run" / pretraining.WEIGHTS).exists()


def test_the_state_of_the_model_that_ships_fits_15_megabytes(tmp_path, short):
    config = replace(SMALL, model=PretrainConfig().model, minutes=0.03, output=str(tmp_path))
    pretrain(config, str)
    assert 14e6 < (tmp_path / pretraining.STATE).stat().st_size < 15e6
    assert 1e6 < sum(p.numel() for p in network_of(config).parameters()) < 5e6
