"""Applications in clusters: the verbs that change them, as operations under the name APP@ENVIRONMENT.

What is in force is kept in the cluster itself; of a placement this daemon keeps where it is, its releases and its journal. A
kubeconfig is the caller's: a request names the file, and what it named last is used until somebody names another.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from aiculturekit import threads
from aiculturekit.control import chronicles, wishes
from aiculturekit.control.manifests import SCHEME
from aiculturekit.control.operations import Operation, Operations, Work
from aiculturekit.deploy.changes import Change, Emit
from aiculturekit.deploy.pipeline import Pipeline
from aiculturekit.errors import Again, AicError, Mistake, NotFound, Unsupported
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.plan import holds, weighing
from aiculturekit.plan.documents import Document
from aiculturekit.plan.steps import Step
from aiculturekit.spec import load
from aiculturekit.spec.models import Application
from aiculturekit.state import operations as journal
from aiculturekit.state import releases, requests, settings
from aiculturekit.state.databases import Database
from aiculturekit.targets.kubernetes import places
from aiculturekit.targets.kubernetes.clients import Client
from aiculturekit.targets.kubernetes.locks import Lock
from aiculturekit.targets.kubernetes.objects import labels
from aiculturekit.targets.kubernetes.standings import Wishes
from aiculturekit.targets.kubernetes.target import Kubernetes
from aiculturekit.targets.nodes import RUNNING

log = logging.getLogger(__name__)
_TURN = 900.0
"""Seconds to wait for another machine's deploy."""


@dataclasses.dataclass(frozen=True, slots=True)
class Placement:
    """An application in an environment with a target of its own."""

    app: str
    environment: str
    target: str
    kubeconfig: str = ""

    @property
    def key(self) -> str:
        return f"{self.app}@{self.environment}"

    @property
    def cluster(self) -> places.Cluster:
        return places.parse(Locator.parse(self.target), environment=self.environment)


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and what of his own belongs to the question: `kubeconfig` is his $KUBECONFIG, `file` an application file that says where a
    placement is which this daemon does not know, `variables` those of his shell that the file names; `request` is the name under which it
    is kept until it is in the journal."""

    author: str = "local"
    reason: str = ""
    kubeconfig: str = ""
    file: str = ""
    request: str = ""
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False, hash=False)


Open = Callable[[Placement], Awaitable[Client]]


class Pin(Protocol):
    async def __call__(
        self,
        application: Application,
        documents: Sequence[Document],
        *,
        cluster: places.Cluster,
        is_pushed: bool,
        emit: Emit,
    ) -> tuple[Document, ...]:
        """The documents with the image that each runs: built, and pushed to where the cluster pulls it from if so asked."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Carried:
    """What is brought along from where it ran, in place of what would be built: how documents get their images, and the digests of the
    code that these were made of."""

    pin: Pin
    verb: str = "promote"
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Placements:
    """`holder` names this daemon in a cluster's lock: several of which only one acts at a time have one name. `require` raises where this
    one must not act any more."""

    def __init__(
        self,
        *,
        database: Database,
        operations: Operations,
        open_client: Open,
        pin: Pin,
        holder: str,
        require: Callable[[], None] = lambda: None,
    ) -> None:
        self._database, self._operations, self._open, self._pin = database, operations, open_client, pin
        self._holder, self._require = holder, require

    async def deploy(
        self, file: Path, *, environment: str, caller: Caller, takes_over: bool = False, carried: Carried | None = None
    ) -> Operation:
        """Make the file true there. Raises SpecError, Mistake, Unsupported before anything is touched."""
        application, placement = await self._loaded(file, environment, caller)
        carried = carried or Carried(self._pin, verb="deploy")
        wish = await self._wish(application, placement, carried, caller)
        await self.remember(placement)

        async def work(emit: Emit) -> int | None:
            documents = portable(
                await carried.pin(application, wish.documents, cluster=placement.cluster, is_pushed=True, emit=emit)
            )
            told = Wishes(takes_over=takes_over, secrets=application.secrets)
            return await self.make(placement, dataclasses.replace(wish, documents=documents), emit, told)

        return self._operations.start(placement.key, verb=carried.verb, author=caller.author, work=work)

    async def plan(
        self, file: Path, *, environment: str, caller: Caller, carried: Carried | None = None
    ) -> tuple[Application, tuple[Step, ...]]:
        """What `deploy` would do now, and why. Touches nothing."""
        application, placement = await self._loaded(file, environment, caller)
        carried = carried or Carried(self._pin, verb="plan")
        wish = await self._wish(application, placement, carried, caller)
        async with self.target(placement, Wishes(secrets=application.secrets)) as target:
            documents = portable(
                await carried.pin(
                    application, wish.documents, cluster=placement.cluster, is_pushed=False, emit=_unheard
                )
            )
            documents = await target.numbered(documents)
            pipeline = Pipeline(database=self._database, target=target)
            return application, await pipeline.plan(dataclasses.replace(wish, documents=documents))

    async def down(self, key: str, *, caller: Caller, volumes: bool = False) -> Operation:
        """Remove all of it; its data stays. With `volumes` that is erased, but for what is protected or not ours."""
        placement = await self.find(key, caller)

        def kept(target: Kubernetes) -> tuple[Document, ...]:
            data = [document for document in target.in_force() if document.kind == "resource"]
            return tuple(one for one in data if not volumes or one.body.get("protected"))

        async def work(emit: Emit) -> None:
            async with self._turn(placement, emit, Wishes(erases=volumes)) as target:
                await target.observe(key)
                wish = Change(
                    app=key,
                    verb="down",
                    documents=kept(target),
                    author=caller.author,
                    is_release=False,
                    request=caller.request,
                )
                await Pipeline(database=self._database, target=target).apply(wish, emit=emit)
                await target.leave(tell=lambda message: emit("progress", {"workload": "", "message": message}))

        return self._operations.start(key, verb="down", author=caller.author, work=work, identifier=caller.request)

    async def rollback(self, key: str, *, number: int | None, caller: Caller) -> Operation:
        """Back to release `number`, or to the last good one before the current; a new release that says so."""
        placement = await self.find(key, caller)
        await self.learn(key, caller=caller)
        release = await self._database.run(wishes.release_to_return_to, key, number=number)
        why = caller.reason or say("back to release {number}", number=release.number)
        documents = tuple(Document.from_dict(record) for record in release.documents)
        wish = dataclasses.replace(
            wishes.like(release, verb="rollback", documents=documents, reason=why, author=caller.author),
            request=caller.request,
        )
        return self._operations.start(
            key,
            verb="rollback",
            author=caller.author,
            work=lambda emit: self.make(placement, wish, emit, Wishes()),
            identifier=caller.request,
        )

    async def shift(self, key: str, *, service: str, weights: Mapping[str, float], caller: Caller) -> Operation:
        """Send `weights` percent of the service's requests to each version, until the file says something new."""
        placement = await self.find(key, caller)

        async def work(emit: Emit) -> int | None:
            async with self._turn(placement, emit, Wishes()) as target:
                await target.observe(key)
                current = {document.key: document for document in target.in_force()}
                if ("route", service) not in current:
                    raise NotFound(say("{app} has no service {name}", app=key, name=service))
                route = current["route", service]
                value = weighing.completed(service, weights, current=route.body["weights"])
                current[route.key] = holds.hold(route, value=value)
                text = ", ".join(f"{version} {weight:g}%" for version, weight in value.items())
                release = await self._database.run(releases.current, key)
                wish = Change(
                    app=key, verb="traffic", documents=tuple(current.values()), author=caller.author, reason=f"{service}: {text}",
                    environment=placement.environment, file=release.file if release else "", text=release.text if release else "",
                    request=caller.request,
                )  # fmt: skip
                return (await Pipeline(database=self._database, target=target).apply(wish, emit=emit)).release

        return self._operations.start(key, verb="traffic", author=caller.author, work=work, identifier=caller.request)

    async def left(self) -> set[int]:
        """The numbers of operations that the journal has as running, and nobody here performs."""
        found = await self._database.run(journal.unfinished)
        return {one.id for one in found if "@" in one.app and not self._operations.running(one.app)}

    async def resume(self, numbers: Collection[int] | None = None) -> None:
        """Carry on in the background what the last daemon left; of that, only `numbers` where they are given."""
        names = await self._database.run(requests.names)
        for one in await self._database.run(journal.unfinished):
            if "@" in one.app and (numbers is None or one.id in numbers):
                name, work = names.get(one.id, ""), self._resuming(one)
                self._operations.start(
                    one.app, verb=one.verb, author=one.author, work=work, identifier=name, started_at=one.started_at
                )

    async def known(self) -> list[str]:
        """Every placement that this daemon deployed to."""
        return [app for app in await self._database.run(releases.apps) if "@" in app]

    async def learn(self, key: str, *, caller: Caller) -> None:
        """Releases that were made from elsewhere are known here then. Not while one is made here."""
        if self._operations.running(key):
            return
        async with self.target(await self.find(key, caller)) as target:
            await chronicles.learn(self._database, target, key=key)

    async def find(self, key: str, caller: Caller) -> Placement:
        """Where it is. Raises NotFound where nobody has said so."""
        record = await self._database.run(settings.get, f"placement:{key}")
        if record is not None:
            found = Placement(**json.loads(record))
            return dataclasses.replace(found, kubeconfig=caller.kubeconfig or found.kubeconfig)
        app, _, environment = key.partition("@")
        if caller.file:
            application, placement = await self._loaded(Path(caller.file), environment, caller)
            if application.app == app:
                return placement
        raise NotFound(
            say("nothing is known here of {name}", name=key),
            hint=say(
                "run the command where the application's aic.yaml is, or deploy it first: `aic deploy --to {environment}`",
                environment=environment,
            ),
        )

    async def remembered(self, key: str) -> str:
        """The kubeconfig that it was deployed with last; empty where there is none."""
        record = await self._database.run(settings.get, f"placement:{key}")
        return str(json.loads(record)["kubeconfig"]) if record else ""

    @contextlib.asynccontextmanager
    async def target(self, placement: Placement, wishes: Wishes | None = None) -> AsyncIterator[Kubernetes]:
        client = await self._open(placement)
        try:
            yield Kubernetes(client, app=placement.app, cluster=placement.cluster, wishes=wishes)
        finally:
            await client.close()

    async def _wish(self, application: Application, placement: Placement, carried: Carried, caller: Caller) -> Change:
        found = await wishes.of_file(application, verb=carried.verb, reason=caller.reason, author=caller.author)
        return dataclasses.replace(found, app=placement.key, sources=carried.sources or found.sources)

    async def make(self, placement: Placement, wish: Change, emit: Emit, wishes: Wishes) -> int | None:
        """What an operation does: the release in force afterwards."""
        async with self._turn(placement, emit, wishes) as target:
            if wishes.secrets:
                wish = dataclasses.replace(wish, documents=await target.numbered(wish.documents))
            return (await Pipeline(database=self._database, target=target).apply(wish, emit=emit)).release

    @contextlib.asynccontextmanager
    async def _turn(self, placement: Placement, emit: Emit, wishes: Wishes) -> AsyncIterator[Kubernetes]:
        """The target while nobody else may change what is there. What a crash left unfinished here is past: what is there is looked at
        anew."""
        async with self.target(placement, wishes) as target:
            await target.prepare()
            async with self._locked(placement, target, emit):
                await self._database.run(_give_up, placement.key)
                await chronicles.learn(self._database, target, key=placement.key)
                try:
                    yield target
                except Again:  # nothing can be told there now
                    raise
                except AicError:
                    await _told(self._database, target, placement.key)
                    raise
                await _told(self._database, target, placement.key)

    @contextlib.asynccontextmanager
    async def _locked(self, placement: Placement, target: Kubernetes, emit: Emit) -> AsyncIterator[None]:
        cluster = placement.cluster
        lock = Lock(
            target.client,
            app=placement.app,
            namespace=cluster.namespace,
            holder=self._holder,
            labels=labels(placement.app, cluster),
        )
        async with lock.held(
            patience=_TURN, tell=lambda message: emit("progress", {"workload": placement.app, "message": message})
        ):

            async def require() -> None:
                await lock.require()
                self._require()

            target.wishes.require = require
            yield

    def _resuming(self, operation: journal.Operation) -> Work:
        async def work(emit: Emit) -> int | None:
            placement = await self.find(operation.app, Caller())
            async with self.target(placement) as target:
                await target.prepare()
                async with self._locked(placement, target, emit):
                    await target.history.load()  # it is written at the version that was read
                    await Pipeline(database=self._database, target=target).resume(operation, emit=emit)
                    await _told(self._database, target, operation.app)
            return operation.release

        return work

    async def _loaded(self, file: Path, environment: str, caller: Caller) -> tuple[Application, Placement]:
        application = await threads.run(
            load.load, wishes.named(file), environment=environment, variables={**os.environ, **caller.variables}
        )
        locator = Locator.parse(application.target)
        if locator.scheme != SCHEME:
            raise Mistake(
                say(
                    "the environment {name} has the target {target}, which is no cluster",
                    name=environment,
                    target=str(locator),
                ),
                hint=say(
                    "`aic up --env {name}` runs it here; a cluster's target is kubernetes://CONTEXT/NAMESPACE",
                    name=environment,
                ),
            )
        placement = Placement(application.app, environment, application.target, caller.kubeconfig)
        if not caller.kubeconfig:  # the console has none of its own
            placement = dataclasses.replace(placement, kubeconfig=await self.remembered(placement.key))
        async with self.target(placement) as target:
            if problems := await threads.run(target.check, application):
                raise Unsupported(problems)
        return application, placement

    async def remember(self, placement: Placement) -> None:
        text = json.dumps(dataclasses.asdict(placement))
        await self._database.run(settings.put, f"placement:{placement.key}", value=text)


def _unheard(_kind: str, _payload: Mapping[str, Any]) -> None:
    """A plan tells nothing while it is made."""


async def _told(database: Database, target: Kubernetes, key: str) -> None:
    """The deploy has ended, whatever comes of telling it."""
    try:
        await chronicles.tell(database, target, key=key)
    except AicError as error:
        log.warning("the releases of %s could not be kept in its cluster: %s", key, error.message)


def _give_up(connection: Any, key: str) -> None:
    """An operation that this daemon could not carry on (the cluster did not answer then) gives way to a new wish."""
    for operation in journal.unfinished(connection):
        if operation.app == key:
            now = time.time()
            journal.finish(connection, operation.id, state="failed", error=None, now=now)
            if operation.release is not None:
                releases.finish(connection, key, operation.release, state="failed", now=now)


def portable(documents: Sequence[Document]) -> tuple[Document, ...]:
    """Without what only this machine knows: where the code lies. The image is what it is."""
    return tuple(
        Document(
            one.kind, one.name, {key: value for key, value in one.body.items() if key not in ("directory", "source")}
        )
        if one.kind in RUNNING and "image" in one.body
        else one
        for one in documents
    )
