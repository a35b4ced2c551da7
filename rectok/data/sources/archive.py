"""What tar and zip files share. Labels are folders, a table, or lie beside each image of a WebDataset sample."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from urllib.parse import unquote

from rectok.data.data_config import Split
from rectok.data.sources.archive_label import ArchiveLabel, is_bare_image
from rectok.data.sources.containment import name_inside
from rectok.data.sources.folder_labels import in_archive
from rectok.data.sources.image_source import PackedFiles, Readable, SourceImage, annotated
from rectok.data.sources.labels import Labels, LabelTable
from rectok.data.sources.metadata_tables import has_labels, is_metadata
from rectok.data.sources.names import Annotation, is_hidden, kind_of, split_in
from rectok.data.sources.samples import FIRST_DOT, SIDECARS, ArchiveMember, Sample, extension_of, key_of
from rectok.errors import UserError


@dataclass(frozen=True)
class MemberUri:
    """An image's uri, taken apart."""

    uri: str
    position: str
    member: str


class Archives(PackedFiles, ABC):
    """Images in archives. A uri is `archive#position/member`, where # and % in the archive's name are escaped."""

    holds_samples = False
    """Whether files that share a key belong together even where no label lies beside them, as in tar files."""

    def images(self, labels: Labels) -> Iterator[SourceImage]:
        """Every image that has a label, archive by archive. One of several archives may label its images by its name."""
        labelled, dotted = False, ""
        for name in self.names:
            with self._tables(name, labels) as each, self._members(name) as members:
                by_name = len(self.names) > 1 and labels.by_folders and each is labels
                archive_label = ArchiveLabel(self.path(name), by_name)
                files = self._without_tables(name, _checked(name, members, each), each)
                for _, group in groupby(files, key=lambda member: key_of(member.name)):
                    sample = Sample(name, list(group))
                    images = list(self._sample_images(sample, archive_label, each))
                    labelled = labelled or bool(images)
                    dotted = dotted or next(
                        (m.name for m in sample.members if extension_of(m.name).endswith(".json")), ""
                    )
                    yield from images
        if dotted and not labelled and labels.by_folders:
            raise UserError(
                f"index.source {self.root} has no image with a label; {FIRST_DOT} a file such as {dotted} labels no image; "
                "rename its files without further dots, or set index.labels to none"
            )

    def read(self, uris: Sequence[str]) -> Iterator[Readable]:
        """All `uris`, archive by archive and forward inside each."""
        by_archive: dict[str, list[MemberUri]] = defaultdict(list)
        for uri in uris:
            archive, _, place = uri.partition("#")
            position, _, member = place.partition("/")
            by_archive[unquote(archive)].append(MemberUri(uri, position, member))
        for name in sorted(by_archive):
            yield from self._read_members(name, by_archive[name])

    @abstractmethod
    def _members(self, name: str) -> AbstractContextManager[Iterator[ArchiveMember]]:
        """Every file of one archive in its order, readable while the archive is open."""

    @abstractmethod
    def _read_members(self, name: str, members: Sequence[MemberUri]) -> Iterator[Readable]:
        """The images at `members` of one archive."""

    def _tables(self, name: str, labels: Labels) -> AbstractContextManager[Labels]:
        """The labels in the imagefolder tables of one archive, or `labels` if there are none or they come from elsewhere."""
        return nullcontext(labels)

    def _without_tables(self, name: str, members: Iterator[ArchiveMember], labels: Labels) -> Iterator[ArchiveMember]:
        """All files but the tables that gave the `labels`. Raises UserError for a table with labels that gave none."""
        for member in members:
            if not is_metadata(member.name) or not (labels.setting == "auto" or labels.column):
                yield member
            elif not isinstance(labels, LabelTable):
                if has_labels(self.path(name), member.name, labels, member.read()):
                    raise UserError(
                        f"{self.path(name)} holds the table {member.name}, which may lie behind its images; unpack the "
                        "archive, or pack it as a zip file"
                    )
                yield member

    def _sample_images(self, sample: Sample, archive_label: ArchiveLabel, labels: Labels) -> Iterator[SourceImage]:
        """The images of one sample that have a label of their own, or that of the archive."""
        split = split_in(sample.name)
        label = None if isinstance(labels, LabelTable) else sample.label(labels)
        if label is not None:
            member = sample.image(self.choice, " beside its label")
            images = [_image(sample, member, Annotation(label, None), split, certain=True)]
        else:
            files = [
                m for m in self._single_files(sample, labels) if not (archive_label.allowed and is_bare_image(m.name))
            ]
            annotations = [(member, labels.annotate(member.name)) for member in files]
            images = [_image(sample, member, annotation, split) for member, annotation in annotations if annotation]
        bare = archive_label.labels([member.name for member in sample.members], bool(images))
        yield from images
        yield from (
            _image(sample, member, Annotation(archive_label.label, None), split)
            for member in sample.members
            if member.name in bare
        )
        if archive_label.allowed and not images and not bare:
            for member in sample.members:
                labels.left_out.add("without a label" if is_bare_image(member.name) else "not an image", member.name)

    def _single_files(self, sample: Sample, labels: Labels) -> Sequence[ArchiveMember]:
        """The files of a sample without a label of its own.

        One image where the format or `index.image` says that there is one, else every file but the sidecars of an image.
        """
        images = [member for member in sample.members if kind_of(member.name) == "image"]
        if images and self.choice:
            return [sample.image(self.choice)]
        if len(images) > 1 and (labels.none or labels.by_folders):
            written_together = bool(sample.sidecars) or any("." not in extension_of(member.name) for member in images)
            if self.holds_samples and written_together:
                return [sample.image("")]
        return [member for member in sample.members if not images or extension_of(member.name) not in SIDECARS]


def _checked(name: str, members: Iterator[ArchiveMember], labels: Labels) -> Iterator[ArchiveMember]:
    """The files that are neither hidden nor links. Raises UserError for a name that leads out or is there twice."""
    names = set()
    for member in members:
        name_inside(member.name, f"a member of {name}")
        if is_hidden(member.name):
            continue
        if member.link is not None:
            name_inside(member.link, f"the link {member.name} in {name}")
            labels.left_out.add("link", member.name)
            continue
        if member.name in names:
            raise UserError(f"{name} holds two files called {member.name}; remove one of them")
        names.add(member.name)
        yield member


def _image(
    sample: Sample, member: ArchiveMember, annotation: Annotation, split: Split | None, certain: bool = False
) -> SourceImage:
    uri = f"{_escaped(sample.name)}#{member.position}/{member.name}"
    uncertain = not certain and kind_of(member.name) != "image"
    annotation = replace(annotation, folder=in_archive(sample.name, annotation.folder))
    return annotated(uri, annotation, split, partial(bytes, member.read()), uncertain)


def _escaped(name: str) -> str:
    return name.replace("%", "%25").replace("#", "%23")
