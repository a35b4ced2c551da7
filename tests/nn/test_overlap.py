from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from rectok.nn.overlap import on_cpu


def squares(device: str, computed: list[int]) -> Iterator[Tensor]:
    for number in range(4):
        computed.append(number)
        yield torch.full((3,), float(number), device=device).square()


NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("device,ahead", [("cpu", 0), pytest.param("cuda", 1, marks=NO_GPU)])
def test_tensors_come_in_order_and_a_gpu_is_one_ahead(device: str, ahead: int) -> None:
    computed: list[int] = []
    tensors = on_cpu(squares(device, computed))
    assert torch.equal(next(tensors), torch.zeros(3))
    assert computed == list(range(1 + ahead))
    rest = list(tensors)
    assert all(tensor.device.type == "cpu" for tensor in rest)
    assert [float(tensor[0]) for tensor in rest] == [1.0, 4.0, 9.0]
