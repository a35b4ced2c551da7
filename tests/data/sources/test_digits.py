import io

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from rectok.data.sources.opening import open_source
from tests.data.sources.small_sources import read_images


def test_digits_are_those_of_scikit_learn() -> None:
    bunch = load_digits()
    images = read_images("sklearn:digits")
    assert [int(label) for _, label, _, _ in images] == bunch.target.tolist()
    assert {split for _, _, split, _ in images} == {None}
    for number in (0, 17, 1796):
        with Image.open(io.BytesIO(images[number][3])) as image:
            assert (image.mode, image.size, image.format) == ("RGB", (8, 8), "PNG")
            pixels = np.asarray(image)
        for channel in range(3):
            np.testing.assert_array_equal(pixels[..., channel], np.rint(bunch.images[number] * 255 / 16))


def test_digits_are_read_again_by_uri() -> None:
    contents = {uri: content for uri, _, _, content in read_images("sklearn:digits")}
    uris = ["digits/1000", "digits/0003"]
    again = {uri: read() for uri, read in open_source("sklearn:digits").read(uris)}
    assert again == {uri: contents[uri] for uri in uris}
