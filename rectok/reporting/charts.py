"""Line charts: as SVG whose colours follow the page it stands in, or as PNG. No torch here."""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from math import inf
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.ticker import MaxNLocator

LINES = ("#2f6fdb", "#c2621b")
PANEL_LINES = (*LINES, "#2a8c5f", "#8a4fbf", "#b03a5b", "#6b6b2a")
"""In a panel; a seventh line has the first one's colour again."""
MANY_PLACES = 6
"""Up to so many places are the ticks of a panel's axis."""
INK, RULE = "#5f6368", "#d0d4d9"
SIZE = (3.6, 2.0)
"""Inches; charts shrink with the page."""


LABEL_POINTS = 9
"""Height of a line's name."""


@dataclass(frozen=True)
class Line:
    """One series of points; with a `label`, it is named at its last point."""

    x: Sequence[float]
    y: Sequence[float]
    label: str = ""


def line_svg(*lines: Line, x: str, y: str, logarithmic: bool = False) -> str:
    """An <svg> element for HTML: text and rules take the page's --ink and --rule, lines its --line-1 and --line-2."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": f"{x}{y}{lines[0].y[0]}"}):
        figure = _figure(lines, x, y, logarithmic)
        text = io.StringIO()
        FigureCanvasSVG(figure).print_svg(text, metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" role="img">', svg, count=1, flags=re.DOTALL)
    names = {INK: "var(--ink)", RULE: "var(--rule)", LINES[0]: "var(--line-1)", LINES[1]: "var(--line-2)"}
    for colour, name in names.items():
        svg = svg.replace(colour, name)
    return svg


def line_png(*lines: Line, x: str, y: str) -> bytes:
    """The same chart as a PNG on white, 800 pixels wide or so."""
    return _png(_figure(lines, x, y, logarithmic=False))


@dataclass(frozen=True)
class Series:
    """Places on the x axis, and all values found at each; with a `label`, it is named in the panel's legend."""

    x: Sequence[float]
    values: Sequence[Sequence[float]]
    label: str = ""


@dataclass(frozen=True)
class Panel:
    """One figure of several rows: for each series a point per value, and the means, joined unless the places have `names`."""

    title: str
    series: Sequence[Series]
    names: Sequence[str]
    x: str


def panels_png(panels: Sequence[Panel]) -> bytes:
    """Panels side by side, up to three in a row, with one legend below, as a PNG on white."""
    return _png(panels_figure(panels))


def panels_figure(panels: Sequence[Panel]) -> Figure:
    """The same as a figure."""
    figure, places = _places(len(panels))
    for panel, axes in zip(panels, places, strict=True):
        _draw_panel(axes, panel)
    named = [line for line in figure.axes[0].get_lines() if not str(line.get_label()).startswith("_")]
    if named:
        figure.legend(handles=named, loc="outside lower center", ncols=len(named), labelcolor=INK, frameon=False)
    return figure


def pictures_png(pictures: Mapping[str, Path]) -> bytes:
    """Pictures side by side, up to three in a row, each below its title, as a PNG on white."""
    figure, places = _places(len(pictures))
    for (title, path), axes in zip(pictures.items(), places, strict=True):
        axes.imshow(imread(path))
        axes.set_title(title, fontsize=9, color=INK)
        axes.axis("off")
    return _png(figure)


def _places(count: int) -> tuple[Figure, list[Axes]]:
    """A figure with `count` places, up to three in a row."""
    columns = min(3, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(4 * columns, 3 * rows), dpi=150, layout="constrained")
    return figure, [figure.add_subplot(rows, columns, place) for place in range(1, count + 1)]


def _draw_panel(axes: Axes, panel: Panel) -> None:
    marker = {"marker": "_", "markersize": 24, "linestyle": ""} if panel.names else {"linewidth": 1.2}
    for series, colour in zip(panel.series, cycle(PANEL_LINES)):
        means = [sum(values) / len(values) for values in series.values]
        axes.plot(series.x, means, color=colour, alpha=0.6, label=series.label or None, **marker)
        for place, values in zip(series.x, series.values, strict=True):
            axes.plot([place] * len(values), values, "o", color=colour, markersize=4)
    axes.set_title(panel.title, fontsize=9, color=INK)
    if panel.names:
        axes.set_xticks(panel.series[0].x, panel.names, rotation=20, ha="right")
    places = sorted({place for series in panel.series for place in series.x})
    if not panel.names and len(places) <= MANY_PLACES:
        axes.set_xticks(places)
    axes.set_xlabel(panel.x, fontsize=8, color=INK)
    _style(axes)


def _png(figure: Figure) -> bytes:
    figure.set_facecolor("white")
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _style(axes: Axes) -> None:
    axes.tick_params(which="both", labelsize=8, colors=INK, length=0)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(RULE)


def _figure(lines: Sequence[Line], x: str, y: str, logarithmic: bool) -> Figure:
    figure = Figure(figsize=SIZE, dpi=220, layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot(facecolor="none")
    for line, colour in zip(lines, LINES, strict=False):
        marker = "o" if len(line.x) <= 20 else ""
        axes.plot(line.x, line.y, color=colour, linewidth=1.6, marker=marker, markersize=4)
    if logarithmic:
        axes.set_yscale("log")
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
    places = {place for line in lines for place in line.x}
    if all(float(place).is_integer() for place in places):
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    if len(places) == 1:
        _surround(axes, places.pop(), [value for line in lines for value in line.y])
    _label_ends(axes, lines)
    axes.set_xlabel(x, fontsize=8, color=INK)
    axes.set_ylabel(y, fontsize=8, color=INK)
    _style(axes)
    return figure


def _label_ends(axes: Axes, lines: Sequence[Line]) -> None:
    """Name each line at its last point. Names of lines that end close together stand above one another."""
    points = 72 / axes.figure.dpi
    heights = [float(axes.transData.transform((line.x[-1], line.y[-1]))[1]) * points for line in lines]
    free = -inf
    for height, line, colour in sorted(zip(heights, lines, LINES, strict=False), key=lambda each: each[0]):
        if line.label:
            place = max(height, free)
            free, end, offset = place + LABEL_POINTS, (line.x[-1], line.y[-1]), (4, place - height)
            axes.annotate(line.label, end, offset, textcoords="offset points", fontsize=8, color=colour, va="center")


def _surround(axes: Axes, x: float, values: Sequence[float]) -> None:
    """Name the only place on the x axis, and leave room around its values; else the ticks are fractions of nothing."""
    low, high = min(values), max(values)
    room = max(high - low, 0.2 * abs(high), 0.01)
    axes.set_xticks([x])
    axes.set_xlim(x - 1, x + 1)
    if axes.get_yscale() == "linear":
        axes.set_ylim(low - room, high + room)
