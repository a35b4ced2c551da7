"""The names that the project takes from Dagster's private storage, whose import with SQLAlchemy takes as long as Dagster's own.

The definitions load without it.
"""

# The instance's storage hands out the slots of pools. Its public base class has no methods for them.
from dagster._core.storage.event_log import SqlEventLogStorage

# How long SQLite waits for a lock: 5 s for runs and schedules, and 30 s for events. No setting of dagster.yaml changes that.
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage

__all__ = ["DagsterSqliteStorage", "SqlEventLogStorage", "sqlite_event_log"]
