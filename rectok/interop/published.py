"""Names of published RecTok and DiT^DH checkpoints: ours in theirs, every key accounted for on both sides."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from rectok.dit.dit_config import DiTConfig
from rectok.dit.model import DiTDH, sincos_positions
from rectok.errors import UserError
from rectok.nn.rotary import dit_angles
from rectok.tokenizer.kinds import build_tokenizer
from rectok.tokenizer.tokenizer_config import TokenizerConfig

ModelConfig = TokenizerConfig | DiTConfig
Rules = tuple[tuple[str, str], ...]
BLOCK: Rules = (
    (r"\.attention_norm\.", ".norm1."),
    (r"\.mlp_norm\.", ".norm2."),
    (r"\.attention\.qkv\.", ".attn.qkv."),
    (r"\.attention\.out\.", ".attn.proj."),
    (r"\.mlp\.gate_up\.", ".mlp.w12."),
    (r"\.mlp\.down\.", ".mlp.w3."),
    (r"\.modulation\.", ".adaLN_modulation.1."),
)
TOKENIZER: Rules = (
    (r"\.trunk\.blocks\.", ".transformer."),
    (r"\.trunk\.position$", ".positional_embedding"),
    (r"\.trunk\.norm_in\.", ".ln_pre."),
    (r"\.trunk\.norm_out\.", ".ln_post."),
    (r"^encoder\.patch\.", "encoder.patch_embed.0."),
    (r"^encoder\.moments\.", "encoder.latent_head."),
    (r"^decoder\.embed\.", "decoder.decoder_embed."),
    (r"^decoder\.pixels\.", "decoder.ffn.1."),
    (r"^decoder\.smooth\.", "decoder.conv_out."),
    (r"^semantic\.embed\.", "semantic.token_embedding."),
    (r"^semantic\.mask_token$", "semantic.mask_embedding"),
)
DIT: Rules = (
    (r"^head_patch\.", "x_embedder.proj."),
    (r"^encoder_patch\.", "s_embedder.proj."),
    (r"^bridge\.", "s_projector."),
    (r"^time\.frequencies$", "t_embedder.W"),
    (r"^time\.hidden\.", "t_embedder.mlp.0."),
    (r"^time\.out\.", "t_embedder.mlp.2."),
    (r"^label\.", "y_embedder.embedding_table."),
    (r"^final\.norm\.", "final_layer.norm_final."),
    (r"^final\.out\.", "final_layer.linear."),
    (r"^final\.", "final_layer."),
)
SEMANTIC = "sem_decoders."
"""Before the teacher's name in the keys of a semantic decoder."""
LARGEST_DIFFERENCE = 1e-4
"""Between a table in a checkpoint and the computed one."""


def tokenizer_key(ours: str, teacher: str) -> str:
    """The published name of our tokenizer's `ours`; semantic decoders are named after their `teacher`."""
    return re.sub(r"^semantic\.", f"{SEMANTIC}{teacher}.", _renamed(ours, TOKENIZER + BLOCK))


def dit_key(ours: str, encoder_depth: int) -> str:
    """The published name of our DiT^DH's `ours`; the head's blocks are counted on after the encoder's."""
    block = re.match(r"(encoder|head)\.(\d+)\.", ours)
    if block:
        number = int(block[2]) + (encoder_depth if block[1] == "head" else 0)
        ours = f"blocks.{number}.{ours[block.end() :]}"
    return _renamed(ours, DIT + BLOCK)


def skeleton(config: ModelConfig) -> dict[str, Tensor]:
    """The state of the network of `config`: names and shapes, without content."""
    with _Hollow():
        model = build_tokenizer(config) if isinstance(config, TokenizerConfig) else DiTDH(config)
    return model.state_dict()


class _Hollow(TorchFunctionMode):
    """Allocates weights on the meta device, which has shapes and no memory, and leaves them as they are.

    (A whole network there, tables and random numbers included, would load torch's compiler, for ten seconds or more.)
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.empty:
            return func(*args, **{**kwargs, "device": "meta"})
        if func.__name__.endswith(("normal_", "uniform_")):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def published_key(config: ModelConfig, ours: str, teacher: str) -> str:
    """The published name of `ours` in the network of `config`."""
    if isinstance(config, TokenizerConfig):
        return tokenizer_key(ours, teacher)
    return dit_key(ours, config.sizes.encoder.depth)


def tables(config: ModelConfig) -> dict[str, Tensor]:
    """Fixed tables that published DiT^DH checkpoints hold and that our model computes, by their published names."""
    if isinstance(config, TokenizerConfig):
        return {}
    encoder, head = config.sizes.encoder, config.sizes.head
    tensors = {"pos_embed": sincos_positions(encoder.width, config.grid)}
    for name, part in (("enc", encoder), ("dec", head)):
        angles = dit_angles(part.head_width, config.grid)
        tensors |= {f"{name}_feat_rope.freqs_cos": angles.cos(), f"{name}_feat_rope.freqs_sin": angles.sin()}
    return tensors


def to_ours(config: ModelConfig, published: Mapping[str, Tensor], teacher: str, name: str) -> dict[str, Tensor]:
    """Published tensors by our names, none copied. Raises UserError for any key, shape or table that does not fit.

    `name` says in errors where they come from. Tables are compared with the computed ones, and left out.
    """
    ours = skeleton(config)
    theirs = {key: published_key(config, key, teacher) for key in ours}
    fixed = tables(config)
    known = {*theirs.values(), *fixed}
    unknown = [key for key in published if key not in known]
    if unknown:
        raise UserError(f"{name} holds the tensor {unknown[0]}, which this model does not have")
    for key, tensor in ours.items():
        _check_shape(theirs[key], published.get(theirs[key]), tensor.shape, name)
    for key, table in fixed.items():
        known_table = published.get(key, table)
        if known_table.shape != table.shape or not torch.allclose(known_table.float(), table, atol=LARGEST_DIFFERENCE):
            raise UserError(
                f"{name}: the table {key} is not the one this model computes; was it made with another grid?"
            )
    return {key: published[theirs[key]] for key in ours}


def to_published(config: ModelConfig, ours: Mapping[str, Tensor], teacher: str) -> dict[str, Tensor]:
    """Our tensors by their published names, with the tables. Raises UserError for a network that was never published."""
    if isinstance(config, TokenizerConfig) and config.kind != "rectok":
        raise UserError(
            f"the tokenizer is of kind {config.kind}, but published checkpoints are of kind rectok; export it with --format hub"
        )
    if isinstance(config, TokenizerConfig) and config.sizes.semantic.kind != "transformer":
        raise UserError(
            f"the semantic decoder is of kind {config.sizes.semantic.kind}, but published checkpoints know a transformer "
            "only; export it with --format hub"
        )
    return tables(config) | {published_key(config, key, teacher): tensor for key, tensor in ours.items()}


def _check_shape(key: str, tensor: Tensor | None, expected: torch.Size, name: str) -> None:
    if tensor is None:
        raise UserError(f"{name} lacks the tensor {key}, which this model needs")
    if tensor.shape != expected:
        raise UserError(
            f"{name}: tensor {key} has shape {list(tensor.shape)}, but {list(expected)} goes with the others"
        )
    if not tensor.is_floating_point():
        raise UserError(f"{name}: tensor {key} is of {tensor.dtype}, but weights are floating-point numbers")


def _renamed(key: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return key
