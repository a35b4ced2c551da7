from pathlib import Path

import torch

from rectok.evaluation.image_sets import collected


def test_parts_are_put_one_after_the_other_and_leave_no_file(here: Path) -> None:
    whole = torch.arange(5 * 3 * 2 * 2, dtype=torch.uint8).view(5, 3, 2, 2)
    first, second = collected(5, zip(whole.split(2), (255 - whole).split(2), strict=True))
    assert torch.equal(first, whole)
    assert torch.equal(second, 255 - whole)
    assert collected(5, ()) == ()
    assert not list((here / "data").iterdir())


def test_images_of_a_set_do_not_take_memory(here: Path) -> None:
    (images,) = collected(1, [(torch.zeros(1, 3, 1024, 1024, dtype=torch.uint8),)])
    address = images.data_ptr()
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    held = [
        line for line in maps if (span := [int(end, 16) for end in line[0].split("-")]) and span[0] <= address < span[1]
    ]
    assert str(here / "data") in held[0][5]
