import pytest

from rectok.errors import UserError
from rectok.params import parse, preset_text
from rectok.params.editing import changed, edited


def test_only_the_named_values_change_and_comments_stay() -> None:
    text = preset_text("cifar10")
    found = edited(text, {"tokenizer.sizes.channels": 8, "seed": 3, "tokenizer.masking": {"low": -1.0, "high": 0.0}})
    before, after = (parse(each, "params").model_dump() for each in (text, found))
    before["tokenizer"]["sizes"]["channels"] = 8
    before["tokenizer"]["masking"] = {"low": -1.0, "high": 0.0}
    before["seed"] = 3
    assert after == before
    assert text.splitlines()[0] == found.splitlines()[0]
    assert found.count("#") == text.count("#")


def test_without_changes_the_values_stay() -> None:
    text = preset_text("digits")
    assert parse(edited(text, {}), "a") == parse(text, "b")


@pytest.mark.parametrize("name", ["tokenizer.sizes.chanels", "tokeniser.sizes.channels", "seed.x", "nothing"])
def test_an_unknown_name_gets_the_nearest(name: str) -> None:
    with pytest.raises(UserError, match=f"unknown parameter {name}; the nearest valid name is "):
        edited(preset_text("digits"), {name: 1})


def test_a_record_changes_as_its_file_does() -> None:
    text, values = preset_text("digits"), {"tokenizer.sizes.channels": 8, "features.storage": "online"}
    assert changed(parse(text, "a"), values) == parse(edited(text, values), "b")


def test_a_record_stays_possible() -> None:
    with pytest.raises(UserError, match=r"image\.size 33 is not a multiple"):
        changed(parse(preset_text("digits"), "a"), {"image.size": 33})
