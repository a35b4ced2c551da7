"""AdamW with weight decay only where it belongs, and Muon for matrices."""

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from rectok.nn.blocks import AdaptiveBlock, Block
from rectok.train.training_config import TrainingConfig
from rectok.train.world import World

if TYPE_CHECKING:
    from rectok.train.working_weights import WorkingWeights

NEVER_DECAYED = ("position", "mask_token", "label.weight")
EPSILON = 1e-6
"""Added to the norm of the gradients, as DeepSpeed does it."""
ALIGNMENT = 16
"""Bytes that compiled kernels read at once."""


def on_one_gpu(config: TrainingConfig, world: World) -> bool:
    """Whether one GPU trains and holds everything, so that ZeRO has nothing to split and its copies are left out."""
    return world.size == 1 and world.device.type == "cuda" and config.offload == "none"


class ClippingAdamW(torch.optim.AdamW):
    """AdamW that clips the norm of all gradients to `clip` in the same pass over the weights, on a GPU.

    `norm` is the norm at the last step before it was clipped; None before the first. `weights`, if any, are updated in their
    own pass, with the same states.
    """

    norm: torch.Tensor | None = None
    weights: "WorkingWeights | None" = None

    def __init__(self, groups: list[dict[str, Any]], clip: float, **settings: Any) -> None:
        super().__init__(groups, fused=True, **settings)
        self.clip = clip
        self.count: int | None = None

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step; gradients are divided by max(1, norm / clip)."""
        parameters = (parameter for group in self.param_groups for parameter in group["params"])
        self.norm = _norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        self.grad_scale = ((self.norm + EPSILON) / self.clip).clamp(min=1)  # the fused kernel divides gradients by it
        if self.weights is not None:
            self._step_weights(self.weights)
        super().step(closure)  # of those that still have gradients

    def _step_weights(self, weights: "WorkingWeights") -> None:
        chosen = [(p, group) for group in self.param_groups for p in group["params"] if p in weights.weights]
        for parameter, _ in chosen:
            if not self.state[parameter]:
                master = weights.weights[parameter].master
                self.state[parameter] |= {"step": torch.zeros((), device=master.device)}
                self.state[parameter] |= {name: torch.zeros_like(master) for name in ("exp_avg", "exp_avg_sq")}
        steps = [self.state[parameter]["step"] for parameter, _ in chosen]
        self.count = (int(steps[0]) if self.count is None else self.count) + 1
        torch._foreach_add_(steps, 1)
        for parameter, group in chosen:
            weights.step(parameter, self.state[parameter], group, self.grad_scale, self.count)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state of a checkpoint."""
        super().load_state_dict(state_dict)
        self.count = None


def _norm(gradients: list[torch.Tensor]) -> torch.Tensor:
    """The norm of all, in float32."""
    kinds = {gradient.dtype: [g for g in gradients if g.dtype == gradient.dtype] for gradient in gradients}
    norms = [norm for same in kinds.values() for norm in torch._foreach_norm(same, 2, torch.float32)]
    total: torch.Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return total


class MuonAdamW(torch.optim.Optimizer):
    """Muon for matrices and AdamW for the rest, as one optimizer with the groups of both."""

    def __init__(self, adamw: torch.optim.AdamW, muon: torch.optim.Muon) -> None:
        self.parts = {"adamw": adamw, "muon": muon}
        super().__init__(
            [*adamw.param_groups, *muon.param_groups], {}
        )  # the same dictionaries, so learning rates follow

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of both."""
        for part in self.parts.values():
            part.step(closure)

    def state_dict(self) -> dict[str, Any]:
        """The states of both, by their names."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the states of a checkpoint."""
        for name, part in self.parts.items():
            part.load_state_dict(state_dict[name])
        self.param_groups = [group for part in self.parts.values() for group in part.param_groups]


def optimizer_of(
    module: nn.Module, config: TrainingConfig, world: World, lr_per_256: float | None = None
) -> torch.optim.Optimizer:
    """AdamW at lr_per_256·batch/256; no decay on vectors (norms, biases), embeddings and tokens. Muon for matrices, if it is on.

    ZeRO lays the parameters of a group end to end. One that does not fill whole 16 bytes gets a group of its own, so that
    all others stay aligned: code compiled for one block reads the weights of every other block.
    """
    matrices = block_matrices(module) if config.muon.lr_per_256 else []
    apart = set(matrices)
    together: dict[float, list[nn.Parameter]] = {config.weight_decay: [], 0.0: []}
    alone: list[dict[str, Any]] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad and parameter not in apart:
            exempt = parameter.ndim <= 1 or name.endswith(NEVER_DECAYED)
            decay = 0.0 if exempt else config.weight_decay
            if parameter.numel() * parameter.element_size() % ALIGNMENT:
                alone.append({"params": [parameter], "weight_decay": decay})
            else:
                together[decay].append(parameter)
    groups = [{"params": parameters, "weight_decay": decay} for decay, parameters in together.items() if parameters]
    lr = (lr_per_256 or config.lr_per_256) * config.batch / 256
    if on_one_gpu(config, world) and not matrices:
        return ClippingAdamW([*groups, *alone], config.clip, lr=lr, betas=config.betas)
    adamw = torch.optim.AdamW([*groups, *alone], lr=lr, betas=config.betas)
    return MuonAdamW(adamw, _muon(matrices, config)) if matrices else adamw


def _muon(matrices: list[nn.Parameter], config: TrainingConfig) -> torch.optim.Muon:
    return torch.optim.Muon(
        matrices,
        lr=config.muon.lr_per_256 * config.batch / 256,
        momentum=config.muon.momentum,
        weight_decay=config.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )


def block_matrices(module: nn.Module) -> list[nn.Parameter]:
    """The trained matrices of attention and MLP in all blocks. Inputs, outputs, embeddings and modulations are none of them."""
    blocks = [block for block in module.modules() if isinstance(block, Block | AdaptiveBlock)]
    parameters = (p for block in blocks for part in (block.attention, block.mlp) for p in part.parameters())
    return [p for p in parameters if p.ndim == 2 and p.requires_grad]
