"""Works around a race in Dagster: a queued step can miss a free slot of its pool."""

import dagster as dg


def pools(seconds: int) -> dg.SensorDefinition:
    """A sensor that starts no run. Every `seconds` it assigns free slots to steps that missed them."""

    @dg.sensor(
        name="pools",
        description="Assigns a free slot of a pool to a step that missed it; starts no run",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=seconds,
    )
    def assign(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        keys = assign_free_slots(context.instance)
        assigned = f"assigned a free slot of {', '.join(keys)} to a waiting step"
        return dg.SkipReason(assigned if keys else "no step misses a free slot")

    return assign


def assign_free_slots(instance: dg.DagsterInstance) -> list[str]:
    """Assign one slot of every pool that has both a free slot and a waiting step; the names of these pools.

    Dagster passes a slot on when a step gives it back, but not to a step that joins the queue just then: it may wait forever.
    """
    from orchestration.private_storage import SqlEventLogStorage

    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return []  # only this storage has pools
    infos = [storage.get_concurrency_info(key) for key in sorted(storage.get_concurrency_keys())]
    missed = [info for info in infos if info.pending_step_count and info.assigned_step_count < info.slot_count]
    keys = [info.concurrency_key for info in missed]
    storage.assign_pending_steps(keys)
    return keys
