"""Every mistake in params.yaml is one sentence that names the key by its dotted path."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rectok.errors import UserError
from rectok.params import Params, load, parse, preset_names, preset_text
from rectok.params.loading import field_names
from rectok.workloads.tokenizers import tokenizer_config
from tests.project import overridden

ROOT = Path(__file__).parents[2]
NAMES = field_names(Params)
LEAVES = sorted(name for name in NAMES if not any(n.startswith(name + ".") for n in NAMES))
MIGRATE = "; `rectok migrate-params` adds it"


def problem(text: str) -> str:
    with pytest.raises(UserError) as error:
        parse(text, "params.yaml")
    sentence = str(error.value)
    assert "\n" not in sentence
    return sentence


def changed(**values: Any) -> str:
    return problem(overridden({name.replace("__", "."): value for name, value in values.items()}))


def edited(edit: Callable[[dict[str, Any]], object]) -> str:
    tree = json.loads(overridden({}))
    edit(tree)
    return problem(json.dumps(tree))


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_complete(name: str) -> None:
    assert parse(preset_text(name), name).preset == name


def test_the_default_parameters_are_the_digits() -> None:
    assert (ROOT / "params.yaml").read_text() == preset_text("digits")


def test_an_unknown_preset_has_a_nearest_name() -> None:
    with pytest.raises(UserError, match=r"there is no preset 'digit'; the nearest valid name is digits"):
        preset_text("digit")


def test_an_unknown_parameter_has_a_nearest_name() -> None:
    found = edited(lambda tree: tree["tokenizer"]["training"].update(lr_per_265=1))
    assert found == (
        "params.yaml: unknown parameter tokenizer.training.lr_per_265; "
        "the nearest valid name is tokenizer.training.lr_per_256"
    )


def test_a_misspelt_parameter_is_shown_rather_than_the_missing_one() -> None:
    def misspell(tree: dict[str, Any]) -> None:
        tree["dit"]["training"]["clipp"] = tree["dit"]["training"].pop("clip")

    expected = "params.yaml: unknown parameter dit.training.clipp; the nearest valid name is dit.training.clip"
    assert edited(misspell) == expected


def test_a_misspelt_section_is_shown() -> None:
    def misspell(tree: dict[str, Any]) -> None:
        tree["tokeniser"] = tree.pop("tokenizer")

    assert edited(misspell) == "params.yaml: unknown parameter tokeniser; the nearest valid name is tokenizer"


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(LEAVES))
def test_nothing_has_a_default(name: str) -> None:
    tree = json.loads(overridden({}))
    *sections, key = name.split(".")
    place = tree
    for section in sections:
        place = place[section]
    del place[key]
    assert problem(json.dumps(tree)).removesuffix(MIGRATE) == f"params.yaml: parameter {name} is missing"


def test_a_parameter_that_earlier_versions_had_not_says_how_it_is_added() -> None:
    assert (
        edited(lambda tree: tree["tokenizer"].pop("kind"))
        == f"params.yaml: parameter tokenizer.kind is missing{MIGRATE}"
    )
    assert not edited(lambda tree: tree.pop("seed")).endswith(MIGRATE)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(LEAVES), st.sampled_from([None, {"a": 1}, [[]]]))
def test_a_value_of_no_use_names_its_parameter(name: str, value: Any) -> None:
    if name.endswith(".options") and value == {"a": 1}:
        return  # the one parameter that is a mapping
    found = problem(overridden({name: value}))
    assert found.startswith(f"params.yaml: parameter {name}")
    assert "must be" in found or "too few" in found


@pytest.mark.parametrize(
    "name,value,said",
    [
        ("seed", "zero", 'parameter seed is "zero", but must be a whole number'),
        ("seed", 1.5, "parameter seed is 1.5, but must be a whole number"),
        ("seed", -1, "parameter seed is -1, but must be greater than or equal to 0"),
        ("seed", True, "parameter seed is true, but must be a whole number"),
        ("seed", None, "parameter seed is null, but must be a whole number"),
        ("image.flip", 1, "parameter image.flip is 1, but must be true or false"),
        ("image.flip", "no", 'parameter image.flip is "no", but must be true or false'),
        ("image", 3, "parameter image is 3, but must be a section"),
        ("image", None, "parameter image is null, but must be a section"),
        ("index.source", 3, "parameter index.source is 3, but must be text"),
        ("dit.training.betas", 0.9, "parameter dit.training.betas is 0.9, but must be a list"),
        ("dit.training.betas", [0.9], "parameter dit.training.betas is [0.9], which has too few values"),
        (
            "dit.training.betas",
            [0.9, 0.9, 0.9],
            "parameter dit.training.betas is [0.9, 0.9, 0.9], which has too many values",
        ),
        ("dit.training.betas", [0.9, "x"], 'parameter dit.training.betas.1 is "x", but must be a finite number'),
        ("dit.training.betas", [0.9, 1.0], "dit.training.betas [0.9, 1.0] must lie in [0, 1)"),
        ("dit.training.zero_stage", 5, "parameter dit.training.zero_stage is 5, but must be 0, 1, 2 or 3"),
        (
            "dit.training.precision",
            "fp16",
            "parameter dit.training.precision is \"fp16\", but must be 'float32' or 'bfloat16'",
        ),
        ("dit.training.clip", float("nan"), 'parameter dit.training.clip is "NaN", but must be a finite number'),
        ("dit.training.clip", float("inf"), 'parameter dit.training.clip is "Infinity", but must be a finite number'),
        *(
            (
                "index.labels",
                value,
                f"index.labels is '{value}', but must be auto, folders, none, column:NAME, or a .csv, .json or .jsonl "
                "file",
            )
            for value in ("", "column:", "names.txt")
        ),
        ("index.shards", [], "index.shards must be numbered 00000 without gaps"),
        (
            "index.shards",
            2,
            "parameter index.shards is 2, but must be a list of names; `rectok shards-count 2` writes it",
        ),
        ("index.shards", ["0", "1"], "index.shards must be numbered 00000, 00001 without gaps"),
        ("index.split", {"val": 0.5, "test": 0.5}, "index.split.val 0.5 + test 0.5 leaves nothing to train on"),
        ("tokenizer.masking", {"low": 0.5, "high": 0.2}, "tokenizer.masking.low 0.5 is above high 0.2"),
        ("teacher.network.std", [0.0, 1, 1], "teacher.network.std [0.0, 1.0, 1.0] must be above 0"),
        ("probe.times", [0.5, 1.0], "probe.times [0.5, 1.0] must lie in [0, 1)"),
        ("probe.times", [], "probe.times [] must lie in [0, 1)"),
        ("gates.probe.at", 0.3, "gates.probe.at 0.3 must be one of probe.times [0.0, 0.5]"),
    ],
)
def test_a_wrong_value_is_told_with_what_would_be_right(name: str, value: Any, said: str) -> None:
    assert problem(overridden({name: value})) == f"params.yaml: {said}"


def test_an_option_that_fits_no_kind_names_its_own_key_only() -> None:
    found = changed(teacher__network__options={"channels": [8, "b"]})
    assert found.startswith(
        'params.yaml: parameter teacher.network.options.channels is [8, "b"], but must be a whole number'
    )


def test_a_long_value_is_cut_short() -> None:
    assert len(changed(seed="9" * 1000)) < 150


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40))
def test_patches_must_tile_the_image(size: int, patch: int) -> None:
    text = overridden({"image.size": size, "tokenizer.sizes.patch": patch, "decoder.losses.adversary.weight": 0.0})
    if size % patch == 0:
        assert tokenizer_config(parse(text, "params.yaml"), teacher_width=4).grid == size // patch
    else:
        expected = f"params.yaml: image.size {size} is not a multiple of tokenizer.sizes.patch {patch}"
        assert problem(text) == expected


@pytest.mark.parametrize(
    "section",
    [
        "tokenizer.sizes.encoder",
        "tokenizer.sizes.decoder",
        "tokenizer.sizes.semantic.transformer",
        "dit.sizes.encoder",
        "dit.sizes.head",
        "autoguidance.sizes.head",
    ],
)
@pytest.mark.parametrize(
    "width,heads,fits", [(16, 4, True), (24, 2, True), (18, 2, False), (16, 3, False), (2, 1, False)]
)
def test_head_widths_must_fit_the_rotary_embedding(section: str, width: int, heads: int, fits: bool) -> None:
    text = overridden({section: {"width": width, "depth": 1, "heads": heads}})
    if fits:
        parse(text, "params.yaml")
        return
    found = problem(text)
    assert found.startswith(f"params.yaml: {section}.width {width} with {heads} heads does not fit")
    assert found.endswith(f"width must be a multiple of {4 * heads}")


@pytest.mark.parametrize("name", ["width", "depth", "heads"])
def test_sizes_are_above_zero(name: str) -> None:
    block = {"width": 16, "depth": 1, "heads": 2, name: 0}
    expected = f"params.yaml: parameter dit.sizes.head.{name} is 0, but must be greater than 0"
    assert changed(dit__sizes__head=block) == expected


@pytest.mark.parametrize("channels,said", [(0, "must be greater than 0"), (-4, "must be greater than 0")])
def test_latents_have_channels(channels: int, said: str) -> None:
    assert changed(tokenizer__sizes__channels=channels).endswith(f"tokenizer.sizes.channels is {channels}, but {said}")


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 64), st.integers(1, 64))
def test_a_batch_is_whole_micro_batches(batch: int, micro: int) -> None:
    text = overridden({"dit.training.batch": batch, "dit.training.micro_batch": micro})
    if batch % micro == 0:
        parse(text, "params.yaml")
    else:
        assert problem(text) == f"params.yaml: dit.training.batch {batch} is not a multiple of micro_batch {micro}"


@pytest.mark.parametrize("stage", ["tokenizer", "dit", "autoguidance"])
def test_without_training_there_must_be_weights(stage: str) -> None:
    found = problem(overridden({f"{stage}.training.epochs": 0}))
    assert found == (
        f"params.yaml: {stage}.training.epochs 0 trains nothing, so initial.path must name the weights to take instead"
    )
    given = {"path": "weights.safetensors", "sha256": "0" * 64}
    parse(overridden({f"{stage}.training.epochs": 0, f"{stage}.initial": given}), "params.yaml")


def test_without_finetuning_the_tokenizers_decoder_is_kept() -> None:
    assert parse(overridden({"decoder.training.epochs": 0}), "params.yaml").decoder.training.epochs == 0


def without_image_losses(stage: str) -> dict[str, Any]:
    weights = {f"{stage}.losses.{name}": 0.0 for name in ("pixel", "perceptual.weight", "adversary.weight")}
    return {"decoder.losses.adversary.weight": 0.0, **weights}


@pytest.mark.parametrize("kind", ["rectok", "vae", "rae"])
def test_a_tokenizer_learns_something(kind: str) -> None:
    changes = {"tokenizer.kind": kind, "tokenizer.losses.semantic.weight": 0.0, **without_image_losses("tokenizer")}
    assert problem(overridden(changes)) == (
        "params.yaml: tokenizer.losses.pixel, losses.perceptual.weight and losses.adversary.weight are all 0, "
        f"so a tokenizer of kind {kind} would learn nothing; raise one of them"
    )
    for name in ("pixel", "perceptual.weight", "adversary.weight"):
        parse(overridden({**changes, f"tokenizer.losses.{name}": 0.1, "tokenizer.losses.adversary.layers": 1}), "x")
    given = {"tokenizer.training.epochs": 0, "tokenizer.initial": {"path": "file", "sha256": "0" * 64}}
    parse(overridden({**changes, **given}), "params.yaml")


def test_semantics_alone_are_something_to_learn() -> None:
    changes = {"tokenizer.losses.semantic.weight": 1.0, **without_image_losses("tokenizer")}
    parse(overridden({**changes, "tokenizer.kind": "rectok"}), "params.yaml")
    assert "would learn nothing" in problem(overridden({**changes, "tokenizer.kind": "vae"}))  # it has no teacher


def test_a_finetuned_decoder_learns_something() -> None:
    changes = without_image_losses("decoder")
    assert problem(overridden(changes)) == (
        "params.yaml: decoder.losses.pixel, losses.perceptual.weight and losses.adversary.weight are all 0, "
        "so it would learn nothing; raise one of them, or set training.epochs to 0"
    )
    parse(overridden({**changes, "decoder.training.epochs": 0}), "params.yaml")


@pytest.mark.parametrize("stage", ["tokenizer", "decoder"])
def test_an_adversary_needs_images_that_its_layers_can_halve(stage: str) -> None:
    adversary = {"weight": 0.1, "start": 0.0, "filters": 4, "layers": 3, "lr_per_256": 1e-4}
    name = f"{stage}.losses.adversary"
    found = problem(overridden({name: adversary}))
    assert found == f"params.yaml: {name}.layers 3 need images of at least 24 pixels, but image.size is 16"
    parse(overridden({name: {**adversary, "layers": 2}}), "params.yaml")
    parse(overridden({name: {**adversary, "weight": 0.0}}), "params.yaml")


def test_the_metric_network_is_not_the_teacher() -> None:
    teacher = json.loads(overridden({}))["teacher"]["network"]
    assert changed(metric_network__network=teacher).startswith(
        "params.yaml: metric_network.network must differ from teacher.network"
    )


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "0.0001", "1.0e-4", "+1e-4"])
def test_numbers_are_those_of_yaml_1_2(text: str) -> None:
    found = parse(preset_text("digits").replace("kl: 1e-6", f"kl: {text}"), "params.yaml")
    assert found.tokenizer.losses.kl == 1e-4


def test_yes_and_no_are_text_in_yaml_1_2() -> None:
    text = preset_text("digits").replace("flip: false", "flip: no")
    assert problem(text) == 'params.yaml: parameter image.flip is "no", but must be true or false'


@pytest.mark.parametrize("text,shown", [("", "null"), ("- 1", "[1]"), ("7", "7"), ("only text", '"only text"')])
def test_a_file_without_sections_is_refused(text: str, shown: str) -> None:
    assert problem(text) == f"params.yaml must hold a mapping of sections such as `seed: 0`, not {shown}"


@pytest.mark.parametrize(
    "text,said",
    [
        ("seed: 0\nimage: [1", "in line 2"),
        ("seed: 0\nseed: 1", 'in line 2: found duplicate key "seed"'),
        ("seed: 0\n\timage: 1", "in line 2"),
        ("seed: !!python/object:os.system {}", "in line 1: could not determine a constructor"),
        ("seed: \x00", "unacceptable character"),
    ],
)
def test_what_is_no_yaml_names_its_line(text: str, said: str) -> None:
    found = problem(text)
    assert found.startswith("params.yaml is not valid YAML") and said in found


@pytest.mark.parametrize("text", ["seed: 2026-01-01", "? [1]\n: 2", "seed: &a [*a]", "&a [*a]"])
def test_what_is_more_than_yaml_needs_is_refused(text: str) -> None:
    assert problem(text).startswith("params.yaml may hold sections, lists, text, numbers, true and false only")


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"params\.yaml does not exist; write it with `rectok init digits`"):
        load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_bytes(b"seed: \xff\xfe")
    with pytest.raises(UserError, match=r"params\.yaml cannot be read as UTF-8 text"):
        load(tmp_path / "params.yaml")
    with pytest.raises(UserError, match=r"cannot be read as UTF-8 text: .*directory"):
        load(tmp_path)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_any_text_gives_one_sentence(text: str) -> None:
    assert problem(text).startswith("params.yaml")


def test_parameters_do_not_change() -> None:
    params = parse(preset_text("digits"), "params.yaml")
    with pytest.raises(ValueError, match="frozen"):
        params.seed = 1  # type: ignore[misc]
