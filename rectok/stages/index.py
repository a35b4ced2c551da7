"""Index the source: every image with its label, split, shard and sha256."""

from pathlib import Path
from typing import Any

from rectok import artifacts
from rectok.data.data_config import IndexConfig, is_table
from rectok.data.index_builder import Index, build_index
from rectok.data.sources.labels import open_labels
from rectok.data.sources.opening import is_local, open_source
from rectok.data.tables import IndexRow, write_table
from rectok.errors import UserError
from rectok.params import Params


def run(params: Params) -> None:
    """Write data/index: a table per shard (an empty one where nothing falls), classes.json and summary.json."""
    source = open_source(params.index.source, params.index.image)
    _check_watch(params.index)
    with open_labels(params.index.labels) as labels, build_index(source, labels, params.index) as index:
        summary = _write(index)
    counts = ", ".join(f"{count} {split}" for split, count in summary["splits"].items())
    left_out = "".join(f", {each['files']} left out ({reason})" for reason, each in summary.get("left_out", {}).items())
    print(
        f"{summary['images']} images of {len(index.classes)} classes ({counts}), "
        f"{summary['duplicates']} duplicates{left_out}"
    )


def _write(index: Index) -> dict[str, Any]:
    for shard in index.config.shards:
        write_table(artifacts.index_file(shard), index.rows(shard), IndexRow)
    for stale in artifacts.stage_dir("index").glob("*.parquet"):
        if stale.stem not in index.config.shards:
            stale.unlink()
    artifacts.write_json(artifacts.classes_file(), list(index.classes))
    summary = index.summary()
    artifacts.write_json(artifacts.summary_file("index"), summary)
    return summary


def _check_watch(config: IndexConfig) -> None:
    """What is read on this machine must lie below what DVC watches, or a changed image or label would go unseen."""
    read = {"source": config.source}
    if is_table(config.labels):
        read["labels"] = config.labels
    for name, path in read.items():
        if is_local(path) and not Path(path).resolve().is_relative_to(Path(config.watch).resolve()):
            raise UserError(
                f"index.watch is {config.watch}, so changes of index.{name} {path} would go unseen; "
                f"set index.watch to {path if name == 'source' else 'a folder that holds both'}"
            )
