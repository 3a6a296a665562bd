"""What stands in a cluster of one application, and how it becomes what its documents say.

All that is rendered follows from the documents in force and those that are coming, together: so permissions widen before a new process
starts and narrow when the last old one is gone. The steps of a wave share one rendering. What is not rendered any more goes; nothing
else does.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiculturekit import threads
from aiculturekit.errors import Refused
from aiculturekit.language import say
from aiculturekit.plan.documents import RANKS, Document
from aiculturekit.targets.kubernetes import applying, drifts, ledgers, monitors, rendering
from aiculturekit.targets.kubernetes.answers import Forbidden
from aiculturekit.targets.kubernetes.applying import Applier
from aiculturekit.targets.kubernetes.clients import Client
from aiculturekit.targets.kubernetes.ledgers import Key, Ledger, Place, Record
from aiculturekit.targets.kubernetes.objects import APPLICATION, RULES, Owned
from aiculturekit.targets.kubernetes.places import MONITORED, Cluster
from aiculturekit.targets.kubernetes.shelves import Shelf
from aiculturekit.targets.kubernetes.values import Values
from aiculturekit.targets.kubernetes.waiting import WAITED

SHARED = (APPLICATION, RULES)
_RAN = 200
"""Migrations that are remembered, the latest ones."""
_FIRST = ("Namespace", "ServiceAccount", "LimitRange", "ResourceQuota")
_THEIRS = ("kube-root-ca.crt", "istio-ca-root-cert")
"""What Kubernetes and Istio put into every namespace."""
Json = dict[str, Any]
Tell = Callable[[str], None]


async def _free() -> None:
    """Nobody else is there."""


@dataclasses.dataclass(slots=True)
class Wishes:
    """What an operation was told beyond its documents. `require` raises when the lock is lost; `secrets` are values by reference."""

    takes_over: bool = False
    erases: bool = False
    secrets: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)
    require: Callable[[], Awaitable[None]] = _free


class Standing:
    """One application in one cluster. `load` before anything else."""

    def __init__(self, client: Client, *, app: str, cluster: Cluster, shelf: Shelf, wishes: Wishes) -> None:
        self._client, self._app, self._cluster, self._shelf = client, app, cluster, shelf
        self._wishes = wishes
        self.ledger = Ledger()
        self.rendered: dict[Place, Owned] = {}
        self._before: dict[Place, Owned] = {}
        self.values = Values(client, app=app, namespace=cluster.namespace)
        self._lock, self._saving = asyncio.Lock(), asyncio.Lock()
        self._asked = self._done = 0

    async def load(self) -> dict[Key, list[str]]:
        """Read what is in force, and look whether it is so: the documents that are not as they were left, and why."""
        self.ledger = ledgers.read(await self._shelf.load())
        self._refuse_another()
        self.ledger.environment = self._cluster.environment
        if not self._cluster.monitoring and await self._client.knows(monitors.API, "PrometheusRule"):
            self._cluster = dataclasses.replace(self._cluster, monitoring=MONITORED)
        if self.ledger.is_empty:
            self.rendered, self._before = {}, {}
            return {}
        await self.values.remember((*self.ledger.documents.values(), *self.ledger.begun.values()))
        self.rendered = self._before = await self._render()
        there = await drifts.seen(self._client, self.ledger, app=self._app)
        found: dict[Key, list[str]] = {key: [say("an earlier change was cut short")] for key in self.ledger.begun}
        for place, record in list(self.ledger.objects.items()):
            if why := drifts.why(place, record, wanted=self.rendered.get(place), found=there.get(place)):
                found.setdefault(self._owner(record.key), []).append(why)
                self.ledger.objects[place] = dataclasses.replace(record, wanted="", is_over=False)
        return found

    def _refuse_another(self) -> None:
        """One namespace has one environment: a target that was copied must not replace production by what is tried. Raises Refused."""
        there, ours = self.ledger.environment, self._cluster.environment
        if not self.ledger.is_empty and there != ours and not self._wishes.takes_over:
            raise Refused(
                say(
                    "{namespace} has {app} in the environment {there} already, not {ours}; nothing was touched",
                    namespace=self._cluster.namespace,
                    app=self._app,
                    there=there,
                    ours=ours,
                ),
                hint=say("choose another namespace in the target; to make it {ours}: --force-conflicts", ours=ours),
            )

    def announce(self, document: Document) -> None:
        """It is coming: doors open for it with the next refresh."""
        self.ledger.begun[document.key] = document

    def arrive(self, document: Document) -> None:
        """It is in force."""
        self.ledger.begun.pop(document.key, None)
        self.ledger.documents[document.key] = document

    def leave(self, key: Key) -> None:
        self.ledger.begun.pop(key, None)
        self.ledger.documents.pop(key, None)

    async def refresh(self, *, tell: Tell) -> None:
        """Render all, write down what is begun, apply what is everybody's, remove what is nobody's. Those who come in the same breath
        share it."""
        self._asked += 1
        ticket = self._asked
        async with self._lock:
            if self._done >= ticket:
                return
            await asyncio.sleep(0)
            asked = self._asked
            self.rendered = await self._render()
            for place, owned in self.rendered.items():
                self.ledger.objects.setdefault(place, applying.planned(owned))
            if self.rendered:
                await self._settle([one for one in self.rendered.values() if one.manifest["kind"] == "Namespace"], tell)
            await self.save()
            await self._settle(
                [one for one in self.rendered.values() if one.key in SHARED and one.manifest["kind"] in _FIRST], tell
            )
            await self._settle([one for one in self.rendered.values() if one.key in SHARED], tell)
            await self._prune(tell)
            await self.save()
            self._done = asked

    async def apply(self, owned: Owned, *, tell: Tell) -> Json | None:
        """The object as it is then; None where it is already as it is wanted. What has to be waited for is `settled` later."""
        await self._wishes.require()
        record = self.ledger.objects.get(owned.place)
        if record is not None and record.wanted == applying.wanted(owned):
            return None
        if owned.manifest["kind"] == "Job" and owned.place[3] in self.ledger.ran:
            self.ledger.objects[owned.place] = dataclasses.replace(
                applying.planned(owned), wanted=applying.wanted(owned), is_over=True
            )
            return None
        before = self._before.get(owned.place)
        applier = Applier(self._client, takes_over=self._wishes.takes_over, values=self.values.known)
        made, there = await applier.apply(owned, record=record, was=before.manifest if before else None, tell=tell)
        is_waited = owned.manifest["kind"] in WAITED
        self.ledger.objects[owned.place] = dataclasses.replace(made, wanted="") if is_waited else made
        return there

    def settled(self, owned: Owned) -> None:
        """It runs, or has ended well: such a Job is not missed when it goes, and a migration is not done again."""
        is_job = owned.manifest["kind"] == "Job"
        if record := self.ledger.objects.get(owned.place):
            self.ledger.objects[owned.place] = dataclasses.replace(
                record, wanted=applying.wanted(owned), is_over=is_job
            )
        if is_job and owned.key[0] == "migration" and owned.place[3] not in self.ledger.ran:
            self.ledger.ran = [*self.ledger.ran, owned.place[3]][-_RAN:]

    async def save(self) -> None:
        await self._wishes.require()
        async with self._saving:
            if self.ledger.is_empty:
                await self._shelf.remove()
            else:
                await self._shelf.save(self.ledger.written())

    def own(self, key: Key) -> list[Owned]:
        """What of the last rendering is there for this document alone, in its order."""
        return [owned for owned in self.rendered.values() if owned.key == key]

    async def _render(self) -> dict[Place, Owned]:
        in_force = sorted(self.ledger.documents.values(), key=_order)
        documents = [*in_force, *sorted(self.ledger.begun.values(), key=_order)]
        if not documents:
            return {}
        found = await threads.run(rendering.rendered, self._app, documents, cluster=self._cluster)
        return {owned.place: owned for owned in found}

    async def _settle(self, listed: Sequence[Owned], tell: Tell) -> None:
        results = await asyncio.gather(*(self._shared(owned, tell) for owned in listed), return_exceptions=True)
        for failure in results:
            if isinstance(failure, BaseException):
                raise failure

    async def _shared(self, owned: Owned, tell: Tell) -> None:
        try:
            await self.apply(owned, tell=tell)
        except Forbidden as error:
            if owned.manifest["apiVersion"] == monitors.API:  # nobody asked for it
                tell(
                    say(
                        "{kind} {name} is left out: {error}",
                        kind=owned.place[1],
                        name=owned.place[3],
                        error=error.message,
                    )
                )
                self.ledger.objects.pop(owned.place, None)
                return
            if owned.manifest["kind"] != "Namespace":
                raise
            # Whoever may work in a namespace need not be allowed to change it.
            if await self._client.get("v1", "Namespace", owned.manifest["metadata"]["name"]) is None:
                raise
            tell(say("the namespace stays as it is: {error}", error=error.message))
            self.ledger.objects[owned.place] = dataclasses.replace(
                applying.planned(owned), wanted=applying.wanted(owned), is_data=True
            )

    async def _prune(self, tell: Tell) -> None:
        stale = [(place, record) for place, record in self.ledger.objects.items() if place not in self.rendered]
        spaces = [one for one in stale if one[0][1] == "Namespace"]
        await asyncio.gather(
            *(self._remove(place, record, tell) for place, record in stale if (place, record) not in spaces)
        )
        for place, record in spaces:
            if not self.ledger.documents and len(self.ledger.objects) == len(spaces):
                await self._leave_namespace(place, record)

    async def _remove(self, place: Place, record: Record, tell: Tell) -> None:
        if record.is_data and not self._is_erased(record):
            return
        await self._wishes.require()
        if await Applier(self._client).remove(place, record, is_erased=record.is_data):
            self.ledger.objects.pop(place, None)
        else:
            tell(
                say(
                    "{kind} {name} stays: it is protected, or not this application's any more",
                    kind=place[1],
                    name=place[3],
                )
            )
            if not record.is_data:
                self.ledger.objects.pop(place, None)

    def _is_erased(self, record: Record) -> bool:
        """Whether its data was to be erased, and is nobody's any more."""
        return self._wishes.erases and ("resource", record.key[1]) not in self.ledger.documents

    async def _leave_namespace(self, place: Place, record: Record) -> None:
        """It goes with the last of the application, unless somebody else has anything in it."""
        if not record.is_data and not await self._is_used(place[3]):
            await self._shelf.remove()
            await self._client.delete("v1", "Namespace", place[3])
        self.ledger.objects.pop(place, None)

    async def _is_used(self, namespace: str) -> bool:
        kinds = (("v1", "PersistentVolumeClaim"), ("v1", "Service"), ("v1", "ConfigMap"), ("v1", "Secret"), ("apps/v1", "Deployment"),
                 ("apps/v1", "StatefulSet"), ("batch/v1", "Job"), ("batch/v1", "CronJob"))  # fmt: skip
        lists = await asyncio.gather(
            *(self._client.listed(api, kind, namespace=namespace, is_short=True) for api, kind in kinds)
        )
        names = [
            one["metadata"]["name"] for found in lists for one in found if "deletionTimestamp" not in one["metadata"]
        ]
        return any(name not in _THEIRS and not name.startswith(f"aic-{self._app}") for name in names)

    def _owner(self, key: Key) -> Key:
        """What is everybody's is mended with the first document that is performed."""
        known = {**self.ledger.documents, **self.ledger.begun}
        return key if key in known else min(known.values(), key=_order).key if known else key


def _order(document: Document) -> tuple[int, str]:
    return RANKS[document.kind], document.name
