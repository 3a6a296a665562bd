"""The example in a real cluster, as a user brings it there: `aic deploy --to ENV`, its images built, pushed to a registry and pulled by a node."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from aiculturekit.control import manifests
from benchmarks.products import SHOP, Product, product
from tests.images import bases
from tests.servers import databases
from tests.servers.clusters import Cluster
from tests.servers.registries import Registry

SERVICES = ("api-gateway", "user-service", "order-service", "payment-service", "notification")
NAMESPACE, KEY = "shop", "shop@staging"
ORDER = {"user_id": 1, "items": [{"sku": "tea", "quantity": 2}]}
Json = dict[str, Any]
_SECONDS = 900.0


def obstacle() -> str | None:
    """Why it can't be built here; None where it can."""
    return databases.obstacle() or bases.missing() or None


class Shop:
    """The application in `folder`, which goes to the environment `staging`; its file may be edited between deploys."""

    def __init__(self, folder: Path, made: Product, cluster: Cluster) -> None:
        self.folder, self.made, self.cluster = folder, made, cluster

    def edit(self, change: Callable[[Json], object]) -> None:
        file = self.folder / "aic.yaml"
        given = yaml.safe_load(file.read_text())
        change(given)
        file.write_text(yaml.safe_dump(given, sort_keys=False))

    def tried(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.made.run("deploy", str(self.folder), "--to", "staging", *words, seconds=_SECONDS)

    def deploy(self) -> Json:
        """The operation. Raises AssertionError with what was said."""
        done = self.tried("--json")
        assert done.returncode == 0, done.stdout + done.stderr
        found: Json = json.loads(done.stdout)
        return found

    def listed(self, kind: str) -> list[Json]:
        found: list[Json] = json.loads(self.kubectl("get", kind, "-o", "json"))["items"]
        return found

    def generations(self) -> dict[str, int]:
        """How often what is wanted of each Deployment has changed."""
        return {one["metadata"]["name"]: one["metadata"]["generation"] for one in self.listed("deployments")}

    def kubectl(self, *words: str, seconds: float = 60) -> str:
        return self.cluster.kubectl("-n", NAMESPACE, *words, seconds=seconds)

    def within(self, workload: str, script: str) -> subprocess.CompletedProcess[str]:
        """Python in a pod of the workload."""
        words = ("-n", NAMESPACE, "exec", f"deploy/{workload}-v1", "-c", workload)
        return self.cluster.tried(*words, "--", "python3", "-c", script)


@contextmanager
def shop(cluster: Cluster, registry: Registry, folder: Path, *, options: str, overlay: Json) -> Iterator[Shop]:
    """Nothing is deployed yet. `options` are the target's, `overlay` is what the environment changes of the services."""
    shutil.copytree(SHOP, folder / "shop")
    registry.push(databases.postgres(folder / "postgres.tar"), "library/postgres:18")
    registry.push(databases.valkey(folder / "valkey.tar"), "valkey/valkey:9")
    place = f"registry=http://{registry.address}/shop&mirror={registry.address}"
    staging = {"target": f"kubernetes:///{NAMESPACE}?{place}&{options}", "services": overlay}
    with product() as made:
        made.set(KUBECONFIG=str(cluster.kubeconfig))
        one = Shop(folder / "shop", made, cluster)
        one.edit(lambda given: _placed(given, base=bases.layout(folder / "base"), staging=staging))
        cluster.apply(*volumes(folder / "shop" / "aic.yaml", folder / "volumes"))
        yield one


def answers(client: httpx.Client) -> bool:
    """No: the way to the front door is there before its Service leads to it."""
    try:
        return client.get("/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def without_mesh() -> Json:
    """What the example's own environment `cluster` takes out, since nobody divides requests there."""
    overlay: Json = yaml.safe_load((SHOP / "aic.yaml").read_text())["environments"]["cluster"]["services"]
    return overlay


def _placed(given: Json, *, base: str, staging: Json) -> None:
    for name in SERVICES:
        given["services"][name] |= {"base": base, "startup": "180s"}  # other programs want the processor, too
    given["environments"]["staging"] = staging


def volumes(file: Path, folder: Path) -> Iterator[Json]:
    """There is nobody in this cluster who makes a volume for a claim of the file's environment `staging`."""
    for one in manifests.rendered(file, environment="staging", wish=manifests.Wish(tag="1")):
        if one.manifest["kind"] == "PersistentVolumeClaim":
            yield volume(folder, one.manifest["metadata"])


def volume(folder: Path, claim: Json) -> Json:
    """For the claim with this metadata."""
    namespace, name = claim["namespace"], claim["name"]
    place = folder / name
    place.mkdir(parents=True)
    for path in (place, *place.parents[:4]):
        path.chmod(0o777)
    spec = {
        "capacity": {"storage": "20Gi"},
        "accessModes": ["ReadWriteOnce"],
        "hostPath": {"path": str(place)},
        "claimRef": {"namespace": namespace, "name": name},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"{namespace}-{name}"}, "spec": spec}
