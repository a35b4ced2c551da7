"""The metrics of the samples must be complete, possible, and good enough."""

from collections.abc import Iterator

from rectok.artifacts import UNLABELLED, Check
from rectok.checks.bounds import at_least, at_most, unlabelled
from rectok.checks.metric_schema import record_checks
from rectok.evaluation.metrics import GUIDED, read_record
from rectok.params import Params


def check(params: Params) -> Iterator[Check]:
    """Checks of data/generation."""
    limits, record = params.gates.generation, read_record("generation")
    if not (yield from record_checks("generation", record)):
        return
    what = "the share of samples whose label the metric network predicts"
    for ending, minimum in (("", limits.min_accuracy), (GUIDED, limits.min_accuracy_guided)):
        accuracy = record.metrics[f"sample_accuracy{ending}"]
        name = f"sample accuracy{ending}".replace("_", " ")
        if accuracy is not None:
            yield at_least(name, accuracy, minimum, what)
        elif record.networks[f"sample_accuracy{ending}"] == UNLABELLED:
            yield unlabelled(name, minimum)
    yield at_most("gfid", record.metrics["gfid"], limits.max_gfid, "gFID of unguided samples")
