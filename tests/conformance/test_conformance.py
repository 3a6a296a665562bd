"""Our Envoy and the real Istio, asked the same questions."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.conformance import cases_routes, cases_tokens, istiods, ours
from tests.conformance.cases import CASES, Case
from tests.conformance.replicas import Replica
from tests.conformance.stages import PORTS, Stage
from tests.servers import istio, networks

MODULES = (cases_routes, cases_tokens)
pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]
Stages = dict[str, Stage]


def _missing(why: str) -> None:
    """For a user a reason to go without; never where everything must hold."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    if why := networks.obstacle():
        _missing(why)
    with networks.own():
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replicas(network: None) -> AsyncIterator[dict[str, Replica]]:
    async with contextlib.AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(Replica(name.partition("-")[0], name, port=port))
            for name, port in PORTS.items()
        }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stages(replicas: dict[str, Replica], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stages]:
    try:
        istio.binaries()
    except istio.Missing as error:
        _missing(str(error))
    folders = {name: tmp_path_factory.mktemp(name) for name in ("ours", "istio")}
    async with (
        ours.staged(replicas, folder=folders["ours"]) as mine,
        istiods.staged(replicas, folder=folders["istio"]) as theirs,
    ):
        yield {"ours": mine, "istio": theirs}


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
@pytest.mark.parametrize("mesh", ["ours", "istio"])
async def test_a_rule_means_the_same(mesh: str, one: Case, stages: Stages) -> None:
    stage = stages[mesh]
    for replica in stage.replicas.values():
        replica.reset()
    for name, text in one.files.items():
        (stage.folder / name).write_text(text)
    await stage.apply(one.text)
    await one.play(stage)
