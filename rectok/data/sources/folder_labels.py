"""Labels from the names of folders. They are known only once every folder of a source is."""

from collections.abc import Collection

from rectok.data.sources.names import SPLIT_WORDS, Annotation, annotation_in, split_named, words_in

DEPTH = 4
"""Folders of a name that can matter: one around all, a split, a class, and one more that shows that a class is none."""


def folder_of(name: str) -> str:
    """The outermost folders around the file `name`, or an empty string."""
    return "/".join(name.split("/")[:-1][:DEPTH])


def annotate_folders(folders: Collection[str], packed: bool) -> dict[str, Annotation | None]:
    """Label and split of the images in each folder of a source. None for images beside the class folders.

    A folder around everything in `packed` archives is that of the archive and no class.
    """
    top = _folder_around(folders) if packed else ""
    annotations = {folder: annotation_in(f"{folder}/file".removeprefix(top)) for folder in folders}
    if not any(annotation and annotation.split for annotation in annotations.values()):
        return annotations
    return {
        folder: None if annotation and annotation.split is None and split_named(annotation.label) else annotation
        for folder, annotation in annotations.items()
    }


def only_splits(labels: Collection[str]) -> bool:
    """Whether labels differ only by the name of a split, such as train and test, or photos_train and photos_val."""
    rests = {tuple(word for word in words_in(label) if word not in SPLIT_WORDS) for label in labels}
    return len(rests) == 1 and all(any(word in SPLIT_WORDS for word in words_in(label)) for label in labels)


def _folder_around(folders: Collection[str]) -> str:
    """The one folder around all others with its slash. Empty if there is none, if it is the only one or names a split."""
    tops = {folder.partition("/")[0] for folder in folders}
    if len(tops) != 1 or tops == set(folders) or split_named(next(iter(tops))):
        return ""
    return f"{tops.pop()}/"
