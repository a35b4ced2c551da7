"""Dagster's SQLite storage, which waits longer while another process writes, as a backup or a slow disk may do for a minute."""

from typing import Any, Self

from orchestration.private_storage import DagsterSqliteStorage, sqlite_event_log

BUSY_SECONDS = 120
"""How long a query waits for a lock before it fails. Dagster waits 5 s for runs and schedules, and 30 s for events."""


class SqliteStorage(DagsterSqliteStorage):
    """`storage.custom` of dagster.yaml."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        super().__init__(base_dir, inst_data)
        for storage in (self._run_storage, self._schedule_storage):
            storage._conn_string += f"?timeout={BUSY_SECONDS}"  # SQLAlchemy hands it to sqlite3.connect
        sqlite_event_log.SQLITE_BUSY_TIMEOUT_SECONDS = BUSY_SECONDS  # type: ignore[attr-defined]

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Self:
        """Dagster's own makes its own class."""
        return cls.from_local(inst_data=inst_data, **config_value)
