import io
from xml.etree import ElementTree

import pytest
from PIL import Image

from rectok.evaluation.charts import INK, LINES, PANEL_LINES, RULE, Line, Panel, Series, line_png, line_svg, panels_png


@pytest.mark.parametrize("logarithmic", [False, True])
def test_svg_is_well_formed_takes_the_pages_colours_and_asks_for_nothing(logarithmic: bool) -> None:
    svg = line_svg(
        Line([0, 1, 2], [3.0, 2.0, 0.1], "first"),
        Line([0, 1], [1.0, 2.0]),
        x="step",
        y="a < b",
        logarithmic=logarithmic,
    )
    assert ElementTree.fromstring(svg.replace("xlink:href", "href")).tag == "svg"
    assert "var(--line-1)" in svg
    assert "var(--line-2)" in svg
    assert not any(colour in svg for colour in (INK, RULE, *LINES))
    assert "http" not in svg
    assert "a &lt; b" in svg


def test_charts_are_deterministic() -> None:
    line = Line([0, 1], [1.0, 2.0])
    assert line_svg(line, x="t", y="") == line_svg(line, x="t", y="")
    assert line_png(line, x="t", y="") == line_png(line, x="t", y="")


def test_png_is_a_picture() -> None:
    with Image.open(io.BytesIO(line_png(Line([0, 1], [1.0, 2.0]), x="t", y=""))) as image:
        assert image.size == (792, 440)


def _colours(png: bytes) -> set[str]:
    with Image.open(io.BytesIO(png)) as image:
        found = image.convert("RGB").getcolors(maxcolors=2**24)
    return {f"#{r:02x}{g:02x}{b:02x}" for _, (r, g, b) in found}  # type: ignore[misc, union-attr]


def test_every_series_of_a_panel_has_a_colour_of_its_own() -> None:
    series = [
        Series([1, 2], [[low, low + 2], [low + 3]], name) for low, name in enumerate(("first", "second", "third"))
    ]
    one, all_three = (_colours(panels_png([Panel("gFID", shown, [], "epochs")])) for shown in (series[:1], series))
    assert set(PANEL_LINES[:3]) <= all_three
    assert not set(PANEL_LINES[1:]) & one
