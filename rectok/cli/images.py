"""`rectok sample` and `rectok reconstruct`: pictures on demand."""

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rectok import artifacts
from rectok.errors import UserError
from rectok.params import load

DIT, AUTOGUIDANCE, DECODER = map(artifacts.stage_dir, ("dit", "autoguidance", "decoder"))
STATISTICS = artifacts.statistics_file()
Tokenizer = Annotated[Path, typer.Option(help="Folder of the tokenizer")]


class Guidance(StrEnum):
    """Kinds of guidance."""

    cfg = "cfg"
    autoguidance = "autoguidance"


def sample(
    label: Annotated[int, typer.Option(help="Class number, a position in data/index/classes.json")],
    out: Annotated[Path, typer.Option(help="PNG file to write")],
    count: Annotated[int, typer.Option(min=1, help="How many images")] = 16,
    guidance: Annotated[float, typer.Option(min=0.0, help="Scale; 1 is without guidance")] = 1.0,
    kind: Annotated[Guidance, typer.Option(help="cfg, or autoguidance with the autoguidance model")] = Guidance.cfg,
    seed: Annotated[int, typer.Option(min=0, help="Image i uses seed + i")] = 0,
    dit: Annotated[Path, typer.Option(help="Folder of the generator")] = DIT,
    autoguidance: Annotated[Path, typer.Option(help="Folder of the autoguidance model")] = AUTOGUIDANCE,
    tokenizer: Tokenizer = DECODER,
    statistics: Annotated[Path, typer.Option(help="JSON file of the latent's mean and std")] = STATISTICS,
) -> None:
    """Draw images of one class into a grid."""
    params = load()
    _need(*_network(dit), *_network(tokenizer), statistics)
    import torch

    from rectok.evaluation.image_quality import to_uint8
    from rectok.reporting.images import enlarged, grid, write_png
    from rectok.sampling.config import GuidanceConfig
    from rectok.sampling.generator import Places, load_generator
    from rectok.train.world import device_of

    wanted = GuidanceConfig(
        kind=kind.value, scale=guidance, low=params.generation.guidance.low, high=params.generation.guidance.high
    )
    seeds = torch.arange(seed, seed + count)
    labels = torch.full((count,), label)
    guided = guidance != 1
    places = Places(dit, autoguidance if guided and kind is Guidance.autoguidance else None, tokenizer, statistics)
    generator = load_generator(torch.device(device_of(params.machine)), places)
    images = generator.sample(labels, seeds, params.generation.sampler, wanted if guided else None)
    pixels = enlarged(to_uint8(images, params.generation.rounding).cpu().numpy())
    write_png(out, grid(pixels, columns=round(count**0.5)))
    typer.echo(f"wrote {count} images of class {_class_name(label)} to {out}")


def reconstruct(
    files: Annotated[list[Path], typer.Argument(help="Image files")],
    out: Annotated[Path, typer.Option(help="Folder for the PNG files")],
    tokenizer: Tokenizer = DECODER,
) -> None:
    """Encode and decode images; each PNG shows the cropped original beside its reconstruction."""
    params = load()
    _need(*_network(tokenizer))
    twice = [name for name, count in Counter(path.stem for path in files).items() if count > 1]
    if twice:
        raise UserError(f"two of the files would both become {twice[0]}.png; rename one")
    import torch

    from rectok.data.image_decoding import BadImage, prepare
    from rectok.evaluation.image_quality import to_uint8
    from rectok.reporting.images import grid, write_png
    from rectok.tokenizer.loading import load_tokenizer
    from rectok.tokenizer.model import from_bytes, split_moments, to_unit

    model = load_tokenizer(tokenizer)
    wanted = params.image.model_copy(update={"size": model.config.image_size})
    originals = []
    for path in files:
        try:
            originals.append(torch.from_numpy(prepare(path.read_bytes(), wanted).transpose(2, 0, 1).copy()))
        except FileNotFoundError:
            raise UserError(f"{path} does not exist") from None
        except BadImage as bad:
            raise UserError(f"{path} cannot be used: {bad}") from None
    with torch.no_grad():
        for path, original in zip(files, originals, strict=True):
            mean, _ = split_moments(model.encode(from_bytes(original[None])))
            image = to_uint8(to_unit(model.decode(mean)), params.reconstruction.rounding)
            write_png(out / f"{path.stem}.png", grid(torch.cat([original[None], image]).numpy(), columns=2))
    typer.echo(f"wrote {len(files)} reconstructions to {out}")


def _network(folder: Path) -> tuple[Path, Path]:
    return folder / "model.safetensors", folder / "config.json"


def _need(*files: Path) -> None:
    for path in files:
        if not path.exists():
            ours = path.is_relative_to(artifacts.DATA)
            raise UserError(artifacts.missing(path) if ours else f"{path} does not exist")


def _class_name(label: int) -> str:
    path = artifacts.classes_file()
    names = artifacts.read_json(path) if path.exists() else []
    return f"{label} ({names[label]})" if label < len(names) else str(label)
