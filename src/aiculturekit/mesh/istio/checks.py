"""The external check of requests from outside: an AuthorizationPolicy (CUSTOM) at the ingress gateway hands them to an authorizer, which
stands in the mesh's own configuration (`installations`). Pure.

Istio asks the check before it looks at a token, and an authorizer must be a service that the mesh knows: an address becomes a
ServiceEntry that only the gateway sees.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Iterator
from urllib.parse import urlsplit

from aiculturekit.language import say
from aiculturekit.mesh.envoy import documents
from aiculturekit.mesh.envoy.documents import seconds
from aiculturekit.mesh.envoy.egresses import is_number
from aiculturekit.mesh.istio import filters, names, tokens
from aiculturekit.mesh.istio.matches import Json
from aiculturekit.mesh.nodes import USUAL_PORTS, Entry, Node, Service
from aiculturekit.mesh.rendering import Gap, Manifest, Place
from aiculturekit.mesh.rules import Check

_LONGEST = 63
"""Characters of a provider's name, at most."""
_HEADERS = [f"{letter}*" for letter in string.ascii_lowercase + string.digits + "_"]
"""Every header: a star alone Istio refuses."""


def rendered(node: Node, place: Place) -> Iterator[Manifest]:
    for service, check, entries in _checked(node):
        rules = [
            {"to": tokens.where(node, service, entries, place, more, spared=()), **({"when": when} if when else {})}
            for when, more in tokens.without_preflights(service, [])
        ]
        name, selector = f"{place.namespace}-{service.name}-check", {"matchLabels": dict(place.gateway_labels)}
        fields: Json = {"selector": selector, "action": "CUSTOM", "provider": {"name": provider(service, place)}}
        yield names.at_gateway(names.security("AuthorizationPolicy", name, place, **fields, rules=rules), place)
        if check.headers:
            yield _cleaner(service, check, entries, place)
        if not check.service:
            yield from _outside(service, check, place)


def providers(node: Node, place: Place) -> Iterator[Json]:
    """The authorizers, as MeshConfig's extensionProviders name them."""
    for service, check, _ in _checked(node):
        host, port = _asked(service, check, place)
        asked: Json = {
            "service": f"{place.namespace}/{host}",
            "port": port,
            "timeout": seconds(check.timeout),
            "failOpen": check.fails == "open",
            "statusOnError": "503",
            "includeRequestHeadersInCheck": list(_HEADERS),
        }
        if path := urlsplit(check.url).path.rstrip("/"):
            asked["pathPrefix"] = path
        if check.headers:
            asked["headersToUpstreamOnAllow"] = [name.lower() for name in check.headers]
        yield {"name": provider(service, place), "envoyExtAuthzHttp": asked}


def _checked(node: Node) -> Iterator[tuple[Service, Check, list[Entry]]]:
    for service in node.services:
        entries = [entry for entry in node.entries if entry.service == service.name]
        if service.access.check and entries:
            yield service, service.access.check, entries


def provider(service: Service, place: Place) -> str:
    """The authorizer's name, which the whole mesh shares."""
    name = f"aic-{place.namespace}-{service.name}"
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9].rstrip('-')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _asked(service: Service, check: Check, place: Place) -> tuple[str, int]:
    """Host and port under which the mesh knows who is asked."""
    if check.service:
        return names.host(check.service, place), place.port_of(check.service)
    address = urlsplit(check.url)
    return f"check.{service.name}.{place.namespace}.internal", address.port or USUAL_PORTS[address.scheme]


def _outside(service: Service, check: Check, place: Place) -> Iterator[Manifest]:
    """Under a name of its own, so that nothing else that is known of the address is touched."""
    address = urlsplit(check.url)
    server = (address.hostname or "").lower()
    host, number = _asked(service, check, place)
    is_fixed = is_number(server) or ":" in server
    name = f"{service.name}-check"
    yield names.networking(
        "ServiceEntry",
        name,
        place,
        hosts=[host],
        exportTo=[names.gateway_namespace(place)],
        location="MESH_EXTERNAL",
        resolution="STATIC" if is_fixed else "DNS",
        ports=[{"number": number, "name": "http", "protocol": "HTTP"}],
        endpoints=[{"address": server}],
    )
    if address.scheme == "https":
        tls = {"mode": "SIMPLE", "sni": server, "subjectAltNames": [server]}
        fields: Json = {"exportTo": [names.gateway_namespace(place)], "trafficPolicy": {"tls": tls}}
        yield names.networking("DestinationRule", name, place, host=host, **fields)


def _cleaner(service: Service, check: Check, entries: list[Entry], place: Place) -> Manifest:
    """What a client itself says in a header that only the check may set is removed, before the check is asked."""
    removed = [{"remove": name.lower()} for name in check.headers]
    change = documents.typed(
        "extensions.filters.http.header_mutation.v3.HeaderMutation", mutations={"request_mutations": removed}
    )
    inner = {"name": "envoy.filters.http.header_mutation", "typed_config": change}
    passes = documents.typed("extensions.filters.common.matcher.action.v3.SkipFilter")
    meant = [filters.header(":path", _whole(_paths(entries)))]
    if "*" not in place.hosts:
        meant.append(filters.header(":authority", _whole([f"{re.escape(host)}(:[0-9]+)?" for host in place.hosts])))
    predicates = [{"single_predicate": one} for one in meant]
    whole = predicates[0] if len(predicates) == 1 else {"and_matcher": {"predicate": predicates}}
    elsewhere = {
        "predicate": {"not_matcher": whole},
        "on_match": {"action": {"name": "skip", "typed_config": passes}},
    }
    config = documents.typed(
        "extensions.common.matching.v3.ExtensionWithMatcher",
        extension_config=inner,
        xds_matcher={"matcher_list": {"matchers": [elsewhere]}},
    )
    name = f"{place.namespace}-{service.name}-check"
    patch = filters.http_filter(f"aic.check.{place.namespace}.{service.name}", config, context="GATEWAY")
    patch["patch"]["operation"] = "INSERT_FIRST"
    patch["match"]["listener"]["filterChain"]["filter"].pop("subFilter")
    selector = {"labels": dict(place.gateway_labels)}
    return names.envoy_filter(name, names.gateway_namespace(place), workloadSelector=selector, configPatches=[patch])


def _whole(patterns: list[str]) -> Json:
    return {"safe_regex": {"regex": "|".join(patterns), "google_re2": {}}}


def _paths(entries: list[Entry]) -> list[str]:
    """Regular expressions for the service's public paths, with whatever is another service's below them: it loses a header that
    nobody may say anyway."""
    return [f"{re.escape(entry.prefix.rstrip('/'))}([/?].*)?" for entry in entries]


def gaps(service: Service) -> Iterator[Gap]:
    if service.access.check and service.access.jwt:
        reason = say("Istio asks the check before it has looked at the token; leave out access.jwt or access.check")
        yield Gap(service.app, service.name, "access.check", reason)
