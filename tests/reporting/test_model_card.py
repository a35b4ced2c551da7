"""The model card speaks for the network."""

from rectok.reporting.model_card import Facts, Helper, render
from rectok.reporting.summary import MetricRow


def facts(**changes: object) -> Facts:
    plain: dict[str, object] = {
        "kind": "dit",
        "sizes": "Latents of 4 channels",
        "parameters": 1_234_567,
        "training": {"trained": True, "steps": 12, "images": 768, "final_loss": 0.123456},
        "source": {},
        "helpers": [Helper("metric network of this project", "proxy: resnet10t trained here", "trained here")],
        "metrics": [MetricRow("gFID", "2.270", "lower", "proxy: resnet10t")],
        "protocol": {"generation": {"images_per_class": 50}},
    }
    return Facts(**{**plain, **changes})  # type: ignore[arg-type]


def test_the_card_tells_protocol_figures_and_proxies() -> None:
    card = render(facts())
    assert card.startswith("---\nlibrary_name: rectok\nlicense: other\ntags: [rectok, image-generation,")
    for text in (
        "# DiT^DH generator", "1.2 M numbers", "for 12 steps on 768 images", "was 0.1235",
        "- metric network of this project: proxy: resnet10t trained here (licence: trained here)\n",
        "| gFID | 2.270 | lower | proxy: resnet10t |\n", "- images per class: 50\n",
    ):  # fmt: skip
        assert text in card


def test_the_card_says_what_is_not_known() -> None:
    card = render(facts(training={}, metrics=[], protocol={}, helpers=[]))
    assert "Nothing is recorded about its training." in card and "It has not been evaluated here." in card
    card = render(facts(training={"trained": False, "source": "s3://w/dit"}))
    assert "the weights were taken from `s3://w/dit`" in card
    card = render(facts(source={"file": "x.pth", "sha256": "00", "weights": "model_ema"}))
    assert "Imported from the published checkpoint `x.pth` (sha256 `00`; weights:\n`model_ema`)." in card
