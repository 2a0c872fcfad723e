"""The README is true: its commands and its Python run, its outputs are what they print, its file map is complete."""

import os
import re
import shlex
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsattn import cli
from tsattn.config import BacktestConfig, FitConfig, PredictConfig, TrainConfig, TrainerConfig

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
SCHEMAS = {"train": TrainConfig, "predict": PredictConfig, "backtest": BacktestConfig}
SHORT = ["trainer.max_steps=4", "trainer.validate_every=4", "model.head=quantile", "trainer=cpu"]  # added to what trains
NOT_RUN = [  # needs the network and a fresh environment; `pip install -e .` is what the Makefile does
    "python3 -m venv .venv",
    ". .venv/bin/activate",
    "pip install torch --index-url https://download.pytorch.org/whl/cpu",
    "pip install -e .",
]
KINDS = {"make", "sh", "bash", "python", "text", "output", "sample", ""}  # "": the file map


def blocks(kind):
    return [text for name, text in BLOCKS if name == kind]


def commands():
    return [line for block in blocks("bash") for line in block.splitlines()]


def run_command(line, monkeypatch):
    """Run a `python -m tsattn.NAME ...` line in this process, briefly where it trains; returns its exit code."""
    python, flag, module, *arguments = shlex.split(line)
    assert (python, flag) == ("python", "-m"), line
    name = module.removeprefix("tsattn.")
    monkeypatch.setattr(sys, "argv", [name, *arguments, *(SHORT if name != "predict" else [])])
    return cli.exit_code(name, SCHEMAS[name], import_module(module).main)


def lines_of(block):
    """The lines of an output; `...` stands for lines left out."""
    return [line.rstrip() for line in block.splitlines() if line not in ("", "...")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files that the README names, small: two series of counts, an event log, sales with covariates, irregular readings."""
    path = tmp_path_factory.mktemp("readme")
    rng = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=154, freq="D")
    counts = pd.DataFrame({"date": days.strftime("%Y-%m-%d"), "images": rng.poisson(np.where(days.day_of_week < 5, 120, 40))})
    (path / "counts.csv").write_text(counts.iloc[:140].drop(index=70).to_csv(index=False))
    (path / "newer.csv").write_text(counts.to_csv(index=False))
    stamps = pd.Timestamp("2024-01-01 06:00") + pd.to_timedelta(
        np.sort(rng.uniform(0, 120 * 24 * 60, 1500)).round(), unit="min"
    )
    images = pd.DataFrame({"file": [f"{i:05d}.dcm" for i in range(1500)], "received": stamps.strftime("%Y-%m-%d %H:%M")})
    (path / "images.csv").write_text(images.to_csv(index=False))
    price, promotion = rng.uniform(1, 2, 147).round(2), rng.integers(0, 2, 147)
    sales = pd.DataFrame({"date": days[:147].strftime("%Y-%m-%d"), "price": price, "promotion": promotion})
    sold = rng.poisson(50 / price + 20 * promotion)
    (path / "sales.csv").write_text(sales.assign(visitors=sold * 3, sold=sold).iloc[:140].to_csv(index=False))
    (path / "next_week.csv").write_text(sales.iloc[140:].to_csv(index=False))
    minutes = np.cumsum(rng.choice([5, 10, 10, 60], 200))
    readings = pd.DataFrame({"time": pd.Timestamp("2024-01-01") + pd.to_timedelta(minutes, unit="min")})
    (path / "readings.csv").write_text(readings.assign(level=np.sin(minutes / 100).round(3)).to_csv(index=False))
    (path / "docs").mkdir()
    (path / "data").symlink_to(ROOT / "data")
    return path


@pytest.fixture(scope="module")
def after_commands(folder):
    """The folder after every shell block has run in it, in the order of the README."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
        handler = signal.getsignal(signal.SIGTERM)
        codes = {line: run_command(line, monkeypatch) for line in commands()}
        signal.signal(signal.SIGTERM, handler)
    return codes


def test_every_block_is_of_a_kind_that_is_checked_here():
    assert {kind for kind, _ in BLOCKS} == KINDS
    assert len(BLOCKS) == TEXT.count("```") / 2


def test_blocks_that_are_not_run_are_these():
    assert [line for block in blocks("sh") for line in block.splitlines()] == NOT_RUN


def test_make_blocks_name_targets_of_the_makefile():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = [line.split("#")[0].split() for block in blocks("make") for line in block.splitlines()]
    assert [words[0] for words in named] == ["make"] * len(named)
    assert {words[1] for words in named} <= set(targets)


def test_make_forecast_runs_the_two_lines_below_it():
    recipe = re.search(r"^forecast:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    assert [line.strip().replace("$(BIN)/", "") for line in recipe[1].splitlines()] == blocks("bash")[0].splitlines()


def test_every_command_ends_well(after_commands):
    assert set(after_commands.values()) == {cli.DONE}, after_commands


def test_the_files_that_the_commands_name_are_there(after_commands, folder):
    for line in after_commands:
        for argument in shlex.split(line):
            key, _, value = argument.partition("=")
            if key in ("output", "plot", "load"):
                assert (folder / value).exists(), line


def test_the_table_of_counts_looks_like_the_one_that_is_read(folder):
    assert blocks("text")[0].splitlines()[0] == (folder / "counts.csv").read_text().splitlines()[0]


def test_the_forecast_of_five_numbers_is_printed_as_shown(tmp_path):
    """In a shell of its own, as a user types it."""
    block = next(block for block in blocks("bash") if "values=" in block)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ended = subprocess.run(
        ["bash", "-euc", block], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
    )
    assert lines_of(blocks("output")[0]) == lines_of(ended.stdout)
    assert ended.stderr == ""


@pytest.mark.slow
def test_the_python_blocks_run_one_after_the_other(after_commands, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    namespace = {"SHORT": FitConfig(trainer=TrainerConfig(max_steps=20, accelerator="cpu"))}
    for block in blocks("python"):
        source = block.replace("Forecaster(horizon=", "Forecaster(config=SHORT, horizon=")
        exec(compile(source, "README.md", "exec"), namespace)
    printed = capsys.readouterr().out
    assert str(namespace["table"].columns.tolist()[:4]) == "['unique_id', 'date', 'cutoff', 'y']"
    assert "5 of 5 windows scored" in printed
    assert (folder / "docs" / "forecast.png").stat().st_size > 10_000


def test_the_columns_and_rungs_in_the_tables_are_those_of_a_forecast(after_commands, folder):
    from tsattn.verdict import WORDS

    columns = pd.read_csv(folder / "forecast.csv").columns.tolist()
    assert columns == ["date", "forecast", "mean", *(f"q0.{i}" for i in range(1, 10)), "model"]
    for name in (*WORDS, "forecast", "mean", "model"):
        assert f"`{name}`" in TEXT


def test_settings_of_reading_are_all_explained():
    from tsattn.config import ReadConfig

    table = TEXT.split("| setting | decides |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", re.sub(r"\|[^|]*\|$", "", table, flags=re.MULTILINE))) == set(
        ReadConfig.__dataclass_fields__
    )


def test_the_file_map_names_every_file_of_the_package_and_no_other():
    named = [line.split("  ")[0] for line in blocks("")[0].splitlines()]
    assert len(named) == len(set(named))
    assert [name for name in named if not (ROOT / name).exists()] == []
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "tsattn").rglob("*.py") if path.stat().st_size}
    assert files == {name for name in named if name.startswith("tsattn/")}


def test_the_picture_is_small_and_the_sample_is_called_simulated():
    [picture] = re.findall(r"!\[[^]]+\]\(([^)]+)\)", TEXT)
    assert 10_000 < (ROOT / picture).stat().st_size < 150_000
    for place in (TEXT.index("![") + 50, TEXT.index("```sample")):
        assert "simulated" in TEXT[place - 300 : place + 300]


@pytest.mark.slow
def test_make_forecast_prints_what_the_readme_shows(tmp_path, monkeypatch, capsys):
    """Findings to the letter; of the figures, which depend on the machine's arithmetic, the columns and the verdict's words."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(globals(), "SHORT", [])
    assert run_command(blocks("bash")[0].splitlines()[0], monkeypatch) == cli.DONE
    printed = lines_of(capsys.readouterr().out)
    for line in lines_of(blocks("sample")[0]):
        if line.startswith(("  head:", "  mean:")):
            assert any(other.startswith(line[:7]) for other in printed)
        elif line.startswith(("  ", "~ ", "!")) and not line.endswith(" network"):
            assert line in printed
        elif line.startswith("Use the"):
            begin = "Use the attention model. On 45 held-out windows"
            assert line.startswith(begin)
            assert any(other.startswith(begin) for other in printed)
