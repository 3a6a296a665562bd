"""The tables of the state database: what migrations lead to, and what the repositories read and write.

Times are seconds since the epoch (UTC). Invariants that must hold under any writer are indexes here, not code
elsewhere.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Words(TypeDecorator[str]):
    """Text from outside: what not every database can hold (NUL, halves of surrogate pairs) becomes U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return _UNSTORABLE.sub("\ufffd", value) if isinstance(value, str) else value


settings = Table(
    "settings",
    metadata,
    Column("name", Words, primary_key=True),
    Column("value", Words, nullable=False),
)

ports = Table(
    "ports",
    metadata,
    Column("name", Words, primary_key=True),
    Column("port", Integer, nullable=False, unique=True),
)

documents = Table(
    "documents",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("app", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("body", JSON, nullable=False),
    UniqueConstraint("app", "kind", "name"),
)

releases = Table(
    "releases",
    metadata,
    Column("app", Words, nullable=False),
    Column("number", Integer, nullable=False, autoincrement=False),
    Column("environment", Words, nullable=False),
    Column("author", Words, nullable=False),
    Column("reason", Words, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("finished_at", Double),
    Column("state", Words, nullable=False),
    Column("file", Words, nullable=False),
    Column("text", Words, nullable=False),
    Column("documents", JSON, nullable=False),
    Column("steps", JSON, nullable=False),
    Column("sources", JSON, nullable=False),
    Column("verb", Words, nullable=False, server_default=""),
    Column("began_at", Double),
    Column("revision", Words, nullable=False, server_default=""),
    Column("committed_at", Double),
    PrimaryKeyConstraint("app", "number"),
)
_is_current = text("state = 'current'")
_one_release = Index("one_current_release", releases.c.app, unique=True, sqlite_where=_is_current)

operations = Table(
    "operations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("app", Words, nullable=False),
    Column("verb", Words, nullable=False),
    Column("author", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("release", Integer),
    Column("wanted", JSON, nullable=False),
    Column("before", JSON, nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("started_at", Double, nullable=False),
    Column("finished_at", Double),
    Index("operations_of_app", "app", "id"),
    sqlite_autoincrement=True,
)
_is_running = text("state = 'running'")
_one_operation = Index("one_running_operation", operations.c.app, unique=True, sqlite_where=_is_running)
PARTIAL = {_one_release: _is_current, _one_operation: _is_running}
"""Indexes over some rows only. To name PostgreSQL's option here would load its dialect into every daemon: 70 ms."""

operation_steps = Table(
    "operation_steps",
    metadata,
    Column("operation", ForeignKey("operations.id", ondelete="CASCADE"), nullable=False),
    Column("index", Integer, nullable=False, autoincrement=False),
    Column("step", JSON, nullable=False),
    Column("state", Words, nullable=False),
    Column("error", Words),
    PrimaryKeyConstraint("operation", "index"),
)

replicas = Table(
    "replicas",
    metadata,
    Column("id", Words, primary_key=True),
    Column("app", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("version", Words, nullable=False),
    Column("revision", Words, nullable=False),
    Column("release", Integer, nullable=False),
    Column("pid", Integer),
    Column("created", Double),
    Column("port", Integer),
    Column("log", Words),
    Column("has_served", Boolean, nullable=False),
    Column("workload", JSON, nullable=False),
)

credentials = Table(
    "credentials",
    metadata,
    Column("app", Words, nullable=False),
    Column("resource", Words, nullable=False),
    Column("user", Words, nullable=False),
    Column("workload", Words, nullable=False),
    Column("number", Integer, nullable=False),
    Column("password", Words, nullable=False),
    Column("created_at", Double, nullable=False),
    PrimaryKeyConstraint("app", "resource", "user"),
)

deploys = Table(
    "deploys",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("app", Words, nullable=False),
    Column("environment", Words, nullable=False),
    Column("target", Words, nullable=False),
    Column("verb", Words, nullable=False),
    Column("author", Words, nullable=False),
    Column("release", Integer),
    Column("started_at", Double, nullable=False),
    Column("finished_at", Double, nullable=False),
    Column("outcome", Words, nullable=False),
    Column("message", Words, nullable=False),
    Column("revision", Words, nullable=False),
    Column("committed_at", Double),
    Index("deploys_by_time", "finished_at"),
    sqlite_autoincrement=True,
)

changes = Table(
    "changes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("app", Words, nullable=False),
    Column("workload", Words, nullable=False),
    Column("kind", Words, nullable=False),
    Column("message", Words, nullable=False),
    Column("level", Words, nullable=False),
    Column("author", Words, nullable=False),
    Index("changes_of_app", "app", "id"),
    sqlite_autoincrement=True,
)
