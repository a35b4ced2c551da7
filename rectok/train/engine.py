"""DeepSpeed engines from our parameters."""

import logging
import os
from typing import Any

import torch
from torch import nn

from rectok.imports import importing
from rectok.train.optimizer import ClippingAdamW, on_one_gpu
from rectok.train.safe_loading import load_weights_only
from rectok.train.schedule import factor
from rectok.train.training_config import TrainingConfig
from rectok.train.world import World


def build(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    config: TrainingConfig,
    steps: int,
    world: World,
    zero_stage: int,
) -> Any:
    """A DeepSpeed engine with our schedule over `steps`; parameters stay float32 masters, since bfloat16 is autocast.

    `optimizer` is that of `optimizer_of` for the same config and world.
    """
    deepspeed = _deepspeed()
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor(step, steps, config.schedule))
    engine, *_ = deepspeed.initialize(
        model=module.to(world.device),
        optimizer=optimizer,
        lr_scheduler=scheduler,
        config=_config(config, world, zero_stage, clips=isinstance(optimizer, ClippingAdamW)),
    )
    engine.checkpoint_engine.load = load_weights_only  # DeepSpeed's own unpickles whatever it reads
    if on_one_gpu(config, world):
        engine.enable_backward_allreduce = False  # among one process it would copy all gradients twice
    return engine


def _config(config: TrainingConfig, world: World, zero_stage: int, clips: bool) -> dict[str, Any]:
    zero: dict[str, Any] = {"stage": 0 if on_one_gpu(config, world) else zero_stage}
    if config.offload == "cpu" and zero_stage > 0:
        zero["offload_optimizer"] = {"device": "cpu"}
    return {
        "train_batch_size": config.batch,
        "train_micro_batch_size_per_gpu": config.micro_batch // world.size,
        "gradient_accumulation_steps": config.batch // config.micro_batch,
        "gradient_clipping": 0.0 if clips else config.clip,  # the optimizer of one GPU clips
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "torch_autocast": {"enabled": config.precision == "bfloat16", "dtype": "bfloat16"},
        "steps_per_print": 10**9,
        # This timer waits for the device twice in every step, also where nothing is printed.
        "timers": {"throughput": {"enabled": False}},
    }


def _deepspeed() -> Any:
    os.environ.setdefault("LOG_LEVEL", "warning")
    with importing():
        import deepspeed
        from deepspeed.ops.op_builder.cpu import ShareMemCommBuilder

    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    # Its shared-memory all-reduce is compiled on first use, which needs a C++ compiler; gloo serves as well here.
    deepspeed.ops.__compatible_ops__[ShareMemCommBuilder.NAME] = False
    return deepspeed
