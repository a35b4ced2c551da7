from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, SkipReason, build_sensor_context
from dagster._core.storage.event_log import SqlEventLogStorage

from orchestration.pools import let_in, pools

POOL = "accelerator"


@pytest.fixture
def storage(instance: DagsterInstance) -> SqlEventLogStorage:
    found = instance.event_log_storage
    assert isinstance(found, SqlEventLogStorage)
    found.set_concurrency_slots(POOL, 1)
    return found


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def claimed(storage: SqlEventLogStorage, run: str) -> bool:
    return storage.claim_concurrency_slot(POOL, run, "shards").is_claimed


def test_a_step_that_was_queued_as_the_slot_came_back_is_let_in(
    instance: DagsterInstance, storage: SqlEventLogStorage
) -> None:
    assert claimed(storage, "first")
    storage.free_concurrency_slots_for_run("first")
    storage.add_pending_step(POOL, "second", "shards", should_assign=False)  # it had seen the slot taken
    assert not claimed(storage, "second")
    assert let_in(instance) == [POOL]
    assert claimed(storage, "second")


def test_a_step_waits_while_the_slot_is_taken(instance: DagsterInstance, storage: SqlEventLogStorage) -> None:
    assert claimed(storage, "first")
    assert not claimed(storage, "second")
    assert let_in(instance) == []
    assert not claimed(storage, "second")
    storage.free_concurrency_slots_for_run("first")
    assert claimed(storage, "second")
    assert let_in(instance) == []


def told(instance: DagsterInstance) -> str | None:
    reason = pools()(build_sensor_context(instance))
    assert isinstance(reason, SkipReason)
    return reason.skip_message


def test_the_sensor_lets_in_and_says_whose_pool_it_was(instance: DagsterInstance, storage: SqlEventLogStorage) -> None:
    assert told(instance) == "nobody waits before a free slot"
    storage.add_pending_step(POOL, "run", "shards", should_assign=False)
    assert told(instance) == f"a step waited before a free slot of {POOL}; it may go on"
    assert claimed(storage, "run")
