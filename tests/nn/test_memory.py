import pytest
import torch
from torch import nn

from rectok.errors import UserError
from rectok.nn.memory import fitting
from rectok.params import parse, preset_text
from rectok.workloads.generators import generator

PARAMS = parse(preset_text("digits"), "digits")


def test_a_network_that_fits_has_the_weights_that_it_has_without_a_check() -> None:
    torch.manual_seed(0)
    network = fitting("dit.sizes", lambda: nn.Linear(3, 4))
    torch.manual_seed(0)
    assert torch.equal(network.weight, nn.Linear(3, 4).weight)


def test_a_network_beyond_all_memory_is_refused_before_it_is_built() -> None:
    sizes = PARAMS.dit.sizes
    encoder = sizes.encoder.model_copy(update={"width": 2**16, "heads": 2**9, "depth": 2**6})
    section = PARAMS.dit.model_copy(update={"sizes": sizes.model_copy(update={"encoder": encoder})})
    with pytest.raises(
        UserError, match=r"dit\.sizes in params\.yaml describes a network of [\d,]+ GB, but this machine has"
    ):
        fitting("dit.sizes", lambda: generator(section, PARAMS.tokenizer_config(64), 10))
