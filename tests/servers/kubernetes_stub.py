"""As much of a Kubernetes API as istiod insists on: it starts, finds nothing in the cluster, and believes every token it asks about.

No object can be made here. What istiod is to know, it reads from its directory of files.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_FIXED: dict[str, dict[str, Any]] = {
    "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
    "/api": {"kind": "APIVersions", "apiVersion": "v1", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
}
_RESOURCE = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>[^/]+)(?:/namespaces/[^/]+(?=/))?(?:/(?P<plural>[^/]+))?(?:/(?P<name>[^/]+))?/?"
)
_KINDS = [
    "Namespace",
    "Pod",
    "Service",
    "Node",
    "ConfigMap",
    "Secret",
    "ServiceAccount",
    "Endpoints",
    "EndpointSlice",
    "Ingress",
    "IngressClass",
    "Lease",
    "Deployment",
    "DaemonSet",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "ClusterTrustBundle",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
]
_TOKEN = re.compile(rb"eyJ[\w-]+\.([\w-]+)\.[\w-]*")
"""A JSON web token, wherever it stands: the question may come as JSON or as protobuf."""


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if url.path in _FIXED:
            self._say(200, _FIXED[url.path])
        elif (found := _RESOURCE.fullmatch(url.path)) is None:
            self._refuse(404, "NotFound")
        elif query.keys() & {"watch"}:
            self._watch(query)
        else:
            self._look(found)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path.endswith("/tokenreviews"):
            self._say(201, _review(body))
        elif "/selfsubjectaccessreviews" in self.path:
            self._say(201, _object("authorization.k8s.io/v1", "SelfSubjectAccessReview", status={"allowed": True}))
        else:
            self._refuse(403, "Forbidden")

    do_PUT = do_PATCH = do_DELETE = do_POST

    def _look(self, found: re.Match[str]) -> None:
        version = "/".join(part for part in (found["group"], found["version"]) if part)
        plural, name = found["plural"], found["name"]
        if plural is None:
            self._say(200, _object("v1", "APIResourceList", groupVersion=version, resources=[]))
            return
        items = [_namespace(one) for one in self.server.namespaces] if plural == "namespaces" else []
        if name is None:
            self._say(200, self._list(version, plural, items))
        elif known := [item for item in items if item["metadata"]["name"] == name]:
            self._say(200, known[0])
        else:
            self._refuse(404, "NotFound")

    def _list(self, version: str, plural: str, items: list[dict[str, Any]]) -> dict[str, Any]:
        meta = {"resourceVersion": "1"}
        if "PartialObjectMetadata" in self.headers.get("accept", ""):
            return _object("meta.k8s.io/v1", "PartialObjectMetadataList", metadata=meta, items=[])
        return _object(version, f"{_kind(plural)}List", metadata=meta, items=items)

    def _watch(self, query: dict[str, list[str]]) -> None:
        """Nothing ever happens here. To stream the beginning is refused, so that the client lists instead."""
        if query.get("sendInitialEvents") == ["true"]:
            self._refuse(422, "Invalid")
            return
        self.close_connection = True
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("connection", "close")
        self.end_headers()
        self.server.ending.wait(float(query.get("timeoutSeconds", ["300"])[0]))

    def _refuse(self, code: int, reason: str) -> None:
        self._say(code, _object("v1", "Status", status="Failure", reason=reason, code=code, message=reason))

    def _say(self, code: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:
        """Silent."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    namespaces: tuple[str, ...]
    ending: threading.Event


def _object(version: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, **fields}


def _kind(plural: str) -> str:
    return next((kind for kind in _KINDS if plural in (f"{kind}s".lower(), f"{kind}es".lower(), kind.lower())), plural)


def _namespace(name: str) -> dict[str, Any]:
    labels = {"kubernetes.io/metadata.name": name}
    return _object("v1", "Namespace", metadata={"name": name, "uid": name, "resourceVersion": "1", "labels": labels})


def _review(body: bytes) -> dict[str, Any]:
    found = _TOKEN.search(body)
    claims = json.loads(base64.urlsafe_b64decode(found[1] + b"===")) if found else {"sub": "nobody"}
    user = {"username": claims["sub"], "groups": ["system:serviceaccounts"]}
    status = {"authenticated": found is not None, "audiences": ["istio-ca"], "user": user}
    return _object("authentication.k8s.io/v1", "TokenReview", metadata={}, status=status)


@contextlib.contextmanager
def running(*namespaces: str) -> Iterator[int]:
    """The port of a stub on the loopback of this thread's network, in which these namespaces are."""
    server = _Server(("127.0.0.1", 0), _Answers)
    server.namespaces, server.ending = namespaces, threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.ending.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
