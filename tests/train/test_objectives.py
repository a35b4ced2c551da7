"""What each network minimises, and where its gradient goes."""

from functools import partial
from typing import Any

import pytest
import torch

from rectok.data.dataset import ImageBatch, LatentBatch
from rectok.dit.dit_config import DiTConfig
from rectok.dit.model import DiTDH
from rectok.losses.loss_config import AdversaryConfig
from rectok.nn.blocks import Block, compile_blocks
from rectok.params import Params
from rectok.teacher.network import VisionNetwork
from rectok.tokenizer.model import ViTTokenizer
from rectok.train.adversary import Adversary
from rectok.train.objectives import DecoderObjective, DiTObjective, FrozenNetworks, TokenizerObjective
from rectok.train.step_random import StepRandom
from rectok.workloads.objectives import Teaching
from rectok.workloads.tokenizers import tokenizer_config
from tests.project import tiny
from tests.teacher.networks import DINOV3

CPU = torch.device("cpu")
WIDTH = 5
IMAGES = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
BATCH = ImageBatch(IMAGES, torch.arange(4), torch.randn(4, 16, WIDTH, generator=torch.Generator().manual_seed(1)))
NOTHING = FrozenNetworks(None, None, None)
ADVERSARY = AdversaryConfig(weight=0.5, start=0.5, filters=4, layers=1, lr_per_256=1e-4)


def params(**changes: Any) -> Params:
    return tiny(**{f"tokenizer__{name}": value for name, value in changes.items()})


def tokenizer(of: Params) -> ViTTokenizer:
    torch.manual_seed(0)
    return ViTTokenizer(tokenizer_config(of, WIDTH))


def objective(frozen: FrozenNetworks = NOTHING, **changes: Any) -> TokenizerObjective:
    of = params(**changes)
    section = of.tokenizer
    return TokenizerObjective(tokenizer(of), section.losses, section.flow, section.masking, frozen)


def outcome(of: torch.nn.Module, share: float = 0.0, step: int = 0) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    total, parts, _ = of(BATCH, StepRandom.of((0, step, 0), 4, 0, 1, CPU), share)
    return total, parts


def test_the_total_is_the_weighted_sum_of_its_parts() -> None:
    total, parts = outcome(objective(losses__kl=0.01, losses__pixel=2.0))
    assert parts.keys() == {"pixel", "kl", "semantic"}
    assert total.item() == pytest.approx((2 * parts["pixel"] + 0.01 * parts["kl"] + parts["semantic"]).item())


def test_the_same_draws_give_the_same_loss() -> None:
    assert outcome(objective())[0] == outcome(objective())[0]
    assert outcome(objective())[0] != outcome(objective(), step=1)[0]


def test_features_teach_the_same_as_they_are_stored_and_as_floats() -> None:
    draw = torch.Generator().manual_seed(2)
    steps = torch.randint(-127, 128, (4, 16, WIDTH), dtype=torch.int8, generator=draw)
    scale = torch.rand(4, 16, 1, generator=draw)
    stored = ImageBatch(IMAGES, torch.arange(4), steps, scale)
    floats = ImageBatch(IMAGES, torch.arange(4), steps.float() * scale)
    of = objective(losses__semantic__loss="l2")  # the cosine sees no scale
    losses = [of(batch, StepRandom.of((0, 0, 0), 4, 0, 1, CPU), 0.0)[1]["semantic"] for batch in (stored, floats)]
    assert losses[0] == losses[1]


def test_without_semantic_weight_nothing_semantic_is_trained() -> None:
    of = objective(losses__semantic__weight=0.0)
    total, parts = outcome(of)
    assert "semantic" not in parts
    total.backward()
    assert not any(p.requires_grad for p in of.tokenizer.semantic.parameters())
    assert all(p.grad is not None for p in of.tokenizer.encoder.parameters() if p.requires_grad and p.ndim > 1)


def test_clean_input_makes_the_semantic_loss_blind_to_the_noise() -> None:
    still = {"masking": {"low": 0.0, "high": 0.0}}
    for name, differs in (("clean", False), ("noised", True)):
        of = {"losses__semantic__input": name, **still}
        weak, strong = (outcome(objective(flow__noise_scale=scale, **of))[1] for scale in (0.1, 5.0))
        assert bool(weak["semantic"] != strong["semantic"]) == differs
        assert weak["pixel"] != strong["pixel"]


def test_targets_split_the_tokens() -> None:
    found = {}
    for name in ("all", "visible", "masked"):
        half = {"losses__semantic__target": name, "losses__semantic__loss": "l2", "masking": {"low": 0.5, "high": 0.5}}
        found[name] = outcome(objective(**half))[1]["semantic"].item()
    assert found["all"] == pytest.approx((found["visible"] + found["masked"]) / 2, rel=1e-5)
    assert found["visible"] != found["masked"]


def test_an_online_teacher_sees_images_between_zero_and_one() -> None:
    seen = []

    def teach(images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return BATCH.features if BATCH.features is not None else images

    stored, online = outcome(objective())[1], outcome(objective(FrozenNetworks(None, teach, None)))[1]
    assert stored["semantic"] == online["semantic"]
    assert torch.allclose(seen[0], IMAGES / 255, atol=1e-6)


def test_the_adversary_starts_at_its_share_and_gets_no_gradient_from_the_generator() -> None:
    adversary = Adversary(ADVERSARY)
    of = objective(FrozenNetworks(None, None, adversary), losses__adversary=ADVERSARY.model_dump())
    assert "adversarial" not in outcome(of, share=0.49)[1]
    total, parts = outcome(of, share=0.5)
    assert "adversarial" in parts
    total.backward()
    assert all(p.grad is None and p.requires_grad for p in adversary.network.parameters())
    assert of.tokenizer.decoder.trunk.position.grad is not None
    assert adversary.learn(IMAGES, torch.zeros(4, 3, 16, 16), 0.49) == {}


def test_finetuning_changes_the_pixel_decoder_alone() -> None:
    of = params()
    model = tokenizer(of)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    decoder = DecoderObjective(model, of.decoder.losses, NOTHING)
    total, parts = outcome(decoder)
    assert parts.keys() == {"pixel"}
    total.backward()
    torch.optim.SGD([p for p in decoder.parameters() if p.requires_grad], lr=10.0).step()
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed and all(name.startswith("decoder.") for name in changed)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert "decoder.mask_token" not in trained and changed <= trained


def dit(dropout: float) -> DiTObjective:
    torch.manual_seed(0)
    model = DiTDH(DiTConfig(grid=4, channels=3, classes=4, sizes=params().dit.sizes))
    return DiTObjective(model, lambda z: (z - 1) / 2, dropout)


def latents() -> LatentBatch:
    moments = torch.zeros(64, 16, 6)
    moments[..., :3], moments[..., 3:] = 1.0, -30.0  # every latent is 1, so 0 once normalised
    return LatentBatch(moments, torch.zeros(64, dtype=torch.int64))


def test_an_untrained_generator_predicts_nothing_and_pays_the_velocity() -> None:
    """Its output layer is zero, and data is 0 after normalisation: the loss is E‖0 − noise‖² = 1."""
    total, parts, images = dit(0.0)(latents(), StepRandom.of((0, 0, 0), 64, 0, 1, CPU), 0.0)
    assert total.item() == pytest.approx(1.0, abs=0.08)
    assert parts == {} and images is None


def test_moments_in_half_precision_are_sampled_in_float32() -> None:
    """A log-variance of −3.125 is exact in float16, its std e^−1.5625 is not."""
    exact = latents()
    exact.moments[..., 3:] = -3.125
    half = LatentBatch(exact.moments.half(), exact.label)
    losses = [dit(0.0)(batch, StepRandom.of((0, 0, 0), 64, 0, 1, CPU), 0.0)[0] for batch in (exact, half)]
    assert losses[0] == losses[1] and losses[1].dtype == torch.float32


@pytest.mark.parametrize("dropout,no_label", [(0.0, False), (0.999, True)])
def test_dropped_labels_train_the_unconditional_row(dropout: float, no_label: bool) -> None:
    of = dit(dropout)
    for layer in (of.dit.final.out, *(block.modulation for block in of.dit.encoder), of.dit.final.modulation):
        torch.nn.init.normal_(layer.weight, std=0.1)
    of(latents(), StepRandom.of((0, 0, 0), 64, 0, 1, CPU), 0.0)[0].backward()
    gradient = of.dit.label.weight.grad
    assert gradient is not None
    assert bool(gradient[of.dit.no_label].any()) == no_label
    assert not gradient[1:4].any()


@pytest.mark.slow  # imports the compiler
@pytest.mark.filterwarnings("default")  # the compiler's own
def test_all_networks_of_a_step_are_compiled() -> None:
    teacher, adversary = VisionNetwork(DINOV3, None).frozen(), Adversary(ADVERSARY)
    learning = objective(FrozenNetworks(None, Teaching(teacher, 4), adversary))
    images = torch.rand(1, 3, 64, 64)
    before = teacher.tokens(images, 4)
    learning.compile_parts()
    blocks = [part for part in learning.modules() if isinstance(part, Block)]
    assert blocks and all("forward" in vars(part) for part in blocks)
    assert all(part._compiled_call_impl is not None for part in (*teacher.trunk.blocks, adversary.network))
    with torch.compiler.set_stance("force_eager"):
        torch.testing.assert_close(teacher.tokens(images, 4), before)


@pytest.mark.slow  # imports the compiler
@pytest.mark.filterwarnings("default")  # the compiler's own
def test_masked_images_of_any_number_of_tokens_share_their_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.testing import CompileCounter

    counter = CompileCounter()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counter))
    block = Block(8, 2)
    plain = block.forward
    compile_blocks(block)
    for tokens in (5, 9, 16):
        x, tables = torch.randn(2, tokens, 8), (torch.randn(2, 1, tokens, 4), torch.randn(2, 1, tokens, 4))
        torch.testing.assert_close(block(x, tables), plain(x, tables))
    assert counter.frame_count == 1


def test_the_validation_loss_depends_on_weights_and_time_alone() -> None:
    objective = dit(dropout=1.0)
    before = torch.random.get_rng_state()

    def loss(time: float) -> float:
        draws = StepRandom.of((0,), len(latents().label), 0, 1, CPU)
        return objective.loss_at(latents(), draws, time).item()

    first, other = loss(0.5), loss(0.9)
    assert first == loss(0.5) > 0
    assert torch.equal(before, torch.random.get_rng_state())
    assert other > 0
