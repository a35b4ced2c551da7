from pathlib import Path

import numpy as np
import pytest
import torch

from rectok.data.image_decoding import encode_png
from rectok.data.packing import Packed, write_shard
from rectok.data.shard_reader import AT_ONCE, ShardReader, image_batches
from tests.errors import user_error


def test_images_are_channels_first_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 255, (4, 4, 3)).astype(np.uint8)
    write_shard("00000", [Packed("0" * 16, 0, "train", encode_png(pixels))])
    image = ShardReader("00000").image(0)
    assert image.dtype == torch.uint8
    assert image.is_contiguous()
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), pixels)


def constant(row: int) -> torch.Tensor:
    return torch.full((3, 2, 2), row, dtype=torch.uint8)


def test_batches_hold_all_images_in_order_and_the_last_may_be_smaller() -> None:
    batches = list(image_batches(constant, range(3 * AT_ONCE), AT_ONCE + 1))
    assert [len(batch) for batch in batches] == [AT_ONCE + 1, AT_ONCE + 1, AT_ONCE - 2]
    assert torch.equal(torch.cat(batches), torch.stack([constant(row) for row in range(3 * AT_ONCE)]))


def test_a_damaged_row_ends_the_batches_after_those_before_it(here: Path) -> None:
    png = encode_png(np.zeros((4, 4, 3), np.uint8))
    write_shard("00000", [Packed(f"{row:016x}", 0, "train", png[: len(png) - 40 * (row == 9)]) for row in range(10)])
    batches = ShardReader("00000").batches(4)
    assert len(next(batches)) == 4
    with user_error("shards/00000.tar is damaged in row 9 .key 0000000000000009.: "):
        list(batches)
