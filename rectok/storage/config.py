"""How a file that comes from elsewhere is named."""

from typing import Self

from pydantic import model_validator

from rectok.config import Config


class WeightsFile(Config):
    """Network weights in a file: `path` (local or s3://) and its `sha256`; an empty path means there are none."""

    path: str
    sha256: str

    @model_validator(mode="after")
    def _knows_what_it_loads(self) -> Self:
        if self.path and not self.sha256:
            raise ValueError(f"sha256 is empty, but {self.path} needs it (64 hex digits, as sha256sum prints)")
        return self
