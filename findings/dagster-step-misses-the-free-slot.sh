#!/usr/bin/env bash
# A step of Dagster can wait for ever for a slot of a pool that is free.
#
# Guess: A step that waits for a slot of a pool gets it as soon as the slot is free.
# Behaviour: A step looks for a free slot and then enters the queue. If the last slot comes back between these two
#   moments, nobody assigns it. The step polls for ever before a free slot, until another step of the pool ends. The
#   script holds the step between its two moments; two processes meet there by chance.
# Version: dagster 1.13.27, SQLite storage
# Documented: not documented.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
packages=(dagster==1.13.27)
if command -v uv > /dev/null; then
  uv venv -q .venv && uv pip install -q --python .venv/bin/python "${packages[@]}"
else
  python3 -m venv .venv && .venv/bin/pip install -q "${packages[@]}"
fi
export PATH=$PWD/.venv/bin:$PATH
export DAGSTER_HOME=$PWD/home PYTHONWARNINGS=ignore
mkdir home
touch home/dagster.yaml
python - << 'END'
import sys

import dagster
from dagster import DagsterInstance

print("dagster", dagster.__version__)
with DagsterInstance.get() as instance:
    storage = instance.event_log_storage
    storage.set_concurrency_slots("gpu", 1)
    assert storage.claim_concurrency_slot("gpu", "run 1", "train").is_claimed
    enter_queue = storage.add_pending_step

    def enter_queue_late(*args, **kwargs):
        storage.free_concurrency_slots_for_run("run 1")  # run 1 ends just now
        return enter_queue(*args, **kwargs)

    storage.add_pending_step = enter_queue_late
    storage.claim_concurrency_slot("gpu", "run 2", "train")
    storage.add_pending_step = enter_queue
    polls = [storage.claim_concurrency_slot("gpu", "run 2", "train").is_claimed for _ in range(100)]
    pool = storage.get_concurrency_info("gpu")
    free = pool.slot_count - pool.active_slot_count
    assert storage.claim_concurrency_slot("gpu", "run 3", "train").is_claimed
    storage.free_concurrency_slots_for_run("run 3")
    after = storage.claim_concurrency_slot("gpu", "run 2", "train").is_claimed
print("guess: run 2 gets the slot at its next poll")
print(f"seen:  {free} slot is free and run 2 gets it in {sum(polls)} of {len(polls)} polls; after a run 3 came and went: {after}")
if any(polls) or free != 1 or not after:
    sys.exit("the surprise is gone")
END
