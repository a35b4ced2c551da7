"""The teacher as encoder: which layers it sums, how they are normalised, and that it stays as it was."""

import pytest
import torch
from torch import Tensor

from rectok.teacher.network_config import NetworkConfig
from rectok.tokenizer.kinds import build_tokenizer
from rectok.tokenizer.model import LOGVAR_RANGE, split_moments
from rectok.tokenizer.rae import RAETokenizer
from rectok.tokenizer.tokenizer_config import TeacherEncoderConfig, TokenizerConfig
from tests.errors import user_error
from tests.teacher.networks import DINOV3, RESNET, network
from tests.tokenizer.test_model import config

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


def rae(teacher: NetworkConfig, width: int, layers: int = 1) -> RAETokenizer:
    base = config(image_size=64)
    sizes = base.sizes.model_copy(update={"patch": 16, "channels": width})
    encoder = TeacherEncoderConfig(network=teacher, layers=layers)
    made = build_tokenizer(
        TokenizerConfig(image_size=64, teacher_width=width, sizes=sizes, kind="rae", teacher=encoder)
    )
    assert isinstance(made, RAETokenizer)
    return made


def standardised(x: Tensor) -> Tensor:
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()


@pytest.mark.parametrize("layers", [1, 3])
def test_the_latent_is_the_normalised_sum_of_normalised_last_layers(layers: int) -> None:
    teacher = network(DINOV3)
    torch.nn.init.uniform_(teacher.trunk.norm.weight, 0.5, 2.0)  # which the latent must not see
    model = rae(DINOV3, teacher.width, layers)
    model.encoder.take(teacher)
    hidden: list[Tensor] = []
    hooks = [block.register_forward_hook(lambda *call: hidden.append(call[-1])) for block in teacher.trunk.blocks]
    teacher.tokens(IMAGES / 2 + 0.5, 4)
    prefix = teacher.trunk.num_prefix_tokens
    assert len(hidden) == len(hooks) and prefix > 0
    expected = standardised(torch.stack([standardised(x[:, prefix:]) for x in hidden[-layers:]]).sum(0))
    mean, logvar = split_moments(model.encode(IMAGES))
    torch.testing.assert_close(mean, expected, atol=1e-4, rtol=1e-4)
    assert (logvar == LOGVAR_RANGE[0]).all()
    assert model.decode(mean).shape == IMAGES.shape


def test_a_convolutional_teacher_gives_its_last_map_on_the_grid() -> None:
    teacher = network(RESNET)
    model = rae(RESNET, teacher.width)
    model.encoder.take(teacher)
    mean, _ = split_moments(model.encode(IMAGES))
    expected = standardised(standardised(teacher.tokens(IMAGES / 2 + 0.5, 4)))  # a token of little variance needs both
    torch.testing.assert_close(mean, expected, atol=1e-4, rtol=1e-4)


def test_training_leaves_the_teacher_as_it_was() -> None:
    teacher = network(RESNET)
    model = rae(RESNET, teacher.width)
    model.encoder.take(teacher)
    before = {name: tensor.clone() for name, tensor in model.encoder.state_dict().items()}
    model.train()
    model.encode(IMAGES)  # batch norm would move its statistics
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.encoder.state_dict().items())
    assert {"network.trunk.fc.weight"}.isdisjoint(before) and not any(
        p.requires_grad for p in model.encoder.parameters()
    )


@pytest.mark.parametrize("teacher,layers,alike", [(DINOV3, 6, 5), (RESNET, 2, 1)])
def test_layers_that_cannot_be_summed_are_named(teacher: NetworkConfig, layers: int, alike: int) -> None:
    with user_error(
        f"tokenizer.rae.layers is {layers}, but only the last {alike} of the 5 layers of network {teacher.name}"
    ):
        rae(teacher, 8, layers)
