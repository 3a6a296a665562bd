"""What a MySQL or MariaDB server is told, as single statements. Pure. Each may be run again."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from aiculturekit.resources.servers import Credential

OWNER = "aic"
"""The administrator: through the socket only, as every user of `localhost` where names are not resolved."""
VIEWER = "aic_viewer"
"""The login of whoever looks into a database: it reads, and comes through the socket only."""
TAKEN = ("information_schema", "mysql", "performance_schema", "sys")
"""Databases that every server has for itself."""
PRIVILEGES: Mapping[str, frozenset[str]] = {
    "read": frozenset({"SELECT", "SHOW VIEW"}),
    "write": frozenset(
        {"SELECT", "SHOW VIEW", "INSERT", "UPDATE", "DELETE", "EXECUTE", "LOCK TABLES", "CREATE TEMPORARY TABLES"}
    ),
    "admin": frozenset(
        {
            "SELECT", "SHOW VIEW", "INSERT", "UPDATE", "DELETE", "EXECUTE", "LOCK TABLES", "CREATE TEMPORARY TABLES", "CREATE", "DROP",
            "ALTER", "INDEX", "REFERENCES", "CREATE VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "TRIGGER", "EVENT",
        }
    ),
}  # fmt: skip
"""What each verb may in every database of the resource. A reader runs no procedure: it would run as who made it."""
_LONGEST = 32
"""Characters of a user's name in MySQL; MariaDB has room for more."""
SYSTEM = ("mariadb.sys", "mysql.sys", "mysql.session", "mysql.infoschema", OWNER, VIEWER)
LOGINS = f"SELECT User, Host FROM mysql.user WHERE Host <> '' AND User NOT IN {SYSTEM!r}"
"""A query for all logins that are not the server's own."""
_OURS = f"NOT IN {TAKEN!r}"
DEFINERS = f"""
    SELECT DEFINER FROM information_schema.VIEWS WHERE TABLE_SCHEMA {_OURS}
    UNION SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA {_OURS}
    UNION SELECT DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA {_OURS}
    UNION SELECT DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA {_OURS}
"""
"""A query for `user@host` of those in whose name something runs."""
TABLES = f"""
    SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES
    WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA {_OURS} ORDER BY 1, 2
"""


def databases(name: str, body: Mapping[str, Any]) -> list[str]:
    """The databases of the resource `name`, the one that its URL names first."""
    return list(dict.fromkeys([name.replace("-", "_"), *body.get("databases", ())]))


def user(name: str) -> str:
    """The login's name: what is too long for MySQL is told apart by its digest."""
    return name if len(name) <= _LONGEST else f"{name[:23]}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def birth(password: str, *, is_mariadb: bool) -> list[str]:
    """For the file that a server runs before it lets anybody in: the two who come through the socket."""
    proof = identified(password, is_mariadb=is_mariadb)
    return [
        f"CREATE USER IF NOT EXISTS {account(OWNER, 'localhost')}",
        f"ALTER USER {account(OWNER, 'localhost')} {proof}",
        f"GRANT ALL PRIVILEGES ON *.* TO {account(OWNER, 'localhost')} WITH GRANT OPTION",
        f"CREATE USER IF NOT EXISTS {account(VIEWER, 'localhost')}",
        f"ALTER USER {account(VIEWER, 'localhost')} {proof}",
    ]


def identified(password: str, *, is_mariadb: bool) -> str:
    """MariaDB is told what it keeps, the digest of a digest, so that no log can show more; MySQL, whose own form has a salt, takes the
    password, and leaves it out of its logs."""
    if not is_mariadb:
        return f"IDENTIFIED BY {text(password)}"
    digest = hashlib.sha1(hashlib.sha1(password.encode(), usedforsecurity=False).digest(), usedforsecurity=False)
    return f"IDENTIFIED VIA mysql_native_password USING '*{digest.hexdigest().upper()}'"


def database(found: str) -> list[str]:
    return [
        f"CREATE DATABASE IF NOT EXISTS {name(found)} CHARACTER SET utf8mb4",
        f"GRANT SELECT, SHOW VIEW ON {pattern(found)}.* TO {account(VIEWER, 'localhost')}",
    ]


def login(credential: Credential, names: Sequence[str], *, is_mariadb: bool) -> Iterator[str]:
    """It is there, open, with this password, and may do all that its verb says."""
    who = account(user(credential.user))
    yield f"CREATE USER IF NOT EXISTS {who}"
    yield f"ALTER USER {who} {identified(credential.password, is_mariadb=is_mariadb)} ACCOUNT UNLOCK"
    yield from grants(credential, names)


def grants(credential: Credential, names: Sequence[str]) -> Iterator[str]:
    """What its verb says, in each of these databases."""
    for one in names:
        privileges = ", ".join(sorted(PRIVILEGES[credential.verb]))
        yield f"GRANT {privileges} ON {pattern(one)}.* TO {account(user(credential.user))}"


def held(credential: Credential) -> str:
    """A query for (database, privilege) of all that it may now."""
    grantee = text(account(user(credential.user)))
    return f"SELECT TABLE_SCHEMA, PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE = {grantee}"


def surplus(credential: Credential, rows: Iterable[Sequence[str | None]], names: Collection[str]) -> list[str]:
    """What takes away what it may beyond its verb, or where the resource has no database any more."""
    wanted = {pattern(one).strip("`"): PRIVILEGES[credential.verb] | {"USAGE"} for one in names}
    found: dict[str, list[str]] = {}
    for schema, privilege in rows:
        if schema and privilege and privilege not in wanted.get(schema, ()):
            found.setdefault(schema, []).append(privilege)
    who = account(user(credential.user))
    return [f"REVOKE {', '.join(sorted(gone))} ON {name(schema)}.* FROM {who}" for schema, gone in found.items()]


def beyond(credential: Credential, names: Collection[str]) -> str:
    """A query for the statements that take away the same, where there is only a client."""
    privileges = ", ".join(text(one) for one in sorted(PRIVILEGES[credential.verb] | {"USAGE"}))
    places = ", ".join(text(pattern(one).strip("`")) for one in names)
    return (
        "SELECT CONCAT('REVOKE ', GROUP_CONCAT(PRIVILEGE_TYPE), ' ON `', TABLE_SCHEMA, '`.* FROM ', GRANTEE, ';')"
        f" FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE = {text(account(user(credential.user)))}"
        f" AND NOT (TABLE_SCHEMA IN ({places}) AND PRIVILEGE_TYPE IN ({privileges})) GROUP BY TABLE_SCHEMA, GRANTEE"
    )


def strangers(logins: Collection[str]) -> str:
    """A query for the statements that lock out whoever is none of these logins and not the server's own."""
    known = ", ".join(text(one) for one in [*logins, *SYSTEM, "root", "mysql"])
    return (
        "SELECT CONCAT('ALTER USER ', QUOTE(User), '@', QUOTE(Host), ' ACCOUNT LOCK;')"
        f" FROM mysql.user WHERE Host <> '' AND User NOT IN ({known})"
    )


def sessions(who: str) -> str:
    """A query for the numbers of a login's connections."""
    return f"SELECT ID FROM information_schema.PROCESSLIST WHERE USER = {text(who)}"


def kept(who: str, host: str, names: Sequence[str]) -> Iterator[str]:
    """A login that nobody can use, in whose name views and procedures run."""
    yield f"CREATE USER IF NOT EXISTS {account(who, host)}"
    yield lock(who, host)
    for one in names:
        yield f"GRANT {', '.join(sorted(PRIVILEGES['admin']))} ON {pattern(one)}.* TO {account(who, host)}"


def lock(who: str, host: str) -> str:
    return f"ALTER USER {account(who, host)} ACCOUNT LOCK"


def drop(who: str, host: str) -> str:
    return f"DROP USER IF EXISTS {account(who, host)}"


def account(who: str, host: str = "%") -> str:
    return f"{text(who)}@{text(host)}"


def name(value: str) -> str:
    """As an identifier."""
    return "`" + value.replace("`", "``") + "`"


def pattern(value: str) -> str:
    """A database where one can be granted, in which `_` and `%` would stand for anything."""
    return name(value.replace("_", r"\_").replace("%", r"\%"))


def text(value: str) -> str:
    """As a literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
