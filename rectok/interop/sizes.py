"""The sizes of a published network, read from the shapes of its tensors."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError
from torch import Tensor

from rectok.config import first_mistake
from rectok.dit.dit_config import DiTConfig, DiTSizes
from rectok.errors import UserError
from rectok.interop.published import SEMANTIC
from rectok.nn.transformer_config import TransformerConfig
from rectok.tokenizer.tokenizer_config import SemanticDecoderConfig, TokenizerConfig, TokenizerSizes

PUBLISHED_HEAD = 64
PUBLISHED_SEMANTIC_HEAD = 48
"""Channels of one attention head, which no shape of a tokenizer tells: ViT-B has 12 of 64, the semantic decoder 4 of 48."""
PUBLISHED_HEAD_DEPTH = 2
"""Blocks of DiT^DH's head, where it is as wide as the encoder."""


@dataclass(frozen=True)
class Heads:
    """Attention heads of a tokenizer's encoder, pixel decoder and semantic decoder."""

    encoder: int
    decoder: int
    semantic: int


class Shapes:
    """Shapes of named tensors; an absent or odd one is a UserError that names it. `name` is the file's."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str) -> None:
        self.tensors, self.name = tensors, name

    def of(self, key: str, dimensions: int) -> tuple[int, ...]:
        """The shape of tensor `key`, which must have so many dimensions, none of them empty."""
        if key not in self.tensors:
            raise UserError(f"{self.name} lacks the tensor {key}, from which the sizes are read")
        shape = tuple(self.tensors[key].shape)
        if len(shape) != dimensions or 0 in shape:
            raise UserError(
                f"{self.name}: tensor {key} has shape {list(shape)}, but {dimensions} dimensions are expected"
            )
        return shape

    def grid(self, key: str) -> int:
        """The side of the square of tokens whose positions are `key` [1, N, W]."""
        tokens = self.of(key, 3)[1]
        if math.isqrt(tokens) ** 2 != tokens:
            raise UserError(f"{self.name}: tensor {key} is for {tokens} tokens, which is no square of a grid")
        return math.isqrt(tokens)

    def depth(self, prefix: str) -> int:
        """How many blocks stand below `prefix`."""
        matches = (re.match(rf"{re.escape(prefix)}(\d+)\.", key) for key in self.tensors)
        numbers = {int(match[1]) for match in matches if match}
        if numbers != set(range(len(numbers))) or not numbers:
            raise UserError(f"{self.name} does not hold the blocks {prefix}0, {prefix}1 … without a gap")
        return len(numbers)


def tokenizer_config(tensors: Mapping[str, Tensor], teacher: str, heads: Heads | None, name: str) -> TokenizerConfig:
    """Sizes of the published tokenizer `tensors`. Without `heads` they are as wide as the published ones."""
    shapes = Shapes(tensors, name)
    patch = shapes.of("encoder.patch_embed.0.weight", 4)[2]
    semantic = f"{SEMANTIC}{teacher}"
    widths = [shapes.of(f"{part}.positional_embedding", 3)[2] for part in ("encoder", "decoder", semantic)]
    counts = heads or _published_heads(widths, name)
    encoder, decoder, light = (
        _transformer(width, shapes.depth(f"{part}.transformer."), count, name)
        for part, width, count in zip(
            ("encoder", "decoder", semantic), widths, (counts.encoder, counts.decoder, counts.semantic), strict=True
        )
    )
    return TokenizerConfig(
        image_size=patch * shapes.grid("encoder.positional_embedding"),
        teacher_width=shapes.of(f"{semantic}.out.weight", 2)[0],
        sizes=TokenizerSizes(
            patch=patch,
            channels=shapes.of("decoder.decoder_embed.weight", 2)[1],
            encoder=encoder,
            decoder=decoder,
            semantic=SemanticDecoderConfig(kind="transformer", transformer=light),
        ),
    )


def dit_config(tensors: Mapping[str, Tensor], name: str) -> DiTConfig:
    """Sizes of the published DiT^DH `tensors`: heads from the rotary tables, the encoder's depth from its width."""
    shapes = Shapes(tensors, name)
    head_width, channels = shapes.of("x_embedder.proj.weight", 4)[:2]
    width = shapes.of("s_embedder.proj.weight", 4)[0]
    blocks = shapes.depth("blocks.")
    narrow = [shapes.of(f"blocks.{i}.norm1.weight", 1)[0] == width for i in range(blocks)]
    depth = sum(narrow) if width != head_width else blocks - PUBLISHED_HEAD_DEPTH
    if not 0 < depth < blocks or not all(narrow[:depth]):
        raise UserError(
            f"{name} does not hold an encoder of width {width} before a head of width {head_width} (where they agree, the last "
            f"{PUBLISHED_HEAD_DEPTH} blocks are the head)"
        )
    return DiTConfig(
        grid=shapes.grid("pos_embed"),
        channels=channels,
        classes=shapes.of("y_embedder.embedding_table.weight", 2)[0] - 1,
        sizes=DiTSizes(
            encoder=_transformer(width, depth, _heads(shapes, "enc_feat_rope.freqs_cos", width), name),
            head=_transformer(head_width, blocks - depth, _heads(shapes, "dec_feat_rope.freqs_cos", head_width), name),
        ),
    )


def _heads(shapes: Shapes, table: str, width: int) -> int:
    channels = shapes.of(table, 2)[1]
    if width % channels:
        raise UserError(f"{shapes.name}: heads of {channels} channels, as {table} has, do not fit a width of {width}")
    return width // channels


def _published_heads(widths: list[int], name: str) -> Heads:
    channels = (PUBLISHED_HEAD, PUBLISHED_HEAD, PUBLISHED_SEMANTIC_HEAD)
    if any(width % each for width, each in zip(widths, channels, strict=True)):
        raise UserError(
            f"{name} is {', '.join(map(str, widths))} channels wide, which heads of {', '.join(map(str, channels))} do not "
            "divide; say how many there are with --heads ENCODER,DECODER,SEMANTIC"
        )
    return Heads(*(width // each for width, each in zip(widths, channels, strict=True)))


def _transformer(width: int, depth: int, heads: int, name: str) -> TransformerConfig:
    try:
        return TransformerConfig(width=width, depth=depth, heads=heads)
    except ValidationError as error:
        raise UserError(f"{name}: {first_mistake(error)}") from None
