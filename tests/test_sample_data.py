"""The built-in sample: what its README promises, and that its generator writes it."""

import runpy
import shutil
from importlib import resources

import numpy as np
import pandas as pd
import pytest

FOLDER = resources.files("tsattn.sample_data")


@pytest.fixture(scope="module")
def table():
    return pd.read_csv(str(FOLDER / "image_counts.csv"), parse_dates=["date"])


def series(table, source):
    return table[table["source"] == source].set_index("date")["images"]


def test_the_generator_writes_the_file_byte_for_byte_next_to_itself(tmp_path, capsys):
    script = shutil.copy(str(FOLDER / "make_image_counts.py"), tmp_path)
    runpy.run_path(str(script), run_name="__main__")
    assert (tmp_path / "image_counts.csv").read_bytes() == (FOLDER / "image_counts.csv").read_bytes()
    assert "wrote" in capsys.readouterr().out


def test_the_file_is_small_and_has_the_columns_and_days_of_its_readme(table):
    assert len((FOLDER / "image_counts.csv").read_bytes()) < 120_000
    assert table.columns.tolist() == ["source", "date", "images"]
    assert table["source"].unique().tolist() == ["ct_scanner", "camera_trap", "photo_uploads"]
    assert pd.api.types.is_integer_dtype(table["images"])
    assert (table["images"] >= 0).all()
    assert not table.duplicated(["source", "date"]).any()
    assert f"{len(table):,} rows" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_only_the_camera_trap_has_missing_days_and_they_are_one_outage(table):
    days = pd.date_range("2022-01-01", "2024-12-31", freq="D")
    for source in ("ct_scanner", "photo_uploads"):
        assert series(table, source).index.equals(days.as_unit(series(table, source).index.unit))
    missing = days.difference(series(table, "camera_trap").index)
    assert missing.equals(pd.date_range("2023-09-04", "2023-09-22", freq="D").as_unit(missing.unit))


def test_the_scanner_rests_on_weekends_and_holidays(table):
    scanner = series(table, "ct_scanner")
    by_day = scanner.groupby(scanner.index.day_of_week).mean()
    assert by_day[[5, 6]].max() < 0.5 * by_day[[0, 1, 2, 3, 4]].min()
    working_day = scanner.index.day_of_week < 5
    christmas = scanner[working_day & scanner.index.strftime("%m-%d").isin(["12-24", "12-25", "12-26"])]
    assert christmas.max() < 0.6 * by_day[[0, 1, 2, 3, 4]].min()


def test_the_camera_trap_has_a_yearly_season_and_no_weekly_one(table):
    camera = series(table, "camera_trap")
    by_month = camera.groupby(camera.index.month).mean()
    assert by_month[6] > 4 * by_month[12]
    by_day = camera.groupby(camera.index.day_of_week).mean()
    assert by_day.max() < 1.3 * by_day.min()


def test_uploads_grow_and_peak_at_weekends(table):
    uploads = series(table, "photo_uploads")
    by_year = uploads.groupby(uploads.index.year).mean()
    assert by_year[2024] / by_year[2022] == pytest.approx(1.45**2, rel=0.15)
    by_day = uploads.groupby(uploads.index.day_of_week).mean()
    assert by_day[[5, 6]].min() > 1.1 * by_day[[0, 1, 2, 3, 4]].max()


def test_counts_scatter_more_than_poisson(table):
    for source in table["source"].unique():
        counts = series(table, source).asfreq("D").to_numpy(dtype=float)
        half_difference = (counts[7:] - counts[:-7]) ** 2 / 2  # the weekly season cancels
        assert np.nanmedian(half_difference / 0.455) > 1.5 * np.nanmedian(counts), source


def test_it_is_said_to_be_simulated():
    for name in ("README.md", "make_image_counts.py"):
        assert "simulated" in (FOLDER / name).read_text(encoding="utf-8")[:400].lower()
