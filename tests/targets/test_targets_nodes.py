from __future__ import annotations

from typing import Any

from aiculturekit.mesh.nodes import Node
from aiculturekit.plan.documents import Document
from aiculturekit.targets import nodes


def workload(name: str, *needs: str, kind: str = "workload") -> Document:
    listed = [{"kind": "services", "name": need, "verb": "call", "url": None, "operations": []} for need in needs]
    return Document(kind, name, {"needs": listed})


def access(name: str, *callers: str, versions: tuple[str, ...] = ("v1",)) -> Document:
    return Document(
        "access",
        name,
        {"callers": list(callers), "versions": list(versions), "operations": {}, "access": {}, "protocol": "http"},
    )


def route(name: str, **weights: float) -> Document:
    body: dict[str, Any] = {"weights": weights, "matches": {}, "traffic": {"timeout": 2.0}}
    return Document("route", name, body)


def ingress(prefix: str, service: str) -> Document:
    return Document("ingress", prefix, {"service": service})


def compiled(applications: dict[str, list[Document]]) -> Node:
    names = nodes.port_names(applications)
    assert len(set(names)) == len(names)
    return nodes.node(applications, ports={name: 20000 + at for at, name in enumerate(names)}, ingress_port=8080)


def test_a_need_is_a_port_of_the_callers_own_and_a_permission_at_the_called() -> None:
    node = compiled(
        {"shop": [access("pay", "orders"), workload("orders/v1", "pay"), workload("pay/v1"), route("pay", v1=100.0)]}
    )
    (pay,) = (service for service in node.services if service.name == "pay")
    (orders,) = (caller for caller in node.callers if caller.name == "orders")
    assert pay.callers == ("orders",)
    assert list(orders.needs) == ["pay"]
    assert orders.needs["pay"] != orders.proxy


def test_a_caller_stays_allowed_while_anything_in_force_still_needs_the_called() -> None:
    narrowed = access("pay")
    node = compiled({"shop": [narrowed, workload("orders/v1", "pay"), workload("pay/v1")]})
    assert next(s for s in node.services if s.name == "pay").callers == ("orders",)


def test_a_version_is_wired_before_it_runs_and_until_it_is_gone() -> None:
    coming = [access("pay", versions=("v1", "v2")), workload("pay/v1"), route("pay", v1=100.0)]
    (pay,) = compiled({"shop": coming}).services
    assert [(version.name, version.weight) for version in pay.versions] == [("v1", 100.0), ("v2", 0.0)]

    going = [access("pay", versions=("v1",)), workload("pay/v1"), workload("pay/v2"), route("pay", v1=100.0)]
    (pay,) = compiled({"shop": going}).services
    assert [version.name for version in pay.versions] == ["v1", "v2"]


def test_before_its_first_route_a_service_sends_everything_to_its_first_version() -> None:
    (pay,) = compiled({"shop": [access("pay", versions=("v1", "v2"))]}).services
    assert [version.weight for version in pay.versions] == [100.0, 0.0]


def test_the_bare_host_belongs_to_who_came_first() -> None:
    shop, blog = [access("web"), ingress("/", "web")], [access("site"), ingress("/", "site"), ingress("/feed", "site")]
    entries = {(entry.app, entry.prefix): entry.bare for entry in compiled({"shop": shop, "blog": blog}).entries}
    assert entries == {("shop", "/"): True, ("blog", "/"): False, ("blog", "/feed"): True}


def test_applications_do_not_share_ports_or_permissions() -> None:
    both = {
        app: [access("web", "job"), workload("web/v1"), workload("job", "web", kind="job")] for app in ("one", "two")
    }
    node = compiled(both)
    ports = [v.port for s in node.services for v in s.versions]
    ports += [c.proxy for c in node.callers] + [port for c in node.callers for port in c.needs.values()]
    assert len(ports) == len(set(ports))
    assert {(service.app, service.callers) for service in node.services} == {("one", ("job",)), ("two", ("job",))}


def test_what_lies_outside_is_allowed_to_who_names_it_and_in_the_form_that_the_mesh_reads() -> None:
    urls = [
        "https://API.stripe.com/v1",
        "tcp://smtp.example.com:587",
        "http://legacy.example.com:8080",
        "https://*.s3.example.com",
    ]
    needs = [
        {"kind": "external", "name": "x", "verb": "connect", "url": url, "operations": []} for url in [*urls, urls[0]]
    ]
    node = compiled({"shop": [Document("workload", "pay/v1", {"needs": needs}), workload("web/v1")]})
    assert [(one.app, one.caller, one.scheme, one.host, one.port) for one in node.egresses] == [
        ("shop", "pay", "http", "legacy.example.com", 8080),
        ("shop", "pay", "https", "*.s3.example.com", 443),
        ("shop", "pay", "https", "api.stripe.com", 443),
        ("shop", "pay", "tcp", "smtp.example.com", 587),
    ]
    assert [one.need for one in node.egresses] == [
        "http://legacy.example.com:8080",
        "https://*.s3.example.com",
        "https://api.stripe.com",
        "tcp://smtp.example.com:587",
    ]


def test_a_resource_that_stands_elsewhere_is_an_egress_of_who_needs_it_alone() -> None:
    need = {"kind": "resources", "name": "cache", "verb": "write", "url": None, "operations": []}
    cache = Document("resource", "cache", {"type": "redis", "url": "redis://u:p@cache.example/0"})
    node = compiled({"shop": [cache, Document("workload", "orders/v1", {"needs": [need]}), workload("pay/v1")]})
    (egress,) = node.egresses
    assert (egress.caller, egress.scheme, egress.host, egress.port) == ("orders", "tcp", "cache.example", 6379)
