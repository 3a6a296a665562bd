"""Clusters for what the platform itself asks outside: key sets and external checks. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from aiculturekit.mesh.envoy import documents
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.nodes import Node

_TLS = "extensions.transport_sockets.tls.v3.UpstreamTlsContext"
_PORTS = {"http": 80, "https": 443}


def cluster(url: str) -> str:
    """The name of the cluster for an address."""
    scheme, host, port = _parts(url)
    return f"web/{scheme}/{host}/{port}"


def origin(url: str) -> str:
    """The address without its path."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def compiled(node: Node, *, authorities: str) -> Iterator[Json]:
    """One for each address. `authorities` is the file with the certificates of the authorities that this machine trusts."""
    for name, url in sorted({cluster(url): url for url in _urls(node)}.items()):
        yield _cluster(name, url, authorities)


def _urls(node: Node) -> Iterator[str]:
    for service in node.services:
        yield from (jwt.jwks for jwt in service.access.jwt if is_address(jwt.jwks))
        if service.access.check and not service.access.check.service:
            yield service.access.check.url


def is_address(jwks: str) -> bool:
    """Whether a key set is an address, not the set itself."""
    return jwks.startswith(("https://", "http://"))


def _cluster(name: str, url: str, authorities: str) -> Json:
    scheme, host, port = _parts(url)
    endpoint = {"endpoint": {"address": documents.address(port, host=host)}}
    found = documents.typed(
        "config.cluster.v3.Cluster",
        name=name,
        type="STRICT_DNS",
        dns_lookup_family="V4_PREFERRED",
        # Whether a name can be resolved now must not decide whether the node's configuration is taken up.
        wait_for_warm_on_init=False,
        load_assignment={"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        connect_timeout="2s",
    )
    if scheme == "http":
        return found
    san = {"san_type": "DNS", "matcher": {"exact": host}}
    context = {"trusted_ca": {"filename": authorities}, "match_typed_subject_alt_names": [san]}
    tls = documents.extension(
        "transport_sockets.tls", _TLS, sni=host, common_tls_context={"validation_context": context}
    )
    return found | {"transport_socket": tls}


def _parts(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS[parts.scheme]
