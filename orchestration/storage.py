"""Dagster's SQLite storage, in which runs and schedules wait for a lock as long as events do."""

from typing import Any, Self

from orchestration.private import DagsterSqliteStorage

BUSY_SECONDS = 30
"""How long a query waits while another process writes. Dagster waits as long for events, but 5 s for runs and schedules."""


class SqliteStorage(DagsterSqliteStorage):
    """`storage.custom` of dagster.yaml."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        super().__init__(base_dir, inst_data)
        for storage in (self._run_storage, self._schedule_storage):
            storage._conn_string += f"?timeout={BUSY_SECONDS}"  # SQLAlchemy hands it to sqlite3.connect

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> Self:
        """Dagster's own makes its own class."""
        return cls.from_local(inst_data=inst_data, **config_value)
