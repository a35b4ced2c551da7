"""EMA samples of every class, unguided and guided, against real images: gFID, KID, IS, precision, recall, labels."""

from rectok.artifacts import stage_dir
from rectok.evaluation.generation import Samples
from rectok.evaluation.records import write_record
from rectok.params import Params
from rectok.reporting.images import by_class, enlarged, grid, write_png
from rectok.trainers.sampling import sampled

ROWS, COLUMNS = 10, 10


def run(params: Params) -> None:
    """Write data/generation: record.json, by-class grids unguided.png and guided.png, and preview.png (enlarged)."""
    measured = sampled(params, "generation", "generation", params.generation.per_class)
    write_record("generation", measured.record)
    _write_pictures(measured.samples)


def _write_pictures(samples: Samples) -> None:
    labels = samples.labels.numpy()
    folder = stage_dir("generation")
    columns = min(COLUMNS, int((labels == labels[0]).sum()))
    for name, images in (("unguided", samples.unguided), ("guided", samples.guided)):
        write_png(folder / f"{name}.png", grid(by_class(images.numpy(), labels, ROWS, columns), columns))
    write_png(folder / "preview.png", grid(enlarged(by_class(samples.guided.numpy(), labels, ROWS, columns)), columns))
