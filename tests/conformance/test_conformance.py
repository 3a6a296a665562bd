"""Our Envoy and the real Istio, asked the same questions."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from aiculturekit.control import renderings
from aiculturekit.mesh import uses
from tests.conformance import (
    cases_access,
    cases_checks,
    cases_failures,
    cases_federation,
    cases_outside,
    cases_routes,
    cases_tokens,
    cases_treatment,
    istiods,
    ours,
)
from tests.conformance.cases import CASES, Case
from tests.conformance.replicas import Replica
from tests.conformance.stages import PORTS, Stage, node
from tests.servers import istio, networks
from tests.servers.needs import built, need

MODULES = (
    cases_routes,
    cases_failures,
    cases_treatment,
    cases_access,
    cases_tokens,
    cases_checks,
    cases_outside,
    cases_federation,
)
pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    need(networks.obstacle())
    with networks.own():
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replicas(network: None) -> AsyncIterator[dict[str, Replica]]:
    async with contextlib.AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(Replica(name.partition("-")[0], name, port=port))
            for name, port in PORTS.items()
        }


MESHES = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("ours", "istio")]
"""In groups, so that two processes can play one stage each (`-n 2 --dist loadgroup`)."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=MESHES)
async def stage(
    request: pytest.FixtureRequest, replicas: dict[str, Replica], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    staged = {"ours": ours.staged, "istio": istiods.staged}[request.param]
    if request.param == "istio":
        built(istio.binaries)
    async with staged(replicas, folder=tmp_path_factory.mktemp(request.param)) as stage:
        yield stage


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
async def test_a_rule_means_the_same(one: Case, stage: Stage) -> None:
    for replica in stage.replicas.values():
        replica.reset()
    for name, text in one.files.items():
        (stage.folder / name).write_text(text)
    await stage.apply(one.text)
    await one.play(stage)


def test_every_rule_that_istio_takes_is_backed_by_a_case(tmp_path: Path) -> None:
    """Which rules a case backs is not only said, but found in its text."""
    played = set[str]()
    for one in CASES:
        for name, text in one.files.items():
            (tmp_path / name).write_text(text)
        played |= {use.feature for use in uses.of(node(one.text, folder=tmp_path))}
    taken = {cell.feature for row in renderings.matrix() for cell in row if cell.mesh == "istio" and cell.is_supported}
    assert taken - played == set()


def test_every_case_says_what_it_backs() -> None:
    assert all(one.features for one in CASES)
    assert len({one.name for one in CASES}) == len(CASES) >= 60
