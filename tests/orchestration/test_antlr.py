"""Dagster's selections and DVC's overrides are both parsed by antlr, and once pinned different versions of it."""

import pytest
from dagster import AssetSelection

from orchestration.loading import build
from tests.orchestration.project import Project


@pytest.mark.parametrize(
    "text, names",
    [
        ('key:"tokenizer"+', {"tokenizer", "report"}),
        ('+key:"tokenizer"', {"index", "shards", "tokenizer"}),
        ('group:"data" and kind:"python" and key:"s*"', {"shards"}),
        ('owner:"team:models" or kind:"nothing"', {"tokenizer"}),
        ('tag:"training" or tag:"per_shard"', {"tokenizer", "shards"}),
    ],
)
@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")  # which the parser would take for a syntax error
def test_dagster_resolves_selections(project: Project, text: str, names: set[str]) -> None:
    graph = build(project.root).get_repository_def().asset_graph
    selected = AssetSelection.from_string(text).resolve(graph)
    assert {key.to_user_string() for key in selected} == names


def test_dvc_applies_overrides_to_the_parameters(project: Project) -> None:
    # Writing params.yaml from an override is what `dvc exp run -S` does first, and needs no commit to try.
    from dvc.utils.hydra import apply_overrides

    path = project.root / "params.yaml"
    apply_overrides(path, ["tokenizer.training.epochs=7", "+index.extra=[a,b]"])
    text = path.read_text(encoding="utf-8")
    assert "epochs: 7" in text and "extra:" in text
