"""Sources of a few images, and what an index reads from them."""

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from rectok.data.data_config import Split
from rectok.data.sources.folder_labels import annotate_folders
from rectok.data.sources.image_source import SourceImage
from rectok.data.sources.labels import Labels, open_labels
from rectok.data.sources.names import Annotation
from rectok.data.sources.opening import open_source

AUTO = Labels("auto")


def write_folder(path: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def write_tar(path: Path, files: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.mkdir("a")
        for name, content in files.items():
            file.writestr(name, content)
    return path


def write_archives(root: Path, archives: Mapping[str, Mapping[str, bytes]]) -> str:
    for name, files in archives.items():
        (write_zip if name.endswith("zip") else write_tar)(root / name, files)
    return str(root)


def read_images(source: object, setting: str = "auto") -> list[tuple[str, str, str | None, bytes]]:
    """(uri, label, split, content) of every image. Each can also be read by its uri."""
    opened = open_source(str(source))
    with open_labels(setting) as labels:
        labelled = list(opened.images(labels))
        contents = {image.uri: image.read() for image in labelled}
        labels.check_complete()
    folders = annotate_folders({image.folder for image in labelled if image.folder}, opened.packed)
    images: list[tuple[str, str, str | None, bytes]] = [
        (image.uri, label, split, contents[image.uri]) for image in labelled for label, split in _named(image, folders)
    ]
    assert {uri: read() for uri, read in opened.read(list(contents))} == contents
    return images


def _named(image: SourceImage, folders: Mapping[str, Annotation | None]) -> list[tuple[str, Split | None]]:
    """Label and split of an image, as its folder gives them; nothing if that is no class."""
    if not image.folder:
        return [(image.label, image.split)]
    annotation = folders[image.folder]
    return [(annotation.label, annotation.split or image.split)] if annotation else []


def annotated(source: object, setting: str = "auto") -> list[tuple[str, str | None, bytes]]:
    """(label, split, content) of every image."""
    return [image[1:] for image in read_images(source, setting)]
