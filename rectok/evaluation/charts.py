"""Line charts: as SVG whose colours follow the page it stands in, or as PNG. No torch here."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

LINES = ("#2f6fdb", "#c2621b")
INK, RULE = "#5f6368", "#d0d4d9"
SIZE = (3.6, 2.0)
"""Inches; charts shrink with the page."""


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
    figure = _figure(lines, x, y, logarithmic=False)
    figure.set_facecolor("white")
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _figure(lines: Sequence[Line], x: str, y: str, logarithmic: bool) -> Figure:
    figure = Figure(figsize=SIZE, dpi=220, layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot(facecolor="none")
    for line, colour in zip(lines, LINES, strict=False):
        marker = "o" if len(line.x) <= 20 else ""
        axes.plot(line.x, line.y, color=colour, linewidth=1.6, marker=marker, markersize=4)
        if line.label:
            end = (line.x[-1], line.y[-1])
            axes.annotate(line.label, end, (4, 0), textcoords="offset points", fontsize=8, color=colour, va="center")
    if logarithmic:
        axes.set_yscale("log")
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel(x, fontsize=8, color=INK)
    axes.set_ylabel(y, fontsize=8, color=INK)
    axes.tick_params(which="both", labelsize=8, colors=INK, length=0)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(RULE)
    return figure
