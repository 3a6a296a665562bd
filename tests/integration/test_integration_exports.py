"""What is written for kustomize and Helm, read by those two: for each environment they give the objects that the environment is."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from aiculturekit.control import installs, manifests, trees
from aiculturekit.control.manifests import Form
from aiculturekit.targets.kubernetes.exports.texts import table
from tests.images import bases
from tests.servers import registries, tools
from tests.servers.needs import built, need

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
FILE = """\
app: shop
services:
  web: {run: "uvicorn main:app --port $PORT", public: /, health: /healthz, needs: [orders], env: {MODE: "say {{hello}} '}}'"}}
  orders: {run: ./orders, scale: 2, needs: [resources/db]}
resources:
  db: {type: postgres}
environments:
  staging:
    target: "kubernetes://staging/shop-staging?registry=registry.example.com/shop"
  prod:
    target: "kubernetes://prod/shop?registry=registry.example.com/shop&flavor=ack&host=shop.example.com"
    services: {orders: {scale: 3..9, resources: {cpu: 1, memory: 1Gi}}, web: {env: {MODE: "{{ .Values }}"}}}
  meshed:
    target: "kubernetes://prod/shop?registry=registry.example.com/shop&mesh=istio"
    resources: {cache: {type: redis}}
"""
ENVIRONMENTS = ("staging", "prod", "meshed")
WISH = manifests.Wish(tag="7")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    built(tools.helm)
    file = tmp_path / "aic.yaml"
    file.write_text(FILE)
    return file


def written(file: Path, form: Form) -> Path:
    folder = file.parent / form
    for name, text in manifests.exported(file, form=form, wish=WISH).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def wanted(file: Path, environment: str) -> dict[Any, Any]:
    objects = manifests.rendered(file, environment=environment, wish=WISH)
    return table([one.manifest for one in objects if one.fill is None])


def said(*command: str | Path) -> dict[Any, Any]:
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    return table([one for one in yaml.safe_load_all(answer.stdout) if one])


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_kustomize_gives_the_objects_of_the_environment(file: Path, environment: str) -> None:
    folder = written(file, "kustomize")
    assert said(tools.kubectl(), "kustomize", folder / "overlays" / environment) == wanted(file, environment)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_helm_gives_the_objects_of_the_environment(file: Path, environment: str) -> None:
    folder = written(file, "helm")
    values = folder / f"values-{environment}.yaml"
    assert said(tools.helm(), "template", "shop", folder, "-f", values) == wanted(file, environment)


def test_helm_has_nothing_to_say_against_the_chart(file: Path) -> None:
    folder = written(file, "helm")
    for environment in ENVIRONMENTS:
        command = [tools.helm(), "lint", "--strict", folder, "-f", folder / f"values-{environment}.yaml"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert answer.returncode == 0, answer.stdout + answer.stderr


def test_a_value_that_is_changed_changes_the_object(file: Path) -> None:
    folder = written(file, "helm")
    own = folder / "own.yaml"
    own.write_text(yaml.safe_dump({"objects": {"Deployment/web-v1": {"spec.replicas": 5}}}))
    objects = said(tools.helm(), "template", "shop", folder, "-f", own)
    assert objects["apps", "Deployment", ".", "web-v1"]["spec"]["replicas"] == 5
    assert objects["apps", "Deployment", ".", "orders-v1"]["spec"]["replicas"] == 2


def test_a_tree_for_what_watches_it_names_images_that_are_there(tmp_path: Path) -> None:
    need(registries.obstacle() or bases.missing() or None)
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "app.py").write_text("print('hello')\n")
    base = bases.layout(tmp_path / "base")
    file = tmp_path / "aic.yaml"
    with registries.running() as registry:
        target = f"kubernetes://prod/shop?registry={registry.address}/team"
        text = f"app: shop\nservices:\n  web: {{source: web, run: python app.py, base: '{base}'}}\nresources:\n  db: {{type: postgres}}\n"
        file.write_text(f"{text}environments:\n  prod: {{target: '{target}'}}\n")

        def written() -> dict[str, str]:
            work = trees.rendered(file, environment="prod", store=tmp_path / "store", progress=lambda _: None)
            app, texts = asyncio.run(work)
            assert app == "shop"
            return texts

        texts = written()
        assert written() == texts, "nothing changed"
        for name, text in texts.items():
            (tmp_path / "tree").mkdir(exist_ok=True)
            (tmp_path / "tree" / name).write_text(text)
        objects = said(tools.kubectl(), "kustomize", tmp_path / "tree")
        image = objects["apps", "Deployment", ".", "web-v1"]["spec"]["template"]["spec"]["containers"][0]["image"]
        name, _, digest = image.removeprefix(f"{registry.address}/").partition("@")
        headers = {"accept": "application/vnd.oci.image.manifest.v1+json"}
        url = f"http://{registry.address}/v2/{name}/manifests/{digest}"
        assert httpx.get(url, headers=headers, timeout=10, trust_env=False).status_code == 200
    assert "secrets.sh" in texts and not any("kind: Secret\n" in text for text in texts.values())


def test_helm_gives_the_platform_that_is_installed(tmp_path: Path) -> None:
    built(tools.helm)
    order = installs.Order(image="registry.example.com/aic@sha256:" + "0" * 64)
    for name, text in installs.chart(order).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    answer = subprocess.run([tools.helm(), "lint", "--strict", tmp_path], capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    objects = table([one.manifest for one in installs.objects(order) if one.fill is None])
    assert said(tools.helm(), "template", "aic", tmp_path) == objects
