import base64
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from rectok.pages import data_uri, filled

VALUES = {"title": "<b>Rows</b> & columns", **dict.fromkeys(("claim", "how", "columns", "rows", "plot", "samples"), "")}


def test_a_page_has_one_head_the_shared_style_and_escaped_values() -> None:
    page = filled("rectok.ablation", "page.html", **VALUES)
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert page.count("<head>") == page.count("<body>") == page.count("<style>") == 1
    assert "prefers-color-scheme: dark" in page and "&#34;Segoe UI&#34;" not in page  # the style is not escaped
    assert "<title>RecTok: &lt;b&gt;Rows&lt;/b&gt; &amp; columns</title>" in page


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="'title'"):
        filled("rectok.ablation", "page.html", **{name: value for name, value in VALUES.items() if name != "title"})


def test_a_picture_becomes_a_part_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG...")
    head, _, body = data_uri(tmp_path / "a.png").partition(",")
    assert head == "data:image/png;base64" and base64.b64decode(body) == b"\x89PNG..."
