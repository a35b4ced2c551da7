"""Pools: a step that waits although a slot is free is let in."""

from dagster import DagsterInstance
from dagster._core.storage.event_log import SqlEventLogStorage


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
