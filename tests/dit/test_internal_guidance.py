"""What DiT^DH predicts, and its head on an inner block (arXiv 2512.24176)."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from rectok import flow
from rectok.data.dataset import LatentBatch
from rectok.dit.dit_config import DiTConfig, DiTSizes
from rectok.dit.model import DiTDH, load_dit
from rectok.errors import UserError
from rectok.nn.transformer_config import TransformerConfig
from rectok.sampling.generator import Generator, LatentStatistics
from rectok.sampling.sampler_config import GuidanceConfig, SamplerConfig
from rectok.train.objectives import Alignment, DiTObjective
from rectok.train.step_random import StepRandom
from tests.errors import user_error
from tests.networks import drawn, keep
from tests.project import parameters

CPU = torch.device("cpu")
EULER = SamplerConfig(method="euler", points=5, encoder_every=1, fp8=False)
BATCH = LatentBatch(torch.randn(64, 16, 12, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 3)


def network(prediction: str = "v", internal: int = 0) -> DiTDH:
    """With random weights and an encoder of three blocks."""
    sizes = DiTSizes(
        encoder=TransformerConfig(width=24, depth=3, heads=2), head=TransformerConfig(width=32, depth=1, heads=2)
    )
    torch.manual_seed(0)
    config = DiTConfig.model_validate(
        {"grid": 4, "channels": 6, "classes": 3, "sizes": sizes, "prediction": prediction, "internal": internal}
    )
    return drawn(DiTDH(config))


def objective(dit: DiTDH, weight: float = 0.0) -> DiTObjective:
    return DiTObjective(dit, lambda z: z, 0.1, weight)


def loss(of: DiTObjective) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    total, parts, _ = of(BATCH, StepRandom.of((0, 0, 0), 64, 0, 1, CPU), 0.0)
    return total, parts


def inputs() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(8, 6, 4, 4, generator=draw), torch.rand(8, generator=draw), torch.arange(8) % 3


def test_predicting_data_and_velocity_are_one_loss_for_one_prediction() -> None:
    """x̂ = x_τ + (1 − τ)·v̂ turns one into the other; the error of the data over (1 − τ)² is that of the velocity."""
    data, noise = (torch.randn(9, 6, 4, 4, generator=torch.Generator().manual_seed(seed)) for seed in (2, 3))
    time = torch.linspace(0, 1 - flow.NEAREST, 9)
    x, velocity = flow.generator_pair(data, noise, time)
    left = (1 - time)[:, None, None, None]
    assert torch.allclose(flow.velocity_to(data, x, time), velocity, atol=1e-5)
    predicted = torch.randn_like(data)
    from_data = flow.velocity_to(x + left * predicted, x, time)
    assert torch.allclose(from_data, predicted, atol=1e-5)
    weighted = ((x + left * predicted - data).square() / left.square()).mean()
    assert F.mse_loss(from_data, velocity).item() == pytest.approx(weighted.item(), rel=1e-5)


def test_towards_data_the_quotient_is_bounded() -> None:
    data, x = torch.ones(2, 1, 1, 1), torch.zeros(2, 1, 1, 1)
    assert flow.velocity_to(data, x, torch.tensor([0.96, 1.0])).flatten().tolist() == pytest.approx([20, 20])


def test_a_network_that_predicts_data_minimises_the_weighted_error_of_the_data() -> None:
    dit = network("x")
    of = objective(dit)
    draws = StepRandom.of((0, 0, 0), 64, 0, 1, CPU)
    data, noise = of._drawn(BATCH, draws)
    time = 1 - flow.shift(draws.uniform(), of.shift) if of.shift > 1 else draws.uniform()
    labels = torch.where(draws.uniform() < 0.1, 3, BATCH.label)
    x = flow.generator_pair(data, noise, time)[0]
    predicted = dit.decode(x, dit.encode(x, time, labels))
    left = (1 - time).clamp(min=0.05)[:, None, None, None]
    assert loss(of)[0].item() == pytest.approx(((predicted - data) / left).square().mean().item(), rel=1e-5)


def test_the_inner_head_reads_its_block_and_changes_nothing_behind_it() -> None:
    args, plain, guided = inputs(), network(), network(internal=2)
    guided.load_state_dict(plain.state_dict(), strict=False)
    velocity, inner = guided.both(*args)
    assert torch.equal(velocity, plain(*args)) and torch.equal(guided(*args), velocity)
    with torch.no_grad():
        guided.encoder[2].mlp.down.weight.mul_(2)  # type: ignore[union-attr,operator]
    after = guided.both(*args)
    assert torch.equal(after[1], inner) and not torch.equal(after[0], velocity)
    with torch.no_grad():
        guided.encoder[1].mlp.down.weight.mul_(2)  # type: ignore[union-attr,operator]
    assert not torch.equal(guided.both(*args)[1], inner)


@pytest.mark.parametrize("prediction", ["v", "x"])
def test_the_inner_head_learns_the_same_target_with_its_weight(prediction: str) -> None:
    dit = network(prediction, internal=1)
    total, parts = loss(objective(dit, 0.25))
    assert total.item() == pytest.approx((parts["velocity"] + 0.25 * parts["internal"]).item())
    assert parts["velocity"].item() == pytest.approx(loss(objective(dit))[1]["velocity"].item())
    parts["internal"].backward()
    touched = {name.split(".")[0] for name, p in dit.named_parameters() if p.grad is not None}
    assert touched == {"internal", "encoder", "encoder_patch", "time", "label"}
    assert all(p.grad is None for p in dit.encoder[1].parameters())


def test_a_head_of_zeros_begins_as_the_last_layer_does() -> None:
    sizes = network(internal=1).config
    dit = DiTDH(sizes)
    assert all(not velocity.any() for velocity in dit.both(*inputs()))


def test_guidance_extrapolates_from_the_inner_prediction_inside_its_interval() -> None:
    dit = network(internal=1)
    nothing = torch.zeros(6, dtype=torch.float64)
    generator = Generator(dit, None, None, LatentStatistics(nothing, nothing + 1), CPU)  # type: ignore[arg-type]
    guidance = GuidanceConfig(kind="internal", scale=1.7, low=0.3, high=0.8)
    labels = torch.tensor([0, 2])
    velocity = generator._guided(labels, EULER, guidance)
    x, _, _ = inputs()
    with torch.no_grad():
        for time in (0.1, 0.5, 0.9):
            strong, inner = dit.both(x[:2], torch.full((2,), time), labels)
            expected = strong if time != 0.5 else inner + 1.7 * (strong - inner)
            assert torch.allclose(velocity(x[:2], time), expected, atol=1e-6)
    shared = EULER.model_copy(update={"encoder_every": 2})
    with user_error("encoder_every is 2; set it to 1"):
        generator.sample_latents(labels, labels, shared, guidance)
    without = Generator(network(), None, None, generator.statistics, CPU)  # type: ignore[arg-type]
    with user_error("set dit.internal.block and train it"):
        without.sample_latents(labels, labels, EULER, guidance)


def test_alignment_is_the_cosine_between_a_block_and_the_clean_features() -> None:
    """REPA (arXiv 2410.06940), beside a head on another block."""
    dit, features = network(internal=1), torch.randn(64, 16, 5, generator=torch.Generator().manual_seed(4))
    torch.manual_seed(1)
    aligned = Alignment(24, 5, block=2, weight=0.5)
    of = DiTObjective(dit, lambda z: z, 0.1, 0.25, aligned)
    steps = (features / 3 * 127).round().clamp(-127, 127).to(torch.int8)
    batch = LatentBatch(BATCH.moments, BATCH.label, steps, torch.full((64, 16, 1), 3 / 127))
    seen: list[torch.Tensor] = []
    aligned.layers.register_forward_hook(lambda _module, given, output: seen.extend((given[0], output)))
    total, parts, _ = of(batch, StepRandom.of((0, 0, 0), 64, 0, 1, CPU), 0.0)
    expected = 1 - (F.normalize(seen[1], dim=-1) * F.normalize(features, dim=-1)).sum(-1).mean()
    assert parts["alignment"].item() == pytest.approx(expected.item(), abs=2e-3)
    weighted = parts["velocity"] + 0.25 * parts["internal"] + 0.5 * parts["alignment"]
    assert total.item() == pytest.approx(weighted.item())
    assert parts["velocity"].item() == pytest.approx(loss(objective(dit))[1]["velocity"].item())

    parts["alignment"].backward()
    learnt = {name for name, p in of.named_parameters() if p.grad is not None}
    assert any(name.startswith("alignment.layers.4") for name in learnt)
    assert any(name.startswith("dit.encoder.1.") for name in learnt)
    assert not any(name.startswith(("dit.encoder.2.", "dit.head.", "dit.internal.")) for name in learnt)
    assert all(name.startswith(("dit.", "alignment.")) for name, _ in of.named_parameters())
    assert not any("alignment" in name for name in of.network.state_dict())


def test_the_head_is_saved_and_networks_of_earlier_versions_load(tmp_path: Path) -> None:
    dit = network("x", internal=2)
    keep("dit", dit, tmp_path)
    assert torch.equal(load_dit(tmp_path / "dit").both(*inputs())[1], dit.both(*inputs())[1])
    old = {
        name: value for name, value in network().config.model_dump().items() if name not in ("prediction", "internal")
    }
    assert DiTConfig.model_validate(old) == network().config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dit.internal.block": 1}, "internal.block 1 must be below sizes.encoder.depth 1"),
        ({"dit.alignment.block": 2}, "alignment.block 2 must be at most sizes.encoder.depth 1"),
        ({"dit.alignment.block": 1, "features.storage": "online"}, "features.storage is online"),
        ({"generation.guidance.kind": "internal"}, "kind is internal, but dit.internal.block is 0"),
        (
            {"dit.internal.block": 1, "dit.sizes.encoder.depth": 2, "generation.guidance.kind": "autoguidance"},
            "not trained",
        ),
        ({"dit.evaluate_every": 1}, "dit.evaluation.waits_for must be data/passed/metric_network"),
        ({"dit.evaluate_every": 1, "dit.training.zero_stage": 3}, "set training.zero_stage to 2 or less"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parameters(changes)
