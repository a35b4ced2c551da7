from pathlib import Path

import pytest

from rectok.artifacts import weights_file
from rectok.nightly.promotion import promotions
from rectok.params.editing import edited
from tests.alerts.servers import webhook
from tests.cli.project import printed as run
from tests.errors import user_error
from tests.evaluation import project
from tests.nightly.promoting import passed


@pytest.fixture(autouse=True)
def folder(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "200")
    project.params()
    return here


def test_promote_promotes_and_lists_what_was_promoted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nothing was promoted yet" in run("promote", "--list")
    project.build()
    project.build_evaluation()
    passed()
    told = run("promote", "--why", "good enough", "--who", "a person", "--no-measure")
    [made] = promotions()
    assert told == f"promotion 1: generator {made.generator} is promoted, copied to {made.folder}\n"
    run("promote", "--again", "1", "--why", "to be sure", "--who", "somebody else")
    listed = run("promote", "--list")
    for text in ("2* ", "a person: good enough", "somebody else: to be sure", "8.250"):
        assert text in listed
    monkeypatch.setenv("COLUMNS", "80")
    for name in (made.generator, made.time[:10]):
        assert run("promote", "--list").count(name) == 2


def test_copies_that_are_not_active_are_pruned_and_their_records_stay() -> None:
    project.build()
    project.build_evaluation()
    passed()
    run("promote", "--why", "one", "--who", "a person", "--no-measure")
    assert run("promote", "--prune") == "there is no copy but the promoted one\n"
    weights_file("dit").write_bytes(weights_file("autoguidance").read_bytes())
    with user_error(r"data/dit/model\.safetensors is not the file that gate dit passed; `rectok verify`"):
        run("promote", "--why", "two", "--who", "a person", "--no-measure")
    passed()
    run("promote", "--why", "two", "--who", "a person", "--no-measure")
    first, second = promotions()
    assert run("promote", "--prune") == f"removed {first.generator}\n"
    assert (first.folder.exists(), second.folder.exists()) == (False, True)
    assert promotions() == [first, second]
    with user_error(rf"{first.folder} was removed; take up commit .* of promotion 1"):
        run("promote", "--again", "1", "--why", "back", "--who", "a person")


def test_nobody_promotes_without_a_reason() -> None:
    with user_error("say why it is promoted"):
        run("promote")


def test_a_trial_alert_goes_where_alerts_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with user_error("alerts go nowhere"):
        run("alert")
    params = folder / "params.yaml"
    params.write_text(edited(params.read_text(), {"nightly.alert.webhook": "HOOK"}))
    with webhook() as hook:
        monkeypatch.setenv("HOOK", hook.url)
        assert run("alert") == "sent by webhook\n"
    assert [record["kind"] for record in hook.received] == ["trial"]
