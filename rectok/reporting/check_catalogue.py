"""The one table of checks: every check that each gate makes, what it says, and the parameter behind its limit. No torch here.

To add a check, add an entry here and yield it in its gate; `tests/reporting/test_check_catalogue.py` fails while only one of
both exists.
Dagster shows one asset check per entry, and a failed gate names the parameters.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from rectok.artifacts import Severity


@dataclass(frozen=True)
class CheckKind:
    """One check of a gate: what it says in words, and the field of gates.GATE with its limit, empty where no field is it.

    `severity` is the worst one; None leaves it to gates.GATE.drift.severity. With `start`, all checks whose names begin so are
    of this kind.
    """

    name: str
    what: str
    threshold: str = ""
    severity: Severity | None = "ERROR"
    start: str = ""

    @property
    def identifier(self) -> str:
        """The name as letters, digits and underscores."""
        return re.sub(r"\W+", "_", self.name)

    def covers(self, name: str) -> bool:
        """Whether a check called `name` is of this kind."""
        return name == self.name or (bool(self.start) and name.startswith(self.start))


Kinds = tuple[CheckKind, ...]


def _drift(name: str, what: str) -> CheckKind:
    return CheckKind(name, f"{what}, since `rectok baseline index`", severity=None)


def _network() -> Kinds:
    """Of a frozen network."""
    return (
        CheckKind("weights whole", "The weights on disk are those that were written"),
        CheckKind("sha256", "The weights are those that the parameters name"),
        CheckKind("held-out images", "There are held-out images to measure the accuracy on"),
        CheckKind("val accuracy", "Accuracy on the validation split, if the network was trained here", "min_accuracy"),
        CheckKind("test accuracy", "Accuracy on the test split, if the network was trained here", "min_accuracy"),
        CheckKind("accuracy", "Stands for the accuracies where images have no labels", "min_accuracy"),
        CheckKind("mean", "Images are normalised with the mean that timm records", severity="WARN"),
        CheckKind("std", "Images are normalised with the std that timm records", severity="WARN"),
        CheckKind("image_size", "Images have the side that timm records", severity="WARN"),
        CheckKind("interpolation", "Images are resized as timm records", severity="WARN"),
    )


def _training(loss_ratio: str = "") -> Kinds:
    return (
        CheckKind("loss finite", "Every value of the training log is finite"),
        CheckKind("loss falls", "The last tenth of the loss over the first tenth", loss_ratio),
        CheckKind("ema differs", "The distance of the averaged weights from the raw ones"),
        CheckKind("adversary", "The adversary has not won: its loss at the end", severity="WARN"),
        CheckKind("weights whole", "The weights on disk are those that were written"),
        CheckKind("params", "params.yaml did not change while the stage ran"),
    )


def _generator() -> Kinds:
    return (
        *_training("max_loss_ratio"),
        CheckKind("samples vary", "The std across preview samples", "min_sample_std"),
    )


RECORD: Kinds = (
    CheckKind("schema", "Every metric is there and possible, and no other"),
    CheckKind("networks", "Every metric names the network that computed it"),
)
"""Of the record of an evaluation."""

CHECKS: Mapping[str, Kinds] = {
    "index": (
        CheckKind("schema", "Every table of the index is well-formed"),
        CheckKind("count", "The tables hold as many images as were indexed"),
        CheckKind("unique keys", "Images whose key another image has"),
        CheckKind("unique contents", "Images whose content another image has"),
        CheckKind("label range", "The highest label is one of a class"),
        CheckKind("file sizes", "The smallest file is not empty", severity="WARN"),
        CheckKind("no leak", "Contents that lie in several splits"),
        CheckKind("every split", "Images of the smallest split that stages read"),
        CheckKind("classes without images", "Classes that the source names and that have no image", severity="WARN"),
        CheckKind("images per class", "Images of the smallest class", "min_per_class"),
        CheckKind("training images per class", "Training images of the smallest class"),
        CheckKind("class balance", "The largest class over the smallest", "max_imbalance"),
        _drift("class drift", "The share of images that would have to change class"),
        _drift("brightness drift", "The change of the mean pixel"),
        _drift("size drift", "The relative change of the median file size"),
        _drift("side drift", "The relative change of the median side"),
        _drift("more images alike", "More pairs of images that look alike"),
    ),
    "shards": (
        CheckKind("schema", "The shard's table is well-formed"),
        CheckKind("quarantine schema", "The list of images that were left out is well-formed"),
        CheckKind("rows", "Rows that are intact, decode and have the right size"),
        CheckKind("layout", "The tar holds an image and a label for every row, in order"),
        CheckKind("accounted", "Images of the index that were packed or listed as bad"),
        # Its message names the limit over all shards, so that no limit of this shard is advised.
        CheckKind("quarantined", "The share of images that were left out (limit: gates.shards.max_quarantined)"),
        CheckKind("quarantined by reason", "Images that were left out", severity="WARN", start="quarantined: "),
        CheckKind("treatments", "The counts of images that were converted are possible"),
    ),
    "teacher": _network(),
    "features": (
        CheckKind("keys", "Rows belong to the shard's images"),
        CheckKind("made from this teacher", "The teacher is the one that made them"),
        CheckKind("made from this shard", "The shard is the one that they were made from"),
        CheckKind("storage", "They are stored as features.storage says"),
        CheckKind("shape", "Orientations and tokens of an image"),
        CheckKind("intact", "Stored bytes are those that were written"),
        CheckKind("finite", "Every value is finite"),
        CheckKind("norm spread", "The largest norm of a token over the median"),
        CheckKind("no empty token", "No token is zero", severity="WARN"),
        CheckKind("cosine error", "1 − cosine between stored and recomputed features", "max_cosine_error"),
    ),
    "metric_network": _network(),
    "tokenizer": (
        *_training(),
        CheckKind("psnr", "PSNR on the validation split (dB)", "min_psnr"),
        CheckKind("latent std", "The smallest std of a latent channel", "min_latent_std"),
        CheckKind("semantic cosine", "Cosine of predicted and teacher features", "min_semantic_cosine"),
    ),
    "decoder": (*_training(), CheckKind("psnr gain", "PSNR after minus before finetuning (dB)", "max_psnr_loss")),
    "latents": (
        CheckKind("images", "Rows belong to the shard's images"),
        CheckKind("intact", "Rows whose bytes are those that were written"),
        CheckKind("finite", "Rows whose values are finite"),
        CheckKind("largest mean", "The largest |posterior mean|", "max_abs_mean"),
    ),
    "statistics": (
        CheckKind("tokenizer", "The statistics are of this tokenizer"),
        CheckKind("latents' tokenizer", "The latents are of this tokenizer"),
        CheckKind("smallest std", "The smallest std of a latent channel", "min_std"),
        CheckKind("training images", "There are latents of training images"),
        CheckKind("collapsed channels", "The share of channels that hold nothing", "max_collapsed"),
        CheckKind("normalised mean", "The largest |mean| of a normalised channel", "max_mean"),
        CheckKind("normalised std", "The largest |std − 1| of a normalised channel", "max_std_error"),
    ),
    "dit": _generator(),
    "autoguidance": _generator(),
    "reconstruction": (
        *RECORD,
        CheckKind("psnr", "PSNR of held-out images (dB)", "min_psnr"),
        CheckKind("rfid", "rFID of held-out images", "max_rfid"),
    ),
    "probe": (
        *RECORD,
        CheckKind("accuracy at t", "Accuracy of the probe at t = gates.probe.at", "min_accuracy", start="accuracy at t = "),
    ),
    "generation": (
        *RECORD,
        CheckKind("sample accuracy", "Samples whose label the metric network predicts", "min_accuracy"),
        CheckKind("sample accuracy guided", "The same of guided samples", "min_accuracy_guided"),
        CheckKind("gfid", "gFID of unguided samples", "max_gfid"),
    ),
    "report": (
        CheckKind("not empty", "The page has text"),
        CheckKind("opens without network", "The page asks for nothing from outside"),
        CheckKind("links resolve", "Every link of the page leads somewhere"),
        CheckKind("megabytes", "The size of the page (MiB)", "max_megabytes"),
    ),
}  # fmt: skip


def kind_of(gate: str, name: str) -> CheckKind | None:
    """The kind of a gate's check called `name`; None if the table has none, as of a treatment of images."""
    return next((kind for kind in CHECKS.get(gate, ()) if kind.covers(name)), None)


def described(gate: str, name: str) -> str:
    """What a gate's check called `name` says; empty if the table has none."""
    kind = kind_of(gate, name)
    return kind.what if kind else ""
