"""The embedded store: one SQLite file per client."""

from engine.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
