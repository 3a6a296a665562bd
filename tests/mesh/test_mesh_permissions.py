"""Callers and their operations as Envoy's allow list."""

from __future__ import annotations

from typing import Any

from aiculturekit.mesh.envoy import permissions
from aiculturekit.mesh.nodes import Service, Version
from aiculturekit.mesh.rules import Access


def service(**fields: Any) -> Service:
    return Service("shop", "orders", (Version("v1", 1),), **fields)


def test_nobody_is_allowed_when_nobody_needs_it() -> None:
    assert permissions.rules(service(), "t") == {"action": "ALLOW", "policies": {}}


def test_a_caller_with_operations_has_a_policy_of_its_own() -> None:
    found = permissions.rules(service(callers=("web", "gw"), operations={"web": (("GET", ""), ("", "/a"))}), "t")
    assert set(found["policies"]) == {"needs", "needs of web"}
    assert [p["authenticated"]["principal_name"]["exact"] for p in found["policies"]["needs"]["principals"]] == [
        "spiffe://t/ns/shop/sa/gw"
    ]
    assert found["policies"]["needs of web"]["permissions"] == [
        {"header": {"name": ":method", "string_match": {"exact": "GET"}}},
        {"url_path": {"path": {"exact": "/a"}}},
    ]


def test_operations_of_who_is_no_caller_allow_nothing() -> None:
    assert permissions.rules(service(operations={"web": (("GET", ""),)}), "t")["policies"] == {}


def test_a_prefix_never_takes_a_hidden_separator() -> None:
    [allowed] = permissions.rules(service(callers=("web",), operations={"web": (("", "/a*"),)}), "t")["policies"][
        "needs of web"
    ]["permissions"]
    prefix, hidden = allowed["and_rules"]["rules"]
    assert prefix == {"url_path": {"path": {"prefix": "/a"}}} and "not_rule" in hidden


def test_a_tcp_service_knows_no_operations() -> None:
    found = permissions.rules(service(callers=("web",), operations={"web": (("GET", ""),)}, protocol="tcp"), "t")
    assert set(found["policies"]) == {"needs"}


def test_under_audit_nothing_is_enforced() -> None:
    assert set(permissions.engine(service(access=Access(audit=True)), "t")) == {"shadow_rules"}
    assert set(permissions.engine(service(), "t")) == {"rules"}
