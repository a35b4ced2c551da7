"""`rectok sample` and `rectok reconstruct`: pictures on demand."""

import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rectok import artifacts
from rectok.errors import UserError
from rectok.imports import importing
from rectok.params import load
from rectok.params.loading import PARAMS_FILE

if TYPE_CHECKING:
    from rectok.data.data_config import ImageConfig
    from rectok.params import Params

DIT, AUTOGUIDANCE, DECODER = map(artifacts.stage_dir, ("dit", "autoguidance", "decoder"))
STATISTICS = artifacts.statistics_file()
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "F", "I;16", "LA;16", "RGB;16", "RGBA;16")
"""All that become RGB (rectok/data/image_colour.py)."""
Tokenizer = Annotated[
    Path, typer.Option(help="Folder of the tokenizer, or a checkpoint file of heads 64, 64 and 48 wide")
]


def sample(
    label: Annotated[int, typer.Option(help="Class number, a position in data/index/classes.json")],
    out: Annotated[Path, typer.Option(help="PNG file to write")],
    count: Annotated[int, typer.Option(min=1, help="How many images")] = 16,
    guidance: Annotated[float, typer.Option(min=0.0, help="Scale; 1 is without guidance")] = 1.0,
    kind: Annotated[
        Literal["cfg", "autoguidance", "internal"],
        typer.Option(help="Steer away from no label, from the autoguidance model, or from the generator's inner block"),
    ] = "cfg",
    seed: Annotated[int, typer.Option(min=0, help="Image i uses seed + i")] = 0,
    dit: Annotated[Path, typer.Option(help="Folder or checkpoint file of the generator")] = DIT,
    autoguidance: Annotated[
        Path, typer.Option(help="Folder or checkpoint file of the autoguidance model")
    ] = AUTOGUIDANCE,
    tokenizer: Tokenizer = DECODER,
    statistics: Annotated[Path, typer.Option(help="JSON file of the latent's mean and std")] = STATISTICS,
) -> None:
    """Draw images of one class into a grid."""
    if out.suffix.lower() != ".png" or out.is_dir():
        raise UserError(f"--out is {str(out)!r}, but must be the name of a PNG file such as grid.png")
    params = project_params()
    names = artifacts.read_json(artifacts.classes_file(), list) if artifacts.classes_file().exists() else []
    with importing():
        import torch

        from rectok.api import Generator
        from rectok.evaluation.image_quality import to_uint8
        from rectok.nn.spread import ALONE, batch_sizes
        from rectok.reporting.images import enlarged, grid, write_png
        from rectok.sampling.generator import Places
        from rectok.train.launch import launched
        from rectok.train.world import member

    batch = params.generation.batch if params else count
    sizes = batch_sizes(count, batch)
    if params and launched(params.machine, "sample", *sys.argv[2:], units=len(sizes)):
        return
    spread = member(params.machine).spread if params else ALONE
    steered = guidance != 1 and kind == "autoguidance"
    if steered and not autoguidance.exists():
        raise UserError(
            f"--kind autoguidance needs its model, but {autoguidance} does not exist; `dvc repro` makes data/autoguidance"
        )
    places = Places(dit, autoguidance if steered else None, tokenizer, statistics)
    device, fp8 = (params.machine.device, params.generation.sampler.fp8) if params else ("auto", False)
    generator = Generator.at(places, device, fp8=fp8)
    sample_batch = partial(
        generator.sample,
        label,
        guidance=guidance,
        kind=kind,
        interval=(params.generation.guidance.low, params.generation.guidance.high) if params else None,
        sampler=params.generation.sampler if params else None,
    )
    drawn = ((sample_batch(sizes[unit], seed=seed + unit * batch),) for unit in spread.own(len(sizes)))
    images = [images for (images,) in spread.results(drawn, sizes)]
    if not spread.first:
        return
    pixels = enlarged(to_uint8(torch.cat(images), params.generation.rounding if params else "round").numpy())
    write_png(out, grid(pixels, columns=round(count**0.5)))
    named = f" ({names[label]})" if label < len(names) else ""
    typer.echo(f"wrote {count} images of class {label}{named} to {out}")


def reconstruct(
    files: Annotated[list[Path], typer.Argument(help="Image files")],
    out: Annotated[Path, typer.Option(help="Folder for the PNG files")],
    tokenizer: Tokenizer = DECODER,
) -> None:
    """Encode and decode images. Each PNG shows the cropped original, and its reconstruction to the right of it."""
    params = project_params()
    twice = [name for name, count in Counter(path.stem for path in files).items() if count > 1]
    if twice:
        raise UserError(f"two of the files would both become {twice[0]}.png; rename one")
    with importing():
        import torch

        from rectok import api
        from rectok.data.bad_image import BadImage
        from rectok.data.image_decoding import prepare
        from rectok.evaluation.image_quality import to_uint8
        from rectok.reporting.images import enlarged, grid, write_png

    model = api.Tokenizer.load(tokenizer, device="cpu")
    config = image_config(params, model.config.image_size).model_copy(
        update={"modes": MODES}
    )  # `rectok sample` writes RGBA
    originals = []
    for path in files:
        try:
            originals.append(torch.from_numpy(prepare(path.read_bytes(), config).pixels.transpose(2, 0, 1).copy()))
        except FileNotFoundError:
            raise UserError(f"{path} does not exist") from None
        except BadImage as bad:
            raise UserError(f"{path} cannot be used: {bad}") from None
    rounding = params.reconstruction.rounding if params else "round"
    for path, original in zip(files, originals, strict=True):
        image = to_uint8(model.decode(model.encode(original[None])), rounding)
        write_png(out / f"{path.stem}.png", grid(enlarged(torch.cat([original[None], image]).numpy()), columns=2))
    typer.echo(f"wrote {len(files)} reconstructions to {out}")


def project_params() -> "Params | None":
    """The parameters of the project, or nothing where this folder is none."""
    return load() if PARAMS_FILE.exists() else None


def image_config(params: "Params | None", size: int) -> "ImageConfig":
    """How files become images of `size` pixels: as the project says, or else whatever can be read."""
    if params:
        return params.image.model_copy(update={"size": size})
    from rectok.data.data_config import ImageConfig

    return ImageConfig(
        size=size,
        modes=MODES,
        max_pixels=200_000_000,
        flip=False,
        orientation="exif",
        profile="srgb",
        background="white",
        frames="first",
    )
