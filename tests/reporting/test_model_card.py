"""The model card speaks for what is exported."""

from rectok.reporting.model_card import render
from rectok.reporting.model_facts import Facts, Helper, Part
from rectok.reporting.summary import MetricRow


def facts(**changes: object) -> Facts:
    plain: dict[str, object] = {
        "kind": "generator",
        "sizes": "Images of 16×16 pixels",
        "method": "a RecTok (arXiv 2512.13421)",
        "parts": [Part("The tokenizer", 1_234_567, "trained for 12 steps"), Part("Its decoder", 0, "kept")],
        "helpers": [Helper("Metric network", "proxy: resnet10t trained here", "trained here")],
        "metrics": [MetricRow("gFID", "2.270", "lower", "proxy: resnet10t")],
        "protocol": {"generation": {"images_per_class": 50}},
    }
    return Facts(**{**plain, **changes})  # type: ignore[arg-type]


def test_the_card_tells_protocol_figures_and_proxies() -> None:
    card = render(facts(), "org/name")
    assert card.startswith("---\nlibrary_name: rectok\nlicense: other\ntags: [rectok, diffusers,")
    for text in (
        "# DiT^DH generator with its tokenizer\n\nImages of 16×16 pixels. The tokenizer is a RecTok (arXiv 2512.13421). "
        "DiT^DH is the generator of RAE (arXiv 2510.11690).\n\n```python\n",
        'generator = Generator.from_pretrained("org/name")\n',
        'DiffusionPipeline.from_pretrained("org/name", trust_remote_code=True)\n',
        "- The tokenizer (1.23 M numbers in all tensors): trained for 12 steps.\n- Its decoder: kept.\n",
        "- Metric network: proxy: resnet10t trained here (licence: trained here)\n",
        "| gFID | 2.270 | lower | proxy: resnet10t |\n", "- images per class: 50\n",
    ):  # fmt: skip
        assert text in card
    assert "It has not been evaluated here." in render(facts(metrics=[], protocol={}))


def test_the_code_of_the_card_is_that_of_its_kind() -> None:
    assert 'Tokenizer.from_pretrained(".")' in render(facts(kind="tokenizer"))
    for kind in ("dit", "autoguidance"):
        card = render(facts(kind=kind, method=""))
        assert 'load_dit(Path("."))' in card and "16×16 pixels. DiT^DH is the generator" in card
