"""Pools: a step that waits although a slot is free is let in."""

from dagster import (
    DagsterInstance,
    DefaultSensorStatus,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)
from dagster._core.storage.event_log import SqlEventLogStorage

SECONDS = 30


def pools() -> SensorDefinition:
    """A sensor that starts nothing; it lets in whoever waits before a free slot."""

    @sensor(
        name="pools",
        description="Lets a step into its pool that waits there although a slot is free; starts no run",
        default_status=DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=SECONDS,
    )
    def let(context: SensorEvaluationContext) -> SkipReason:
        opened = let_in(context.instance)
        return SkipReason(
            f"a step waited before a free slot of {', '.join(opened)}; it may go on"
            if opened
            else "nobody waits before a free slot"
        )

    return let


def let_in(instance: DagsterInstance) -> list[str]:
    """Let one waiting step into every pool that has a slot free; the names of those pools.

    Dagster hands a slot on when it is given back. A step that asked just before, and enters the queue just after, is seen by
    nobody: without this it would wait until another step of its pool ends, which may be never.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return []  # no other keeps pools
    infos = [storage.get_concurrency_info(key) for key in sorted(storage.get_concurrency_keys())]
    stuck = [
        info.concurrency_key for info in infos if info.pending_step_count and info.assigned_step_count < info.slot_count
    ]
    storage.assign_pending_steps(stuck)
    return stuck
