from pathlib import Path

import pytest

from rectok.checks.run import run
from rectok.errors import UserError
from rectok.stages import index, shards
from tests.data.files import BAD, image_folder, params


def test_a_gate_that_fails_says_where_its_limits_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    image_folder(Path("pets"), {"cat": 8, "dog": 8})
    Path("pets/dog/grey.png").write_bytes(BAD["grey.png"][0])
    settings = params({"source": "pets", "shards": ["00000"]})
    index.run(settings)
    shards.run(settings, "00000")
    with pytest.raises(
        UserError,
        match=r"set gates\.shards\.max_quarantined to 0\.\d+; "
        r"see data/shards/00000\.quarantine\.json, and docs/gates\.md#shards$",
    ):
        run("shards", settings, "00000")
    Path("data/shards/00000.quarantine.json").unlink()
    with pytest.raises(UserError, match=r"00000\.quarantine\.json is missing; `dvc repro` makes it$"):
        run("shards", settings, "00000")
