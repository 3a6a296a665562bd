"""A MongoDB as its manual describes it: who is told what, and what is refused. Its users' side is tried with a real server in the contract."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import bson
import pytest

from aiculturekit.errors import Failed, Mistake, Refused
from aiculturekit.resources import processes
from aiculturekit.resources.backends.mongodb import Mongodb
from aiculturekit.resources.servers import Credential, Ground, Verb


def ground(folder: Path, program: str, *verbs: Verb, name: str = "notes") -> Ground:
    """With an image that has this program."""
    place = folder / "root" / program
    place.parent.mkdir(parents=True, exist_ok=True)
    place.touch()
    body = {"type": "mongodb", "users": [[f"user-{verb}", verb] for verb in verbs]}
    (folder / "data").mkdir(exist_ok=True)
    return Ground("app", name, body, folder / "data", folder, folder / "root")


def credential(verb: Verb, user: str = "") -> Credential:
    return Credential(verb, verb, user or verb, f"password of {verb}")


class Mongod:
    """One that lets loopback make the first user, and then nobody do anything unasked (the manual's localhost exception)."""

    def __init__(self) -> None:
        self.users: dict[tuple[str, str], list[Any]] = {}
        self.said: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        who = ""
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                length, number, _, _ = struct.unpack("<iiii", await reader.readexactly(16))
                command = bson.decode((await reader.readexactly(length - 16))[5:])
                answer, who = self._answer(command, who)
                body = struct.pack("<IB", 0, 0) + bson.encode(answer)
                writer.write(struct.pack("<iiii", len(body) + 16, 1, number, 2013) + body)
        writer.close()

    def _answer(self, command: dict[str, Any], who: str) -> tuple[dict[str, Any], str]:
        name, database = next(iter(command)), command["$db"]
        if name == "saslStart":
            user = command["payload"].decode().split(",")[2].removeprefix("n=")
            if (database, user) not in self.users:
                return {"ok": 0.0, "errmsg": "Authentication failed.", "code": 18}, ""
            nonce = command["payload"].decode().rpartition("r=")[2]
            challenge = f"r={nonce}x,s={base64.b64encode(b'salt').decode()},i=4096"
            return {"ok": 1.0, "conversationId": 1, "done": False, "payload": challenge.encode()}, user
        if name == "saslContinue":
            return {"ok": 1.0, "conversationId": 1, "done": True, "payload": b""}, who
        if not who and (self.users or name != "createUser"):
            return {"ok": 0.0, "errmsg": f"Command {name} requires authentication", "code": 13}, who
        self.said.append(name)
        if name == "usersInfo":
            return {"ok": 1.0, "users": [{"user": user} for at, user in self.users if at == database]}, who
        if name == "dropUser":
            del self.users[database, command[name]]
        else:
            self.users[database, command[name]] = command["roles"]
        return {"ok": 1.0}, who


@pytest.fixture
async def mongod(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mongod]:
    made = Mongod()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:

        @contextlib.asynccontextmanager
        async def dialled(_: Ground) -> AsyncIterator[processes.Streams]:
            streams = await asyncio.open_connection(*server.sockets[0].getsockname())
            try:
                yield streams
            finally:
                streams[1].close()

        monkeypatch.setattr(processes, "dialled", dialled)
        yield made


def test_it_is_started_with_users_alone_and_on_loopback(tmp_path: Path) -> None:
    launch = Mongodb().prepare(ground(tmp_path, "usr/bin/mongod", "read", "write"))
    assert launch.arguments[0] == "/usr/bin/mongod" and {"--auth", "--bind_ip=127.0.0.1"} <= {*launch.arguments}
    assert "--port=$(PORT)" in launch.arguments and launch.environment == {}


async def test_the_first_user_is_ours_and_each_verb_is_a_role_of_its_database(tmp_path: Path, mongod: Mongod) -> None:
    place = ground(tmp_path, "usr/bin/mongod")
    await Mongodb().settle(place, [credential("read"), credential("write"), credential("admin")])
    assert mongod.said[0] == "createUser" and ("admin", "aic") in mongod.users
    roles = {user: [role["role"] for role in found] for (at, user), found in mongod.users.items() if at == "notes"}
    assert roles == {"read": ["read"], "write": ["readWrite"], "admin": ["readWrite", "dbAdmin"]}
    assert {role["db"] for (at, _), found in mongod.users.items() if at == "notes" for role in found} == {"notes"}
    await Mongodb().settle(place, [credential("read", "write")])
    assert {user: [role["role"] for role in found] for (at, user), found in mongod.users.items() if at == "notes"} == {
        "write": ["read"]
    }


async def test_data_with_another_administrator_is_said_and_left(tmp_path: Path, mongod: Mongod) -> None:
    mongod.users["admin", "somebody"] = []
    with pytest.raises(Failed, match="requires authentication"):
        await Mongodb().settle(ground(tmp_path, "usr/bin/mongod"), [credential("read")])


async def test_a_server_without_roles_takes_administrators_alone(tmp_path: Path) -> None:
    for verb in ("read", "write"):
        with pytest.raises(Refused, match="knows no roles"):
            Mongodb().prepare(ground(tmp_path, "ferretdb", verb))
        with pytest.raises(Refused, match="knows no roles"):
            await Mongodb().settle(ground(tmp_path, "ferretdb"), [credential(verb)])
    launch = Mongodb().prepare(ground(tmp_path, "ferretdb", "admin"))
    assert launch.environment["FERRETDB_SETUP_PASSWORD"] not in " ".join(launch.arguments)


def test_what_is_no_server_and_what_is_no_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Mistake, match="no server of MongoDB's protocol"):
        Mongodb().prepare(ground(tmp_path / "one", "usr/bin/postgres"))
    with pytest.raises(Mistake, match="no database can be called"):
        Mongodb().prepare(ground(tmp_path / "two", "usr/bin/mongod", name="admin"))


def test_its_image_is_what_is_said_or_the_usual_one() -> None:
    server = Mongodb()
    assert [server.image(body) for body in ({}, {"version": "7.0"}, {"image": "ghcr.io/ferretdb/ferretdb:1.24.2"})] == [
        "mongo:8.0",
        "mongo:7.0",
        "ghcr.io/ferretdb/ferretdb:1.24.2",
    ]
