"""Threads and processes: what is done at once gives what it gives one after the other, and leaves the process as it was."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

import pandas as pd
import pytest
import torch

from tsattn import EncoderConfig, Forecaster, fitted, forecaster
from tsattn.nn.drawing import DrawFrom
from tsattn.store import weights_sha256
from tsattn.testing.conduct import global_state

NUM_THREADS = 8

# pandas sets warning filters for a moment when it casts, and two threads that do so at once may leave them set: the warnings
# module of Python before 3.14 keeps one list for all threads. (`astype` of masked arrays and of arrays; the dtype of a name.)
FILTERS_OF_PANDAS = {("ignore", None, RuntimeWarning, None, 0), ("always", None, DeprecationWarning, None, 0)}


@pytest.fixture(autouse=True)
def often_switched():
    """Threads take turns a thousand times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def dropping(quick):
    """Settings of a short training in which the random state matters at every step."""
    return lambda seed: replace(quick(model=EncoderConfig(head="quantile", d_model=8, dropout=0.3)), seed=seed)


def at_once(*calls):
    """The results of all calls, begun at the same moment in a thread each."""
    barrier = threading.Barrier(len(calls))

    def begin(call):
        barrier.wait(timeout=60)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result(timeout=300) for future in [pool.submit(begin, call) for call in calls]]


def other_table(df, k):
    """Another table of the same kind, as long as 120 - 5 k days, at another level."""
    last = sorted(df["day"].unique())[-5 * k - 1]
    return df[df["day"] <= last].assign(sold=lambda part: part["sold"] * (k + 1) + k)


def shared_state():
    """What all code of the process shares, but for the order of the warning filters and for those of pandas."""
    state = global_state()
    filters = set(state.pop("the warning filters")) - FILTERS_OF_PANDAS
    return repr(state), filters


# ---- threads -----------------------------------------------------------------------------------------------------------


def test_eight_threads_that_forecast_other_tables_with_one_forecaster_get_what_one_after_the_other_gets(trained, two_waves):
    parts = [other_table(two_waves, k) for k in range(NUM_THREADS)]
    expected = [trained.predict(part) for part in parts]
    assert not expected[0]["forecast"].equals(expected[1]["forecast"])
    before = shared_state()
    for _ in range(2):
        for found, wanted in zip(at_once(*(lambda part=part: trained.predict(part) for part in parts)), expected, strict=True):
            pd.testing.assert_frame_equal(found, wanted, check_exact=True)
    assert shared_state() == before


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of Lightning come up when a forecast in pandas puts back the filters of before
def test_fits_forecasts_and_loads_at_once_are_those_made_one_after_the_other(trained, trained_folder, two_waves, dropping):
    config = [dropping(seed) for seed in (0, 1)]
    serial = [weights_sha256(Forecaster(config=c).fit(two_waves).fitted_) for c in config]
    assert serial[0] != serial[1]
    expected = trained.predict()
    before = shared_state()
    done = threading.Event()

    def fitting(c):
        try:
            return weights_sha256(Forecaster(config=c).fit(two_waves).fitted_)
        finally:
            done.set()

    def forecasting():
        found = []
        while not done.is_set() or len(found) < 3:
            found.append(Forecaster.load(trained_folder).predict(two_waves))
            found.append(trained.predict())
        return found

    *weights, first, second = at_once(*(lambda c=c: fitting(c) for c in config), forecasting, forecasting)
    assert weights == serial
    for found in (*first, *second):
        assert found["forecast"].tolist() == expected["forecast"].tolist()
    assert shared_state() == before


@pytest.mark.slow
def test_two_fits_never_train_at_the_same_time(two_waves, dropping, monkeypatch):
    from tsattn.training import fit

    inside, most = [], []
    original = fit.pl.Trainer.fit

    def watched(trainer, *given, **named):
        inside.append(threading.get_ident())
        most.append(len(inside))
        try:
            return original(trainer, *given, **named)
        finally:
            inside.remove(threading.get_ident())

    monkeypatch.setattr(fit.pl.Trainer, "fit", watched)
    at_once(*(lambda seed=seed: Forecaster(config=dropping(seed)).fit(two_waves) for seed in range(3)))
    assert len(most) == 6  # each trains twice: to judge, and on all rows
    assert max(most) == 1


@pytest.mark.slow
def test_a_failed_training_lets_the_next_one_begin(two_waves, dropping):
    broken = replace(dropping(0), trainer=replace(dropping(0).trainer, learning_rate=1e30, warmup_steps=0))
    with pytest.raises(Exception, match="not finite"):
        Forecaster(config=broken).fit(two_waves)
    assert at_once(lambda: Forecaster(config=dropping(0)).fit(two_waves).verdict_)[0].answer


# ---- a forecaster that is fitted again while it forecasts --------------------------------------------------------------


@pytest.fixture
def refitted(two_waves, quick, answered_by_network, trained):
    """(a forecaster, its forecast, its forecast after `fit(newer)`, newer): the model of the second fit is another one."""
    newer = other_table(two_waves, 4)
    old = trained.predict()
    new = Forecaster(config=replace(quick(), horizon=3, seed=5)).fit(newer)
    again = Forecaster(config=replace(quick(), horizon=3, seed=5))
    vars(again).update({name: value for name, value in vars(trained).items() if name.endswith("_")})
    pd.testing.assert_frame_equal(again.predict(), old)
    return again, old, new.predict(), newer


def test_the_old_fit_answers_until_the_new_one_is_done(refitted, monkeypatch):
    again, old, new, newer = refitted
    reached, go_on = threading.Event(), threading.Event()
    original = forecaster.fit_prepared

    def paused(*given, **named):
        result = original(*given, **named)
        reached.set()
        assert go_on.wait(timeout=60)
        return result

    monkeypatch.setattr(forecaster, "fit_prepared", paused)
    with ThreadPoolExecutor(1) as pool:
        fit = pool.submit(again.fit, newer)
        assert reached.wait(timeout=60)
        pd.testing.assert_frame_equal(again.predict(), old)
        go_on.set()
        fit.result(timeout=60)
    pd.testing.assert_frame_equal(again.predict(), new)


def test_no_forecast_sees_half_a_fit(refitted, monkeypatch):
    """The new fit lands in the middle of a forecast, after its data were read: the old one goes on to the end."""
    again, old, new, newer = refitted
    original = forecaster.frame_for

    def overtaken(*given):
        frame = original(*given)
        monkeypatch.setattr(forecaster, "frame_for", original)
        again.fit(newer)
        return frame

    monkeypatch.setattr(forecaster, "frame_for", overtaken)
    pd.testing.assert_frame_equal(again.predict(), old)
    pd.testing.assert_frame_equal(again.predict(), new)


def test_what_a_fit_leaves_appears_all_at_once(refitted, monkeypatch):
    """From the last table that a fit makes on, another thread forecasts before each line of its code and after the last."""
    again, old, new, newer = refitted
    original, tracing, seen = forecaster.window_table, sys.gettrace(), []

    def at_each_line(*_):
        seen.append(pool.submit(again.predict))
        wait(seen, timeout=60)
        return at_each_line

    def followed(*given):
        table = original(*given)
        sys._getframe(1).f_trace = at_each_line
        sys.settrace(lambda *_: None)
        return table

    monkeypatch.setattr(forecaster, "window_table", followed)
    with ThreadPoolExecutor(1) as pool:
        try:
            again.fit(newer)
        finally:
            sys.settrace(tracing)
    answers = [future.result(timeout=60) for future in seen]
    assert answers[0].equals(old)
    assert answers[-1].equals(new)
    assert all(found.equals(old) or found.equals(new) for found in answers)


# ---- first weights -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "draw",
    [
        lambda: torch.nn.LSTM(3, 4, 2).weight_hh_l1.detach(),
        lambda: torch.nn.init.trunc_normal_(torch.empty(20)),
        lambda: torch.nn.init.orthogonal_(torch.empty(4, 4)),
        lambda: torch.randn(5) + torch.rand(5) + torch.rand_like(torch.ones(5)),
        lambda: torch.randint(9, (5,)) + torch.randint(3, 9, (5,)),
        lambda: torch.cat([torch.randperm(6), torch.bernoulli(torch.full((6,), 0.5))]),
        lambda: torch.normal(0.0, 2.0, (5,)) + torch.normal(torch.zeros(5), 1.0),
    ],
    ids=["LSTM", "trunc_normal_", "orthogonal_", "rand", "randint", "randperm", "normal"],
)
def test_a_generator_of_its_own_draws_what_torch_s_draws_with_the_same_seed(draw):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        expected = draw()
        torch.manual_seed(8)
        state = torch.get_rng_state()
        with DrawFrom(torch.Generator().manual_seed(7)):
            assert torch.equal(draw(), expected)
        assert torch.equal(torch.get_rng_state(), state)


def test_what_cannot_take_a_generator_is_refused():
    with (
        DrawFrom(torch.Generator()),
        pytest.raises(RuntimeError, match=r"native_dropout.* takes no generator: first weights are"),
    ):
        torch.native_dropout(torch.ones(3), 0.5, True)


def test_networks_built_at_once_have_the_weights_of_their_seeds_whatever_the_default_type(trained):
    settings = [replace(trained.fitted_.settings, seed=seed) for seed in range(NUM_THREADS)]
    build = [lambda s=s: fitted.build_network(s, trained.fitted_.schema.num_features).state_dict() for s in settings]
    expected = [call() for call in build]
    before = shared_state()
    torch.set_default_dtype(torch.float64)
    try:
        for _ in range(5):
            for found, wanted in zip(at_once(*build), expected, strict=True):
                assert all(torch.equal(found[name], wanted[name]) for name in wanted)
                assert {part.dtype for part in found.values()} == {part.dtype for part in wanted.values()}
    finally:
        assert torch.get_default_dtype() is torch.float64
        torch.set_default_dtype(torch.float32)
    assert shared_state() == before


# ---- processes ---------------------------------------------------------------------------------------------------------

PROCESSES = """
import multiprocessing, sys
import numpy as np
from tsattn import EncoderConfig, FitConfig, Forecaster, TrainerConfig
from tsattn.store import weights_sha256

VALUES = (20 + 8 * np.sin(np.arange(150) * 2 * np.pi / 7) + np.arange(150) % 5).round().tolist()
CONFIG = FitConfig(
    horizon=4,
    model=EncoderConfig(d_model=8, dropout=0.2, head="quantile"),
    trainer=TrainerConfig(accelerator="cpu", max_steps=10, validate_every=5, warmup_steps=1),
)

def fit(_):
    return weights_sha256(Forecaster(config=CONFIG).fit(VALUES).fitted_)

def forecast(folder):
    return Forecaster.load(folder).predict(VALUES).to_csv()

if __name__ == "__main__":
    folder = sys.argv[1]
    forecaster = Forecaster(config=CONFIG).fit(VALUES).save(folder)
    expected = weights_sha256(forecaster.fitted_), forecast(folder)
    for method in sys.argv[2:]:
        with multiprocessing.get_context(method).Pool(2) as pool:
            weights = pool.map_async(fit, range(2))
            forecasts = pool.map_async(forecast, [folder] * 4)
            found = {(w, f) for w in weights.get(timeout=200) for f in forecasts.get(timeout=200)}
        print(method, found == {expected})
    print("parent", (fit(0), forecast(folder)) == expected)
"""


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "2"])
def test_processes_forked_and_spawned_after_a_training_fit_and_forecast_the_same(threads, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    (tmp_path / "processes.py").write_text(PROCESSES)
    command = [sys.executable, tmp_path / "processes.py", tmp_path / "model", "fork", "spawn"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert ran.stdout.splitlines() == ["fork True", "spawn True", "parent True"], ran.stderr
