"""The tokenizer's configuration as parameters ask for it."""

from rectok.errors import UserError
from rectok.params import Params
from rectok.tokenizer.autoencoder_config import latent_sizes, read_autoencoder
from rectok.tokenizer.tokenizer_config import TeacherEncoderConfig, TokenizerConfig


def tokenizer_config(params: Params, teacher_width: int) -> TokenizerConfig:
    """The configuration for a teacher with `teacher_width` channels. Kind `published` reads its file.

    Raises UserError where sizes are not those of the teacher or file that gives the latents.
    """
    section, teacher, autoencoder = params.tokenizer, None, None
    if section.kind == "published":
        autoencoder = read_autoencoder(section.published)
        patch, channels = latent_sizes(autoencoder)
        _require_size(params, "patch", patch, f"as {section.published.path} says")
        _require_size(params, "channels", channels, f"as {section.published.path} says")
    if section.kind == "rae":
        _require_size(params, "channels", teacher_width, "the teacher's width, where tokenizer.kind is rae")
        unread = {"weights": "", "sha256": ""}  # the teacher's weights lie beside the decoder's
        network = params.teacher.network.model_copy(update=unread)
        teacher = TeacherEncoderConfig(network=network, layers=section.rae.layers)
    return TokenizerConfig(
        image_size=params.image.size,
        teacher_width=teacher_width,
        sizes=section.sizes,
        kind=section.kind,
        teacher=teacher,
        autoencoder=autoencoder,
    )


def _require_size(params: Params, name: str, expected: int, reason: str) -> None:
    size = getattr(params.tokenizer.sizes, name)
    if size != expected:
        raise UserError(f"tokenizer.sizes.{name} is {size}, but must be {expected}, {reason}")
