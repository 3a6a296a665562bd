"""MySQL as a backend: what it needs, how it starts, what is made true in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.errors import Failed, Mistake
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.resources import copies, processes, programs, statements
from aiculturekit.resources.backends.mysql import engines, folders, scripts
from aiculturekit.resources.backends.mysql.engines import Engine
from aiculturekit.resources.servers import Credential, Ground, Launch
from aiculturekit.resources.statements import Session
from aiculturekit.resources.tools import Tool

_DATABASE = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_SETTLING, _COUNTING = 60.0, 3600.0


class Mysql:
    def tool(self, body: Mapping[str, Any]) -> Tool | None:
        """It is on the machine, or in an image, or not to be had."""
        if not self.image(body):
            engines.chosen(_version(body))
        return None

    def image(self, body: Mapping[str, Any]) -> str:
        return str(body.get("image") or "")

    def prepare(self, ground: Ground) -> Launch:
        _require_names(ground)
        engine = _engine(ground)
        folders.ensure(ground, engine)
        if folders.is_contained(ground):
            return _inside(ground, engine)
        words = [engine.program, f"--defaults-file={folders.settings(ground)}", "--port=$PORT"]
        return Launch(processes.command(ground, words), probe={"kind": "tcp"}, startup=300.0, grace=60.0)

    async def settle(self, ground: Ground, credentials: Sequence[Credential]) -> None:
        engine = await threads.run(_engine, ground)
        await _upgrade(ground, engine)
        names = scripts.databases(ground.name, ground.body)
        async with _administrator(ground, seconds=_SETTLING) as session:
            try:
                for name in names:
                    await _all(session, scripts.database(name))
                for credential in credentials:
                    await _settle(session, credential, names, engine)
                await _expel(session, [scripts.user(one.user) for one in credentials], names)
            except Mistake as error:
                raise Failed(say("resources/{name}: {error}", name=ground.name, error=error.message)) from None

    async def save(self, ground: Ground, into: Path) -> None:
        """The server stands still while its files are copied: the copy is what a crash at that moment would leave, which it
        recovers from. A daemon that dies meanwhile: the next one lets the server go on."""
        pid = (await threads.run(processes.running, ground)).pid
        await threads.run(copies.tree, ground.folder, into, leave=("data",))
        async with processes.still(pid):
            await threads.run(copies.tree, ground.folder / "data", into / "data")

    async def contents(self, ground: Ground) -> dict[str, Any]:
        """Each table's rows and its checksum."""
        found: dict[str, Any] = {}
        async with _administrator(ground, seconds=_COUNTING) as session:
            for database, table in (await session.ask(scripts.TABLES)).rows:
                where = f"{scripts.name(str(database))}.{scripts.name(str(table))}"
                rows = (await session.ask(f"SELECT count(*) FROM {where}")).rows[0][0]
                total = (await session.ask(f"CHECKSUM TABLE {where} EXTENDED")).rows[0][1]
                found[f"{database}: {table}"] = [int(rows or 0), total]
        return found

    def url(self, ground: Ground, credential: Credential, *, host: str, port: int) -> str:
        return _url(scripts.databases(ground.name, ground.body)[0], credential, host=host, port=port)

    def further_urls(self, ground: Ground, credential: Credential, *, host: str, port: int) -> dict[str, str]:
        further = scripts.databases(ground.name, ground.body)[1:]
        return {database: _url(database, credential, host=host, port=port) for database in further}


def _engine(ground: Ground) -> Engine:
    """Raises Mistake."""
    if folders.is_contained(ground):
        return engines.packaged(ground.programs, ground.said)
    return engines.chosen(_version(ground.body))


def _inside(ground: Ground, engine: Engine) -> Launch:
    """In a container the first start makes the data: no program of an image runs anywhere else."""
    server = processes.quoted(engine.program, f"--defaults-file={folders.settings(ground)}", "--port=$PORT")
    script = f"{folders.making_inside(ground, engine)}; exec {server}"
    return Launch(
        script,
        probe={"kind": "tcp"},
        startup=300.0,
        grace=60.0,
        arguments=("/bin/sh", "-ec", script),
        folders=(folders.sockets(ground),),
    )


def _version(body: Mapping[str, Any]) -> str | None:
    found = body.get("version")
    return str(found) if found else None


def _url(database: str, credential: Credential, *, host: str, port: int) -> str:
    return Locator(
        "mysql",
        hosts=((host, port),),
        path=f"/{database}",
        username=scripts.user(credential.user),
        password=credential.password,
    ).reveal()


def _require_names(ground: Ground) -> None:
    for database in scripts.databases(ground.name, ground.body):
        if not _DATABASE.fullmatch(database) or database in scripts.TAKEN:
            raise Mistake(
                say(
                    "resources/{name}: no database can be called {database}", name=ground.name, database=repr(database)
                ),
                hint=say(
                    "a name has up to 63 small letters, digits, _ and -, and begins with a letter or _; {taken} are the server's own",
                    taken=", ".join(scripts.TAKEN),
                ),
            )


def _administrator(ground: Ground, *, seconds: float) -> Any:
    return statements.session(folders.socket(ground), user=scripts.OWNER, password=folders.key(ground), seconds=seconds)


async def _all(session: Session, told: Sequence[str]) -> None:
    for statement in told:
        await session.ask(statement)


async def _settle(session: Session, credential: Credential, names: Sequence[str], engine: Engine) -> None:
    """Grants first: who may go on doing something may do so at every moment. What a connection may in its database it knows until it
    ends, so it ends when it may do less."""
    await _all(session, list(scripts.login(credential, names, is_mariadb=engine.is_mariadb)))
    surplus = scripts.surplus(credential, (await session.ask(scripts.held(credential))).rows, names)
    if surplus:
        await _all(session, surplus)
        await _hang_up(session, scripts.user(credential.user))


async def _expel(session: Session, wanted: Sequence[str], names: Sequence[str]) -> None:
    """Logins that are no longer wanted end, with their connections; those in whose name something runs stay, and nobody can use them."""
    definers = {str(row[0]) for row in (await session.ask(scripts.DEFINERS)).rows}
    logins = {(str(user), str(host)) for user, host in (await session.ask(scripts.LOGINS)).rows}
    for user, host in sorted(logins):
        if host == "%" and user in wanted:
            continue
        await session.ask(scripts.lock(user, host))
        await _hang_up(session, user)
        if f"{user}@{host}" not in definers:
            await session.ask(scripts.drop(user, host))
    for user, host in sorted({_parted(definer) for definer in definers} - logins):
        if user not in (scripts.OWNER, scripts.VIEWER) and not user.startswith(("mariadb.", "mysql.")):
            await _all(session, list(scripts.kept(user, host, names)))


def _parted(definer: str) -> tuple[str, str]:
    user, _, host = definer.rpartition("@")
    return user, host


async def _hang_up(session: Session, user: str) -> None:
    for (number,) in (await session.ask(scripts.sessions(user))).rows:
        try:
            await session.ask(f"KILL {number}")
        except Mistake:  # it has ended by itself
            continue


async def _upgrade(ground: Ground, engine: Engine) -> None:
    """MySQL takes over older data as it starts; MariaDB has a program for the rest of it, which may be run again."""
    title, version = await threads.run(folders.last, ground)
    if (title, version) == (engine.title, engine.version):
        return
    if engine.is_mariadb and version and not folders.is_contained(ground) and engines.series(version) < engine.series:
        program = engines.program("mariadb-upgrade", "mysql_upgrade")
        if program:
            command: list[str | Path] = [program, f"--defaults-file={folders.options(ground)}"]
            await programs.ask(command, uid=ground.uid, directory=ground.folder, seconds=_COUNTING)
    await threads.run(folders.note, ground, engine)
