"""Plans rest on the parameters, the index, and measured speeds; data stay untouched."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rectok import artifacts
from rectok.cli.main import app
from rectok.planning.downloads import downloads
from rectok.planning.plan import Plan, make_plan
from rectok.planning.schedule import ASSUMED_PEAK, ASSUMED_SHARE
from rectok.planning.verdict import planned_memory, verdict
from tests.project import tiny, write_params
from tests.workloads.full_size import full_size
from tests.workloads.test_speed import speed

pytestmark = pytest.mark.slow  # every network is counted anew in every plan
PARAMS = tiny()


def planned(**changes: Any) -> Plan:
    return make_plan(tiny(**changes), 1000, 2, [speed()], indexed=False)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return planned(nightly__per_class=8)


def test_hours_are_work_over_speed(plan: Plan) -> None:
    by_stage = {row.workload.stage: row for row in plan.estimates}
    dit = by_stage["dit"]
    steps = PARAMS.dit.training.steps(1000)
    assert dit.workload.steps == steps == 63  # 2 epochs of 1000 images in batches of 32
    assert dit.tflops == 100.0 and "a GPU" in dit.basis
    seconds = steps * 32 * dit.workload.flops / (100e12 * 2)
    assert dit.hours == pytest.approx(seconds / 3600)
    latents = by_stage["latents"]
    assert latents.tflops == ASSUMED_PEAK * ASSUMED_SHARE and latents.basis.startswith("assumed")
    seconds = (1000 + 180 + 359) * latents.workload.flops / (193.5e12 * 2)  # held-out digits too
    assert latents.hours == pytest.approx(seconds / 3600)


def test_a_night_is_no_part_of_a_run(plan: Plan) -> None:
    json = plan.as_json()
    night = json["night"]
    assert [row["workload"]["images"] for row in night] == [80, 80]  # 8 of each of 10 classes
    seconds = 80 * sum(row["workload"]["flops"] for row in night) / (193.5e12 * 2)  # GPUs
    assert json["night_hours"] == pytest.approx(seconds / 3600)
    generation = [row.hours for row in plan.estimates if row.workload.stage.startswith("generation")]
    assert json["night_hours"] == pytest.approx(2 * sum(generation))  # an evaluation draws 4 of each
    assert json["hours"] == pytest.approx(sum(row.hours for row in plan.estimates))


def test_a_late_adversary_costs_its_share_of_the_training(plan: Plan) -> None:
    def flops(start: float) -> float:
        adversary = {"weight": 0.1, "start": start, "filters": 4, "layers": 1, "lr_per_256": 1e-4}
        return planned(tokenizer__losses__adversary=adversary).flops["tokenizer"]

    never, late, always = plan.flops["tokenizer"], flops(0.5), flops(0.0)
    assert never < late < always
    assert late == pytest.approx((never + always) / 2)


def test_images_come_from_the_index(here: Path) -> None:
    artifacts.write_json(artifacts.summary_file("index"), {"splits": {"train": 77, "val": 3, "test": 3}})
    artifacts.write_json(artifacts.classes_file(), ["a", "b", "c"])
    found = make_plan(PARAMS, None, 1, [], indexed=True)
    assert (found.images, found.classes) == (77, 3)


def test_memory_covers_every_stage_on_one_gpu_and_on_all(plan: Plan) -> None:
    rows = plan.memory
    assert {(row.training, row.zero_stage, row.gpus) for row in rows} == {
        (name, stage, gpus)
        for name in ("tokenizer", "decoder", "dit", "autoguidance")
        for stage in range(4)
        for gpus in (1, 2)
    }
    assert all(row.activations > 0 for row in rows)


def test_downloads_name_their_licence() -> None:
    assert downloads(PARAMS) == []
    found = {row.what: row for row in downloads(full_size())}
    assert found["teacher"].licence == "DINOv3 License"
    assert found["tokenizer.losses.perceptual.vgg"].licence.startswith("BSD-3-Clause")
    assert "metric_network" not in found


def test_the_command_prints_json_or_tables(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    write_params(here)
    records = here / "speed.jsonl"
    records.write_text(speed().model_dump_json() + "\n")
    command = ["plan", "--gpus", "2", "--images", "500", "--bench", str(records)]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["preset"], found["images"], found["gpus"]) == ("digits", 500, 2)
    assert found["hours"] == pytest.approx(sum(row["hours"] for row in found["estimates"]))
    assert "4·P" in found["memory_formula"]
    shown = CliRunner().invoke(app, [*command, "--verbose"]).stdout
    for words in (
        "Parameters",
        "ZeRO",
        "Disk for 1039 images",
        "hours",
        "night, guided",
        "measured: dit / cached latents",
        "assumed: 25%",
    ):
        assert words in shown
    monkeypatch.setenv("COLUMNS", "80")
    screen = CliRunner().invoke(app, command).stdout.splitlines()
    assert screen[0] == f"digits, 500 training images: {found['verdict']}"
    warning = next(line for line in screen if line.startswith("Warning: too few steps for "))
    assert "tokenizer (32, at least 400)" in warning and warning.endswith("see docs/guides/images.md#3-train")
    assert len(screen) <= 24 and any(line.startswith("a run") for line in screen)


def test_the_verdict_names_the_key_that_makes_a_run_fit(plan: Plan) -> None:
    needed = max(row.total for row in planned_memory(plan, PARAMS)) / 1e9
    assert verdict(plan, PARAMS, needed).startswith(f"fits 2 × {needed:g} GB; ")
    less = verdict(plan, PARAMS, needed * 0.999)
    assert re.search(r"with \w+\.training\.micro_batch \d+ \(now 32\)", less), less
    assert "before any activation; raise tokenizer.training.zero_stage" in verdict(plan, PARAMS, 1e-6)
    split = verdict(make_plan(PARAMS, 1000, 3, [], indexed=False), PARAMS, 80)
    assert split == "does not run on 3 GPUs: tokenizer.training.micro_batch 32 is no multiple of 3"
