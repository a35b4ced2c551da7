"""`rectok sample` and `rectok reconstruct` on untrained networks: the pictures they leave, and what they refuse."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rectok.cli.serve import load_networks
from rectok.params import load
from rectok.params.editing import edited
from tests.cli.project import printed
from tests.data.files import picture
from tests.errors import user_error


@pytest.fixture(autouse=True)
def _project(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(built)


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image)


def sampled(out: Path, *arguments: str) -> NDArray[np.uint8]:
    printed("sample", "--label", "3", "--out", str(out), *arguments)
    return pixels(out)


def test_a_grid_of_one_class(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "grid.png"
    assert (
        printed("sample", "--label", "3", "--count", "9", "--out", str(out))
        == f"wrote 9 images of class 3 (3) to {out}\n"
    )
    height, width = pixels(out).shape[:2]
    assert height == width and pixels(out).std() > 0


def test_a_seed_gives_its_images_again_and_guidance_others(tmp_path: Path) -> None:
    first = sampled(tmp_path / "a.png", "--count", "4")
    np.testing.assert_array_equal(first, sampled(tmp_path / "b.png", "--count", "4", "--guidance", "1"))
    changes = (["--seed", "1"], ["--guidance", "3"], ["--guidance", "3", "--kind", "autoguidance"])
    others = [sampled(tmp_path / "c.png", "--count", "4", *change) for change in changes]
    for i, other in enumerate(others):
        assert all((other != seen).any() for seen in [first, *others[:i]])


@pytest.mark.parametrize("name", ["grid.jpg", "", "folder", "folder.png"])
def test_a_grid_is_a_png_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    out = str(tmp_path / name) if name else ""
    with user_error("--out is '.*', but must be the name of a PNG file such as grid.png"):
        printed("sample", "--label", "3", "--out", out)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_a_model_of_autoguidance_that_is_not_there(tmp_path: Path) -> None:
    steered = (
        "sample",
        "--label",
        "3",
        "--guidance",
        "2",
        "--kind",
        "autoguidance",
        "--out",
        str(tmp_path / "grid.png"),
    )
    with user_error("^--kind autoguidance needs its model, but nowhere does not exist"):
        printed(*steered, "--autoguidance", "nowhere")


def test_names_of_classes_are_read_before_anything_is_drawn(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(built, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    Path("data/index/classes.json").write_text("{}")
    with user_error(r"^data/index/classes\.json is damaged"):
        printed("sample", "--label", "3", "--out", "grid.png")
    assert not Path("grid.png").exists()
    Path("data/index/classes.json").write_text(json.dumps(list(range(10))))
    with user_error(r"^data/index/classes\.json is damaged: it must hold the names of the classes as text$"):
        printed("export", "--format", "hub", "--out", "hub")
    assert not Path("hub").exists()


@pytest.mark.parametrize("label", ["10", "-1"])
def test_a_class_that_does_not_exist(label: str, tmp_path: Path) -> None:
    with user_error(rf"label {label} does not exist: labels run from 0 to 9"):
        printed("sample", "--label", label, "--out", str(tmp_path / "grid.png"))
    assert list(tmp_path.iterdir()) == []


def test_an_original_stands_beside_its_reconstruction(tmp_path: Path) -> None:
    (tmp_path / "in.jpeg").write_bytes(picture(1, (40, 30), kind="png"))
    found = printed("reconstruct", str(tmp_path / "in.jpeg"), "--out", str(tmp_path / "out"))
    assert found == f"wrote 1 reconstructions to {tmp_path / 'out'}\n"
    height, width = pixels(tmp_path / "out" / "in.png").shape[:2]
    assert height == 96 and width == 2 * 96 + 2  # a side of 16 or 32 pixels is enlarged, as `rectok sample` does


def test_a_grid_of_samples_is_reconstructed_on_the_background_of_the_project(tmp_path: Path) -> None:
    sampled(tmp_path / "grid.png", "--count", "4")
    assert load().image.modes == ("RGB",) and pixels(tmp_path / "grid.png").shape[-1] == 4
    printed("reconstruct", str(tmp_path / "grid.png"), "--out", str(tmp_path / "out"))
    Image.new("LA", (32, 32), (0, 0)).save(tmp_path / "clear.png")
    printed("reconstruct", str(tmp_path / "clear.png"), "--out", str(tmp_path / "out"))
    assert (pixels(tmp_path / "out" / "clear.png")[:, :96] == 255).all()  # image.background is white


@pytest.mark.parametrize(
    "content,said", [(None, "does not exist"), (b"", "cannot be used"), (b"no image", "cannot be used")]
)
def test_a_file_of_no_use_stops_before_anything_is_written(content: bytes | None, said: str, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    good.write_bytes(picture(1, (20, 20)))
    if content is not None:
        bad.write_bytes(content)
    with user_error(f"{bad} {said}"):
        printed("reconstruct", str(good), str(bad), "--out", str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_two_files_of_one_name_would_overwrite_each_other(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.png").write_bytes(picture(1, (20, 20)))
    with user_error(r"two of the files would both become x\.png; rename one"):
        printed("reconstruct", str(tmp_path / "a/x.png"), str(tmp_path / "b/x.png"), "--out", str(tmp_path / "out"))


def test_a_sampler_in_fp8_needs_networks_in_fp8(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(built, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    params = Path("params.yaml")
    params.write_text(edited(params.read_text(), {"generation.sampler.fp8": True}))
    said = r"generation\.sampler\.fp8 is true, but fp8 needs a GPU .* but this is a CPU; set it to false"
    with user_error(said):
        printed("sample", "--label", "3", "--out", "never.png")
    with user_error(said):
        load_networks()
