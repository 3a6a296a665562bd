"""All that is rendered for a cluster, read by others without one: Kubernetes' published schemas, strictly, and a scan of policies."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from aiculturekit.control import installs
from aiculturekit.control.installs import Order
from tests.integration.test_integration_manifests import ENVIRONMENTS, FLAVORS, filled, objects
from tests.servers import scanners
from tests.servers.needs import built

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
VERSIONS = ("1.33", "1.37")
"""The oldest that its own project still mends, and the newest that there are schemas of."""
MEANT = {
    "CKV_K8S_8": "no liveness probe but where the file asks for one: a slow dependency would restart what is well",
    "CKV_K8S_11": "what the file bounds is bounded; all else has the namespace's LimitRange",
    "CKV_K8S_13": "the same, for memory",
    "CKV_K8S_15": "images are pinned by digest when they are deployed: what is there is what is meant",
    "CKV_K8S_35": "twelve-factor programs read their addresses and passwords from the environment, here as on a laptop",
    "CKV_K8S_40": "the official images of databases have their own users (999), OpenShift chooses the number itself",
    "CKV_K8S_43": "rendered without a deploy there is no digest yet; the deploy puts it there",
}
"""Findings that are known, and why they stand. None of them is one of the Pod Security levels; whatever else is found fails."""
MEANT_OF_PLATFORM = {
    "CKV_K8S_38": "the daemon deploys: it needs its account's token",
}
"""The same, of the platform alone."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built(scanners.checkov, scanners.schemas)
    folder = tmp_path_factory.mktemp("rendered")
    for mesh in ENVIRONMENTS:
        for flavor in FLAVORS:
            texts = [filled(one) for one in objects(mesh, flavor)]
            (folder / f"{mesh}-{flavor}.yaml").write_text(yaml.safe_dump_all(texts, sort_keys=False))
    return folder


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_of_the_version_know_every_field(folder: Path, version: str) -> None:
    done = schemas(version, *sorted(folder.glob("*.yaml")))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schemas_refuse_a_field_that_does_not_exist(folder: Path, tmp_path: Path) -> None:
    deployment = next(one.manifest for one in objects("none", "generic") if one.manifest["kind"] == "Deployment")
    file = tmp_path / "wrong.yaml"
    file.write_text(yaml.safe_dump(deployment | {"spec": deployment["spec"] | {"replicaz": 1}}))
    done = schemas(VERSIONS[-1], file)
    assert done.returncode != 0
    assert "replicaz" in done.stdout + done.stderr


def test_the_scan_finds_only_what_is_meant(folder: Path) -> None:
    found = findings(folder)
    assert {(check, name) for check, name in found if check not in MEANT} == set()
    assert {check for check, _ in found} == set(MEANT), "a reason for what is not found any more"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The platform itself: open to all namespaces, and with a state of somebody else's and two namespaces."""
    built(scanners.checkov, scanners.schemas)
    folder = tmp_path_factory.mktemp("platform")
    usual = Order(
        target="kubernetes:///tools?host=aic.example.com", image=f"registry.example.com/aic@sha256:{'0' * 64}"
    )
    bound = dataclasses.replace(usual, state="postgresql://aic:word@db.example.com/aic", namespaces=("shop", "blog"))
    for name, order in {"usual": usual, "bound": bound}.items():
        texts = [filled(one) for one in installs.objects(order)]
        (folder / f"{name}.yaml").write_text(yaml.safe_dump_all(texts, sort_keys=False))
    return folder


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_know_every_field_of_the_platform(platform: Path, version: str) -> None:
    done = schemas(version, *sorted(platform.glob("*.yaml")))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_scan_finds_of_the_platform_only_what_is_meant(platform: Path) -> None:
    found = {(check, name) for check, name in findings(platform) if check not in MEANT}
    assert {(check, name) for check, name in found if check not in MEANT_OF_PLATFORM} == set()
    assert {check for check, _ in found} == set(MEANT_OF_PLATFORM), "a reason for what is not found any more"


def test_the_scan_finds_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    deployment = next(one.manifest for one in objects("none", "generic") if one.manifest["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(deployment))
    assert "CKV_K8S_16" in {check for check, _ in findings(tmp_path)}


def schemas(version: str, *files: Path) -> subprocess.CompletedProcess[str]:
    command = [scanners.schemas(), "--strict", "--no-warn", "--kubernetes-version", version, *files]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def findings(folder: Path) -> set[tuple[str, str]]:
    """(policy, what it says) of every object in the folder's files."""
    command = [
        scanners.checkov(),
        "--framework",
        "kubernetes",
        "-d",
        folder,
        "--skip-download",
        "--quiet",
        "-o",
        "json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["resource_count"] > 0
    return {(one["check_id"], one["check_name"]) for one in report["results"]["failed_checks"]}
