"""What is the case, as plain JSON shapes: the API, the console and the command line all show these and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiculturekit import __version__
from aiculturekit.control import graphs, masks, phrases, places, times, unreached
from aiculturekit.control.observations import Observations
from aiculturekit.control.operations import Operations
from aiculturekit.engine.logs import Record, read
from aiculturekit.engine.supervisor import Engine
from aiculturekit.engine.workloads import Instance, Key, Status
from aiculturekit.errors import NotFound
from aiculturekit.language import say
from aiculturekit.locator import Locator
from aiculturekit.mesh.nodes import Edge
from aiculturekit.plan.documents import Document
from aiculturekit.state import changes, releases
from aiculturekit.state.databases import Database
from aiculturekit.state.releases import Release
from aiculturekit.targets import tiers
from aiculturekit.targets.local import Local, data
from aiculturekit.targets.nodes import SERVER_VERSION

_RANK = ("service", "job", "resource")


class Views:
    """Reads only. `platform` answers the daemon's own part of `status`."""

    def __init__(
        self,
        *,
        home: Path,
        database: Database,
        target: Local,
        engine: Engine,
        observations: Observations,
        operations: Operations,
        platform: Callable[[], dict[str, Any]],
    ) -> None:
        self._home, self._database, self._target, self._engine = home, database, target, engine
        self._observations, self._operations, self._platform = observations, operations, platform

    def up(self) -> list[str]:
        """The applications that have anything in force."""
        return self._target.apps()

    async def status(self) -> dict[str, Any]:
        """The shape that scripts rely on."""
        apps = await self._apps()
        workloads = [workload for app in apps for workload in self._of_app(app)]
        return self._platform() | {"version": __version__, "workloads": workloads}

    async def apps(self) -> list[dict[str, Any]]:
        return [await self._app(app) for app in await self._apps()]

    async def app(self, app: str) -> dict[str, Any]:
        if app not in await self._apps():
            raise NotFound(say("no application {app}", app=app), hint=say("`aic ps` lists them"))
        return await self._app(app)

    async def workload(self, app: str, name: str) -> dict[str, Any]:
        documents = self._target.in_force(app)
        mine = [d for d in documents if d.kind in ("workload", "job") and d.name.partition("/")[0] == name]
        if not mine:
            raise NotFound(
                say("{app} has no workload {name}", app=app, name=name), hint=say("`aic ps` lists what runs")
            )
        history = await self._database.run(releases.history, app)
        return self._detail(app, name, documents, mine, [_release(release) for release in history])

    async def graph(self, app: str) -> dict[str, Any]:
        await self.app(app)
        return graphs.graph(
            self._target.in_force(app), workloads=self._of_app(app), edges=self._observations.edges(app)
        )

    async def releases(self, app: str) -> list[dict[str, Any]]:
        found = await self._database.run(releases.history, app)
        if not found:
            raise NotFound(say("{app} has no releases", app=app), hint=say("`aic up` makes the first"))
        return [_release(release) for release in found]

    async def release(self, app: str, number: int) -> dict[str, Any]:
        found = await self._database.run(releases.get, app, number)
        if found is None:
            raise NotFound(say("{app} has no release {number}", app=app, number=number))
        return _release(found) | {"file": found.file, "text": masks.text(found.text)}

    async def changes(self, app: str | None, limit: int = 100) -> list[dict[str, Any]]:
        rows = await self._database.run(changes.recent, app=app, limit=limit)
        return [row | {"at": times.iso(row["at"])} for row in rows]

    async def logs(self, app: str, workload: str | None, tail: int, version: str | None = None) -> list[dict[str, Any]]:
        records = await read(self._home, app=app, workload=workload, version=version, tail=tail)
        return [log_record(app, record) for record in records]

    async def targets(self) -> list[dict[str, Any]]:
        return [dict(row) for row in tiers.described()]

    async def _apps(self) -> list[str]:
        """Every application that is up, or under way, or was up once and has something left here."""
        recorded = await self._database.run(releases.apps)
        up = self._target.apps()
        return [*up, *(app for app in recorded if app not in up and "@" not in app)]

    async def _app(self, app: str) -> dict[str, Any]:
        current = await self._database.run(releases.latest, app)
        workloads = self._of_app(app)
        services = [w for w in workloads if w["kind"] == "service"]
        running = self._operations.running(app)
        return {
            "app": app,
            "environment": current.environment if current else "local",
            "file": current.file if current else "",
            "release": current.number if current and current.state == "current" else None,
            "state": _app_state(services, running=running.verb if running else None, latest=current),
            "workloads": len(workloads),
            "ready": sum(w["state"] == "ready" or (w["kind"] == "job" and w["state"] != "failed") for w in workloads),
            "url": self._url(app),
            "updated_at": times.iso(current.created_at) if current else None,
            "problems": [
                f"{w['name']}: {w['reason'] or w['state']}" for w in services if w["state"] not in ("ready", "starting")
            ]
            + (unreached.problems(self._target.in_force(app)) if _is_isolated(self._platform()) else []),
        }

    def _url(self, app: str) -> str | None:
        prefixes = [document for document in self._target.in_force(app) if document.kind == "ingress"]
        if not prefixes:
            return None
        ingress: str = self._platform()["ingress"]
        return ingress if self._target.is_bare(app) else ingress.replace("127.0.0.1", f"{app}.localhost")

    def _of_app(self, app: str) -> list[dict[str, Any]]:
        """One row a workload version: services, then jobs, then resources, each by name."""
        edges = self._observations.edges(app)
        rows = []
        for document in self._target.in_force(app):
            if document.kind in ("workload", "job"):
                rows.append(self._row(app, document, edges))
            elif document.kind == "resource":
                status = self._engine.status(Key(app, document.name, SERVER_VERSION))
                is_there = data.is_there(self._home, app, document)
                rows.append(_resource_row(app, document, status=status, is_there=is_there, edges=edges))
        return sorted(rows, key=lambda row: (_RANK.index(row["kind"]), row["name"], row["version"]))

    def _row(self, app: str, document: Document, edges: Sequence[Edge]) -> dict[str, Any]:
        name, _, version = document.name.partition("/")
        status = self._engine.status(Key(app, name, version or "v1"))
        mine = [edge for edge in edges if edge.target == name and edge.version == version]
        return {
            "app": app,
            "name": name,
            "kind": "job" if document.kind == "job" else "service",
            "version": version or "v1",
            **_processes(status),
            "replicas": status.workload.replicas if status else document.body.get("scale", {}).get("min", 0),
            "state": _state(document, status),
            **graphs.figures(mine),
        }

    def _detail(
        self,
        app: str,
        name: str,
        documents: Sequence[Document],
        mine: Sequence[Document],
        history: list[dict[str, Any]],
    ) -> dict[str, Any]:
        route: Mapping[str, Any] = next(
            (d.body for d in documents if d.key == ("route", name)), {"weights": {}, "matches": {}}
        )
        access: Mapping[str, Any] = next((d.body for d in documents if d.key == ("access", name)), {"callers": []})
        edges = self._observations.edges(app)
        rows = [self._row(app, document, edges) for document in mine]
        body = mine[0].body
        urls = self._target.urls(app, mine[0])
        return {
            "app": app,
            "name": name,
            "kind": rows[0]["kind"],
            "state": _worst(rows),
            "public": [d.name for d in documents if d.kind == "ingress" and d.body["service"] == name],
            "needs": [
                need | {"url": need["url"] or _shown(urls.get(_variable(need["name"])))} for need in body["needs"]
            ],
            "callers": access["callers"],
            "versions": [
                row
                | {
                    "weight": route["weights"].get(row["version"]),
                    "match": route["matches"].get(row["version"]),
                    "match_text": phrases.matched(route["matches"].get(row["version"])),
                }
                for row in rows
            ],
            "rules": phrases.rules(route.get("traffic", {})),
            "faults": phrases.faults(route.get("traffic", {})),
            "command": body["run"],
            "directory": body["directory"],
            "environment": _masked(self._environment(app, name) or {**urls, **body["env"]}),
            "probes": {"readiness": body.get("readiness"), "liveness": body.get("liveness")},
            "limits": body["limits"],
            "schedule": body.get("schedule"),
            "instances": [i for row in rows for i in self._instances(app, name, row["version"])],
            "places": [p for row in rows for p in places.rows(self._engine.status(Key(app, name, row["version"])))],
            "releases": [release for release in history if _touches(release, name)],
        }

    def _environment(self, app: str, name: str) -> dict[str, str]:
        for status in self._engine.statuses():
            if (status.workload.key.app, status.workload.key.name) == (app, name):
                return dict(status.workload.environment)
        return {}

    def _instances(self, app: str, name: str, version: str) -> list[dict[str, Any]]:
        status = self._engine.status(Key(app, name, version))
        listed = status.instances if status else ()
        return [i.as_dict() | {"version": version, "started_at": times.iso(i.started_at)} for i in listed]


def log_record(app: str, record: Record) -> dict[str, Any]:
    """A log line as the wire has it."""
    return record.as_dict() | {"app": app, "at": times.iso(record.at)}


def _masked(environment: Mapping[str, str]) -> list[dict[str, Any]]:
    rows = []
    for name, value in sorted(environment.items()):
        shown, masked = masks.mask(name, value)
        rows.append({"name": name, "value": shown, "masked": masked})
    return rows


def _variable(name: str) -> str:
    return f"{name.upper().replace('-', '_')}_URL"


def _release(release: Release) -> dict[str, Any]:
    return {
        "app": release.app,
        "number": release.number,
        "environment": release.environment,
        "author": release.author,
        "reason": release.reason,
        "created_at": times.iso(release.created_at),
        "finished_at": times.iso(release.finished_at),
        "state": release.state,
        "changes": [dict(step) for step in release.steps],
        "duration_s": None if release.finished_at is None else round(release.finished_at - release.created_at, 3),
    }


def _touches(release: Mapping[str, Any], name: str) -> bool:
    return any(step["name"].partition("/")[0] == name for step in release["changes"])


def _resource_row(
    app: str, document: Document, *, status: Status | None, is_there: bool, edges: Sequence[Edge]
) -> dict[str, Any]:
    """A file is there or not; a server is a process like any other, and one that stands elsewhere was found when it came into force."""
    about = {"app": app, "name": document.name, "kind": "resource", "version": document.body["type"], "replicas": 1}
    if document.body["type"] in data.TYPES:
        state, reason = ("ready", "") if is_there else ("failed", say("its data is gone"))
        figures = graphs.figures([])
        return about | _processes(None) | {"ready": int(is_there), "state": state, "reason": reason} | figures
    if document.body.get("url"):
        return about | _processes(None) | {"ready": 1, "state": "ready"} | graphs.figures([])
    mine = [edge for edge in edges if edge.target == document.name]
    return about | _processes(status) | {"state": status.state if status else "down"} | graphs.figures(mine)


def _processes(status: Status | None) -> dict[str, Any]:
    """What can be said of the processes of one workload version, or of a server."""
    instances = status.instances if status else ()
    live = [instance for instance in instances if instance.pid is not None]
    return {
        "release": max((instance.release for instance in live), default=None),
        "ready": status.ready if status else 0,
        "pids": sorted(instance.pid for instance in live if instance.pid),
        "restarts": sum(instance.restarts for instance in instances),
        "reason": _reason(status),
        "memory_bytes": _total(live, "memory_bytes"),
    }


def _state(document: Document, status: Status | None) -> str:
    if status is not None:
        return status.state
    return "scheduled" if document.body.get("schedule") else "pending"


def _reason(status: Status | None) -> str:
    reasons = [instance.reason for instance in status.instances if instance.state != "ready"] if status else []
    return next((reason for reason in reasons if reason), "")


def _total(instances: Sequence[Instance], figure: str) -> int | None:
    values = [getattr(instance, figure) for instance in instances]
    return sum(value for value in values if value is not None) if any(v is not None for v in values) else None


def _worst(rows: Sequence[Mapping[str, Any]]) -> str:
    return next((row["state"] for row in rows if row["state"] != "ready"), "ready")


def _app_state(services: Sequence[Mapping[str, Any]], *, running: str | None, latest: Release | None) -> str:
    if running in ("up", "restore", "rollback") and not all(row["state"] == "ready" for row in services):
        return "starting"
    if not services:
        return "failed" if latest and latest.state == "failed" else "down"
    return "serving" if all(row["state"] in ("ready", "scheduled") for row in services) else "degraded"


def _is_isolated(platform: Mapping[str, Any]) -> bool:
    return platform.get("isolation") == "network-namespaces"


def _shown(url: str | None) -> str | None:
    """Without what is secret in it."""
    return str(Locator.parse(url)) if url else url
