"""An autoencoder of diffusers as a tokenizer: AutoencoderKL (Stable Diffusion, FLUX.1) or AutoencoderKLFlux2 (FLUX.2).

Its latent is normalised as its own generators have it: (z − shift)·scale, of each channel.
"""

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rectok.artifacts import write_json
from rectok.errors import UserError
from rectok.storage.objects import verified
from rectok.storage.storage_config import WeightsFile
from rectok.tokenizer.autoencoder_config import FLUX2, Autoencoder, folded
from rectok.tokenizer.model import Tokenizer, split_moments
from rectok.tokenizer.tokenizer_config import TokenizerConfig

WEIGHTS = "diffusion_pytorch_model.safetensors"
"""How diffusers calls a model's file."""


class PublishedTokenizer(Tokenizer):
    """Encoder and decoder of the autoencoder, each with its convolution at the latent; `shift` and `scale` are [C]."""

    shift: Tensor
    scale: Tensor

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__(config)
        assert config.autoencoder is not None
        self.folded = folded(config.autoencoder)
        self._adopt(_class(config.autoencoder).from_config(config.autoencoder))

    def take(self, file: WeightsFile) -> None:
        """Take the weights in `file`. Raises UserError unless it has every tensor of the autoencoder and no other."""
        assert self.config.autoencoder is not None
        with verified(file.path, file.sha256) as path:
            self._adopt(_loaded(self.config.autoencoder, path, file.path))

    def encode(self, images: Tensor) -> Tensor:
        """images [B, 3, H, H] in [−1, 1] → moments [B, N, 2C] of the normalised latent."""
        moments = self.encoder(images).flatten(2).transpose(1, 2)
        mean, logvar = (self._tokens(x) for x in split_moments(moments))
        return torch.cat([(mean - self.shift) * self.scale, logvar + 2 * self.scale.log()], dim=-1)

    def decode(self, z: Tensor) -> Tensor:
        """z [B, N, C] → images [B, 3, H, H]."""
        grid = self.config.grid
        x = (z / self.scale + self.shift).transpose(1, 2).unflatten(2, (grid, grid))
        return self.decoder(F.pixel_shuffle(x, self.folded))  # type: ignore[no-any-return]

    def _tokens(self, x: Tensor) -> Tensor:
        """Pixels of the latent [B, h², c] → tokens [B, N, C]."""
        side = self.config.grid * self.folded
        x = x.transpose(1, 2).unflatten(2, (side, side))
        return F.pixel_unshuffle(x, self.folded).flatten(2).transpose(1, 2)

    def _adopt(self, network: Any) -> None:
        self.encoder = nn.Sequential(network.encoder, network.quant_conv or nn.Identity())
        self.decoder = nn.Sequential(network.post_quant_conv or nn.Identity(), network.decoder)
        shift, scale = _normalisation(network)
        channels = self.config.sizes.channels
        self.register_buffer("shift", shift.float().expand(channels).clone())
        self.register_buffer("scale", scale.float().expand(channels).clone())


def _normalisation(network: Any) -> tuple[Tensor, Tensor]:
    """Shift and scale: numbers of the config, or for FLUX.2 the statistics that the network holds."""
    if type(network).__name__ == FLUX2:
        return network.bn.running_mean, (network.bn.running_var + network.config.batch_norm_eps).rsqrt()
    shift, scale = network.config.get("shift_factor") or 0.0, network.config["scaling_factor"]
    return torch.tensor(shift), torch.tensor(scale)


def _class(config: Autoencoder) -> Any:
    try:
        import diffusers
    except ImportError:
        raise UserError(
            "tokenizer.kind published needs diffusers; install it with pip install 'rectok[diffusers]'"
        ) from None
    return getattr(diffusers, config["_class_name"])


def _loaded(config: Autoencoder, path: Path, name: str) -> Any:
    """The autoencoder with the weights at `path`, which errors call `name`."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_json(folder / "config.json", config)
        (folder / WEIGHTS).symlink_to(path.absolute())
        network, info = _class(config).from_pretrained(
            folder, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False, output_loading_info=True
        )
    for words, keys in (("lacks", info["missing_keys"]), ("holds", info["unexpected_keys"])):
        if keys:
            raise UserError(
                f"{name} {words} the tensor {sorted(keys)[0]}, unlike the autoencoder of tokenizer.published.path"
            )
    return network
