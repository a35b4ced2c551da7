"""Decode, crop and pack one shard's images; what cannot be taken is listed with its reason."""

import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import IO

from rectok import artifacts
from rectok.data.bad_image import BadImage
from rectok.data.data_config import ImageConfig
from rectok.data.image_decoding import encode_png, prepare
from rectok.data.packing import Packed, Quarantined, write_quarantine, write_shard, write_treatments
from rectok.data.parallel_map import map_in_processes, map_in_threads, threads_for
from rectok.data.sources.image_source import Readable
from rectok.data.sources.opening import open_source
from rectok.data.tables import IndexRow, read_index
from rectok.data.thumbnails import png, thumbnail
from rectok.errors import UserError
from rectok.files import write_bytes
from rectok.params import Params

PICTURED = 200
"""Images that are left out of which there is a thumbnail."""
Content = tuple[IndexRow, bytes]
Outcome = Packed | Quarantined


def run(params: Params, shard: str) -> None:
    """Write data/shards/<shard>.tar, .parquet, .quarantine.json and .treatments.json; rows are in the order of the index.

    The tar is a pointer where `storage.shards` says that shards lie elsewhere.
    """
    index = read_index(artifacts.index_file(shard))
    _remove_pictures(index)
    artifacts.stage_dir("shards").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=artifacts.stage_dir("shards")) as spool:
        places, quarantined, treatments = _spool(_outcomes(params, index), spool)
        write_shard(shard, _packed(index, places, spool), params.storage.shards)
    write_quarantine(shard, quarantined)
    write_treatments(shard, treatments)
    print(f"shard {shard}: {len(places)} images packed, {len(quarantined)} quarantined")


def _outcomes(params: Params, index: list[IndexRow]) -> Iterator[Outcome]:
    """Every image of the shard, packed or not, in the order in which the source is read cheaply."""
    rows, config, workers = {row.uri: row for row in index}, params.image, params.machine.workers
    threads = threads_for(params.index.source)
    readables = open_source(params.index.source, params.index.image).read(list(rows))
    if workers < 2:
        return map_in_threads(lambda readable: _pack(config, _read(rows, readable)), readables, threads)
    return map_in_processes(partial(_pack, config), map_in_threads(partial(_read, rows), readables, threads), workers)


def _read(rows: Mapping[str, IndexRow], readable: Readable) -> Content:
    uri, read = readable
    row, content = rows[uri], read()
    if hashlib.sha256(content).hexdigest() != row.sha256:
        raise UserError(f"{uri} has changed since it was indexed; run the stage `index` again")
    return row, content


def _pack(config: ImageConfig, content: Content) -> Outcome:
    row, file = content
    try:
        image = prepare(file, config)
    except BadImage as bad:
        _picture(row, file, config)
        return Quarantined(row.key, row.uri, bad.reason, bad.detail)
    return Packed(row.key, row.label, row.split, encode_png(image.pixels), image.treatments)


def _remove_pictures(index: list[IndexRow]) -> None:
    """Remove the thumbnails of the shard's last run: the images may be fine now."""
    keys = {row.key for row in index}
    for path in artifacts.docs_dir("shards").glob("*.png"):
        if path.stem in keys:
            path.unlink(missing_ok=True)


def _picture(row: IndexRow, file: bytes, config: ImageConfig) -> None:
    """Keep a thumbnail of an image that is left out, for the page of the index; of the first PICTURED here."""
    path = artifacts.quarantine_picture(row.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    room = sum(1 for _ in path.parent.iterdir()) < PICTURED
    if room and (small := thumbnail(file, config)) is not None:
        write_bytes(path, png(small))


def _spool(
    outcomes: Iterator[Outcome], spool: IO[bytes]
) -> tuple[dict[str, tuple[int, int]], list[Quarantined], Counter[str]]:
    """Images come in the order in which the source is read cheaply: keep them on disk until the index's order is known."""
    places, quarantined, treatments = {}, [], Counter[str]()
    for outcome in outcomes:
        if isinstance(outcome, Quarantined):
            quarantined.append(outcome)
        else:
            places[outcome.key] = (spool.tell(), len(outcome.png))
            spool.write(outcome.png)
            treatments.update(outcome.treatments)
    return places, quarantined, treatments


def _packed(index: list[IndexRow], places: Mapping[str, tuple[int, int]], spool: IO[bytes]) -> Iterator[Packed]:
    for row in index:
        if row.key in places:
            offset, size = places[row.key]
            spool.seek(offset)
            yield Packed(row.key, row.label, row.split, spool.read(size))
