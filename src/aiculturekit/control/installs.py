"""The platform into a cluster, and out of it again. Needs no daemon; may be repeated, which is also how a newer version comes in.

image     this very product, built here and pushed, unless one is named
objects   rendered (`targets.kubernetes.platforms`), applied in their order; a Job is waited for before what needs it
data      the database's volume and every password stay until somebody asks for their end
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiculturekit import __version__
from aiculturekit.control import manifests, selves
from aiculturekit.errors import Failed, LocatorError, Mistake, Refused
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.spec import load
from aiculturekit.targets.kubernetes import applying, clients, places, platforms, waiting
from aiculturekit.targets.kubernetes.applying import Applier
from aiculturekit.targets.kubernetes.clients import Client
from aiculturekit.targets.kubernetes.elections import LEADER
from aiculturekit.targets.kubernetes.exports import helm
from aiculturekit.targets.kubernetes.objects import Owned
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.kubernetes.platforms import APP, PASSWORD_SECRET
from aiculturekit.targets.kubernetes.waiting import Looks

ENVIRONMENT = "platform"
_USUAL = f"kubernetes:///{APP}"
_PORT = 8080
_LED = 120
"""Seconds until one leads: the state is made first, and a Lease may have to run out."""
Tell = Callable[[str], None]
Json = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """What is asked for. `target` is CONTEXT/NAMESPACE or a URL as in an application file; `image` a reference, else one is built on `base`
    for `platforms` and pushed to the target's registry. `state` is the URL of a PostgreSQL that stands elsewhere."""

    target: str = ""
    image: str = ""
    base: str = ""
    platforms: tuple[str, ...] = ()
    replicas: int = 2
    state: str = dataclasses.field(default="", repr=False)
    namespaces: tuple[str, ...] = ()
    registry: str = ""
    kubeconfig: str = ""

    @property
    def cluster(self) -> Cluster:
        """Raises LocatorError, Mistake."""
        found = places.parse(_locator(self.target), environment=ENVIRONMENT)
        if found.mesh != "none":
            raise Mistake(
                say("the platform itself is in no mesh, and the target says mesh={mesh}", mesh=found.mesh),
                hint=say("leave mesh= out here; applications have their own in their environments' targets"),
            )
        return dataclasses.replace(found, registry=self.registry.rstrip("/") or found.registry)


async def install(order: Order, *, store: Path, tell: Tell) -> Json:
    """It runs when this returns, which says how to come in. Raises what building, pushing and the cluster raise; NeverReady with the
    pods' last lines."""
    cluster = order.cluster
    image = order.image or await _built(order, cluster, store, tell)
    client = await clients.opened(context=cluster.context, named=cluster.kubeconfig, asked=order.kubeconfig)
    try:
        await _applied(client, platforms.rendered(wish(order, image)), cluster, tell)
        await _led(client, cluster, tell)
    finally:
        await client.close()
    return _doors(order, cluster) | {"image": image}


async def uninstall(order: Order, *, volumes: bool, tell: Tell) -> list[str]:
    """What stays: the namespace, the database's volume and passwords, unless `volumes` erases those. What was deployed through the
    platform is not touched."""
    cluster = order.cluster
    client = await clients.opened(context=cluster.context, named=cluster.kubeconfig, asked=order.kubeconfig)
    try:
        objects = await _known(client, order, cluster)
        kept = [one for one in reversed(objects) if not await _removed(Applier(client), one, volumes, tell)]
        await client.delete("coordination.k8s.io/v1", "Lease", f"aic-{APP}", namespace=cluster.namespace)
    finally:
        await client.close()
    return [f"{one.manifest['kind']} {one.manifest['metadata']['name']}" for one in reversed(kept)]


def objects(order: Order) -> tuple[Owned, ...]:
    """All that `install` applies, for whoever applies it otherwise. Without an image of its own it is the one of this version."""
    cluster = order.cluster
    if not (order.image or cluster.registry):
        raise _no_registry()
    place = cluster.registry.partition("://")[2] or cluster.registry
    return platforms.rendered(wish(order, order.image or f"{place}/{selves.NAME}:{__version__}"))


def chart(order: Order) -> dict[str, str]:
    """Path -> text: the same as a Helm chart, and the script that makes the Secrets."""
    listed = objects(order)
    plain = [one.manifest for one in listed if one.fill is None]
    return helm.files(APP, {ENVIRONMENT: plain}, version=__version__) | {"secrets.sh": manifests.secrets(listed)}


def wish(order: Order, image: str) -> platforms.Wish:
    """Raises LocatorError for a state that is no PostgreSQL."""
    cluster, port = order.cluster, 5432
    if order.state:
        locator = Locator.parse(order.state)
        if locator.scheme != "postgresql" or not locator.hosts:
            raise LocatorError(
                say("--state is the URL of a PostgreSQL"), hint="postgresql://USER:PASSWORD@HOST/DATABASE"
            )
        port = locator.hosts[0][1] or port
    application = load.parse(_text(order, cluster), file=Path(f"{APP}.yaml"))
    documents = manifests.described(application)
    manifests.refuse(application, documents, cluster)
    return platforms.Wish(documents, image, cluster, order.replicas, order.state, port, order.namespaces)


def _text(order: Order, cluster: Cluster) -> str:
    """The platform as an application file says it: its image comes in afterwards."""
    needs = "" if order.state else "needs: [{resources/state: admin}], "
    public = "" if cluster.hosts == ("*",) else "public: /, "
    state = "" if order.state else "resources: {state: {type: postgres}}\n"
    service = f"{{image: registry.invalid/{APP}:1, {needs}{public}scale: {max(order.replicas, 1)}, startup: 120s}}"
    return f"app: {APP}\nservices:\n  {APP}: {service}\n{state}"


async def _built(order: Order, cluster: Cluster, store: Path, tell: Tell) -> str:
    if not cluster.registry:
        raise _no_registry()
    return await selves.pushed(
        registry=cluster.registry, base=order.base, platforms=order.platforms, store=store, tell=tell
    )


def _no_registry() -> Mistake:
    return Mistake(
        say("the platform's image has to come from somewhere"),
        hint=say("name a registry to push it to: --registry registry.example.com/team; or an image: --image REFERENCE"),
    )


async def _applied(client: Client, listed: Sequence[Owned], cluster: Cluster, tell: Tell) -> None:
    applier = Applier(client)
    looks = Looks(
        client, namespace=cluster.namespace, labels=f"app.kubernetes.io/managed-by=aic,app.kubernetes.io/part-of={APP}"
    )
    for owned in listed:
        kind, name = owned.manifest["kind"], owned.manifest["metadata"]["name"]
        _, there = await applier.apply(owned, record=None, was=None, tell=tell)
        if kind in waiting.WAITED:
            tell(f"{kind} {name}")
            await waiting.ready({**there, "kind": kind}, looks=looks, tell=lambda line: tell(f"  {line}"))


async def _led(client: Client, cluster: Cluster, tell: Tell) -> None:
    """Until one of them leads. Raises Failed."""
    labels = f"app={APP},{LEADER}=true"
    for at in range(_LED):
        if await client.listed("v1", "Pod", namespace=cluster.namespace, labels=labels, is_short=True):
            return
        if at == 0:
            tell(say("waiting for one of them to lead"))
        await asyncio.sleep(1)
    raise Failed(
        say("no daemon has come to lead within {seconds} s", seconds=_LED),
        hint=say("what they say: {command}", command=f"kubectl -n {cluster.namespace} logs -l app={APP}"),
    )


async def _known(client: Client, order: Order, cluster: Cluster) -> list[Owned]:
    """What may be there of it: with a database of its own or without, for all namespaces or for some."""
    both = [dataclasses.replace(order, state=state) for state in ("", "postgresql://nobody@nowhere/none")]
    found = [one for each in both for one in platforms.rendered(wish(each, order.image or "registry.invalid/aic:1"))]
    for one in await client.listed(
        "batch/v1", "Job", namespace=cluster.namespace, labels=f"app.kubernetes.io/part-of={APP}"
    ):
        found.append(Owned(("server", "state"), {**one, "apiVersion": "batch/v1", "kind": "Job"}))
    for kind in ("Role", "RoleBinding"):
        listed = await client.listed("rbac.authorization.k8s.io/v1", kind, labels=f"app.kubernetes.io/part-of={APP}")
        mine = [one for one in listed if _is_of(one, cluster)]
        found += [
            Owned(("application", ""), {**one, "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind})
            for one in mine
        ]
    return [*{one.place: one for one in found}.values()]


def _is_of(role: Json, cluster: Cluster) -> bool:
    """Roles in other namespaces carry the name of the platform's own."""
    metadata: dict[str, str] = role["metadata"]
    return cluster.namespace == metadata["namespace"] or metadata["name"] == f"{APP}-{cluster.namespace}"


async def _removed(applier: Applier, owned: Owned, volumes: bool, tell: Tell) -> bool:
    """Whether it is gone. A namespace is somebody else's room too."""
    if owned.manifest["kind"] == "Namespace":
        return False
    record = dataclasses.replace(applying.planned(owned), is_data=applying.is_data(owned))
    try:
        is_gone = await applier.remove(owned.place, record, is_erased=volumes)
    except Refused as error:
        tell(error.message)
        return False
    return is_gone


def _doors(order: Order, cluster: Cluster) -> Json:
    """How to come in: kubectl's words."""
    context = ["--context", cluster.context] if cluster.context else []
    kubectl = " ".join(["kubectl", *context, "--namespace", cluster.namespace])
    hosts = [host for host in cluster.hosts if host != "*"]
    return {
        "namespace": cluster.namespace,
        "replicas": order.replicas,
        "password": f"{kubectl} get secret {PASSWORD_SECRET} -o jsonpath='{{.data.password}}' | base64 -d",
        "forward": f"{kubectl} port-forward service/{APP} 7411:{_PORT}",
        "server": f"https://{hosts[0]}" if hosts else "http://127.0.0.1:7411",
    }


def _locator(target: str) -> Locator:
    """`CONTEXT/NAMESPACE` and `NAMESPACE` are said in short."""
    if "://" in target:
        return Locator.parse(target)
    context, _, namespace = target.rpartition("/")
    return Locator.parse(f"kubernetes://{quote(context, safe='')}/{namespace}" if namespace else _USUAL)
