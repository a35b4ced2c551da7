from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from rectok.errors import UserError
from rectok.losses.adversary import PatchGAN
from rectok.nn import memory
from rectok.nn.memory import fitting
from rectok.params import parse, preset_text
from rectok.teacher.network import VisionNetwork
from rectok.train.adversary import Adversary
from rectok.workloads.generators import generator
from rectok.workloads.tokenizers import tokenizer_config

PARAMS = parse(preset_text("digits"), "digits")


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "a layer": lambda: nn.Linear(3, 4),
    "the adversary": lambda: PatchGAN(4, 2),
    "the teacher": lambda: VisionNetwork(PARAMS.teacher.network, 10),
}


@pytest.mark.parametrize("make", NETWORKS.values(), ids=NETWORKS)
def test_a_network_that_fits_has_the_weights_that_it_has_without_a_check(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    weights = fitting("dit.sizes", make).state_dict()
    torch.manual_seed(0)
    plain = make().state_dict()
    assert weights.keys() == plain.keys() and all(torch.equal(weights[name], plain[name]) for name in plain)


def test_a_network_beyond_all_memory_is_refused_before_it_is_built() -> None:
    sizes = PARAMS.dit.sizes
    encoder = sizes.encoder.model_copy(update={"width": 2**16, "heads": 2**9, "depth": 2**6})
    section = PARAMS.dit.model_copy(update={"sizes": sizes.model_copy(update={"encoder": encoder})})
    with pytest.raises(
        UserError, match=r"dit\.sizes in params\.yaml describes a network of [\d,]+ GB, but this machine has"
    ):
        fitting("dit.sizes", lambda: generator(section, tokenizer_config(PARAMS, 64), 10))


def test_an_adversary_and_a_network_of_timm_beyond_all_memory_are_refused() -> None:
    config = PARAMS.tokenizer.losses.adversary.model_copy(update={"filters": 2**20})
    with pytest.raises(UserError, match=r"^losses\.adversary in params\.yaml describes a network of [\d,]+ GB"):
        Adversary(config)
    options = {**PARAMS.teacher.network.options, "channels": (2**17,) * 4}
    network = PARAMS.teacher.network.model_copy(update={"options": options})
    with pytest.raises(UserError, match=r"^teacher\.network in params\.yaml describes a network of [\d,]+ GB"):
        fitting("teacher.network", lambda: VisionNetwork(network, 10))


def test_a_containers_memory_counts_where_it_is_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = memory.machine_memory()
    monkeypatch.setattr(memory, "GROUPS", tmp_path)
    monkeypatch.setattr(memory, "GROUP", tmp_path / "group")
    assert memory.machine_memory() >= whole
    (tmp_path / "group").write_text("4:memory:/other\n0::/pod/container\n")
    (tmp_path / "pod" / "container").mkdir(parents=True)
    (tmp_path / "pod" / "container" / "memory.max").write_text("max\n")
    assert memory.machine_memory() >= whole
    (tmp_path / "pod" / "memory.max").write_text("3000\n")
    assert memory.machine_memory() == 3000
    with pytest.raises(UserError, match="this machine has 0 GB of memory"):
        fitting("dit.sizes", lambda: nn.Linear(100, 100))
