"""Places: how Envoy is told of them, and in Istio's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiculturekit.mesh import istio, linkerd
from aiculturekit.mesh.envoy import clusters, endpoints
from aiculturekit.mesh.features import node
from aiculturekit.mesh.istio import localities
from aiculturekit.mesh.nodes import Replica
from aiculturekit.mesh.rendering import Place
from aiculturekit.mesh.rules import Traffic

ZONES = ("eu-west/a", "eu-west/b", "us-east")
REPLICAS = st.builds(
    lambda port, rank, is_ready: Replica(port, ZONES[rank], rank, is_ready),
    st.integers(1, 99),
    st.integers(0, 2),
    st.booleans(),
)


@given(st.lists(st.one_of(REPLICAS, st.integers(100, 199)), unique_by=lambda one: getattr(one, "port", one)))
def test_what_envoy_is_told_can_be_read_back(replicas: list[endpoints.Where]) -> None:
    made = {"name": "in/shop/orders/v1", "load_assignment": endpoints.of("in/shop/orders/v1", replicas)}
    assert clusters.replicas([made]) == {("shop", "orders", "v1"): endpoints.settled(replicas)}


def test_priorities_have_no_gap_though_a_place_is_empty() -> None:
    found = endpoints.of("c", [Replica(1, "us-east", 2)])["endpoints"]
    assert [one.get("priority", 0) for one in found] == [0, 1, 2]
    assert [len(one["lb_endpoints"]) for one in found] == [0, 0, 1]


def test_one_that_is_not_ready_is_told_of_as_unwell() -> None:
    [place] = endpoints.of("c", [Replica(1, "eu-west/a", 0), Replica(2, "eu-west/a", 0, is_ready=False)])["endpoints"]
    assert place["locality"] == {"region": "eu-west", "zone": "a"}
    assert [one.get("health_status") for one in place["lb_endpoints"]] == [None, "UNHEALTHY"]


def rule(*zones: str) -> dict[str, object]:
    rendered = istio.render(node(traffic=Traffic(zones=zones)), place=Place("shop"))
    [found] = [one for one in rendered if one["kind"] == "DestinationRule"]
    return found["spec"]["trafficPolicy"]  # type: ignore[no-any-return]


def test_istio_goes_on_to_the_next_region() -> None:
    policy = rule(*ZONES)
    assert policy["loadBalancer"] == {
        "simple": "LEAST_REQUEST",
        "localityLbSetting": {
            "enabled": True,
            "failover": [{"from": "eu-west", "to": "us-east"}, {"from": "us-east", "to": "eu-west"}],
        },
    }
    assert policy["outlierDetection"]["maxEjectionPercent"] == 100  # type: ignore[index]
    assert rule("eu-west/a", "eu-west/b")["loadBalancer"] == {
        "simple": "LEAST_REQUEST",
        "localityLbSetting": {"enabled": True},
    }


@pytest.mark.parametrize(
    ("zones", "found"),
    [
        (("a",), None),
        (("a", "b", "c"), None),
        (ZONES, None),
        (("eu/a", "eu/b", "us", "asia"), None),
        (("a", "b", "c", "d"), ("c", "d")),
        (("eu/a", "eu/b", "eu/c"), ("eu/b", "eu/c")),
        (("eu/a", "us", "eu/b"), ("us", "eu/b")),
    ],
)
def test_an_order_that_istio_does_not_have_is_a_gap(zones: tuple[str, ...], found: tuple[str, str] | None) -> None:
    assert localities.unordered(zones) == found
    gaps = istio.gaps(node(traffic=Traffic(zones=zones)))
    assert [gap.key for gap in gaps] == (["traffic.zones"] if found else [])


def test_linkerd_has_no_order() -> None:
    [gap] = linkerd.RENDERER.gaps(node(traffic=Traffic(zones=ZONES)))
    assert gap.key == "traffic.zones" and "topology" in gap.reason
