"""Objects of a cluster become an application file that `aic check` finds nothing in; what is lost is said with its file and line; no secret
is copied; and what we render comes back as what it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from aiculturekit.control import manifests
from aiculturekit.errors import Problem, SpecError
from aiculturekit.spec import load
from aiculturekit.spec.importers import kubernetes
from tests.cli.test_cli_commands import aic

SHOP = Path(__file__).parents[2] / "examples" / "shop" / "aic.yaml"
BOUTIQUE = (Path(__file__).parent / "boutique.yaml").read_bytes()


def made(files: dict[str, bytes], tmp_path: Path) -> tuple[dict[str, Any], list[Problem], str]:
    """The file as values, after `load` has found nothing in it."""
    text, losses = kubernetes.imported(files, name="Here")
    load.parse(text, file=tmp_path / "aic.yaml", variables={})
    return yaml.safe_load(text), losses, text


@pytest.fixture
def boutique(tmp_path: Path) -> tuple[dict[str, Any], list[Problem], str]:
    return made({"all.yaml": BOUTIQUE}, tmp_path)


def test_a_shop_of_several_services(boutique: tuple[dict[str, Any], list[Problem], str]) -> None:
    whole, _, _ = boutique
    front, cart = whole["services"]["frontend"], whole["services"]["cart"]
    assert front["needs"] == ["cart", "catalog"], "one by a NetworkPolicy, one by the value of a variable"
    assert (front["public"], front["scale"], front["grace"]) == ("/", 2, "5s")
    assert front["health"] == {"http": "/_healthz", "every": "7s"} and front["liveness"] == "/_live"
    assert front["resources"] == {"cpu": "200m", "memory": "128Mi"}
    assert front["env"]["CATALOG_URL"] == "${services.catalog.url}/v1"
    assert front["env"]["GREETING"] == "costs $${x}, in EUR", "a variable of the ConfigMap within another one"
    assert front["env"]["LEVEL"] == "info" and "PORT" not in front["env"]
    assert cart["scale"] == "2..9" and cart["needs"] == ["resources/redis-cart", "resources/pg", "resources/cart-data"]
    assert cart["env"]["DATABASE"] == "${resources.pg.url}", "the Secret's value leads to the database"
    assert whole["resources"] == {
        "cart-data": {"type": "volume"},
        "redis-cart": {"type": "redis"},
        "pg": {"type": "postgres", "extensions": ["vector"]},
    }
    assert set(whole["services"]["catalog"]["versions"]) == {"v1", "v2"}
    assert whole["services"]["catalog"]["protocol"] == "http2" and whole["services"]["catalog"]["public"] == "/catalog"
    report = whole["jobs"]["report"]
    assert (report["run"], report["schedule"], report["timeout"], report["retries"]) == (
        "python report.py",
        "0 2 * * *",
        "600s",
        3,
    )


def test_what_is_lost_is_said_with_its_line(boutique: tuple[dict[str, Any], list[Problem], str]) -> None:
    _, losses, text = boutique
    lines = BOUTIQUE.decode().splitlines()
    said = {problem.path: problem for problem in losses}
    for path, word in {
        "DaemonSet/agent": "kind: DaemonSet", "Certificate/tls": "kind: Certificate", "Job/once": "name: once",
        "Deployment/frontend.containers.log-shipper": "log-shipper", "Deployment/frontend.initContainers.fetch": "name: fetch",
        "Deployment/frontend.envFrom": "absent", "Deployment/cart.ports": "containerPort: 7070",
        "HorizontalPodAutoscaler/cart.metrics": "memory", "Deployment/frontend.volumeMounts": "/etc/conf",
    }.items():  # fmt: skip
        assert word in lines[said[path].line - 1], path
        assert f"all.yaml:{said[path].line}: {path}" in text
    assert any("/gone" in problem.message for problem in losses) and any(
        "shop.example" in problem.message for problem in losses
    )


def test_no_secret_is_copied(boutique: tuple[dict[str, Any], list[Problem], str]) -> None:
    whole, losses, text = boutique
    for secret in ("deephush", "hush-key", "hush-literal"):
        assert secret not in text and not any(secret in str(one) for one in losses)
    assert whole["services"]["cart"]["env"]["SIGNING"] == "${env.SIGNING:-}"
    assert any("SIGNING" in one.message and "not copied" in one.message for one in losses)


def test_what_we_render_comes_back_and_renders_alike(tmp_path: Path) -> None:
    """The images are ready now, and what prepares the databases is the code's own: all else is as it was."""
    target = "kubernetes:///shop?mesh=none&registry=registry.example.com/shop"
    before = [one.manifest for one in manifests.rendered(SHOP, environment="cluster", wish=manifests.Wish())]
    text, losses = kubernetes.imported({"shop.yaml": yaml.safe_dump_all(before).encode()}, name="x")
    assert {one.path.partition("/")[0] for one in losses} == {"Job"}, "migrations and seeds"
    (tmp_path / "aic.yaml").write_text(text)
    wish = manifests.Wish(target=target)
    after = [one.manifest for one in manifests.rendered(tmp_path / "aic.yaml", environment=None, wish=wish)]

    def shape(objects: list[dict[str, Any]]) -> dict[tuple[str, str], Any]:
        kept = ("NetworkPolicy", "Service", "Ingress", "Deployment", "StatefulSet", "PersistentVolumeClaim")
        return {(one["kind"], one["metadata"]["name"]): _bare(one["spec"]) for one in objects if one["kind"] in kept}

    assert shape(after) == shape(before)


def _bare(value: Any) -> Any:
    """Without the environment's name, which is another one, and in no order of variables."""
    if isinstance(value, dict):
        return {key: _bare(inner) for key, inner in value.items() if key != "aiculturekit.dev/environment"}
    if isinstance(value, list):
        inner = [_bare(one) for one in value]
        return sorted(inner, key=str) if all(isinstance(one, dict) for one in inner) else inner
    return value


def test_a_folder_by_the_command(tmp_path: Path) -> None:
    folder = tmp_path / "cluster"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "all.yaml").write_bytes(BOUTIQUE)
    done = aic(tmp_path / "home", "init", "--from", "kubernetes", str(folder))
    assert done.returncode == 0 and "deep/all.yaml:" in done.stdout
    assert aic(tmp_path / "home", "check", str(folder)).returncode == 0
    again = aic(tmp_path / "home", "init", "--from", "kubernetes", str(folder))
    assert again.returncode == 1 and "already there" in again.stderr
    assert aic(tmp_path / "home", "init", "--from", "kubernetes", str(tmp_path / "none")).returncode == 1


@pytest.mark.parametrize(
    "raw", [b"", b"kind: Service\nmetadata: {name: x}\n", b"- 1\n", b"a: [", b"kind: List\nitems: [1, null]\n"]
)
def test_files_without_a_workload_are_refused(raw: bytes) -> None:
    with pytest.raises(SpecError):
        kubernetes.imported({"x.yaml": raw}, name="x")


def test_odd_shapes_do_not_end_it(tmp_path: Path) -> None:
    odd = """\
kind: Deployment
metadata: {name: a, labels: [1]}
spec: {replicas: many, template: {metadata: 3, spec: {containers: [x, {image: r/a, env: [1, {name: "b.c", value: 1}], readinessProbe: 3, ports: 80}]}}}
---
{kind: Ingress, metadata: {name: i}, spec: {rules: [1, {http: {paths: [1, {path: 3}]}}]}}
---
{kind: NetworkPolicy, metadata: {name: n}, spec: {podSelector: 1, egress: [1, {to: [1]}]}}
---
{kind: HorizontalPodAutoscaler, metadata: {name: h}, spec: {maxReplicas: x, scaleTargetRef: {kind: Deployment, name: a}}}
---
{kind: Secret, metadata: {name: s}, data: {a: "%%%"}}
"""
    whole, _, _ = made({"x.yaml": odd.encode()}, tmp_path)
    assert whole["services"]["a"]["image"] == "r/a"
