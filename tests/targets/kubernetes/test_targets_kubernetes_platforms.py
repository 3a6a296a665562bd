"""The platform as objects: least rights that are enough, one leader that is called, nothing secret in what is written."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiculturekit.control import installs, manifests
from aiculturekit.control.recipes import recipes
from aiculturekit.errors import LocatorError, Mistake
from aiculturekit.locator import Locator
from aiculturekit.plan import images
from aiculturekit.spec import load
from aiculturekit.targets.kubernetes import places, rendering
from aiculturekit.targets.kubernetes.elections import LEADER
from aiculturekit.targets.kubernetes.objects import Owned
from aiculturekit.targets.kubernetes.platforms import roles

SHOP = Path(__file__).parents[3] / "examples" / "shop" / "aic.yaml"
IMAGE = "registry.example.com/aic@sha256:" + "0" * 64
_PLURALS = {"Ingress": "ingresses", "ServiceEntry": "serviceentries", "Telemetry": "telemetries"}


def rendered(**values: Any) -> tuple[Owned, ...]:
    return installs.objects(installs.Order(image=IMAGE, **values))


def one(objects: tuple[Owned, ...], kind: str, name: str) -> dict[str, Any]:
    return next(o.manifest for o in objects if (o.manifest["kind"], o.manifest["metadata"]["name"]) == (kind, name))


def test_the_daemon_is_confined_and_has_what_it_needs() -> None:
    spec = one(rendered(), "Deployment", "aic-v1")["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert spec["replicas"] == 2 and container["image"] == IMAGE
    assert container["securityContext"]["readOnlyRootFilesystem"] and pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is True
    environment = {one["name"]: one for one in container["env"]}
    assert environment["AIC_LEASE"]["value"] == "aic/aic"
    assert environment["AIC_STATE"]["valueFrom"]["secretKeyRef"] == {"name": "state-aic", "key": "url"}
    mounted = {one["name"] for one in container["volumeMounts"]}
    assert mounted == {one["name"] for one in pod["volumes"]} == {"tmp", "home", "password"}


def test_requests_go_to_the_one_that_leads() -> None:
    objects = rendered()
    assert one(objects, "Service", "aic")["spec"]["selector"] == {"app": "aic", LEADER: "true"}
    assert LEADER not in one(objects, "Service", "state")["spec"]["selector"]
    assert one(objects, "PodDisruptionBudget", "aic-v1")["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize("target", ["none", "istio", "linkerd", "gateway-api"])
def test_whatever_is_rendered_for_an_application_it_may_make(target: str) -> None:
    """Every kind of every mesh, with operators and scalers."""
    options = "&operator=cnpg&autoscaler=keda&prometheus=http://p" if target == "istio" else ""
    cluster = places.parse(Locator.parse(f"kubernetes:///shop?mesh={target}{options}"))
    cluster = dataclasses.replace(cluster, monitoring=places.MONITORED)
    application = load.load(SHOP)
    references = {one.document: "registry.example.com/shop:1" for one in recipes(application)}
    documents = images.pinned(manifests.described(application), references)  # what a mesh can't express is left out
    objects = rendering.rendered("shop", documents, cluster=cluster)
    assert len(objects) > 30 and "PrometheusRule" in {one.manifest["kind"] for one in objects}
    for owned in objects:
        kind = owned.manifest["kind"]
        if kind == "Namespace":
            continue
        group = owned.manifest["apiVersion"].rpartition("/")[0]
        resource = _PLURALS.get(kind) or re.sub(r"cy$", "cie", kind.lower()) + "s"
        assert roles.allows(roles.of_objects(), group=group, resource=resource), (group, kind)


def test_where_it_sits_it_may_write_its_own_lease_and_labels_of_pods() -> None:
    rules = one(rendered(), "Role", "aic-leader")["rules"]
    assert {(*rule["resources"], *rule.get("resourceNames", ())): rule["verbs"] for rule in rules} == {
        ("leases",): ["create"],
        ("leases", "aic-aic"): ["get", "update"],
        ("pods",): ["list", "patch"],
    }


def test_rights_are_for_named_namespaces_where_some_are_named() -> None:
    everywhere, some = rendered(), rendered(namespaces=("shop", "blog"))
    assert any(
        rule["resources"] == ["namespaces"] and "create" in rule["verbs"]
        for rule in one(everywhere, "ClusterRole", "aic-aic")["rules"]
    )
    (rule,) = one(some, "ClusterRole", "aic-aic")["rules"]
    assert rule == {
        "apiGroups": [""],
        "resources": ["namespaces"],
        "resourceNames": ["blog", "shop"],
        "verbs": ["get", "patch"],
    }
    places = {o.manifest["metadata"]["namespace"] for o in some if o.manifest["kind"] == "RoleBinding"}
    assert places == {"aic", "shop", "blog"}
    replaced = [rule["resources"] for rule in roles.of_objects() if "update" in rule["verbs"]]
    assert replaced == [["secrets"], ["leases"]]
    for owned in (*everywhere, *some):
        for rule in owned.manifest.get("rules", ()):
            assert "*" not in (*rule["verbs"], *rule["resources"], *rule["apiGroups"])


def test_a_state_that_stands_elsewhere_is_in_a_secret_alone() -> None:
    url = "postgresql://aic:s3cr3t-word@db.example.com:6432/aic"
    objects = rendered(state=url)
    assert "s3cr3t-word" not in yaml.safe_dump([one.manifest for one in objects]) + repr(objects)
    assert not any(one.manifest["kind"] == "StatefulSet" for one in objects)
    (filled,) = (one for one in objects if one.manifest["metadata"]["name"] == "aic-state")
    assert filled.fill is not None and filled.fill.templates == {"url": url} and filled.fill.is_secret
    policy = one(objects, "NetworkPolicy", "aic")["spec"]["egress"][-1]
    assert {port["port"] for port in policy["ports"]} == {443, 6443, 6432}
    with pytest.raises(LocatorError, match="PostgreSQL"):
        rendered(state="sqlite:///tmp/x")


def test_a_host_name_brings_an_ingress_and_is_answered_to() -> None:
    objects = rendered(target="kubernetes:///tools?host=aic.example.com")
    assert one(objects, "Ingress", "aic")["spec"]["rules"][0]["host"] == "aic.example.com"
    container = one(objects, "Deployment", "aic-v1")["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "AIC_HOSTS", "value": "aic.example.com"} in container["env"]
    assert one(objects, "ClusterRole", "aic-tools")


def test_targets_are_said_in_short_or_in_full() -> None:
    said = {
        text: installs.Order(target=text).cluster for text in ("", "tools", "arn:aws:eks:x/tools", "kubernetes://c/t")
    }
    assert [(one.context, one.namespace) for one in said.values()] == [
        ("", "aic"), ("", "tools"), ("arn:aws:eks:x", "tools"), ("c", "t"),
    ]  # fmt: skip
    with pytest.raises(Mistake, match="come from somewhere"):
        installs.objects(installs.Order())
    with pytest.raises(Mistake, match="no mesh"):
        rendered(target="kubernetes:///aic?mesh=istio")
