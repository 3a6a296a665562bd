"""Requests that are tried again, answers as errors, kubeconfigs, locks and ledgers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from aiculturekit.errors import Again, Busy, Failed, HostTrouble, Mistake, Refused, Unreachable
from aiculturekit.plan.documents import Document
from aiculturekit.targets.kubernetes import answers, clients, fields, kubeconfigs, ledgers, locks, troubles
from aiculturekit.targets.kubernetes.answers import Ask, Clash, Conflicted, Forbidden
from aiculturekit.targets.kubernetes.ledgers import Ledger, Record
from aiculturekit.targets.kubernetes.locks import Lock
from aiculturekit.targets.kubernetes.shelves import Shelf
from tests.targets.kubernetes.doubles import Answer, Api, Lost

KINDS = {"Secret": "v1", "Lease": "coordination.k8s.io/v1", "ConfigMap": "v1"}
ASK = Ask("patch", "Deployment web in shop", "deployments.apps")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(clients, "_FIRST", 0.001)
    monkeypatch.setattr(clients, "_LONGEST", 0.01)
    return Api(kinds=KINDS)


def config(name: str, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop", "labels": {}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "b"}, **more}


async def test_what_passes_is_tried_again(api: Api) -> None:
    times = iter([Answer(429, b"{}", {"retry-after": "1"}), Answer(500, b"oops"), None, None])
    api.before = lambda method, path: next(times) if method == "PATCH" else None
    made = await api.client().apply(config("one"))
    assert made["data"] == {"a": "b"}
    assert [method for method, _ in api.asked].count("PATCH") == 3


async def test_who_only_writes_at_the_same_moment_is_no_conflict(api: Api) -> None:
    busy = iter([Answer(409, status(409, "the object has been modified")), None])
    api.before = lambda method, path: next(busy) if method == "PATCH" else None
    await api.client().apply(config("one"))
    assert api.names("configmaps") == {"one"}


async def test_an_answer_that_is_lost_is_no_matter(api: Api) -> None:
    lost = iter([True, False])

    def lose(method: str, path: str) -> None:
        if method == "PATCH" and next(lost):
            raise Lost

    api.after = lose
    await api.client().apply(config("one"))
    assert api.names("configmaps") == {"one"}


async def test_it_ends_when_nobody_answers(api: Api) -> None:
    def lose(method: str, path: str) -> None:
        raise Lost

    api.before = lose
    with pytest.raises(Unreachable, match="https://double does not answer: broken off"):
        await api.client().get("v1", "ConfigMap", "one", namespace="shop")


async def test_a_kind_that_the_cluster_does_not_know_is_named(api: Api) -> None:
    with pytest.raises(Refused, match=r"knows no VirtualService \(networking.istio.io/v1\)"):
        await api.client().get("networking.istio.io/v1", "VirtualService", "web", namespace="shop")


async def test_a_bug_of_ours_is_none_of_the_clusters(api: Api) -> None:
    def bug(method: str, path: str) -> None:
        raise ZeroDivisionError

    api.before = bug
    with pytest.raises(ZeroDivisionError):
        await api.client().get("v1", "ConfigMap", "one", namespace="shop")


def status(code: int, message: str = "no", **details: Any) -> bytes:
    return json.dumps({"kind": "Status", "code": code, "message": message, "details": details}).encode()


@pytest.mark.parametrize(
    ("code", "body", "kind", "said"),
    [
        (429, b"", Again, "answers 429 to patch Deployment web in shop"),
        (401, b"", Forbidden, "does not know who asks"),
        (403, status(403, "User bob cannot patch"), Forbidden, "not allowed to patch Deployment web in shop: User bob"),
        (403, status(403, "namespace shop is being terminated"), Again, "is being deleted"),
        (403, status(403, "violates PodSecurity restricted"), Refused, "violates PodSecurity"),
        (409, status(409, "modified"), Conflicted, "changed by somebody else"),
        (
            422,
            status(422, causes=[{"field": "spec.replicas", "message": "must be"}]),
            Refused,
            "spec.replicas: must be",
        ),
    ],
)
def test_an_answer_becomes_the_error_that_its_reader_can_use(code: int, body: bytes, kind: type, said: str) -> None:
    found = answers.error(code, body, ask=ASK, server="https://k")
    assert type(found) is kind
    assert said in found.message


def test_a_conflict_names_the_manager_and_the_field() -> None:
    cause = {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "argocd" using apps/v1',
        "field": ".spec.replicas",
    }
    found = answers.error(409, status(409, causes=[cause]), ask=ASK, server="")
    assert isinstance(found, Conflicted)
    assert found.clashes == (Clash("argocd", ".spec.replicas"),)
    assert "also managed by argocd, which has .spec.replicas" in found.message


def test_a_field_is_found_by_its_path() -> None:
    pod = {"containers": [{"name": "web", "env": [{"name": "A", "value": "1"}], "ports": [{"containerPort": 80}]}]}
    manifest = {"metadata": {"annotations": {"a.b/c": "d"}}, "spec": {"template": {"spec": pod}, "args": ["x"]}}
    inside = '.spec.template.spec.containers[name="web"]'
    assert fields.has(manifest, f'{inside}.env[name="A"].value')
    assert fields.has(manifest, f'{inside}.ports[containerPort=80,protocol="TCP"].containerPort')
    assert fields.has(manifest, ".metadata.annotations.a.b/c")
    assert fields.has(manifest, '.spec.args[="x"]')
    assert not fields.has(manifest, f'{inside}.env[name="B"].value')
    assert not fields.has(manifest, ".spec.replicas")


def kubeconfig(folder: Path, name: str, **user: Any) -> Path:
    found = {
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}", "certificate-authority": "ca.crt"}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    (folder / name).write_text(yaml.safe_dump(found))
    return folder / name


def test_kubeconfigs_are_read_as_kubectl_does(tmp_path: Path) -> None:
    one, two = kubeconfig(tmp_path, "one"), kubeconfig(tmp_path, "two")
    merged = kubeconfigs.merged([one, two])
    assert kubeconfigs.selected(merged, context="") == "one"
    assert kubeconfigs.selected(merged, context="two") == "two"
    assert merged["clusters"][0]["cluster"]["certificate-authority"] == str(tmp_path / "ca.crt")
    with pytest.raises(Mistake, match="no context 'three'") as error:
        kubeconfigs.selected(merged, context="three")
    assert error.value.hint == "there is one, two"


def test_the_target_comes_before_the_callers_environment(tmp_path: Path) -> None:
    one, two = kubeconfig(tmp_path, "one"), kubeconfig(tmp_path, "two")
    assert kubeconfigs.files(str(two), asked=str(one)) == (two,)
    assert kubeconfigs.files("", asked=f"{one}:{tmp_path}/none:{two}") == (one, two)
    with pytest.raises(HostTrouble, match="there is no kubeconfig"):
        kubeconfigs.files(str(tmp_path / "none"), asked=str(one))
    with pytest.raises(HostTrouble, match="neither"):
        kubeconfigs.files("", asked="", home=tmp_path)


def ledger(size: int) -> Ledger:
    import random

    text = random.Random(1).randbytes(size).hex()  # what cannot be made small
    document = Document("workload", "web/v1", {"env": {"TEXT": text}})
    record = Record(("workload", "web/v1"), "apps/v1", "a", "b")
    return Ledger(
        {document.key: document}, {}, {("apps", "Deployment", "shop", "web-v1"): record}, "staging", ["web-migrate-1"]
    )


def shelf_of(api: Api) -> Shelf:
    return Shelf(api.client(), name="aic-shop", namespace="shop", labels={})


@pytest.mark.parametrize("size", [100, 1_500_000])
async def test_a_ledger_is_read_as_it_was_written_however_large(api: Api, size: int) -> None:
    shelf = shelf_of(api)
    await shelf.save(ledger(size).written())
    assert (len(api.names("secrets")) > 1) == (size > 1000)
    assert ledgers.read(await shelf_of(api).load()) == ledger(size)
    await shelf.save(ledger(10).written())
    assert api.names("secrets") == {"aic-shop"}
    await shelf.remove()
    assert api.names("secrets") == set()


async def test_a_write_whose_answer_was_lost_is_not_somebody_elses(api: Api) -> None:
    shelf = shelf_of(api)
    for method in ("POST", "PUT"):
        lost = iter([True, False, False])

        def lose(asked: str, path: str, method: str = method, lost: Any = lost) -> None:
            if asked == method and next(lost):
                raise Lost

        api.after = lose
        await shelf.save(ledger(10 if method == "POST" else 20).written())
    assert ledgers.read(await shelf_of(api).load()) == ledger(20)


def test_what_is_no_ledger_is_not_taken_for_an_empty_one() -> None:
    for data in (b"nonsense", Ledger().written()[:-5]):
        with pytest.raises(Failed, match="can't be read"):
            ledgers.read(data)


def lock(api: Api, holder: str) -> Lock:
    return Lock(api.client(), app="shop", namespace="shop", holder=holder, labels={})


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LASTS", 0.6)
    monkeypatch.setattr(locks, "_ASKED", 0.05)
    monkeypatch.setattr(locks, "_RENEWED", 0.15)


@pytest.mark.usefixtures("quick")
async def test_one_after_the_other(api: Api) -> None:
    order: list[str] = []

    async def hold(name: str) -> None:
        async with lock(api, name).held(patience=10, tell=order.append):
            order.append(f"{name} has it")
            await asyncio.sleep(1.0)
            order.append(f"{name} lets it go")

    await asyncio.gather(hold("one"), hold("two"))
    first = order[0].partition(" ")[0]
    other = "two" if first == "one" else "one"
    assert [line for line in order if "waiting" not in line] == [
        f"{first} has it", f"{first} lets it go", f"{other} has it", f"{other} lets it go",
    ]  # fmt: skip
    assert f"waiting for {first}, who is deploying it" in order


@pytest.mark.usefixtures("quick")
async def test_whoever_died_loses_it_and_whoever_lives_does_not(api: Api) -> None:
    dead = lock(api, "dead")
    await dead._take(1, print)
    async with lock(api, "heir").held(patience=10, tell=lambda line: None):
        with pytest.raises(Busy, match="is being deployed by heir"):
            await lock(api, "third")._take(1.2, print)
        await asyncio.sleep(0.7)
        with pytest.raises(Busy, match="ran out"):
            await dead.require()


@pytest.mark.usefixtures("quick")
async def test_a_lock_that_ran_out_is_held_on_where_nobody_else_took_it(api: Api) -> None:
    """The cluster did not answer for longer than a lock lasts; then it does."""
    ours = lock(api, "ours")
    await ours._take(1, print)
    await asyncio.sleep(0.8)
    await ours.require()
    with pytest.raises(Busy, match="is being deployed by ours"):
        await lock(api, "other")._take(0.1, print)


def container(**state: Any) -> dict[str, Any]:
    one = {"name": "web", "image": "web:1", "ready": False, "restartCount": state.pop("restarts", 0), **state}
    return {"metadata": {"name": "web-1"}, "status": {"phase": "Running", "containerStatuses": [one]}}


@pytest.mark.parametrize(
    ("pod", "said", "patience"),
    [
        (container(state={"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}}), "ImagePullBackOff: no such tag", 10.0),
        (container(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": {"exitCode": 7}}, restarts=3), "CrashLoopBackOff: exit code 7", 0.0),
        (container(state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": {"reason": "OOMKilled", "exitCode": 137}}, restarts=3), "OOMKilled: it used more memory than its limit allows", 0.0),
        (container(state={"running": {}}), "not ready", None),
    ],
)  # fmt: skip
def test_pods_say_why_they_are_not_ready(pod: dict[str, Any], said: str, patience: float | None) -> None:
    found = troubles.of_pods([pod])
    assert found is not None
    assert (str(found), found.patience) == (said, patience)


def test_the_scheduler_speaks_for_itself() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available",
    }
    found = troubles.of_pods([{"metadata": {"name": "web-1"}, "status": {"conditions": [condition]}}])
    assert str(found) == "Unschedulable: 0/3 nodes are available"
