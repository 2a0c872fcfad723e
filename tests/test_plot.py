"""What is in the picture: panels, lines, bands, limits and labels (not pixels)."""

import itertools
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import font_manager
from matplotlib.collections import PolyCollection
from matplotlib.dates import date2num, num2date

from tsattn.data.findings import shorten
from tsattn.plot import picture, plot_forecast

LEVELS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
NAMES = {"id_col": "site", "time_col": "day", "target_col": "images"}


def tables(num_series=1, rows=100, horizon=7, freq="D", level=100.0, tz=None):
    rng = np.random.default_rng(0)
    time = pd.date_range("2024-01-01", periods=rows + horizon, freq=freq, tz=tz) if freq else np.arange(1, rows + horizon + 1)
    histories, forecasts = [], []
    for s in range(num_series):
        histories.append(
            pd.DataFrame({"site": f"site {s}", "day": time[:rows], "images": rng.poisson(level, rows).astype(float)})
        )
        forecast = pd.DataFrame({"site": f"site {s}", "day": time[rows:], "forecast": level, "mean": level})
        for q in LEVELS:
            forecast[f"q{q}"] = level * (0.5 + q)
        forecasts.append(forecast)
    return pd.concat(histories, ignore_index=True), pd.concat(forecasts, ignore_index=True)


def line(axes, label):
    (found,) = [artist for artist in axes.lines if artist.get_label() == label]
    return found


def bands(axes):
    return [artist for artist in axes.collections if isinstance(artist, PolyCollection)]


def drawn(figure):
    """The figure after a layout run, in which labels exist and a warning would be an error."""
    figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize(("num_series", "panels"), [(1, 1), (2, 2), (4, 4), (5, 5), (9, 9), (12, 9)])
def test_one_panel_per_series_up_to_nine_with_the_ids_as_titles(num_series, panels):
    figure = drawn(plot_forecast(*tables(num_series), **NAMES))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [f"site {s}" for s in range(panels)]
    assert len(figure.legends) == 1
    assert ("the first 9 of 12 series" in figure.get_suptitle()) == (num_series == 12)


def test_max_panels_and_title_are_heeded():
    figure = drawn(plot_forecast(*tables(3), **NAMES, title="Counts", max_panels=2))
    assert len(figure.axes) == 2
    assert figure.get_suptitle() == "Counts\nthe first 2 of 3 series"


def test_history_line_is_the_end_of_the_history_and_the_forecast_line_starts_at_its_last_value():
    history, forecast = tables(rows=200, horizon=14)
    (axes,) = plot_forecast(history, forecast, **NAMES).axes
    np.testing.assert_array_equal(line(axes, "history").get_ydata(), history["images"].tail(6 * 14))
    np.testing.assert_array_equal(line(axes, "history").get_xdata(), date2num(history["day"].tail(6 * 14).to_numpy()))
    expected = np.concatenate([history["images"].tail(1), forecast["forecast"]])
    np.testing.assert_array_equal(line(axes, "forecast (median)").get_ydata(), expected)
    np.testing.assert_array_equal(line(axes, "forecast (median)").get_xdata()[1:], date2num(forecast["day"].to_numpy()))


def test_at_least_sixty_rows_of_history_are_drawn():
    (axes,) = plot_forecast(*tables(rows=200, horizon=1), **NAMES).axes
    assert len(line(axes, "history").get_xdata()) == 60


def test_four_nested_bands_are_drawn_and_named_widest_first():
    figure = plot_forecast(*tables(), **NAMES)
    (axes,) = figure.axes
    assert [band.get_label() for band in bands(axes)] == [f"{share} % interval" for share in (80, 60, 40, 20)]
    for band, low in zip(bands(axes), (0.6, 0.7, 0.8, 0.9), strict=True):
        (path,) = band.get_paths()
        assert path.vertices[:, 1].min() == pytest.approx(100 * low)
        assert path.vertices[:, 1].max() == pytest.approx(100 * (2 - low))
    colours = [tuple(band.get_facecolor()[0]) for band in bands(axes)]
    assert len(set(colours)) == 4
    assert colours == sorted(colours, reverse=True)  # the lightest first
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["history", "forecast (median)", *[band.get_label() for band in bands(axes)]]


def test_quantiles_without_a_partner_are_not_drawn_and_many_pairs_become_four():
    history, forecast = tables()
    few = forecast.drop(columns=[f"q{q}" for q in LEVELS if q not in (0.2, 0.5, 0.8, 0.9)])
    (axes,) = plot_forecast(history, few, **NAMES).axes
    assert [band.get_label() for band in bands(axes)] == ["60 % interval"]
    for q in (0.025, 0.05, 0.15, 0.25, 0.75, 0.85, 0.95, 0.975):
        forecast[f"q{q}"] = 100 * (0.5 + q)
    (axes,) = plot_forecast(history, forecast, **NAMES).axes
    assert [band.get_label() for band in bands(axes)] == ["95 % interval", "80 % interval", "60 % interval", "40 % interval"]


def test_a_forecast_without_quantiles_is_a_line_alone():
    history, forecast = tables()
    (axes,) = drawn(plot_forecast(history, forecast[["site", "day", "forecast"]], **NAMES)).axes
    assert not bands(axes)


def test_one_series_needs_no_id_column():
    history, forecast = tables()
    figure = drawn(
        plot_forecast(
            history.drop(columns="site"), forecast.drop(columns="site"), id_col=None, time_col="day", target_col="images"
        )
    )
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == ""
    assert axes.get_ylabel() == "images"


def test_each_panel_has_the_numbers_of_its_own_series_in_time_order():
    history, forecast = tables(3)
    shuffled = history.sample(frac=1, random_state=0), forecast.sample(frac=1, random_state=1)
    figure = plot_forecast(*shuffled, **NAMES)
    for axes in figure.axes:
        own = history[history["site"] == axes.get_title(loc="left")]
        np.testing.assert_array_equal(line(axes, "history").get_ydata(), own["images"].tail(60))


def test_missing_values_and_missing_rows_leave_gaps():
    history, forecast = tables(rows=60)
    history.loc[10:12, "images"] = np.nan
    (axes,) = plot_forecast(history, forecast, **NAMES).axes
    assert np.isnan(line(axes, "history").get_ydata()[10:13]).all()
    (axes,) = plot_forecast(history.drop(index=range(30, 40)), forecast, **NAMES).axes
    values = line(axes, "history").get_ydata()
    assert len(values) == 60 - 10 + 1
    assert np.isnan(values[30])


def test_weekends_of_business_days_and_lengths_of_months_are_no_gaps():
    for freq in ("B", "MS", "YS"):
        (axes,) = drawn(plot_forecast(*tables(rows=60, freq=freq), **NAMES)).axes
        assert not np.isnan(line(axes, "history").get_ydata()).any()


def test_a_known_value_between_missing_ones_is_a_dot():
    history, forecast = tables(rows=300, horizon=30)
    history.loc[history.index % 5 == 0, "images"] = np.nan
    history.loc[[251, 252, 254], "images"] = np.nan
    (axes,) = plot_forecast(history, forecast, **NAMES).axes
    dots = [artist for artist in axes.lines if artist.get_linestyle() == "None"]
    assert date2num(history["day"][253].to_datetime64()) in dots[0].get_xdata()


@pytest.mark.parametrize(
    ("level", "starts_at_zero"),
    [(2.0, True), (100.0, True), (1e6, True), (-50.0, False)],
    ids=["few", "some", "many", "negative"],
)
def test_the_value_axis_starts_at_zero_for_counts(level, starts_at_zero):
    history, forecast = tables(level=abs(level))
    history["images"] *= np.sign(level)
    (axes,) = plot_forecast(history, forecast, **NAMES).axes
    assert (axes.get_ylim()[0] == 0) == starts_at_zero


def test_the_value_axis_does_not_waste_most_of_itself_on_empty_space():
    history, forecast = tables()
    history["images"] += 10_000
    forecast.iloc[:, 2:] += 10_000
    (axes,) = plot_forecast(history, forecast, **NAMES).axes
    assert axes.get_ylim()[0] > 9_000
    assert axes.get_ylim()[0] < history["images"].min()


def test_everything_drawn_lies_within_the_axes():
    history, forecast = tables(rows=20)
    (axes,) = plot_forecast(history, forecast, **NAMES).axes
    low, high = axes.get_ylim()
    assert low <= forecast["q0.1"].min()
    assert high >= max(forecast["q0.9"].max(), history["images"].max())
    first, last = axes.get_xlim()
    assert first <= date2num(history["day"].min())
    assert last >= date2num(forecast["day"].max())


def test_large_numbers_are_readable():
    (axes,) = drawn(plot_forecast(*tables(level=40_000), **NAMES)).axes
    assert "20,000" in [text.get_text() for text in axes.get_yticklabels()]
    (axes,) = drawn(plot_forecast(*tables(level=4_000_000), **NAMES)).axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert "0" in labels
    assert "2 M" in labels


@pytest.mark.parametrize("freq", ["15min", "h", "4h", "12h", "D", "W-MON", "MS", "QS", "YS"])
@pytest.mark.parametrize("num_series", [1, pytest.param(9, marks=pytest.mark.slow)])
def test_date_labels_are_few_and_do_not_touch(freq, num_series):
    figure = plot_forecast(*tables(num_series, rows=200, freq=freq), **NAMES)
    figure.draw_without_rendering()
    for axes in figure.axes:
        first, last = axes.get_xlim()
        ticks = [tick for tick in axes.xaxis.get_major_ticks() if first <= tick.get_loc() <= last]
        boxes = [tick.label1.get_window_extent() for tick in ticks if tick.label1.get_text()]
        assert 2 <= len(boxes) <= 9
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_days_are_labelled_with_their_month():
    (axes,) = drawn(plot_forecast(*tables(rows=24, horizon=2), **NAMES)).axes
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert all(label.endswith(" Jan") for label in labels), labels


def test_integer_time_is_labelled_with_plain_whole_numbers_and_the_columns_name():
    figure = drawn(plot_forecast(*tables(4, freq=None, rows=2020), **NAMES))
    for axes in figure.axes:
        labels = [text.get_text() for text in axes.get_xticklabels()]
        assert all(label.isdigit() for label in labels), labels
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", "day", "day"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["images", "", "images", ""]


def test_time_zones_are_shown_as_local_time():
    history, forecast = tables(rows=24, horizon=12, freq="h", tz="America/New_York")
    (axes,) = drawn(plot_forecast(history, forecast, **NAMES)).axes
    assert num2date(line(axes, "history").get_xdata()[0]).hour == 5
    formatter = axes.xaxis.get_major_formatter()
    assert formatter.format_ticks([date2num(history["day"].iloc[6])]) == ["06:00"]


@pytest.mark.parametrize("rows", [0, 1, 2, 5])
@pytest.mark.parametrize("horizon", [1, 3])
@pytest.mark.parametrize("freq", ["D", None])
def test_tiny_tables_are_drawn(rows, horizon, freq):
    (axes,) = drawn(plot_forecast(*tables(rows=rows, horizon=horizon, freq=freq), **NAMES)).axes
    assert len(bands(axes)) == 4


def test_constant_unknown_and_missing_series_are_drawn():
    history, forecast = tables(4)
    history.loc[history["site"] == "site 0", "images"] = 7.0
    history.loc[history["site"] == "site 1", "images"] = np.nan
    history = history[history["site"] != "site 2"]
    forecast.loc[forecast["site"] == "site 0", forecast.columns[2:]] = 7.0
    forecast.loc[forecast["site"] == "site 3", forecast.columns[2:]] = np.nan
    figure = drawn(plot_forecast(history, forecast, **NAMES))
    assert len(figure.axes) == 4
    assert len(line(figure.axes[1], "forecast (median)").get_xdata()) == 7


def test_all_zeros_are_drawn():
    history, forecast = tables()
    history["images"] = 0.0
    forecast.iloc[:, 2:] = 0.0
    drawn(plot_forecast(history, forecast, **NAMES))


def test_nullable_integers_are_drawn():
    history, forecast = tables()
    history["images"] = history["images"].astype("Int64")
    history.loc[50, "images"] = pd.NA
    (axes,) = plot_forecast(history, forecast, **NAMES).axes
    assert np.isnan(line(axes, "history").get_ydata()[10])


def test_long_ids_and_titles_are_shortened_and_wrapped():
    assert shorten("short", 10) == "short"
    assert shorten("abcdefghijkl", 7) == "abc…jkl"
    assert all(len(shorten("x" * 99, length)) == length for length in range(3, 20))
    history, forecast = tables(7)
    for frame in (history, forecast):
        frame["site"] = "warehouse/" + frame["site"] + "/" + "x" * 60
    figure = drawn(plot_forecast(history, forecast, **NAMES, title="many words " * 40))
    assert all(len(axes.get_title(loc="left")) <= 34 for axes in figure.axes)
    assert max(len(row) for row in figure.get_suptitle().split("\n")) < 150


STRANGE = {
    "$x^2$ \\frac{": "$x^2$ \\frac{",
    "_private": "_private",
    "<script>alert(1)</script>": "<script>alert(1)</script>",
    "\x1b[2J\x00\n": "\\x1b[2J\\x00\\n",
    "ab\u202ecd": "ab\\u202ecd",
    "店 \U0001f3ea": "\\u5e97 \\U0001f3ea",
    "\U0001d49c=1": "\U0001d49c=1",
    "%s {x} --> ]]>": "%s {x} --> ]]>",
}


def named(names):
    """`tables` whose series have these names and whose value column is called like the first one."""
    history, forecast = tables(len(names), rows=20, horizon=2)
    for frame in (history, forecast):
        frame["site"] = frame["site"].map(dict(zip(frame["site"].unique(), names, strict=True)))
    return history.rename(columns={"images": names[0]}), forecast, {**NAMES, "target_col": names[0]}


@pytest.fixture
def fonts_of_matplotlib(monkeypatch):
    """No other fonts than those that come with matplotlib: in STIXGeneral there is a script A, in none a Chinese sign."""
    shipped = [font for font in font_manager.fontManager.ttflist if "mpl-data" in font.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", shipped)


@pytest.mark.usefixtures("fonts_of_matplotlib")
def test_names_are_drawn_as_they_are_and_what_no_font_has_as_its_code(monkeypatch):
    monkeypatch.setitem(mpl.rcParams, "text.usetex", True)
    history, forecast, names = named(list(STRANGE))
    figure = plot_forecast(history, forecast, **names)
    titles = [axes._left_title for axes in figure.axes]
    assert [title.get_text() for title in titles] == list(STRANGE.values())
    assert not any(text.get_parse_math() or text.get_usetex() for text in [*titles, figure.axes[0].yaxis.label])
    assert figure.axes[0].get_ylabel() == "$x^2$ \\frac{"


@pytest.mark.usefixtures("fonts_of_matplotlib")
def test_a_font_that_is_gone_or_damaged_is_passed_over(monkeypatch, tmp_path):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    bad = [font_manager.FontEntry(fname=str(tmp_path / name), name="Aaa") for name in ("broken.ttf", "gone.ttf")]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", bad)
    (axes,) = plot_forecast(*named(["店"])[:2], **named(["店"])[2]).axes
    assert axes.get_title(loc="left") == "\\u5e97"


@pytest.mark.usefixtures("fonts_of_matplotlib")
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_every_format_holds_strange_names_as_text_and_nothing_else(suffix):
    names = ["$x^2$ \\frac{", *list(STRANGE)[2:6]]
    history, forecast, columns = named(names)
    content = picture(plot_forecast(history, forecast, **columns), suffix)
    assert content.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix])
    if suffix == ".svg":
        tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(content).iter()}
        assert tags & {"path", "g"}
        assert not tags & {"script", "a", "image"}
        assert b"<script" not in content


@pytest.mark.usefixtures("fonts_of_matplotlib")
@pytest.mark.parametrize("letter", ["W", "店"])
@pytest.mark.parametrize("num_series", [1, 4, 7])
def test_long_names_of_wide_letters_stay_over_their_own_panel(num_series, letter):
    names = [f"{number}{letter * 200}{number}" for number in range(num_series)]
    figure = drawn(plot_forecast(*named(names)[:2], **named(names)[2]))
    for axes in figure.axes:
        title, room = axes._left_title.get_window_extent(), axes.get_window_extent()
        assert title.x1 <= room.x1 + 1
        assert axes.get_title(loc="left")[0] == axes.get_title(loc="left")[-1]


def test_an_id_column_called_like_a_quantile_is_no_interval():
    history, forecast = tables()
    columns = {"site": "q0.95", "day": "q0.05"}
    figure = plot_forecast(
        history.rename(columns=columns), forecast.rename(columns=columns), id_col="q0.95", time_col="q0.05", target_col="images"
    )
    assert [band.get_label() for band in bands(figure.axes[0])] == [f"{share} % interval" for share in (80, 60, 40, 20)]


def test_neither_frame_nor_any_global_setting_is_changed():
    history, forecast = tables(2)
    before = history.copy(), forecast.copy(), dict(mpl.rcParams)
    drawn(plot_forecast(history, forecast, **NAMES))
    pd.testing.assert_frame_equal(history, before[0])
    pd.testing.assert_frame_equal(forecast, before[1])
    assert dict(mpl.rcParams) == before[2]


def test_pyplot_is_not_imported():
    code = "import sys, tsattn.plot; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_figure_saves_as_png_and_shows_itself_in_a_notebook(tmp_path):
    figure = plot_forecast(*tables(), **NAMES)
    figure.savefig(tmp_path / "forecast.png")
    assert (tmp_path / "forecast.png").read_bytes().startswith(b"\x89PNG")
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_an_empty_forecast_is_refused():
    history, forecast = tables()
    with pytest.raises(ValueError, match="nothing to draw"):
        plot_forecast(history, forecast[:0], **NAMES)
    with pytest.raises(ValueError, match="max_panels=0"):
        plot_forecast(history, forecast, **NAMES, max_panels=0)
