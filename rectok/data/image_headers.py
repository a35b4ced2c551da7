"""How many images have something in their header that a parameter of `image` decides about, counted without decoding."""

from collections import Counter
from dataclasses import dataclass, field

from rectok.data.bad_image import BadImage, damage_makes_bad_images
from rectok.data.image_decoding import orientation_of
from rectok.data.image_formats import open_image, png_chunks

PARAMETERS = ("orientation", "profile", "background", "frames")
"""Parameters of `image`, by which HeaderCounts counts."""
FIRST, EVERY = 1000, 64
"""The first headers of a source are all read, and then one of so many, so that an index is not slower."""


@dataclass
class HeaderCounts:
    """The number of headers that were `read`, and for each of PARAMETERS the images about which it decides."""

    read: int = 0
    images: Counter[str] = field(default_factory=Counter)

    def add(self, parameters: tuple[str, ...]) -> None:
        """Count one image."""
        self.read += 1
        self.images.update(parameters)

    def summary(self) -> dict[str, int]:
        """All counts by name."""
        return {"read": self.read, **{name: self.images[name] for name in PARAMETERS}}


def is_sampled(number: int) -> bool:
    """Whether the header of the image with that number in the order of the source is read."""
    return number < FIRST or number % EVERY == 0


def parameters_for(content: bytes) -> tuple[str, ...]:
    """Those of PARAMETERS that decide how this image is shown; empty for a file that is no readable image."""
    try:
        with damage_makes_bad_images():
            image = open_image(content)
            if (
                image.format == "PNG"
            ):  # else Pillow decodes all of it, perhaps gigabytes, to find EXIF behind its pixels
                behind = (data for kind, data in png_chunks(content) if kind == b"eXIf")
                image.info.setdefault("exif", next(behind, None))
            decisive = (
                orientation_of(image) != 1,
                bool(image.info.get("icc_profile")),
                image.has_transparency_data,
                image.format != "MPO" and bool(getattr(image, "is_animated", False)),
            )
    except BadImage:
        return ()
    return tuple(name for name, decides in zip(PARAMETERS, decisive, strict=True) if decides)
