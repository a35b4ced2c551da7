"""Versions as Dagster keeps them on events: of the data, of the code, and of everything that it was made from.

Runs of assets get these tags from Dagster itself; what DVC made outside gets the same ones from here, so that "stale" in
the UI means for both what `dvc status` means.
"""

from dataclasses import dataclass, field

from dagster import AssetKey, DagsterEventType, DagsterInstance
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    DEFAULT_DATA_VERSION,
    NULL_EVENT_POINTER,
    DataProvenance,
    extract_data_provenance_from_entry,
    extract_data_version_from_entry,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

from orchestration.graph.model import Artefact, Graph, Unit

SOURCE = AssetKey("source")
"""What comes from outside: the paths that stages read and no stage makes, as one asset."""

Shard = str | None


def parents(artefact: Artefact) -> list[AssetKey]:
    """What an artefact is made from: other artefacts, and the data that comes from outside."""
    outside = [SOURCE] if artefact.sources else []
    return [*map(AssetKey, artefact.parents), *outside]


def tags(instance: DagsterInstance, artefact: Artefact, data_version: str) -> dict[str, str]:
    """What a materialization of `artefact` carries that is made from what there is now."""
    found = {
        DATA_VERSION_TAG: data_version,
        DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
        CODE_VERSION_TAG: artefact.version,
    }
    for key in parents(artefact):
        record = instance.get_latest_data_version_record(key, is_source=False)
        pointer = str(record.storage_id) if record else NULL_EVENT_POINTER
        found |= {get_input_data_version_tag(key): version_of(instance, key), get_input_event_pointer_tag(key): pointer}
    return found


def version_of(instance: DagsterInstance, key: AssetKey) -> str:
    """The data version of an asset's last event."""
    record = instance.get_latest_data_version_record(key, is_source=False)
    version = extract_data_version_from_entry(record.event_log_entry) if record else None
    return (version or DEFAULT_DATA_VERSION).value


@dataclass
class Staleness:
    """Tells which units Dagster takes for stale, from its event log as it is when first asked."""

    instance: DagsterInstance
    graph: Graph
    _changed: dict[tuple[AssetKey, int], set[Shard]] = field(default_factory=dict)

    def of(self, artefact: Artefact, unit: Unit) -> bool:
        """Whether the last event of `unit` tells of other code or other inputs than there are; False where it has none."""
        record = self.instance.get_latest_data_version_record(
            AssetKey(artefact.name), is_source=False, partition_key=unit.shard
        )
        if record is None:
            return False
        provenance = extract_data_provenance_from_entry(record.event_log_entry)
        if provenance is None or provenance.code_version != artefact.version:
            return True
        return any(self._differs(key, unit, provenance) for key in parents(artefact))

    def _differs(self, key: AssetKey, unit: Unit, provenance: DataProvenance) -> bool:
        if not provenance.has_input_asset(key):
            return True
        if not self._shards(key):
            return version_of(self.instance, key) != provenance.input_data_versions[key].value
        changed = self._changed_since(key, provenance.input_storage_ids[key] or 0)
        return bool(changed) if unit.shard is None else unit.shard in changed

    def _shards(self, key: AssetKey) -> tuple[str, ...]:
        return next((a.shards for a in self.graph.artefacts if AssetKey(a.name) == key), ())

    def _changed_since(self, key: AssetKey, pointer: int) -> set[Shard]:
        """The shards of an asset whose data version is another than it was at the event `pointer`."""
        if (key, pointer) not in self._changed:
            kind, wanted = DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG]
            storage = self.instance.event_log_storage
            after = storage.get_latest_tags_by_partition(key, kind, wanted, after_cursor=pointer)
            before = storage.get_latest_tags_by_partition(key, kind, wanted, before_cursor=pointer + 1)
            self._changed[key, pointer] = {shard for shard, found in after.items() if found != before.get(shard)}
        return self._changed[key, pointer]
