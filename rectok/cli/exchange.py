"""`rectok import` and `rectok export`: published checkpoints in, and our networks out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rectok import artifacts
from rectok.cli.publish import write_hub_folder
from rectok.errors import UserError
from rectok.files import write_text
from rectok.params import load, parse
from rectok.params.editing import edited
from rectok.params.loading import PARAMS_FILE

if TYPE_CHECKING:
    from rectok.interop.loading import Converted
    from rectok.interop.sizes import Heads
    from rectok.params import Params

PIPELINE = {"tokenizer": "decoder", "dit": "dit", "autoguidance": "autoguidance"}
"""The stage whose output is exported; the decoder's holds the whole tokenizer."""
Kind = Literal["tokenizer", "dit", "autoguidance"]
"""Networks that are published."""
Weights = Literal["ema", "plain"]
Format = Literal["published", "hub"]


def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="A .pth file as released, or safetensors with the same names")],
    kind: Annotated[
        Kind | None, typer.Option(help="What it is; a file that `rectok export` wrote says so itself")
    ] = None,
    weights: Annotated[Weights, typer.Option(help="The moving average, or the weights of the last step")] = "ema",
    heads: Annotated[
        str, typer.Option(help="Heads of a tokenizer, ENCODER,DECODER,SEMANTIC, where they are not 64, 64 and 48 wide")
    ] = "",
    params: Annotated[bool, typer.Option(help="Make params.yaml use it")] = True,
) -> None:
    """Take a published checkpoint into data/imported, and let the pipeline start from it without training."""
    counts = _heads(heads) if heads else None
    here = load() if params else None
    from rectok.interop.loading import convert, keep

    converted = convert(file, kind, weights, counts)
    kind = converted.published.kind
    if heads and kind != "tokenizer":
        raise UserError("--heads is for a tokenizer; a generator's heads are read from its rotary tables")
    if here is not None:
        _require_fit(kind, converted, here)
    folder = artifacts.imported_dir(kind)
    sha256 = keep(converted, folder)
    dropped = len(converted.published.dropped)
    without = f", without {dropped} tensors of the frozen teacher" if dropped else ""
    typer.echo(f"wrote {folder}: {converted.parameters / 1e6:.1f} M numbers{without}")
    if here is None:
        sample = f"rectok sample --{kind} {folder} --label 0 --out FILE"
        reconstruct = f"rectok reconstruct FILES --tokenizer {folder} --out FOLDER"
        typer.echo(f"next: {reconstruct if kind == 'tokenizer' else sample}")
        return
    _point_at(kind, converted, folder / "model.safetensors", sha256)
    typer.echo(f"{PARAMS_FILE} takes it as {kind}.initial, untrained; next: dvc repro")


def export(
    out: Annotated[Path, typer.Option(help="The .pth file, or a new folder for --format hub")],
    kind: Annotated[
        Kind | None, typer.Option(help="Which network; all that sampling needs if empty, for --format hub")
    ] = None,
    layout: Annotated[
        Format, typer.Option("--format", help="As released, or a Hugging Face style folder with a model card")
    ] = "published",
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Folder of the network, or one like data/ without --kind; the pipeline's if empty"),
    ] = None,
    teacher: Annotated[str, typer.Option(help="How a published tokenizer names its semantic decoder")] = "dinov3",
) -> None:
    """Write a network, or all that sampling needs, for others."""
    if not teacher or "." in teacher:  # it becomes a part of the names of tensors
        raise UserError(f"--teacher is {teacher!r}, but must be a name without dots such as dinov3")
    if kind is None:
        if layout != "hub":
            raise UserError(
                "the released layout holds one network; say which with --kind, or add --format hub for all of them"
            )
        write_hub_folder(out, source)
        typer.echo(f"wrote {source or artifacts.DATA} to {out}")
        return
    from rectok.interop.exporting import read_network, write_checkpoint

    folder = source or artifacts.stage_dir(PIPELINE[kind])
    network = read_network(folder, kind)
    if layout == "hub":
        from rectok.interop.hub import write_network
        from rectok.reporting.model_card import render
        from rectok.reporting.model_facts import network_facts

        write_network(network, render(network_facts(network, folder, of_pipeline=source is None)), out)
    elif out.suffix != ".pth" or out.is_dir():
        raise UserError(f"--out is {out}, but the released layout is one file whose name ends in .pth")
    else:
        write_checkpoint(network, out, teacher)
    typer.echo(f"wrote {folder} to {out}")


def _heads(text: str) -> "Heads":
    from rectok.interop.sizes import Heads

    counts = text.split(",")
    if len(counts) != 3 or not all(count.isdecimal() and int(count) for count in counts):
        raise UserError(f"--heads is {text!r}, but must be three numbers of heads such as 12,12,4")
    return Heads(*map(int, counts))


def _require_fit(kind: Kind, converted: "Converted", params: "Params") -> None:
    """The network must work on the images, or latents, that the parameters ask for."""
    config: Any = converted.config
    if kind == "tokenizer":
        if config.image_size != params.image.size:
            raise UserError(
                f"{converted.source} is for images of {config.image_size} pixels, but image.size in {PARAMS_FILE} is "
                f"{params.image.size}; change it, or leave {PARAMS_FILE} alone with --no-params"
            )
        return
    tokenizer = params.tokenizer.sizes
    theirs, ours = (config.channels, config.grid), (tokenizer.channels, params.image.size // tokenizer.patch)
    if theirs != ours:
        raise UserError(
            f"{converted.source} makes latents of {theirs[0]} channels on a side of {theirs[1]} tokens, but the tokenizer in "
            f"{PARAMS_FILE} has {ours[0]} channels on {ours[1]}; import its tokenizer first, or add --no-params"
        )


def _point_at(kind: Kind, converted: "Converted", weights: Path, sha256: str) -> None:
    """Let params.yaml name the weights and their sizes, and train nothing on them."""
    changes = {
        f"{kind}.sizes": converted.config.sizes.model_dump(),
        f"{kind}.initial": {"path": weights.as_posix(), "sha256": sha256},
        f"{kind}.training.epochs": 0,
    }
    if kind == "tokenizer":
        changes["decoder.training.epochs"] = 0  # its own decoder is a part of what was published
    text = edited(PARAMS_FILE.read_text(encoding="utf-8"), changes)
    parse(text, str(PARAMS_FILE))
    write_text(PARAMS_FILE, text)
