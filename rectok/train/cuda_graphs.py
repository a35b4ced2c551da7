"""Forward and backward passes as CUDA graphs, whose kernels start all at once.

The host takes longer to start the kernels of a small network one by one than a GPU takes to run them.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rectok.data.loader import Batch
from rectok.train.objectives import LossOutput
from rectok.train.step_random import StepRandom

Passes = Callable[[Batch, StepRandom, float], LossOutput]
"""Both passes of a step on a batch, with these draws, at a progress: parameters hold their gradients afterwards."""


@dataclass(frozen=True)
class _Recorded:
    """A graph, the outputs that each replay fills, and the parameters that it has gradients of."""

    graph: torch.cuda.CUDAGraph
    outputs: LossOutput
    parameters: list[nn.Parameter]


class PassGraphs:
    """The same as `passes`, which trains `parameters`, with one graph for each kind of step (Objective.kind).

    The first step of a kind runs as usual, which compiles and chooses kernels. The second is recorded, and all others replay it.
    They compute the same with the same random numbers, which must come from `generator`. Outputs hold until the next call.
    """

    def __init__(self, passes: Passes, parameters: Iterable[nn.Parameter], generator: torch.Generator) -> None:
        self.passes, self.parameters, self.generator = passes, list(parameters), generator
        self.gradients: dict[nn.Parameter, Tensor] = {}
        """Filled by every replay, so that all graphs share them."""
        self.known: dict[Hashable, _Recorded | None] = {}
        self.batch: Batch | None = None
        """The inputs of all graphs."""
        self.pool, self.stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream()

    def __call__(self, kind: Hashable, batch: Batch, draws: StepRandom, progress: float) -> LossOutput:
        """Loss, its parts and reconstructions; the parameters hold gradients then, and must hold none before."""
        if kind not in self.known:
            self.known[kind] = None
            return self.passes(batch, draws, progress)
        recorded = self.known[kind] or self._record(batch, draws, progress)
        self.known[kind] = recorded
        self._inputs(batch)
        recorded.graph.replay()
        for parameter in recorded.parameters:
            parameter.grad = self.gradients[parameter]
        return recorded.outputs

    def _inputs(self, batch: Batch) -> Batch:
        """The inputs of the graphs, which hold `batch` then."""
        if self.batch is None:
            self.batch = batch.clone()
        self.batch.copy_(batch)
        return self.batch

    def _record(self, batch: Batch, draws: StepRandom, progress: float) -> _Recorded:
        graph, inputs = torch.cuda.CUDAGraph(), self._inputs(batch)
        graph.register_generator_state(self.generator)
        # The thread that pins batches goes on, which a recording in the default mode would not allow.
        with torch.cuda.graph(graph, self.pool, self.stream, capture_error_mode="thread_local"):
            loss, parts, fake = self.passes(inputs, draws, progress)
            parameters = [p for p in self.parameters if p.grad is not None]
            self._keep_gradients(parameters)
        detached = {name: part.detach() for name, part in parts.items()}
        return _Recorded(graph, (loss.detach(), detached, None if fake is None else fake.detach()), parameters)

    def _keep_gradients(self, parameters: list[nn.Parameter]) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if parameter not in self.gradients:
                self.gradients[parameter] = torch.empty_like(gradient)
        torch._foreach_copy_([self.gradients[p] for p in parameters], gradients)
        for parameter in parameters:
            parameter.grad = None
