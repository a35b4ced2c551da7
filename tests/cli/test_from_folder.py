"""`rectok init --from` prints what a folder holds and writes parameters for it, or says in one sentence why not."""

from pathlib import Path

import pytest

from rectok.params import parse
from tests.cli.project import rectok, refused
from tests.data.files import BAD, image_folder, picture
from tests.data.sources.small_sources import write_tar


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = image_folder(tmp_path / "photos", {"cat": 12, "dog": 9})
    (folder / "cat/grey.png").write_bytes(picture(1, (80, 70), "L"))
    (folder / "dog/half.png").write_bytes(BAD["truncated.png"][0])
    return folder


def test_a_folder_becomes_a_project(photos: Path) -> None:
    done = rectok(photos.parent, "init", "--from", "photos/", "--size", "32")
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    for line in (
        "images 23 (0 duplicates are left out)",
        "classes 2, of 10 to 13 images",
        "short sides in pixels 8 to 70, median 8; 21 are smaller than 32 and will be enlarged",
        "would be quarantined truncated or damaged: 1",
        "wrote params.yaml for photos/; next: dvc repro",
    ):
        assert line in lines
    params = parse((photos.parent / "params.yaml").read_text(), "params.yaml")
    assert (params.preset, params.index.source, params.index.watch) == ("photos", "photos", "photos")
    assert (params.image.size, params.image.modes, params.index.image) == (32, ("RGB", "L"), "")
    assert params.gates.index.min_per_class == 10
    assert (photos.parent / "dvc.yaml").exists()


def test_one_of_several_images_is_chosen(tmp_path: Path) -> None:
    kinds: dict[str, int] = {"jpg": 0, "seg.png": 100}
    pair = {f"{n}.{kind}": picture(n + first) for n in range(8) for kind, first in kinds.items()}
    samples = pair | {f"{n}.cls": b"%d" % (n % 2) for n in range(8)}
    write_tar(tmp_path / "pets/0.tar", dict(sorted(samples.items())))
    unclear = refused(tmp_path, "init", "--from", "pets")
    assert unclear.startswith(
        "sample 0 in 0.tar has 2 images beside its label (jpg, seg.png); name the one that is meant"
    )
    assert unclear.endswith("in index.image; `rectok init` takes its value behind --image")
    assert rectok(tmp_path, "init", "--from", "pets", "--image", "jpg").returncode == 0
    assert parse((tmp_path / "params.yaml").read_text(), "params.yaml").index.image == "jpg"


def test_what_cannot_become_a_project_is_said_in_one_sentence(tmp_path: Path) -> None:
    def said(*arguments: str) -> str:
        return refused(tmp_path, "init", *arguments)

    assert said("--from", "photos").startswith("index.source photos does not exist; it can be")
    (tmp_path / "photos").mkdir()
    no_images = "index.source photos holds no images in folders; put them into one folder per label"
    assert said("--from", "photos").startswith(no_images)
    assert said("--from", "photos", "--labels", "none").startswith("index.source photos holds no images")
    (tmp_path / "photos/1.png").write_bytes(picture(1))
    assert said("--from", "photos").startswith(no_images)
    assert said("--from", "photos").endswith("set index.labels to none; `rectok init` takes its value behind --labels")
    image_folder(tmp_path / "photos", {"cat": 9})
    assert said("--from", "photos").startswith("index.source photos holds only one class (cat)")
    image_folder(tmp_path / "photos", {"dog": 9}, first_seed=1)
    assert said("--from", "photos", "--size", "50") == "--size is 50, but must be a multiple of 8 from 32 to 512"
    assert said("digits", "--from", "photos").startswith("init needs either --from FOLDER or a preset, one of")
    assert not (tmp_path / "params.yaml").exists()
    (tmp_path / "params.yaml").write_text("preset: digits\n")
    project = "params.yaml exists, so this folder is a project already; add --force to replace it"
    assert said("--from", "photos") == project
