"""Works around a race in Dagster: a queued step can miss a free slot of its pool."""

from dagster import (
    DagsterInstance,
    DefaultSensorStatus,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from orchestration.private import SqlEventLogStorage


def pools(seconds: int) -> SensorDefinition:
    """A sensor that starts no run. Every `seconds` it assigns free slots to steps that missed them."""

    @sensor(
        name="pools",
        description="Assigns a free slot of a pool to a step that missed it; starts no run",
        default_status=DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=seconds,
    )
    def assign(context: SensorEvaluationContext) -> SkipReason:
        keys = assign_free_slots(context.instance)
        return SkipReason(
            f"assigned a free slot of {', '.join(keys)} to a waiting step" if keys else "no step misses a free slot"
        )

    return assign


def assign_free_slots(instance: DagsterInstance) -> list[str]:
    """Assign one slot of every pool that has both a free slot and a waiting step. Returns the names of these pools.

    Dagster passes a slot on when a step gives it back. A step that found the pool full just before and joins the queue just
    after is missed: it would wait until another step of the pool ends, which may be never.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return []  # only this storage has pools
    infos = [storage.get_concurrency_info(key) for key in sorted(storage.get_concurrency_keys())]
    keys = [
        info.concurrency_key for info in infos if info.pending_step_count and info.assigned_step_count < info.slot_count
    ]
    storage.assign_pending_steps(keys)
    return keys
