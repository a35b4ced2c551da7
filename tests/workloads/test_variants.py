import pytest

from rectok.params import parse, preset_text
from rectok.workloads.variants import TOKENIZER_VARIANTS, tokenizer_variant, with_batch

DIGITS = parse(preset_text("digits"), "digits")


@pytest.mark.parametrize("variant", TOKENIZER_VARIANTS)
def test_a_variant_says_where_features_come_from_and_whether_an_adversary_plays(variant: str) -> None:
    found = tokenizer_variant(DIGITS, variant)
    assert (found.features.storage == "online") == variant.startswith("online")
    adversary = found.tokenizer.losses.adversary
    assert (adversary.weight > 0) == variant.endswith("adversary")
    assert adversary.start == 0


def test_a_batch_is_one_micro_batch() -> None:
    training = with_batch(DIGITS, "dit", 7).dit.training
    assert (training.batch, training.micro_batch) == (7, 7)
    assert with_batch(DIGITS, "dit", 7).autoguidance == DIGITS.autoguidance
