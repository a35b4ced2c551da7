from pathlib import Path

import numpy as np
from PIL import Image

from rectok.reporting.images import GAP, by_class, enlarged, grid, side_by_side, write_png


def tiles(values: list[int], side: int = 4) -> np.ndarray:
    return np.stack([np.full((3, side, side), value, np.uint8) for value in values])


def test_grid_places_tiles_row_by_row_with_gaps() -> None:
    picture = grid(tiles([10, 20, 30]), columns=2)
    assert picture.shape == (4 + GAP + 4, 4 + GAP + 4, 4)
    assert (picture[0, 0, 0], picture[0, 4 + GAP, 0], picture[4 + GAP, 0, 0]) == (10, 20, 30)
    assert (picture[0, 0, 3], picture[0, 4, 3], picture[-1, -1, 3]) == (255, 0, 0)


def test_small_images_are_enlarged_by_a_whole_factor_and_large_ones_left() -> None:
    small = np.arange(3 * 32 * 32, dtype=np.uint8).reshape(1, 3, 32, 32)
    large = enlarged(small)
    assert large.shape == (1, 3, 96, 96)
    assert np.array_equal(large[..., 1::3, 1::3], small)
    assert enlarged(np.zeros((1, 3, 256, 256), np.uint8)).shape[-1] == 256


def test_by_class_takes_evenly_spaced_classes_and_the_first_images_of_each() -> None:
    labels = np.repeat(np.arange(5), 3)
    chosen = by_class(tiles(list(range(15))), labels, rows=3, columns=2)
    assert chosen[:, 0, 0, 0].tolist() == [0, 1, 6, 7, 12, 13]


def test_pairs_stand_above_one_another() -> None:
    rows = side_by_side((tiles([1, 2, 3, 4]), tiles([11, 12, 13, 14])), columns=2)
    assert rows[:, 0, 0, 0].tolist() == [1, 2, 11, 12, 3, 4, 13, 14]


def test_png_holds_the_pixels(tmp_path: Path) -> None:
    picture = grid(tiles([1, 2]), columns=2)
    write_png(tmp_path / "a" / "grid.png", picture)
    with Image.open(tmp_path / "a" / "grid.png") as image:
        assert np.array_equal(np.asarray(image), picture)
