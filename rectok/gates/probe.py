"""The probe must have been trained at the right times, and labels must survive in x_t."""

from collections.abc import Iterator

from rectok.artifacts import Check
from rectok.checks.bounds import at_least, unlabelled
from rectok.checks.metric_schema import record_checks
from rectok.errors import UserError
from rectok.evaluation.metrics import read_record
from rectok.params import Params


def check(params: Params) -> Iterator[Check]:
    """Checks of data/probe."""
    limits, record = params.gates.probe, read_record("probe")
    if not (yield from record_checks("probe", record)):
        return
    if record.metrics["probe"] is None:
        yield unlabelled(f"accuracy at t = {limits.at:g}", limits.min_accuracy)
        return
    accuracies = {point["t"]: point["accuracy"] for point in record.metrics["probe"]}
    if limits.at not in accuracies:
        raise UserError(
            f"gates.probe.at is {limits.at:g}, but probe.times holds {', '.join(f'{t:g}' for t in accuracies)}"
        )
    yield at_least(f"accuracy at t = {limits.at:g}", accuracies[limits.at], limits.min_accuracy, "probe accuracy")
