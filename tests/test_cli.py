"""The commands as users meet them: what they accept, print, write, and with which code they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from tsattn import cli, config, store
from tsattn.config import MODEL_CONFIGS, BacktestConfig, PredictConfig, TrainConfig
from tsattn.output import show_table

SCHEMAS = {"train": TrainConfig, "predict": PredictConfig, "backtest": BacktestConfig}
SHORT = ("trainer.max_steps=10", "trainer.validate_every=5", "model.head=quantile", "trainer=cpu")
LEVELS = [f"q0.{i}" for i in range(1, 10)]


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """`call("train", "horizon=7", ...)` runs a command in this process, standing in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # so that what the command sets is taken back
    handler = signal.getsignal(signal.SIGTERM)

    def called(name: str, *arguments: str, task=None) -> Ended:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        capsys.readouterr()
        command = import_module(f"tsattn.{name}")
        afterwards = getattr(command, "compare", None) if task is None else None
        code = cli.exit_code(name, SCHEMAS[name], task or command.main, afterwards)
        return Ended(code, *capsys.readouterr())

    yield called
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def composed(call):
    """The settings that a command hands on."""

    def settings(name: str, *arguments: str):
        seen = []
        ended = call(name, *arguments, task=seen.append)
        assert ended.code == 0, ended.err
        return seen[0]

    return settings


def shell(*arguments: str, cwd: Path, home: Path | None = None, **options) -> subprocess.CompletedProcess:
    """A command as a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **({} if home is None else {"HOME": str(home)})}
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, **options
    )


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def assert_user_error(ended: Ended, *words: str) -> None:
    """Code 2, one line on stderr with these words, nothing on stdout."""
    assert ended.code == 2, ended
    assert ended.out == ""
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1, ended.err
    for word in words:
        assert word in ended.err


# ---- help and settings -------------------------------------------------------------------------------------------------


def test_the_first_screen_of_the_training_help_names_what_people_change(call):
    ended = call("train", "--help")
    first_screen = "\n".join(ended.out.splitlines()[:24])
    assert ended.code == 0
    assert all(f"{name}=" in first_screen for name in ("horizon", "dataset", "model", "seed", "input", "output"))
    assert max(map(len, ended.out.splitlines())) <= 128


@pytest.mark.parametrize(
    "name", ["train", *(pytest.param(name, marks=pytest.mark.slow) for name in SCHEMAS if name != "train")]
)
def test_the_help_names_every_choice_of_every_group_it_offers(call, name):
    text = call(name, "--help").out
    groups = {"train": ("dataset", "model", "trainer", "experiment"), "predict": (), "backtest": ()}[name]
    conf = Path(cli.__file__).parents[1] / "conf"
    for group in groups:
        for choice in (conf / group).glob("*.yaml"):
            assert choice.stem in text
    assert f"python -m tsattn.{name}" in text


def test_cfg_job_prints_every_setting_as_yaml_and_does_nothing(call, tmp_path):
    ended = call("train", "--cfg", "job", "seed=3")
    shown = OmegaConf.create(ended.out)
    assert ended.code == 0
    assert shown.seed == 3
    assert set(shown) == set(TrainConfig.__dataclass_fields__)
    assert files_below(tmp_path) == set()


def test_the_quick_experiment_trains_for_few_steps_and_yields_to_the_command_line(composed):
    assert composed("train", "experiment=quick").trainer.max_steps == 200
    assert composed("train", "experiment=quick", "trainer.max_steps=7").trainer.max_steps == 7


def test_what_a_command_hands_on_is_the_plain_dataclass(composed):
    config = composed("train", "model=patch", "horizon=3", "quantiles=[0.9,0.1]")
    assert type(config) is TrainConfig
    assert type(config.model).__name__ == "PatchConfig"
    assert (config.horizon, config.quantiles, config.model.patch_length) == (3, [0.1, 0.9], 16)


# ---- what Hydra must not read ------------------------------------------------------------------------------------------

NAMES = [
    "my données (1).csv",
    "date=2024,a~b.csv",
    "2024",
    'it\'s "mine".csv',
    "[1]{a: b}.csv",
    "${oc.env:HOME}#50%",
    "ends in \\",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name_is_read_and_written(call, tmp_path, name):
    (tmp_path / name).write_text("y\n2\n5\n10\n6\n8\n")
    (tmp_path / "out").mkdir()
    ended = call("predict", f"input={name}", "horizon=1", f"output=out/{name}")
    assert ended.code == 0, ended.err
    assert (tmp_path / "out" / name).exists()


@pytest.mark.parametrize(
    ("typed", "ordered"),
    [
        (["a=1", "--multirun", "b=2"], ["--multirun", "a=1", "b=2"]),
        (["a=1", "--cfg", "job", "b=--x"], ["--cfg", "job", "a=1", "b=--x"]),
        (["--config-dir=x", "a=1", "-m"], ["--config-dir=x", "-m", "a=1"]),
        (["values=[-1,2]", "horizon=1"], ["values=[-1,2]", "horizon=1"]),
        (["--multirun", "word"], ["--multirun", "word"]),
    ],
    ids=str,
)
def test_options_may_stand_anywhere_among_the_settings(typed, ordered):
    assert cli.in_order(typed) == ordered


def test_an_unknown_option_is_one_line(call):
    ended = call("predict", "values=[1,2,3]", "--horizon", "2")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "error: '--horizon' is no option: settings are written name=value, and --help lists them\n"


def test_a_file_without_the_name_of_its_setting_is_one_line_that_names_it(call, waves_csv):
    ended = call("predict", str(waves_csv), "horizon=2")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        f"error: {str(waves_csv)!r} is no setting, settings are written name=value: did you mean input={waves_csv}?\n"
    )
    assert call("predict", "nothing", "horizon=2").err == "error: 'nothing' is no setting, settings are written name=value\n"


def value_of(argument: str) -> object:
    """What Hydra and OmegaConf make of the value of an argument once it is quoted."""
    override = OverridesParser.create().parse_override(cli.quote(argument))
    return OmegaConf.to_container(OmegaConf.create({"value": override.value()}), resolve=True)["value"]


@pytest.mark.parametrize("setting", ["input", "output", "load", "plot", "dataset.path", "read.sep", "read.id", "read.tz"])
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
@example(text="\\${").via("backslashes before an interpolation")
@example(text="\\\\'${")
def test_quoting_brings_any_text_through_the_grammar_of_hydra(setting, text):
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    if text == "null" or quoted or (setting in cli.PATHS and text.startswith("~")) or text.startswith("["):
        return
    assert value_of(f"{setting}={text}") == text


def test_null_and_quoted_values_stay_what_they_are():
    assert value_of("input=null") is None
    assert value_of("input='null'") == "null"
    assert value_of('input="a b.csv"') == "a b.csv"


def test_a_tilde_is_the_home_folder_in_paths_alone(composed, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = composed("predict", "input=~/a.csv", "load=~/model", "output=~/b.csv", "read.id=~/id")
    assert config.input == f"{tmp_path}/a.csv"
    assert config.load == f"{tmp_path}/model"
    assert config.output == f"{tmp_path}/b.csv"
    assert config.read.id == "~/id"


def test_free_text_settings_of_reading_arrive_unharmed(composed):
    given = {
        "sep": ";",
        "decimal": ",",
        "thousands": "'",
        "encoding": "utf-16",
        "date_format": "%d/%m/%Y %H:%M",
        "tz": "Europe/Berlin",
        "id": "Länge (cm)",
        "value": "CO(GT)",
        "time": "2024",
        "count_per": "W-MON",
    }
    read = composed("train", *(f"read.{name}={value}" for name, value in given.items())).read
    assert {name: getattr(read, name) for name in given} == given


@pytest.mark.parametrize("sep", [",", ";", "|", ":", " ", "\t", "tab", "#"])
def test_a_separator_of_one_character_arrives_unharmed(sep):
    assert value_of(f"read.sep={sep}") == sep


def test_lists_of_columns_are_lists_of_names(composed):
    read = composed("train", "read.time=[Date,Time]", "read.value=[CO(GT), NOx(GT), 2024]").read
    assert list(read.time) == ["Date", "Time"]
    assert list(read.value) == ["CO(GT)", "NOx(GT)", "2024"]


def test_a_european_file_is_read_as_the_settings_say(call, tmp_path):
    rows = [f"0{day}/03/2024;{hour:02d}:00;{hour},5;{2 * day}" for day in range(1, 4) for hour in range(24)]
    (tmp_path / "eu.csv").write_text("Date;Time;CO(GT);NOx(GT)\n" + "\n".join(rows) + "\n")
    ended = call(
        "predict",
        "input=eu.csv",
        "read.sep=;",
        "read.decimal=,",
        "read.date_format=%d/%m/%Y %H:%M",
        "read.tz=Europe/Berlin",
        "read.time=[Date,Time]",
        "read.value=[CO(GT),NOx(GT)]",
        "horizon=2",
        "output=out.csv",
    )
    assert ended.code == 0, ended.err
    table = pd.read_csv(tmp_path / "out.csv")
    assert table["unique_id"].tolist() == ["CO(GT)"] * 2 + ["NOx(GT)"] * 2
    assert table.iloc[0, 1] == "2024-03-04 00:00:00+01:00"


# ---- training ----------------------------------------------------------------------------------------------------------


def test_training_writes_into_its_run_folder_and_nowhere_else(tmp_path, two_waves, trained):
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    two_waves.to_csv(work / "waves.csv", index=False)
    same = ("trainer=cpu", "trainer.max_steps=20", "trainer.validate_every=10", "trainer.warmup_steps=5", "model.head=quantile")
    ended = shell(
        "tsattn.train", "input=waves.csv", "horizon=5", "output=my run", "trainer.log_every=5", *same, cwd=work, home=home
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert {name for name in files_below(home) if "matplotlib" not in name} == set()  # matplotlib caches what fonts there are
    assert files_below(work) == {
        "waves.csv",
        *(f"my run/{name}" for name in ("config.json", "findings.json", "manifest.json", "model.safetensors", "train.json")),
        "my run/verdict_windows.csv",
        *(f"my run/logs/{part}/metrics.csv" for part in ("quantile_head", "refit_on_all_rows")),
    }
    assert json.loads((work / "my run" / "train.json").read_text())["horizon"] == 5
    manifest = json.loads((work / "my run" / "manifest.json").read_text())
    assert manifest["sha256"]["model.safetensors"] == store.weights_sha256(trained.fitted_)  # of this process, same settings
    for words in ("the frequency is D", "the best naive forecast", "held-out windows", "the model is in my run"):
        assert words in ended.stdout


@pytest.mark.slow
def test_each_setting_of_a_multirun_gets_a_run_folder_of_its_own(call, tmp_path, waves_csv):
    ended = call("train", "--multirun", "input=waves.csv", "seed=0,1", "horizon=5", "trainer.logger=none", *SHORT)
    assert ended.code == 0, ended.err
    [sweep] = tmp_path.glob("runs/multirun-*")
    folders = [sweep / "0", sweep / "1"]
    assert [json.loads((folder / "train.json").read_text())["seed"] for folder in folders] == [0, 1]
    weights = [json.loads((folder / "manifest.json").read_text())["sha256"]["model.safetensors"] for folder in folders]
    assert weights[0] != weights[1]
    assert {path.name for path in sweep.iterdir()} == {"0", "1", "comparison.csv", "comparison.md"}
    assert {path.name for path in tmp_path.iterdir()} == {"waves.csv", "runs"}
    assert not list(tmp_path.rglob("multirun.yaml"))


def test_the_verdict_windows_of_a_run_are_a_table_of_the_user_whose_means_are_the_verdict(call, tmp_path, waves_csv):
    assert call("train", "input=waves.csv", "horizon=5", "output=run", "trainer.logger=none", *SHORT).code == 0
    table = pd.read_csv(tmp_path / "run" / "verdict_windows.csv")
    verdict = json.loads((tmp_path / "run" / "config.json").read_text())["verdict"]
    assert table.columns.tolist() == ["shop", "cutoff", "origin", *verdict["mase"]]
    assert table["shop"].tolist() == ["north", "south"] * 4
    assert table["origin"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert table["cutoff"].iloc[-1] == "2024-04-24"  # five days before the last one, 29 April
    for rung, mase in verdict["mase"].items():
        assert table[rung].mean() == pytest.approx(mase)


@pytest.mark.slow
def test_a_multirun_ends_in_a_comparison_and_goes_on_where_it_was_interrupted(call, tmp_path, monkeypatch):
    from tsattn import forecaster

    arguments = ("--multirun", "dataset=image_counts", "horizon=7", "seed=0,1", "model.scaling=arcsinh,standard", "output=rm")
    arguments = (*arguments, "refit=false", "trainer.logger=none", "context_length=14", *SHORT)
    fit, fits = forecaster.Forecaster.fit, []

    def counted(self, *args, **options):
        fits.append(self.config.seed)
        if len(fits) == 3:
            raise KeyboardInterrupt
        return fit(self, *args, **options)

    monkeypatch.setattr(forecaster.Forecaster, "fit", counted)
    assert call("train", *arguments).code == 130
    assert files_below(tmp_path / "rm" / "2") == set()
    assert pd.read_csv(tmp_path / "rm" / "comparison.csv")["seeds"].tolist() == [0, 0]
    ended = call("train", *arguments)
    assert ended.code == 0, ended.err
    assert fits == [0, 0, 1, 1, 1]
    assert ended.out.count(": already there\n") == 2
    table = pd.read_csv(tmp_path / "rm" / "comparison.csv")
    assert table["variant"].tolist() == ["model.scaling=arcsinh", "model.scaling=standard"]
    assert table["seeds"].tolist() == ["0, 1"] * 2
    assert table["low"].isna().tolist() == [True, False]
    verdicts = [json.loads((tmp_path / "rm" / str(job) / "config.json").read_text())["verdict"] for job in range(4)]
    mase = [verdict["mase"]["network"] for verdict in verdicts]
    assert table["mase"].tolist() == pytest.approx([(mase[0] + mase[2]) / 2, (mase[1] + mase[3]) / 2])
    assert table["difference"][1] == pytest.approx((mase[1] + mase[3] - mase[0] - mase[2]) / 2)
    written = (tmp_path / "rm" / "comparison.md").read_text()
    assert written in ended.out
    assert "## image_counts, 7 steps ahead: 93 windows of 3 series at 31 dates" in written


@pytest.fixture
def done(call, tmp_path, waves_csv):
    """The settings of a finished run of a sweep, its folder, and the settings' way into `train.is_done`."""
    arguments = ("input=waves.csv", "seed=0", "horizon=5", "output=rm", "trainer.logger=none", "pretrained=false", *SHORT)
    assert call("train", "--multirun", *arguments).code == 0
    folder = tmp_path / "rm" / "0"

    def is_done(*more: str) -> bool:
        seen = []
        assert call("train", *arguments, *more, task=seen.append).code == 0
        return import_module("tsattn.train").is_done(folder, seen[0], seen[0].input)

    return folder, is_done


def test_a_run_is_taken_as_done_only_with_the_same_settings(done):
    _, is_done = done
    assert is_done()
    assert is_done("output=elsewhere")
    assert not is_done("horizon=6")
    assert not is_done("trainer.learning_rate=0.1")


@pytest.mark.slow
def test_a_run_without_one_of_its_files_is_not_done(done):
    folder, is_done = done
    for name in ("train.json", "verdict_windows.csv", "manifest.json", "model.safetensors"):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        assert not is_done(), name
        (folder / name).write_bytes(content)
        os.utime(folder / name)
    assert is_done()


@pytest.mark.slow
def test_a_run_on_a_table_that_has_changed_since_is_not_done(done, waves_csv):
    _, is_done = done
    assert is_done()
    state = waves_csv.stat()
    for seconds in (-3600, 3600):  # an older file put in its place has changed, too
        os.utime(waves_csv, (state.st_atime, state.st_mtime + seconds))
        assert not is_done()


def test_files_of_a_glob_are_told_apart_by_size_and_time(tmp_path):
    states_of = import_module("tsattn.train").states_of
    for place in ("a.csv", "in/b.csv", "in/deep/c.csv"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(place)
    found = states_of(str(tmp_path / "**" / "*.csv"))
    assert {path: size for path, (size, _) in found.items()} == {
        str(tmp_path / place): len(place) for place in ("a.csv", "in/b.csv", "in/deep/c.csv")
    }
    assert states_of(str(tmp_path / "a.csv")) == {str(tmp_path / "a.csv"): [5, (tmp_path / "a.csv").stat().st_mtime_ns]}


def test_a_multirun_writes_each_job_to_a_place_of_its_own(call, composed, tmp_path):
    seen = []
    assert call("train", "--multirun", "seed=4,5", "output=my run", task=seen.append).code == 0
    assert [(config.seed, config.output) for config in seen] == [(4, "my run/0"), (5, "my run/1")]
    ended = call("predict", "--multirun", "values=[2,5,10,6]", "horizon=1,2", "output=out/f.csv", "plot=p.svg")
    assert ended.code == 0, ended.err
    assert files_below(tmp_path) == {"out/f-0.csv", "out/f-1.csv", "p-0.svg", "p-1.svg"}
    assert [len(pd.read_csv(tmp_path / "out" / f"f-{job}.csv")) for job in (0, 1)] == [1, 2]
    assert composed("train", "output=my run").output == "my run"


@pytest.mark.parametrize(
    ("name", "numbered"),
    [("b.csv", "b-2.csv"), ("b.csv.gz", "b-2.csv.gz"), ("v1.2.csv", "v1.2-2.csv"), ("b", "b-2"), ("b.gz", "b-2.gz")],
)
def test_the_number_of_a_job_stands_before_the_kind_of_file(name, numbered):
    assert cli._with_number(Path("out") / name, 2) == Path("out") / numbered


def test_the_model_may_be_left_to_tsattn(composed):
    assert composed("train", "model=auto") == composed("train")


def test_an_unknown_choice_is_answered_with_the_list_of_choices(call):
    names = ", ".join(sorted(["auto", *MODEL_CONFIGS]))
    assert f"Available options in 'model': {names}; python -m" in call("train", "model=gru").err


SAYS_SIMULATED = "this is the built-in sample: simulated counts"


@pytest.mark.slow
def test_the_sample_is_said_to_be_simulated(call, tmp_path):
    short = ("horizon=2", "trainer.logger=none", *SHORT)
    assert call("train", "output=run", *short).out.splitlines()[0] == SAYS_SIMULATED
    for more in ((), ("load=run",)):
        ended = call("predict", "dataset=image_counts", "horizon=2", "plot=p.svg", *more)
        assert ended.out.splitlines()[0] == SAYS_SIMULATED
        assert "<!-- simulated data, answered by" in (tmp_path / "p.svg").read_text()


@pytest.mark.slow
def test_a_table_of_the_user_is_not_called_simulated(call, waves_csv, tmp_path):
    for source in ("input=waves.csv", "values=[1,2,3,4]"):
        ended = call("predict", "dataset=image_counts", source, "plot=p.svg")
        assert ended.code == 0, ended.err
        assert "simulated" not in ended.out + (tmp_path / "p.svg").read_text()


def test_a_named_data_set_is_printed_with_its_origin(call, waves_csv, tmp_path):
    ended = call("predict", "dataset.path=waves.csv", "dataset.origin=two shops")
    assert ended.out.splitlines()[0] == "this is two shops"


def test_the_first_failure_of_a_multirun_is_its_result(call, waves_csv):
    ended = call("train", "--multirun", "input=absent.csv", "seed=0,1", "output=rm")
    assert ended.out.strip() == "rm/0: input='absent.csv' seed=0 output='rm'"
    assert_user_error(ended._replace(out=""), "absent.csv")


@pytest.mark.slow
def test_a_multirun_with_a_failure_still_compares_what_was_done_before(call, tmp_path, waves_csv):
    arguments = ("input=waves.csv", "horizon=5", "output=rm", "trainer.logger=none", *SHORT)
    ended = call("train", "--multirun", "trainer.learning_rate=0.001,1e30,0.002", *arguments)
    assert ended.code == 3
    assert ended.err.startswith("error: training stopped")
    assert len(pd.read_csv(tmp_path / "rm" / "comparison.csv")) == 1
    assert not (tmp_path / "rm" / "2").exists()


def test_the_horizon_is_one_season_where_none_is_given(call, tmp_path, waves_csv):
    assert call("train", "input=waves.csv", "output=run", *SHORT).code == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["settings"]["horizon"] == 7


@pytest.mark.slow
def test_the_built_in_sample_needs_no_file(call, tmp_path):
    ended = call("predict", "dataset=image_counts", "horizon=2", "output=out.csv")
    assert ended.code == 0, ended.err
    assert len(pd.read_csv(tmp_path / "out.csv")) == 3 * 2


@pytest.mark.slow
def test_a_data_set_that_is_not_shipped_is_found_in_the_folder_of_data_sets(call, monkeypatch, tmp_path, waves_csv):
    monkeypatch.delenv("TSATTN_DATA", raising=False)
    for name in ("radiology", "store_items", "etth1"):
        assert_user_error(call("train", f"dataset={name}"), f"dataset={name}", "TSATTN_DATA", "dataset.path=")
    monkeypatch.setenv("TSATTN_DATA", str(tmp_path))
    assert_user_error(call("train", "dataset=radiology"), f"{tmp_path}/counts/radiology_exams_daily.parquet", "No such file")
    assert call("predict", "dataset.path=null", "dataset.stored_as=waves.csv", "horizon=2", "output=out.csv").code == 0
    assert call("predict", "dataset=radiology", "input=waves.csv", "horizon=2", "output=out.csv").code == 0


def test_a_named_data_set_has_a_usual_horizon_that_the_command_line_overrules(composed):
    assert composed("train", "dataset=radiology").horizon == 28
    assert composed("backtest", "dataset=etth1").horizon == 96
    assert composed("train", "dataset=radiology", "horizon=7").horizon == 7
    assert composed("train", "dataset=radiology", "experiment=etth1_96").horizon == 96
    assert composed("train").horizon is None


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kinds"), [("attention", config.ATTENTIONS), ("positional", config.POSITIONALS)])
def test_an_ablation_sweeps_every_kind_over_three_tables_and_three_seeds(call, name, kinds):
    seen = []
    sweep = ("--multirun", f"experiment=ablate_{name}")
    assert call("train", *sweep, f"model.{name}={kinds[1]}", "seed=0", task=seen.append).code == 0
    assert [(job.dataset.name, job.horizon) for job in seen] == [("radiology", 28), ("store_items", 28), ("etth1", 96)]
    assert {(job.seed, getattr(job.model, name), job.refit) for job in seen} == {(0, kinds[1], False)}
    swept = OmegaConf.load(Path(cli.__file__).parents[1] / "conf" / "experiment" / f"ablate_{name}.yaml").hydra.sweeper.params
    assert list(swept.items()) == [  # seeds first: a sweep that is cut short has whole comparisons of fewer seeds
        ("seed", "0,1,2"),
        ("dataset", "radiology,store_items,etth1"),
        (f"model.{name}", ",".join(kinds)),
    ]


def test_a_data_set_of_a_known_digest_is_refused_when_the_file_is_another_one(call, waves_csv):
    assert_user_error(
        call("train", "dataset=etth1", "dataset.path=waves.csv"), "waves.csv is not the data set etth1", "SHA-256"
    )


# ---- prediction --------------------------------------------------------------------------------------------------------


def test_five_numbers_get_a_sixth_and_a_word_of_caution(call, tmp_path):
    ended = call("predict", "values=[2,5,10,6,8]", "horizon=1", "output=out.csv")
    table = pd.read_csv(tmp_path / "out.csv")
    assert ended.code == 0
    assert table["ds"].tolist() == [6]
    assert table.columns.tolist() == ["ds", "forecast", "mean", *LEVELS, "model"]
    assert 2 <= table["forecast"][0] <= 10
    assert "Cannot judge" in ended.out
    assert "rests on 5 values: take it as a rough guess" in ended.out


def test_a_forecast_has_the_names_of_the_user_the_quantiles_and_the_rung(call, trained_folder, waves_csv, tmp_path):
    ended = call("predict", "input=waves.csv", f"load={trained_folder}", "output=sub/forecast.csv")
    assert ended.code == 0, ended.err
    table = pd.read_csv(tmp_path / "sub" / "forecast.csv")
    assert table.columns.tolist() == ["shop", "day", "forecast", "mean", *LEVELS, "model"]
    assert table["shop"].tolist() == ["north"] * 5 + ["south"] * 5
    assert (
        table["day"].tolist()
        == [f"2024-04-{day:02d}" if day <= 30 else "2024-05-0" + str(day - 30) for day in range(30, 35)] * 2
    )
    assert set(table["model"]) == {"network"}


def test_a_parquet_forecast_holds_the_same_table(call, trained_folder, waves_csv, tmp_path):
    for name in ("a.csv", "a.parquet"):
        assert call("predict", "input=waves.csv", f"load={trained_folder}", f"output={name}").code == 0
    text, binary = pd.read_csv(tmp_path / "a.csv", parse_dates=["day"]), pd.read_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(text, binary, check_dtype=False)
    assert binary["day"].dtype.kind == "M"


def test_the_picture_is_drawn_where_it_is_asked_for(call, trained_folder, waves_csv, tmp_path):
    ended = call("predict", "input=waves.csv", f"load={trained_folder}", "plot=pictures/p.png")
    assert ended.code == 0, ended.err
    assert (tmp_path / "pictures" / "p.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert files_below(tmp_path) == {"waves.csv", "pictures/p.png"}


def test_without_output_and_plot_a_prediction_writes_nothing(call, trained_folder, waves_csv, tmp_path):
    assert call("predict", "input=waves.csv", f"load={trained_folder}").code == 0
    assert files_below(tmp_path) == {"waves.csv"}


def test_a_horizon_beyond_the_trained_one_is_said_on_stderr_in_one_line(call, trained_folder, waves_csv):
    ended = call("predict", "input=waves.csv", f"load={trained_folder}", "horizon=9")
    assert ended.code == 0
    assert ended.err.count("\n") == 1
    assert "horizon=9 is longer than the trained 5" in ended.err


def test_a_table_of_many_rows_is_shown_in_part_and_says_so():
    table = pd.DataFrame({"t": range(100), "x": np.arange(100) * 1000.0})
    shown = show_table(table).splitlines()
    assert len(shown) == 1 + 25 + 1 + 5
    assert shown[26] == "... 70 rows more ..."
    assert shown[-1].split() == ["99", "99,000"]
    assert len(show_table(table.head(30)).splitlines()) == 31


def test_what_is_found_in_new_data_is_said_beside_the_forecast_of_a_loaded_model(call, trained_folder, two_waves, tmp_path):
    broken = two_waves.drop(index=50)
    broken["sold"] = broken["sold"] - 0.5
    broken.to_csv(tmp_path / "new.csv", index=False)
    ended = call("predict", "input=new.csv", f"load={trained_folder}")
    assert "~ gaps: 1 of 240 times (D) have no row: north at 2024-02-20" in ended.out
    assert "! integer: the model was trained on counts, but these values are not all whole numbers" in ended.out
    assert ended.out.index("gaps:") < ended.out.index("forecast")


def test_a_picture_costs_no_second_reading_and_no_second_forecast(call, trained_folder, waves_csv, monkeypatch):
    from tsattn import fitted, forecaster, tables

    done = []
    for module, name in ((forecaster, "to_rows"), (tables, "predict")):
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, of=original, name=name, **k: (done.append(name), of(*a, **k))[1])
    assert tables.predict is not fitted.predict
    assert call("predict", "input=waves.csv", f"load={trained_folder}", "plot=p.PNG").code == 0
    assert done == ["to_rows", "predict"]


STORED = ("trainer.logger=none", "horizon=5", "output=run", *SHORT)


@pytest.mark.slow
def test_settings_of_reading_on_the_command_line_win_over_stored_ones_also_as_defaults(call, waves_csv, two_waves, tmp_path):
    assert call("train", "input=waves.csv", "read.missing=zero", "read.sep=,", *STORED).code == 0
    two_waves.drop(index=50).to_csv(tmp_path / "gap.csv", index=False, sep=";")
    ended = call("predict", "input=gap.csv", "load=run", "read.sep=null")
    assert ended.code == 0, ended.err
    assert "they were set to zero" in ended.out
    for mask in ("read.missing=mask", "read={missing: mask}"):
        assert "they count as unknown" in call("predict", "input=gap.csv", "load=run", "read.sep=null", mask).out


@pytest.mark.parametrize("setting", ["quantiles=[0.1]", "season_length=3"])
def test_what_training_fixed_is_refused_beside_a_loaded_model(call, trained_folder, waves_csv, setting):
    ended = call("predict", "input=waves.csv", f"load={trained_folder}", setting)
    assert_user_error(ended, f"{setting.split('=')[0]}= is fixed by training", "leave load= out")


# ---- back-test ---------------------------------------------------------------------------------------------------------


def test_a_backtest_prints_the_scores_of_every_rung_and_writes_every_window(call, waves_csv, tmp_path):
    ended = call("backtest", "input=waves.csv", "horizon=5", "windows=2", "output=backtest.csv", *SHORT)
    assert ended.code == 0, ended.err
    table = pd.read_csv(tmp_path / "backtest.csv")
    rungs = ["last_value", "seasonal_naive", "drift", "damped_mean", "window_mean", "network"]
    assert len(table) == 2 * 2 * 5
    assert table.columns.tolist() == ["shop", "day", "cutoff", "y", "forecast", "mean", *LEVELS, "model", *rungs]
    assert sorted(table["cutoff"].unique()) == ["2024-04-19", "2024-04-24"]
    assert all(rung in ended.out for rung in rungs)
    assert "4 of 4 windows scored" in ended.out


def test_training_shows_the_forecast_where_the_one_that_answers_needs_no_covariates(call, two_waves, tmp_path):
    """On these windows a naive forecast is better than a network of a few steps."""
    noise = np.random.default_rng(0).normal(size=len(two_waves))
    two_waves.assign(temperature=noise).to_csv(tmp_path / "warm.csv", index=False)
    given = [
        "input=warm.csv",
        "read.value=sold",
        "covariates.known=temperature",
        "horizon=5",
        "output=r",
        "trainer.logger=none",
    ]
    ended = call("train", *given, "trainer.max_steps=1", "trainer.validate_every=1", "trainer.learning_rate=1e-9")
    assert ended.code == 0, ended.err
    answer = json.loads((tmp_path / "r" / "config.json").read_text())["verdict"]["answer"]
    assert answer != "network"
    assert f" {answer}\n" in ended.out
    assert "A forecast needs" not in ended.out


def test_a_backtest_takes_covariates(call, two_waves, tmp_path):
    two_waves.assign(temperature=np.arange(len(two_waves)) % 7.0).to_csv(tmp_path / "warm.csv", index=False)
    given = ["input=warm.csv", "read.value=sold", "covariates.known=temperature"]
    ended = call("backtest", *given, "horizon=5", "windows=1", *SHORT)
    assert ended.code == 0, ended.err
    assert "2 of 2 windows scored" in ended.out


# ---- errors ------------------------------------------------------------------------------------------------------------

USER_ERRORS = {
    "an unknown setting": ("train", ["horizn=7"], ["horizn"]),
    "a word for a number": ("train", ["horizon=seven"], ["horizon", "seven"]),
    "a number out of range": ("train", ["horizon=0"], ["horizon=0", "1 or more"]),
    "an unknown model": ("train", ["model=gru"], ["model", "gru", "encoder", "patch"]),
    "an unknown data set": ("train", ["dataset=m4"], ["m4", "image_counts"]),
    "an unknown choice": ("train", ["read.missing=drop"], ["read.missing", "mask, zero, ffill"]),
    "a broken list": ("predict", ["values=[1,2"], ["values=[1,2"]),
    "a setting without a value": ("train", ["horizon"], ["horizon"]),
    "a setting added by force": ("train", ["+extra=1"], ["+extra=1", "none can be added"]),
    "a missing file": ("predict", ["input=absent.csv"], ["absent.csv", "no such file"]),
    "no input at all": ("predict", [], ["input=FILE"]),
    "values and a file": ("predict", ["values=[1,2]", "input=a.csv"], ["values=", "input="]),
    "a broken table": ("predict", ["input=broken.csv"], ["broken.csv"]),
    "a table without numbers": ("predict", ["input=words.csv"], ["no column of numbers", "read.value="]),
    "two problems": ("predict", ["input=two.csv", "read.id=s"], ["'s': two.csv, line 2", "; column 'y': two.csv, line 3"]),
    "an empty file": ("predict", ["input=empty.csv"], ["empty.csv"]),
    "a column that is not there": ("predict", ["input=good.csv", "read.value=sold"], ["sold", "y"]),
    "a missing model": ("predict", ["input=good.csv", "load=absent"], ["absent", "manifest.json"]),
    "a folder without a model": ("predict", ["input=good.csv", "load=."], ["manifest.json"]),
    "a picture of unknown kind": ("predict", ["input=good.csv", "plot=a.jpg"], ["a.jpg", ".png, .svg, .pdf"]),
    "a folder as table": ("predict", ["input=good.csv", "output=."], ["output=.", "folder"]),
    "a file as run folder": ("train", ["input=good.csv", "output=good.csv"], ["output=good.csv", "file"]),
    "a series too short to test on": ("backtest", ["input=good.csv", "horizon=9"], ["horizon=9"]),
    "no windows": ("backtest", ["input=good.csv", "horizon=1", "windows=0"], ["windows=0"]),
    "ids in a column of ours": ("predict", ["input=models.csv"], ["'model' names the series", "rename yours", "read.id="]),
    "ids in a column of ours, trained": ("train", ["input=models.csv"], ["'model' names the series"]),
    "times in a column of a back-test": ("backtest", ["input=cutoffs.csv"], ["'cutoff' holds the time", "read.time="]),
    "a season of no rows": ("predict", ["input=good.csv", "season_length=0"], ["season_length=0"]),
    "a negative seed": ("train", ["input=good.csv", "seed=-1"], ["seed=-1"]),
}


@pytest.mark.parametrize("case", USER_ERRORS)
def test_an_error_of_the_user_is_one_line_and_code_2(call, tmp_path, case):
    (tmp_path / "good.csv").write_text("y\n2\n5\n10\n6\n8\n")
    (tmp_path / "broken.csv").write_text("day,y\n2024-01-01,1\n2024-01-02,2,3,4\n2024-01-03,x\n")
    (tmp_path / "models.csv").write_text("model,y,sold\n" + "".join(f"{m},{t},{t % 7}\n" for m in "ab" for t in range(40)))
    (tmp_path / "cutoffs.csv").write_text("cutoff,sold\n" + "".join(f"2024-01-{day:02d},{day}\n" for day in range(1, 29)))
    (tmp_path / "words.csv").write_text("a,b\nred,green\nblue,white\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "two.csv").write_text("s,date,y\n,2024-01-01,1\nb,2024-01-02,x\nb,2024-01-03,2\n")
    command, arguments, words = USER_ERRORS[case]
    assert_user_error(call(command, *arguments), *words)


def test_a_gpu_that_is_not_there_is_refused_before_the_data_are_read(call, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert_user_error(call("train", "trainer=gpu", "input=absent.csv"), "trainer=gpu", "trainer=cpu")


def test_a_user_error_is_the_same_in_a_process_of_its_own(tmp_path):
    ended = shell("tsattn.predict", "input=données (1).csv", cwd=tmp_path)
    assert_user_error(Ended(ended.returncode, ended.stdout, ended.stderr), "données (1).csv", "no such file")


def test_a_training_that_breaks_down_is_code_3_and_leaves_no_model(call, tmp_path, waves_csv):
    ended = call("train", "input=waves.csv", "horizon=5", "output=run", "trainer.learning_rate=1e30", *SHORT)
    assert ended.code == 3
    assert ended.err.startswith("error: training stopped: loss or gradient is not finite in step ")
    assert ended.err.count("\n") == 1
    assert "'north', 'south'" in ended.err
    assert "trainer.learning_rate (now 1e+30)" in ended.err
    assert not list(tmp_path.rglob("*.safetensors"))
    assert not list(tmp_path.rglob("manifest.json"))


@pytest.mark.parametrize("problem", [KeyError, ValueError, TypeError])
def test_a_bug_of_ours_is_code_1_with_a_traceback(call, problem):
    def task(config):
        raise problem("unforeseen")

    ended = call("predict", "values=[1,2]", task=task)
    assert ended.code == 1
    assert "Traceback" in ended.err
    assert "unforeseen" in ended.err
    assert "this is a bug in tsattn" in ended.err


def test_an_error_deep_in_our_own_forecast_is_a_bug_too(call, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("unforeseen")

    monkeypatch.setattr("tsattn.tables.forecast_table", broken)
    ended = call("predict", "values=[1,2,3]")
    assert ended.code == 1
    assert "broken" in ended.err


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(tmp_path):
    code = f"{sys.executable} -m tsattn.predict dataset=image_counts horizon=30 | head -n 1; echo ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert ended.stdout.splitlines()[-1] == "0"
    assert ended.stderr == ""


@pytest.mark.parametrize(("sent", "code", "words"), [(signal.SIGINT, 130, "\ninterrupted\n"), (signal.SIGTERM, 143, "")])
def test_a_signal_ends_a_command_with_its_code(call, sent, code, words):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    assert call("predict", task=lambda _: signal.raise_signal(sent)) == (code, "", words)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("sent", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143)],
)
@pytest.mark.slow  # seconds each
def test_a_signal_ends_training_with_its_code_and_without_a_model(tmp_path, two_waves, sent, code):
    two_waves.to_csv(tmp_path / "waves.csv", index=False)
    listening = "import signal, runpy; signal.signal(signal.SIGINT, signal.default_int_handler); "  # pytest may run without it
    arguments = [
        "input=waves.csv",
        "horizon=5",
        "output=run",
        "trainer=cpu",
        "trainer.max_steps=1000000",
        "trainer.log_every=1",
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", listening + "runpy.run_module('tsattn.train', run_name='__main__', alter_sys=True)", *arguments]
        + ["trainer.patience=1000000"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "step 8" in line:  # training is under way
            break
    process.send_signal(sent)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert "the model is in" not in out
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_table_is_written_in_the_format_that_its_name_promises(call, tmp_path, waves_csv):
    ended = call("predict", "input=waves.csv", "horizon=2", "output=table.xlsx")
    assert (ended.code, ended.out) == (2, "")
    assert "CSV" in ended.err
    assert call("predict", "input=waves.csv", "horizon=2", "output=table.csv.gz").code == 0
    assert len(pd.read_csv(tmp_path / "table.csv.gz")) == 2 * pd.read_csv("waves.csv").iloc[:, 0].nunique()
