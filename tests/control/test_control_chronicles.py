"""Releases that two machines make of one application in one cluster."""

from __future__ import annotations

import pytest

from aiculturekit import state
from aiculturekit.control import chronicles
from aiculturekit.deploy.changes import Change
from aiculturekit.deploy.pipeline import Pipeline
from aiculturekit.errors import Failed
from aiculturekit.locator import Locator
from aiculturekit.plan.documents import Document
from aiculturekit.state import releases
from aiculturekit.state.databases import Database
from aiculturekit.targets.kubernetes import places
from aiculturekit.targets.kubernetes.target import Kubernetes
from tests.targets.kubernetes.doubles import KINDS, Api

KEY = "shop@staging"
CLUSTER = places.parse(Locator.parse("kubernetes:///shop"), environment="staging")
ACCESS = {"callers": [], "versions": ["v1"], "operations": {}, "access": {}, "protocol": "http"}


async def deploy(database: Database, api: Api, *services: str) -> None:
    target = Kubernetes(api.client(), app="shop", cluster=CLUSTER)
    await target.prepare()
    await chronicles.learn(database, target, key=KEY)
    documents = tuple(Document("access", name, ACCESS) for name in services)
    change = Change(app=KEY, verb="deploy", documents=documents)
    await Pipeline(database=database, target=target).apply(change, emit=lambda kind, payload: None)
    await chronicles.tell(database, target, key=KEY)


async def known(database: Database) -> list[tuple[int, str]]:
    return [(one.number, one.state) for one in await database.run(releases.history, KEY)]


async def test_numbers_go_on_and_a_way_back_is_known_on_either_machine() -> None:
    api, one, two = Api(kinds=KINDS), state.open("memory://"), state.open("memory://")
    await deploy(one, api, "web")
    await deploy(two, api, "web", "api")
    await deploy(two, api, "api")
    assert await known(two) == [(3, "current"), (2, "superseded"), (1, "superseded")]
    assert await known(one) == [(1, "current")]
    await deploy(one, api, "web")
    assert await known(one) == [(4, "current"), (3, "superseded"), (2, "superseded"), (1, "superseded")]
    release = await one.run(releases.get, KEY, 2)
    assert [document["name"] for document in release.documents] == ["web", "api"]


async def test_what_was_not_told_is_not_forgotten() -> None:
    """The cluster did not answer when the last release was to be told: it is known here, and told with the next."""
    api, one = Api(kinds=KINDS), state.open("memory://")
    await deploy(one, api, "web")
    before = dict(api.objects)
    await deploy(one, api, "api")
    api.objects["secrets", "shop", "aic-shop-releases"] = before["secrets", "shop", "aic-shop-releases"]
    target = Kubernetes(api.client(), app="shop", cluster=CLUSTER)
    await chronicles.learn(one, target, key=KEY)
    assert await known(one) == [(2, "current"), (1, "superseded")]


async def test_what_cannot_be_read_is_said() -> None:
    api, one = Api(kinds=KINDS), state.open("memory://")
    await deploy(one, api, "web")
    api.objects["secrets", "shop", "aic-shop-releases"]["data"] = {"ledger": "bm9uc2Vuc2U="}
    with pytest.raises(Failed, match="can't be read"):
        await chronicles.learn(one, Kubernetes(api.client(), app="shop", cluster=CLUSTER), key=KEY)
