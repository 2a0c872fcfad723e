"""Names from strangers in everything that goes out: the terminal, tables, pictures, notebooks; and where files may go."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
import unicodedata
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsattn import cli, comparison, output
from tsattn.config import BacktestConfig, PredictConfig, TrainConfig
from tsattn.data.findings import DataError, Finding, Findings, printable, shorten
from tsattn.forecaster import Forecaster
from tsattn.manifest import to_json
from tsattn.output import check_picture_path, check_table_path, show_table, to_csv, write_table
from tsattn.train import slug
from tsattn.training.fit import make_console

SCHEMAS = {"train": TrainConfig, "predict": PredictConfig, "backtest": BacktestConfig}
NAMES = [
    *("../../x", "CON", "a/b", "a:b", "n" * 300, "\x00nul", "new\nline", "a\rb", "t\tab", "\U0001f600", "A", "a"),
    *('=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "<script>alert(1)</script>", "\x1b[2J\x1b]0;title\x07", "\x9b31m"),
    *("ab\u202ecd", "$x^2$", "\\frac{", "_private", "%s", "{}", "[red]x[/red]", ":smile:", "${oc.env:HOME}", "\"q\",'x'", "NA"),
]


def steers(text: str) -> bool:
    """Whether a character of the text, ends of lines aside, would steer a terminal."""
    return any(unicodedata.category(c) in ("Cc", "Cs", "Co") or "\u202a" <= c <= "\u202e" for c in text if c != "\n")


def sales(names: list[str], rows: int = 40) -> pd.DataFrame:
    """Counts of one shop per name."""
    rng = np.random.default_rng(0)
    days = list(pd.date_range("2024-01-01", periods=rows))
    shops = pd.Series([name for name in names for _ in range(rows)], dtype=object)
    return pd.DataFrame({"shop": shops, "day": days * len(names), "sold": rng.poisson(20, rows * len(names))})


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """`call("predict", "input=...")` in a folder four levels deep; gives code, stdout and stderr."""
    below = tmp_path / "a" / "b" / "c" / "d"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    numbers = [signal.SIGTERM, signal.SIGHUP] if hasattr(signal, "SIGHUP") else [signal.SIGTERM]
    handlers = {number: signal.getsignal(number) for number in numbers}

    def called(name: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        command = import_module(f"tsattn.{name}")
        code = cli.exit_code(name, SCHEMAS[name], command.main, getattr(command, "compare", None))
        return code, *capsys.readouterr()

    yield called
    for number, handler in handlers.items():
        signal.signal(number, handler)


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


# ---- the terminal ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("\x00\x7f\x9b\t\r\n", "\\x00\\x7f\\x9b\\t\\r\\n"),
        ("ab\u202ecd\u2066\u200f\ufeff", "ab\\u202ecd\\u2066\\u200f\\ufeff"),
        ("\u2028\ue000\udcff\U000e0041", "\\u2028\\ue000\\udcff\\U000e0041"),
        ("C:\\temp [red]", "C:\\temp [red]"),
    ],
    ids=["escape sequence", "controls", "directions", "others", "plain"],
)
def test_characters_that_steer_a_terminal_become_visible(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text", ["café", "北京\u3000店", "کتاب\u200cها", "👩\u200d👩\u200d👧", "1\xa0000 €", "naïve cafe\u0301"]
)
def test_letters_of_every_script_stay(text):
    assert printable(text) == text


@settings(max_examples=50)
@given(st.text())
def test_nothing_printable_steers_and_no_other_character_is_touched(text):
    assert not steers(printable(text))
    assert "\n" not in printable(text)
    assert printable(printable(text)) == printable(text)


def test_a_finding_is_one_line_whatever_names_stand_in_it():
    finding = Finding("gaps", "1 of 3 times of a\n\x1b[31mb has no row", "read.id=\x9b")
    assert str(finding) == "  gaps: 1 of 3 times of a\\n\\x1b[31mb has no row  [read.id=\\x9b]"
    assert repr(Findings([finding])) == str(finding)


def test_a_printed_table_shows_names_on_one_line_and_cut_and_leaves_the_table_alone():
    table = pd.DataFrame({"a\x1b[1m": NAMES, "\x07" + "w" * 99: 1.5, "day": pd.Timestamp("2024-01-01")})
    before = table.copy()
    lines = show_table(table).splitlines()
    assert len(lines) == len(NAMES) + 1
    assert not steers("".join(lines))
    assert lines[0].split() == ["a\\x1b[1m", shorten("\\x07" + "w" * 99, 40), "day"]
    assert lines[5].split() == ["n" * 19 + "…" + "n" * 20, "1.5", "2024-01-01"]
    pd.testing.assert_frame_equal(table, before)


def test_the_rows_left_out_of_ten_thousand_series_are_counted_and_not_formatted():
    table = pd.DataFrame({"id": [f"series {i}" for i in range(10_000)], "forecast": np.arange(10_000) / 3})
    lines = show_table(table).splitlines()
    assert len(lines) == 32
    assert lines[26] == "... 9970 rows more ..."
    assert lines[-1].split() == ["series", "9999", "3,333"]


# ---- tables that are written -------------------------------------------------------------------------------------------


def read_back(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def test_a_csv_reads_back_to_the_same_names(tmp_path):
    table = pd.DataFrame({"=id,\n": NAMES, "forecast": np.arange(len(NAMES)) / 7})
    write_table(table, str(tmp_path / "new" / "o.csv.gz"))
    header, *rows = read_back(gzip.decompress((tmp_path / "new" / "o.csv.gz").read_bytes()))
    assert header == ["=id,\n", "forecast"]
    assert [row[0] for row in rows] == NAMES
    assert [float(row[1]) for row in rows] == (np.arange(len(NAMES)) / 7).tolist()


@settings(max_examples=50)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_every_text_survives_a_csv(texts):
    assert read_back(to_csv(pd.DataFrame({"id": texts, "n": 1})))[1:] == [[text, "1"] for text in texts]


def test_half_a_character_of_a_file_name_is_written_as_its_code():
    assert to_csv(pd.DataFrame({"id": pd.Series(["a\udcff"], dtype=object)})) == b"id\na\\udcff\n"


FORMULAS = {
    "@id": ["=1+1", "+1", "-1", "@A1", "\tx", "a=1"],
    "mean": [-1.5, 2.0, -3.0, 0.0, 1.0, 1.0],
    "n": [-1, 1, 1, 1, 1, 1],
}


def test_formulas_are_escaped_where_asked_in_texts_and_names_alone(tmp_path):
    table = pd.DataFrame(FORMULAS)
    before = table.copy()
    write_table(table, str(tmp_path / "o.csv"), escape_formulas=True)
    expected = "'@id,mean,n\n'=1+1,-1.5,-1\n'+1,2.0,1\n'-1,-3.0,1\n'@A1,0.0,1\n'\tx,1.0,1\na=1,1.0,1\n"
    assert (tmp_path / "o.csv").read_bytes().decode() == expected
    pd.testing.assert_frame_equal(table, before)
    write_table(table, str(tmp_path / "plain.csv"))
    assert (tmp_path / "plain.csv").read_text() == expected.replace("'", "")


def test_an_end_of_line_before_a_formula_does_not_hide_it(tmp_path):
    write_table(pd.DataFrame({"id": ["\r=1", "\n=1"], "self": "x"}), str(tmp_path / "o.csv"), escape_formulas=True)
    assert read_back((tmp_path / "o.csv").read_bytes())[1:] == [["'\r=1", "x"], ["'\n=1", "x"]]


def test_parquet_is_never_escaped(tmp_path):
    write_table(pd.DataFrame(FORMULAS), str(tmp_path / "o.parquet"), escape_formulas=True)
    assert pd.read_parquet(tmp_path / "o.parquet")["@id"].tolist() == FORMULAS["@id"]


def test_a_table_for_standard_output_comes_behind_what_was_printed(capsysbinary):
    print("first", end="\n")
    write_table(pd.DataFrame({"a": [1]}), "/dev/stdout")
    assert capsysbinary.readouterr().out == b"first\na\n1\n"


# ---- where files may go ------------------------------------------------------------------------------------------------


def test_a_place_is_checked_without_a_trace_and_a_folder_may_be_missing(tmp_path):
    check_table_path(str(tmp_path / "new" / "deep" / "o.csv"))
    check_picture_path(str(tmp_path / "o.SVG"))
    check_table_path(None)
    check_picture_path(None)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "o.png").mkdir()
    with pytest.raises(ValueError, match=r"output=.*/file/o\.csv: .*/file is a file and can hold no other"):
        check_table_path(str(tmp_path / "file" / "o.csv"))
    with pytest.raises(ValueError, match=r"file is a file"):
        check_table_path(str(tmp_path / "file" / "below" / "o.csv"))
    with pytest.raises(ValueError, match="is a folder"):
        check_table_path(str(tmp_path))
    with pytest.raises(ValueError, match="is a folder"):
        check_table_path(str(tmp_path / "results") + os.sep)
    with pytest.raises(ValueError, match="written as CSV"):
        check_table_path(str(tmp_path / "o.parquet.gz"))
    with pytest.raises(ValueError, match="is a folder"):
        check_picture_path(str(tmp_path / "o.png"))
    with pytest.raises(ValueError, match=r"must end in \.png, \.svg, \.pdf"):
        check_picture_path(str(tmp_path / "o.jpg"))
    for long in (tmp_path / ("x" * 300 + ".csv"), tmp_path / ("x" * 300) / "o.csv"):
        with pytest.raises(OSError, match="File name too long"):
            check_table_path(str(long))


def test_a_folder_in_which_no_file_can_be_made_is_named_with_the_reason(tmp_path, monkeypatch):
    def refuse(dir):
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(OSError, match=r"no file can be made in .* \(Permission denied\): '.*o\.csv'"):
        check_table_path(str(tmp_path / "new" / "o.csv"))


def test_a_write_protected_file_is_kept(tmp_path, monkeypatch):
    (tmp_path / "o.csv").write_text("old")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # chmod does not stop an administrator
    with pytest.raises(PermissionError, match="write-protected"):
        check_table_path(str(tmp_path / "o.csv"))


@pytest.mark.parametrize("source", ["in.csv", "*.csv", "other/../in.csv"])
def test_no_output_takes_the_place_of_what_is_read(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "in.csv").write_text("data")
    (tmp_path / "link.csv").symlink_to("in.csv")
    os.link(tmp_path / "in.csv", tmp_path / "twin.txt")
    for path in ("in.csv", "./in.csv", "link.csv", "twin.txt", str(tmp_path / "in.csv")):
        with pytest.raises(ValueError, match="would take the place of"):
            check_table_path(path, [source, None])
    check_table_path("out.txt", [source, [1, 2, 3]])


def test_table_and_picture_are_never_one_file(tmp_path):
    (tmp_path / "o.csv").write_text("old")
    (tmp_path / "o.png").symlink_to("o.csv")
    with pytest.raises(ValueError, match="choose another name"):
        check_picture_path(str(tmp_path / "o.png"), [str(tmp_path / "o.csv")])
    with pytest.raises(ValueError, match="tables are written as CSV"):
        check_table_path(str(tmp_path / "p.png"))


# ---- the commands ------------------------------------------------------------------------------------------------------

REFUSED = {
    "onto the input": (["output=waves.csv"], "would take the place of waves.csv"),
    "onto the input by a glob": (["input=wav*.csv", "output=waves.csv"], "would take the place of wav*.csv"),
    "through a file": (["output=waves.csv/o.csv"], "is a file and can hold no other"),
    "a picture through a file": (["plot=waves.csv/o.png"], "is a file and can hold no other"),
    "a long name": ([f"output={'x' * 300}.csv"], "File name too long"),
    "a minus": (["output=-"], "/dev/stdout"),
    "a picture": (["output=o.png", "plot=o.png"], "tables are written as CSV"),
    "no room": (["output=/dev/full"], "/dev/full: No space left on device"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_output_that_cannot_be_is_one_line_and_nothing_is_lost(call, two_waves, case):
    two_waves.to_csv("waves.csv", index=False)
    arguments, words = REFUSED[case]
    before = Path("waves.csv").read_bytes()
    code, out, err = call("predict", "input=waves.csv", "horizon=2", *arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err
    assert (out == "") == (case != "no room")  # all but the last are seen before the work
    assert files_below(Path()) == {"waves.csv"}
    assert Path("waves.csv").read_bytes() == before


@pytest.mark.slow
def test_a_forecast_of_strange_names_is_printed_written_and_drawn_and_names_no_file(call, tmp_path):
    sales(NAMES).to_parquet("in.parquet")
    code, out, err = call("predict", "input=in.parquet", "horizon=1", "output=o/o.csv", "plot=p/o.svg", "escape_formulas=true")
    assert (code, err) == (0, "")
    assert not steers(out)
    assert files_below(tmp_path) == {f"a/b/c/d/{name}" for name in ("in.parquet", "o/o.csv", "p/o.svg")}
    found = [row[0] for row in read_back(Path("o/o.csv").read_bytes())[1:]]
    assert found == [f"'{name}" if name[0] in "=+-@" else name for name in NAMES]


@pytest.mark.slow
def test_strange_names_in_training_back_test_and_comparison_name_no_file(call, tmp_path):
    sales(NAMES).to_parquet("in.parquet")
    short = ("horizon=2", "trainer.max_steps=4", "trainer.validate_every=2", "model.head=quantile", "trainer=cpu")
    code, out, _ = call("train", "--multirun", "input=in.parquet", *short, "seed=0", "model.attention=full,local", "output=m")
    assert code == 0
    assert not steers(out)
    with open(Path("m/0", comparison.WINDOWS), newline="", encoding="utf-8") as file:
        assert {line[0] for line in csv.reader(file)} == {*NAMES, "shop"}
    code, out, _ = call("backtest", "input=in.parquet", *short, "windows=1", "output=b.csv")
    assert code == 0
    assert not steers(out)
    assert {row[0] for row in read_back(Path("b.csv").read_bytes())[1:]} == set(NAMES)
    code, out, _ = call("predict", "input=in.parquet", "load=m/0", "plot=p.png")
    assert code == 0
    assert not steers(out)
    in_run = {"model.safetensors", "config.json", "findings.json", "manifest.json", "train.json", "verdict_windows.csv"}
    written = {name for name in files_below(tmp_path) if "/logs/" not in name}
    at_top = {"in.parquet", "b.csv", "p.png", "m/comparison.csv", "m/comparison.md"}
    assert written == {f"a/b/c/d/{name}" for name in at_top | {f"m/{run}/{name}" for run in (0, 1) for name in in_run}}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no limits of resources")
@pytest.mark.parametrize("setting", ["output=o.csv", "plot=o.png"])
def test_a_disk_that_fills_up_keeps_the_old_file(tmp_path, two_waves, setting):
    two_waves.head(60).to_csv(tmp_path / "in.csv", index=False)
    target = tmp_path / setting.split("=")[1]
    target.write_bytes(b"old")
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500));"
        "sys.argv = ['predict', 'input=in.csv', 'horizon=9', sys.argv[1]];"
        "import runpy; runpy.run_module('tsattn.predict', run_name='__main__')"
    )
    ended = subprocess.run([sys.executable, "-c", code, setting], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr == f"error: {target.name}: File too large\n"
    assert target.read_bytes() == b"old"
    assert files_below(tmp_path) == {"in.csv", target.name}


# ---- notebooks ---------------------------------------------------------------------------------------------------------


def test_what_a_notebook_shows_of_strange_names_is_text():
    table = sales(["<script>alert(1)</script>", "\x1b[31m<img src=x onerror=alert(1)>"]).rename(columns={"day": "<b>day"})
    forecaster = Forecaster(horizon=1).fit_naive(table, read={"id": "shop", "time": "<b>day", "value": "sold"})
    html = forecaster.predict()._repr_html_()
    assert "&lt;script&gt;" in html
    assert not any(mark in html for mark in ("<script>", "<img", "<b>"))
    shown = repr(forecaster.findings_) + repr(forecaster.verdict_) + repr(forecaster)
    assert not steers(shown)


def test_the_module_names_no_file_by_a_series():
    assert "unique_id" not in Path(output.__file__).read_text()


# ---- names of columns and of run folders -------------------------------------------------------------------------------

SINGLE = pd.DataFrame({"a": pd.date_range("2024-01-01", periods=30), "b": np.arange(30) % 7 + 1.0, "c": np.arange(30) % 5})
LONG = pd.concat([SINGLE.assign(id="A"), SINGLE.assign(id="B")])
CLASHES = {
    "time unique_id": (SINGLE[["a", "b"]].rename(columns={"a": "unique_id"}), {"value": "b"}, ["unique_id"]),
    "time unique_id, wide": (SINGLE.rename(columns={"a": "unique_id"}), {}, ["series", "unique_id"]),
    "time y, wide": (SINGLE.rename(columns={"a": "y"}), {"time": "y"}, ["unique_id", "y"]),
    "id ds, no time": (LONG[["id", "b"]].rename(columns={"id": "ds"}), {"id": "ds", "value": "b"}, ["ds", "time"]),
    "crossed": (LONG[["id", "a", "b"]].set_axis(["ds", "unique_id", "y"], axis=1), {"id": "ds", "time": "unique_id"}, None),
}


@pytest.mark.parametrize("case", CLASHES)
def test_columns_of_ours_give_way_to_those_of_the_caller(case):
    table, read, first = CLASHES[case]
    forecaster = Forecaster(horizon=2).fit_naive(table, read=read)
    forecast = forecaster.predict()
    assert forecast.columns.is_unique
    assert forecast.columns[: forecast.columns.get_loc("forecast")].tolist() == (first or ["ds", "unique_id"])
    assert forecaster.plot().axes[0].lines


def test_a_column_has_one_role():
    with pytest.raises(DataError, match=r"a can be one of read\.id=, read\.time= and read\.value= only"):
        Forecaster(horizon=2).fit_naive(LONG, read={"id": "a", "time": "a", "value": "b"})


FOLDERS = [("../../x y;", "x-y"), ("", "table"), ("*", "table"), ("a" * 300, "a" * 40), ("-x\x1b[2J", "x-2J"), ("店_1", "店_1")]


@pytest.mark.parametrize(("name", "folder"), FOLDERS, ids=range(len(FOLDERS)))
def test_a_run_folder_has_a_harmless_name_whatever_the_file_is_called(name, folder):
    assert slug(name) == folder


# ---- what is said --------------------------------------------------------------------------------------------------------


def test_an_error_shows_the_controls_of_a_file_name(call):
    code, out, err = call("predict", "input=a\x1b[31m\x9b.csv")
    assert (code, out) == (2, "")
    assert err.startswith("error: a\\x1b[31m\\x9b.csv: there is no such file")
    assert err.count("\n") == 1


def test_a_terminal_without_a_character_gets_its_code(call, monkeypatch):
    sales(["café"]).to_parquet("in.parquet")
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    code, _, err = call("predict", "input=in.parquet", "read.id=shop", "horizon=1")
    assert (code, err) == (0, "")
    assert b"caf\\xe9 2024-02-10" in terminal.buffer.getvalue()


def test_the_console_takes_names_for_nothing_but_names(capsys):
    make_console().print("[red]x[/red] :smile: [link=http://x]y[/link]")
    assert capsys.readouterr().out == "[red]x[/red] :smile: [link=http://x]y[/link]\n"


def test_half_a_character_in_json_reads_back():
    assert json.loads(to_json({"a\udcff": ["\ud800", "é"]})) == {"a\udcff": ["\ud800", "é"]}
