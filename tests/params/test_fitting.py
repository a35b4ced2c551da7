"""Parameters for a collection are complete, and their trainings have enough steps however few images there are."""

from typing import Any

import pytest

from rectok.artifacts import TRAININGS
from rectok.data.collection import Collection, ImageLook
from rectok.errors import UserError
from rectok.params import Params, parse, preset_text
from rectok.params.editing import edited
from rectok.params.fitting import BYTES_PER_IMAGE, STEPS, Hardware, fitted
from rectok.planning.stage_work import Steps
from rectok.workloads.costs import Costs

CPU = Hardware()
H100 = Hardware(1, 80 * 10**9)


def collection(classes: dict[str, int], looks: list[ImageLook] | None = None) -> Collection:
    summary = {"found": 0, "images": sum(classes.values()), "duplicates": 0, "contradictory": 0}
    return Collection(classes, summary, {}, tuple(looks or [ImageLook("JPEG", "RGB", 300)]))


def params(images: Collection, labels: str = "auto", size: int = 64, hardware: Hardware = CPU) -> Params:
    return parse(edited(preset_text("photos"), fitted(images, "photos", labels, size, hardware)), "params.yaml")


def steps(settings: Params, stage: str, train: int) -> float:
    training: Any = getattr(settings, stage).training
    return training.epochs * train / training.batch


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("images", [30, 1000, 10**6])
def test_every_training_has_the_same_steps_for_few_images_as_for_many(images: int, gpu: bool) -> None:
    settings = params(collection({"cat": images // 2, "dog": images // 2}), hardware=H100 if gpu else CPU)
    train = 0.8 * images
    for stage, counts in STEPS.items():
        assert steps(settings, stage, train) >= counts[gpu]
        if settings.model_dump()[stage]["training"]["epochs"] > 1:
            epoch = train / getattr(settings, stage).training.batch
            assert steps(settings, stage, train) < counts[gpu] + max(1, epoch)


@pytest.mark.parametrize(
    ("size", "gpu", "tokens"), [(32, False, 64), (256, False, 64), (64, True, 256), (512, True, 256)]
)
def test_a_token_of_the_teacher_meets_each_of_the_tokenizer(size: int, gpu: bool, tokens: int) -> None:
    settings = params(collection({"cat": 50, "dog": 50}), size=size, hardware=H100 if gpu else CPU)
    assert (size / settings.tokenizer.sizes.patch) ** 2 == tokens
    stride = settings.teacher.network.options["output_stride"]
    assert isinstance(stride, int) and (settings.teacher.network.image_size / stride) ** 2 == tokens


def test_a_gpu_trains_larger_networks() -> None:
    large, small = (params(collection({"cat": 50, "dog": 50}), hardware=each) for each in (H100, CPU))
    assert large.dit.sizes.encoder.width == 192 > small.dit.sizes.encoder.width
    assert (large.dit.training.precision, small.dit.training.precision) == ("bfloat16", "float32")


@pytest.mark.parametrize(
    "gpus,gigabytes,processes,micro_batch",
    [(1, 80, 1, 512), (1, 24, 1, 256), (1, 8, 1, 64), (3, 8, 2, 128), (8, 1, 8, 64)],
)
def test_micro_batches_fit_into_the_gpus_and_processes_divide_them(
    gpus: int, gigabytes: int, processes: int, micro_batch: int
) -> None:
    settings = params(collection({"cat": 50, "dog": 50}), hardware=Hardware(gpus, gigabytes * 10**9))
    assert settings.machine.processes == processes
    assert {getattr(settings, stage).training.micro_batch for stage in TRAININGS} == {micro_batch}
    assert micro_batch / processes * BYTES_PER_IMAGE <= gigabytes * 10**9


def test_no_training_keeps_more_of_an_image_than_the_micro_batches_allow_for() -> None:
    settings = params(collection({"cat": 50, "dog": 50}), size=512, hardware=Hardware(1, 8 * 10**9))
    steps = Steps(settings, Costs(settings, 2), 1)  # the tokenizer of the largest images keeps most
    kept = steps.cost("tokenizer").saved / steps.samples("tokenizer")
    assert 0.9 * BYTES_PER_IMAGE < kept <= BYTES_PER_IMAGE


def test_thresholds_are_within_reach() -> None:
    bad = [ImageLook(unusable="mode CMYK")] * 3 + [ImageLook("PNG", "L", 40)] * 17 + [ImageLook("PNG", "RGB", 40)] * 80
    gates = params(collection({"cat": 90, "dog": 7, "empty": 0}, bad)).gates
    assert (gates.index.min_per_class, gates.index.max_imbalance) == (7, 13.0)
    assert gates.shards.max_quarantined == 0.06
    assert gates.teacher.min_accuracy == gates.metric_network.min_accuracy == 0.55
    assert params(collection({str(label): 50 for label in range(100)})).gates.teacher.min_accuracy == 0.02


def test_modes_are_those_of_usable_images() -> None:
    looks = (
        [ImageLook("PNG", "L", 40)] * 2
        + [ImageLook("JPEG", "RGB", 40)] * 5
        + [ImageLook("TIFF", "I", unusable="mode I")]
    )
    assert params(collection({"cat": 4, "dog": 4}, looks)).image.modes == ("RGB", "L")


def test_large_collections_have_several_shards() -> None:
    assert len(params(collection({"cat": 12_000, "dog": 13_000})).index.shards) == 3
    assert len(params(collection({"cat": 120, "dog": 130})).index.shards) == 1


def test_unlabelled_images_have_pretrained_networks() -> None:
    settings = params(collection({"unlabelled": 300}), labels="none")
    assert settings.index.unlabelled
    assert (settings.teacher.network.weights, settings.metric_network.network.weights) == ("timm", "torch-fidelity")
    assert (settings.teacher.network.image_size / 16) ** 2 == 64


def test_a_side_that_tokens_do_not_divide_is_refused() -> None:
    with pytest.raises(UserError, match=r"^--size is 60, but must be a multiple of 8 from 32 to 512$"):
        fitted(collection({"cat": 9, "dog": 9}), "photos", "auto", 60, CPU)
    with pytest.raises(UserError, match="multiple of 16"):
        fitted(collection({"cat": 9, "dog": 9}), "photos", "auto", 40, H100)


def test_a_collection_of_unusable_images_is_refused() -> None:
    with pytest.raises(UserError, match=r"^none of the images of photos can be read \(truncated or damaged\)$"):
        fitted(
            collection({"cat": 1, "dog": 1}, [ImageLook(unusable="truncated or damaged")]),
            "photos",
            "auto",
            64,
            Hardware(),
        )
