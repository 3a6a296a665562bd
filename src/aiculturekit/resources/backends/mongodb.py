"""MongoDB's protocol, by a server that comes as an image: MongoDB's own, or FerretDB 1 with its data in SQLite.

Which of the two an image holds is seen by the program in it. What is told it are commands of the protocol, over its port in the network
namespace of its process. MongoDB's first user is made by whoever comes first over loopback (its localhost exception), and nobody else
is in that namespace; FerretDB is told of it as it starts. FerretDB knows no roles: who gets in may do everything, so it takes the verb
`admin` alone. Tested with FerretDB; what MongoDB's own server wants otherwise (its first user, its roles) follows its manual.
(https://www.mongodb.com/docs/manual/core/localhost-exception/, https://docs.ferretdb.io/v1.24/configuration/flags/)
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shlex
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.errors import Failed, Mistake, Refused
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.resources import copies, processes
from aiculturekit.resources.conversations import Answer, Conversation
from aiculturekit.resources.servers import Credential, Ground, Launch, Verb
from aiculturekit.resources.tools import Tool

OWNER, ADMIN = "aic", "admin"
"""The administrator, and the database that keeps him."""
USUAL = "8.0"
TAKEN = ("admin", "config", "local")
ROLES: Mapping[Verb, tuple[str, ...]] = {
    "read": ("read",),
    "write": ("readWrite",),
    "admin": ("readWrite", "dbAdmin"),
}
_OWN_ROLES = ("userAdminAnyDatabase", "readAnyDatabase", "clusterMonitor")
_PLACES = ("", "usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin", "opt/bitnami/mongodb/bin")
_SETTLING = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class Engine:
    """`program` is how it is called in its image; `words` what it is told besides, for where its data is."""

    program: str
    has_roles: bool
    words: Callable[[Path], tuple[str, ...]]


def _mongod(data: Path) -> tuple[str, ...]:
    return (
        "--auth",
        "--bind_ip=127.0.0.1",
        "--port=$(PORT)",
        f"--dbpath={data}",
        "--nounixsocket",
        "--wiredTigerCacheSizeGB=0.25",
    )


def _ferretdb(data: Path) -> tuple[str, ...]:
    return (
        "--handler=sqlite",
        f"--sqlite-url=file:{data}/",
        "--listen-addr=127.0.0.1:$(PORT)",
        "--debug-addr=-",
        f"--state-dir={data}",
        "--telemetry=disable",
        "--log-level=warn",
        "--test-enable-new-auth",
    )


ENGINES = (Engine("mongod", True, _mongod), Engine("ferretdb", False, _ferretdb))


class Mongodb:
    def tool(self, body: Mapping[str, Any]) -> Tool | None:
        return None

    def image(self, body: Mapping[str, Any]) -> str:
        return str(body.get("image") or f"mongo:{body.get('version') or USUAL}")

    def prepare(self, ground: Ground) -> Launch:
        _require_name(ground)
        engine, program = _found(ground)
        _require_verbs(ground, engine, [verb for _, verb in ground.body.get("users", ())])
        data = processes.own_folder(_data(ground), uid=ground.uid)
        arguments = (program, *engine.words(data))
        owner = {"DATABASE": ADMIN, "USERNAME": OWNER, "PASSWORD": _key(ground)}
        return Launch(
            shlex.join(arguments),
            probe={"kind": "tcp"},
            environment={} if engine.has_roles else {f"FERRETDB_SETUP_{name}": text for name, text in owner.items()},
            arguments=arguments,
        )

    async def settle(self, ground: Ground, credentials: Sequence[Credential]) -> None:
        engine, _ = await threads.run(_found, ground)
        _require_verbs(ground, engine, [one.verb for one in credentials])
        async with _administrator(ground) as conversation:
            known = {one["user"] for one in (await conversation.ask(ground.name, {"usersInfo": 1}))["users"]}
            for one in credentials:
                verb = "updateUser" if one.user in known else "createUser"
                await conversation.ask(ground.name, {verb: one.user, **_login(ground, one, engine)})
            for user in sorted(known - {one.user for one in credentials}):
                await conversation.ask(ground.name, {"dropUser": user})

    async def save(self, ground: Ground, into: Path) -> None:
        pid = (await threads.run(processes.running, ground)).pid
        await threads.run(copies.tree, ground.folder, into, leave=("data",))
        async with processes.still(pid):
            await threads.run(copies.tree, _data(ground), into / "data")

    def url(self, ground: Ground, credential: Credential, *, host: str, port: int) -> str:
        """What is acknowledged is on disk: a server on its own answers before that, where nobody asks for it."""
        found = Locator(
            "mongodb",
            hosts=((host, port),),
            path=f"/{ground.name}",
            options={"journal": "true"},
            username=credential.user,
            password=credential.password,
        )
        return found.reveal()


def _require_name(ground: Ground) -> None:
    if ground.name in TAKEN:
        raise Mistake(
            say("resources/{name}: no database can be called {database}", name=ground.name, database=repr(ground.name)),
            hint=say("{taken} are the server's own", taken=", ".join(TAKEN)),
        )


def _require_verbs(ground: Ground, engine: Engine, verbs: Sequence[str]) -> None:
    if not engine.has_roles and any(verb != "admin" for verb in verbs):
        raise Refused(
            say(
                "resources/{name}: its server, FerretDB, knows no roles: who gets in may do everything",
                name=ground.name,
            ),
            hint=say(
                "write `resources/{name}: admin` where it is needed, or take MongoDB's own image", name=ground.name
            ),
        )


def _found(ground: Ground) -> tuple[Engine, str]:
    """The server that the image has, and its path there. Blocks. Raises Mistake."""
    for engine in ENGINES:
        for place in _PLACES:
            path = Path("/", place, engine.program)
            if os.path.lexists(ground.programs / path.relative_to("/")):  # a link leads where it leads in the image
                return engine, str(path)
    raise Mistake(
        say("resources/{name}: its image has no server of MongoDB's protocol", name=ground.name),
        hint=say(
            "take one with {programs} in it: mongo:8.0, ghcr.io/ferretdb/ferretdb:1.24.2", programs="mongod, ferretdb"
        ),
    )


def _data(ground: Ground) -> Path:
    return ground.folder / "data"


def _key(ground: Ground) -> str:
    """The administrator's password: beside the data, for whom the data belongs to. Blocks."""
    file = ground.folder / "aic.key"
    if not file.exists():
        processes.write(file, processes.secret(), uid=ground.uid)
    return file.read_text()


def _login(ground: Ground, credential: Credential, engine: Engine) -> dict[str, Any]:
    roles = [{"role": role, "db": ground.name} for role in ROLES[credential.verb]] if engine.has_roles else []
    return {"pwd": credential.password, "roles": roles, "mechanisms": ["SCRAM-SHA-256"]}


@contextlib.asynccontextmanager
async def _administrator(ground: Ground) -> AsyncIterator[Conversation]:
    """Raises Failed, in the server's words where it has any."""
    password = await threads.run(_key, ground)
    try:
        async with asyncio.timeout(_SETTLING):
            if not await _is_known(ground, password):
                await _begin(ground, password)
            async with processes.dialled(ground) as streams:
                conversation = Conversation(streams)
                await conversation.enter(user=OWNER, password=password, database=ADMIN)
                yield conversation
    except TimeoutError:
        raise Failed(
            say("resources/{name}: no answer within {seconds:g} s", name=ground.name, seconds=_SETTLING)
        ) from None
    except (OSError, EOFError, ValueError, Answer) as error:
        raise Failed(say("resources/{name}: {error}", name=ground.name, error=str(error))) from None


async def _is_known(ground: Ground, password: str) -> bool:
    async with processes.dialled(ground) as streams:
        try:
            await Conversation(streams).enter(user=OWNER, password=password, database=ADMIN)
        except Answer as error:
            if not error.is_refusal:
                raise
            return False
    return True


async def _begin(ground: Ground, password: str) -> None:
    """The first user, whom a server without any lets loopback make."""
    roles = [{"role": role, "db": ADMIN} for role in _OWN_ROLES]
    login = {"pwd": password, "roles": roles, "mechanisms": ["SCRAM-SHA-256"]}
    async with processes.dialled(ground) as streams:
        await Conversation(streams).ask(ADMIN, {"createUser": OWNER, **login})
