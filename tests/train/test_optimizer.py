import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from rectok.dit.dit_config import DiTConfig
from rectok.dit.model import DiTDH
from rectok.tokenizer.model import ViTTokenizer
from rectok.train.engine import build
from rectok.train.optimizer import ALIGNMENT, ClippingAdamW, MuonAdamW, block_matrices, on_one_gpu, optimizer_of
from rectok.train.world import World, join
from tests.errors import user_error
from tests.networks import drawn
from tests.project import tiny
from tests.tokenizer.test_model import config

PARAMS = tiny(tokenizer__training__weight_decay=0.1)
TRAINING = PARAMS.tokenizer.training
CPU = World(0, 1, torch.device("cpu"))


def decayed(module: torch.nn.Module) -> tuple[set[str], set[str]]:
    """Names of the parameters that decay, and of the others that are trained."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    groups = optimizer_of(module, TRAINING, CPU).param_groups
    assert {group["weight_decay"] for group in groups} == {0.1, 0.0}
    found = {
        decay: {names[id(p)] for group in groups if group["weight_decay"] == decay for p in group["params"]}
        for decay in (0.1, 0.0)
    }
    return found[0.1], found[0.0]


def test_matrices_decay_and_vectors_tokens_and_positions_do_not() -> None:
    model = ViTTokenizer(config())
    yes, no = decayed(model)
    assert yes | no == {name for name, _ in model.named_parameters()} and not yes & no
    assert all(name.endswith("weight") for name in yes)
    assert {"encoder.trunk.position", "decoder.mask_token"} <= no
    assert all(p.ndim > 1 for name, p in model.named_parameters() if name in yes)


def test_the_label_embedding_does_not_decay() -> None:
    yes, no = decayed(DiTDH(DiTConfig(grid=2, channels=3, classes=4, sizes=PARAMS.dit.sizes)))
    assert "label.weight" in no and "final.out.weight" in yes


def test_what_is_frozen_is_not_optimised() -> None:
    model = ViTTokenizer(config())
    model.encoder.requires_grad_(False)
    assert not any(name.startswith("encoder.") for names in decayed(model) for name in names)


@pytest.mark.slow  # starts DeepSpeed
def test_what_lies_behind_an_odd_parameter_stays_aligned_under_zero() -> None:
    model = torch.nn.Sequential(*(torch.nn.Linear(6, 6) for _ in range(3)))  # biases of 24 bytes
    world = join(PARAMS.machine)
    engine = build(model, optimizer_of(model, TRAINING, CPU), TRAINING, 1, world, zero_stage=1)
    assert [len(group["params"]) for group in optimizer_of(model, TRAINING, CPU).param_groups] == [3, 1, 1, 1]
    assert all(p.data_ptr() % ALIGNMENT == 0 for p in engine.module.parameters())


def test_the_learning_rate_scales_with_the_batch() -> None:
    module = torch.nn.Linear(2, 2)
    assert optimizer_of(module, TRAINING, CPU).param_groups[0]["lr"] == pytest.approx(TRAINING.lr_per_256 * 32 / 256)
    assert optimizer_of(module, TRAINING, CPU, 1e-2).param_groups[0]["lr"] == pytest.approx(1e-2 * 32 / 256)
    assert optimizer_of(module, TRAINING, CPU).param_groups[0]["betas"] == TRAINING.betas


def test_one_gpu_without_offloading_needs_no_zero() -> None:
    gpu = torch.device("cuda")
    assert on_one_gpu(TRAINING, World(0, 1, gpu))
    assert not on_one_gpu(TRAINING, World(0, 2, gpu))
    assert not on_one_gpu(TRAINING, CPU)
    assert not on_one_gpu(TRAINING.model_copy(update={"offload": "cpu"}), World(0, 1, gpu))


@pytest.mark.parametrize("size", [1e-3, 10.0])  # below and above the limit
def test_the_optimizer_of_one_gpu_clips_and_steps_as_two_passes_do(size: float) -> None:
    torch.manual_seed(0)
    ours = torch.nn.Linear(5, 4)
    theirs = copy.deepcopy(ours)
    settings = {"lr": 0.1, "betas": (0.9, 0.95), "weight_decay": 0.1}
    one = ClippingAdamW([{"params": list(ours.parameters())}], clip=1.0, **settings)
    two = torch.optim.AdamW(theirs.parameters(), **settings)  # type: ignore[arg-type]
    for _ in range(3):
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            a.grad = size * torch.randn_like(a)
            b.grad = a.grad.clone()
        one.step()
        norm = torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        assert one.norm is not None
        torch.testing.assert_close(one.norm, norm)
        two.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)


MUON = tiny(dit__training__muon={"lr_per_256": 0.02, "momentum": 0.9}, dit__training__zero_stage=0).dit.training


def dit() -> DiTDH:
    torch.manual_seed(0)
    return drawn(DiTDH(DiTConfig(grid=2, channels=3, classes=4, sizes=PARAMS.dit.sizes)))


def learn(module: DiTDH) -> torch.Tensor:
    """A loss of fixed inputs, the same at every call for the same weights."""
    x = torch.linspace(-1, 1, 24).reshape(2, 3, 2, 2)
    loss: torch.Tensor = (module(x, torch.tensor([0.2, 0.7]), torch.tensor([0, 3])) - 1).square().mean()
    return loss


def test_muon_trains_the_matrices_of_attention_and_mlp_alone() -> None:
    module = dit()
    optimizer = optimizer_of(module, MUON, CPU)
    assert isinstance(optimizer, MuonAdamW)
    names = {parameter: name for name, parameter in module.named_parameters()}
    *others, matrices = optimizer.param_groups
    assert {names[p].split(".")[2] for p in matrices["params"]} == {"attention", "mlp"}
    assert len(matrices["params"]) == 4 * 2  # qkv, out, gate and up, down of a block in encoder and head
    assert sorted(names.values()) == sorted(names[p] for group in optimizer.param_groups for p in group["params"])
    assert matrices["lr"] == pytest.approx(0.02 * 32 / 256)
    assert {group["lr"] for group in others} == {MUON.lr_per_256 * 32 / 256}
    assert type(optimizer_of(module, tiny().dit.training, CPU)) is torch.optim.AdamW


def test_a_step_of_muon_makes_the_gradient_orthogonal_and_that_of_the_rest_is_adamw() -> None:
    ours, theirs = dit(), dit()
    optimizer = optimizer_of(ours, MUON, CPU)
    adamw = torch.optim.AdamW(theirs.parameters(), lr=MUON.lr_per_256 * 32 / 256, betas=MUON.betas, weight_decay=0.0)
    before = [matrix.detach().clone() for matrix in block_matrices(ours)]
    for module, steps in ((ours, optimizer), (theirs, adamw)):
        learn(module).backward()
        for matrix in block_matrices(module):
            matrix.grad = torch.randn(matrix.shape, generator=torch.Generator().manual_seed(0))  # of full rank
        steps.step()
    for matrix, old in zip(block_matrices(ours), before, strict=True):
        step = (old - matrix.detach()) / (0.02 * 32 / 256 * 0.2 * max(matrix.shape) ** 0.5)
        assert matrix.grad is not None
        values = torch.linalg.svdvals(matrix.grad)
        values = values / values.norm()
        for _ in range(5):  # Newton-Schulz drives them to about 1
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        large = values[values > 0.5].sort(descending=True).values  # in bfloat16 the smallest are less exact
        assert len(large) >= len(values) - 2
        assert torch.allclose(torch.linalg.svdvals(step)[: len(large)], large, atol=0.05)
    apart = set(block_matrices(ours))
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other) == (mine not in apart)


@pytest.mark.slow  # starts DeepSpeed
def test_muon_resumes_exactly_and_follows_the_schedule(tmp_path: Path) -> None:
    def built() -> Any:
        module = dit()
        return build(module, optimizer_of(module, MUON, CPU), MUON, 9, join(PARAMS.machine), zero_stage=0)

    def steps(engine: Any, count: int) -> None:
        for _ in range(count):
            engine.backward(learn(engine.module))
            engine.step()

    whole, resumed = built(), built()
    steps(whole, 2)
    rates = [group["lr"] / group["initial_lr"] for group in whole.optimizer.param_groups]
    assert len(set(rates)) == 1 and rates[0] != 1 / (0.05 * 9)
    whole.save_checkpoint(str(tmp_path), tag="state")
    resumed.load_checkpoint(str(tmp_path), tag="state")
    steps(whole, 3)
    steps(resumed, 3)
    assert whole.optimizer.param_groups[-1]["lr"] == resumed.optimizer.param_groups[-1]["lr"]
    assert all(torch.equal(a, b) for a, b in zip(whole.module.parameters(), resumed.module.parameters(), strict=True))


def test_muon_beside_zero_is_refused() -> None:
    with user_error("muon.lr_per_256 0.02 needs whole matrices in each process, but zero_stage 1 splits them"):
        tiny(dit__training__muon={"lr_per_256": 0.02, "momentum": 0.9})
