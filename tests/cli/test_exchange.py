"""Published checkpoints through the real command line, and a pipeline that trains on top of them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from rectok import Generator, artifacts
from rectok.cli.exchange import Kind, export, import_checkpoint
from rectok.dit.model import DiTDH
from rectok.errors import UserError
from rectok.interop.published import to_published
from rectok.params import Params, load
from rectok.sampling.sampler_config import UNGUIDED
from rectok.tokenizer.model import Tokenizer, ViTTokenizer
from rectok.workloads.tokenizers import tokenizer_config
from tests.cli.project import contents, refused
from tests.command import must
from tests.interop import files
from tests.networks import drawn, generator, keep, random_generator
from tests.project import overridden, run_stages, write_params
from tests.reference import needs_reference

TEACHER_WIDTH = 16
SIZES = {"dit.sizes.head": {"width": 32, "depth": 2, "heads": 2}}
"""Wider than the encoder, as in every published generator, so that the two can be told apart."""


def published(folder: Path, params: Params) -> None:
    """A tokenizer and a generator of the sizes in `params`, as others would publish them."""
    torch.manual_seed(0)
    tokenizer, dit = ViTTokenizer(tokenizer_config(params, TEACHER_WIDTH)), drawn(generator(params))
    files.checkpoint(folder / "tokenizer.pth", to_published(tokenizer.config, tokenizer.state_dict(), "dinov3"))
    files.checkpoint(folder / "dit.pth", to_published(dit.config, dit.state_dict(), ""))


@pytest.fixture
def project(here: Path) -> Path:
    write_params(here, SIZES)
    return here


def said(command: Callable[..., None], *arguments: Any, **options: Any) -> str:
    """The sentence with which a command refuses, having left the project as it was."""
    before = contents(Path.cwd())
    with pytest.raises(UserError) as error:
        command(*arguments, **options)
    assert contents(Path.cwd()) == before
    return str(error.value)


@needs_reference
def test_a_network_must_fit_the_parameters_that_are_to_use_it(project: Path) -> None:
    heads = "4,4,2"
    assert said(import_checkpoint, files.tokenizer(Path("t.pth")), "tokenizer", heads=heads) == (
        "t.pth is for images of 128 pixels, but image.size in params.yaml is 16; change it, or leave params.yaml alone with "
        "--no-params"
    )
    assert said(import_checkpoint, files.generator(Path("g.pth")), "dit") == (
        "g.pth makes latents of 128 channels on a side of 8 tokens, but the tokenizer in params.yaml has 4 channels on 4; "
        "import its tokenizer first, or add --no-params"
    )
    before = Path("params.yaml").read_bytes()
    import_checkpoint(Path("t.pth"), "tokenizer", heads=heads, params=False)
    assert Path("params.yaml").read_bytes() == before


def test_heads_are_three_numbers_and_a_tokenizers(project: Path) -> None:
    for heads in ("2,2", "2,2,x", "0,1,1"):
        assert said(import_checkpoint, Path("t.pth"), "tokenizer", heads=heads) == (
            f"--heads is '{heads}', but must be three numbers of heads such as 12,12,4"
        )
    published(project, load())
    assert said(import_checkpoint, Path("dit.pth"), "dit", heads="2,2,2").startswith("--heads is for a tokenizer")


def test_our_own_file_says_what_it_is(project: Path) -> None:
    """Heads, kind and where the encoder ends are in no shape of these: other widths, and one throughout."""
    params = write_params(project)
    torch.manual_seed(0)
    networks: dict[Kind, Tokenizer | DiTDH] = {
        "tokenizer": ViTTokenizer(tokenizer_config(params, TEACHER_WIDTH)),
        "autoguidance": generator(params),
    }
    for kind, network in networks.items():
        keep(kind, drawn(network), project)
        export(Path(f"{kind}.pth"), kind, source=Path(kind))
        import_checkpoint(Path(f"{kind}.pth"))
        folder = artifacts.imported_dir(kind)
        for name in ("model.safetensors", "config.json"):
            assert (folder / name).read_bytes() == (project / kind / name).read_bytes()
    assert load().autoguidance.initial.path == "data/imported/autoguidance/model.safetensors"


def test_a_file_of_others_must_be_named(project: Path) -> None:
    published(project, load())
    assert said(import_checkpoint, Path("dit.pth")) == (
        "dit.pth does not say what it holds; add --kind tokenizer, dit or autoguidance"
    )
    tree = torch.load("dit.pth", weights_only=True)
    for text, reason in (
        ("{", ", for it is not JSON"),
        ('{"kind": "x", "config": {}}', ": kind is 'x', but must be 'tokenizer'"),
    ):
        torch.save({**tree, "rectok": text}, "odd.pth")
        assert said(import_checkpoint, Path("odd.pth")).startswith(f"the entry rectok of odd.pth is damaged{reason}")


@pytest.mark.parametrize("teacher", ["", "a.b"])
def test_a_teacher_whose_name_no_tensor_can_have(teacher: str, project: Path) -> None:
    sentence = said(export, Path("x.pth"), "tokenizer", teacher=teacher)
    assert sentence == f"--teacher is {teacher!r}, but must be a name without dots such as dinov3"


def test_what_is_not_there_cannot_be_exported(project: Path) -> None:
    assert said(export, Path("x.pth"), "dit") == "data/dit/model.safetensors is missing; `dvc repro` makes it"
    folder = artifacts.imported_dir("dit")
    assert said(export, Path("x.pth"), "dit", source=folder) == (
        "data/imported/dit/model.safetensors is missing; `rectok import` makes it"
    )


def test_the_released_layout_is_a_file_that_says_so(project: Path) -> None:
    published(project, load())
    import_checkpoint(Path("dit.pth"), "dit")
    Path("folder.pth").mkdir()
    for name in ("folder", "folder.pth"):
        found = said(export, Path(name), "dit", source=artifacts.imported_dir("dit"))
        assert found == f"--out is {name}, but the released layout is one file whose name ends in .pth"


def test_the_projects_generator_is_exported_with_its_settings(here: Path) -> None:
    params = write_params(
        here, {"generation.guidance": {"kind": "autoguidance", "scale": 1.5, "low": 0.1, "high": 0.9}}
    )
    random_generator(artifacts.DATA)
    names = [f"digit {n}" for n in range(10)]
    artifacts.write_json(artifacts.classes_file(), names)
    export(Path("hub"), layout="hub")
    generator = Generator.from_pretrained("hub")
    assert list(generator.classes) == names
    usual, sampling = params.generation, generator.sampling
    assert (sampling.sampler, sampling.guidance, sampling.rounding) == (usual.sampler, usual.guidance, usual.rounding)

    shutil.rmtree(artifacts.stage_dir("autoguidance"))
    assert said(export, Path("more"), layout="hub") == (
        "generation.guidance.kind is autoguidance, but data/autoguidance is missing; `dvc repro autoguidance` makes it"
    )
    shutil.copytree("data", "copy")  # of another project: its settings are not known, and its classes are others
    artifacts.write_json(Path("copy/index/classes.json"), names[:3])
    export(Path("more"), layout="hub", source=Path("copy"))
    assert Generator.from_pretrained("more").sampling == UNGUIDED
    assert said(export, Path("x.pth")) == (
        "the released layout holds one network; say which with --kind, or add --format hub for all of them"
    )


@needs_reference
@pytest.mark.slow
def test_an_imported_folder_is_used_at_once(project: Path) -> None:
    """The referee's tokenizer and generator fit each other, and nothing of the pipeline has run."""
    files.tokenizer(project / "t.pth")
    files.generator(project / "g.pth")
    printed = must(project, "rectok", "import", "t.pth", "--kind", "tokenizer", "--heads", "4,4,2", "--no-params")
    assert "next: rectok reconstruct FILES --tokenizer data/imported/tokenizer --out FOLDER" in printed
    must(project, "rectok", "import", "g.pth", "--kind", "dit", "--no-params")

    Image.new("RGB", (150, 140), (200, 30, 60)).save(project / "red.png")
    tokenizer = ["--tokenizer", "data/imported/tokenizer"]
    must(project, "rectok", "reconstruct", "red.png", *tokenizer, "--out", "rebuilt")
    with Image.open(project / "rebuilt" / "red.png") as image:
        assert image.width >= 2 * 128
    sample = ["sample", "--label", "3", "--count", "2", "--dit", "data/imported/dit", *tokenizer, "--out", "grid.png"]
    assert refused(project, *sample, "--statistics", "none.json") == "none.json does not exist"
    statistics = project / "statistics.json"
    statistics.write_text(json.dumps({"mean": [0.0] * 128, "std": [1.0] * 128}))
    assert (
        must(project, "rectok", *sample, "--statistics", "statistics.json") == "wrote 2 images of class 3 to grid.png\n"
    )
    statistics.write_text(json.dumps({"mean": [0.0] * 9, "std": [1.0] * 9}))
    found = refused(project, *sample, "--statistics", "statistics.json")
    assert found == "statistics.json is for 9 channels, but data/imported/dit makes 128"


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # every library of the pipeline runs in this process
def test_the_pipeline_goes_to_its_end_on_imported_networks(here: Path) -> None:
    """Tokenizer and generator imported, decoder kept, autoguidance model trained here: all gates pass, and the report says so."""
    published(here, write_params(here, SIZES))
    (here / "params.yaml").write_text(f"# kept\n{overridden(SIZES)}")
    must(here, "rectok", "import", "tokenizer.pth", "--kind", "tokenizer", "--heads", "2,2,2")
    assert must(here, "rectok", "import", "dit.pth", "--kind", "dit").endswith("next: dvc repro\n")
    assert (here / "params.yaml").read_text().startswith("# kept\n")

    params = load()
    assert params.tokenizer.initial.path == "data/imported/tokenizer/model.safetensors"
    assert params.tokenizer.training.epochs == params.decoder.training.epochs == params.dit.training.epochs == 0
    run_stages(params, *artifacts.STAGES)
    page = (here / "data/report/index.html").read_text()
    for source in (
        "data/imported/tokenizer/model.safetensors",
        "data/tokenizer",
        "data/imported/dit/model.safetensors",
    ):
        assert f"Not trained here: taken from <code>{source}</code>" in page
    imported = (here / "data/imported/dit/model.safetensors").read_bytes()
    assert artifacts.weights_file("dit").read_bytes() == imported

    must(here, "rectok", "export", "--kind", "tokenizer", "--out", "hub", "--format", "hub")
    card = (here / "hub/README.md").read_text()
    taken = "the weights were taken from `data/imported/tokenizer/model.safetensors`"
    for text in (taken, "| PSNR |", "Linear probe at t = 0.5", "proxy: resnet10t"):
        assert text in card
    must(here, "rectok", "export", "--out", "whole", "--format", "hub")
    assert "The generator (" in (here / "whole/README.md").read_text()
    assert Generator.from_pretrained(here / "whole", device="cpu").sample(3).shape == (1, 3, 16, 16)
    must(here, "rectok", "export", "--kind", "autoguidance", "--out", "autoguidance.pth")
    assert list(torch.load(here / "autoguidance.pth", weights_only=True)) == ["model_ema", "model", "rectok"]
