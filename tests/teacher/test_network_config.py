import pytest

from tests.errors import user_error
from tests.teacher.project import params


def test_weights_in_a_file_need_their_sha256() -> None:
    with user_error(r"metric_network.network.sha256 is empty, but weights a.safetensors need it"):
        params(metric_network__network__weights="a.safetensors")


@pytest.mark.parametrize("weights", ["", "timm"])
def test_other_weights_need_none(weights: str) -> None:
    assert params(metric_network__network__weights=weights).metric_network.network.weights == weights


@pytest.mark.parametrize("name", ["mean", "std"])
def test_two_numbers_are_neither_three_nor_auto(name: str) -> None:
    for wrong in ([0.5, 0.5], "automatic"):
        with user_error(rf"teacher.network.{name}"):
            params(**{f"teacher__network__{name}": wrong})
    assert getattr(params(**{f"teacher__network__{name}": "auto"}).teacher.network, name) == "auto"
