"""A change to params.yaml touches the lines of the changed values and nothing else."""

import pytest

from rectok.errors import UserError
from rectok.params import parse, preset_text
from rectok.params.editing import changed, edited, shard_names


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
    with pytest.raises(UserError, match=r"dit\.training\.batch is 0, but must be"):
        changed(parse(preset_text("digits"), "a"), {"dit.training.batch": 0})


def test_no_change_is_no_change() -> None:
    assert edited(preset_text("digits"), {}) == preset_text("digits")


def test_only_the_changed_lines_change() -> None:
    before = preset_text("digits")
    digest = "12345e6789" + "0" * 54  # it must stay text, though it reads like a number
    changes = {
        "dit.initial": {"path": "data/x.safetensors", "sha256": digest},
        "dit.sizes": {"encoder": {"width": 32, "depth": 2, "heads": 4}},
        "dit.training.epochs": 0,
    }
    after = edited(before, changes)
    pairs = [(old, new) for old, new in zip(before.splitlines(), after.splitlines(), strict=True) if old != new]
    assert pairs == [
        ("    encoder: {width: 96, depth: 4, heads: 4}", "    encoder: {width: 32, depth: 2, heads: 4}"),
        (
            '  initial: {path: "", sha256: ""}',
            f'  initial: {{path: "data/x.safetensors", sha256: "{digest}"}}',
        ),
        ("    epochs: 60", "    epochs: 0"),
    ]
    found = parse(after, "params.yaml").dit
    assert (found.initial.sha256, found.sizes.encoder.width, found.sizes.head.width) == (digest, 32, 128)


def test_a_section_with_other_keys_is_replaced_whole() -> None:
    after = edited(preset_text("digits"), {"teacher.network.options": {"drop_rate": 0.1}})
    assert parse(after, "params.yaml").teacher.network.options == {"drop_rate": 0.1}


def test_many_shards_are_listed_in_rows() -> None:
    text = edited(preset_text("digits"), {"index.shards": shard_names(1000)})
    assert parse(text, "params.yaml").index.shards == tuple(f"{number:05d}" for number in range(1000))
    assert max(map(len, text.splitlines())) <= 125
    assert edited(edited(text, {}), {"index.shards": shard_names(2)}) == preset_text("digits")
