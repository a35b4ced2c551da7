"""Published RecTok and DiT^DH checkpoints: their key names onto ours, every key accounted for on both sides."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rectok.dit.model import DiTDH
from rectok.errors import UserError
from rectok.nn.weights import assign_weights
from rectok.tokenizer.model import Tokenizer

BLOCK = (
    (r"\.norm1\.", ".attention_norm."),
    (r"\.norm2\.", ".mlp_norm."),
    (r"\.attn\.qkv\.", ".attention.qkv."),
    (r"\.attn\.proj\.", ".attention.out."),
    (r"\.mlp\.w12\.", ".mlp.gate_up."),
    (r"\.mlp\.w3\.", ".mlp.down."),
    (r"\.adaLN_modulation\.1\.", ".modulation."),
)
TOKENIZER = (
    (r"^sem_decoders\.[^.]+\.", "semantic."),
    (r"\.transformer\.", ".trunk.blocks."),
    (r"\.positional_embedding$", ".trunk.position"),
    (r"\.ln_pre\.", ".trunk.norm_in."),
    (r"\.ln_post\.", ".trunk.norm_out."),
    (r"^encoder\.patch_embed\.0\.", "encoder.patch."),
    (r"^encoder\.latent_head\.", "encoder.moments."),
    (r"^decoder\.decoder_embed\.", "decoder.embed."),
    (r"^decoder\.ffn\.1\.", "decoder.pixels."),
    (r"^decoder\.conv_out\.", "decoder.smooth."),
    (r"\.token_embedding\.", ".embed."),
    (r"\.mask_embedding$", ".mask_token"),
)
DIT = (
    (r"^x_embedder\.proj\.", "head_patch."),
    (r"^s_embedder\.proj\.", "encoder_patch."),
    (r"^s_projector\.", "bridge."),
    (r"^t_embedder\.W$", "time.frequencies"),
    (r"^t_embedder\.mlp\.0\.", "time.hidden."),
    (r"^t_embedder\.mlp\.2\.", "time.out."),
    (r"^y_embedder\.embedding_table\.", "label."),
    (r"^final_layer\.norm_final\.", "final.norm."),
    (r"^final_layer\.linear\.", "final.out."),
    (r"^final_layer\.", "final."),
)
DERIVED = {
    "pos_embed": "positions",
    "enc_feat_rope.freqs_cos": "encoder_rotary.cos",
    "enc_feat_rope.freqs_sin": "encoder_rotary.sin",
    "dec_feat_rope.freqs_cos": "head_rotary.cos",
    "dec_feat_rope.freqs_sin": "head_rotary.sin",
}
"""Published keys of fixed tables that our DiT^DH computes: they must agree with ours, and are not loaded."""


def tokenizer_key(published: str) -> str:
    """Our name of a published tokenizer key."""
    return _renamed(published, TOKENIZER + BLOCK)


def dit_key(published: str, encoder_depth: int) -> str:
    """Our name of a published DiT^DH key; the first `encoder_depth` blocks are the encoder's, the rest the head's."""
    if published in DERIVED:
        return DERIVED[published]
    block = re.match(r"blocks\.(\d+)\.", published)
    if block:
        number = int(block[1])
        part, index = ("encoder", number) if number < encoder_depth else ("head", number - encoder_depth)
        published = f"{part}.{index}.{published[block.end() :]}"
    return _renamed(published, DIT + BLOCK)


def load_tokenizer_weights(model: Tokenizer, published: Mapping[str, Tensor]) -> None:
    """Load a published tokenizer's tensors. Raises UserError for any key or shape that does not fit."""
    _load(model, {tokenizer_key(key): tensor for key, tensor in published.items()})


def load_dit_weights(model: DiTDH, published: Mapping[str, Tensor]) -> None:
    """Load a published DiT^DH's tensors; its fixed tables must agree with the computed ones to 1e-4."""
    depth = model.config.sizes.encoder.depth
    weights = {dit_key(key, depth): tensor for key, tensor in published.items()}
    for key, name in DERIVED.items():
        if key in published:
            _same_table(key, weights.pop(name), model.get_buffer(name))
    _load(model, weights)


def _same_table(key: str, theirs: Tensor, ours: Tensor) -> None:
    if theirs.shape != ours.shape or not torch.allclose(theirs, ours, atol=1e-4):
        raise UserError(
            f"the checkpoint's table {key} is not the one this model computes; was it made with another grid?"
        )


def _load(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    assign_weights(model, weights, "the published checkpoint")


def _renamed(key: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        key = re.sub(pattern, replacement, key)
    return key
