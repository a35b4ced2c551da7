"""Every failure of docs/guides/recovery.md is brought about, and recovered from, by a test."""

import ast
import re
from collections import Counter

from tests.guides.guide import REPOSITORY

GUIDE = "test_recover_from_failures"
NIGHTLY = "test_read_the_nightly_page"
REPORTED = "test_the_sensor_reports_what_dvc_made_before"
TRIED = {
    # Training
    "Ctrl-C": "test_a_cancelled_training_stops_after_its_checkpoint_and_a_retry_finishes_it",
    "was written by 8 processes": "test_another_number_of_processes_is_refused",
    "ran out of GPU memory": "test_a_full_gpu_is_a_sentence_that_names_the_batch_to_halve",
    "not a finite number": GUIDE,
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
    "lost power": "test_after_a_power_loss_the_run_fails_within_a_minute_and_its_retry_continues",
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
