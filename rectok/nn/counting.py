"""What a computation takes, counted without doing it: tensors here have shapes and no values, so that networks of any size
are built and run in no memory and little time."""

import warnings
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count, shape_wrapper

M = TypeVar("M", bound=nn.Module)
BFLOAT16 = "bfloat16"
FORWARD_AND_BACKWARD = 3
"""FLOPs of a training step, in those of its forward pass."""
FORMULAS = flop_registry | {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: shape_wrapper(
        lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v)
    ),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: shape_wrapper(
        lambda grad, q, k, v, *_, **__: sdpa_backward_flop_count(grad, q, k, v)
    ),
}
"""torch's, and those of what attention becomes here; not every release of torch counts it by itself."""


@dataclass(frozen=True)
class Cost:
    """`flops` (a multiply-add counts two), and `saved` bytes of activations that autograd keeps for the backward pass."""

    flops: int
    saved: int


class _Counter(TorchDispatchMode):
    """Adds up FLOPs. torch's FlopCounterMode also says of which module, which takes it longer than all the rest."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if formula := FORMULAS.get(func.overloadpacket):
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        return out


class Shapes:
    """A place where shapes are computed with; what it builds runs here alone."""

    def __init__(self) -> None:
        self.mode = FakeTensorMode()

    def build(self, make: Callable[[], M]) -> M:
        """The network that `make` builds, without weights."""
        with torch.device("meta"):  # timm asks for values while it builds, which a fake tensor cannot give
            network = make()
        return self.moved(network)

    def moved(self, network: M) -> M:
        """`network`, built on the meta device, as one that runs here."""
        with self.mode:
            network._apply(lambda tensor: torch.empty(tensor.shape, dtype=tensor.dtype))  # type: ignore[no-untyped-call]
        return network

    @torch.no_grad()
    def forward(self, call: Callable[[], object]) -> int:
        """FLOPs of `call`."""
        with self.mode, _Counter() as counter:
            call()
        return int(counter.flops)

    def training(self, loss: Callable[[], Tensor], networks: Iterable[nn.Module], precision: str) -> Cost:
        """What `loss` and its backward pass cost, in `bfloat16` under autocast; tensors of `networks` are no activations."""
        weights = {_storage(x) for network in networks for x in (*network.parameters(), *network.buffers())}
        saved: dict[int, torch.UntypedStorage] = {}

        def keep(tensor: Tensor) -> Tensor:
            if _storage(tensor) not in weights:
                saved[_storage(tensor)] = tensor.untyped_storage()
            return tensor

        autocast = torch.autocast("cpu", torch.bfloat16) if precision == BFLOAT16 else nullcontext()
        with warnings.catch_warnings(), self.mode, _Counter() as counter:
            warnings.filterwarnings("ignore", "Mismatch dtype")  # which kernel would have run, if one ran
            with autocast, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                total = loss()
            size = sum(storage.nbytes() for storage in saved.values())
            total.backward()
        return Cost(int(counter.flops), size)


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def products(network: nn.Module, tokens: int) -> float:
    """About the FLOPs of one forward pass over `tokens` tokens: two for every weight and token."""
    return 2.0 * parameters(network) * tokens


def parameters(network: nn.Module) -> int:
    """Number of weights, those of fixed buffers left out."""
    return sum(parameter.numel() for parameter in network.parameters())
