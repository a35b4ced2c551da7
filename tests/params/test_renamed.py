"""Names of an earlier version are known: one sentence has the new one, and a params.yaml of old names is rewritten."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rectok.cli import main
from rectok.errors import UserError
from rectok.params import parse, preset_names, preset_text
from rectok.params.editing import edited, read
from rectok.params.presets import completed
from rectok.params.renamed import NEW, PARAMETERS, migrated, renamed_command

OLD = {"metric_network:": "judge:", "autoguidance:": "guide:", "runs:": "nights:"}
"""No other key of a preset is called like this."""


def old_text(name: str) -> str:
    """A preset as the earlier version wrote it."""
    return re.sub(r"\b(metric_network|autoguidance|runs):", lambda match: OLD[match[0]], preset_text(name))


def rewritten(text: str) -> tuple[str, dict[str, str]]:
    return migrated(text, read(text))


def migrate(*arguments: str) -> str:
    done = CliRunner().invoke(main.app, ["migrate-params", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize("name", preset_names())
def test_a_file_of_old_names_becomes_todays(name: str) -> None:
    assert rewritten(old_text(name)) == (preset_text(name), PARAMETERS)
    assert rewritten(preset_text(name)) == (preset_text(name), {})


@pytest.mark.parametrize(
    "before,after",
    [
        ('gates: {"judge": 1, guide: judge}', 'gates: {"metric_network": 1, autoguidance: judge}'),
        ("nightly: {noise: {nights: 7}, keep: {nights: 9}}", "nightly: {noise: {runs: 7}, keep: {runs: 9}}"),
        ("guide : judge  # guide\nseed: {guide: 1}", "autoguidance : judge  # guide\nseed: {guide: 1}"),
        ("nightly: 3\r\n? judge\r\n: 1\r\n", "nightly: 3\r\n? metric_network\r\n: 1\r\n"),
        ("gates: &a\n  judge: 1\nother: *a", "gates: &a\n  metric_network: 1\nother: *a"),
        ("[judge]", "[judge]"),
    ],
)
def test_nothing_but_the_names_changes(before: str, after: str) -> None:
    assert rewritten(before)[0] == after


def test_the_command_rewrites_the_file_and_says_what_else_is_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "params.yaml"
    file.write_text(old_text("cifar10"))
    for folder in ("judge", "guide", "promoted/generators/0123/guide", "accepted"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    (tmp_path / "data/accepted/index.json").write_text("{}")
    renamed, *advice = migrate().splitlines()
    assert renamed.startswith("renamed in params.yaml: judge is metric_network, guide is autoguidance, gates.judge is ")
    assert [re.sub(" is of.*|.*: ", "", line) for line in advice] == [
        "data/judge",
        "data/guide",
        "git mv data/accepted/index.json data/baseline/",
        "once `dvc repro` is through, run `rectok promote` again",
    ]
    assert file.read_text() == preset_text("cifar10")
    before = file.stat()
    assert migrate("params.yaml").startswith("params.yaml has no old name")
    assert file.stat() == before


@pytest.mark.parametrize("name", preset_names())
def test_what_an_earlier_version_had_no_parameter_for_is_added_as_in_the_preset(name: str) -> None:
    lines = preset_text(name).splitlines(keepends=True)
    keys = [key.rpartition(".")[2] for key in NEW if key != "generation.labels"]
    old = "".join(line for line in lines if not re.match(rf"  ({'|'.join(keys)}): [^{{]*$", line))
    new = (
        r"tracking: .*\n\n|  slurm: .*\n|  kubernetes:\n( {4}.*\n)+"
        r"|  labels: balanced\n|, encoder_every: 1, fp8: false"
        r"|, min_steps: \d+| {4}min_steps: \d+\n| {4}(?:rollback|muon): .*\n"
        r"|  (?:rae|published|internal|alignment|posthoc_ema|evaluation): \{.*\n"
    )
    old = re.sub(new, "", old)
    text, added = completed(old)
    assert tuple(added) == NEW and parse(text, name) == parse(preset_text(name), name)
    assert completed(text) == (text, {})
    assert sorted(re.findall("#.*", text)) == sorted(re.findall("#.*", old))


@pytest.mark.parametrize(
    "change,said",
    [
        (lambda text: text + "judge: 1\n", "the file has both judge and metric_network, which is its new name; remove judge"),
        (lambda _: "judge: [", "params.yaml is not valid YAML in line 1: "),
        (lambda text: text.replace("seed: 0", "sed: 0", 1), "params.yaml: unknown parameter sed; the nearest valid name is seed"),
    ],
)  # fmt: skip
def test_what_cannot_be_rewritten(
    change: Callable[[str], str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(before := change(preset_text("digits")))
    with pytest.raises(UserError) as error:
        migrate()
    assert str(error.value).startswith(said) and (tmp_path / "params.yaml").read_text() == before


def test_an_old_parameter_has_a_new_name() -> None:
    with pytest.raises(UserError) as error:
        parse(old_text("digits"), "params.yaml")
    now = "it is called gates.metric_network now; `rectok migrate-params` renames it"
    assert str(error.value) == f"params.yaml: unknown parameter gates.judge; {now}"
    with pytest.raises(
        UserError, match=r"unknown parameter guide\.training\.batch; it is called autoguidance\.training\.batch"
    ):
        edited(preset_text("digits"), {"guide.training.batch": 1})


@pytest.mark.parametrize(
    "old,new",
    [
        ("judge", "metric_network"),
        ("guide", "autoguidance"),
        ("gate judge", "gate metric_network"),
        ("repro gate@guide", "repro gate@autoguidance"),
        ("accept index", "baseline index"),
        ("sample --label 1 --guide a --out 'guide b.png'", "sample --label 1 --autoguidance a --out 'guide b.png'"),
        ("export --kind guide --out guide", "export --kind autoguidance --out guide"),
        ("import --kind=guide guide.pth", "import --kind=autoguidance guide.pth"),
    ],
)
def test_an_old_command_has_a_new_one(
    old: str, new: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["rectok", *(part.strip("'") for part in re.findall(r"'.*'|\S+", old))])
    with pytest.raises(SystemExit, match="1"):
        main.main()
    assert capsys.readouterr().err == f"rectok: this command is `rectok {new}` now\n"


@pytest.mark.parametrize("line", ["sample --guidance 2", "export --kind dit --out guide", "gate dit", "plan", ""])
def test_todays_commands_are_not_old(line: str) -> None:
    assert renamed_command(line.split()) == ""
