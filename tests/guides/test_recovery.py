"""Every failure of docs/guides/recovery.md is brought about, and recovered from, by a test."""

import ast
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from rectok.ablation.workspace import CONFIG
from rectok.files import write_text
from tests.guides.guide import REPOSITORY, Clone, blocks

GUIDE = "test_recover_from_failures"
NIGHTLY = "test_read_the_nightly_page"
REPORTED = "test_the_sensor_reports_what_dvc_made_before"
TRIED = {
    # Training
    "Ctrl-C": "test_a_cancelled_training_stops_after_its_checkpoint_and_a_retry_finishes_it",
    "fewer GPUs than before": "test_a_training_goes_on_with_fewer_and_with_more_processes",
    "ran out of GPU memory": "test_a_full_gpu_is_a_sentence_that_names_the_batch_to_halve",
    "not a finite number": GUIDE,
    "process 0 of 8": "test_a_process_that_dies_or_hangs_ends_the_training_with_a_sentence_and_it_resumes",
    "parameters or inputs changed": "test_other_parameters_remove_the_state",
    "is damaged in": "test_a_damaged_checkpoint_gives_way_to_the_one_before",
    "the disk is full": "test_a_full_disk_keeps_the_checkpoint_before",
    # Gates
    "a gate failed": "test_a_new_threshold_reruns_the_gate_and_no_training",
    "waits for gate-shards": "test_a_failed_gate_blocks_until_dvc_repro_outside_passes_it",
    "the index drifted": GUIDE,
    "features or shards are damaged": GUIDE,
    "is not the file that gate": "test_a_stage_refuses_an_input_that_is_not_what_its_gate_passed",
    "changed while dit ran": "test_a_stage_whose_parameters_change_meanwhile_keeps_nothing",
    "images are quarantined": "test_bring_your_own_images",
    # DVC and data
    "was deleted or changed": GUIDE,
    "another DVC process": "test_a_stage_that_another_dvc_makes_is_waited_for",
    "unable to read": "test_a_lock_file_that_is_cut_off_is_one_sentence_and_nothing_runs_again",
    "Unable to read RWLock-file": "test_a_killed_stage_makes_the_same_bytes_when_it_runs_again",
    "a code version rose": "test_change_code",
    "the cache is lost": GUIDE,
    "an object of the bucket changed": "test_an_object_that_changes_between_two_reads_is_not_mixed",
    "credentials expired": "test_credentials_that_are_renewed_meanwhile_are_used",
    "is broken": GUIDE,
    # The nightly evaluation
    "is red: a metric": NIGHTLY,
    "a worse generator was promoted": NIGHTLY,
    "a nightly run is missing": "test_after_a_week_without_the_daemon_one_nightly_run_is_caught_up",
    "history.csv is damaged": "test_a_damaged_history_is_told_before_the_long_work",
    "no alert arrived": "test_a_trial_alert_goes_where_alerts_go",
    # Dagster
    "does not show what": REPORTED,
    "everything is stale": "test_staleness_is_what_dvc_status_says",
    "lost power": "test_after_a_power_loss_runs_fail_within_a_minute_and_a_retry_continues",
    "runs stay queued": "test_a_step_that_was_queued_as_the_slot_came_back_gets_it",
    "`.dagster/` is lost": REPORTED,  # its server starts with no state
}


def test_every_failure_has_a_test() -> None:
    text = (REPOSITORY / "docs" / "guides" / "recovery.md").read_text(encoding="utf-8")
    rows = [row for row in re.findall(r"^\| (.+) \|$", text, re.MULTILINE) if not row.startswith("what happened")]
    matches = {row: [words for words in TRIED if words in row] for row in rows}
    assert {row: words for row, words in matches.items() if len(words) != 1} == {}
    assert len(rows) == len(TRIED)


def test_the_tests_named_here_exist() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (REPOSITORY / "tests").rglob("test_*.py")]
    names = Counter(node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef))
    assert {name: names[name] for name in TRIED.values() if names[name] != 1} == {}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_recover_from_failures(cloned: Clone) -> None:
    # Of few images the teacher learns little; the tokenizer need not learn.
    short = {"sizes": {"decoder": {"depth": 1}}, "training": {"epochs": 4, "batch": 32, "micro_batch": 32}}
    cloned.change(["params.yaml"], {"gates": {"teacher": {"min_accuracy": 0.0}}, "tokenizer": short})
    first, *others = blocks("docs/guides/recovery.md")
    printed = cloned.follow_block(first)
    # The second recipe loses the run cache, and the others add to one.
    shard = Path("data/shards/00000.tar")
    assert experiment(cloned, "shards@00000", shard) == (cloned.root / shard).read_bytes()
    printed += "".join(map(cloned.follow_block, others))
    weights = Path("data/tokenizer/model.safetensors")
    assert experiment(cloned, "tokenizer", weights) == (cloned.root / weights).read_bytes()
    assert "gate shards failed" in printed and "the gate has stopped it" in printed
    back, _, further = printed.partition("pushed")[2].partition("it says what is wrong")
    assert back.count("data/shards/00000.tar") == 2 and "fetched" in back and "Running stage" not in back
    assert "rectok: DVC cannot read the pipeline: './dvc.yaml' validation failed" in back
    assert "4 stages are up to date" in further
    _, drifted, accepted = further.partition("the index has drifted")
    assert drifted and "accepted 290 images" in accepted and "pass  class drift: 0 (≤ 0.001)" in accepted
    assert "tokenizer: the loss is not a finite number at step" in accepted and "it says at which step" in accepted


def experiment(project: Clone, target: str, path: Path) -> bytes:
    """The file that DVC has in its cache for an experiment, whose folder knows the inputs and no results."""
    folder = project.root.parent / "experiment"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in ("dvc.yaml", "params.yaml", "versions.yaml", "data/raw", "data/baseline"):
        project.run("cp", "-r", "--parents", name, str(folder))
    write_text(folder / ".dvc/config", CONFIG.format(cache=project.root / ".dvc/cache"))
    printed = Clone(folder).run("dvc", "repro", target)
    assert f"Running stage '{target}'" not in printed
    return (folder / path).read_bytes()
