from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, SkipReason, build_sensor_context

from orchestration.pools import assign_free_slots, pools
from orchestration.private_storage import SqlEventLogStorage

POOL = "accelerator"


@pytest.fixture
def storage(instance: DagsterInstance) -> SqlEventLogStorage:
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    storage.set_concurrency_slots(POOL, 1)
    return storage


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def claimed(storage: SqlEventLogStorage, run: str) -> bool:
    return storage.claim_concurrency_slot(POOL, run, "shards").is_claimed


def test_a_step_that_was_queued_as_the_slot_came_back_gets_it(
    instance: DagsterInstance, storage: SqlEventLogStorage
) -> None:
    assert claimed(storage, "first")
    storage.free_concurrency_slots_for_run("first")
    storage.add_pending_step(POOL, "second", "shards", should_assign=False)  # it found the pool full
    assert not claimed(storage, "second")
    assert assign_free_slots(instance) == [POOL]
    assert claimed(storage, "second")


def test_a_step_waits_while_the_slot_is_taken(instance: DagsterInstance, storage: SqlEventLogStorage) -> None:
    assert claimed(storage, "first")
    assert not claimed(storage, "second")
    assert assign_free_slots(instance) == []
    assert not claimed(storage, "second")
    storage.free_concurrency_slots_for_run("first")
    assert claimed(storage, "second")
    assert assign_free_slots(instance) == []


def tick(instance: DagsterInstance) -> str | None:
    reason = pools(30)(build_sensor_context(instance))
    assert isinstance(reason, SkipReason)
    return reason.skip_message


def test_the_sensor_assigns_a_slot_and_names_the_pool(instance: DagsterInstance, storage: SqlEventLogStorage) -> None:
    assert tick(instance) == "no step misses a free slot"
    storage.add_pending_step(POOL, "run", "shards", should_assign=False)
    assert tick(instance) == f"assigned a free slot of {POOL} to a waiting step"
    assert claimed(storage, "run")
