"""The environment of a container: what this machine would give the workload, said in a cluster's words. Pure.

What is secret comes from a Secret of the workload's own; a text that refers to it becomes `$(NAME)`, which the kubelet fills in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aiculturekit.plan.documents import Document
from aiculturekit.resources import outputs
from aiculturekit.spec import references
from aiculturekit.spec.secrets import Reference, parse
from aiculturekit.targets.kubernetes import givens, secrets
from aiculturekit.targets.kubernetes.objects import ENVIRONMENT, PORT
from aiculturekit.targets.kubernetes.places import Cluster

Variable = dict[str, Any]
_ENVIRONMENT = "AIC_ENVIRONMENT"


def of(app: str, document: Document, *, documents: Sequence[Document], cluster: Cluster) -> list[Variable]:
    """Later ones may refer to earlier ones, as Kubernetes demands."""
    name, _, version = document.name.partition("/")
    port = {"PORT": str(PORT)} if document.kind == "workload" else {}
    telemetry = {
        "OTEL_SERVICE_NAME": name,
        "OTEL_RESOURCE_ATTRIBUTES": f"service.namespace={app},service.version={version or 'v1'},"
        f"deployment.environment.name=$({_ENVIRONMENT})",
    }
    services = {variable(need): url for need, url in _services(document).items()}
    resources = {one["name"]: one for one in _needed(document, documents)}
    plain = {**port, "HOME": "/tmp", **telemetry, **services}  # noqa: S108
    found: list[Variable] = [_environment(), *(_plain(key, value) for key, value in plain.items())]
    found += [one for name in resources for one in _given(name, document, documents)]
    found += _amazon(list(resources), document, documents)
    kept = {key: one for key, text in document.body["env"].items() if (one := _kept(app, key, text, document))}
    said = {key: _said(text, document) for key, text in document.body["env"].items() if key not in kept}
    referred = {reference: None for text, names in said.values() for reference in names}
    found += [_referred(app, reference, document) for reference in referred]
    own = [one for one in found if one["name"] not in document.body["env"]]
    return [*own, *kept.values(), *(_plain(key, text) for key, (text, _) in said.items())]


def variable(name: str) -> str:
    """`order-service` -> `ORDER_SERVICE_URL`."""
    return f"{name.upper().replace('-', '_')}_URL"


def url(service: str) -> str:
    return f"http://{service}:{PORT}"


def _services(document: Document) -> dict[str, str]:
    return {need["name"]: url(need["name"]) for need in document.body["needs"] if need["kind"] in ("services", "mesh")}


def _needed(document: Document, documents: Sequence[Document]) -> Iterator[Mapping[str, Any]]:
    known = {one.name for one in documents if one.kind == "resource"}
    for need in document.body["needs"]:
        if need["kind"] == "resources" and need["name"] in known:
            yield need


def _given(resource: str, document: Document, documents: Sequence[Document]) -> list[Variable]:
    """NAME_URL, and NAME_PART_URL of each further part."""
    secret = secrets.name(resource, secrets.user(document))
    body = next(one.body for one in documents if one.key == ("resource", resource))
    parts = {"url": variable(resource)} | {
        f"{part}-url": variable(f"{resource}-{part}") for part in body.get("databases", ())
    }
    return [_secret(name, secret, key) for key, name in parts.items()]


def _amazon(needed: Sequence[str], document: Document, documents: Sequence[Document]) -> list[Variable]:
    """For AWS' own libraries, where there is no doubt which store is meant."""
    types = {one.name: one.body["type"] for one in documents if one.kind == "resource"}
    stores = [name for name in needed if types[name] == "s3"]
    if len(stores) != 1:
        return []
    secret = secrets.name(stores[0], secrets.user(document))
    return [_secret(name, secret, output) for name, output in outputs.AMAZON.items()]


def _kept(app: str, name: str, text: str, document: Document) -> Variable | None:
    """The variable whose value is a secret alone: the kubelet reads it."""
    found = parse(text)
    if found is None or found.kind != "kubernetes":
        return _secret(name, givens.name(app), givens.key(found, document)) if found else None
    secret, _, key = found.name.partition("/")
    return _secret(name, secret, key)


def _said(text: str, document: Document) -> tuple[str, list[str]]:
    """The text as Kubernetes reads it, and the references to secrets in it. A `$` that is none of a reference's stands for itself."""
    services, found = _services(document), []

    def lookup(reference: str) -> str:
        section, _, rest = reference.partition(".")
        if section == "services":
            return services.get(rest.rpartition(".")[0], f"${{{reference}}}")
        found.append(reference)
        return f"\0{_referring(reference)}\0"

    pieces = references.expand(text, lookup=lookup).replace("$", "$$").split("\0")
    return "".join(f"$({piece})" if at % 2 else piece for at, piece in enumerate(pieces)), found


def _referring(reference: str) -> str:
    """`resources.users-db.host` -> `AIC_USERS_DB_HOST`, `env.TOKEN` -> `AIC_ENV_TOKEN`."""
    if reference.startswith("env."):
        return f"AIC_ENV_{reference.removeprefix('env.')}"
    return "AIC_" + reference.partition(".")[2].upper().replace("-", "_").replace(".", "_")


def _referred(app: str, reference: str, document: Document) -> Variable:
    if reference.startswith("env."):
        kept = Reference("env", reference.removeprefix("env."))
        return _secret(_referring(reference), givens.name(app), givens.key(kept, document))
    resource, _, output = reference.partition(".")[2].rpartition(".")
    return _secret(_referring(reference), secrets.name(resource, secrets.user(document)), output)


def _environment() -> Variable:
    """From the pod's label, so that what is rendered for two environments differs in that alone."""
    return {"name": _ENVIRONMENT, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{ENVIRONMENT}']"}}}


def _secret(name: str, secret: str, key: str) -> Variable:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def _plain(name: str, value: str) -> Variable:
    return {"name": name, "value": value}
