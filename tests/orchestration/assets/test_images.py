import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestration.assets.images import MAX_BYTES, MAX_SIDE, curves, inline_image, inline_images
from rectok.artifacts import read_log


def opened(markdown: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(markdown.partition("base64,")[2].rstrip(")"))))


def test_a_small_picture_is_shown_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "preview.png"
    Image.new("RGBA", (30, 20), (255, 0, 0, 255)).save(path)
    shown = inline_image(path).md_str
    assert shown.startswith("![preview](data:image/png;base64,") and opened(shown).size == (30, 20)


def test_a_large_grid_is_shrunk_to_fit_the_event_log_on_white(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1000, 2400, 4), np.uint8)
    noise[:, :1200, 3] = 0  # the gaps of a grid are clear
    path = tmp_path / "preview.png"
    Image.fromarray(noise).save(path)
    assert path.stat().st_size > MAX_BYTES
    shown = opened(inline_image(path).md_str)
    assert shown.format == "JPEG" and shown.size == (MAX_SIDE, 500)
    assert min(shown.getpixel((100, 100))) > 240  # type: ignore[arg-type]


def test_only_the_first_few_are_shown(tmp_path: Path) -> None:
    for name in "cab":
        Image.new("L", (1, 1)).save(tmp_path / f"{name}.png")
    assert list(inline_images(tmp_path.glob("*.png"), limit=2)) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    "text, drawn",
    [
        ("step,images,lr,total\n1,8,1,2.5\n2,16,1,1.5\n3,24,1,nan\n", True),
        ("step,images,lr,total\n1,8,1,2.5\n", False),
        ("step,images,lr,total\n", False),
    ],
)
def test_a_log_of_two_rows_or_more_has_a_curve(tmp_path: Path, text: str, drawn: bool) -> None:
    (tmp_path / "log.csv").write_text(text, encoding="utf-8")
    plots = curves(read_log(tmp_path / "log.csv"))
    assert bool(plots) is drawn
    if drawn:
        assert opened(plots["loss"].md_str).width > 500


def test_every_validation_curve_has_a_plot_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(
        "step,images,lr,total,val_loss,val_sample_accuracy\n1,8,1,2,3,0.2\n2,16,1,1,,\n3,24,1,1,2,0.9\n"
    )
    plots = curves(read_log(tmp_path / "log.csv"))
    assert list(plots) == ["loss", "validation loss", "validation sample accuracy", "learning rate"]
    assert opened(plots["validation sample accuracy"].md_str).width > 500
