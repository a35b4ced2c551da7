"""What must come from elsewhere before a run, and under which licence."""

from dataclasses import dataclass

from rectok.params import Params

PERCEPTUAL_LICENCES = {
    "vgg": "BSD-3-Clause (torchvision's VGG16, trained on ImageNet)",
    "lpips_heads": "BSD-2-Clause (richzhang/PerceptualSimilarity, version 0.1)",
    "convnext": "Apache-2.0 (timm's convnext_small)",
}
"""As timm's records and the project itself state them."""


@dataclass(frozen=True)
class Download:
    """`what` in the parameters wants `source` (a path, an s3:// URI, or timm's own download), which is under `licence`."""

    what: str
    network: str
    source: str
    sha256: str
    licence: str


def downloads(params: Params) -> list[Download]:
    """Weights and statistics that `params` name; what is trained here is not among them."""
    downloads = []
    for what, section in (("teacher", params.teacher), ("metric_network", params.metric_network)):
        network = section.network
        if network.weights:
            downloads.append(Download(what, network.name, network.weights, network.sha256, network.licence))
    for stage, losses in (("tokenizer", params.tokenizer.losses), ("decoder", params.decoder.losses)):
        config = losses.perceptual
        files = {"vgg": config.vgg, "lpips_heads": config.lpips_heads, "convnext": config.convnext}
        for name, file in files.items():
            if config.weight and file.path:
                what = f"{stage}.losses.perceptual.{name}"
                downloads.append(Download(what, name, file.path, file.sha256, PERCEPTUAL_LICENCES[name]))
    if params.generation.reference:
        statistics = "mean and covariance of the metric network's features"
        reference = params.generation.reference
        downloads.append(Download("generation.reference", statistics, reference, "", "that of its images"))
    return downloads
