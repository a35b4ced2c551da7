import io
from xml.etree import ElementTree

import pytest
from PIL import Image

from rectok.reporting.charts import INK, LINES, RULE, Line, Panel, Series, line_png, line_svg, panels_figure


@pytest.mark.parametrize("logarithmic", [False, True])
def test_svg_is_well_formed_takes_the_pages_colours_and_asks_for_nothing(logarithmic: bool) -> None:
    lines = Line([0, 1, 2], [3.0, 2.0, 0.1], "first"), Line([0, 1], [1.0, 2.0])
    svg = line_svg(*lines, x="step", y="a < b", logarithmic=logarithmic)
    assert ElementTree.fromstring(svg.replace("xlink:href", "href")).tag == "svg"
    assert "var(--line-1)" in svg and "var(--line-2)" in svg
    assert not any(colour in svg for colour in (INK, RULE, *LINES))
    assert "http" not in svg
    assert "a &lt; b" in svg


def test_charts_are_deterministic() -> None:
    line = Line([0, 1], [1.0, 2.0])
    assert line_svg(line, x="t", y="") == line_svg(line, x="t", y="")
    assert line_png(line, x="t", y="") == line_png(line, x="t", y="")


def test_names_of_lines_that_end_together_stand_above_one_another() -> None:
    svg = line_svg(Line([0, 1], [0.0, 1.0], "first"), Line([0, 1], [1.0, 0.99], "second"), x="days", y="")
    tree = ElementTree.fromstring(svg.replace("xlink:href", "href"))
    places = {text.text: float(text.attrib["y"]) for text in tree.iter("text")}
    assert places["second"] - places["first"] >= 8  # points, downwards
    assert {"0", "1"} <= places.keys() and "0.5" not in places, "days are whole"


def test_png_is_a_picture() -> None:
    with Image.open(io.BytesIO(line_png(Line([0, 1], [1.0, 2.0]), x="t", y=""))) as image:
        assert image.size == (792, 440)


def test_every_series_of_a_panel_has_a_colour_of_its_own_and_a_name_in_the_legend() -> None:
    series = [Series([12, 48], [[low, low + 2], [low + 3]], name) for low, name in enumerate(("first", "second"))]
    figure = panels_figure([Panel("gFID", series, [], "epochs"), Panel("rFID", series, [], "epochs")])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["first", "second"]
    for axes in figure.axes:
        lines = axes.get_lines()
        assert [line.get_color() for line in lines] == [LINES[0]] * 3 + [LINES[1]] * 3
        assert [list(line.get_ydata()) for line in lines[:3]] == [[1, 3], [0, 2], [3]]  # the means, then every value
        assert list(axes.get_xticks()) == [12, 48]


def test_a_panel_of_one_series_without_a_name_has_no_legend() -> None:
    assert not panels_figure([Panel("gFID", [Series([0, 1], [[3.0], [2.0]])], ["a", "b"], "")]).legends


@pytest.mark.parametrize("logarithmic", [False, True])
def test_a_chart_of_one_point_names_its_place_alone_and_surrounds_its_value(logarithmic: bool) -> None:
    svg = line_svg(Line([0], [0.2949]), Line([0], [0.2852]), x="days", y="", logarithmic=logarithmic)
    texts = [element.text for element in ElementTree.fromstring(svg.replace("xlink:href", "href")).iter("text")]
    places = [text for text in texts if text and text.strip("−0123456789.") == ""]
    assert places.count("0") == 1 and not any(text.startswith("−") for text in places)
    assert len(places) <= 7
