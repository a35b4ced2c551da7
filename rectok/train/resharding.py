"""Reads a checkpoint into engines that are split in another way: by another number of processes, or another kind of ZeRO.

DeepSpeed's universal checkpoints carry over the optimizer only: buffers stay those of a new network, ZeRO 3 gives all groups of
parameters the settings of the first, and their converter runs code that a checkpoint holds. Here each tensor is put together
by the name of its parameter, and each process takes its part.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rectok.train.ema import EMA
from rectok.train.safe_loading import load_weights_only

MOMENTS = ("exp_avg", "exp_avg_sq")
WEIGHT = "weight"


@dataclass(frozen=True)
class Piece:
    """`size` elements of the parameter `name`, from element `begin` of it on, from `start` of a flat tensor on."""

    name: str
    begin: int
    start: int
    size: int


def kind(engine: Any) -> int:
    """What ZeRO splits over processes: 0 nothing, 1 the optimizer, 3 weights, too."""
    stage = int(engine.zero_optimization_stage())
    return min(stage, 1) if stage < 3 else 3


def saved_kind(folder: Path) -> int:
    """The `kind` of the engine that wrote `folder`."""
    if not any(folder.glob("*zero_pp_rank_*optim_states.pt")):
        return 0
    return 3 if any(folder.glob("zero_pp_rank_*model_states.pt")) else 1


class SavedEngine:
    """All that the processes of one engine wrote to `folder`. Tensors are read when they are used, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.kind = saved_kind(folder)
        ranks = len(list(folder.glob("*zero_pp_rank_*optim_states.pt")))
        weights = [f"zero_pp_rank_{rank}_mp_rank_00_model_states.pt" for rank in range(ranks)]
        self.models = [
            _mapped(folder / name) for name in (weights if self.kind == 3 else ["mp_rank_00_model_states.pt"])
        ]
        self.optimizers = [
            _mapped(*folder.glob(f"*zero_pp_rank_{rank}_mp_rank_00_optim_states.pt")) for rank in range(ranks)
        ]
        self.step: Tensor | None = None
        """The count of the optimizer's steps; None before the first."""
        self._parts = defaultdict[str, list[tuple[Mapping[str, Tensor], slice]]](list)
        for rank, saved in enumerate(self.optimizers):
            self._take(rank, saved["optimizer_state_dict"])

    def _take(self, rank: int, saved: dict[str, Any]) -> None:
        if self.kind == 3:
            shapes = [
                {name: shape.numel() for name, shape in group.items()} for group in self.models[0]["param_shapes"]
            ]
            layout = [list(partitions(group, rank, len(self.optimizers))) for group in shapes]
            flats, states = saved["fp32_flat_groups"], saved["optimizer_state_dict"]["state"]
        else:
            groups = saved["param_slice_mappings"]
            layout = [[Piece(name, 0, at.start, at.numel) for name, at in group.items()] for group in groups]
            flats, states = saved["single_partition_of_fp32_groups"], saved["base_optimizer_state"]["state"]
        for number, (flat, pieces) in enumerate(zip(flats, layout, strict=True)):
            self._add({WEIGHT: flat, **states.get(number, {})}, pieces)

    def take_whole(self, names: Sequence[str]) -> None:
        """Take the state of an optimizer that was not split, whose parameters have these names in its order."""
        for number, state in self.models[0]["optimizer"]["state"].items():
            self._add(state, [Piece(names[number], 0, 0, state[MOMENTS[0]].numel())])

    def _add(self, values: Mapping[str, Tensor], pieces: Iterable[Piece]) -> None:
        self.step = values.get("step", self.step)
        for piece in pieces:
            self._parts[piece.name].append((values, slice(piece.start, piece.start + piece.size)))

    def values(self, name: str, key: str) -> Tensor | None:
        """A moment of a parameter or its weight, flat, from all processes in their order; None if it has none yet."""
        parts = [values[key].flatten()[where] for values, where in self._parts[name] if key in values]
        return torch.cat(parts) if parts else None

    def module(self) -> dict[str, Tensor]:
        """The state dict of the whole network: weights, buffers and what is frozen."""
        first = self.models[0]
        if self.kind < 3:
            return dict(first["module"])
        state = {name: first["module"][name] for name in first["buffer_names"]}
        for name, shape in (first["frozen_param_shapes"] or {}).items():
            parts = [model["frozen_param_fragments"][name].flatten() for model in self.models]
            state[name] = torch.cat(parts)[: shape.numel()].view(shape)
        for name, shape in ((name, shape) for group in first["param_shapes"] for name, shape in group.items()):
            weight = self.values(name, WEIGHT)
            assert weight is not None
            state[name] = weight.view(shape)
        return state


def _mapped(path: Path) -> Any:
    return load_weights_only(path, "cpu", mmap=True)


def partitions(sizes: Mapping[str, int], rank: int, ranks: int) -> Iterator[Piece]:
    """What ZeRO 3 keeps in the process `rank` of parameters of these sizes: equal parts, of which the last are filled up."""
    start = 0
    for name, size in sizes.items():
        part = ceil(size / ranks)
        begin = min(size, rank * part)
        yield Piece(name, begin, start, min(size - begin, part))
        start += part


def load_resharded(engine: Any, folder: Path, rank: int, ranks: int) -> None:
    """Fill `engine`, in process `rank` of `ranks`, with weights, buffers, optimizer and schedule that `folder` holds."""
    saved = SavedEngine(folder)
    if saved.kind == 0:
        saved.take_whole([engine.param_names[parameter] for group in _groups(engine) for parameter in group])
    first = saved.models[0]
    engine.load_module_state_dict({"module": saved.module()}, fetch_z3_params=kind(engine) == 3)
    optimizer = engine.optimizer
    if kind(engine):
        optimizer.refresh_fp32_params()
        optimizer = optimizer.optimizer
    engine.lr_scheduler.load_state_dict(first["lr_scheduler"])
    for group, lr in zip(optimizer.param_groups, first["lr_scheduler"]["_last_lr"], strict=True):
        group["lr"] = lr
    for name in ("global_steps", "global_samples", "skipped_steps"):
        setattr(engine, name, first[name])
    if saved.step is not None:
        _fill(engine, optimizer, saved, rank, ranks)


def _fill(engine: Any, optimizer: torch.optim.Optimizer, saved: SavedEngine, rank: int, ranks: int) -> None:
    """Give `optimizer` the moments of its part."""
    assert saved.step is not None
    states = {}
    for number, (flat, pieces) in enumerate(_layout(engine, rank, ranks)):
        moments = {key: torch.zeros_like(flat) for key in MOMENTS}
        for piece in pieces:
            for key, moment in moments.items():
                if (values := saved.values(piece.name, key)) is not None:
                    part = values[piece.begin : piece.begin + piece.size]
                    moment.view(-1)[piece.start : piece.start + piece.size] = part
        states[number] = {"step": saved.step.clone(), **moments}
    if kind(engine) == 3:  # between two steps DeepSpeed leaves its groups empty
        engine.optimizer._set_fp32_optimizer_param_groups()
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
    if kind(engine) == 3:
        engine.optimizer._clear_fp32_optimizer_param_groups()


def _groups(engine: Any) -> list[list[nn.Parameter]]:
    """The parameters of each group, in the order that they had before ZeRO laid them end to end."""
    match kind(engine):
        case 0:
            return [group["params"] for group in engine.optimizer.param_groups]
        case 1:
            return list(engine.optimizer.bit16_groups)
        case _:
            return list(engine.optimizer.fp16_groups)


def _layout(engine: Any, rank: int, ranks: int) -> Iterator[tuple[Tensor, list[Piece]]]:
    """Each tensor that the optimizer of this process steps, and what it holds of which parameters."""
    names, groups = engine.param_names, _groups(engine)
    match kind(engine):
        case 0:
            for parameter in (parameter for group in groups for parameter in group):
                yield parameter.data, [Piece(names[parameter], 0, 0, parameter.numel())]
        case 1:
            for flat, group in zip(engine.optimizer.single_partition_of_fp32_groups, groups, strict=True):
                mapped = [(names[parameter], parameter._hp_mapping) for parameter in group if parameter._hp_mapping]  # type: ignore[attr-defined]
                places = [(name, at.lp_fragment_address, at.hp_fragment_address) for name, at in mapped]
                yield flat.data, [Piece(name, own.start, at.start, at.numel) for name, own, at in places]
        case _:
            for flat, group in zip(engine.optimizer.fp32_partitioned_groups_flat, groups, strict=True):
                yield flat.data, list(partitions({names[p]: p.ds_numel for p in group}, rank, ranks))  # type: ignore[attr-defined]


def merged_averages(averages: Sequence[Sequence[Tensor]], split: bool, ema: EMA, rank: int) -> list[Tensor]:
    """The averages of all processes, put together where ZeRO 3 had `split` them, and of that the part that `ema` holds here."""
    parts = []
    for number, (parameter, mine) in enumerate(zip(ema.parameters, ema.average, strict=True)):
        whole = averages[0][number]
        if split:
            whole = torch.cat([process[number].flatten() for process in averages])
        part = torch.zeros_like(mine).view(-1)
        begin = rank * mine.numel() if hasattr(parameter, "ds_tensor") else 0
        own = whole.flatten()[: getattr(parameter, "ds_numel", parameter.numel())][begin : begin + mine.numel()]
        part[: own.numel()] = own
        parts.append(part.view_as(mine))
    return parts
