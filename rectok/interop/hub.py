"""One folder with everything that sampling needs, as `rectok export --format hub` writes it and Hugging Face's hub shows it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from rectok.artifacts import read_config, write_json
from rectok.dit.dit_config import DiTConfig
from rectok.errors import UserError
from rectok.files import replacing_folder, write_text
from rectok.interop.exporting import Network
from rectok.interop.published import ModelConfig
from rectok.nn.weights import save_weights
from rectok.sampling.generator import Generator, Places
from rectok.sampling.sampler_config import SamplingConfig

CONFIG, CARD = "config.json", "README.md"
TOKENIZER = "tokenizer"
TOKENIZER_FILES = (f"{TOKENIZER}/*", "config.json", "model.safetensors")
"""What `tokenizer_in` needs."""
FILES = Path(__file__).with_name("hub_files")
"""Code that is copied into the folder. It is no package, so that nothing here imports diffusers."""


def places(folder: Path) -> Places:
    """Where the parts of a generator lie in `folder`."""
    return Places(
        folder / "dit", folder / "autoguidance", folder / TOKENIZER, folder / "statistics" / "statistics.json"
    )


def write_generator(generator: Generator, sampling: SamplingConfig, card: str, folder: Path) -> None:
    """Write all parts of `generator`, how it samples, and the model card. Raises UserError unless `folder` is new or empty."""
    with _new_folder(folder) as temporary:
        parts = places(temporary)
        _write_network(parts.tokenizer, generator.tokenizer.config, generator.tokenizer.state_dict())
        for path, network in ((parts.dit, generator.dit), (parts.autoguidance, generator.autoguidance)):
            if path is not None and network is not None:
                _write_network(path, network.config, network.state_dict())
        statistics = {"mean": generator.statistics.mean.tolist(), "std": generator.statistics.std.tolist()}
        write_json(parts.statistics, statistics)
        write_json(temporary / CONFIG, sampling.model_dump())
        write_text(temporary / CARD, card)
        _add_pipeline(temporary, sampling)


def write_network(network: Network, card: str, folder: Path) -> None:
    """Write one network as load_tokenizer and load_dit read it, and its model card. `folder` as for `write_generator`."""
    with _new_folder(folder) as temporary:
        _write_network(temporary, network.config, network.weights)
        write_text(temporary / CARD, card)


def read_sampling(folder: Path) -> SamplingConfig:
    """How the generator in `folder` samples. Raises UserError where there is none, or it has another number of classes."""
    files = (folder / CONFIG, places(folder).dit / CONFIG)
    for file in files:
        if not file.is_file():
            name = file.relative_to(folder)
            raise UserError(
                f"{folder} holds no generator as `rectok export --format hub` writes it: it has no file {name}"
            )
    sampling, dit = read_config(files[0], SamplingConfig), read_config(files[1], DiTConfig)
    if sampling.classes and len(sampling.classes) != dit.classes:
        raise UserError(
            f"{files[0]} names {len(sampling.classes)} classes, but the generator in {files[1].parent} has {dit.classes}; "
            "name all of them in the order of their labels, or none"
        )
    return sampling


def tokenizer_in(folder: Path) -> Path:
    """Where the tokenizer lies in a folder that holds a generator, or nothing but the tokenizer."""
    alone = not (folder / TOKENIZER).exists() and not places(folder).dit.exists()
    return folder if alone else folder / TOKENIZER


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder that becomes `folder`, whole or not at all. What another export left in it would be taken for a part of this."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty; name a new folder or an empty one")
    with replacing_folder(folder) as temporary:
        yield temporary


def _add_pipeline(folder: Path, sampling: SamplingConfig) -> None:
    """What lets diffusers load the folder: the pipeline, a loader in each of its parts, and the file that names them."""
    parts = sorted(path.name for path in folder.iterdir() if path.is_dir())
    for part in parts:
        write_text(folder / part / "loader.py", (FILES / "loader.py").read_text(encoding="utf-8"))
    write_text(folder / "pipeline.py", (FILES / "pipeline.py").read_text(encoding="utf-8"))
    index = {"_class_name": ["pipeline", "RecTokPipeline"], "sampling": sampling.model_dump()}
    write_json(folder / "model_index.json", {**index, **{part: ["loader", "Part"] for part in parts}})


def _write_network(folder: Path, config: ModelConfig, weights: Mapping[str, Tensor]) -> None:
    save_weights(folder / "model.safetensors", weights, {"format": "pt"})
    write_json(folder / "config.json", config.model_dump())
