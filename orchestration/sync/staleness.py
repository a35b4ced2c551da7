"""Which artefacts are stale by Dagster's event log, so that "stale" in the UI always means what `dvc status` means."""

from dataclasses import dataclass, field
from functools import partial

import dagster as dg

from orchestration import private
from orchestration.assets.versions import version_of
from orchestration.graph.model import Artefact, Graph, Unit

Shard = str | None


@dataclass
class Staleness:
    """Says which units are stale by Dagster's event log. Comparisons of a partitioned input are cached."""

    instance: dg.DagsterInstance
    graph: Graph
    _changed: dict[tuple[dg.AssetKey, int], set[Shard]] = field(default_factory=dict)

    def of(self, artefact: Artefact, unit: Unit) -> bool:
        """Whether the last event of `unit` has another code version or other inputs. False if it has no event."""
        key = dg.AssetKey(artefact.name)
        record = self.instance.get_latest_data_version_record(key, is_source=False, partition_key=unit.shard)
        if record is None:
            return False
        provenance = private.extract_data_provenance_from_entry(record.event_log_entry)
        if provenance is None or provenance.code_version != artefact.version:
            return True
        return any(self._differs(dg.AssetKey(name), unit, provenance) for name in artefact.inputs)

    def _differs(self, key: dg.AssetKey, unit: Unit, provenance: dg.DataProvenance) -> bool:
        if not provenance.has_input_asset(key):
            return True
        if not any(artefact.shards for artefact in self.graph.artefacts if dg.AssetKey(artefact.name) == key):
            return version_of(self.instance, key) != provenance.input_data_versions[key].value
        changed = self._changed_since(key, provenance.input_storage_ids[key] or 0)
        return bool(changed) if unit.shard is None else unit.shard in changed

    def _changed_since(self, key: dg.AssetKey, pointer: int) -> set[Shard]:
        """The shards of an asset whose data version is not the one that it had at the event `pointer`."""
        if (key, pointer) not in self._changed:
            storage, event_type = self.instance.event_log_storage, dg.DagsterEventType.ASSET_MATERIALIZATION
            tags_of = partial(storage.get_latest_tags_by_partition, key, event_type, [private.DATA_VERSION_TAG])
            after, before = tags_of(after_cursor=pointer), tags_of(before_cursor=pointer + 1)
            self._changed[key, pointer] = {shard for shard, tags in after.items() if tags != before.get(shard)}
        return self._changed[key, pointer]
