from pathlib import Path

import numpy as np
import pytest
import torch

from rectok.data.image_decoding import encode_png
from rectok.data.packing import Packed, write_shard
from rectok.data.shard_reader import ShardReader


def test_images_are_channels_first_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 255, (4, 4, 3)).astype(np.uint8)
    write_shard("00000", [Packed("0" * 16, 0, "train", encode_png(pixels))])
    image = ShardReader("00000").image(0)
    assert image.dtype == torch.uint8
    assert image.is_contiguous()
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), pixels)
