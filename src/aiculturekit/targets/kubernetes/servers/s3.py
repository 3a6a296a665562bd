"""S3 by SeaweedFS' own image: its parts speak to each other on the loopback, and the door alone is open. Keys are a file, so another user
means another start. Pure. (https://github.com/seaweedfs/seaweedfs/wiki/Amazon-S3-API)"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from aiculturekit.plan.documents import Document
from aiculturekit.resources.backends import s3
from aiculturekit.resources.kinds import KINDS
from aiculturekit.targets.kubernetes import objects
from aiculturekit.targets.kubernetes.objects import Owned
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.kubernetes.servers import settings, stateful

PORT = 8333
OWNER = s3.OWNER
USER = objects.USER
_KEYS = "/tmp/s3.json"  # noqa: S108
_FILER = 8888
_START = """\
export HOME=/tmp
rm -rf {data}/m[0-9]* {data}/mini.options
weed mini -dir={data} -ip=127.0.0.1 -ip.bind=127.0.0.1 -filer.port={filer} -bucket={buckets} -s3=false -webdav=false -admin.ui=false \\
  -master.telemetry=false &
store=$!
weed s3 -filer=127.0.0.1:{filer} -ip.bind=0.0.0.0 -port={port} -config={keys} -iam=false -port.iceberg=0 -port.lance=0 &
door=$!
trap 'kill $door; wait $door; kill $store; wait $store; exit 0' TERM
while kill -0 $store && kill -0 $door; do sleep 1 & wait $!; done
exit 1
"""
"""What its master remembers of an election is cleared, or it waits for voters that are none (`resources.backends.s3`)."""

GIVEN = {"ENDPOINT": "endpoint"}
ARRIVAL = 'until wget -q -O /dev/null "$ENDPOINT/healthz"; do sleep 1; done'


def image(document: Document, *, cluster: Cluster) -> str:
    versions = KINDS["s3"].versions
    wanted = document.body.get("version") or list(versions)[-1]
    return f"{cluster.mirror}/chrislusf/seaweedfs:{versions.get(wanted, wanted)}"


def databases(document: Document) -> list[str]:
    """The bucket that the URL names."""
    return s3.buckets(document.name, document.body)[:1]


def script(document: Document) -> str:
    return ""


def server(app: str, document: Document, *, cluster: Cluster) -> Iterator[Owned]:
    start = _START.format(
        data=stateful.DATA,
        filer=_FILER,
        buckets=",".join(s3.buckets(document.name, document.body)),
        port=PORT,
        keys=_KEYS,
    )
    yield stateful.rendered(
        app,
        document,
        image=image(document, cluster=cluster),
        script=settings.written(_KEYS, _identities(document)) + start,
        port=PORT,
        user=USER,
        probe={"kind": "http", "path": "/healthz", "every": 5.0, "timeout": 3.0, "fails": 3},
        grace=20.0,
        cluster=cluster,
        env=settings.variables(document),
    )


def _identities(document: Document) -> str:
    buckets = s3.buckets(document.name, document.body)
    owner = _identity(OWNER, stateful.PASSWORD, s3.ACTIONS["admin"])
    users = [
        _identity(login, settings.variable(at), _actions(verb, buckets))
        for at, (login, verb) in enumerate(document.body["users"])
    ]
    return json.dumps({"identities": [owner, *users]}, indent=1).replace("\\u0000", "\0")


def _actions(verb: str, buckets: Sequence[str]) -> list[str]:
    """An administrator's reach beyond the buckets of the resource."""
    actions = s3.ACTIONS[verb]
    return list(actions) if verb == "admin" else [f"{action}:{bucket}" for bucket in buckets for action in actions]


def _identity(user: str, variable: str, actions: Sequence[str]) -> dict[str, object]:
    credentials = [{"accessKey": user, "secretKey": settings.said(variable)}]
    return {"name": user, "credentials": credentials, "actions": list(actions)}
