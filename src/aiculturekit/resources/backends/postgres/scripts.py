"""What a PostgreSQL server is told, as scripts for psql. Pure. Each may be run again: it makes true what is not, and says nothing else.

`\\gexec` runs what a query answers: statements that have no `IF NOT EXISTS` of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from aiculturekit.resources import scram
from aiculturekit.resources.servers import Credential

_ROLES = ("read", "write", "admin")
_PRIVILEGES = {
    "TABLES": ("SELECT", "SELECT, INSERT, UPDATE, DELETE"),
    "SEQUENCES": ("SELECT", "SELECT, USAGE, UPDATE"),
}
_SCHEMAS = {"SCHEMAS": ("USAGE", "USAGE")}
"""Kind of object -> what readers and what writers may do with it. Schemas have default privileges of a whole database only."""
TABLES = """
    SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1
"""
"""A query for all tables, as identifiers."""
ARCHIVED = "SELECT last_archived_wal FROM pg_stat_archiver WHERE length(last_archived_wal) = 24;"
"""A query for the last part of the log that the server has handed over."""
VIEWER = "aic_viewer"
"""The login of whoever looks into a database: it reads, and comes through the socket only, since it has no password."""
USUAL_EXTENSIONS = ("pg_stat_statements",)


def databases(name: str, body: Mapping[str, Any]) -> list[str]:
    """The databases of the resource `name`, the one that its URL names first."""
    return list(dict.fromkeys([name.replace("-", "_"), *body.get("databases", ())]))


def hashed(credential: Credential) -> str:
    """The password as the server keeps it, as a literal: it cannot be read back."""
    return text(scram.verifier(credential.password))


def cluster(
    names: Sequence[str], credentials: Sequence[Credential], *, password: Callable[[Credential], str] = hashed
) -> str:
    """What is true of the whole server: the roles, the databases with these names, the logins with what `password` says, an expression."""
    return "\n".join([*_roles(), *_databases(names), *_logins(credentials, password)])


def contents(database: str, *, extensions: Sequence[str] = ()) -> str:
    """What is true within one database: who may do what with what is there, and with what will be."""
    return "\n".join(_contents(database, extensions))


def connect(database: str) -> str:
    """What follows happens in that database."""
    return f"\\connect {name(database)}"


def strangers(users: Sequence[str], *, owner: str) -> str:
    """A query for the logins that are none of `users`."""
    wanted = ", ".join(map(text, users)) or "''"
    return f"""
        SELECT DISTINCT rolname FROM pg_auth_members JOIN pg_roles r ON r.oid = member
        WHERE roleid::regrole::text IN ('aic_read', 'aic_write', 'aic_admin') AND rolcanlogin
        AND rolname NOT IN ({text(owner)}, {text(VIEWER)}, {wanted});
    """


def shut_out(users: Sequence[str], *, owner: str) -> str:
    """Whoever is none of `users` comes in no more, and what is open of theirs ends; what they own stays."""
    found = strangers(users, owner=owner).strip().rstrip(";")
    return (
        f"SELECT format('ALTER ROLE %I NOLOGIN', rolname) FROM ({found}) gone \\gexec\n"
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity JOIN pg_roles ON usename = rolname WHERE NOT rolcanlogin;"
    )


def expel(user: str) -> str:
    """The login is closed, and its connections end."""
    end = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = {text(user)};"
    return f"ALTER ROLE {name(user)} NOLOGIN;\n{end}"


def inherit(user: str) -> str:
    """In each database, before it is dropped: what it owns goes to the administrators."""
    return f"REASSIGN OWNED BY {name(user)} TO aic_admin; DROP OWNED BY {name(user)};"


def counts(tables: Sequence[str]) -> str:
    """Queries for (table, rows, sum of the rows' digests) of each of the tables, which are identifiers already."""
    total = "coalesce(sum(hashtextextended(t::text, 0)), 0)"
    return "\n".join(f"SELECT {text(table)}, count(*), {total} FROM {table} t;" for table in tables)


def drop(user: str) -> str:
    return f"DROP ROLE {name(user)};"


def name(value: str) -> str:
    """As an identifier."""
    return '"' + value.replace('"', '""') + '"'


def text(value: str) -> str:
    """As a literal; the server's standard_conforming_strings is on, so that a backslash is one."""
    return "'" + value.replace("'", "''") + "'"


def _unless(exists: str, statement: str) -> str:
    return f"SELECT {text(statement)} WHERE NOT EXISTS ({exists}) \\gexec"


def _roles() -> Iterator[str]:
    for verb in _ROLES:
        yield _unless(f"SELECT FROM pg_roles WHERE rolname = 'aic_{verb}'", f"CREATE ROLE aic_{verb}")
    yield _unless(f"SELECT FROM pg_roles WHERE rolname = '{VIEWER}'", f"CREATE ROLE {VIEWER} LOGIN IN ROLE aic_read")
    yield f"ALTER ROLE {VIEWER} SET default_transaction_read_only = on; ALTER ROLE {VIEWER} SET temp_file_limit = '256MB';"


def _databases(names: Sequence[str]) -> Iterator[str]:
    for database in names:
        exists = f"SELECT FROM pg_database WHERE datname = {text(database)}"
        yield _unless(exists, f"CREATE DATABASE {name(database)} OWNER aic_admin")


def _logins(credentials: Sequence[Credential], password: Callable[[Credential], str]) -> Iterator[str]:
    for credential in credentials:
        user = name(credential.user)
        yield _unless(f"SELECT FROM pg_roles WHERE rolname = {text(credential.user)}", f"CREATE ROLE {user}")
        yield f"ALTER ROLE {user} LOGIN PASSWORD {password(credential)};"
        for verb in _ROLES:
            yield f"GRANT aic_{verb} TO {user};" if verb == credential.verb else _revoke(verb, credential.user)
        is_admin = credential.verb == "admin"
        yield f"ALTER ROLE {user} SET role = 'aic_admin';" if is_admin else f"ALTER ROLE {user} RESET role;"


def _revoke(verb: str, user: str) -> str:
    """Only where there is something to revoke: PostgreSQL warns otherwise."""
    member = (
        "SELECT FROM pg_auth_members JOIN pg_roles r ON r.oid = member "
        f"WHERE roleid = 'aic_{verb}'::regrole AND rolname = {text(user)}"
    )
    return f"SELECT {text(f'REVOKE aic_{verb} FROM {name(user)}')} WHERE EXISTS ({member}) \\gexec"


def _contents(database: str, extensions: Sequence[str]) -> Iterator[str]:
    yield f"REVOKE ALL ON DATABASE {name(database)} FROM PUBLIC;"
    yield f"GRANT CONNECT, TEMPORARY ON DATABASE {name(database)} TO aic_read, aic_write;"
    yield "SET client_min_messages = warning;"
    for extension in (*USUAL_EXTENSIONS, *extensions):
        yield f"CREATE EXTENSION IF NOT EXISTS {name(extension)};"
    yield "ALTER SCHEMA public OWNER TO aic_admin;"
    yield "GRANT USAGE ON SCHEMA public TO aic_read, aic_write;"
    yield from _defaults("IN SCHEMA public ", _PRIVILEGES)
    yield from _defaults("", {**_PRIVILEGES, **_SCHEMAS})
    for kind, (read, write) in _PRIVILEGES.items():
        yield f"GRANT {read} ON ALL {kind} IN SCHEMA public TO aic_read;"
        yield f"GRANT {write} ON ALL {kind} IN SCHEMA public TO aic_write;"


def _defaults(scope: str, privileges: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    for kind, (read, write) in privileges.items():
        yield f"ALTER DEFAULT PRIVILEGES FOR ROLE aic_admin {scope}GRANT {read} ON {kind} TO aic_read;"
        yield f"ALTER DEFAULT PRIVILEGES FOR ROLE aic_admin {scope}GRANT {write} ON {kind} TO aic_write;"
