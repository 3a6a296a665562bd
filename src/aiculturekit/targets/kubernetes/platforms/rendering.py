"""A wish for the platform -> its objects. Pure.

Most of it is an application like any other, rendered like any other: a service that needs a database, with its Services, policies, Secrets
and the Job that makes its user. What differs is the daemon's own Deployment, who gets the requests, and what it may do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from aiculturekit.mesh.rendering import Manifest
from aiculturekit.plan.documents import Document
from aiculturekit.targets.kubernetes import pods, rendering
from aiculturekit.targets.kubernetes.elections import LEADER
from aiculturekit.targets.kubernetes.objects import APPLICATION, PORT, Fill, Owned, labels, made
from aiculturekit.targets.kubernetes.places import Cluster
from aiculturekit.targets.kubernetes.platforms import roles

APP = "aic"
"""The application, its one service, and that one's account."""
PASSWORD_SECRET = "aic-password"  # noqa: S105
_STATE_SECRET = "aic-state"  # noqa: S105
_HOME, _PASSWORD = "/var/lib/aic", "/etc/aic"
_RBAC, _GROUP = "rbac.authorization.k8s.io/v1", "rbac.authorization.k8s.io"
_APISERVER = (443, 6443)
"""The ports of API servers, before and behind their Service: a NetworkPolicy can't name where they are."""
_ANYWHERE = [{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}}]
Json = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """`documents` are the application's; `state` is the URL of a database that stands elsewhere (empty: the application's own), and `port`
    where that listens. `namespaces`: those alone are deployed into; empty is all."""

    documents: tuple[Document, ...]
    image: str
    cluster: Cluster
    replicas: int = 2
    state: str = dataclasses.field(default="", repr=False)
    port: int = 5432
    namespaces: tuple[str, ...] = ()


def rendered(wish: Wish) -> tuple[Owned, ...]:
    """In an order in which they can be applied."""
    listed = rendering.rendered(APP, wish.documents, cluster=wish.cluster)
    running = [one for one in listed if one.manifest["kind"] in ("Deployment", "PodDisruptionBudget")]
    others = [_own(one, wish) for one in listed if one not in running]
    return (*others, *_roles(wish), *_secrets(wish), *(_own(one, wish) for one in running))


def _own(owned: Owned, wish: Wish) -> Owned:
    """As the daemon needs what is any service's otherwise."""
    manifest, name = owned.manifest, owned.manifest["metadata"]["name"]
    if manifest["kind"] == "Deployment":
        return dataclasses.replace(owned, manifest=_deployment(manifest, wish))
    if (manifest["kind"], name) == ("Service", APP):
        spec = {**manifest["spec"], "selector": {**manifest["spec"]["selector"], LEADER: "true"}}
        return dataclasses.replace(owned, manifest={**manifest, "spec": spec})
    if (manifest["kind"], name) == ("NetworkPolicy", APP):
        return dataclasses.replace(owned, manifest=_reaching(manifest, wish))
    return owned


def _deployment(manifest: Manifest, wish: Wish) -> Manifest:
    spec = manifest["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    own = {
        **pod,
        "automountServiceAccountToken": True,
        "terminationGracePeriodSeconds": 15,
        "containers": [_container(container, wish)],
        "volumes": [
            *pod["volumes"],
            {"name": "home", "emptyDir": {}},
            {"name": "password", "secret": {"secretName": PASSWORD_SECRET, "defaultMode": 0o440}},
        ],
    }
    template = {**spec["template"], "spec": own}
    return {**manifest, "spec": {**spec, "replicas": wish.replicas, "template": template}}


def _container(container: Json, wish: Wish) -> Json:
    probe = {"periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": 3}
    alive = {"httpGet": {"path": "/healthz", "port": "serving"}}
    kept = {name: value for name, value in container.items() if name != "lifecycle"}  # who stops leading says so itself
    return {
        **kept,
        "image": wish.image,
        "env": [*_environment(wish)],
        "startupProbe": {**alive, "periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": 120},
        "livenessProbe": {**alive, **probe, "periodSeconds": 10},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "serving"}, **probe},
        "resources": pods.bounds({}) | {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "volumeMounts": [
            *container["volumeMounts"],
            {"name": "home", "mountPath": _HOME},
            {"name": "password", "mountPath": _PASSWORD, "readOnly": True},
        ],
    }


def _environment(wish: Wish) -> Iterator[Json]:
    namespace, hosts = wish.cluster.namespace, [host for host in wish.cluster.hosts if host != "*"]
    secret = _STATE_SECRET if wish.state else f"state-{APP}"
    yield {"name": "AIC_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    yield {"name": "AIC_STATE", "valueFrom": {"secretKeyRef": {"name": secret, "key": "url"}}}
    values = {
        "AIC_LEASE": f"{namespace}/{APP}",
        "AIC_PASSWORD_FILE": f"{_PASSWORD}/password",
        "AIC_API_PORT": str(PORT),
        "AIC_HOME": f"{_HOME}/home",
        "HOME": _HOME,
        **({"AIC_HOSTS": ",".join(hosts)} if hosts else {}),
    }
    yield from ({"name": name, "value": value} for name, value in values.items())


def _reaching(manifest: Manifest, wish: Wish) -> Manifest:
    """The API server, and a database that is elsewhere."""
    ports = sorted({*_APISERVER, *([wish.port] if wish.state else [])})
    far = {"to": _ANYWHERE, "ports": [{"protocol": "TCP", "port": port} for port in ports]}
    return {**manifest, "spec": {**manifest["spec"], "egress": [*manifest["spec"]["egress"], far]}}


def _secrets(wish: Wish) -> Iterator[Owned]:
    def secret(name: str) -> Manifest:
        return made("v1", "Secret", name, app=APP, cluster=wish.cluster, component=APP, type="Opaque")

    yield Owned(APPLICATION, secret(PASSWORD_SECRET), Fill({"password": "${password}"}))
    if wish.state:
        yield Owned(APPLICATION, secret(_STATE_SECRET), Fill({"url": wish.state}, is_secret=True))


def _roles(wish: Wish) -> Iterator[Owned]:
    """Cluster-wide objects are named after the namespace: a cluster may have several platforms."""
    name, own = f"{APP}-{wish.cluster.namespace}", wish.cluster.namespace
    yield from _granted(wish, "Role", f"{APP}-leader", roles.of_itself(f"aic-{APP}"), namespace=own)
    if not wish.namespaces:
        rules = [*roles.of_namespaces(()), *roles.of_objects()]
        yield from _granted(wish, "ClusterRole", name, rules)
        return
    yield from _granted(wish, "ClusterRole", name, roles.of_namespaces(wish.namespaces))
    for namespace in sorted(set(wish.namespaces)):
        yield from _granted(wish, "Role", name, roles.of_objects(), namespace=namespace)


def _granted(wish: Wish, kind: str, name: str, rules: Sequence[Json], *, namespace: str = "") -> Iterator[Owned]:
    metadata: Json = {"name": name, **({"namespace": namespace} if namespace else {})}
    metadata["labels"] = labels(APP, wish.cluster) | {"app.kubernetes.io/name": APP}
    subject = {"kind": "ServiceAccount", "name": APP, "namespace": wish.cluster.namespace}
    reference = {"apiGroup": _GROUP, "kind": kind, "name": name}
    yield Owned(APPLICATION, {"apiVersion": _RBAC, "kind": kind, "metadata": metadata, "rules": [*rules]})
    binding = {"apiVersion": _RBAC, "kind": f"{kind}Binding", "metadata": metadata}
    yield Owned(APPLICATION, {**binding, "roleRef": reference, "subjects": [subject]})
