"""All preflight checks, in order."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from rectok.doctor.diagnosis import Diagnosis, fail, ok
from rectok.doctor.disk import links
from rectok.doctor.hardware import deepspeed, devices, import_deepspeed
from rectok.doctor.local_paths import folders, labels, weights
from rectok.doctor.networks import networks
from rectok.doctor.object_stores import credentials
from rectok.doctor.versions import bytecode, versions
from rectok.errors import UserError
from rectok.params import Params, load

Check = Callable[[Params], Diagnosis | Iterable[Diagnosis]]


def examine(announce: Callable[[str], None] = lambda name: None) -> Iterator[Diagnosis]:
    """Examine this machine and the project in this folder. Checks that need parameters are skipped if they are unreadable.

    `announce` takes the name of each check that takes long, before it begins.
    """
    with import_deepspeed() as importing:  # beside all other checks
        yield versions()
        yield bytecode()
        yield links()
        try:
            params = load()
        except UserError as error:
            importing.kill()
            yield fail("params", str(error), "fix params.yaml; checks that depend on it were skipped")
            return
        yield ok("params", f"params.yaml is complete (preset {params.preset})")
        checks: dict[str, Check] = {
            "networks and disk": networks,
            "devices": devices,
            "DeepSpeed": partial(deepspeed, process=importing),
            "labels": labels,
            "folders": folders,
            "credentials and object stores": credentials,
            "weights": weights,
        }
        for name, check in checks.items():
            announce(name)
            result = check(params)
            yield from [result] if isinstance(result, Diagnosis) else result
