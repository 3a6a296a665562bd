"""Which shape a database has, and bringing it to this version's shape; everything in the one transaction it is given.

Story: a database without a revision gets all tables and the newest revision's name at once, since alembic would cost
every first start 200 ms and 12 MB; one with an older revision is migrated by alembic; an unknown revision is refused
untouched.
"""

from __future__ import annotations

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from aiculturekit.errors import Refused
from aiculturekit.language import say
from aiculturekit.state.schema import metadata

REVISIONS = ("0001", "0002", "0003")
"""Oldest first; a test holds this to be alembic's own order of `migrations/versions`."""

_stamp = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


def prepare(connection: Connection, *, where: str) -> None:
    """Bring the database to the newest revision. Raises Refused for one that is not known, and touches nothing."""
    present = current(connection)
    if present is None:
        _create(connection, revision=REVISIONS[-1], where=where)
    elif present not in REVISIONS:
        raise Refused(
            say(
                "{where} has a shape that this version does not know (revision {revision})",
                where=where,
                revision=present,
            ),
            hint=say("a newer AICultureKit wrote it: update, or set AIC_HOME to another folder; it was not touched"),
        )
    elif present != REVISIONS[-1]:
        # Late on purpose, like every heavy part: only an update of the product ever gets here. In place rather than in
        # a process of its own, because only so are migration and lock one transaction, undone whole when it fails.
        from aiculturekit.state.migrations import upgrades  # heavy: alembic, 200 ms and 12 MB

        upgrades.upgrade(connection, to=REVISIONS[-1])


def current(connection: Connection) -> str | None:
    """The revision that the database is stamped with; None for a fresh one."""
    if not inspect(connection).has_table(_stamp.name):
        return None
    return connection.scalar(select(_stamp.c.version_num))


def _create(connection: Connection, *, revision: str, where: str) -> None:
    if strangers := sorted(set(inspect(connection).get_table_names()) & set(metadata.tables)):
        raise Refused(
            say("{where} holds tables of something else: {tables}", where=where, tables=", ".join(strangers)),
            hint=say("name another database, or another schema of it (`?schema=NAME` on PostgreSQL)"),
        )
    metadata.create_all(connection)
    _stamp.create(connection, checkfirst=True)
    connection.execute(_stamp.insert().values(version_num=revision))
