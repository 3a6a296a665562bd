"""Whom the Services lead to: pods that serve, and no others that happen to have the same name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiculturekit.control import manifests

SHOP = Path(__file__).parents[3] / "examples" / "shop" / "aic.yaml"
Json = dict[str, Any]


@pytest.mark.parametrize("mesh", ["none", "istio", "linkerd"])
def test_no_service_leads_to_a_pod_that_runs_to_its_end(mesh: str) -> None:
    """A migration's pods have its service's name; if they were ready, every other connection would be refused while it runs."""
    environment = {"none": "cluster"}.get(mesh)
    wish = manifests.Wish(f"kubernetes:///shop?mesh={mesh}&registry=registry.example.com", tag="1")
    listed = [one.manifest for one in manifests.rendered(SHOP, environment=environment, wish=wish)]
    selectors = [one["spec"]["selector"] for one in listed if one["kind"] == "Service"]
    ended = {
        one["metadata"]["name"]: template(one)
        for one in listed
        if one["kind"] in ("Job", "CronJob") and any(is_selected(template(one), by) for by in selectors)
    }
    assert {name.partition("-migrate-")[0] for name in ended} >= {"order-service", "user-service"}
    assert not {name for name, one in ended.items() if not one["spec"].get("readinessGates")}
    for one in listed:  # nor does a Deployment, a budget or a scaler count them among its own
        if one["kind"] in ("Deployment", "PodDisruptionBudget"):
            counted = one["spec"]["selector"]["matchLabels"]
            assert not any(is_selected(pod, counted) for pod in ended.values())


def test_pods_that_serve_have_no_gate() -> None:
    wish = manifests.Wish("kubernetes:///shop?mesh=none&registry=registry.example.com", tag="1")
    listed = [one.manifest for one in manifests.rendered(SHOP, environment="cluster", wish=wish)]
    serving = [one for one in listed if one["kind"] in ("Deployment", "StatefulSet")]
    assert serving and not any(template(one)["spec"].get("readinessGates") for one in serving)


def template(one: Json) -> Json:
    spec: Json = one["spec"]["jobTemplate"]["spec"] if one["kind"] == "CronJob" else one["spec"]
    found: Json = spec["template"]
    return found


def is_selected(pod: Json, selector: dict[str, str]) -> bool:
    return selector.items() <= pod["metadata"]["labels"].items()
