"""A change to params.yaml touches the lines of the changed values and nothing else."""

from rectok.params import parse, preset_text
from rectok.params.editing import edited


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
