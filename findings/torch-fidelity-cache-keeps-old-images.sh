#!/usr/bin/env bash
# torch-fidelity's cache gives the statistics of other images under the same name.
#
# Guess: `input2_cache_name` names the cached statistics of a set of images. Other images under this name are noticed,
#   or at least their number is.
# Behaviour: The key is the name with the extractor's and the layer's name, and nothing of the images. Other images,
#   and another number of them, give the statistics of the first call, without a warning.
# Version: torch-fidelity 0.4.0, torch 2.15.0
# Documented: the argument is described as a name for the cache entry; that nothing of the images is compared is not
#   documented.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
packages=(torch-fidelity==0.4.0 torch==2.15.0 torchvision==0.29.2)
if command -v uv > /dev/null; then
  uv venv -q .venv && uv pip install -q --python .venv/bin/python "${packages[@]}"
else
  python3 -m venv .venv && .venv/bin/pip install -q "${packages[@]}"
fi
export PATH=$PWD/.venv/bin:$PATH
python - << 'END'
import sys
from importlib.metadata import version

import torch
from torch_fidelity import calculate_metrics, register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

print("torch-fidelity", version("torch-fidelity"), "torch", torch.__version__)


class Pixels(FeatureExtractorBase):
    """The first 16 pixels, so that no weights are needed."""

    def __init__(self, name, features_list, **kwargs):
        super().__init__(name, features_list)

    @staticmethod
    def get_provided_features_list():
        return ("16",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric):
        return "16"

    @staticmethod
    def can_be_compiled():
        return False

    @staticmethod
    def get_dummy_input_for_compile():
        return torch.zeros(1, 3, 8, 8, dtype=torch.uint8)

    def forward(self, images):
        return (images.float().flatten(1)[:, :16],)


class Images(torch.utils.data.Dataset):
    def __init__(self, count, low, high):
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randint(low, high, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]


def fid(reference, **cache):
    settings = {"fid": True, "feature_extractor": "pixels", "feature_layer_fid": "16", "cuda": False, "verbose": False}
    settings |= {"batch_size": 8, "save_cpu_ram": True, "cache_root": "cache"}
    return round(calculate_metrics(input1=GENERATED, input2=reference, **settings, **cache)["frechet_inception_distance"])


register_feature_extractor("pixels", Pixels)
GENERATED = Images(64, 0, 256)
dark, bright = Images(64, 0, 64), Images(32, 192, 256)
first, second = fid(dark, input2_cache_name="real"), fid(bright, input2_cache_name="real")
true = fid(bright)
print(f"guess: FID against 32 bright images is {true}, whatever was cached before")
print(f"seen:  {second}, which is that against 64 dark ones ({first})")
if second != first or first == true:
    sys.exit("the surprise is gone")
END
