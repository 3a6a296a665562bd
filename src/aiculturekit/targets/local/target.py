"""The local target: performs documents with the engine and the mesh of this machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path

from aiculturekit import threads
from aiculturekit.deploy.targets import Progress
from aiculturekit.engine import environments
from aiculturekit.engine.environments import Environment
from aiculturekit.engine.rooms import Rooms
from aiculturekit.engine.schedules import Scheduler
from aiculturekit.engine.supervisor import Engine
from aiculturekit.engine.workloads import Container, Key, Status, Workload
from aiculturekit.errors import HostTrouble, Problem
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.mesh.meshes import Mesh
from aiculturekit.mesh.nodes import Realm, Tracing
from aiculturekit.plan.documents import RANKS, Document
from aiculturekit.plan.steps import Step
from aiculturekit.resources import outside
from aiculturekit.spec.models import Application
from aiculturekit.targets import nodes
from aiculturekit.targets.local import checks, containers, data, gifts, launches, ledgers
from aiculturekit.targets.local.foresights import Foresights
from aiculturekit.targets.local.migrations import Migrations
from aiculturekit.targets.local.ports import Ports
from aiculturekit.targets.local.stores import Stores, needed_users
from aiculturekit.targets.local.wirings import Setting, Wiring

Perform = Callable[[str, Step, int, Progress], Awaitable[None]]


class Local:
    """`documents` are those in force per application, in the order in which the applications came up."""

    def __init__(
        self,
        *,
        home: Path,
        engine: Engine,
        mesh: Mesh,
        ports: Ports,
        scheduler: Scheduler,
        inherited: Mapping[str, str],
        ingress_port: int,
        realm: Callable[[], Realm] = Realm,
        tracing: Tracing | None = None,
        rooms: Rooms | None = None,
        stand_ins: Mapping[str, tuple[str, int]] | None = None,
        stores: Stores,
    ) -> None:
        self._home, self._engine, self._stores = home, engine, stores
        self.foresee = Foresights(cache=home / "environments").foresee
        self._migrations = Migrations(home=home, engine=engine)
        self._is_isolated = rooms is not None
        self._ports, self._scheduler, self._inherited, self._tracing = ports, scheduler, inherited, tracing
        self._documents: dict[str, dict[tuple[str, str], Document]] = {}
        self._wiring = Wiring(
            mesh=mesh,
            ports=ports,
            rooms=rooms,
            documents=self._documents,
            setting=Setting(ingress_port, realm, tracing, stand_ins or {}),
        )
        self._misled: set[tuple[str, tuple[str, str]]] = set()
        self._performers: dict[str, Perform] = {
            "resource": self._perform_resource,
            "server": self._perform_server,
            "migration": self._perform_migration,
            "workload": self._perform_workload,
            "job": self._perform_job,
        }

    async def open(self, documents: Mapping[str, list[Document]]) -> None:
        """Take up what is recorded as in force: the mesh at once, the schedules; processes were adopted by the engine."""
        await self._stores.open()
        running = [status.workload.container for status in self._engine.statuses()]
        await threads.run(containers.prune, self._home, keep={one.root for one in running if one})
        self._documents |= {app: {document.key: document for document in listed} for app, listed in documents.items()}
        for app, listed in documents.items():
            for document in listed:
                if document.kind == "job":
                    await self._schedule(app, document, release=0)
        await self.refresh()
        self._misled = _callers(self._documents, names=self._ports.moved)

    def check(self, application: Application) -> list[Problem]:
        return checks.problems(application, is_isolated=self._is_isolated)

    async def observe(self, app: str) -> list[Document]:
        """One whose processes were told ports that others have now is not as its document says."""
        return [
            document
            for document in self.in_force(app)
            if _is_real(app, document, home=self._home, engine=self._engine) and (app, document.key) not in self._misled
        ]

    def in_force(self, app: str) -> list[Document]:
        """By rank and name: the order in which steps happened to end says nothing."""
        return sorted(self._documents.get(app, {}).values(), key=lambda d: (RANKS[d.kind], d.name))

    def apps(self) -> list[str]:
        """The applications with anything in force, in the order in which they came up."""
        return list(self._documents)

    def is_bare(self, app: str) -> bool:
        """Whether the application answers on the ingress without its own host name."""
        entries = nodes.entries({name: list(documents.values()) for name, documents in self._documents.items()})
        return any(entry.bare for entry in entries if entry.app == app)

    async def perform(self, app: str, *, step: Step, release: int, progress: Progress) -> None:
        performer = self._performers.get(step.document.kind, self._perform_rule)
        await performer(app, step, release, progress)

    async def sweep(self) -> None:
        """Stop what runs without a document in force: the rest of an operation that a crash cut short and that was undone."""
        for status in self._engine.statuses():
            key = status.workload.key
            kinds = [(kind, key.name) for kind in ("job", "server", "migration")]
            kinds.append(("workload", f"{key.name}/{key.version}"))
            if not any(kind in self._documents.get(key.app, {}) for kind in kinds):
                await self._engine.remove(key)

    def urls(self, app: str, document: Document) -> dict[str, str]:
        """Variable -> value for everything that the workload's needs give it."""
        return gifts.variables(
            app, document, stores=self._stores, documents=self._documents[app], ports=self._ports.held
        )

    async def _perform_rule(self, app: str, step: Step, release: int, progress: Progress) -> None:
        _keep(self._documents, app, step)
        await self.refresh()

    async def _perform_resource(self, app: str, step: Step, release: int, progress: Progress) -> None:
        try:
            if step.action == "delete" or (step.before and step.before.body["type"] != step.document.body["type"]):
                kept = await threads.run(data.set_aside, self._home, app, step.before or step.document)
                await self._stores.forget(app, step.document.name)
                if kept:
                    progress(step.document.name, say("its data was set aside: {folder}", folder=kept))
            if step.action != "delete":
                await _provide(self._home, app, step.document, progress)
        except OSError as error:
            raise HostTrouble(say("resources/{name}: {error}", name=step.document.name, error=str(error))) from error
        _keep(self._documents, app, step)

    async def _perform_server(self, app: str, step: Step, release: int, progress: Progress) -> None:
        name = step.document.name
        if step.action == "delete":
            await self._stores.stop(app, step.document)
            _keep(self._documents, app, step)
        else:
            with self._wiring.announced(app, step.document):
                await self.refresh()
                await self._stores.start(
                    app,
                    step.document,
                    needed=needed_users(self.in_force(app), name),
                    release=release,
                    tell=lambda message: progress(name, message),
                )
                _keep(self._documents, app, step)
        await self.refresh()

    async def _perform_migration(self, app: str, step: Step, release: int, progress: Progress) -> None:
        document = step.document
        if step.action != "delete" and await self._migrations.is_due(app, document):
            with self._wiring.announced(app, document):
                await self.refresh()
                await self._migrations.run(
                    app,
                    document,
                    launch=lambda task: self._launch(
                        app,
                        task,
                        release=release,
                        progress=lambda name, message: progress(f"{name}/{launches.MIGRATION}", message),
                    ),
                    tell=lambda message: progress(document.name, message),
                )
                _keep(self._documents, app, step)
        else:
            _keep(self._documents, app, step)
        await self._stores.admit(app, self.in_force(app))
        await self.refresh()

    async def _perform_workload(self, app: str, step: Step, release: int, progress: Progress) -> None:
        name, _, version = step.document.name.partition("/")
        if step.action == "delete":
            await self._engine.remove(Key(app, name, version))
            _keep(self._documents, app, step)
        else:
            with self._wiring.announced(app, step.document):
                await self.refresh()
                await self._launch(app, step.document, release=release, progress=progress)
                _keep(self._documents, app, step)
        await self._stores.admit(app, self.in_force(app))
        self._misled.discard((app, step.document.key))
        await self.refresh()

    async def _perform_job(self, app: str, step: Step, release: int, progress: Progress) -> None:
        key = Key(app, step.document.name)
        self._scheduler.forget(key)
        if step.action == "delete":
            await self._engine.remove(key)
            _keep(self._documents, app, step)
        else:
            with self._wiring.announced(app, step.document):
                await self.refresh()
                if step.document.body["schedule"] is None:
                    await self._launch(app, step.document, release=release, progress=progress)
                await self._schedule(app, step.document, release=release)
                _keep(self._documents, app, step)
        await self._stores.admit(app, self.in_force(app))
        await self.refresh()

    async def run_job(self, app: str, name: str, *, release: int) -> None:
        """Run a job now, to its end. Raises Failed with its last lines."""
        document = self._documents[app]["job", name]
        await self._launch(app, document, release=release, progress=lambda _name, _message: None)

    async def _schedule(self, app: str, document: Document, *, release: int) -> None:
        if schedule := document.body["schedule"]:
            self._scheduler.set(
                Key(app, document.name), schedule, lambda: self.run_job(app, document.name, release=release)
            )

    async def _launch(self, app: str, document: Document, *, release: int, progress: Progress) -> None:
        def tell(message: str) -> None:
            progress(document.name, message)

        environment, container = await _prepared(
            app, document, documents=self._documents[app], home=self._home, tell=tell
        )
        variables = launches.variables(
            app,
            document,
            environment=environment,
            inherited=containers.inherited(environment) if container else self._inherited,
            outputs=self.urls(app, document) | launches.exporter(self._tracing),
            references=gifts.references(
                app, document, stores=self._stores, documents=self._documents[app], ports=self._ports.held
            ),
        )
        launch = launches.workload(
            app, document, environment=environment, variables=variables, release=release, container=container
        )
        await self._engine.apply(_as_many(launch, document, self._engine.status(launch.key)), progress=tell)

    async def refresh(self) -> None:
        """Bring the mesh in line with the documents and the realm."""
        await self._wiring.refresh()


async def _prepared(
    app: str,
    document: Document,
    *,
    documents: Mapping[tuple[str, str], Document],
    home: Path,
    tell: Callable[[str], None],
) -> tuple[Environment, Container | None]:
    """What its code needs to run, or the image that it is."""
    if "image" in document.body:
        mounts = containers.mounts(app, document, documents=documents, home=home)
        return await containers.prepare(document, home=home, mounts=mounts, tell=tell)
    directory = Path(document.body["directory"])
    return await environments.prepare(directory, cache=home / "environments", progress=tell), None


def _keep(documents: dict[str, dict[tuple[str, str], Document]], app: str, step: Step) -> None:
    """What is in force once the step is done."""
    if step.action != "delete":
        documents.setdefault(app, {})[step.document.key] = step.document
        return
    documents.get(app, {}).pop(step.document.key, None)
    if not documents.get(app):
        documents.pop(app, None)


async def _provide(home: Path, app: str, document: Document, progress: Progress) -> None:
    """The resource's data has a place; what stands elsewhere is only looked at."""
    if url := document.body.get("url"):
        version = await outside.check(document.name, document.body["type"], url)
        shown = str(Locator.parse(url))
        progress(document.name, say("{url} answers {version}", url=shown, version=version).rstrip())
    else:
        await threads.run(data.create, home, app, document)


def _callers(
    documents: Mapping[str, Mapping[tuple[str, str], Document]], *, names: Collection[str]
) -> set[tuple[str, tuple[str, str]]]:
    """(application, key) of the workloads that were told the ports of these names."""
    told = {nodes.caller_of(name) for name in names}
    keys = ((app, key) for app, listed in documents.items() for key in listed if key[0] == "workload")
    return {(app, key) for app, key in keys if (app, key[1].partition("/")[0]) in told}


def _is_real(app: str, document: Document, *, home: Path, engine: Engine) -> bool:
    """Whether what the document says is there: its data, its processes. Rules are as real as the document."""
    if document.kind == "resource":
        return bool(document.body.get("url")) or data.is_there(home, app, document)
    if document.kind == "server":
        return engine.status(Key(app, document.name, nodes.SERVER_VERSION)) is not None
    if document.kind == "migration":
        return not ledgers.is_due(home, app, document)
    if document.kind == "workload":
        name, _, version = document.name.partition("/")
        return engine.status(Key(app, name, version)) is not None
    return True


def _as_many(launch: Workload, document: Document, status: Status | None) -> Workload:
    """The launch with as many replicas as the load made of the revision before, where the file gives a range."""
    scale = document.body.get("scale")
    if status is None or scale is None or scale["max"] == scale["min"]:
        return launch
    return dataclasses.replace(launch, replicas=max(scale["min"], min(scale["max"], status.workload.replicas)))
