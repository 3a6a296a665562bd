"""Whole clusters for the tests in here, one of each kind for all of them. Each test has a namespace of its own in them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.servers import clusters, crds, machines, meshes, registries
from tests.servers.clusters import Cluster
from tests.servers.needs import need
from tests.servers.registries import Registry

_numbers = itertools.count(1)
_CLUSTERS = ("fake_cluster", "real_cluster", "mesh_cluster")


@pytest.fixture(scope="session")
def fake_cluster() -> Iterator[Cluster]:
    """Nothing runs in it; pods say by the label of `stages` how they behave."""
    need(clusters.obstacle("fake"))
    with clusters.cluster(nodes="fake") as one:
        yield one


@pytest.fixture(scope="session")
def real_cluster(registry: Registry) -> Iterator[Cluster]:
    """One node that runs pods, with the image of `echo`; it can pull from the registry."""
    need(clusters.obstacle("real"))
    with clusters.cluster(nodes="real", images=[machines.archive("echo")]) as one:
        one.offer(registry.port)
        yield one


@pytest.fixture(scope="session")
def mesh_cluster(registry: Registry) -> Iterator[Cluster]:
    """As `real_cluster`, another one, with Istio in it."""
    need(clusters.obstacle("real") or crds.missing())
    with clusters.cluster(nodes="real", images=[machines.archive("echo")]) as one:
        one.offer(registry.port)
        meshes.install(one)
        yield one


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    need(registries.obstacle())
    with registries.running() as one:
        yield one


@pytest.fixture
def namespace() -> Callable[..., str]:
    """A new one in a cluster; it goes with the cluster."""

    def make(cluster: Cluster, **labels: str) -> str:
        name = f"test-{os.getpid()}-{next(_numbers)}"
        metadata = {"name": name, "labels": {label.replace("_", "-"): value for label, value in labels.items()}}
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        return name

    return make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Any:
    """What the cluster says about it stands beside a failure."""
    report = yield
    if report.when == "call" and report.failed:
        for name in _CLUSTERS:
            if isinstance(one := getattr(item, "funcargs", {}).get(name), Cluster):
                report.sections.append((name, one.story()))
    return report
