"""The verbs that change an application. Each answers with an Operation at once; what the file gets wrong is raised before that."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from aiculturekit import threads
from aiculturekit.control import wishes
from aiculturekit.control.operations import Operation, Operations
from aiculturekit.deploy.changes import Change, Emit
from aiculturekit.deploy.pipeline import Pipeline
from aiculturekit.engine import sources
from aiculturekit.engine.supervisor import Engine
from aiculturekit.engine.workloads import Key
from aiculturekit.errors import Mistake, NotFound, Unsupported
from aiculturekit.language import say
from aiculturekit.plan import holds, weighing
from aiculturekit.plan.documents import Document
from aiculturekit.plan.steps import Step
from aiculturekit.spec import load
from aiculturekit.spec.models import Application
from aiculturekit.state import releases
from aiculturekit.state.databases import Database
from aiculturekit.state.releases import Release
from aiculturekit.targets.local import Local, data
from aiculturekit.targets.local.snapshots import Snapshots


class Applications:
    """`home` keeps the snapshots of the code that releases ran."""

    def __init__(
        self,
        *,
        home: Path,
        database: Database,
        target: Local,
        pipeline: Pipeline,
        engine: Engine,
        operations: Operations,
        snapshots: Snapshots,
    ) -> None:
        self._snapshots = snapshots
        self._home, self._database, self._target = home, database, target
        self._pipeline, self._engine, self._operations = pipeline, engine, operations

    async def up(self, file: Path, *, environment: str | None, reason: str, author: str, origin: str = "") -> Operation:
        """Make the file true; on the data of the snapshot `origin` (NAME, or APP/NAME) where there is none yet. Raises SpecError or
        Unsupported before anything is touched."""
        application = await self.load(file, environment=environment)
        self._operations.refuse_held(application.app)

        async def work(emit: Emit) -> int | None:
            if origin:
                source, _, name = origin.rpartition("/")
                await self._snapshots.place(application.app, name, origin=source or application.app)
            change = await self.change(application, verb="up", reason=reason, author=author)
            outcome = await self._pipeline.apply(change, emit=emit)
            if outcome.steps:
                await self.snapshot(change.sources)
            await self._engine.settle(application.app, progress=_progress(emit))
            return outcome.release

        return self._operations.start(application.app, verb="up", author=author, work=work)

    async def plan(self, file: Path, *, environment: str | None) -> tuple[Application, tuple[Step, ...]]:
        """What `up` would do now, and why. Touches nothing."""
        application = await self.load(file, environment=environment)
        change = await self.change(application, verb="plan", reason="", author="")
        return application, await self._pipeline.plan(change)

    async def down(self, app: str, *, author: str, volumes: bool = False) -> Operation:
        """Stop all of the application; its releases stay, and its resources keep their data. With `volumes` that is erased, but for what is
        protected or not ours."""
        if not self._target.in_force(app) and self._operations.running(app) is None:
            raise self._unknown(app)
        if holder := self._operations.holder(app):
            holder.order("drop", author=author, reason="")

        async def work(emit: Emit) -> None:
            resources = [document for document in self._target.in_force(app) if document.kind == "resource"]
            gone = [document for document in resources if volumes and _is_erasable(document)]
            kept = tuple(document for document in resources if document not in gone)
            before = await threads.run(data.aside, self._home, app, gone)
            change = Change(app=app, verb="down", documents=kept, author=author, is_release=False)
            await self._pipeline.apply(change, emit=emit)
            await threads.run(data.erase, await threads.run(data.aside, self._home, app, gone) - before)

        return self._operations.start(app, verb="down", author=author, work=work)

    async def rollback(self, app: str, *, number: int | None, reason: str, author: str) -> Operation:
        """Back to release `number`, or to the last good one before the current; a new release that says so. While a delivery is under way,
        back is where it came from."""
        if holder := self._operations.holder(app):
            holder.order("back" if number is None else "drop", author=author, reason=reason)
            if number is None:
                return holder.operation
        release = await self._database.run(wishes.release_to_return_to, app, number=number)

        async def work(emit: Emit) -> int | None:
            documents = tuple(Document.from_dict(record) for record in release.documents)
            moved = await threads.run(as_it_was, documents, sources=release.sources, store=self._home / "sources")
            why = reason or say("back to release {number}", number=release.number)
            change = wishes.like(release, documents=moved, verb="rollback", reason=why, author=author)
            return (await self._pipeline.apply(change, emit=emit)).release

        return self._operations.start(app, verb="rollback", author=author, work=work)

    async def shift(self, app: str, *, service: str, weights: Mapping[str, float], author: str) -> Operation:
        """Send `weights` percent of the service's requests to each version, until the file says something new."""
        route = self._find(app, ("route", service))
        value = weighing.completed(service, weights, current=route.body["weights"])
        text = ", ".join(f"{version} {weight:g}%" for version, weight in value.items())
        return self._adjust(
            app, [("route", service)], value=value, verb="traffic", reason=f"{service}: {text}", author=author
        )

    async def scale(self, app: str, *, name: str, replicas: int, version: str | None, author: str) -> Operation:
        """Run `replicas` of a workload (of one version, or of each), until the file says something new."""
        if not 0 <= replicas <= 100:
            raise Mistake(say("{name}: {replicas} replicas; it must be 0 to 100", name=name, replicas=replicas))
        keys = [key for key in self._workloads(app, name) if version is None or key[1] == f"{name}/{version}"]
        if not keys:
            raise NotFound(say("{app} has no workload {name} {version}", app=app, name=name, version=version))
        value = {"min": replicas, "max": replicas, "rps": None, "cpu": None}
        reason = say("{name}: {replicas} replicas", name=name, replicas=replicas)
        return self._adjust(app, keys, value=value, verb="scale", reason=reason, author=author)

    async def restart(self, app: str, *, name: str, author: str) -> Operation:
        """New processes for the workload, one revision, without a failed request; a job is run now."""
        job = ("job", name) in {document.key for document in self._target.in_force(app)}
        keys = [] if job else self._workloads(app, name)

        async def work(emit: Emit) -> int | None:
            current = await self._database.run(releases.current, app)
            if job:
                await self._target.run_job(app, name, release=current.number if current else 0)
            for _, document in keys:
                service, _, version = document.partition("/")
                emit("progress", {"workload": document, "message": say("restarting")})
                await self._engine.restart(Key(app, service, version))
            return current.number if current else None

        return self._operations.start(app, verb="run" if job else "restart", author=author, work=work)

    def _adjust(
        self, app: str, keys: Sequence[tuple[str, str]], *, value: object, verb: str, reason: str, author: str
    ) -> Operation:
        self._operations.refuse_held(app)

        async def work(emit: Emit) -> int | None:
            release = await self._database.run(wishes.release_to_return_to, app, number=None, current=True)
            documents = tuple(
                holds.hold(document, value=value) if document.key in keys else document
                for document in self._target.in_force(app)
            )
            change = wishes.like(release, documents=documents, verb=verb, reason=reason, author=author)
            return (await self._pipeline.apply(change, emit=emit)).release

        return self._operations.start(app, verb=verb, author=author, work=work)

    async def load(self, file: Path, *, environment: str | None) -> Application:
        """The file as this machine would run it. Raises SpecError, Unsupported, or NotFound for another target."""
        path = await threads.run(wishes.named, file)
        application = await threads.run(load.load, path, environment=environment, variables=os.environ)
        if application.target not in ("local", "local:", "local://"):
            raise NotFound(
                say("the target {target} is not this machine", target=application.target),
                hint=say("`aic deploy --to {environment}` goes there", environment=application.environment),
            )
        if problems := self._target.check(application):
            raise Unsupported(problems)
        return application

    async def change(self, application: Application, *, verb: str, reason: str, author: str) -> Change:
        return await wishes.of_file(application, verb=verb, reason=reason, author=author)

    async def snapshot(self, digests: Mapping[str, str]) -> None:
        """Keep the code as this release ran it, so that a rollback can run it again."""
        for directory in digests:
            await threads.run(sources.snapshot, Path(directory), store=self._home / "sources")

    def _find(self, app: str, key: tuple[str, str]) -> Document:
        documents = {document.key: document for document in self._target.in_force(app)}
        if not documents:
            raise self._unknown(app)
        if key not in documents:
            raise NotFound(say("{app} has no service {name}", app=app, name=key[1]))
        return documents[key]

    def _workloads(self, app: str, name: str) -> list[tuple[str, str]]:
        keys = [d.key for d in self._target.in_force(app) if d.kind == "workload" and d.name.partition("/")[0] == name]
        if not keys:
            raise NotFound(
                say("{app} has no workload {name}", app=app, name=name), hint=say("`aic ps` lists what runs")
            )
        return keys

    def _unknown(self, app: str) -> NotFound:
        return NotFound(
            say("no application {app} is up", app=app),
            hint=say("`aic up DIRECTORY` brings one up; `aic ps` lists them"),
        )


def _is_erasable(resource: Document) -> bool:
    """Not what is protected, nor what stands elsewhere."""
    return not resource.body.get("protected") and not resource.body.get("url")


def _progress(emit: Emit) -> Callable[[str, str], None]:
    return lambda name, message: emit("progress", {"workload": name, "message": message})


def pinned(documents: Sequence[Document], *, release: Release, home: Path) -> tuple[Document, ...]:
    """The documents with each workload whose code was edited since the release running the snapshot of what it was: it must stay what it
    is while the new code is tried beside it."""
    workloads = [document for document in documents if document.kind == "workload"]
    moved = {d.key: d for d in as_it_was(workloads, sources=release.sources, store=home / "sources")}
    return tuple(moved.get(document.key, document) for document in documents)


def as_it_was(documents: Sequence[Document], *, sources: Mapping[str, str], store: Path) -> tuple[Document, ...]:
    """The documents with each directory whose code has changed since replaced by the snapshot that was taken of it."""
    return tuple(_document_as_it_was(document, recorded=sources, store=store) for document in documents)


def _document_as_it_was(document: Document, *, recorded: Mapping[str, str], store: Path) -> Document:
    directory = document.body.get("directory", "")
    kept = store / recorded.get(directory, "-")
    if "source" not in document.body or not kept.is_dir():
        return document
    if Path(directory).is_dir() and sources.digest(Path(directory)) == recorded[directory]:
        return document
    return Document(document.kind, document.name, {**document.body, "directory": str(kept)})
