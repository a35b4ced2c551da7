"""The version tags of events: of the data, of the code, and of all inputs.

Dagster itself tags the events of its runs. This module gives the same tags to events that name their artefact's version
themselves: those of `dvc repro`, and those of a run of many shards.
"""

import dagster as dg

from orchestration import private
from orchestration.graph.model import Artefact


def data_version_tags(version: str) -> dict[str, str]:
    """The tags that give an event the data version `version`."""
    return {private.DATA_VERSION_TAG: version, private.DATA_VERSION_IS_USER_PROVIDED_TAG: "true"}


def version_tags(instance: dg.DagsterInstance, artefact: Artefact, data_version: str) -> dict[str, str]:
    """The tags of a materialization of `artefact` that was made from the current inputs."""
    return {**data_version_tags(data_version), **input_tags(instance, artefact)}


def input_tags(instance: dg.DagsterInstance, artefact: Artefact) -> dict[str, str]:
    """The tags that all shards of `artefact` share: of its code and its current inputs."""
    tags = {private.CODE_VERSION_TAG: artefact.version}
    for key in map(dg.AssetKey, artefact.inputs):
        record = instance.get_latest_data_version_record(key, is_source=False)
        pointer = str(record.storage_id) if record else private.NULL_EVENT_POINTER
        tags |= {
            private.get_input_data_version_tag(key): version_of(instance, key),
            private.get_input_event_pointer_tag(key): pointer,
        }
    return tags


def version_of(instance: dg.DagsterInstance, key: dg.AssetKey) -> str:
    """The data version of an asset's last event."""
    record = instance.get_latest_data_version_record(key, is_source=False)
    version = private.extract_data_version_from_entry(record.event_log_entry) if record else None
    return (version or private.DEFAULT_DATA_VERSION).value
