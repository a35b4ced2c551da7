"""The definitions that `dg dev` loads, for the project in RECTOK_ROOT or else in the current folder."""

import os
from pathlib import Path

from orchestration.loading import build

defs = build(Path(os.environ.get("RECTOK_ROOT", ".")).resolve())
