"""Files of weights from elsewhere, and places for artefacts."""

from typing import ClassVar, Self

from pydantic import model_validator

from rectok.config import Config


class WeightsFile(Config):
    """Network weights in a file: `path` (local or s3://) and its `sha256`. An empty path means no file."""

    libraries: ClassVar[tuple[str, ...]] = ()
    """Values of `path` for which a library provides the weights. They need no `sha256`."""

    path: str
    sha256: str

    @model_validator(mode="after")
    def _has_a_hash(self) -> Self:
        if self.path and self.path not in self.libraries and not self.sha256:
            raise ValueError(f"sha256 is empty, but {self.path} needs it (64 hex digits, as sha256sum prints)")
        return self


class StorageConfig(Config):
    """Places for artefacts that are too large for this disk, or must outlive this machine.

    Each is a folder or an s3:// prefix of this project alone. An empty value keeps the artefacts below data/ only. Training
    reads images from `shards` by ranges, without a local copy. `checkpoints` gets a copy of the resumable state, so that
    another machine can continue. `nightly` gets a copy of the nightly report, so that a new machine can continue its history.
    """

    shards: str
    checkpoints: str
    nightly: str
