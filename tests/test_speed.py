"""The benchmark of speed: how it counts, by hand; that what makes training fast changes nothing; and a rehearsal of it all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tsattn.config import EncoderConfig, TrainerConfig
from tsattn.data.panel import Panel
from tsattn.data.windows import gather, panel_tensors, windows_between
from tsattn.fitted import Settings, build_network
from tsattn.nn.layers import SelfAttention
from tsattn.training import fit

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from speed_parts import data_path, growth, profiling, shapes, targets, workers  # noqa: E402
from speed_parts.turns import peak_rss, rss  # noqa: E402

ON_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")

# ---- how it counts -----------------------------------------------------------------------------------------------------


def figure(*values: float) -> dict:
    return workers.measured(values)


def test_a_figure_is_a_median_with_its_range_and_a_rate_that_of_the_turns():
    assert workers.measured([3.0, 1.0, 2.0], 10.0) == {"median": 20.0, "range": [10.0, 30.0], "repeats": 3}
    assert workers.rate(100, [2.0, 4.0, 5.0]) == {"median": 25.0, "range": [20.0, 50.0], "repeats": 3}


@pytest.mark.parametrize(
    ("target", "found", "value", "reached"),
    [
        (targets.Target("a", "", "s", most=0.2), {"ours": figure(0.2)}, 0.2, "yes"),
        (targets.Target("a", "", "s", most=0.2), {"ours": figure(0.3)}, 0.3, "missed"),
        (targets.Target("a", "", "s", "them", least=2.0), {"ours": figure(8.0), "peer": figure(4.0)}, 2.0, "yes"),
        (targets.Target("a", "", "s", "them", least=2.0), {"ours": figure(8.0), "peer": figure(5.0)}, 1.6, "missed"),
        (targets.Target("a", "", "", "them", least=0.9, most=1.1), {"ours": figure(6.0), "peer": figure(5.0)}, 1.2, "missed"),
        (targets.Target("a", "", "s", "them", least=2.0), {"ours": figure(8.0)}, None, "not measured"),
    ],
)
def test_a_target_is_reached_by_the_figure_or_by_the_ratio_to_the_peer(target, found, value, reached):
    assert targets.value_of(target, found) == value
    assert targets.reached(target, found) == reached


def test_the_table_shows_both_sides_their_ratio_and_the_target():
    measured = {"help": {"ours": figure(0.1, 0.12, 0.15)}, "predict": {"ours": figure(2.0), "peer": figure(1.0)}}
    lines = targets.table({"starting": {"rows": targets.rows("starting", measured)}}).splitlines()
    predict, shown = targets.TARGETS["starting"][1], "| 2 s | `import torch`: 1 s | 2 | at most 2.5 times | yes |"
    assert lines[2:] == [
        f"| {predict.what} {shown}",
        "| `python -m tsattn.train --help` | 0.12 (0.1 to 0.15) s |  |  | at most 1.5 s | yes |",
    ]
    without = targets.rows("profile", {"32": {"ours": figure(40.0)}})
    assert targets.table({"profile": {"rows": without}}).splitlines()[2].endswith("| 40 % |  |  |  |  |")


def test_growth_is_the_cost_of_one_at_the_largest_size_over_that_at_the_middle():
    linear = {1: [1.0, 2.0], 10: [10.0], 100: [100.0, 130.0]}
    square = {1: [1.0], 2: [2.0], 4: [4.0], 8: [16.0], 16: [64.0]}
    assert growth.unit_growth(linear) == 1.0
    assert growth.unit_growth(square) == 4.0
    assert growth.size_growth({1000: [2.0], 100_000: [3.0, 2.5]}) == 1.25
    assert growth.leaves_linear(linear) is None
    assert growth.leaves_linear(square) == 8


def test_what_is_done_once_is_given_again():
    made = iter(range(5))
    same = data_path.once(lambda _: next(made))
    assert [same("a"), same("b"), next(made)] == [0, 0, 1]


@ON_LINUX
def test_the_peak_is_at_least_what_is_held():
    held = rss()
    more = np.ones(10_000_000)
    assert peak_rss() >= rss() >= held + 0.9 * more.nbytes


def test_networks_beside_the_peers_have_their_shape():
    patchtst, transformer = shapes.like_patchtst(), shapes.like_transformer()
    assert patchtst.model.num_tokens(patchtst.context_length, patchtst.horizon) == (64, 12)
    network = shapes.network_of(transformer)
    assert (len(network.encoder), len(network.decoder)) == (2, 1)
    found = shapes.our_sizes(shapes.network_of(shapes.tiny()), shapes.tiny())
    assert found["parameters"] > found["block_parameters"] > 0
    assert 1.5e6 < sum(p.numel() for p in shapes.network_of(shapes.two_million()).parameters()) < 3e6


# ---- what makes it fast changes nothing --------------------------------------------------------------------------------


def test_one_matrix_for_queries_keys_and_values_gives_what_three_give():
    torch.manual_seed(0)
    attention, x = SelfAttention(12, 3), torch.randn(2, 5, 12)
    for one, other in zip(attention.project(x), profiling.separate_projections(attention, x), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def waves(num_rows: int = 400) -> Panel:
    rng = np.random.default_rng(0)
    return shapes.panel_of(np.sin(np.arange(num_rows) * 2 * np.pi / 12)[None] + 0.1 * rng.normal(size=(2, num_rows)))


def losses(precision: str) -> tuple[float, float]:
    """Loss on later rows, in float32, before and after a training in this precision."""
    model = EncoderConfig(patch_length=4, d_model=32, num_layers=2, num_heads=2, d_ff=64, positional="rotary", head="quantile")
    levels = (0.1, 0.5, 0.9)
    network = build_network(Settings(8, 24, levels, levels, 0, "encoder", model), 0)
    panel = waves()
    held_out = panel_tensors(panel), torch.tensor([0, 1] * 20), torch.arange(340, 380)

    def loss() -> float:
        batch = gather(*held_out, context_length=24, horizon=8)
        with torch.no_grad():
            raw, scale = network(batch.context, batch.observed, None, 8)
            return float(network.head.loss(raw, batch.target, batch.target_observed, scale))

    before = loss()
    windows = windows_between(np.full(2, 24), np.full(2, 320))
    config = TrainerConfig(accelerator="cpu", precision=precision, max_steps=60, warmup_steps=5, batch_size=32, progress=False)
    data = fit.TrainData(panel_tensors(panel, np.full(2, 330)), windows, panel.ids)
    fit.train(network, data, config, context_length=24, horizon=8, seed=0, steps=60)
    return before, loss()


@pytest.mark.slow
def test_training_in_half_precision_is_as_accurate_as_in_float32():
    before, plain = losses("32")
    _, half = losses("bf16")
    assert plain < 0.5 * before
    assert half == pytest.approx(plain, rel=0.05)


def test_forecasts_in_half_precision_are_those_of_float32_within_two_per_cent_of_the_spread():
    shape = shapes.tiny()
    network = shapes.network_of(shape)
    values = torch.from_numpy(shapes.waves(8, shape.context_length))[..., None]

    def forecast(half: bool) -> torch.Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            raw, scale = network(values, ~values.isnan(), None, shape.horizon)
            return network.head.quantiles(raw, scale)

    plain, half = forecast(False), forecast(True)
    assert not torch.equal(plain, half)
    assert float((half - plain).abs().max()) < 0.02 * float(values.std())


# ---- all of it ---------------------------------------------------------------------------------------------------------


def script(*arguments: str) -> str:
    command = [sys.executable, str(BENCHMARKS / "speed.py"), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


@ON_LINUX
@pytest.mark.slow
def test_a_rehearsal_answers_every_question_and_writes_nothing():
    kept = {path: path.stat().st_mtime_ns for path in (BENCHMARKS / "README.md", *BENCHMARKS.rglob("results/speed/*"))}
    told = script("--quick")
    for question in (
        "patchtst",
        "transformer",
        "forecasting",
        "tables",
        "starting",
        "data_path",
        "memory",
        "growth",
        "profile",
    ):
        shown = [target for target in targets.TARGETS[question] if f"| {target.what} |" in told]
        assert len(shown) >= 1, question
    assert {path: path.stat().st_mtime_ns for path in (BENCHMARKS / "README.md", *BENCHMARKS.rglob("results/speed/*"))} == kept


@ON_LINUX
@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_question_for_a_gpu_runs_small_without_one():
    told = script("--gpu", "--quick")
    assert "| times that the host waits for the GPU in three steps | 0 |" in told
