"""All names from Dagster's private modules, but for its storage. A comment says why each has no public form.

`tests/orchestration/test_private.py` fails when a name moves, becomes public, or is imported anywhere else.
"""

# Artefacts of `dvc repro` carry the version tags that Dagster gives to artefacts of its own runs, so that both can become
# stale. The documentation has no function that reads or writes these tags.
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    DEFAULT_DATA_VERSION,
    NULL_EVENT_POINTER,
    extract_data_provenance_from_entry,
    extract_data_version_from_entry,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

# `DagsterInstance.get_latest_asset_check_evaluation_record` knows no partitions and counts checks that are only planned.
from dagster._core.event_api import PartitionKeyFilter

# A launcher answers Dagster's run monitoring with these. `dagster.RunLauncher` does not name them.
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

# `open_pipes_session` logs a warning when a command reports nothing. Most of our commands have nothing to report.
from dagster._core.pipes.context import build_external_execution_context_data
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

# What a code server answers when it is asked for its runs.
from dagster._grpc.types import GetCurrentRunsResult

# A second Ctrl-C or SIGTERM must not interrupt the wait for a checkpoint. Dagster handles the signals of a run itself.
from dagster._utils.interrupts import capture_interrupts

# Dagster's own reading of a cron line, daylight saving time included. Schedules do not tell their times in advance.
from dagster._utils.schedules import cron_string_iterator, reverse_cron_string_iterator

__all__ = [
    "CODE_VERSION_TAG",
    "DATA_VERSION_IS_USER_PROVIDED_TAG",
    "DATA_VERSION_TAG",
    "DEFAULT_DATA_VERSION",
    "NULL_EVENT_POINTER",
    "AssetCheckExecutionRecordStatus",
    "CheckRunHealthResult",
    "GetCurrentRunsResult",
    "PartitionKeyFilter",
    "WorkerStatus",
    "build_external_execution_context_data",
    "capture_interrupts",
    "cron_string_iterator",
    "extract_data_provenance_from_entry",
    "extract_data_version_from_entry",
    "get_input_data_version_tag",
    "get_input_event_pointer_tag",
    "reverse_cron_string_iterator",
]
