"""Values that whoever deploys has: their numbers, and where they are and are not, against an API server in memory."""

from __future__ import annotations

import base64
import dataclasses
import json
from typing import Any

import pytest

from aiculturekit.deploy.changes import Change
from aiculturekit.deploy.pipeline import Pipeline
from aiculturekit.errors import Failed, NeverReady
from aiculturekit.plan.documents import Document
from aiculturekit.spec.secrets import Reference
from aiculturekit.targets.kubernetes import givens
from tests.targets.kubernetes.test_targets_kubernetes_target import Stage, workload

OLD, NEW = "the-old-value-of-the-key", "the-new-value-of-the-key"


def web(**env: str) -> Document:
    plain = workload("web")
    return dataclasses.replace(plain, body={**plain.body, "env": env})


SECRET = web(
    KEY="secret:env/KEY", HALF="Bearer ${env.KEY}", CERT="secret:file/certs/a.pem", OTHER="secret:kubernetes/x/y"
)


def values(key: str) -> dict[str, str]:
    return {"secret:env/KEY": key, "secret:file/certs/a.pem": "a certificate"}


class Room(Stage):
    async def give(self, *documents: Document, secrets: dict[str, str] | None = None) -> tuple[Document, ...]:
        """As a deploy does, or a rollback where there are no values; the documents that it made true."""
        target = self.target(secrets=secrets or {})
        await target.prepare()
        if secrets:
            documents = await target.numbered(documents)
        change = Change(app="shop@staging", verb="deploy", documents=documents)
        await Pipeline(database=self.database, target=target).apply(change, emit=lambda kind, payload: None)
        return documents

    def kept(self) -> dict[str, str]:
        data = self.api.get("secrets", "shop.env")["data"]
        return {key: base64.b64decode(text).decode() for key, text in data.items()}

    def refers(self) -> dict[str, Any]:
        """variable -> the key of the Secret."""
        env = self.api.get("deployments", "web-v1")["spec"]["template"]["spec"]["containers"][0]["env"]
        found = {one["name"]: one.get("valueFrom", {}).get("secretKeyRef") for one in env}
        return {name: one["key"] for name, one in found.items() if one and one["name"] == "shop.env"}


@pytest.fixture
def room() -> Room:
    return Room()


async def test_a_value_is_in_the_secret_alone(room: Room) -> None:
    (document,) = await room.give(SECRET, secrets=values(OLD))
    assert room.kept() == {"KEY.1": OLD, "file.certs_a_pem.1": "a certificate"}
    assert room.refers() == {"KEY": "KEY.1", "AIC_ENV_KEY": "KEY.1", "CERT": "file.certs_a_pem.1"}
    with_it = [place for place, one in room.api.objects.items() if OLD in json.dumps(one)]
    assert with_it == []  # there it is in base64
    assert OLD not in repr(document.as_dict())
    journal = await room.database.run(lambda connection: "".join(connection.connection.driver_connection.iterdump()))
    assert "secret:env/KEY" in journal
    assert OLD not in journal


async def test_the_same_value_changes_nothing_and_another_replaces_the_pods(room: Room) -> None:
    await room.give(SECRET, secrets=values(OLD))
    room.api.asked.clear()
    await room.give(SECRET, secrets=values(OLD))
    assert [method for method, _ in room.api.asked if method == "PATCH"] == []
    await room.give(SECRET, secrets=values(NEW))
    assert room.refers()["KEY"] == "KEY.2"
    assert {"KEY.1": OLD, "KEY.2": NEW}.items() <= room.kept().items()
    await room.give(SECRET, secrets=values(OLD))
    assert room.refers()["KEY"] == "KEY.1"


async def test_a_rollback_finds_the_value_of_its_time(room: Room) -> None:
    earlier = await room.give(SECRET, secrets=values(OLD))
    await room.give(SECRET, secrets=values(NEW))
    await room.give(*earlier)
    assert room.refers()["KEY"] == "KEY.1"


async def test_a_rollback_to_a_value_that_is_gone_says_so_and_leaves_what_runs(room: Room) -> None:
    earlier = await room.give(SECRET, secrets=values(OLD))
    for number in range(givens.KEPT + 1):
        await room.give(SECRET, secrets=values(f"{NEW} {number}"))
    with pytest.raises(Failed, match="the value that secret:env/KEY had is not kept any more"):
        await room.give(*earlier)
    assert room.refers()["KEY"] == f"KEY.{givens.KEPT + 2}"


@pytest.mark.parametrize("after", [SECRET, web(PLAIN="x")])
async def test_what_fails_goes_back_to_the_value_before(room: Room, after: Document) -> None:
    await room.give(SECRET, secrets=values(OLD))
    other = dataclasses.replace(workload("worker"), body={**workload("worker").body, "image": "broken"})
    room.api.is_ready = lambda manifest: "broken" not in str(manifest)
    with pytest.raises(NeverReady):
        await room.give(after, other, secrets=values(NEW))
    assert room.refers()["KEY"] == "KEY.1"
    assert room.kept()["KEY.1"] == OLD


async def test_it_goes_with_the_last_who_uses_it(room: Room) -> None:
    await room.give(SECRET, secrets=values(OLD))
    await room.give(web(PLAIN="x"))
    assert "shop.env" not in room.api.names("secrets")


@pytest.mark.parametrize(
    ("reference", "key"),
    [
        (Reference("env", "A_B"), "A_B"),
        (Reference("file", "certs/a.pem"), "file.certs_a_pem"),
        (Reference("file", "/etc/my key"), "file._etc_my-20-key"),
    ],
)
def test_every_reference_is_a_key_that_kubernetes_takes(reference: Reference, key: str) -> None:
    assert givens.key(reference, web()) == key
