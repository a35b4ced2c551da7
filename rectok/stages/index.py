"""Index the source: every image with its label, split, shard and sha256."""

from pathlib import Path

from rectok import artifacts
from rectok.data.config import IndexConfig
from rectok.data.index import build_index
from rectok.data.sources.opening import is_local, open_source
from rectok.data.tables import IndexRow, write_table
from rectok.errors import UserError
from rectok.params import Params


def run(params: Params) -> None:
    """Write data/index: a table per shard (an empty one where nothing falls), classes.json and summary.json."""
    source = open_source(params.index.source)
    _check_watch(params.index)
    index = build_index(source, params.index)
    for shard, rows in index.shards.items():
        write_table(artifacts.index_file(shard), rows, IndexRow)
    for stale in artifacts.stage_dir("index").glob("*.parquet"):
        if stale.stem not in index.shards:
            stale.unlink()
    artifacts.write_json(artifacts.classes_file(), list(index.classes))
    artifacts.write_json(artifacts.summary_file("index"), dict(index.summary))
    counts = ", ".join(f"{count} {split}" for split, count in index.summary["splits"].items())
    print(
        f"{index.summary['images']} images of {len(index.classes)} classes ({counts}), {index.summary['duplicates']} duplicates"
    )


def _check_watch(config: IndexConfig) -> None:
    """A local source must lie below what DVC watches, or a changed image would go unseen."""
    if is_local(config.source) and not Path(config.source).resolve().is_relative_to(Path(config.watch).resolve()):
        raise UserError(
            f"index.watch is {config.watch}, so changes of index.source {config.source} would go unseen; "
            f"set index.watch to {config.source}"
        )
