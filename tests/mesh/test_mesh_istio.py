"""What Istio's resources say, where a suite with a real istiod would see no difference: names, scopes, refusals."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from aiculturekit.mesh import istio
from aiculturekit.mesh.features import node
from aiculturekit.mesh.istio import checks
from aiculturekit.mesh.nodes import Caller, Egress, Neighbour, Node, Remote
from aiculturekit.mesh.rendering import Manifest, Place
from aiculturekit.mesh.rules import Access, Balance, Check, Jwt, Limit, Traffic

PLACE = Place("shop")


def kinds(given: Node, place: Place = PLACE) -> dict[str, list[Manifest]]:
    found: dict[str, list[Manifest]] = {}
    for one in istio.render(given, place=place):
        found.setdefault(one["kind"], []).append(one)
    return found


def checked(url: str, **fields: Any) -> Node:
    return node(public="/orders", access=Access(check=Check(url, **fields)))


def authorizer(given: Node, place: Place = PLACE) -> dict[str, Any]:
    [installation] = kinds(given, place)["IstioOperator"]
    [provider] = installation["spec"]["meshConfig"]["extensionProviders"]
    return dict(provider)


def test_a_check_outside_is_known_to_the_gateway_alone() -> None:
    found = kinds(checked("https://auth.example/v1/", timeout=0.2, fails="open"))
    [entry] = found["ServiceEntry"]
    assert (entry["spec"]["exportTo"], entry["spec"]["resolution"]) == (["istio-system"], "DNS")
    assert entry["spec"]["endpoints"] == [{"address": "auth.example"}]
    [rule] = [one for one in found["DestinationRule"] if one["metadata"]["name"] == "orders-check"]
    tls = {"mode": "SIMPLE", "sni": "auth.example", "subjectAltNames": ["auth.example"]}
    assert rule["spec"]["trafficPolicy"] == {"tls": tls}
    asked = authorizer(checked("https://auth.example/v1/", timeout=0.2, fails="open"))["envoyExtAuthzHttp"]
    assert asked["service"] == f"shop/{entry['spec']['hosts'][0]}"
    assert (asked["port"], asked["pathPrefix"], asked["timeout"], asked["failOpen"]) == (443, "/v1", "0.2s", True)


def test_a_check_within_is_the_service_itself() -> None:
    given = checked("http://auth/ask", service="auth")
    assert "ServiceEntry" not in kinds(given)
    asked = authorizer(given)["envoyExtAuthzHttp"]
    assert (asked["service"], asked["port"]) == ("shop/auth.shop.svc.cluster.local", 80)


def test_an_authorizers_name_is_short_enough_and_tells_two_apart() -> None:
    given = checked("http://auth/", service="auth")
    long = [Place(f"{'n' * 60}-{letter}") for letter in "ab"]
    names = {authorizer(given, place)["name"] for place in (PLACE, *long)}
    assert len(names) == 3 and all(len(name) <= 63 for name in names)


def test_an_authorizer_is_named_as_the_policy_names_it() -> None:
    given = checked("http://auth.example/")
    [policy] = [one for one in kinds(given)["AuthorizationPolicy"] if one["spec"]["action"] == "CUSTOM"]
    assert policy["spec"]["provider"]["name"] == authorizer(given)["name"]
    assert policy["metadata"]["namespace"] == "istio-system"
    assert policy["spec"]["rules"] == [{"to": [{"operation": {"paths": ["/orders", "/orders/*"]}}]}]


def test_a_header_of_the_check_is_taken_from_clients_on_the_services_own_paths() -> None:
    given = checked("http://auth.example/", headers=("X-User",))
    [cleaner] = kinds(given, dataclasses.replace(PLACE, hosts=("shop.example",)))["EnvoyFilter"]
    [patch] = cleaner["spec"]["configPatches"]
    assert patch["patch"]["operation"] == "INSERT_FIRST"
    text = str(patch)
    assert "'remove': 'x-user'" in text and "/orders([/?].*)?" in text and r"shop\\.example(:[0-9]+)?" in text


@pytest.mark.parametrize("jwt", [(), (Jwt("https://login.example", "{}"),)])
def test_a_check_beside_a_token_is_refused(jwt: tuple[Jwt, ...]) -> None:
    given = node(public="/", access=Access(check=Check("http://auth.example/"), jwt=jwt))
    assert [gap.key for gap in istio.gaps(given)] == ["access.check"] * bool(jwt)
    assert checks.provider(given.services[0], PLACE) == "aic-shop-orders"


def outside(*needs: tuple[str, str], others: tuple[str, ...] = ("spy",)) -> Node:
    """(caller, address) each; `others` need nothing outside."""
    callers = dict.fromkeys([*(caller for caller, _ in needs), *others])
    egresses = []
    for caller, address in needs:
        scheme, _, rest = address.partition("://")
        host, _, port = rest.partition(":")
        number = int(port) if port else {"https": 443, "http": 80}[scheme]
        egresses.append(Egress("shop", caller, scheme, host, number))  # type: ignore[arg-type]
    return Node(8080, callers=tuple(Caller("shop", name, 1) for name in callers), egresses=tuple(egresses))


def test_what_lies_outside_is_shown_to_who_needs_it_and_the_rest_is_closed_for_all() -> None:
    found = kinds(outside(("web", "https://api.example.com"), ("job", "tcp://10.0.0.5:5432")))
    shown = {one["metadata"]["name"]: one["spec"] for one in found["Sidecar"]}
    assert shown["web"]["egress"] == [{"hosts": ["./api.example.com", "istio-system/*"]}]
    assert shown["job"]["egress"] == [{"hosts": ["./10-0-0-5.shop.internal", "istio-system/*"]}]
    assert {name: one["outboundTrafficPolicy"]["mode"] for name, one in shown.items()} == dict.fromkeys(
        ("web", "job", "spy"), "REGISTRY_ONLY"
    )
    assert all(one["spec"]["exportTo"] == ["."] for one in found["ServiceEntry"])


def test_without_a_need_outside_a_namespace_stays_as_the_cluster_has_it() -> None:
    assert all("outboundTrafficPolicy" not in one["spec"] for one in kinds(node())["Sidecar"])


@pytest.mark.parametrize(
    ("address", "resolution", "protocol"),
    [
        ("https://api.example.com", "DNS", "TLS"),
        ("https://*.example.com", "DYNAMIC_DNS", "TLS"),
        ("http://api.example.com", "DNS", "HTTP"),
        ("tcp://db.example.com:5432", "DNS", "TCP"),
        ("tcp://10.0.0.5:5432", "STATIC", "TCP"),
        ("https://10.0.0.5", "STATIC", "TCP"),
    ],
)
def test_each_kind_of_address_is_found_in_its_way(address: str, resolution: str, protocol: str) -> None:
    found = kinds(outside(("web", address)))
    [entry] = found["ServiceEntry"]
    assert (entry["spec"]["resolution"], entry["spec"]["ports"][0]["protocol"]) == (resolution, protocol)
    assert ("VirtualService" in found) == (protocol == "TLS" and resolution == "DNS"), "the name is looked at"


@pytest.mark.parametrize(
    ("needs", "refused"),
    [
        ([("web", "https://a.example"), ("api", "https://a.example")], []),
        ([("web", "https://a.example"), ("api", "https://a.example:8443")], ["web", "api"]),
        ([("web", "https://a.example"), ("web", "https://a.example:8443")], []),
        ([("web", "tcp://a.example:1"), ("web", "tcp://b.example:1")], ["web", "web"]),
        ([("web", "tcp://a.example:1"), ("api", "tcp://b.example:1")], []),
        ([("web", "tcp://10.0.0.1:1"), ("web", "tcp://10.0.0.2:1")], []),
        ([("web", "tcp://localhost:5432"), ("api", "https://a.example")], ["web"]),
    ],
)
def test_what_istio_cannot_tell_apart_outside_is_refused(needs: list[tuple[str, str]], refused: list[str]) -> None:
    assert [gap.service for gap in istio.gaps(outside(*needs))] == refused
    assert {gap.key for gap in istio.gaps(outside(*needs))} <= {"needs"}


FAR = Remote("other.example", "bank", "pay")
OTHER = Neighbour("other.example", "gate.example", 15443, "https://other.example/bundle")
NAMED = Access(foreign=("spiffe://other.example/ns/bank/sa/pay",))


def federated(neighbour: Neighbour = OTHER, **fields: Any) -> Node:
    caller = Caller("shop", "web", 1, {"orders": 2}, remotes={FAR: 3})
    return dataclasses.replace(node(**fields), callers=(caller,), neighbours=(neighbour,))


def test_a_need_of_another_trust_domain_speaks_with_the_very_service() -> None:
    found = kinds(federated())
    [entry] = found["ServiceEntry"]
    assert (entry["spec"]["hosts"], entry["spec"]["exportTo"]) == (["pay.bank.other.example"], ["."])
    assert entry["spec"]["endpoints"] == [{"address": "gate.example", "ports": {"http": 15443}}]
    [rule] = [one for one in found["DestinationRule"] if one["spec"]["host"] == "pay.bank.other.example"]
    assert rule["spec"]["trafficPolicy"]["tls"] == {
        "mode": "ISTIO_MUTUAL",
        "sni": "pay.bank.other.example",
        "subjectAltNames": ["spiffe://other.example/ns/bank/sa/pay"],
    }
    [sidecar] = found["Sidecar"]
    assert "./pay.bank.other.example" in sidecar["spec"]["egress"][0]["hosts"]


def test_foreign_roots_are_of_their_domain_and_never_an_alias() -> None:
    [installation] = kinds(federated(access=NAMED))["IstioOperator"]
    config = installation["spec"]["meshConfig"]
    root = {"spiffeBundleUrl": "https://other.example/bundle", "trustDomains": ["other.example"]}
    assert config["caCertificates"] == [root]
    assert "trustDomainAliases" not in config
    assert installation["spec"]["values"]["pilot"]["env"] == {"ISTIO_MULTIROOT_MESH": "true"}


def test_a_foreign_workload_is_named_by_its_own_domain_and_enters_by_a_door_of_its_own() -> None:
    found = kinds(federated(access=NAMED))
    [policy] = [one for one in found["AuthorizationPolicy"] if one["metadata"]["name"] == "orders"]
    sources = [source for rule in policy["spec"]["rules"] for source in rule["from"]]
    assert {"source": {"principals": ["other.example/ns/bank/sa/pay"]}} in sources
    [gateway] = found["Gateway"]
    [server] = gateway["spec"]["servers"]
    assert (server["tls"], server["hosts"]) == ({"mode": "PASSTHROUGH"}, ["orders.shop.cluster.local"])


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        (federated(), []),
        (federated(access=NAMED), []),
        (federated(Neighbour("other.example", "gate.example", 15443)), ["needs"]),
        (federated(Neighbour("other.example", roots="https://x")), ["needs"]),
        (federated(Neighbour("z.example", "h", 1, "https://x"), access=NAMED), ["needs", "access.foreign"]),
        (federated(access=NAMED, protocol="tcp"), ["access.foreign"]),
        (federated(access=NAMED, traffic=Traffic(limit=(Limit(5),))), ["access.foreign"]),
        (federated(access=NAMED, traffic=Traffic(balance=Balance("hash", header="x"))), ["access.foreign"]),
        (federated(access=NAMED, traffic=Traffic(timeout=3.0)), []),
    ],
)
def test_what_would_not_hold_across_domains_is_refused(given: Node, refused: list[str]) -> None:
    assert [gap.key for gap in istio.gaps(given)] == refused
