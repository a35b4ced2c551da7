from collections.abc import Iterator

import pytest
import torch

from rectok.nn.overlap import Parts, on_cpu


def squares(device: str, computed: list[int]) -> Iterator[Parts]:
    for number in range(4):
        computed.append(number)
        numbers = torch.full((3,), float(number), device=device)
        yield numbers.square(), numbers


NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("device,ahead", [("cpu", 0), pytest.param("cuda", 1, marks=NO_GPU)])
def test_tensors_come_in_order_and_a_gpu_is_one_ahead(device: str, ahead: int) -> None:
    computed: list[int] = []
    tensors = on_cpu(squares(device, computed))
    assert torch.equal(next(tensors)[0], torch.zeros(3))
    assert computed == list(range(1 + ahead))
    rest = list(tensors)
    assert all(tensor.device.type == "cpu" for parts in rest for tensor in parts)
    assert [(float(square[0]), float(number[0])) for square, number in rest] == [(1.0, 1.0), (4.0, 2.0), (9.0, 3.0)]
