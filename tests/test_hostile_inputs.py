"""Inputs that were made to harm: code in them never runs, and nothing outside of the project is written or taken.

Every payload would only create a marker file, or take a picture that lies beside the source.
"""

import io
import os
import pickle
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from rectok import artifacts
from rectok.data.tables import read_table
from rectok.errors import UserError
from rectok.evaluation.inception import load_inception, obtain_inception
from rectok.interop.loading import convert
from rectok.nn.weights import read_weights
from rectok.params import load
from rectok.pipeline import lock
from rectok.pipeline.declared import declared
from rectok.stages import index, shards
from rectok.storage.folder import fetch_folder
from rectok.storage.hashing import sha256_file
from rectok.teacher.loading import load_network
from rectok.teacher.network_config import NetworkConfig
from rectok.teacher.sources import obtain
from rectok.train.safe_loading import load_weights_only
from tests.data.files import params, picture

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")]
SECRET = picture(4711)
MARKER = Path("executed")


class Calls:
    """A pickle that calls a function when it is read."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def payloads(marker: Path) -> dict[str, Any]:
    """Objects whose unpickling would create the marker."""
    text = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    return {
        "system": Calls(os.system, f"touch {marker}"),
        "eval": Calls(eval, text),
        "exec": Calls(exec, text),
        "touch": Calls(Path.touch, marker),
        "open": Calls(open, str(marker), "w"),
        "partial": Calls(partial(os.mkdir), str(marker)),
        "nested": {"model": {"a": [Calls(eval, text)]}},
        "within tensors": {"a": torch.ones(2), "b": Calls(eval, text)},
    }


def pickles(marker: Path) -> Iterator[tuple[str, bytes]]:
    for name, payload in payloads(marker).items():
        buffer = io.BytesIO()
        torch.save(payload, buffer)
        yield f"{name}, torch", buffer.getvalue()
        buffer = io.BytesIO()
        torch.save(payload, buffer, _use_new_zipfile_serialization=False)
        yield f"{name}, old torch", buffer.getvalue()
        for protocol in (0, 4):
            yield f"{name}, pickle {protocol}", pickle.dumps(payload, protocol)
        buffer = io.BytesIO()
        np.save(buffer, np.array([payload], dtype=object), allow_pickle=True)
        yield f"{name}, numpy", buffer.getvalue()


def network(path: Path) -> NetworkConfig:
    config = params().teacher.network
    return config.model_copy(update={"weights": str(path), "sha256": sha256_file(path)})


def readers(path: Path) -> dict[str, Callable[[], object]]:
    """Everything that reads weights or checkpoints."""
    config = network(path)
    return {
        **{f"import {kind}": partial(convert, path, kind, "ema", None) for kind in ("tokenizer", "dit")},
        "teacher": partial(obtain, config, Path("teacher")),
        "inception": partial(obtain_inception, config, Path("inception")),
        "weights": partial(read_weights, path, "weights"),
        "kept teacher": partial(load_network, path.parent),
        "kept inception": partial(load_inception, path.parent),
        **(
            {"checkpoint": partial(load_weights_only, path, torch.device("cpu"))}
            if path.suffix != ".safetensors"
            else {}
        ),
    }


def refused(call: Callable[[], object]) -> str:
    """How the call ends: taken, refused by a sentence, or by something else."""
    try:
        call()
    except UserError as error:
        return f"sentence: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "taken"


def test_no_code_in_a_file_of_weights_runs(here: Path) -> None:
    counts = Counter[str]()
    (here / "kept").mkdir()
    config = params().teacher.network.model_dump(mode="json")
    artifacts.write_json(here / "kept" / "config.json", {"network": config, "classes": 10})
    for (name, content), ending in zip(pickles(here / MARKER), cycle(("model.safetensors", "x.pth", "x.pt"))):
        path = here / "kept" / ending
        path.write_bytes(content)
        for reader, call in readers(path).items():
            outcome = refused(call)
            assert not (here / MARKER).exists(), (name, ending, reader)
            assert outcome.startswith("sentence"), (name, ending, reader, outcome)
            counts[reader] += 1
    assert min(counts.values()) > 20, counts


def test_no_yaml_of_a_project_builds_objects(here: Path) -> None:
    for tag in ("!!python/object/apply:os.system", "!!python/object/new:os.system", "!!python/name:os.system"):
        text = f"stages: {{a: {{cmd: {tag} ['touch {here / MARKER}']}}}}\n"
        for name, call in (("dvc.lock", lock.read), ("params.yaml", load), ("dvc.yaml", partial(declared, "a", None))):
            Path(name).write_text(text)
            assert refused(call).partition(":")[0] in ("sentence", "taken")
            Path(name).unlink()
            assert not (here / MARKER).exists()


NAMES = (
    "../up.png",
    "a/../../up.png",
    "/tmp/up.png",
    "..\\up.png",
    "C:\\up.png",
    "cat/../../../up.png",
    "cat/\0up.png",
)


def tars(folder: Path) -> Iterator[tuple[str, Path]]:
    """Archives with names that climb, links of every kind, devices, and names that are taken twice."""
    members: list[tuple[str, tarfile.TarInfo, bytes]] = [(name, tarfile.TarInfo(name), SECRET) for name in NAMES]
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        for target in ("../secret.png", str(folder / "secret.png"), "/etc/hostname"):
            info = tarfile.TarInfo("cat/link.png")
            info.type, info.linkname = kind, target
            members.append((f"link {kind!r} {target}", info, b""))
    for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE):
        info = tarfile.TarInfo("cat/device.png")
        info.type, info.devmajor, info.devminor = kind, 1, 5
        members.append((f"device {kind!r}", info, b""))
    for number, (name, info, content) in enumerate(members):
        path = folder / "source" / f"{number}.tar"
        with tarfile.open(path, "w") as tar:
            for good in range(6):
                add(tar, tarfile.TarInfo(f"cat/{good}.png"), picture(good))
                add(tar, tarfile.TarInfo(f"dog/{good}.png"), picture(50 + good))
            add(tar, info, content)
        yield f"tar {name}", path
        path.unlink()


def add(tar: tarfile.TarFile, info: tarfile.TarInfo, content: bytes) -> None:
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def zips(folder: Path) -> Iterator[tuple[str, Path]]:
    link = zipfile.ZipInfo("cat/link.png")
    link.external_attr, link.create_system = (stat.S_IFLNK | 0o777) << 16, 3
    for name in (*NAMES, link):
        path = folder / "source" / "x.zip"
        with zipfile.ZipFile(path, "w") as archive:
            for good in range(6):
                archive.writestr(f"cat/{good}.png", picture(good))
                archive.writestr(f"dog/{good}.png", picture(50 + good))
            archive.writestr(name, str(folder / "secret.png") if name is link else SECRET)
        yield f"zip {name}", path
        path.unlink()


def folders(folder: Path) -> Iterator[tuple[str, Path]]:
    """Links out of the source, and tables, samples and Parquet files that name what lies outside."""
    source = folder / "source"
    outside = ("../secret.png", str(folder / "secret.png"), "cat/../../secret.png", "cat/link.png")
    for good in range(6):
        for label, seed in (("cat", good), ("dog", 50 + good)):
            (source / label).mkdir(exist_ok=True)
            (source / label / f"{good}.png").write_bytes(picture(seed))
    for target in (folder / "secret.png", folder, Path("/etc")):
        (source / "cat" / "link.png").symlink_to(target)
        yield f"link {target}", source
        (source / "cat" / "link.png").unlink()
    for name in outside:
        (source / "metadata.csv").write_text(f"file_name,label\ncat/0.png,cat\n{name},dog\n")
        yield f"metadata.csv {name}", source
        (source / "metadata.csv").unlink()
        (source / "metadata.jsonl").write_text(f'{{"file_name": "{name}", "label": "dog"}}\n')
        yield f"metadata.jsonl {name}", source
        (source / "metadata.jsonl").unlink()
        image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        rows = [{"bytes": picture(1), "path": None}, {"bytes": None, "path": name}]
        path = source / "x.parquet"
        pq.write_table(pa.table({"image": pa.array(rows, image), "label": [0, 1]}), path)
        yield f"parquet {name}", path
        path.unlink()


def test_nothing_outside_of_a_source_is_taken_or_written(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "secret.png").write_bytes(SECRET)
    (here / "source").mkdir()
    (here / "project").mkdir()
    monkeypatch.chdir(here / "project")
    counts = Counter[str]()
    for cases in (tars, zips, folders):
        for name, source in cases(here):
            before = {path for path in here.rglob("*") if not path.is_relative_to(here / "project")}
            outcome = refused(partial(pack, source))
            after = {path for path in here.rglob("*") if not path.is_relative_to(here / "project")}
            assert after == before and not Path("/tmp/up.png").exists(), name
            secret = sha256(SECRET).hexdigest()
            inside = name.startswith(("tar", "zip")) and not any(word in name for word in ("link", "device", "ZipInfo"))
            assert inside or outcome != "taken" or secret not in packed(), (
                name
            )  # an archive may hold any picture itself
            counts[outcome.partition(":")[0]] += 1
    assert counts.keys() == {"sentence", "taken"} and counts["taken"] < 10, counts


def pack(source: Path) -> None:
    settings = params({"source": str(source), "watch": str(source), "shards": ["00000"]})
    index.run(settings)
    shards.run(settings, "00000")


def packed() -> set[str]:
    """The sha256 of every source file that is in the index."""
    return set(read_table(artifacts.index_file("00000"))["sha256"].to_pylist())


@pytest.mark.parametrize("name", [*NAMES, "..", ".", "a//b", "./a", "files.json", "a/", " ", "a\nb"])
def test_a_copy_whose_list_names_files_outside_writes_nothing(here: Path, name: str) -> None:
    (here / "copy").mkdir()
    (here / "copy" / "a").write_bytes(b"a")
    artifacts.write_json(here / "copy" / "files.json", {"a": sha256(b"a").hexdigest(), name: sha256(b"a").hexdigest()})
    before = set(here.rglob("*"))
    assert refused(lambda: fetch_folder(str(here / "copy"), here / "to" / "deep")).startswith("sentence")
    assert {path for path in here.rglob("*") if path.is_file()} == {path for path in before if path.is_file()}
