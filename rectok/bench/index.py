"""`rectok index` on synthetic files: does its rate hold, and its memory stay, however many there are? Linux only."""

import io
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rectok import artifacts
from rectok.bench.work import Prepared, Setting, Timer, Variant
from rectok.errors import UserError
from rectok.params.editing import changed
from rectok.params.loading import PARAMS_FILE

FILES = 10_000
A_FOLDER = 1000
"""Files of one label."""
RUN = """
from rectok.cli.main import app
app(["index"], standalone_mode=False)
print(*(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
"""A process's own peak, in KiB: what the system tells its parent may be the parent's."""
KIB_PER_GIB = 2**20


def index(setting: Setting, batch: int | None) -> Iterator[Variant]:
    """`batch` files in folders, the same with their labels in a CSV file, and a tar of them."""
    files = batch or FILES
    yield Variant("folders", files, partial(_prepared, setting, files, _folders, "images", "folders"))
    yield Variant("table", files, partial(_prepared, setting, files, _listed, "images", "images/labels.csv"))
    yield Variant("tar", files, partial(_prepared, setting, files, _tar, "images.tar", "auto"))


def _prepared(setting: Setting, files: int, write: Callable[[Path, int], None], source: str, labels: str) -> Prepared:
    place = tempfile.TemporaryDirectory()
    folder = Path(place.name)
    write(folder, files)
    changes = {"index.source": source, "index.watch": source, "index.labels": labels, "index.limit": 0}
    (folder / PARAMS_FILE).write_text(changed(setting.params, changes).model_dump_json(), encoding="utf-8")
    peaks: list[float] = []

    def seconds(timer: Timer) -> float:
        done = subprocess.run([sys.executable, "-c", RUN], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"rectok index failed: {done.stderr.splitlines()[-1]}")
        peaks.append(int(done.stdout.split()[-1]) / KIB_PER_GIB)
        return float(artifacts.read_json(folder / artifacts.timing_file("index", None))["seconds"])

    return Prepared(files, None, "none", False, lambda: None, seconds, place.cleanup, lambda: max(peaks))


def _named(files: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents: few bytes, for it is the number of files that counts."""
    for number in range(files):
        label, place = divmod(number, A_FOLDER)
        yield f"{label:04d}/{place:04d}.png", b"%d %d" % (label, place)


def _folders(root: Path, files: int) -> None:
    for name, content in _named(files):
        path = root / "images" / name
        if name.endswith("/0000.png"):
            path.parent.mkdir(parents=True)
        path.write_bytes(content)


def _listed(root: Path, files: int) -> None:
    _folders(root, files)
    with (root / "images" / "labels.csv").open("w", encoding="utf-8") as table:
        table.write("file,label\n")
        table.writelines(f"{name},{name.partition('/')[0]}\n" for name, _ in _named(files))


def _tar(root: Path, files: int) -> None:
    with tarfile.open(root / "images.tar", "w") as tar:
        for name, content in _named(files):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
            tar.members.clear()  # type: ignore[attr-defined]
