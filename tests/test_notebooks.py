"""Every notebook runs from its first cell to its last, with warnings as errors; 02 is kept with its outputs, to be read."""

import copy
import os
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = [path for path in sorted(FOLDER.glob("*.ipynb")) if path.stem[:2] != "02"]  # 02 opens tsattn.nn and keeps outputs
FIRST = FOLDER / "01_first_forecast.ipynb"
BY_HAND = FOLDER / "02_self_attention.ipynb"


def read(path):
    return nbformat.read(path, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def execute(notebook, folder):
    """A copy of the notebook with its outputs; the first warning of a cell ends it. Nothing is written outside `folder`."""
    nbclient = pytest.importorskip("nbclient")
    notebook = copy.deepcopy(notebook)
    notebook.cells.insert(0, nbformat.v4.new_code_cell("import warnings\nwarnings.simplefilter('error')"))
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=dict(os.environ, OMP_NUM_THREADS="1"))
    return notebook


def shown(notebook):
    """MIME types of what the cells show, and all that they print."""
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    kinds = [kind for output in outputs if "data" in output for kind in output["data"]]
    return kinds, {name: "".join(o["text"] for o in outputs if o.get("name") == name) for name in ("stdout", "stderr")}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_kept_in_the_file(path):
    for cell in code(read(path)):
        assert cell.outputs == []
        assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_only_public_names_are_imported(path):
    import tsattn

    for line in "\n".join(cell.source for cell in code(read(path))).splitlines():
        if line.startswith(("import tsattn", "from tsattn")):
            assert line.startswith("from tsattn import "), line
            assert set(line.removeprefix("from tsattn import ").split(", ")) <= set(tsattn.__all__), line


def test_the_first_one_goes_from_csv_to_picture_in_ten_lines():
    lines = [line for cell in code(read(FIRST)) for line in cell.source.splitlines() if line]
    assert lines.index("forecaster.plot()") < 10


def test_the_first_one_says_that_the_sample_is_simulated():
    assert "simulated" in read(FIRST).cells[0].source


@pytest.mark.slow  # its trainings take half a minute; tests/test_readme.py runs the same steps in short
def test_the_first_one_runs_and_shows_two_tables_and_two_pictures(tmp_path):
    kinds, printed = shown(execute(read(FIRST), tmp_path))
    assert kinds.count("image/png") == 2
    assert kinds.count("text/html") == 3
    assert "19 of 3288 times (D) have no row" in printed["stdout"]
    assert "held-out windows" in printed["stdout"]
    assert "15 of 15 windows scored" in printed["stdout"]
    assert "Cannot judge" in printed["stdout"]
    assert printed["stderr"] == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_second_one_runs_as_it_is_stored(tmp_path):
    stored = read(BY_HAND)
    kinds, printed = shown(execute(stored, tmp_path))
    assert kinds.count("image/png") == 4
    assert printed == shown(stored)[1]
    assert printed["stderr"] == ""


@pytest.mark.slow
def test_the_third_one_shows_what_was_seen_and_five_numbers(tmp_path):
    kinds, printed = shown(execute(read(FOLDER / "03_without_training.ipynb"), tmp_path))
    assert kinds.count("image/png") == 3
    assert "pretrained" in printed["stdout"]
    assert printed["stderr"] == ""
