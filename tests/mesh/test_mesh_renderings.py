"""Every feature of the vocabulary, as each mesh for a cluster says it: renderings/MESH.yaml holds what a feature adds to the plainest node
(`needs`). `AIC_GOLDENS=write` writes them anew, to be read in the diff. What is written is also what the kinds' own definitions allow."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiculturekit.mesh import features, gateway_api, linkerd, uses
from aiculturekit.mesh.features import FEATURES, Feature
from aiculturekit.mesh.nodes import Caller, Node, Service, Version
from aiculturekit.mesh.rendering import Manifest, Place, Renderer
from aiculturekit.mesh.rules import Access, Breaker, Match, Retries, Route, Traffic
from tests.servers import crds

FOLDER = Path(__file__).parent / "renderings"
PLACE = Place("shop", hosts=("shop.example", "*"), ingress="")
RENDERERS: dict[str, Renderer] = {"linkerd": linkerd.RENDERER, "gateway-api": gateway_api.RENDERER}
CASES = [pytest.param(mesh, feature, id=f"{mesh} {feature.name}") for mesh in RENDERERS for feature in FEATURES]
CORE = ("v1", "networking.k8s.io/v1")
"""Kubernetes' own kinds: the real API server knows them (tests/integration)."""


def key(document: Manifest) -> tuple[str, str]:
    return document["kind"], document["metadata"]["name"]


def added(renderer: Renderer, feature: Feature) -> list[Manifest]:
    plain = renderer.render(FEATURES[0].node, place=PLACE)
    found = [one for one in renderer.render(feature.node, place=PLACE) if feature is FEATURES[0] or one not in plain]
    return [{k: v for k, v in one.items() if k != "metadata"} | _named(one) for one in found]


def _named(document: Manifest) -> Manifest:
    """Without the labels, which are the same everywhere."""
    kept = {k: v for k, v in document["metadata"].items() if k in ("name", "annotations")}
    return {"metadata": kept}


def golden(mesh: str) -> dict[str, Any]:
    renderer = RENDERERS[mesh]
    found: dict[str, Any] = {}
    for feature in FEATURES:
        gaps = renderer.gaps(feature.node)
        found[feature.name] = [f"{gap.key}: {gap.reason}" for gap in gaps] or added(renderer, feature)
    return found


@pytest.mark.parametrize("mesh", RENDERERS)
def test_every_feature_is_said_as_it_was(mesh: str) -> None:
    file, found = FOLDER / f"{mesh}.yaml", golden(mesh)
    if os.environ.get("AIC_GOLDENS") == "write":
        file.write_text(yaml.safe_dump(found, sort_keys=False, width=120))
    kept = yaml.safe_load(file.read_text())
    assert list(kept) == [feature.name for feature in FEATURES]
    for name, value in found.items():
        assert kept[name] == value, name


@pytest.mark.skipif(bool(crds.missing()), reason=crds.missing())
@pytest.mark.parametrize(("mesh", "feature"), CASES)
def test_what_is_said_is_what_the_definitions_allow(mesh: str, feature: Feature) -> None:
    renderer, definitions = RENDERERS[mesh], definitions_of(mesh)
    documents = renderer.render(feature.node, place=PLACE)
    if not renderer.gaps(feature.node):
        wrong = {
            key(one): crds.mistakes(one, definitions)
            for one in documents
            if one["apiVersion"] not in CORE and crds.mistakes(one, definitions)
        }
        assert wrong == {}


def definitions_of(mesh: str) -> tuple[crds.Definition, ...]:
    """Linkerd reads TCP and TLS routes in a version that the standard channel serves no more."""
    return (*crds.gateway_api("experimental"), *crds.linkerd()) if mesh == "linkerd" else crds.gateway_api()


@pytest.mark.skipif(bool(crds.missing()), reason=crds.missing())
def test_the_definitions_refuse_what_is_wrong() -> None:
    (route,) = (one for one in gateway_api.render(FEATURES[0].node, place=PLACE) if one["kind"] == "HTTPRoute")
    standard = crds.gateway_api()
    assert crds.mistakes(route, standard) == []
    assert crds.mistakes(route | {"spec": route["spec"] | {"rulez": []}}, standard)
    assert crds.mistakes(route | {"spec": {"rules": [{"timeouts": {"request": "soon"}}]}}, standard)
    assert crds.mistakes(route | {"kind": "Nothing"}, standard)


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
def test_a_features_node_uses_it(feature: Feature) -> None:
    assert feature.name in {use.feature for use in uses.of(feature.node)}


def test_every_use_has_a_row_in_the_matrix() -> None:
    used = {use.feature for feature in FEATURES for use in uses.of(feature.node)}
    assert used == {feature.name for feature in FEATURES}


def test_every_answer_is_about_a_feature() -> None:
    """A feature that is renamed must not leave an answer behind that nobody asks for."""
    names = {feature.name for feature in FEATURES}
    for mesh in RENDERERS.values():
        module = __import__(mesh.gaps.__module__, fromlist=["_ANSWERS"])  # type: ignore[attr-defined]
        assert set(module._ANSWERS) <= names


@pytest.mark.parametrize("mesh", RENDERERS)
def test_names_are_unique_and_a_gap_is_never_rendered_over(mesh: str) -> None:
    for feature in FEATURES:
        keys = [key(one) for one in RENDERERS[mesh].render(feature.node, place=PLACE)]
        assert len(keys) == len(set(keys)), feature.name


def test_a_row_has_a_cell_for_each_mesh() -> None:
    rows = features.cells(RENDERERS)
    assert len(rows) == len(FEATURES)
    assert all([cell.mesh for cell in row] == list(RENDERERS) for row in rows)
    assert {cell.is_supported for row in rows for cell in row} == {True, False}


def test_a_renderer_that_forgets_a_feature_has_a_gap_there() -> None:
    """Whatever it says itself: with and without the rule the documents are the same."""

    def forgets(node: Node, *, place: Place) -> list[Manifest]:
        plain = [dataclasses.replace(one, traffic=Traffic()) for one in node.services]
        return list(linkerd.render(dataclasses.replace(node, services=tuple(plain)), place=place))

    forgetful = dataclasses.replace(linkerd.RENDERER, render=forgets)
    assert "traffic.timeout" in features.silent(forgetful)
    assert "traffic.timeout" not in features.silent(linkerd.RENDERER)
    node = next(feature.node for feature in FEATURES if feature.name == "traffic.routes.timeout")
    assert [gap.key for gap in features.gaps(forgetful, node)][-1] == "traffic.routes.0.timeout"


@pytest.mark.parametrize("mesh", RENDERERS)
def test_nothing_is_forgotten(mesh: str) -> None:
    assert features.silent(RENDERERS[mesh]) == frozenset()


VALUES: dict[type, set[str]] = {
    Service: {"app", "name", "versions", "callers", "operations", "traffic", "access", "protocol"},
    Version: {"name", "port", "weight", "match", "namespace"},  # a place on this machine, as the port is
    Caller: {"app", "name", "proxy", "needs", "remotes", "namespace"},
    Traffic: {
        "timeout", "retries", "breaker", "limit", "balance", "zones", "sticky", "mirror", "fault", "headers", "cors", "compress", "max_body",
        "routes",
    },
    Route: {"match", "redirect", "rewrite", "version", "timeout", "retries", "limit", "mirror", "fault", "headers"},
    Match: {"path", "method", "header", "cookie", "query", "claim"},
    Retries: {"attempts", "on", "per_try", "budget"},
    Breaker: {"errors", "consecutive", "over", "max_requests", "max_connections"},
    Access: {"audit", "jwt", "check", "foreign"},
}  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_what_a_node_can_state_is_known_to_uses(value: type) -> None:
    """A new field is lost on every mesh for a cluster until `uses` names it and `features` has a node with it: add it there, then here."""
    assert {field.name for field in dataclasses.fields(value)} == VALUES[value]
