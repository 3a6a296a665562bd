"""What lies outside, as values: addresses that stay, names that are reported."""

from __future__ import annotations

import json

import pytest

from aiculturekit.mesh import refusals
from aiculturekit.mesh.envoy import egresses
from aiculturekit.mesh.nodes import Caller, Egress, Node, Refusal

CALLER = Caller("shop", "web", 20001, namespace="/n/web")


def node(*hosts: str, scheme: str = "https", port: int = 443) -> Node:
    return Node(8080, callers=(CALLER,), egresses=tuple(Egress("shop", "web", scheme, host, port) for host in hosts))  # type: ignore[arg-type]


def test_every_host_has_an_address_of_its_own_that_others_do_not_move() -> None:
    alone, many = (egresses.loopbacks(node(*hosts), CALLER) for hosts in (["b.com"], ["a.com", "b.com", "c.com"]))
    assert alone["b.com"] == many["b.com"]
    assert len(set(many.values())) == 3
    assert all(address.startswith("127.") and int(address.split(".")[1]) >= 64 for address in many.values())


def test_numbers_and_this_machine_stand_for_themselves() -> None:
    found = egresses.loopbacks(node("10.0.0.5", "localhost", scheme="tcp", port=80), CALLER)
    assert found == {"10.0.0.5": "10.0.0.5", "localhost": "127.0.0.1"}
    assert egresses.has_own(node("localhost", scheme="http", port=80), CALLER, port=80)


def test_on_a_shared_loopback_nothing_is_compiled() -> None:
    shared = Caller("shop", "web", 20001)
    assert egresses.of(node("a.com"), shared) == []


@pytest.mark.parametrize(
    ("line", "target"),
    [
        ({"query": "evil.com", "type": "1", "answers": "0"}, "https://evil.com"),
        ({"query": "Evil.com.", "type": "1", "answers": "0"}, "https://evil.com"),
        ({"query": "order-service", "type": "1", "answers": "0"}, "order-service"),
        ({"query": "evil.com", "at": "17.5"}, "https://evil.com"),
        ({"query": "evil.com", "type": "28", "answers": "0"}, None),
        ({"query": "good.com", "type": "1", "answers": "1"}, None),
        ({"query": None, "at": "17.5"}, None),
    ],
)
def test_what_was_looked_for_in_vain_is_named_as_the_need_that_would_allow_it(
    line: dict[str, str], target: str | None
) -> None:
    record = {"peer": "spiffe://aic.local/ns/shop/sa/web", "app": "shop", "method": "", "path": "", **line}
    found = refusals.parse(json.dumps(record))
    assert (found.target if found else None) == target
    if found and "at" in line:
        assert found == Refusal(17.5, "shop", "web", "https://evil.com", "", "")
