"""An API server in memory: as much of one as the target asks of it. Conflicts of field managers, versions and finalizers are as strict as the real
one's; what a kind may hold is not looked at (the integration tests do)."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from aiculturekit.targets.kubernetes.clients import MANAGER, Client

Json = dict[str, Any]
KINDS = {
    "Namespace": "v1", "ServiceAccount": "v1", "Service": "v1", "Secret": "v1", "ConfigMap": "v1", "LimitRange": "v1", "Pod": "v1", "Event": "v1",
    "PersistentVolumeClaim": "v1", "ResourceQuota": "v1", "Deployment": "apps/v1", "StatefulSet": "apps/v1", "ReplicaSet": "apps/v1",
    "Job": "batch/v1", "CronJob": "batch/v1", "NetworkPolicy": "networking.k8s.io/v1", "Ingress": "networking.k8s.io/v1",
    "PodDisruptionBudget": "policy/v1", "Lease": "coordination.k8s.io/v1",
}  # fmt: skip
"""Those of the target, and where they are served."""
_PLURALS = {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies", "LimitRange": "limitranges"}
_CLUSTERWIDE = ("Namespace",)


@dataclasses.dataclass
class Answer:
    status_code: int
    content: bytes
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Lost(Exception):
    """The way to the server broke."""


class Api:
    """`objects` by (plural, namespace, name). `before` may answer, or raise Lost, before anything happens; `after` once it has happened."""

    def __init__(self, *, kinds: Mapping[str, str]) -> None:
        self.kinds = kinds
        self.objects: dict[tuple[str, str, str], Json] = {}
        self.asked: list[tuple[str, str]] = []
        self.before: Callable[[str, str], Answer | None] = lambda method, path: None
        self.after: Callable[[str, str], None] = lambda method, path: None
        self.is_ready: Callable[[Json], bool] = lambda manifest: True
        self._versions = itertools.count(1)

    def client(self) -> Client:
        return Client(
            self, server="https://double", trouble=lambda error: "broken off" if isinstance(error, Lost) else None
        )

    async def aclose(self) -> None:
        """Nothing is open."""

    def stream(self, method: str, url: str, **options: Any) -> Any:
        raise NotImplementedError

    async def request(self, method: str, url: str, **options: Any) -> Answer:
        path = urlsplit(url).path
        self.asked.append((method, path))
        if (answer := self.before(method, path)) is not None:
            return answer
        body = json.loads(options["content"]) if options.get("content") else {}
        answer = self._answered(method, path, options.get("params") or {}, body)
        self.after(method, path)
        return answer

    def get(self, plural: str, name: str, *, namespace: str = "shop") -> Json:
        return self.objects[plural, namespace, name]

    def names(self, plural: str, *, namespace: str = "shop") -> set[str]:
        return {name for kind, space, name in self.objects if (kind, space) == (plural, namespace)}

    def touch(self, plural: str, name: str, *, manager: str, namespace: str = "shop", **spec: Any) -> None:
        """Another manager sets fields of the spec, which are ours no more."""
        found = self.get(plural, name, namespace=namespace)
        found["spec"] |= spec
        metadata = found["metadata"]
        for entry in metadata["managedFields"]:
            entry["fieldsV1"] = {
                key: value for key, value in entry["fieldsV1"].items() if key not in _paths({"spec": spec})
            }
        entry = {
            "manager": manager,
            "operation": "Update",
            "time": "2026-01-01T00:00:00Z",
            "fieldsV1": _paths({"spec": spec}),
        }
        metadata["managedFields"].append(entry)
        metadata["resourceVersion"] = str(next(self._versions))

    def _answered(self, method: str, path: str, query: Mapping[str, str], body: Json) -> Answer:
        parts = path.strip("/").split("/")
        api = parts[1] if parts[0] == "api" else "/".join(parts[1:3])
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        if not rest:
            return _said(200, {"resources": [_resource(kind) for kind, of in self.kinds.items() if of == api]})
        namespace = rest[1] if rest[0] == "namespaces" and len(rest) > 2 else ""
        plural, *name = rest[2:] if namespace else rest
        key = (plural, namespace, name[0] if name else "")
        match method:
            case "GET" if not name:
                return self._listed(plural, namespace, query)
            case "GET":
                return _said(200, self.objects[key]) if key in self.objects else _missing(key)
            case "POST":
                return self._created((plural, namespace, body["metadata"]["name"]), body)
            case "PUT":
                return self._replaced(key, body)
            case "PATCH":
                return self._applied(key, body, is_forced=query["force"] == "true")
            case _:
                return self._deleted(key)

    def _listed(self, plural: str, namespace: str, query: Mapping[str, str]) -> Answer:
        asked = dict(pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair)
        found = [
            one
            for (kind, space, _), one in self.objects.items()
            if kind == plural
            and namespace in ("", space)
            and asked.items() <= one["metadata"].get("labels", {}).items()
        ]
        return _said(200, {"items": found})

    def _created(self, key: tuple[str, str, str], body: Json) -> Answer:
        if key in self.objects:
            return _status(409, "AlreadyExists", f"{key[0]} {key[2]} already exists")
        return _said(201, self._kept(key, body, generation=1))

    def _replaced(self, key: tuple[str, str, str], body: Json) -> Answer:
        found = self.objects.get(key)
        if found is None:
            return _missing(key)
        if found["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            return _status(409, "Conflict", "the object has been modified")
        return _said(200, self._kept(key, body, generation=1))

    def _applied(self, key: tuple[str, str, str], body: Json, *, is_forced: bool) -> Answer:
        found = self.objects.get(key)
        others = [
            one for one in (found or {}).get("metadata", {}).get("managedFields", ()) if one["manager"] != MANAGER
        ]
        wanted = _paths(body)
        clashes = [
            {"reason": "FieldManagerConflict", "message": f'conflict with "{one["manager"]}" using v1', "field": field}
            for one in others
            for field in one["fieldsV1"]
            if field in wanted and wanted[field] != one["fieldsV1"][field]
        ]
        if clashes and not is_forced:
            return _status(409, "Conflict", f"Apply failed with {len(clashes)} conflict", causes=clashes)
        others = [
            one | {"fieldsV1": {key: value for key, value in one["fieldsV1"].items() if key not in wanted}}
            for one in others
        ]
        mine = {"manager": MANAGER, "operation": "Apply", "fieldsV1": wanted}
        generation = (found or {}).get("metadata", {}).get("generation", 0)
        is_same = found is not None and all(found.get(part) == body.get(part) for part in ("spec", "data"))
        return _said(200, self._kept(key, body, generation=generation + (not is_same), managed=[mine, *others]))

    def _kept(
        self, key: tuple[str, str, str], body: Json, *, generation: int, managed: list[Json] | None = None
    ) -> Json:
        before = self.objects.get(key, {}).get("metadata", {})
        metadata = {
            **body["metadata"],
            "uid": before.get("uid") or f"uid-{next(self._versions)}",
            "generation": generation,
            "resourceVersion": str(next(self._versions)),
            "managedFields": managed or [],
        }
        made = json.loads(json.dumps({**body, "metadata": metadata}))
        if (status := self._status(made, generation)) is not None:
            made["status"] = status
        self.objects[key] = made
        return made

    def _status(self, made: Json, generation: int) -> Json | None:
        is_ready = self.is_ready(made)
        replicas = made.get("spec", {}).get("replicas", 1)
        if made["kind"] == "Job":
            return {"conditions": [{"type": "Complete" if is_ready else "Failed", "status": "True"}]}
        if made["kind"] not in ("Deployment", "StatefulSet"):
            return None
        late = [] if is_ready else [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
        counts = dict.fromkeys(
            ("replicas", "updatedReplicas", "availableReplicas", "readyReplicas"), replicas if is_ready else 0
        )
        return {"observedGeneration": generation, "conditions": late, **counts}

    def _deleted(self, key: tuple[str, str, str]) -> Answer:
        return _said(200, self.objects.pop(key)) if key in self.objects else _missing(key)


def _resource(kind: str) -> Json:
    return {"kind": kind, "name": _PLURALS.get(kind, f"{kind.lower()}s"), "namespaced": kind not in _CLUSTERWIDE}


def _paths(value: Any, at: str = "") -> dict[str, Any]:
    """Every leaf of spec and data, by its path."""
    if not at:
        return {path: leaf for part in ("spec", "data") for path, leaf in _paths(value.get(part), f".{part}").items()}
    if isinstance(value, dict):
        return {path: leaf for key, inner in value.items() for path, leaf in _paths(inner, f"{at}.{key}").items()}
    return {at: value}


def _said(status: int, body: Any) -> Answer:
    return Answer(status, json.dumps(body).encode())


def _missing(key: tuple[str, str, str]) -> Answer:
    return _status(404, "NotFound", f"{key[0]} {key[2]} not found")


def _status(code: int, reason: str, message: str, *, causes: Any = ()) -> Answer:
    return _said(
        code,
        {"kind": "Status", "code": code, "reason": reason, "message": message, "details": {"causes": list(causes)}},
    )
