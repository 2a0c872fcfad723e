"""Training: what is drawn, what is logged, which weights are kept, and how it breaks down."""

from __future__ import annotations

import copy
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from rich.console import Console
from torch import nn

from tsattn.config import EncoderConfig, EncoderDecoderConfig, PatchConfig, TrainerConfig
from tsattn.data.panel import Panel
from tsattn.data.windows import panel_tensors, windows_between
from tsattn.fitted import Settings, build_network
from tsattn.models.encoder import Encoder
from tsattn.models.encoder_decoder import EncoderDecoder
from tsattn.training.callbacks import BestWeights, TrainingError
from tsattn.training.fit import Reporting, TrainData, Trained, train
from tsattn.training.machine import operations_of, own_random_state, resolve_device, threads_for
from tsattn.training.module import PHASES, ForecastModule
from tsattn.training.stream import BatchStream, chances_of, default_batch_size, validation_batches

CONTEXT, HORIZON = 6, 2


class Scale(NamedTuple):
    """No scaling."""


class Constant(nn.Module):
    """Forecasts one learned number; its loss is the absolute error. Everything about it can be worked out by hand."""

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.tensor([start]))

    @property
    def head(self):
        return self

    def forward(self, context, observed, features, num_future):
        return self.level.expand(len(context), num_future, 1), Scale()

    def loss(self, raw, target, observed, scale):
        return ((raw - target).abs() * observed).sum() / observed.sum()


def panel_of(*series: list[float]) -> Panel:
    """Series without calendar features, named s0, s1 ..."""
    lengths = [len(one) for one in series]
    values = np.concatenate(series).astype(np.float32)[:, None]
    indptr = np.cumsum([0, *lengths]).astype(np.int64)
    names = tuple(f"s{i}" for i in range(len(series)))
    return Panel(
        values,
        indptr,
        np.zeros(len(series), np.int64),
        np.zeros((1, 0), np.float32),
        "D",
        names,
        np.zeros(len(series), np.int64),
    )


def data_of(panel: Panel, *, last: list[int] | None = None, validation: list[tuple[int, int]] | None = None) -> TrainData:
    """Every window whose targets end by row `last` of its series, and validation windows (series, cut)."""
    end = panel.lengths if last is None else np.array(last)
    held_out = None if validation is None else tuple(np.array(part) for part in zip(*validation, strict=True))
    windows = windows_between(np.ones(len(end), np.int64), end - HORIZON)
    whole = torch.from_numpy(panel.indptr[1:])
    return TrainData(panel_tensors(panel, end), windows, panel.ids, held_out, None if held_out is None else whole)


def settings(**changes) -> TrainerConfig:
    return TrainerConfig(**{"accelerator": "cpu", "max_steps": 20, "validate_every": 5, "warmup_steps": 1, **changes})


def run(model: nn.Module, data: TrainData, config: TrainerConfig | None = None, **options) -> Trained:
    return train(model, data, config or settings(), context_length=CONTEXT, horizon=HORIZON, seed=0, **options)


def module_of(model: nn.Module, data: TrainData) -> ForecastModule:
    return ForecastModule(model, data.panel, settings(), context_length=CONTEXT, horizon=HORIZON)


# ---- batches -----------------------------------------------------------------------------------------------------------


def test_a_batch_depends_on_seed_and_step_alone():
    windows = windows_between(np.array([1, 3, 0]), np.array([40, 2, 25]))
    streamed = [batch for batch, _ in zip(BatchStream(windows, 16, 7), range(5), strict=False)]
    for step in (4, 0, 2):
        for drawn, again in zip(streamed[step], BatchStream(windows, 16, 7).batch(step), strict=True):
            assert torch.equal(drawn, again)
    assert not torch.equal(streamed[0][1], streamed[1][1])
    assert not torch.equal(streamed[0][1], BatchStream(windows, 16, 8).batch(0)[1])


def drawn_series(windows, chances) -> np.ndarray:
    stream = BatchStream(windows, 200, 0, chances)
    return np.concatenate([stream.batch(step)[0].numpy() for step in range(100)])


def test_sampling_by_series_draws_long_and_short_ones_alike():
    windows = windows_between(np.array([1, 5, 2, 0]), np.array([30, 4, 2, 8]))  # 30, 0, 1 and 9 windows
    share = np.bincount(drawn_series(windows, chances_of(windows, "series", None)), minlength=4) / 20_000
    np.testing.assert_allclose(share, [1 / 3, 0, 1 / 3, 1 / 3], atol=0.015)


def test_weights_multiply_the_chance_of_a_series():
    windows = windows_between(np.array([1, 5, 2, 0]), np.array([30, 4, 2, 8]))
    weights = np.array([1.0, 9.0, 4.0, 2.0])
    by_window = np.bincount(drawn_series(windows, chances_of(windows, "window", weights)), minlength=4) / 20_000
    np.testing.assert_allclose(by_window, np.array([30, 0, 4, 18]) / 52, atol=0.015)
    by_series = np.bincount(drawn_series(windows, chances_of(windows, "series", weights)), minlength=4) / 20_000
    np.testing.assert_allclose(by_series, np.array([1, 0, 4, 2]) / 7, atol=0.015)
    stream = BatchStream(windows, 500, 0, chances_of(windows, "series", weights))
    series, cut = stream.batch(3)
    assert set(cut[series == 3].tolist()) == set(range(9))
    assert chances_of(windows, "window", None) is None


def test_windows_are_drawn_uniformly_over_long_and_short_series():
    windows = windows_between(np.array([1, 5, 2, 0]), np.array([30, 4, 2, 8]))  # 30, 0, 1 and 9 windows
    stream = BatchStream(windows, 100, 0)
    drawn: Counter = Counter()
    for step in range(100):
        drawn.update(zip(*(part.tolist() for part in stream.batch(step)), strict=True))
    expected = {(0, cut) for cut in range(1, 31)} | {(2, 2)} | {(3, cut) for cut in range(9)}
    assert set(drawn) == expected
    mean = 10_000 / 40
    chi_squared = sum((count - mean) ** 2 / mean for count in drawn.values())
    assert chi_squared < 72  # 39 degrees of freedom: exceeded once in a thousand draws


@pytest.mark.parametrize(("windows", "size"), [(1, 16), (100, 16), (256, 32), (1024, 128), (10**6, 128)])
def test_the_default_batch_is_an_eighth_of_the_windows_within_bounds(windows, size):
    assert default_batch_size(windows) == size


# ---- what is learned and kept ------------------------------------------------------------------------------------------


def test_the_loss_of_the_encoder_falls_on_a_series_that_can_be_learned(tmp_path):
    wave = (10 + 5 * np.sin(np.arange(80) * 2 * np.pi / 4)).tolist()
    model = EncoderConfig(patch_length=1, d_model=16, num_layers=1, num_heads=1, d_ff=16, head="point", positional="rotary")
    network = build_network(Settings(HORIZON, CONTEXT, (0.5,), (0.5,), 0, "encoder", model), 0)
    run(
        network,
        data_of(panel_of(wave)),
        settings(max_steps=60, log_every=5, learning_rate=5e-3),
        steps=60,
        reporting=Reporting(tmp_path),
    )
    losses = pd.read_csv(tmp_path / "logs" / "training" / "metrics.csv")["loss"]
    assert len(losses) == 12
    assert losses.iloc[-3:].mean() < 0.5 * losses.iloc[0]


def test_early_stopping_keeps_the_averaged_weights_with_the_lowest_validation_loss():
    panel = panel_of([10.0] * 30 + [3.0] * 4)  # training pulls the level to 10, validation wants 3
    data = data_of(panel, last=[30], validation=[(0, 30), (0, 32)])
    model = Constant()
    trained = run(model, data, settings(max_steps=400, validate_every=1, patience=20, learning_rate=0.1, weight_decay=0.0))
    losses = dict(trained.history)
    best = min(losses, key=lambda step: losses[step])
    assert trained.steps == best
    assert trained.validation_loss == losses[best] < 0.2
    assert abs(model.level.item() - 3) == pytest.approx(trained.validation_loss, abs=1e-6)
    assert max(losses) == best + 20  # patience: so many looks without improvement, then it ends
    assert list(losses) == list(range(1, best + 21))
    assert not model.training


def test_a_validation_loss_is_the_mean_over_all_windows_of_all_batches():
    panel = panel_of([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.0, 0.0, 0.0, 9.0, 0.0, 0.0])
    windows = [(0, 1), (0, 2), (0, 4), (1, 2), (1, 3)]  # batches of 2, 2 and 1
    data = data_of(panel, validation=windows)
    module = module_of(Constant(2.0), data)
    batches = validation_batches(*data.validation, 2)
    look = BestWeights(batches, data.validation_end, every=1, patience=1)
    look.average = [torch.tensor([1.5])]
    with torch.no_grad():
        found = look.validate(module)
    series = [panel.values[:6, 0], panel.values[6:, 0]]
    by_hand = np.mean([np.abs(series[s][cut : cut + HORIZON] - 1.5).mean() for s, cut in windows])
    assert [len(cut) for _, cut in batches] == [2, 2, 1]
    assert found == pytest.approx(by_hand, rel=1e-6)
    assert module.model.level.item() == 2.0  # the weights in training are back
    assert module.model.training


def test_a_validation_loss_weighs_each_observed_value_the_same():
    panel = panel_of([1.0, np.nan, 3.0, 4.0, 7.0, np.nan, np.nan, np.nan])
    data = data_of(panel, validation=[(0, 1), (0, 2), (0, 3), (0, 5), (0, 6)])  # 1 + 2, 2 + 0 and 0 values observed
    look = BestWeights(validation_batches(*data.validation, 2), data.validation_end, every=1, patience=1)
    look.average = [torch.tensor([0.0])]
    with torch.no_grad():
        found = look.validate(module_of(Constant(), data))
    assert found == pytest.approx(np.mean([3.0, 3.0, 4.0, 4.0, 7.0]))


@pytest.mark.parametrize("windows", [[(0, 20)], []])
def test_without_a_value_to_validate_by_training_runs_for_a_third_of_the_steps_and_says_so(capsys, windows):
    panel = panel_of([5.0] * 20 + [np.nan] * 4)
    data = data_of(panel, last=[20], validation=[(0, 20)])
    data = data._replace(validation=tuple(np.array([w[i] for w in windows], np.int64) for i in range(2)))
    console = Console(force_terminal=False, soft_wrap=True)
    model = Constant()
    trained = run(model, data, settings(max_steps=20, progress=False), reporting=Reporting(None, console), name="a head")
    assert (trained.steps, trained.history, trained.validation_loss) == (6, [], float("inf"))
    assert trained.note == "a head: the validation rows hold no value, so training cannot stop by them: it runs for 6 steps"
    assert capsys.readouterr().out == f"! {trained.note}\n"
    assert np.isfinite(model.level.item())


def test_validation_windows_go_to_the_device_once(monkeypatch):
    data = data_of(panel_of([5.0] * 30), validation=[(0, 20), (0, 22)])
    trainer = object.__new__(pl.Trainer)
    look = BestWeights(validation_batches(*data.validation), data.validation_end, every=1, patience=1)
    module = module_of(Constant(), data)
    look.on_train_start(trainer, module)
    monkeypatch.setattr(torch.Tensor, "to", None)
    with torch.no_grad():
        look.validate(module)
    monkeypatch.undo()
    look.on_train_start(trainer, module.to("meta"))  # stands for a GPU
    assert {part.device.type for part in (*look.windows[0], look.end)} == {"meta"}


def test_seconds_of_validation_are_booked_as_such():
    class Slow(Constant):
        def loss(self, raw, target, observed, scale):
            if not self.training:
                time.sleep(0.02)
            return super().loss(raw, target, observed, scale)

    data = data_of(panel_of([5.0] * 30), validation=[(0, 20)])
    seconds = run(Slow(), data, settings(max_steps=10, validate_every=1)).seconds
    assert seconds["validation"] >= 0.2
    assert sum(seconds[phase] for phase in PHASES) <= seconds["total"]


@pytest.mark.parametrize(("steps", "rows"), [(3, [3]), (4, [4]), (6, [4, 6])])
def test_the_last_steps_are_logged_too_and_a_short_training_has_a_row(tmp_path, steps, rows):
    run(Constant(), data_of(panel_of([5.0] * 30)), settings(max_steps=steps, log_every=4), reporting=Reporting(tmp_path))
    assert pd.read_csv(tmp_path / "logs" / "training" / "metrics.csv")["step"].tolist() == rows


def test_validation_reads_targets_beyond_the_training_rows_and_training_does_not():
    panel = panel_of([10.0] * 20 + [1e6] * 5)
    model = Constant(10.0)
    trained = run(model, data_of(panel, last=[20], validation=[(0, 22)]), settings(max_steps=5, weight_decay=0.0))
    assert model.level.item() == pytest.approx(10, abs=0.05)
    assert trained.validation_loss == pytest.approx(1e6, rel=1e-3)


def test_a_given_number_of_steps_is_run_to_its_end_without_validation(tmp_path):
    data = data_of(panel_of([5.0] * 30), validation=[(0, 4)])
    trained = run(Constant(), data, settings(max_steps=9), steps=13)
    assert (trained.steps, trained.history, trained.validation_loss) == (13, [], float("inf"))


def test_the_same_seed_gives_the_same_weights_and_another_one_does_not():
    data = data_of(panel_of(list(np.random.default_rng(0).normal(0, 1, 60))))
    levels = []
    for seed in (0, 0, 1):
        model = Constant()
        train(model, data, settings(), context_length=CONTEXT, horizon=HORIZON, seed=seed)
        levels.append(model.level.item())
    assert levels[0] == levels[1] != levels[2]


def test_the_learning_rate_warms_up_and_falls_to_a_tenth():
    module = module_of(Constant(), data_of(panel_of([5.0] * 30)))
    module.settings = settings(max_steps=110, warmup_steps=10, learning_rate=1.0)
    made = module.configure_optimizers()
    factor = made["lr_scheduler"]["scheduler"].lr_lambdas[0]
    assert [factor(step) for step in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert [factor(step) for step in (10, 60, 110, 500)] == pytest.approx([1.0, 0.55, 0.1, 0.1])


def test_only_matrices_decay():
    linear = nn.Linear(3, 2)
    linear.head = Constant()
    groups = module_of(linear, data_of(panel_of([5.0] * 30))).configure_optimizers()["optimizer"].param_groups
    decays = {tuple(p.shape): group["weight_decay"] for group in groups for p in group["params"]}
    assert decays == {(2, 3): 0.01, (2,): 0.0, (1,): 0.0}


# ---- breaking down -----------------------------------------------------------------------------------------------------


class Breaking(Constant):
    """Loses its finite loss, or only its finite gradient, in training step `at` (from 0)."""

    def __init__(self, at: int, how: str) -> None:
        super().__init__()
        self.at, self.how, self.calls, self.before = at, how, 0, None

    def loss(self, raw, target, observed, scale):
        loss = super().loss(raw, target, observed, scale)
        if self.training and self.calls == self.at:
            self.before = copy.deepcopy(self.level.detach())
            bad = {"nan": loss * float("nan"), "inf": loss + float("inf")}
            loss = bad[self.how] if self.how in bad else loss + (self.level - self.level.detach()).sqrt().sum()
        self.calls += self.training
        return loss


@pytest.mark.parametrize("how", ["nan", "inf", "gradient"])
@pytest.mark.parametrize("at", [0, 7, 19])
def test_a_loss_or_gradient_that_is_not_finite_stops_training_and_names_the_series(how, at):
    panel = panel_of(*[[float(i)] * 20 for i in range(8)])
    data = data_of(panel)
    with pytest.raises(TrainingError) as caught:
        run(Breaking(at, how), data, settings(log_every=3, batch_size=2))
    drawn = {f"'s{s}'" for s in BatchStream(data.windows, 2, 0).batch(at)[0].tolist()}
    named = {f"'s{s}'" for s in range(8) if f"'s{s}'" in str(caught.value)}
    assert f"not finite in step {at}," in str(caught.value)
    assert named == drawn
    assert "trainer.learning_rate (now 0.002)" in str(caught.value)


def test_a_loss_that_rises_a_thousandfold_ends_training_and_says_what_to_try():
    class Exploding(Constant):
        """Its loss is 1 for four steps and then 5,000."""

        calls = 0

        def loss(self, raw, target, observed, scale):
            self.calls += 1
            return super().loss(raw, target, observed, scale) * 0 + (1.0 if self.calls <= 4 else 5000.0)

    with pytest.raises(TrainingError, match=r"the loss rose from 1 to 5e\+03 by step 8\. Try a smaller trainer\.learning_rate"):
        run(Exploding(), data_of(panel_of([5.0] * 30)), settings(log_every=4))


def test_many_series_are_named_in_part():
    panel = panel_of(*[[float(i)] * 20 for i in range(20)])
    with pytest.raises(TrainingError, match=r"holds series ('s\d+', ){4}'s\d+' and \d+ more;"):
        run(Breaking(1, "nan"), data_of(panel), settings(batch_size=64))


def test_no_weights_from_after_the_failure_become_the_best(monkeypatch):
    kept = []
    original = BestWeights.look

    def look(self, trainer, module, step):
        original(self, trainer, module, step)
        kept.append((step, float(self.best[0])))

    monkeypatch.setattr(BestWeights, "look", look)
    data = data_of(panel_of([10.0] * 30), validation=[(0, 20)])
    with pytest.raises(TrainingError, match="not finite in step 12,"):
        run(Breaking(12, "nan"), data, settings(validate_every=5, log_every=1000))
    assert [step for step, _ in kept] == [5, 10]
    assert all(np.isfinite(level) for _, level in kept)


@pytest.mark.parametrize(("sent", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_ends_training_as_python_knows_it_and_leaves_the_handlers_alone(sent, raised):
    class Interrupted(Constant):
        def loss(self, raw, target, observed, scale):
            signal.raise_signal(sent)
            return super().loss(raw, target, observed, scale)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(raised) as caught:
        run(Interrupted(), data_of(panel_of([5.0] * 30)))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert getattr(caught.value, "code", 143) == 143
    signal.signal(signal.SIGINT, before)


# ---- what is reported --------------------------------------------------------------------------------------------------


def test_the_log_has_loss_learning_rate_and_seconds_of_every_phase(tmp_path):
    data = data_of(panel_of([5.0] * 30), validation=[(0, 20)])
    trained = run(Constant(), data, settings(log_every=4), reporting=Reporting(tmp_path), name="a part")
    log = pd.read_csv(tmp_path / "logs" / "a_part" / "metrics.csv")
    phases = [f"seconds_{phase}" for phase in PHASES]
    assert set(log.columns) == {"step", "loss", "learning_rate", *phases}
    assert log["step"].tolist() == [4, 8, 12, 16, 20]
    assert log["loss"].is_monotonic_decreasing
    assert (log[phases].diff().dropna() >= 0).all(axis=None)
    assert (log[phases].iloc[-1] > 0).all()
    assert sum(trained.seconds[phase] for phase in PHASES) <= trained.seconds["total"]


@pytest.mark.parametrize(("logger", "folder"), [("none", True), ("csv", False)])
def test_nothing_is_written_without_a_logger_or_a_folder(tmp_path, monkeypatch, logger, folder):
    monkeypatch.chdir(tmp_path)
    run(
        Constant(),
        data_of(panel_of([5.0] * 30)),
        settings(logger=logger, log_every=1),
        reporting=Reporting(tmp_path if folder else None),
    )
    assert list(tmp_path.iterdir()) == []


def test_plain_lines_tell_step_and_loss_where_there_is_no_terminal(capsys):
    console = Console(force_terminal=False, width=120)
    run(
        Constant(),
        data_of(panel_of([5.0] * 30)),
        settings(log_every=1),
        reporting=Reporting(None, console),
        name="quantile head",
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "  quantile head: step 8 of at most 20",
        "  quantile head: step 16 of at most 20",
    ]
    assert float(lines[0].rsplit(" ", 1)[1]) == pytest.approx(5, abs=0.1)


def test_progress_can_be_switched_off(capsys):
    console = Console(force_terminal=False)
    run(Constant(), data_of(panel_of([5.0] * 30)), settings(log_every=1, progress=False), reporting=Reporting(None, console))
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_a_bar_with_loss_and_time_left(capsys):
    console = Console(force_terminal=True, width=120)
    run(
        Constant(),
        data_of(panel_of([5.0] * 30)),
        settings(log_every=1),
        reporting=Reporting(None, console),
        name="quantile head",
    )
    out = capsys.readouterr().out
    assert "quantile head" in out
    assert "20/20" in out
    assert "loss" in out
    assert "0:00:00" in out


def test_without_a_console_training_is_silent(capfd):
    run(Constant(), data_of(panel_of([5.0] * 30)))
    assert capfd.readouterr() == ("", "")


# ---- devices -----------------------------------------------------------------------------------------------------------

DEVICES = [
    # accelerator, precision, (a GPU is there, it has bf16) -> Lightning's accelerator and precision
    ("auto", "auto", (False, False), ("cpu", "32-true")),
    ("auto", "auto", (True, True), ("gpu", "bf16-mixed")),
    ("auto", "auto", (True, False), ("gpu", "32-true")),
    ("auto", "32", (True, True), ("gpu", "32-true")),
    ("gpu", "auto", (True, True), ("gpu", "bf16-mixed")),
    ("gpu", "auto", (True, False), ("gpu", "32-true")),
    ("cpu", "auto", (True, True), ("cpu", "32-true")),
    ("cpu", "bf16", (False, False), ("cpu", "bf16-mixed")),
]


@pytest.mark.parametrize(("accelerator", "precision", "machine", "expected"), DEVICES)
def test_device_and_precision_follow_from_settings_and_machine(monkeypatch, accelerator, precision, machine, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: machine[0])
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: machine[1] or including_emulation)
    assert resolve_device(TrainerConfig(accelerator=accelerator, precision=precision)) == expected


@pytest.mark.parametrize("gpu", [False, True])
def test_only_the_generators_in_use_are_seeded_and_put_back(monkeypatch, gpu):
    forked = []
    original = torch.random.fork_rng
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: (forked.append(list(devices)), original(devices=[]))[1])
    monkeypatch.setattr(torch.cuda, "default_generators", [torch.Generator(), torch.Generator()])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", None)
    before = torch.get_rng_state(), torch.cuda.default_generators[1].get_state()
    with own_random_state(7, gpu=gpu):
        drawn = torch.rand(3)
    assert forked == [[0] if gpu else []]
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(7)))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert torch.equal(torch.cuda.default_generators[1].get_state(), before[1])
    assert (torch.cuda.default_generators[0].initial_seed() == 7) == gpu


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="trainer=gpu: this machine shows no CUDA device to torch; use trainer=auto"):
        resolve_device(TrainerConfig(accelerator="gpu"))


def test_the_panel_and_the_finite_flag_live_on_the_device_of_the_module():
    data = data_of(panel_of([5.0] * 30))
    module = module_of(Constant(), data).to("meta")  # stands for a GPU
    assert {part.device.type for part in module.panel} == {"meta"}
    assert module.first_bad_step.device.type == "meta"
    assert module.state_dict().keys() == {"model.level"}  # data are not part of the weights


def test_small_steps_are_taken_on_one_thread_and_the_number_of_threads_is_put_back():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threads_for(1e8):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with threads_for(1e11):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_operations_of_a_step_are_those_that_torch_counts():
    """Forwards, and twice as many backwards; attention itself, the head and the copies come on top of 2 for each parameter."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    config = PatchConfig(patch_length=8, d_model=64, num_layers=3, num_heads=2, d_ff=256, positional="learned", head="point")
    model = Encoder(config, num_features=0, context_length=128, horizon=32, levels=[0.5])
    context = torch.randn(4, 128, 1)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(context, torch.ones_like(context, dtype=torch.bool), None, 32)
    told = operations_of(model, windows=4, context_length=128, horizon=32)
    assert told == pytest.approx(3 * counter.get_total_flops(), rel=0.2)
    config = EncoderDecoderConfig(
        patch_length=8, d_model=64, num_layers=2, num_heads=2, d_ff=256, positional="learned", head="point"
    )
    other = EncoderDecoder(config, num_features=0, context_length=128, horizon=32, levels=[0.5])
    assert operations_of(other, windows=4, context_length=128, horizon=32) == 6 * 4 * 20 * sum(
        p.numel() for p in other.parameters()
    )
    assert operations_of(Constant(), windows=4, context_length=128, horizon=32) == 24  # one parameter, no tokens


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the C library of Linux")
def test_memory_is_kept_between_steps_and_goes_back_at_the_end():
    """In a process of its own, as thresholds of the C library are for all of it: pages that arrays of 64 MB cost, and hold."""
    code = """
import resource, torch
from tsattn.training.allocator import kept_memory
def pages():
    return int(open("/proc/self/statm").read().split()[1])
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
usual = faults()
with kept_memory():
    faults()
    print(usual, faults(), pages() * resource.getpagesize())
print(pages() * resource.getpagesize())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    usual, kept, held, after = map(int, done.stdout.split())
    if usual < 1000:
        pytest.skip("this C library keeps memory by itself")
    assert kept < usual / 10
    assert held - after > 6e7
