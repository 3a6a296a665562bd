"""The target's steps against an API server in memory."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from aiculturekit import state
from aiculturekit.deploy.changes import Change
from aiculturekit.deploy.pipeline import Pipeline
from aiculturekit.errors import Busy, NeverReady, Refused
from aiculturekit.locator import Locator
from aiculturekit.plan.documents import Document
from aiculturekit.targets.kubernetes import places
from aiculturekit.targets.kubernetes.standings import Wishes
from aiculturekit.targets.kubernetes.target import Kubernetes
from tests.targets.kubernetes.doubles import KINDS, Answer, Api

CLUSTER = places.parse(Locator.parse("kubernetes:///shop"), environment="staging")


def workload(name: str, *, needs: tuple[str, ...] = (), says: str = "hello") -> Document:
    body = {
        "image": f"registry.example.com/{name}:1", "env": {"SAYS": says}, "needs": [need(one) for one in needs], "readiness": None,
        "liveness": None, "startup": 30.0, "grace": 5.0, "limits": {"cpu": None, "memory": None},
        "scale": {"min": 1, "max": 1, "rps": None, "cpu": None},
    }  # fmt: skip
    return Document("workload", f"{name}/v1", body)


def need(name: str) -> dict[str, Any]:
    kind = "resources" if name == "db" else "services"
    return {
        "kind": kind,
        "name": name,
        "verb": "read-write" if kind == "resources" else None,
        "operations": [],
        "url": None,
    }


def access(name: str, *callers: str) -> Document:
    return Document(
        "access",
        name,
        {"callers": list(callers), "versions": ["v1"], "operations": {}, "access": {}, "protocol": "http"},
    )


def volume(*, is_protected: bool) -> Document:
    return Document("resource", "db", {"type": "volume", "protected": is_protected, "url": None})


SHOP = (access("api", "web"), access("web"), workload("api"), workload("web", needs=("api",)))


class Stage:
    def __init__(self) -> None:
        self.api = Api(kinds=KINDS)
        self.database = state.open("memory://")

    def target(self, **wishes: Any) -> Kubernetes:
        return Kubernetes(self.api.client(), app="shop", cluster=CLUSTER, wishes=Wishes(**wishes))

    async def deploy(self, *documents: Document, said: list[str] | None = None, **wishes: Any) -> list[str]:
        """Its steps, as `action kind name`."""
        target = self.target(**wishes)
        await target.prepare()

        def emit(kind: str, payload: Any) -> None:
            if kind == "progress" and said is not None:
                said.append(payload["message"])

        change = Change(app="shop@staging", verb="deploy", documents=documents)
        outcome = await Pipeline(database=self.database, target=target).apply(change, emit=emit)
        await target.leave(tell=lambda message: None)
        return [f"{step.action} {step.document.kind} {step.document.name}" for step in outcome.steps]


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_what_is_deployed_is_seen_by_another_machine(stage: Stage) -> None:
    await stage.deploy(*SHOP)
    assert stage.api.names("deployments") == {"api-v1", "web-v1"}
    observed = await stage.target().observe("anything")
    assert {one.key: one.digest for one in observed} == {one.key: one.digest for one in SHOP}


async def test_another_environment_does_not_take_a_namespace_over_unasked(stage: Stage) -> None:
    await stage.deploy(*SHOP)
    stage.api.asked.clear()
    other = dataclasses.replace(CLUSTER, environment="tried")
    with pytest.raises(Refused, match=r"in the environment .* already, not tried; nothing was touched"):
        await Kubernetes(stage.api.client(), app="shop", cluster=other, wishes=Wishes()).observe("shop@tried")
    assert {method for method, _ in stage.api.asked} == {"GET"}
    forced = Kubernetes(stage.api.client(), app="shop", cluster=other, wishes=Wishes(takes_over=True))
    assert await forced.observe("shop@tried") != []


async def test_an_unchanged_deploy_writes_nothing(stage: Stage) -> None:
    await stage.deploy(*SHOP)
    stage.api.asked.clear()
    assert await stage.deploy(*SHOP) == []
    assert [method for method, _ in stage.api.asked if method != "GET"] == []


async def test_only_what_changed_is_sent(stage: Stage) -> None:
    await stage.deploy(*SHOP)
    stage.api.asked.clear()
    changed = (*SHOP[:3], workload("web", needs=("api",), says="bye"))
    assert await stage.deploy(*changed) == ["update workload web/v1"]
    sent = [path.rpartition("/")[2] for method, path in stage.api.asked if method == "PATCH"]
    assert sent == ["web-v1"]


async def test_a_door_opens_before_who_needs_it_comes_and_closes_after_he_is_gone(stage: Stage) -> None:
    await stage.deploy(*SHOP)
    order: list[str] = []

    def note(method: str, path: str) -> None:
        if method in ("PATCH", "DELETE") and path.rpartition("/")[2] in ("api", "web-v1") and "service" not in path:
            order.append(f"{method} {path.split('/')[-2]}")

    stage.api.after = note
    without = (access("api"), access("web"), workload("api"), workload("web"))
    await stage.deploy(*without)
    assert order == ["PATCH deployments", "PATCH networkpolicies"]
    order.clear()
    await stage.deploy(*SHOP)
    assert order == ["PATCH networkpolicies", "PATCH deployments"]


async def test_what_does_not_become_ready_is_taken_back(stage: Stage) -> None:
    await stage.deploy(*SHOP)
    stage.api.is_ready = lambda manifest: "broken" not in str(manifest)
    with pytest.raises(NeverReady):
        await stage.deploy(*SHOP[:3], workload("web", needs=("api",), says="broken"))
    assert "hello" in str(stage.api.get("deployments", "web-v1"))
    assert await stage.deploy(*SHOP) == []


async def test_what_a_crash_left_half_done_is_done_or_undone_by_the_next(stage: Stage) -> None:
    await stage.deploy(*SHOP)
    changed = (*SHOP[:3], workload("web", needs=("api",), says="bye"), access("late"), workload("late"))

    class Crash(Exception):
        """The process ends."""

    def crash(method: str, path: str) -> None:
        if method == "PATCH" and path.endswith("web-v1"):
            raise Crash

    stage.api.after = crash
    target = stage.target()
    await target.observe("shop@staging")
    for document in changed[4:]:
        await target.perform("shop", step=_step(document), release=1, progress=lambda name, message: None)
    with pytest.raises(Crash):
        await target.perform("shop", step=_step(changed[3]), release=1, progress=lambda name, message: None)
    stage.api.after = lambda method, path: None
    whys = [one.body.get("drift", "") for one in await stage.target().observe("shop@staging")]
    assert any("cut short" in why for why in whys)
    stage.database = state.open("memory://")
    steps = await stage.deploy(*SHOP)
    assert "update workload web/v1" in steps and "delete workload late/v1" in steps
    assert stage.api.names("deployments") == {"api-v1", "web-v1"}
    assert "hello" in str(stage.api.get("deployments", "web-v1"))


def _step(document: Document) -> Any:
    from aiculturekit.plan.steps import Step

    return Step("create", document)


async def test_people_are_put_right_and_programs_are_not(stage: Stage) -> None:
    await stage.deploy(*SHOP)
    said: list[str] = []
    stage.api.touch("deployments", "web-v1", manager="kubectl-edit", replicas=5)
    assert await stage.deploy(*SHOP, said=said) == ["update workload web/v1"]
    assert stage.api.get("deployments", "web-v1")["spec"]["replicas"] == 1
    assert any("kubectl-edit" in line for line in said)
    stage.api.touch("deployments", "web-v1", manager="other-operator", replicas=5)
    with pytest.raises(Refused, match="other-operator"):
        await stage.deploy(*SHOP)
    assert stage.api.get("deployments", "web-v1")["spec"]["replicas"] == 5
    await stage.deploy(*SHOP, takes_over=True)
    assert stage.api.get("deployments", "web-v1")["spec"]["replicas"] == 1


async def test_what_is_gone_is_made_again(stage: Stage) -> None:
    await stage.deploy(*SHOP)
    del stage.api.objects["networkpolicies", "shop", "api"]
    assert await stage.deploy(*SHOP) == ["update access api"]
    assert "api" in stage.api.names("networkpolicies")


async def test_data_outlives_its_document_unless_it_is_erased(stage: Stage) -> None:
    shop = (volume(is_protected=False), access("web"), workload("web", needs=("db",)))
    await stage.deploy(*shop)
    assert stage.api.names("persistentvolumeclaims") == {"db-data"}
    await stage.deploy(access("web"), workload("web"))
    assert stage.api.names("persistentvolumeclaims") == {"db-data"}
    await stage.deploy(erases=True)
    assert stage.api.names("persistentvolumeclaims") == set()


async def test_what_is_protected_is_not_erased_either(stage: Stage) -> None:
    kept = volume(is_protected=True)
    await stage.deploy(kept, access("web"), workload("web", needs=("db",)))
    await stage.deploy(kept, erases=True)
    assert stage.api.names("persistentvolumeclaims") == {"db-data"}
    assert stage.api.names("deployments") == set()


async def test_the_last_document_takes_everything_along(stage: Stage) -> None:
    await stage.deploy(*SHOP)
    await stage.deploy()
    assert {key[2] for key in stage.api.objects if key[0] not in ("leases",)} == set()


async def test_who_wrote_since_is_not_written_over(stage: Stage) -> None:
    await stage.deploy(*SHOP)
    one, other = stage.target(), stage.target()
    await one.observe("shop")
    await other.observe("shop")
    await one.perform("shop", step=_step(workload("web", says="one")), release=1, progress=lambda name, message: None)
    with pytest.raises(Busy):
        await other.perform(
            "shop", step=_step(workload("web", says="other")), release=1, progress=lambda name, message: None
        )
    assert "one" in str(stage.api.get("deployments", "web-v1"))


MONITORS = {"PrometheusRule": "monitoring.coreos.com/v1", "PodMonitor": "monitoring.coreos.com/v1"}


async def test_where_prometheus_operator_is_there_are_rules_for_it(stage: Stage) -> None:
    await stage.deploy(*SHOP)
    assert stage.api.names("prometheusrules") == set()
    stage.api.kinds = KINDS | MONITORS
    await stage.deploy(*SHOP[:3], workload("web", needs=("api",), says="bye"))
    assert stage.api.names("prometheusrules") == {"api", "web"}
    assert await stage.deploy(*SHOP[:3], workload("web", needs=("api",), says="bye")) == []
    stage.api.kinds = KINDS  # its definitions went, and what they defined
    assert await stage.deploy(*SHOP) != []


async def test_who_may_not_write_rules_for_prometheus_deploys_without(stage: Stage) -> None:
    stage.api.kinds = KINDS | MONITORS
    forbidden = Answer(403, b'{"kind": "Status", "reason": "Forbidden", "message": "you may not"}')
    stage.api.before = lambda method, path: forbidden if method == "PATCH" and "monitoring" in path else None
    said: list[str] = []
    await stage.deploy(*SHOP, said=said)
    assert stage.api.names("deployments") == {"api-v1", "web-v1"}
    assert any("PrometheusRule web is left out" in line for line in said)
    assert await stage.deploy(*SHOP) == []
