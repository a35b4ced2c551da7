"""Labels from the names of folders. They are known only once every folder of a source is."""

from collections import defaultdict
from collections.abc import Collection

from rectok.data.sources.names import SPLIT_WORDS, Annotation, annotation_in, split_in, split_named, words_in
from rectok.errors import UserError

DEPTH = 6
"""Folders of a name that can matter: three around all, a split, a class, and one more that shows that a class is none."""

SEPARATOR = "\0"
"""Stands between the name of an archive and a folder in it."""


def folder_of(name: str) -> str:
    """The outermost folders around the file `name`, or an empty string."""
    return "/".join(name.split("/")[:-1][:DEPTH])


def in_archive(archive: str, folder: str) -> str:
    """The folder of an archive, for `annotate_folders`. Empty if `folder` is."""
    return f"{archive}{SEPARATOR}{folder}" if folder else ""


def annotate_folders(folders: Collection[str], packed: bool) -> dict[str, Annotation | None]:
    """Label and split of the images in each folder of a source. None for images beside the class folders.

    Folders around everything in `packed` archives are those of the archive and no classes. Folders around everything whose names
    differ by a split alone, such as photos_train and photos_test, are splits. Raises UserError if each archive has a folder of
    its own with several folders below.
    """
    places = {key: key.rpartition(SEPARATOR)[::2] for key in folders}
    inside = {folder for _, folder in places.values()}
    tops = {folder.partition("/")[0] for folder in inside}
    if tops and only_splits(tops) and all("/" in folder for folder in inside):
        return {
            key: Annotation(folder.split("/")[1], split_in(folder.split("/")[0])) for key, (_, folder) in places.items()
        }
    if packed:
        _require_clear(set(places.values()), tops)
    top = _folder_around(inside) if packed else ""
    annotations = {
        key: None if top.startswith(f"{folder}/") else annotation_in(f"{folder}/file".removeprefix(top))
        for key, (_, folder) in places.items()
    }
    if not any(annotation and annotation.split for annotation in annotations.values()):
        return annotations
    return {
        key: None if annotation and annotation.split is None and split_named(annotation.label) else annotation
        for key, annotation in annotations.items()
    }


def _require_clear(places: Collection[tuple[str, str]], tops: Collection[str]) -> None:
    """Raises UserError where the outer folders may be those of the archives as well as the classes."""
    own = defaultdict(set)
    for archive, folder in places:
        own[archive].add(folder.split("/")[0])
    below = sorted({folder.split("/")[1] for _, folder in places if "/" in folder})
    deep = all("/" in folder for _, folder in places)
    splits = any(split_named(name) for name in (*tops, *below))
    if deep and not splits and len(tops) > 1 and len(below) > 1 and all(len(names) == 1 for names in own.values()):
        raise UserError(
            f"each archive of index.source holds one folder ({', '.join(sorted(tops)[:3])}) with folders such as {below[0]} and "
            f"{below[1]} below, so it is not clear which of them are the labels; pack the archives without the outer folder, or "
            "name a table in index.labels"
        )


def only_splits(labels: Collection[str]) -> bool:
    """Whether labels differ only by the name of a split, such as train and test, or photos_train and photos_val."""
    rests = {tuple(word for word in words_in(label) if word not in SPLIT_WORDS) for label in labels}
    return len(rests) == 1 and all(any(word in SPLIT_WORDS for word in words_in(label)) for label in labels)


def _folder_around(folders: Collection[str]) -> str:
    """The folders around all others with their slashes. They end before the innermost one, and before one that names a split."""
    around = ""
    while True:
        inside = {rest for folder in folders if (rest := f"{folder}/".removeprefix(around))}
        tops = {folder.partition("/")[0] for folder in inside}
        top = next(iter(tops), "")
        if len(tops) != 1 or inside == {f"{top}/"} or split_named(top):
            return around
        around += f"{top}/"
