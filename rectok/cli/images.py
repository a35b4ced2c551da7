"""`rectok sample` and `rectok reconstruct`: pictures on demand."""

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rectok import artifacts
from rectok.errors import UserError
from rectok.params import load


class Guidance(StrEnum):
    """Kinds of guidance."""

    cfg = "cfg"
    autoguidance = "autoguidance"


def sample(
    label: Annotated[int, typer.Option(help="Class number, a position in data/index/classes.json")],
    out: Annotated[Path, typer.Option(help="PNG file to write")],
    count: Annotated[int, typer.Option(min=1, help="How many images")] = 16,
    guidance: Annotated[float, typer.Option(min=0.0, help="Scale; 1 is without guidance")] = 1.0,
    kind: Annotated[Guidance, typer.Option(help="cfg, or autoguidance with the guide model")] = Guidance.cfg,
    seed: Annotated[int, typer.Option(min=0, help="Image i uses seed + i")] = 0,
) -> None:
    """Draw images of one class into a grid."""
    params = load()
    _need(artifacts.weights_file("dit"), artifacts.weights_file("decoder"))
    import torch

    from rectok.evaluation.config import GuidanceConfig
    from rectok.evaluation.generator import load_generator
    from rectok.evaluation.metrics import to_uint8
    from rectok.evaluation.pictures import enlarged, grid, write_png
    from rectok.train.world import device_of

    wanted = GuidanceConfig(
        kind=kind.value, scale=guidance, low=params.generation.guidance.low, high=params.generation.guidance.high
    )
    seeds = torch.arange(seed, seed + count)
    labels = torch.full((count,), label)
    images = load_generator(torch.device(device_of(params.machine))).sample(
        labels, seeds, params.generation.sampler, wanted if guidance != 1 else None
    )
    pixels = enlarged(to_uint8(images, params.generation.rounding).cpu().numpy())
    write_png(out, grid(pixels, columns=round(count**0.5)))
    typer.echo(f"wrote {count} images of class {_class_name(label)} to {out}")


def reconstruct(
    files: Annotated[list[Path], typer.Argument(help="Image files")],
    out: Annotated[Path, typer.Option(help="Folder for the PNG files")],
) -> None:
    """Encode and decode images; each PNG shows the cropped original beside its reconstruction."""
    params = load()
    _need(artifacts.weights_file("decoder"))
    twice = [name for name, count in Counter(path.stem for path in files).items() if count > 1]
    if twice:
        raise UserError(f"two of the files would both become {twice[0]}.png; rename one")
    import torch

    from rectok.data.images import BadImage, prepare
    from rectok.evaluation.metrics import to_uint8
    from rectok.evaluation.pictures import grid, write_png
    from rectok.tokenizer.loading import load_tokenizer
    from rectok.tokenizer.model import from_bytes, split_moments, to_unit

    tokenizer = load_tokenizer(artifacts.stage_dir("decoder"))
    wanted = params.image.model_copy(update={"size": tokenizer.config.image_size})
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
            mean, _ = split_moments(tokenizer.encode(from_bytes(original[None])))
            image = to_uint8(to_unit(tokenizer.decode(mean)), params.reconstruction.rounding)
            write_png(out / f"{path.stem}.png", grid(torch.cat([original[None], image]).numpy(), columns=2))
    typer.echo(f"wrote {len(files)} reconstructions to {out}")


def _need(*files: Path) -> None:
    for path in files:
        if not path.exists():
            raise UserError(artifacts.missing(path))


def _class_name(label: int) -> str:
    names = artifacts.read_json(artifacts.classes_file())
    return f"{label} ({names[label]})"
