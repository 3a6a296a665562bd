"""Rate limits, as an EnvoyFilter beside the service's replicas: whoever calls, by whatever way, is counted in one place. Pure.

The filter is the one of our own mesh, with the same buckets. The caller's side notes in headers what only it knows: whose limits a request
falls under and, at the ingress, the client's address.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aiculturekit.mesh.branches import Branch
from aiculturekit.mesh.envoy import documents, edits
from aiculturekit.mesh.envoy import limits as ours
from aiculturekit.mesh.envoy.names import CLIENT, LIMIT
from aiculturekit.mesh.istio import filters, names
from aiculturekit.mesh.istio.matches import Json
from aiculturekit.mesh.nodes import Node, Service
from aiculturekit.mesh.rendering import Manifest, Place

_SOURCE = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
_CALLER = "%DOWNSTREAM_PEER_URI_SAN%"


def marks(service: Service, branch: Branch, *, is_public: bool) -> Mapping[str, str | None]:
    """What the caller's side notes of a request; nothing where nothing is limited."""
    if not any((service.traffic.limit, *(route.limit for route in service.traffic.routes))):
        return {}
    noted: dict[str, str | None] = {LIMIT: branch.limited_as if branch.limit else None}
    return noted | {CLIENT: _SOURCE if is_public else None}


def rendered(node: Node, place: Place) -> Iterator[Manifest]:
    for service in node.services:
        if rules := ours.rules(service, peer=names.PEER):
            patches = [
                filters.http_filter("aic.limits.caller", _mutation(_who())),
                filters.http_filter("envoy.filters.http.local_ratelimit", _quiet(rules)),
                filters.http_filter("aic.limits.clean", _mutation(_gone())),
            ]
            yield filters.at_service(service, "limits", patches, place, priority=10)


def _quiet(rules: Json) -> Json:
    """Without the header by which our own Envoys word the refusal."""
    told = [header for header in rules["response_headers_to_add"] if header["header"]["key"] != LIMIT]
    return rules | {"response_headers_to_add": told}


def _who() -> list[Json]:
    """Who calls, as the certificate says; inside the mesh that is also the client."""
    client = {"header": {"key": CLIENT, "value": _CALLER}, "append_action": "ADD_IF_ABSENT"}
    return [{"append": edits.computed(names.PEER, _CALLER)}, {"append": client}]


def _gone() -> list[Json]:
    return [{"remove": name} for name in (LIMIT, CLIENT, names.PEER)]


def _mutation(changes: list[Json]) -> Json:
    return documents.typed(
        "extensions.filters.http.header_mutation.v3.HeaderMutation", mutations={"request_mutations": changes}
    )
