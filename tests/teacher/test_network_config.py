import pytest

from rectok.errors import UserError
from tests.teacher.project import params


def test_weights_in_a_file_need_their_sha256() -> None:
    with pytest.raises(UserError, match=r"metric_network.network.sha256 is empty, but weights a.safetensors need it"):
        params(metric_network__network__weights="a.safetensors")


@pytest.mark.parametrize("weights", ["", "timm"])
def test_other_weights_need_none(weights: str) -> None:
    assert params(metric_network__network__weights=weights).metric_network.network.weights == weights
