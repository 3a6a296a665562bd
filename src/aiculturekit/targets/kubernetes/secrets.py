"""Who is given what to come into a resource: a Secret for each workload, whose password nobody chooses and nobody sees. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from aiculturekit.locator import Locator
from aiculturekit.plan import permissions
from aiculturekit.plan.documents import Document
from aiculturekit.resources import outputs
from aiculturekit.resources.kinds import KINDS
from aiculturekit.targets.kubernetes.objects import Fill, Key, Owned, made
from aiculturekit.targets.kubernetes.places import Cluster

ADMINISTRATOR = "admin"
"""The user of the server itself: no workload has this name's Secret mounted."""
PASSWORD = "password"  # noqa: S105
"""The key of every such Secret that has it."""
_PASSWORD = "${password}"  # noqa: S105


def name(resource: str, user: str) -> str:
    return f"{resource}-{user}"


def user(document: Document) -> str:
    """Who a document's processes are in a resource: a migration is somebody of its own."""
    workload = document.name.partition("/")[0]
    return permissions.migrating(workload) if document.kind == "migration" else workload


def of_server(
    app: str, server: Document, *, owner: str, databases: list[str], port: int, cluster: Cluster
) -> Iterator[Owned]:
    """The server's own (of the type that operators ask for), and one for each of its users."""
    own = {"username": owner, PASSWORD: _PASSWORD}
    yield _secret(app, server.name, ADMINISTRATOR, own, cluster, key=server.key, kind="kubernetes.io/basic-auth")
    for login, _ in server.body["users"]:
        texts = _outputs(server, login, databases, port)
        yield _secret(app, server.name, login, texts, cluster, key=server.key)


def of_outside(app: str, resource: Document, users: list[str], *, cluster: Cluster) -> Iterator[Owned]:
    """What stands elsewhere gives everybody the same."""
    body = resource.body
    found = outputs.of(body["type"], body["url"], declared=body.get("outputs"))
    for login in users:
        owned = _secret(app, resource.name, login, found, cluster, key=resource.key)
        yield dataclasses.replace(owned, fill=Fill(found, is_secret=True))


def of_files(app: str, resource: Document, users: list[str], *, url: str, cluster: Cluster) -> Iterator[Owned]:
    for login in users:
        yield _secret(app, resource.name, login, {"url": url}, cluster, key=resource.key)


def _outputs(server: Document, login: str, databases: list[str], port: int) -> dict[str, str]:
    kind = server.body["type"]
    path = f"/{databases[0]}" if databases else "/0" if kind == "redis" else ""
    place = Locator(KINDS[kind].scheme, hosts=((server.name, port),), path=path, username=login, password="-")  # noqa: S106
    found = outputs.of(kind, place.reveal()) | {PASSWORD: _PASSWORD, "url": _url(place)}
    if "secret" in found:  # what S3 calls it
        found["secret"] = _PASSWORD
    return found | {f"{one}-url": _url(place, path=f"/{one}") for one in databases[1:]}


def _url(place: Locator, *, path: str = "") -> str:
    """With what the password will be filled into: what is made for it needs no encoding in a URL."""
    host, port = place.hosts[0]
    return f"{place.scheme}://{quote(place.username or '', safe='')}:{_PASSWORD}@{host}:{port}{path or place.path}"


def _secret(
    app: str, resource: str, login: str, texts: Mapping[str, str], cluster: Cluster, *, key: Key, kind: str = "Opaque"
) -> Owned:
    manifest = made("v1", "Secret", name(resource, login), app=app, cluster=cluster, component=resource, type=kind)
    return Owned(key, manifest, Fill(dict(texts)))
