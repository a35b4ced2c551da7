"""All preflight checks, in order."""

from collections.abc import Iterator

from rectok.doctor.diagnosis import Diagnosis, fail, ok
from rectok.doctor.disk import free_space, links
from rectok.doctor.hardware import deepspeed, devices
from rectok.doctor.local_paths import folders, labels, weights
from rectok.doctor.object_stores import credentials
from rectok.doctor.versions import bytecode, versions
from rectok.errors import UserError
from rectok.params import load


def examine() -> Iterator[Diagnosis]:
    """Examine this machine and the project in this folder. Checks that need parameters are skipped if they are unreadable."""
    yield versions()
    yield bytecode()
    yield links()
    try:
        params = load()
    except UserError as error:
        yield fail("params", str(error), "fix params.yaml; checks that depend on it were skipped")
        return
    yield ok("params", f"params.yaml is complete (preset {params.preset})")
    yield free_space(params)
    yield devices(params)
    yield deepspeed(params)
    yield from labels(params)
    yield from folders(params)
    yield from credentials(params)
    yield from weights(params)
