"""The example in a real cluster: its images built and pushed, its objects applied as somebody does who has the rendered files."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from aiculturekit.control import images, manifests
from aiculturekit.targets.kubernetes.objects import Owned
from tests.images import bases
from tests.servers import databases, programs
from tests.servers.clusters import Cluster
from tests.servers.registries import Registry

SHOP = Path(__file__).parents[2] / "examples" / "shop"
SERVICES = ("api-gateway", "user-service", "order-service", "payment-service", "notification")
NAMESPACE = "shop"


def obstacle() -> str | None:
    """Why it can't be built here; None where it can."""
    return databases.obstacle() or bases.missing() or None


def built(registry: Registry, folder: Path, *, environment: str, mesh: str) -> Path:
    """The application file with a base image that can be had here; its images and those of its databases are in the registry."""
    shutil.copytree(SHOP, folder / "shop")
    file = folder / "shop" / "aic.yaml"
    given = yaml.safe_load(file.read_text())
    base = bases.layout(folder / "base")
    for name in SERVICES:
        given["services"][name]["base"] = base
    target = f"kubernetes:///{NAMESPACE}?mesh={mesh}&registry={registry.address}/shop&mirror={registry.address}"
    given["environments"].setdefault(environment, {})["target"] = target
    file.write_text(yaml.safe_dump(given, sort_keys=False))
    registry.push(databases.postgres(folder / "postgres.tar"), "library/postgres:18")
    registry.push(databases.valkey(folder / "valkey.tar"), "valkey/valkey:9")
    order = images.Order(push=f"http://{registry.address}/shop", tag="1")
    work = images.build(file, environment=environment, order=order, store=folder / "store", progress=lambda _: None)
    assert len(asyncio.run(work)) >= len(SERVICES)
    return file


def rendered(file: Path, *, environment: str) -> tuple[Owned, ...]:
    return manifests.rendered(file, environment=environment, wish=manifests.Wish(tag="1"))


def applied(cluster: Cluster, objects: tuple[Owned, ...], folder: Path) -> None:
    """The script with the Secrets first (twice: it may be run again), then all at once; ready when this returns."""
    claims = [one.manifest for one in objects if one.manifest["kind"] == "PersistentVolumeClaim"]
    cluster.apply(*(_volume(folder, claim) for claim in claims))
    path = f"{programs.path('kubectl').parent}:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {"PATH": path, "KUBECONFIG": str(cluster.kubeconfig), "HOME": str(folder)}
    for _ in range(2):
        done = subprocess.run(
            ["/bin/sh", "-e"],
            input=manifests.secrets(objects),
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
    cluster.apply(*(one.manifest for one in objects if one.fill is None))
    wait = ("wait", "--for=condition=complete", "job", "--all", "--timeout=400s")
    cluster.kubectl("-n", NAMESPACE, *wait, seconds=410)
    for one in objects:
        if one.manifest["kind"] == "Deployment":
            cluster.rolled_out(one.manifest["metadata"]["name"], namespace=NAMESPACE, seconds=300)


def _volume(folder: Path, claim: dict[str, Any]) -> dict[str, Any]:
    """There is nobody in this cluster who makes a volume for a claim."""
    name = claim["metadata"]["name"]
    place = folder / name
    place.mkdir()
    for path in (place, *place.parents[:3]):
        path.chmod(0o777)
    spec = {
        "capacity": {"storage": "20Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": str(place)},
        "claimRef": {"namespace": NAMESPACE, "name": name},
        "storageClassName": "",
    }
    claim["spec"]["storageClassName"] = ""
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"shop-{name}"}, "spec": spec}
