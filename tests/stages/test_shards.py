from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rectok import artifacts
from rectok.data.image_decoding import prepare
from rectok.data.packing import PackedShard
from rectok.data.tables import read_index
from rectok.errors import UserError
from rectok.stages import index, shards
from tests.data.files import BAD, image_folder, params, picture, saved
from tests.data.sources.small_sources import write_tar
from tests.storage.proxy import Fault, FaultKind, faulty_store
from tests.storage.server import BUCKET


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def folder(**image: object):
    return params({"source": "pets", "shards": ["00000"]}, image)


def turned() -> bytes:
    """A picture that stands on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)), "png", exif=exif)


def test_packed_images_are_the_cropped_originals_in_the_order_of_the_index() -> None:
    image_folder(Path("pets"), {"cat": 6, "dog": 6})
    settings = folder(size=16)
    index.run(settings)
    shards.run(settings, "00000")
    shard, rows = PackedShard("00000"), read_index(artifacts.index_file("00000"))
    assert shard.keys == [row.key for row in rows]
    assert shard.labels.tolist() == [row.label for row in rows]
    assert shard.splits == [row.split for row in rows]
    for number, row in enumerate(rows):
        expected = prepare(Path("pets", row.uri).read_bytes(), settings.image).pixels
        np.testing.assert_array_equal(shard.pixels(number), expected)
    assert artifacts.read_json(artifacts.quarantine_file("00000"), list) == []
    assert artifacts.read_json(artifacts.treatments_file("00000")) == {}


def test_every_bad_image_is_left_out_with_its_reason_and_nothing_takes_its_place() -> None:
    image_folder(Path("pets"), {"cat": 3, "dog": 3})
    for name, (content, _) in BAD.items():
        Path("pets/dog", name).write_bytes(content)
    index.run(folder())
    shards.run(folder(), "00000")
    found = {
        Path(record["uri"]).name: record["reason"]
        for record in artifacts.read_json(artifacts.quarantine_file("00000"), list)
    }
    assert found == {name: reason for name, (_, reason) in BAD.items()}
    assert len(PackedShard("00000")) == 6
    rows = read_index(artifacts.index_file("00000"))
    assert len(rows) == 6 + len(BAD)
    [fine] = [row.key for row in rows if row.uri.endswith("cat/1000.png")]
    pictures = {path.name for path in artifacts.docs_dir("shards").iterdir()}
    artifacts.quarantine_picture(fine).touch()  # as if it had been bad before
    shards.run(folder(), "00000")
    assert pictures and {path.name for path in artifacts.docs_dir("shards").iterdir()} == pictures


def test_processes_of_their_own_pack_the_same_shard() -> None:
    image_folder(Path("pets"), {"cat": 6, "dog": 6})
    Path("pets/dog/broken.png").write_bytes(b"no image")
    Path("pets/dog/turned.png").write_bytes(turned())
    index.run(folder())
    shards.run(folder(), "00000")
    files = [
        make("00000")
        for make in (
            artifacts.shard_tar,
            artifacts.shard_table,
            artifacts.quarantine_file,
            artifacts.treatments_file,
        )
    ]
    alone = [file.read_bytes() for file in files]
    settings = folder()
    machine = settings.machine.model_copy(update={"workers": 2})
    shards.run(settings.model_copy(update={"machine": machine}), "00000")
    assert [file.read_bytes() for file in files] == alone


def test_treatments_are_counted() -> None:
    image_folder(Path("pets"), {"cat": 3, "dog": 3})
    Path("pets/dog/turned.png").write_bytes(turned())
    for i in range(2):
        Path(f"pets/dog/clear-{i}.png").write_bytes(saved(Image.new("RGBA", (8, 8), (i, 0, 0, 0)), "png"))
    index.run(folder())
    shards.run(folder(modes=["RGB", "RGBA"]), "00000")
    counts = artifacts.read_json(artifacts.treatments_file("00000"))
    assert counts == {"turned upright": 1, "background put under transparency": 2}
    assert len(PackedShard("00000")) == 9


def test_modes_that_are_allowed_are_taken() -> None:
    image_folder(Path("pets"), {"cat": 3, "dog": 3})
    Path("pets/dog/grey.png").write_bytes(picture(1, mode="L"))
    index.run(folder())
    shards.run(folder(modes=["RGB", "L"]), "00000")
    assert len(PackedShard("00000")) == 7


def test_a_tar_gives_the_same_shard_as_its_folder() -> None:
    image_folder(Path("pets"), {"cat": 6, "dog": 6})
    write_tar(
        Path("pets.tar"), {str(p.relative_to("pets")): p.read_bytes() for p in sorted(Path("pets").rglob("*.png"))}
    )
    found = []
    for source in ("pets", "pets.tar"):
        settings = params({"source": source, "shards": ["00000"]})
        index.run(settings)
        shards.run(settings, "00000")
        found.append(artifacts.shard_tar("00000").read_bytes())
    assert found[0] == found[1]


def test_a_bucket_gives_the_same_shard_as_its_folder_whatever_befalls_its_answers() -> None:
    image_folder(Path("pets"), {"cat": 6, "dog": 6})
    found = []
    with faulty_store() as store:
        for path in Path("pets").rglob("*.png"):
            store.server.put_object(Bucket=BUCKET, Key=f"all/{path}", Body=path.read_bytes())
        for source in ("pets", f"s3://{BUCKET}/all/pets"):
            settings = params({"source": source, "shards": ["00000"]})
            for stage in (lambda: index.run(settings), lambda: shards.run(settings, "00000")):  # noqa: B023
                kinds: tuple[FaultKind, ...] = ("503", "cut", "stall", "truncated", "dropped")
                store.proxy.spoil(*(Fault(kind, "GET", ".png") for kind in kinds))
                stage()
                assert all(fault.times == (source == "pets") for fault in store.proxy.faults)
            found.append((artifacts.index_file("00000").read_bytes(), artifacts.shard_tar("00000").read_bytes()))
    assert found[0] == found[1]


def test_an_image_that_changed_since_it_was_indexed_stops_the_stage() -> None:
    image_folder(Path("pets"), {"cat": 3, "dog": 3})
    index.run(folder())
    shards.run(folder(), "00000")
    before = artifacts.shard_tar("00000").read_bytes()
    victim = next(Path("pets/dog").iterdir())
    victim.write_bytes(picture(5))
    with pytest.raises(UserError, match=f"dog/{victim.name} has changed since it was indexed"):
        shards.run(folder(), "00000")
    victim.unlink()
    with pytest.raises(UserError, match=f"dog/{victim.name} cannot be read"):
        shards.run(folder(), "00000")
    assert artifacts.shard_tar("00000").read_bytes() == before
    assert not list(artifacts.stage_dir("shards").glob(".*"))


def test_a_shard_without_images_is_written_too() -> None:
    image_folder(Path("pets"), {"cat": 2, "dog": 2})
    settings = params({"source": "pets", "shards": [f"{i:05d}" for i in range(16)]})
    index.run(settings)
    empty = next(shard for shard in settings.index.shards if not read_index(artifacts.index_file(shard)))
    shards.run(settings, empty)
    assert len(PackedShard(empty)) == 0
