import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, AssetSpec, DailyPartitionsDefinition, Definitions, PartitionsDefinition

from orchestration.loading import SENSOR_SECONDS, build, sensor_seconds
from rectok.errors import UserError
from tests.orchestration.project import REPOSITORY, Project

pytestmark = pytest.mark.slow  # the whole project is loaded as Dagster loads it

SNAPSHOT = Path(__file__).with_name("snapshot.json")
SLOW = ("torch", "dvc", "great_expectations", "matplotlib", "pyarrow", "pandas", "PIL", "sqlalchemy")


def partitions(of_asset: PartitionsDefinition[str] | None) -> list[str] | str:
    """The keys, or for dates, which become more, their name."""
    dates = isinstance(of_asset, DailyPartitionsDefinition)
    return "dates" if dates else list(of_asset.get_partition_keys()) if of_asset else []


def described(definitions: Definitions) -> dict[str, Any]:
    repository = definitions.get_repository_def()
    graph = repository.asset_graph
    assets, jobs = {}, [repository.get_job(name) for name in repository.job_names if not name.startswith("__")]
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        assets[key.to_user_string()] = {
            "group": node.group_name,
            "kinds": sorted(node.kinds),
            "owners": list(node.owners),
            "tags": sorted(tag for tag in node.tags if not tag.startswith("dagster/")),
            "pools": sorted(node.pools or []),
            "parents": sorted(parent.to_user_string() for parent in node.parent_keys),
            "partitions": partitions(node.partitions_def),
            "checks": {
                k.name: "blocking" if graph.get(k).blocking else "not blocking" for k in sorted(node.check_keys)
            },
        }
    return {
        "assets": assets,
        "jobs": sorted(job.name for job in jobs),
        "undescribed": sorted(
            each.name
            for each in [*jobs, *repository.schedule_defs, *repository.sensor_defs]
            if len(each.description or "") < 20
        ),
        "schedules": {
            s.name: [s.cron_schedule, s.execution_timezone, s.default_status.value] for s in repository.schedule_defs
        },
        "sensors": {s.name: s.default_status.value for s in repository.sensor_defs},
        "resources": sorted(definitions.resources or {}),
    }


def test_everything_that_dagster_shows_is_as_in_the_snapshot(ours: Project) -> None:
    definitions = build(ours.root)
    Definitions.validate_loadable(definitions)
    found = described(definitions)
    written = json.dumps(found, indent=1, sort_keys=True) + "\n"
    # After a deliberate change: delete snapshot.json, run this test twice, read the difference.
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(written, encoding="utf-8")
        pytest.fail(f"{SNAPSHOT.name} did not exist and has been written; read it and run the test again")
    assert written == SNAPSHOT.read_text(encoding="utf-8")


def test_there_is_one_asset_with_a_gate_and_a_link_to_its_code_for_each_noun(ours: Project) -> None:
    listed = ours.run("dvc", "stage", "list", "--name-only").stdout.split()
    nouns = {name.partition("@")[0] for name in listed if not name.startswith("gate")}
    gates = {name.partition("@")[2] for name in listed if name.startswith("gate@")}
    gates |= {name.removeprefix("gate-").partition("@")[0] for name in listed if name.startswith("gate-")}
    graph = build(ours.root).get_repository_def().asset_graph
    derived = {key.to_user_string() for key in graph.materializable_asset_keys} - {"nightly"}
    assert derived == nouns == gates == {key.asset_key.to_user_string() for key in graph.asset_check_keys} - {"nightly"}
    for key in graph.materializable_asset_keys - {AssetKey("nightly")}:
        node, name = graph.get(key), key.to_user_string()
        shown = node.metadata["dagster/code_references"].code_references
        assert [reference.label for reference in shown] == [f"rectok/stages/{name}.py", f"rectok/gates/{name}.py"]
        assert f"Made by `rectok {name}" in (node.description or "") and node.code_version


@pytest.mark.parametrize("shards", [2, 256])
def test_a_second_load_asks_neither_dvc_nor_anything_else_that_is_slow_to_import(ours: Project, shards: int) -> None:
    ours.change("index.shards", [f"{number:05d}" for number in range(shards)])
    program = (
        "import sys, orchestration.definitions as d; d.defs.get_repository_def()\n"
        f"print([name for name in {SLOW} if name in sys.modules])"
    )
    load = (sys.executable, "-W", "error::UserWarning", "-c", program)
    build(ours.root)
    finished = subprocess.run(load, cwd=ours.root, env=ours.environment(), check=True, capture_output=True, text=True)
    assert finished.stdout == "[]\n"


BROKEN_PIPELINES = {
    "not YAML": ("stages: [", "dvc.yaml"),
    "an unknown key": ("stages:\n  index: {cmd: x, ouputs: [a]}\n", "ouputs"),
    "an unknown parameter": ("stages:\n  index: {cmd: 'echo ${no.such}'}\n", "no.such"),
    "a cycle": (
        "stages:\n  a: {cmd: x, deps: [p], outs: [q]}\n  b: {cmd: x, deps: [q], outs: [p]}\n",
        "wait for each other: a → b → a",
    ),
    "a gate of nothing": ("stages:\n  gate: {cmd: x, outs: [data/passed/ghost]}\n", "ghost"),
    "a wrong owner": ("stages:\n  a: {cmd: x, meta: {owner: nobody at all}}\n", "nobody at all"),
}


@pytest.mark.parametrize("text, hint", BROKEN_PIPELINES.values(), ids=BROKEN_PIPELINES.keys())
def test_a_broken_pipeline_still_loads_and_says_what_is_wrong(ours: Project, text: str, hint: str) -> None:
    (ours.root / "dvc.yaml").write_text(text, encoding="utf-8")
    spec = shown(build(ours.root))["dvc_yaml_is_broken"]
    assert hint in (spec.description or "") and "\n" not in (spec.description or "")


BROKEN_PARAMS = {
    "a wrong type": ("nightly.per_class", "many", "nightly.per_class"),
    "an impossible cron line": ("nightly.cron", "61 3 * * *", "61 3"),
    "an unknown time zone": ("nightly.timezone", "Atlantis", "Atlantis"),
}


@pytest.mark.parametrize("key, value, hint", BROKEN_PARAMS.values(), ids=BROKEN_PARAMS.keys())
def test_broken_parameters_still_load_and_say_what_is_wrong(ours: Project, key: str, value: str, hint: str) -> None:
    ours.change(key, value)
    found = shown(build(ours.root))
    assert hint in (found["params_yaml_is_broken"].description or "")
    assert "tokenizer" in found


def test_parameters_that_even_dvc_cannot_read_are_named(ours: Project) -> None:
    (ours.root / "params.yaml").write_text("index: [", encoding="utf-8")
    found = shown(build(ours.root))
    assert found.keys() == {"dvc_yaml_is_broken", "params_yaml_is_broken"}
    assert all("params.yaml" in (spec.description or "") for spec in found.values())


def test_dg_lists_the_definitions_and_its_check_fails_and_says_what_is_wrong(ours: Project) -> None:
    def dg(*command: str) -> subprocess.CompletedProcess[str]:
        environment = {**ours.environment(), "DAGSTER_HOME": str(REPOSITORY / ".dagster")}
        return subprocess.run(("dg", *command), cwd=REPOSITORY, env=environment, capture_output=True, text=True)

    finished = dg("list", "defs", "--json")
    listed = json.loads(finished.stdout)
    assert finished.stderr == "", "no warning"
    assert {asset["asset_key"] for asset in listed["assets"]} >= {"index", "tokenizer", "nightly"}
    assert dg("check", "defs").returncode == 0
    ours.change("nightly.per_class", "many")
    finished = dg("check", "defs")
    assert finished.returncode == 1
    assert re.search(r"UserError: .*nightly\.per_class", finished.stdout + finished.stderr)


@pytest.mark.parametrize("text", ["soon", "0", "-1", "1.5"])
def test_an_interval_that_is_no_number_of_seconds_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(SENSOR_SECONDS, text)
    with pytest.raises(UserError, match=f"{SENSOR_SECONDS} is '{text}'"):
        sensor_seconds()


def shown(definitions: Definitions) -> dict[str, AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}
