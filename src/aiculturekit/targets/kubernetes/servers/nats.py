"""NATS with JetStream by its own image: users are a part of its settings, so another one means another start. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator

from aiculturekit.plan.documents import Document
from aiculturekit.resources.backends import nats
from aiculturekit.targets.kubernetes import objects
from aiculturekit.targets.kubernetes.objects import Owned
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.kubernetes.servers import settings, stateful

PORT = 4222
OWNER = nats.OWNER
USER = objects.USER
_USUAL = "2"
_FILE = "/tmp/nats.conf"  # noqa: S108
_SETTINGS = """\
port: {port}
jetstream {{ store_dir: "{store}", sync_interval: always }}
authorization: {users}
"""
GIVEN = {"HOST": "host", "LOGIN": "username", "PASSWORD": "password"}
ARRIVAL = f"""\
said() {{ printf 'CONNECT {{"user":"%s","pass":"%s","verbose":false}}\\r\\nPING\\r\\n' "$LOGIN" "$PASSWORD"; sleep 1; }}
until said | nc -w 3 "$HOST" {PORT} | grep -q PONG; do sleep 1; done
"""


def image(document: Document, *, cluster: Cluster) -> str:
    return f"{cluster.mirror}/library/nats:{document.body.get('version') or _USUAL}-alpine"


def databases(document: Document) -> list[str]:
    return []


def script(document: Document) -> str:
    return ""


def server(app: str, document: Document, *, cluster: Cluster) -> Iterator[Owned]:
    yield stateful.rendered(
        app,
        document,
        image=image(document, cluster=cluster),
        script=settings.written(_FILE, _configuration(document)) + f"exec nats-server -c {_FILE}\n",
        port=PORT,
        user=USER,
        probe={"kind": "tcp", "every": 5.0, "timeout": 2.0, "fails": 3},
        grace=20.0,
        cluster=cluster,
        env=settings.variables(document),
    )


def _configuration(document: Document) -> str:
    owner = {"user": OWNER, "password": settings.said(stateful.PASSWORD), "permissions": nats.PERMISSIONS["admin"]}
    users = [
        {"user": login, "password": settings.said(settings.variable(at)), "permissions": nats.PERMISSIONS[verb]}
        for at, (login, verb) in enumerate(document.body["users"])
    ]
    told = json.dumps({"users": [owner, *users]}, indent=1).replace("\\u0000", "\0")
    return _SETTINGS.format(port=PORT, store=stateful.DATA, users=told)
