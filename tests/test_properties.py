"""What holds for every table: nothing is lost on the way to the panel, order has no say, the caller's data stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsattn.config import EncoderConfig, FitConfig, ReadConfig, TrainerConfig
from tsattn.data.frame import to_frame, to_rows
from tsattn.data.panel import make_panel
from tsattn.forecaster import Forecaster
from tsattn.store import weights_sha256

EXAMPLES = pytest.mark.parametrize("num", [6, pytest.param(150, marks=pytest.mark.slow)], ids=["few", "many"])
GRIDS: dict[str, list[Any]] = {
    "1": list(range(-20, 80)),
    **{
        freq: pd.date_range(first, periods=100, freq=freq).tolist()
        for freq, first in {
            "15min": "2024-02-28 22:45",
            "h": "2024-02-27 20:00",
            "7h": "2024-02-27 20:00",
            "D": "2024-01-01",
            "B": "2024-01-01",
            "W-MON": "2023-01-02",
            "MS": "2016-01-01",
            "ME": "2016-01-31",
            "QS-OCT": "2000-01-01",
            "YS-JAN": "1950-01-01",
        }.items()
    },
    "h in Berlin": pd.date_range("2024-03-30", periods=100, freq="h", tz="Europe/Berlin").tolist(),
}
CHARACTERS = st.characters(categories=("L", "N", "P", "S"))
IDS = st.lists(st.text(CHARACTERS, min_size=1, max_size=8), min_size=1, max_size=4, unique=True)
NUMBERS = st.floats(-1e12, 1e12) | st.floats(-1e3, 1e3, width=32) | st.integers(-1000, 1000).map(float)


class Series(NamedTuple):
    """One series of a table: where its rows lie on the grid, and their values."""

    id: str
    places: list[int]
    values: list[float]


def hold(check: Callable[..., None], num: int, *strategies: Any) -> None:
    """Run `check` on `num` examples, the same ones each time."""
    settings(max_examples=num, derandomize=True, deadline=None, database=None)(given(*strategies)(check))()


@st.composite
def tables(draw: Any) -> tuple[str, list[Series]]:
    """(name of a grid, series with gaps and missing values); at most every third row inside a series is left out."""
    series = []
    for name in draw(IDS):
        first, length = draw(st.integers(0, 40)), draw(st.integers(1, 30))
        inner = list(range(first + 1, first + length - 1))
        gone = draw(st.sets(st.sampled_from(inner), max_size=(length - 1) // 3)) if inner else set()
        places = [place for place in range(first, first + length) if place not in gone]
        values = draw(st.lists(NUMBERS | st.just(np.nan), min_size=len(places), max_size=len(places)))
        series.append(Series(name, places, values))
    return draw(st.sampled_from(list(GRIDS))), series


def long(grid: str, series: list[Series]) -> pd.DataFrame:
    rows = [(s.id, GRIDS[grid][place], value) for s in series for place, value in zip(s.places, s.values, strict=True)]
    return pd.DataFrame(rows, columns=["unique_id", "ds", "y"])


def waves(num_rows: int = 40, num_series: int = 3, seed: int = 0) -> pd.DataFrame:
    """Weekly waves with noise, series after series."""
    rng = np.random.default_rng(seed)
    days = np.arange(num_rows)
    parts = [
        pd.DataFrame(
            {
                "unique_id": f"series {k}",
                "ds": pd.date_range("2024-01-01", periods=num_rows),
                "y": 10 + 5 * k + 4 * np.sin(2 * np.pi * days / 7) + rng.normal(0, 1, num_rows),
            }
        )
        for k in range(num_series)
    ]
    return pd.concat(parts, ignore_index=True)


def naive(data: Any, horizon: int = 3, **read: Any) -> pd.DataFrame:
    """The naive forecast, sorted by id and time."""
    table = Forecaster(horizon=horizon).fit_naive(data, read=read or None).predict()
    return table.sort_values(["unique_id", "ds"], ignore_index=True)


# ---- nothing is lost ---------------------------------------------------------------------------------------------------


@EXAMPLES
def test_from_a_table_to_the_panel_and_back_nothing_is_lost_and_nothing_added(num):
    def check(drawn: tuple[str, list[Series]]) -> None:
        grid, series = drawn
        freq = grid.split()[0]
        config = ReadConfig()
        frame = to_frame(to_rows(long(grid, series), config), config, freq=freq)
        panel = make_panel(frame, horizon=2, features=[])
        latest = max(s.places[-1] for s in series)
        assert panel.freq == freq
        assert panel.ids == tuple(s.id for s in series)
        for k, s in enumerate(series):
            values = panel.values[panel.indptr[k] : panel.indptr[k + 1], 0]
            last = latest - int(panel.behind[k])
            back = {last - len(values) + 1 + i: value for i, value in enumerate(values.tolist())}
            known = {place: value for place, value in zip(s.places, s.values, strict=True) if not np.isnan(value)}
            assert list(back) == list(range(s.places[0], s.places[-1] + 1))
            assert {place: value for place, value in back.items() if not np.isnan(value)} == known
        stamps = [GRIDS[grid][place] for s in series for place in range(s.places[0], s.places[-1] + 1)]
        assert frame.df["ds"].tolist() == stamps

    hold(check, num, tables())


@EXAMPLES
def test_a_table_in_two_files_gives_the_frame_of_one(num, tmp_path):
    def check(drawn: tuple[str, list[Series]], cut: float) -> None:
        data = long(*drawn)
        data.loc[0, "y"] = 1.5  # a file whose values are all missing has nothing to be read
        middle = 1 + int(cut * (len(data) - 1))
        for name, part in (("all.csv", data), ("part-1.csv", data[:middle]), ("part-2.csv", data[middle:])):
            part.to_csv(tmp_path / name, index=False)
        if middle == len(data):
            (tmp_path / "part-2.csv").unlink()
        config = ReadConfig(id="unique_id", time="ds", value="y")
        whole, parts = (to_frame(to_rows(tmp_path / name, config), config) for name in ("all.csv", "part-*.csv"))
        pd.testing.assert_frame_equal(whole.df, parts.df)
        assert whole.freq == parts.freq

    hold(check, num, tables(), st.floats(0, 1))


# ---- order has no say --------------------------------------------------------------------------------------------------


@EXAMPLES
def test_the_order_of_rows_and_series_changes_nothing(num):
    data = waves().drop(index=[7, 50, 51, 95])
    expected = naive(data)

    def check(order: list[int]) -> None:
        shuffled = data.iloc[order]
        forecast = naive(shuffled)
        pd.testing.assert_frame_equal(forecast, expected, rtol=1e-12)
        config = ReadConfig()
        frame = to_frame(to_rows(shuffled, config), config)
        assert frame.df["unique_id"].unique().tolist() == list(dict.fromkeys(shuffled["unique_id"]))

    hold(check, num, st.permutations(range(len(data))))


def test_ids_come_out_in_the_order_in_which_they_went_in():
    data = waves()
    backward = pd.concat([part for _, part in reversed(list(data.groupby("unique_id")))])
    table = Forecaster(horizon=2).fit_naive(backward).predict()
    assert table["unique_id"].unique().tolist() == ["series 2", "series 1", "series 0"]


TINY = FitConfig(
    horizon=3,
    model=EncoderConfig(d_model=8, num_layers=1, num_heads=1, d_ff=8, patch_length=1),
    trainer=TrainerConfig(accelerator="cpu", max_steps=4, validate_every=2, warmup_steps=1),
)


def test_the_order_of_rows_and_series_changes_no_network_no_verdict_and_no_interval():
    data = waves()
    backward = data.iloc[::-1]
    assert backward["unique_id"].iloc[0] == "series 2"
    one, other = Forecaster(config=TINY).fit(data), Forecaster(config=TINY).fit(backward)
    assert weights_sha256(one.fitted_) == weights_sha256(other.fitted_)
    assert one.verdict_ == other.verdict_
    windows = [f.verdict_windows_.sort_values(["unique_id", "cutoff"], ignore_index=True) for f in (one, other)]
    pd.testing.assert_frame_equal(*windows)
    tables = [one.predict(), other.predict().sort_values(["unique_id", "ds"], ignore_index=True)]
    pd.testing.assert_frame_equal(*tables, rtol=1e-6)


# ---- the caller's data -------------------------------------------------------------------------------------------------


def untidy() -> pd.DataFrame:
    """Rows out of order, with gaps, missing values, several kinds of columns, an index and attributes of the caller's."""
    data = waves().drop(index=[7, 50]).sample(frac=1, random_state=0)
    data["unique_id"] = data["unique_id"].astype("category")
    data["ds"] = data["ds"].astype("datetime64[s]")
    data["price"] = np.arange(len(data)) % 5.0
    data["region"] = pd.array(["north"] * len(data), dtype="string")
    data.iloc[[3, 60], data.columns.get_loc("y")] = np.nan
    data.attrs = {"source": "the caller"}
    return data.set_index(pd.Index(np.arange(len(data)) * 7, name="row"))


def unchanged(before: pd.DataFrame, after: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(before, after, check_exact=True, check_freq=True, check_flags=True)
    assert before.attrs == after.attrs
    assert before.index.name == after.index.name
    assert before.columns.tolist() == after.columns.tolist()


def test_no_call_changes_the_callers_frame():
    data = untidy()
    before = data.copy(deep=True)
    forecaster = Forecaster(horizon=3).fit_naive(data, read={"value": "y"})
    unchanged(before, data)
    forecaster.predict(data)
    unchanged(before, data)
    forecaster.plot(data)
    unchanged(before, data)


@pytest.mark.slow
def test_no_call_with_a_network_changes_the_callers_frames():
    data = untidy()
    columns = {"past": ["price"], "static": ["region"]}
    before = data.copy(deep=True)
    forecaster = Forecaster(config=TINY).fit(data, read={"value": "y"}, covariates=columns)
    unchanged(before, data)
    for call in (forecaster.predict, forecaster.plot, lambda rows: forecaster.backtest(rows, windows=2)):
        call(data)
        unchanged(before, data)


def test_arrays_that_cannot_be_written_to_are_read():
    array = waves()["y"].to_numpy().copy()
    array.flags.writeable = False
    wide = array.reshape(3, 40).T
    before = array.copy()
    for data in (array, wide, pd.DataFrame({"y": array}, copy=False), pd.Series(array, copy=False)):
        forecaster = Forecaster(horizon=3).fit_naive(data)
        assert np.isfinite(forecaster.predict(data)["mean"]).all()
    assert array.tobytes() == before.tobytes()


# ---- scale, and series beside each other -------------------------------------------------------------------------------

FORECASTS = ["forecast", "mean", *(f"q0.{i}" for i in range(1, 10))]


@EXAMPLES
def test_scaled_values_have_scaled_naive_forecasts(num):
    data = waves()
    expected = naive(data)

    def check(exponent: int, factor: float) -> None:
        scale = factor * 10.0**exponent
        forecast = naive(data.assign(y=data["y"] * scale))
        assert forecast["model"].tolist() == expected["model"].tolist()
        np.testing.assert_allclose(forecast[FORECASTS] / scale, expected[FORECASTS], rtol=1e-6)

    hold(check, num, st.integers(-6, 9), st.floats(1, 9.9))


@EXAMPLES
def test_an_empty_or_constant_series_beside_them_leaves_forecasts_as_they_are(num):
    data = waves()
    expected = naive(data)

    def check(value: float, begin: int, first: bool) -> None:
        stamps = pd.date_range("2024-01-01", periods=40)[begin:]
        other = pd.DataFrame({"unique_id": "other", "ds": stamps, "y": value})
        forecast = naive(pd.concat([other, data] if first else [data, other]))
        kept = forecast[forecast["unique_id"] != "other"].reset_index(drop=True)
        pd.testing.assert_frame_equal(kept, expected, rtol=1e-9)
        others = forecast[forecast["unique_id"] == "other"]
        assert len(others) == 3
        np.testing.assert_allclose(others["mean"], value, rtol=1e-9, atol=1e-12)

    hold(check, num, st.just(np.nan) | st.sampled_from([0.0, 1.0, -3.5, 1e6]), st.integers(0, 39), st.booleans())
