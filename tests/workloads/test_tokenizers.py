"""The tokenizer's configuration: its sizes must be those of whatever gives the latents."""

import json
from pathlib import Path

from rectok.params import Params
from rectok.storage.hashing import sha256_file
from rectok.workloads.tokenizers import tokenizer_config
from tests.errors import user_error
from tests.project import tiny

WIDTH = 16
"""Of the tiny teacher."""


def published(folder: Path, patch: int, channels: int, name: str = "AutoencoderKL") -> Params:
    """An autoencoder that halves the image once, into 4 channels."""
    config = folder / "config.json"
    config.write_text(json.dumps({"_class_name": name, "block_out_channels": [8, 16], "latent_channels": 4}))
    file = {"path": str(config), "sha256": sha256_file(config)}
    sizes = {"tokenizer__sizes__patch": patch, "tokenizer__sizes__channels": channels}
    return tiny(tokenizer__kind="published", tokenizer__published=file, tokenizer__initial=file, **sizes)


def test_sizes_must_be_those_of_the_autoencoder(tmp_path: Path) -> None:
    autoencoder = tokenizer_config(published(tmp_path, 2, 4), WIDTH).autoencoder
    assert autoencoder == json.loads((tmp_path / "config.json").read_text())
    with user_error("tokenizer.sizes.channels is 16, but must be 4, as .*config.json says"):
        tokenizer_config(published(tmp_path, 2, 16), WIDTH)
    with user_error("tokenizer.sizes.patch is 4, but must be 2, as .*config.json says"):
        tokenizer_config(published(tmp_path, 4, 4), WIDTH)


def test_another_class_is_refused(tmp_path: Path) -> None:
    with user_error("is the config of VQModel, but tokenizer.published.path must name one of AutoencoderKL or "):
        tokenizer_config(published(tmp_path, 2, 4, "VQModel"), WIDTH)


def test_channels_of_an_rae_are_the_teachers_width() -> None:
    with user_error("tokenizer.sizes.channels is 4, but must be 16, the teacher's width, where tokenizer.kind is rae"):
        tokenizer_config(tiny(tokenizer__kind="rae"), WIDTH)


def test_the_config_names_no_file_of_the_teacher() -> None:
    network = tiny().teacher.network.model_dump() | {"weights": "teachers/mine.safetensors", "sha256": "0" * 64}
    params = tiny(tokenizer__kind="rae", tokenizer__sizes__channels=WIDTH, teacher__network=network)
    teacher = tokenizer_config(params, WIDTH).teacher
    assert teacher is not None and (teacher.network.weights, teacher.network.sha256) == ("", "")
