"""How a file that comes from elsewhere is named."""

from typing import ClassVar, Self

from pydantic import model_validator

from rectok.config import Config


class WeightsFile(Config):
    """Network weights in a file: `path` (local or s3://) and its `sha256`; an empty path means there are none."""

    libraries: ClassVar[tuple[str, ...]] = ()
    """Values of `path` that leave the weights to a library, and need no `sha256`."""

    path: str
    sha256: str

    @model_validator(mode="after")
    def _knows_what_it_loads(self) -> Self:
        if self.path and self.path not in self.libraries and not self.sha256:
            raise ValueError(f"sha256 is empty, but {self.path} needs it (64 hex digits, as sha256sum prints)")
        return self


class StorageConfig(Config):
    """Where artefacts lie that are too large for this disk, or have to outlive this machine.

    Each is a folder or an s3:// prefix of this project alone; empty keeps them below data/. `shards`: training reads images
    from there by ranges, without a local copy. `checkpoints`: a copy of the resumable state, which another machine can go on
    from. `nightly`: a copy of the nightly report, whose history a new machine takes up.
    """

    shards: str
    checkpoints: str
    nightly: str
