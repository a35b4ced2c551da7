#!/usr/bin/env bash
# A blocking check of a partitioned Dagster asset lets bad partitions pass after a good one.
#
# Guess: An asset has partitions and a blocking check. Where the check of a partition failed, a downstream asset whose
#   automation condition requires passed checks does not run for that partition.
# Behaviour: A check in `check_specs` has no partitions of its own, so only the newest result counts, for all
#   partitions. If a good partition is made after a bad one, the bad one passes too. If the bad one comes last, the
#   good one is blocked. With `partitions_def` in the AssetCheckSpec each partition counts for itself.
# Version: dagster 1.13.27
# Documented: AssetCheckSpec has the argument `partitions_def`; that a check without it lets bad partitions pass is
#   not documented.
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
import logging
import sys

import dagster
from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AutomationCondition,
    DagsterInstance,
    Definitions,
    MaterializeResult,
    StaticPartitionsDefinition,
    asset,
    evaluate_automation_conditions,
    materialize,
)

logging.disable(logging.CRITICAL)
DAYS = StaticPartitionsDefinition(["good", "bad"])
CONDITION = AutomationCondition.eager() & AutomationCondition.all_deps_blocking_checks_passed()


def started(order, **check):
    """The partitions of `model` that run after the partitions of `data` were made in this order."""
    spec = AssetCheckSpec("sound", asset="data", blocking=True, **check)

    @asset(partitions_def=DAYS, check_specs=[spec])
    def data(context):
        yield MaterializeResult(check_results=[AssetCheckResult(passed=context.partition_key == "good")])

    @asset(partitions_def=DAYS, deps=[data], automation_condition=CONDITION)
    def model(): ...

    instance, definitions = DagsterInstance.ephemeral(), Definitions([data, model])
    before = evaluate_automation_conditions(definitions, instance)
    for day in order:
        materialize([data], partition_key=day, instance=instance, raise_on_error=False)
    after = evaluate_automation_conditions(definitions, instance, cursor=before.cursor)
    return sorted(after.get_requested_partitions(model.key) or ())


print("dagster", dagster.__version__)
bad_first, bad_last = started(["bad", "good"]), started(["good", "bad"])
aware = started(["bad", "good"], partitions_def=DAYS), started(["good", "bad"], partitions_def=DAYS)
print("guess: model runs for ['good'] in both orders")
print(f"seen:  {bad_first} if the bad partition is made first, {bad_last} if it is made last; with partitions_def {aware}")
if bad_first != ["bad", "good"] or bad_last != [] or aware != (["good"], ["good"]):
    sys.exit("the surprise is gone")
END
