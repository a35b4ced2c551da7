"""How figures are named and written for people. No torch here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shown:
    """A figure's `title`, how it is `written` (a format with the value), and which value is `better`."""

    title: str
    written: str
    better: str


HIGHER, LOWER = "higher", "lower"
FIGURES = {
    "psnr": Shown("PSNR", "{:.2f} dB", HIGHER),
    "ssim": Shown("SSIM", "{:.4f}", HIGHER),
    "lpips": Shown("LPIPS", "{:.4f}", LOWER),
    "rfid": Shown("rFID", "{:.3f}", LOWER),
    "gfid": Shown("gFID", "{:.3f}", LOWER),
    "gfid_guided": Shown("gFID, guided", "{:.3f}", LOWER),
    "gfid_floor": Shown("gFID of real held-out images", "{:.3f}", LOWER),
    "inception_score": Shown("Inception Score", "{:.2f}", HIGHER),
    "inception_score_guided": Shown("Inception Score, guided", "{:.2f}", HIGHER),
    "precision": Shown("Precision", "{:.3f}", HIGHER),
    "recall": Shown("Recall", "{:.3f}", HIGHER),
    "precision_guided": Shown("Precision, guided", "{:.3f}", HIGHER),
    "recall_guided": Shown("Recall, guided", "{:.3f}", HIGHER),
    "sample_accuracy": Shown("Samples recognised", "{:.1%}", HIGHER),
    "sample_accuracy_guided": Shown("Samples recognised, guided", "{:.1%}", HIGHER),
    "metric_network_accuracy": Shown("Real images recognised", "{:.1%}", HIGHER),
    "reconstruction_accuracy": Shown("Reconstructions recognised", "{:.1%}", HIGHER),
    "semantic_accuracy": Shown("Probe of the semantic decoder", "{:.1%}", HIGHER),
}
NONE = "—"


@dataclass(frozen=True)
class Figure:
    """A figure as people read it: title, value, which value is better, and the network that computed it."""

    title: str
    value: str
    better: str
    network: str


def for_people(
    figures: Mapping[str, Any], networks: Mapping[str, str], names: Iterable[str] = tuple(FIGURES)
) -> list[Figure]:
    """Those of `names` that are among the `figures` of evaluations, whose `networks` have the same keys."""
    return [
        Figure(FIGURES[name].title, written(name, figures[name]), FIGURES[name].better, networks[name])
        for name in names
        if name in figures
    ]


def probe_for_people(figures: Mapping[str, Any], networks: Mapping[str, str]) -> list[Figure]:
    """The probe at every time, where it is among the `figures`."""
    return [
        Figure(f"Linear probe at t = {point['t']:g}", f"{point['accuracy']:.1%}", HIGHER, networks["probe"])
        for point in figures.get("probe", ())
    ]


def written(name: str, value: float | None) -> str:
    """The value of figure `name`, for people; a dash where there is none."""
    return NONE if value is None else FIGURES[name].written.format(value)


def duration(seconds: float) -> str:
    """Seconds for people: 9.5 s, 2 min 05 s, 3 h 20 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min"
