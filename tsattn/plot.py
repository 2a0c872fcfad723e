"""The picture: history, forecast and shaded intervals, one panel per series.

Drawn with matplotlib's objects alone: no pyplot, no window, no global setting is touched. Save it with
`figure.savefig("forecast.png")`; in a notebook the last expression of a cell is shown.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
import unicodedata
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import font_manager, rcParams
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.ticker import FuncFormatter, MaxNLocator, StrMethodFormatter

from tsattn.data.findings import printable, shorten

HISTORY_COLOUR = "#333333"
FORECAST_COLOUR = "#0072B2"  # blue of Okabe & Ito (2008), Color universal design: told apart with every colour vision
BAND_COLOURS = ("#d6e8f3", "#b3d3e9", "#8fbfde", "#6babd4")  # the same blue in white, widest interval first
PANEL_SIZES = {1: (10.0, 3.1), 2: (6.2, 2.9), 3: (4.8, 2.7)}  # columns -> width and height of a panel in inches
ID_LENGTHS = {1: 80, 2: 48, 3: 34}  # columns -> characters of an id


class NotebookFigure(Figure):
    """A Figure that Jupyter shows as an image even when pyplot was never imported (it looks for `_repr_png_`)."""

    def _repr_png_(self) -> bytes:
        return picture(self, ".png")


class Panel(NamedTuple):
    """One series as arrays, in time order; time in matplotlib's numbers."""

    name: str
    past_time: np.ndarray
    past: np.ndarray
    time: np.ndarray
    median: np.ndarray
    intervals: list[tuple[str, np.ndarray, np.ndarray]]  # label, low, high; the widest first


def plot_forecast(
    history: pd.DataFrame,
    forecast: pd.DataFrame,
    *,
    id_col: str | None,
    time_col: str,
    target_col: str,
    title: str = "",
    max_panels: int = 9,
) -> Figure:
    """One panel for each of the first `max_panels` series of `forecast`; under the title stands how many there are.

    `history` has the columns `id_col` (None: one series), `time_col` and `target_col`; `forecast` has `id_col`, `time_col`,
    `forecast` (drawn as the line) and any of `q0.1` ... `q0.9`: each pair around the median is a band, widest lightest, at most
    four. Time is a date or a number. Of the history the last 6 horizons are drawn, or 60 rows if those are more. Missing
    values and missing rows leave gaps. Line and bands start at the last known value. Where no value is negative, the vertical
    axis starts at 0 unless more than half of it would be empty. Neither frame is changed.
    """
    if forecast.empty:
        raise ValueError("the forecast has no rows: there is nothing to draw")
    if max_panels < 1:
        raise ValueError(f"max_panels={max_panels} must be 1 or more")
    ids = [None] if id_col is None else forecast[id_col].drop_duplicates().tolist()
    panels = [_panel(history, forecast, i, id_col, time_col, target_col) for i in ids[:max_panels]]
    num_columns = 1 if len(panels) <= 3 else 2 if len(panels) <= 6 else 3
    num_rows = -(-len(panels) // num_columns)
    width, height = PANEL_SIZES[num_columns]
    figure = NotebookFigure(figsize=(width * num_columns, max(height * num_rows, 3.4) + 0.8), dpi=110, layout="constrained")
    grid = figure.subplots(num_rows, num_columns, squeeze=False)
    names = [*(panel.name for panel in panels), target_col, time_col]
    families, missing = _fonts("".join(shorten(printable(name), 80) for name in names))
    style: dict[str, Any] = {"parse_math": False, "usetex": False, "fontfamily": families}  # a `$` starts no formula
    for position, panel in enumerate(panels):
        axes = grid.flat[position]
        _draw(axes, panel)
        _style_values(axes, panel)
        _style_time(axes, forecast[time_col].dtype)
        axes.set_title(_literal(panel.name, ID_LENGTHS[num_columns], missing), fontsize=10, loc="left", **style)
        if position % num_columns == 0:
            axes.set_ylabel(_literal(target_col, 30, missing), **style)
        if position + num_columns >= len(panels) and pd.api.types.is_numeric_dtype(forecast[time_col]):
            axes.set_xlabel(_literal(time_col, 30, missing), **style)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    lines = textwrap.wrap(title, width=int(10 * width * num_columns))
    if len(ids) > len(panels):
        lines.append(f"the first {len(panels)} of {len(ids):,} series")
    if lines:
        figure.suptitle("\n".join(lines), fontsize=12)
    return figure


def picture(figure: Figure, suffix: str) -> bytes:
    """The figure as the content of a file that ends in `suffix`: .png, .svg or .pdf."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix.lower().removeprefix("."))
    return buffer.getvalue()


def _literal(name: str, length: int, missing: str) -> str:
    """A name as it is drawn: wide characters take the room of two, and `missing` ones are shown as \\u5317."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" or c in "WM@%" for c in name)
    text = shorten(printable(name), length * len(name) // max(1, len(name) + wide))
    return shorten("".join(c.encode("unicode_escape").decode() if c in missing else c for c in text), length)


def _fonts(text: str) -> tuple[list[str], str]:
    """The families that draw a text, those in use and then installed ones with what they lack, and what none of them has."""
    families = list(rcParams["font.family"])
    missing = _missing(text, [font_manager.findfont(font_manager.FontProperties(family=[family])) for family in families])
    while missing and (further := _font_with(missing)) is not None:
        families.append(further.name)
        missing = _missing(missing, [further.fname])
    return families, missing


def _missing(text: str, paths: list[str]) -> str:
    """The characters of `text` that none of the fonts has, each once and in order."""
    fonts = [FT2Font(path) for path in paths]
    return "".join(sorted(c for c in set(text) if not any(font.get_char_index(ord(c)) for font in fonts)))


def _font_with(characters: str) -> Any:
    """The entry of the installed upright font that has most of the characters, None where none has any."""

    def lacks(font: Any) -> int:
        try:
            return len(_missing(characters, [font.fname]))
        except (OSError, RuntimeError):  # a font that is gone or damaged
            return len(characters)

    entries = [font for font in font_manager.fontManager.ttflist if font.style == "normal" and "Last Resort" not in font.name]
    best = min(sorted(entries, key=lambda font: font.name), key=lacks, default=None)
    return None if best is None or lacks(best) == len(characters) else best


def _panel(
    history: pd.DataFrame, forecast: pd.DataFrame, name: Any, id_col: str | None, time_col: str, target_col: str
) -> Panel:
    """The series `name` of both frames; of its history only what is drawn."""
    past = history if id_col is None else history.loc[history[id_col] == name]
    future = forecast if id_col is None else forecast.loc[forecast[id_col] == name]
    future = future.sort_values(by=[time_col])
    past = past.sort_values(by=[time_col]).tail(max(60, 6 * len(future)))
    columns = [column for column in future.columns if column not in (id_col, time_col)]
    intervals = [(label, _floats(future, low), _floats(future, high)) for label, low, high in _interval_columns(columns)]
    label = "" if id_col is None else str(name)
    return Panel(
        label,
        _times(past, time_col),
        _floats(past, target_col),
        _times(future, time_col),
        _floats(future, "forecast"),
        intervals,
    )


def _interval_columns(columns: list[str]) -> list[tuple[str, str, str]]:
    """Label and both columns of each pair of quantiles around the median, widest first, at most four."""
    levels = {round(float(name[1:]), 6): name for name in columns if re.fullmatch(r"q0?\.\d+", str(name))}
    pairs = [(1 - 2 * p, levels[p], levels[round(1 - p, 6)]) for p in sorted(levels) if p < 0.5 and round(1 - p, 6) in levels]
    pairs = pairs[:: max(1, math.ceil(len(pairs) / len(BAND_COLOURS)))]
    return [(f"{100 * share:.4g} % interval", low, high) for share, low, high in pairs]


def _draw(axes: Axes, panel: Panel) -> None:
    _draw_history(axes, *_with_gaps(panel.past_time, panel.past))
    last = np.flatnonzero(~np.isnan(panel.past))[-1:]  # the last known value, if there is one
    time = np.concatenate([panel.past_time[last], panel.time])
    line = np.concatenate([panel.past[last], panel.median])
    marker = "." if len(panel.median) <= 31 else ""
    later = slice(len(last), None)
    axes.plot(time, line, color=FORECAST_COLOUR, lw=1.6, marker=marker, markevery=later, label="forecast (median)", zorder=5)
    for order, (label, low, high) in enumerate(panel.intervals):
        low, high = np.concatenate([panel.past[last], low]), np.concatenate([panel.past[last], high])
        colour, zorder = BAND_COLOURS[order], 2 + 0.1 * order
        axes.fill_between(time, low, high, facecolor=colour, lw=0, label=label, zorder=zorder)
        if len(time) == 1:  # a band has no width at a single time
            axes.vlines(time, low, high, colors=colour, lw=8, zorder=zorder)
    begin = panel.past_time[-1] if len(panel.past_time) else panel.time[0]
    axes.axvline(begin, color="#999999", lw=0.8, ls=(0, (4, 3)), zorder=1)


def _draw_history(axes: Axes, time: np.ndarray, value: np.ndarray) -> None:
    """A line with gaps, and a dot for every known value that stands alone (for each one if they are few)."""
    known = ~np.isnan(value)
    alone = known & ~np.r_[False, known[:-1]] & ~np.r_[known[1:], False]
    dots = known if known.sum() <= 80 else alone
    axes.plot(time, value, color=HISTORY_COLOUR, lw=1.1, label="history", zorder=4)
    axes.plot(time[dots], value[dots], color=HISTORY_COLOUR, ls="none", marker=".", ms=4, zorder=4)


def _with_gaps(time: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A NaN in every hole of the time axis: steps 1.5 times as long as the step that 95 % do not exceed (weekends are none)."""
    if len(time) < 3:
        return time, value
    step = np.diff(time)
    holes = np.flatnonzero(step > 1.5 * np.quantile(step, 0.95, method="lower"))
    return np.insert(time, holes + 1, time[holes] + step[holes] / 2), np.insert(value, holes + 1, np.nan)


def _style_values(axes: Axes, panel: Panel) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", lw=0.6)
    axes.tick_params(labelsize=9)
    axes.margins(x=0.02, y=0.08)
    values = np.concatenate([panel.past, panel.median, *(side for _, low, high in panel.intervals for side in (low, high))])
    values = values[np.isfinite(values)]
    if len(values) and values.min() >= 0 and values.max() > 0 and values.min() <= 0.5 * values.max():
        axes.set_ylim(bottom=0)
    largest = max(abs(limit) for limit in axes.get_ylim())
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(_in_millions) if largest >= 1e6 else StrMethodFormatter("{x:,.10g}"))


def _in_millions(value: float, position: int | None = None) -> str:
    return f"{value / 1e6:,.10g} M" if value else "0"


def _style_time(axes: Axes, dtype: Any) -> None:
    if pd.api.types.is_numeric_dtype(dtype):
        axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=pd.api.types.is_integer_dtype(dtype), min_n_ticks=1))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.10g}"))
        return
    zone = getattr(dtype, "tz", None)
    first, last = axes.get_xlim()
    # every second or fourth day of a month would set a tick on the 31st and on the 1st, on top of each other
    locator = AutoDateLocator(tz=zone, minticks=3, maxticks=8, interval_multiples=not 7 < last - first < 60)
    formatter = ConciseDateFormatter(
        locator,
        tz=zone,
        formats=["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%S.%f"],
        zero_formats=["", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M"],
        offset_formats=["", "%Y", "%Y", "%d %b %Y", "%d %b %Y", "%d %b %Y %H:%M"],
    )
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(formatter)


def _times(frame: pd.DataFrame, column: str) -> np.ndarray:
    """Time as matplotlib counts it: numbers as they are, dates as days since 1970 in UTC."""
    if pd.api.types.is_numeric_dtype(frame[column]):
        return _floats(frame, column)
    stamps = pd.DatetimeIndex(frame[column])
    return np.asarray(date2num((stamps if stamps.tz is None else stamps.tz_convert(None)).to_numpy()), dtype=np.float64)


def _floats(frame: pd.DataFrame, column: str) -> np.ndarray:
    return pd.Series(frame[column]).to_numpy(dtype=np.float64, na_value=np.nan)
