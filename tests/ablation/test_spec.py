from pathlib import Path

import pytest

from rectok.ablation.spec import Spec, cells, in_spaces, load_spec, spec_names
from rectok.evaluation.metrics import column_metric
from rectok.params import parse, preset_text
from rectok.params.editing import changed
from tests.errors import user_error

TEXT = """
title: t
claim: c
shared: []
targets: [gate@generation]
seeds: [0, 1]
set: {dit.training.epochs: 2}
columns: [psnr]
rows:
  - {name: a, title: A, set: {}}
  - {name: b, title: B, set: {dit.training.epochs: 3}, seeds: [7]}
"""


def written(folder: Path, text: str) -> Spec:
    path = folder / "mine.yaml"
    path.write_text(text)
    return load_spec(str(path))


@pytest.mark.parametrize("name", spec_names())
def test_every_packaged_row_is_a_valid_variation_of_cifar10(name: str) -> None:
    spec, params = load_spec(name), parse(preset_text("cifar10"), "cifar10")
    one_seed = {cell.row.name: cell for cell in cells(spec)}
    assert len(one_seed) == len(spec.rows)
    for cell in one_seed.values():
        assert changed(params, cell.changes(spec)).seed == cell.seed
    assert all(column_metric(column) for column in spec.columns)


def test_all_rows_run_once_before_any_runs_twice(tmp_path: Path) -> None:
    found = cells(written(tmp_path, TEXT))
    assert [cell.name for cell in found] == ["a-s0", "b-s7", "a-s1"]


def test_a_row_that_shares_trainings_waits_for_those_of_all_others(tmp_path: Path) -> None:
    found = cells(written(tmp_path, TEXT.replace("name: a, title: A", "name: a, title: A, after: b")))
    assert [cell.name for cell in found] == ["b-s7", "a-s0", "a-s1"]


def test_a_row_overrides_the_whole_table(tmp_path: Path) -> None:
    spec = written(tmp_path, TEXT)
    epochs = [cell.changes(spec)["dit.training.epochs"] for cell in cells(spec)]
    assert epochs == [2, 3, 2]


def test_an_ablation_like_another_is_that_one_but_for_what_it_says(tmp_path: Path) -> None:
    method = load_spec("method")
    mine = written(tmp_path, "like: method\ntitle: t\nseeds: [5]\nset: {dit.training.epochs: 7, image.flip: false}\n")
    assert mine.set == {**method.set, "dit.training.epochs": 7, "image.flip": False}
    assert mine == method.model_copy(update={"title": "t", "seeds": (5,), "set": mine.set})


@pytest.mark.parametrize(
    "text,said",
    [
        ("like: metod\n", "is like 'metod', which is none of"),
        ("like: method\nset: 3\n", "set is 3, but must be a valid dictionary"),
    ],
)
def test_a_mistake_in_what_it_is_like_is_named(text: str, said: str, tmp_path: Path) -> None:
    with user_error(said):
        written(tmp_path, text)


@pytest.mark.parametrize(
    "before,after,said",
    [
        ("targets: [gate@generation]", "targets: []", "targets is [], but must have at least 1 item"),
        ("name: b", "name: a", "mine.yaml: two rows are named a"),
        ("name: b", "name: b, after: c", "a row comes after c, which is no row"),
        ("name: b", "name: ../b", "rows.1.name is '../b', but must match pattern"),
        ("name: b", "name: b, x: 1", "row a has no x, row b has one"),
        ("name: b", "name: b, line: l", "row b is on a line and has no x"),
        ("claim: c", "clam: c", "claim: field required"),
        ("title: t", "title: [", "is not valid YAML"),
    ],
)
def test_a_mistake_is_named(before: str, after: str, said: str, tmp_path: Path) -> None:
    with user_error(r"ablation .*mine\.yaml") as caught:
        written(tmp_path, TEXT.replace(before, after))
    assert said in str(caught.value)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"title: \xff")
    with user_error(r"mine\.yaml is no text in UTF-8"):
        load_spec(str(tmp_path / "mine.yaml"))


def test_a_column_of_feature_spaces_stands_for_one_in_each(tmp_path: Path) -> None:
    spec = written(tmp_path, TEXT.replace("[psnr]", "[psnr, fd, gfid, fdr@geometric_mean]"))
    columns = ("psnr", "fd@one", "fd@two", "gfid", "fdr@geometric_mean")
    assert in_spaces(spec, ["one", "two"]) == spec.model_copy(update={"columns": columns})
    assert in_spaces(spec, []).columns == ("psnr", "gfid", "fdr@geometric_mean")


def test_tokenizers_differ_in_kind_and_losses_alone() -> None:
    """Equal budget: no row changes sizes, epochs or batches, but for the one that leaves a stage out."""
    changed = {row.name: set(row.set) for row in load_spec("tokenizers").rows}
    assert changed.pop("noised") == {"tokenizer.kind", "decoder.training.epochs"}
    assert set().union(*changed.values()) == {"tokenizer.kind", "tokenizer.losses.semantic.weight"}


def test_an_unknown_ablation_names_those_that_there_are() -> None:
    with user_error(r"there is no ablation 'metod'.*channels, choices, claims, compact, guidance, head, method"):
        load_spec("metod")
