"""What Dagster's event log holds of the evaluations of a check."""

import dagster as dg

from orchestration.private import AssetCheckExecutionRecordStatus, PartitionKeyFilter

EVALUATED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}


def last_evaluation(
    instance: dg.DagsterInstance, asset: str, check: str, shard: str | None
) -> dg.AssetCheckEvaluation | None:
    """The check's newest evaluation. A check that was only planned has none."""
    executions = instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey(asset), check),
        limit=1,
        status=EVALUATED,
        partition_filter=PartitionKeyFilter(key=shard),
    )
    event = executions[0].event.dagster_event if executions and executions[0].event else None
    evaluation = event.event_specific_data if event else None
    return evaluation if isinstance(evaluation, dg.AssetCheckEvaluation) else None
