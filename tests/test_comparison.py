"""Comparisons of trainings: their numbers worked out by hand, their refusals, and the tables that are written."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pandas as pd
import pytest

from tsattn import comparison, verdict
from tsattn.comparison import Run
from tsattn.config import ReadConfig
from tsattn.data.frame import to_frame, to_rows
from tsattn.ladder import Windows
from tsattn.tables import window_table

NAN = float("nan")
NUM_SERIES, NUM_ORIGINS = 2, 4
IDS = np.array(["a", "b"] * NUM_ORIGINS, dtype=object)
ORIGIN = np.repeat(np.arange(NUM_ORIGINS), NUM_SERIES)
NAIVE = np.linspace(1, 2, 8)


def run_of(network, *, variant="x=1", seed=0, naive=NAIVE, **changes) -> Run:
    """A run on eight windows; `network` is its error on each, or on all."""
    errors = {"last_value": np.array(naive), "drift": np.array(naive) + 1}
    if network is not None:
        errors["network"] = np.broadcast_to(np.array(network, dtype=float), IDS.shape).copy()
    run = Run(variant, "sales", 7, seed, IDS, ORIGIN, errors, 10.0 + seed, 100 * (seed + 1), 5000)
    return run._replace(**changes)


# ---- numbers -----------------------------------------------------------------------------------------------------------


def test_mase_is_the_mean_over_windows_and_seeds_with_the_spread_over_seeds():
    [group] = comparison.compare([run_of(1.0, seed=0), run_of(1.2, seed=1), run_of(1.7, seed=2)])
    [row] = group.rows
    assert row.mase == pytest.approx(1.3)
    assert row.mase_sd == pytest.approx(math.sqrt((0.3**2 + 0.1**2 + 0.4**2) / 2))
    assert (row.seeds, row.windows) == ("0, 1, 2", 8)
    assert (row.seconds, row.steps, row.parameters) == (11, 200, 5000)
    assert (row.best_naive, row.best_naive_mase) == ("last_value", pytest.approx(1.5))
    assert math.isnan(row.difference)


def test_the_difference_is_that_of_errors_averaged_over_seeds_with_the_interval_of_the_verdict():
    rng = np.random.default_rng(0)
    one, other = rng.uniform(1, 2, (2, 8)), rng.uniform(1, 2, (2, 8))
    runs = [
        run_of(errors, variant=name, seed=seed)
        for name, both in (("x=1", one), ("x=2", other))
        for seed, errors in enumerate(both)
    ]
    [group] = comparison.compare(runs)
    paired = (other[0] + other[1] - one[0] - one[1]) / 2
    series = np.array([0, 1] * 4)
    assert [row.variant for row in group.rows] == ["x=1", "x=2"]
    assert group.rows[1].difference == pytest.approx(paired.mean())
    assert (group.rows[1].low, group.rows[1].high) == pytest.approx(verdict.difference_interval(paired, series, ORIGIN))
    assert group.notes == []


def test_a_window_that_could_not_be_scored_counts_for_nobody():
    errors, naive = np.full(8, 1.0), NAIVE.copy()
    errors[3], naive[3] = NAN, NAN
    [group] = comparison.compare([run_of(errors, naive=naive), run_of(errors + 0.5, naive=naive, variant="x=2")])
    assert [row.windows for row in group.rows] == [7, 7]
    assert [row.mase for row in group.rows] == [1.0, 1.5]
    assert group.rows[1].difference == pytest.approx(0.5)


def test_seeds_that_one_variant_lacks_do_not_enter_the_difference():
    runs = [run_of(1.0), run_of(3.0, seed=1), run_of(1.5, variant="x=2")]
    [group] = comparison.compare(runs)
    assert [row.mase for row in group.rows] == [2.0, 1.5]
    assert group.rows[1].difference == pytest.approx(0.5)  # of seed 0 alone
    assert group.notes == ["x=2 shares seed 0 alone with x=1: the difference rests on what they share."]


def test_data_and_horizon_make_the_groups_and_their_order():
    runs = [run_of(1.0, data=data, horizon=h) for data, h in (("sales", 7), ("images", 7), ("sales", 14), ("images", 7))]
    titles = [group.title for group in comparison.compare(runs)]
    assert [title.split(":")[0] for title in titles] == [
        "sales, 7 steps ahead",
        "images, 7 steps ahead",
        "sales, 14 steps ahead",
    ]
    assert titles[0].endswith("8 windows of 2 series at 4 dates")


# ---- what cannot be compared -------------------------------------------------------------------------------------------

OTHER_IDS = np.where(np.arange(8) == 5, "c", IDS).astype(object)
REFUSED = {
    "fewer windows": (
        run_of(1.0, ids=IDS[:6], origin=ORIGIN[:6], errors={"drift": NAIVE[:6], "network": NAIVE[:6]}),
        "6 windows against 8",
    ),
    "another series": (run_of(1.0, ids=OTHER_IDS), "c at cut-off 2 in place of b at cut-off 2"),
    "another date": (run_of(1.0, origin=ORIGIN + 1), "a at cut-off 1 in place of a at cut-off 0"),
    "another season": (
        run_of(1.0, naive=NAIVE * 2),
        "the drift forecast has other errors, so the rows, the season or the reading",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_runs_on_other_windows_are_not_paired_and_the_note_says_why(case):
    other, reason = REFUSED[case]
    [group] = comparison.compare([run_of(1.0), other._replace(variant="x=2")])
    assert len(group.rows) == 2
    assert math.isnan(group.rows[1].difference)
    [note] = group.notes
    assert note.startswith("x=2 is not compared with x=1: ")
    assert reason in note


def test_runs_without_a_network_are_named_and_left_out():
    [group] = comparison.compare([run_of(None), run_of(1.0, variant="x=2"), run_of(2.0, variant="x=3")])
    assert [row.variant for row in group.rows] == ["x=2", "x=3"]
    assert group.rows[1].difference == pytest.approx(1.0)  # the first that can be compared stands in
    assert group.notes == ["x=1, seed 0: no network was trained."]
    [alone] = comparison.compare([run_of(None)])
    assert alone.rows == []


# ---- names, folders, tables --------------------------------------------------------------------------------------------


def test_a_variant_is_named_by_the_overrides_that_vary_beside_seeds_and_places():
    runs = [
        {"seed": seed, "dataset": data, "dataset.path": f"{data}.csv", "model": "encoder", "model.attention": kind}
        for seed in "01"
        for data in ("sales", "images")
        for kind in ("full", "local")
    ]
    assert comparison.variants(runs) == ["model.attention=full", "model.attention=local"] * 4
    assert comparison.variants([{"seed": "0", "horizon": "3"}, {"seed": "1", "horizon": "4"}]) == ["as given"] * 2
    two = [{"a": "1", "b": "1"}, {"a": "2", "b": "1"}, {"a": "2", "b": "3"}]
    assert comparison.variants(two) == ["a=1 b=1", "a=2 b=1", "a=2 b=3"]


def test_a_run_is_read_back_from_its_folder(tmp_path):
    settings = {"horizon": 7, "seed": 3, "steps": 250, "details": {"parameters": 12, "seconds": {"total": 1.5}}}
    (tmp_path / "config.json").write_text(json.dumps({"settings": settings}))
    (tmp_path / comparison.WINDOWS).write_text(
        'shop,cutoff,origin,drift,network\n"a, b",2024-01-05,0,1.25,\n7,2024-01-06,1,0.5,2\n'
    )
    run = comparison.read_run(tmp_path, variant="v", data="d")
    assert (run.variant, run.data, run.horizon, run.seed) == ("v", "d", 7, 3)
    assert run.ids.tolist() == ["a, b", "7"]
    assert run.origin.tolist() == [0, 1]
    assert run.errors["drift"].tolist() == [1.25, 0.5]
    np.testing.assert_array_equal(run.errors["network"], [NAN, 2])
    assert (run.seconds, run.steps, run.parameters) == (1.5, 250, 12)


def test_a_run_without_windows_is_read_too(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"settings": {"horizon": 7, "seed": 0, "steps": 0, "details": {}}}))
    (tmp_path / comparison.WINDOWS).write_text("unique_id,cutoff,origin,drift\n")
    run = comparison.read_run(tmp_path, variant="v", data="d")
    assert run.ids.shape == run.errors["drift"].shape == (0,)
    [group] = comparison.compare([run])
    assert len(group.notes) == 1


def test_both_files_hold_the_same_rows(tmp_path):
    groups = comparison.compare(
        [run_of(1.0), run_of(1.25, seed=1), run_of(1.5, variant="x=2"), run_of(1.75, variant="x=2", seed=1)]
    )
    assert [path.name for path in comparison.write(groups, tmp_path)] == ["comparison.csv", "comparison.md"]
    rows = list(csv.DictReader((tmp_path / "comparison.csv").read_text().splitlines()))
    assert [row["variant"] for row in rows] == ["x=1", "x=2"]
    assert (rows[0]["difference"], rows[0]["low"]) == ("", "")
    assert float(rows[1]["difference"]) == 0.5
    assert float(rows[1]["mase_sd"]) == pytest.approx(0.25 / math.sqrt(2))
    lines = (tmp_path / "comparison.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert cells[0] == ["variant", "seeds", "MASE", "minus x=1, 95 % interval", "seconds", "steps", "parameters"]
    assert cells[2] == ["x=1", "0, 1", "1.125 (0.177)", "", "10", "150", "5,000"]
    assert cells[3][3] == "+0.500 (+0.500 to +0.500)"
    assert cells[4][:3] == ["best naive: the last value", "", "1.500"]
    assert len({len(line) for line in lines if line.startswith("|")}) == 1


NAMES_IN_MARKDOWN = [
    ("a|b", "a\\|b"),
    ("a\\|b", "a\\\\\\|b"),
    ("`x`", "\\`x\\`"),
    ("<img src=x onerror=alert(1)>&", "&lt;img src=x onerror=alert(1)&gt;&amp;"),
    ("[x](javascript:1)", "[x]\\(javascript:1)"),
    ("a\n# b\x1b[2J\u202e", "a\\n# b\\x1b[2J\\u202e"),
    ("data/*.csv", "data/\\*.csv"),
    ("read.time=[a_b,c]", "read.time=[a_b,c]"),
    ("C:\\data\\x.csv", "C:\\data\\x.csv"),
]


@pytest.mark.parametrize(("name", "written"), NAMES_IN_MARKDOWN, ids=range(len(NAMES_IN_MARKDOWN)))
def test_a_name_in_the_comparison_is_text_and_nothing_else(tmp_path, name, written):
    others = run_of(1.0, ids=np.array([name] * 8, dtype=object))
    runs = [run_of(1.0), others._replace(variant=name), run_of(1.0, data=name)]
    comparison.write(comparison.compare(runs), tmp_path)
    lines = (tmp_path / "comparison.md").read_text().splitlines()
    assert f"## {written}, 7 steps ahead: 8 windows of 2 series at 4 dates" in lines
    assert any(
        line.startswith(f"- {written} is not compared with x=1: the windows are others, for example {written} at")
        for line in lines
    )
    [row] = [line for line in lines if line.startswith(f"| {written} ")]
    assert row.replace("\\\\", "").replace("\\|", "").count("|") == 8
    rows = list(csv.DictReader(io.StringIO((tmp_path / "comparison.csv").read_bytes().decode(), newline="")))
    assert [row["variant"] for row in rows] == ["x=1", name, "x=1"]


# ---- the table of windows ----------------------------------------------------------------------------------------------


def windows_of(series, cut, **errors) -> Windows:
    num = len(series)
    return Windows(np.array(series), np.arange(num), np.array(cut), {k: np.array(v) for k, v in errors.items()}, {})


def test_each_window_is_laid_out_with_the_last_time_before_it():
    days = [*pd.date_range("2024-01-01", periods=5), *pd.date_range("2024-02-01", periods=4)]
    rows = to_rows(pd.DataFrame({"shop": [7] * 5 + [9] * 4, "day": days, "sold": range(9)}), ReadConfig(id="shop"))
    table = window_table(to_frame(rows, ReadConfig(id="shop")), windows_of([0, 1, 1], [1, 1, 4], drift=[0.5, 1.0, NAN]))
    assert table.columns.tolist() == ["shop", "cutoff", "origin", "drift"]
    assert table["shop"].tolist() == [7, 9, 9]
    assert table["cutoff"].astype(str).tolist() == ["2024-01-01", "2024-02-01", "2024-02-04"]
    assert table["drift"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize("name", ["origin", "drift"])
def test_an_id_column_called_like_another_one_gives_way(name):
    rows = to_rows(pd.DataFrame({name: list("ab") * 3, "ds": [1, 1, 2, 2, 3, 3], "y": range(6)}), ReadConfig(id=name))
    table = window_table(to_frame(rows, ReadConfig(id=name)), windows_of([1], [2], drift=[0.5]))
    assert table.columns.tolist() == ["unique_id", "cutoff", "origin", "drift"]
    assert table["unique_id"].tolist() == ["b"]
