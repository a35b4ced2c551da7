"""Small pictures of image files, for pages that people read."""

import io

from PIL import Image

from rectok.data.bad_image import BadImage, damage_makes_bad_images
from rectok.data.data_config import ImageConfig
from rectok.data.image_colour import to_rgb
from rectok.data.image_decoding import TURNS, centre_crop, orientation_of
from rectok.data.image_formats import open_image

SIDE = 64
MOST_PIXELS = 100_000_000
"""A larger image has no thumbnail, since decoding it may need gigabytes."""
END_OF_JPEG = b"\xff\xd9"


def thumbnail(content: bytes, config: ImageConfig) -> Image.Image | None:
    """The central square of an image file, SIDE pixels wide, in RGB; None where nothing can be decoded.

    The pixels are only nearly those of `prepare`, since a large JPEG is decoded at an eighth of its size or so, which is fast. A
    JPEG that breaks off shows what there is of it.
    """
    for end in (b"", END_OF_JPEG):
        try:
            with damage_makes_bad_images():
                return _decoded(content + end, config)
        except BadImage:
            continue
    return None


def png(image: Image.Image) -> bytes:
    """The image as a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def _decoded(content: bytes, config: ImageConfig) -> Image.Image | None:
    image = open_image(content)
    if image.width * image.height > MOST_PIXELS:
        return None
    image.draft(image.mode, (2 * SIDE, 2 * SIDE))
    image.load()
    turn = orientation_of(image)
    rgb, _ = to_rgb(image.transpose(TURNS[turn]) if turn in TURNS else image, config)
    return centre_crop(rgb, SIDE, MOST_PIXELS)
