"""Networks that parameters describe, and the disk space of a run with them."""

from collections.abc import Iterator

from rectok.doctor.diagnosis import Diagnosis, fail, ok
from rectok.doctor.disk import free_space, unknown_need
from rectok.errors import UserError
from rectok.params import Params


def networks(params: Params) -> Iterator[Diagnosis]:
    """Build all networks without weights, so that sizes that do not fit are found before hours of stages.

    Then compare free space with what `rectok plan` computes from them, for the images of data/index or of the preset.
    """
    from rectok.planning.images import ASSUMED_CLASSES, images_of  # imports torch, which takes seconds
    from rectok.planning.plan import disk_of
    from rectok.planning.sizes import part_sizes
    from rectok.workloads.costs import Costs

    try:
        images, unknown = images_of(params.preset, None, indexed=True), ""
    except UserError as error:
        images, unknown = None, str(error)
    try:
        costs = Costs(params, images.classes if images else ASSUMED_CLASSES)
        parts = part_sizes(costs)
    except UserError as error:
        yield fail("networks", str(error), "change it in params.yaml")
        yield unknown_need("the size of a run follows from its networks; change them first")
        return
    yield ok("networks", "all can be built")
    yield free_space(disk_of(costs, images.stored, parts)) if images else unknown_need(unknown)
