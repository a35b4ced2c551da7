"""pandera schemas of the tables of index and shards. Only gates may import them, since pandera is slow to import."""

import pandera.pandas as pa

from rectok.data.data_config import SPLITS

_COUNT = pa.Check.ge(0)


def _digits(count: int) -> pa.Check:
    return pa.Check.str_matches(f"^[0-9a-f]{{{count}}}$", name=f"{count} hex digits")


KEY = pa.Column(str, _digits(16), unique=True)
SHA256 = pa.Column(str, _digits(64))
SPLIT = pa.Column(str, pa.Check.isin(list(SPLITS)))
NAME = pa.Column(str, pa.Check.str_length(min_value=1))

INDEX = pa.DataFrameSchema(
    {
        "key": KEY,
        "uri": NAME,
        "label": pa.Column("int64", _COUNT),
        "split": SPLIT,
        "bytes": pa.Column("int64", _COUNT),
        "sha256": SHA256,
    },
    checks=pa.Check(lambda table: table["sha256"].str[:16] == table["key"], name="key is the start of sha256"),
    strict=True,
)
"""One shard's images; rows of rectok.data.tables.IndexRow."""

SHARD = pa.DataFrameSchema(
    {
        "key": KEY,
        "label": pa.Column("int64", _COUNT),
        "split": SPLIT,
        "offset": pa.Column("int64", pa.Check.gt(0), unique=True),
        "size": pa.Column("int64", pa.Check.gt(0)),
        "sha256": SHA256,
    },
    strict=True,
)
"""The position of each PNG in the shard's tar, and its hash; rows of rectok.data.tables.ShardRow."""

QUARANTINE = pa.DataFrameSchema(
    {"key": KEY, "uri": NAME, "reason": NAME, "detail": pa.Column(str)},
    strict=True,
)
"""Unusable images; records of rectok.data.packing.Quarantined."""
