import torch

from rectok.teacher.features import oriented_tokens
from tests.teacher.networks import DINOV3, RESNET, network

IMAGES = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_as_they_are_and_mirrored() -> None:
    net = network(DINOV3)
    both = oriented_tokens(net, IMAGES, 4, flip=True)
    assert both.shape == (3, 2, 16, net.width) and both.dtype == torch.float32
    unit = IMAGES.float() / 255
    torch.testing.assert_close(both[:, 0], net.tokens(unit, 4))
    torch.testing.assert_close(both[:, 1], net.tokens(unit.flip(-1), 4))
    assert not torch.allclose(both[:, 0], both[:, 1], atol=1e-3)


def test_one_orientation_where_nothing_is_mirrored() -> None:
    net = network(RESNET)
    one = oriented_tokens(net, IMAGES, 4, flip=False)
    assert one.shape == (3, 1, 16, net.width)
    torch.testing.assert_close(one, oriented_tokens(net, IMAGES, 4, flip=True)[:, :1])
