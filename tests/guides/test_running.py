"""The guides of large runs work as they are written: nightly pages, many GPUs, S3, Postgres."""

import pytest

from rectok.nightly.history import read_history
from tests.deploy.postgres import serving
from tests.evaluation import project
from tests.guides.guide import Clone
from tests.nightly.promoting import passed
from tests.storage.server import running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_read_the_nightly_page(cloned: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cloned.root)
    monkeypatch.setenv("COLUMNS", "200")
    project.build()
    project.build_evaluation()
    passed()
    # Networks that nobody trained draw very different figures every night.
    cloned.change(["params.yaml"], {"nightly": {"gfid_tolerance": 100.0, "accuracy_tolerance": 1.0}})
    printed = cloned.follow("nightly")
    assert (
        "1* " in printed
        and "* is promoted now." in printed
        and "gFID 1.8, was 2.2" in printed
        and "promotion 2: generator" in printed
    )
    nights = [night.date for night in read_history()]
    assert len(nights) == 2 and "2026-01-31" in nights
    assert "2026-01-31" in (cloned.root / "data/nightly/index.html").read_text(encoding="utf-8")


def test_run_on_eight_gpus(cloned: Clone) -> None:
    printed = cloned.follow("gpus")
    assert "Memory of one GPU, GB" in printed and "DINOv3" in printed


def test_run_on_s3(cloned: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(monkeypatch) as client:
        client.create_bucket(Bucket="bucket")
        (settings := cloned.root.parent / "aws").touch()
        monkeypatch.setenv("AWS_CONFIG_FILE", str(settings))  # DVC wants a real file
        printed = cloned.follow("storage")
        keys = {item["Key"] for item in client.list_objects_v2(Bucket="bucket")["Contents"]}
    assert "OK    credentials: from env" in printed
    assert any(key.startswith("project/shards/") for key in keys) and any(
        key.startswith("project/dvc/") for key in keys
    )
    assert (cloned.root / "data/shards/00000.tar").stat().st_size < 1000


def test_move_to_postgres(cloned: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        printed = cloned.follow("postgres")
    assert "RUN_SUCCESS" in printed
    assert not list((cloned.root / ".dagster").rglob("*.db"))
