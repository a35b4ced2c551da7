"""Networks that parameters describe."""

from rectok.doctor.diagnosis import Diagnosis, fail, ok
from rectok.errors import UserError
from rectok.params import Params


def networks(params: Params) -> Diagnosis:
    """Build all networks without weights, so that sizes that do not fit are found before hours of stages."""
    from rectok.planning.images import ASSUMED_CLASSES  # imports torch, which takes seconds
    from rectok.planning.sizes import part_sizes
    from rectok.workloads.costs import Costs

    try:
        part_sizes(Costs(params, ASSUMED_CLASSES))
    except UserError as error:
        return fail("networks", str(error), "change it in params.yaml")
    return ok("networks", "all can be built")
