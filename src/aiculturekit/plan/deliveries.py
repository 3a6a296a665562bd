"""A delivery as documents: what runs, with the new code beside it at some weight, until the file is all true. Pure.

What is new in the file (resources, services, permissions) comes with the first step, since the new code may need it; what the file
changes or takes away (rules, public paths, jobs) comes with the last, so that going back is only a matter of weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from aiculturekit.errors import Mistake, NotFound, Refused
from aiculturekit.language import say
from aiculturekit.plan import holds, weighing
from aiculturekit.plan.documents import Document

CANARY, PREVIEW = "canary", "preview"
HEADER = "x-preview"
"""The request header that leads to the new version whatever its weight; its value is the application's name."""
_COMES_FIRST = ("resource", "server", "access", "workload", "route")
_REPLACED = ("server", "migration")
"""What the new code stands on is as the file says from the first step: the data it expects, and who may use it."""
_NOT_CODE = ("scale", "declared")

Documents = tuple[Document, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    """One service's requests move to `version`. `source` is the workload document of the file that it runs; `is_temporary` where it
    exists for the delivery alone."""

    service: str
    version: str
    source: str
    is_temporary: bool

    @property
    def workload(self) -> str:
        return f"{self.service}/{self.version}"


@dataclasses.dataclass(frozen=True, slots=True)
class Delivery:
    """`before` is what runs (and what is gone back to), `wanted` what the file says."""

    app: str
    before: Documents
    wanted: Documents
    moves: tuple[Move, ...]
    has_preview: bool = False


def moves(
    before: Iterable[Document], wanted: Iterable[Document], *, version: str | None, name: str
) -> tuple[Move, ...]:
    """What has to move: each service that runs and whose code, command or variables the file changes gets a temporary version `name`;
    with `version` (`v2` or `service/v2`) the service that declares it moves to it. Raises Mistake, NotFound, Refused."""
    there, new = _by_key(before), _by_key(wanted)
    chosen = [_chosen(there, new, version)] if version else []
    taken = {move.service for move in chosen}
    changed = [key[1] for key in new if key[0] == "workload" and key in there and _is_changed(there[key], new[key])]
    for workload in _renamed(there, new) + _added(there, new) + changed:
        service = workload.partition("/")[0]
        if service not in taken:
            _refuse_several(service, there, new)
            taken.add(service)
            chosen.append(Move(service, _free(name, there, service), workload, is_temporary=True))
    for move in chosen:
        _refuse_tcp(move.service, new)
    return tuple(sorted(chosen, key=lambda move: move.service))


def at(delivery: Delivery, weight: float) -> Documents:
    """All documents while the new versions have `weight` percent."""
    found = _by_key(delivery.before)
    for document in delivery.wanted:
        if document.kind in _COMES_FIRST and document.key not in found and _is_of_new(document, delivery):
            found[document.key] = document
        if document.kind in _REPLACED:
            found[document.key] = document
    new = _by_key(delivery.wanted)
    for move in delivery.moves:
        source = new["workload", move.source]
        found["workload", move.workload] = Document("workload", move.workload, source.body)
        found["route", move.service] = _route(delivery, move, weight)
    return tuple(found.values())


def after(delivery: Delivery, weight: float) -> Documents:
    """The file made true. A version that the file itself declares keeps the `weight` to which it was moved."""
    kept = {move.service: move.version for move in delivery.moves if not move.is_temporary}
    return tuple(
        _held(document, kept[document.name], weight) if document.kind == "route" and document.name in kept else document
        for document in delivery.wanted
    )


def beside(documents: Documents, delivery: Delivery, *, there: Iterable[Document]) -> Documents:
    """`documents` with the temporary versions still running, without requests: what is in flight on them may end."""
    names = {move.workload for move in delivery.moves if move.is_temporary}
    return (*documents, *(d for d in there if d.kind == "workload" and d.name in names))


def emptied(delivery: Delivery, *, there: Iterable[Document]) -> Documents:
    """What is there, with no requests for the new versions: nothing but weights changes. It is the way back, and the way into a delivery
    that replaces the code of a version which has requests."""
    routes = {document.key: document for document in delivery.before if document.kind == "route"}
    routes |= {("route", m.service): _route(delivery, m, 0.0) for m in delivery.moves if not m.is_temporary}
    listed = tuple(there)
    known = {document.name for document in listed if document.kind == "workload"}
    return tuple(routes.get(d.key, d) if _has_versions(routes.get(d.key, d), known) else d for d in listed)


def _by_key(documents: Iterable[Document]) -> dict[tuple[str, str], Document]:
    return {document.key: document for document in documents}


def _is_changed(before: Document, after: Document) -> bool:
    return _code(before) != _code(after)


def _code(document: Document) -> dict[str, Any]:
    return {key: value for key, value in document.body.items() if key not in _NOT_CODE}


def _has_versions(route: Document, workloads: set[str]) -> bool:
    """Whether everything that gets requests by this route is there."""
    weights = route.body.get("weights", {})
    return all(f"{route.name}/{version}" in workloads for version, weight in weights.items() if weight > 0)


Keyed = Mapping[tuple[str, str], Document]


def _versions(documents: Keyed, service: str) -> list[str]:
    return [d.name for d in documents.values() if d.kind == "workload" and d.name.partition("/")[0] == service]


def _renamed(there: Keyed, new: Keyed) -> list[str]:
    """Workloads that replace the only version of a service under another name."""
    services = {key[1].partition("/")[0] for key in there if key[0] == "workload"}
    pairs = [(_versions(there, service), _versions(new, service)) for service in sorted(services)]
    return [after[0] for before, after in pairs if len(before) == len(after) == 1 and before != after]


def _added(there: Keyed, new: Keyed) -> list[str]:
    """Further versions of services that have several."""
    added = [
        key[1]
        for key in new
        if key[0] == "workload" and key not in there and ("route", key[1].partition("/")[0]) in there
    ]
    return [name for name in added if len(_versions(new, name.partition("/")[0])) > 1]


def _free(name: str, there: Keyed, service: str) -> str:
    return name if ("workload", f"{service}/{name}") not in there else f"{name}-2"


def _is_of_new(document: Document, delivery: Delivery) -> bool:
    """Not a further version of a service that runs, unless it is the one that is moved to: its weight comes at the end."""
    services = {d.name for d in delivery.before if d.kind == "access"}
    return document.kind != "workload" or document.name.partition("/")[0] not in services


def _route(delivery: Delivery, move: Move, weight: float) -> Document:
    before = _by_key(delivery.before)["route", move.service]
    matches = dict(before.body["matches"])
    if not move.is_temporary:
        declared = _by_key(delivery.wanted)["route", move.service].body["matches"]
        matches |= {move.version: declared[move.version]} if move.version in declared else {}
    if delivery.has_preview:
        matches.setdefault(move.version, {"header": {HEADER: {"exact": delivery.app}}})
    current = {move.version: 0.0, **before.body["weights"]}
    weights = weighing.completed(move.service, {move.version: weight}, current=current)
    body = {key: value for key, value in before.body.items() if key != "declared"}
    return dataclasses.replace(before, body=body | {"weights": weights, "matches": matches})


def _held(route: Document, version: str, weight: float) -> Document:
    weights = weighing.completed(route.name, {version: weight}, current=route.body["weights"])
    return holds.hold(route, value=weights)


def _chosen(there: Keyed, new: Keyed, wish: str) -> Move:
    service, _, version = wish.rpartition("/")
    found = [
        key[1].partition("/")[0]
        for key in new
        if key[0] == "workload" and key[1].partition("/")[2] == version and service in ("", key[1].partition("/")[0])
        if ("route", key[1].partition("/")[0]) in there
    ]
    if not found:
        raise NotFound(
            say("the file declares no version {version} of a service that runs", version=wish),
            hint=say("leave --version out, and what changed gets a temporary version"),
        )
    if len(found) > 1:
        raise Mistake(
            say("{services} have a version {version}", services=", ".join(found), version=version),
            hint=say("name one: --version {service}/{version}", service=found[0], version=version),
        )
    if there["route", found[0]].body["weights"].get(version, 0.0) >= 100:
        raise Refused(
            say("{service} {version} takes all requests already", service=found[0], version=version),
            hint=say(
                "give another version something to go back to: `aic traffic {service} VERSION=100%`", service=found[0]
            ),
        )
    return Move(found[0], version, f"{found[0]}/{version}", is_temporary=False)


def _refuse_several(service: str, there: Keyed, new: Keyed) -> None:
    if max(len(_versions(there, service)), len(_versions(new, service))) > 1:
        raise Refused(
            say("{service} has versions of its own in the file", service=service),
            hint=say("say which one its requests move to: --version {service}/VERSION", service=service),
        )


def _refuse_tcp(service: str, new: Keyed) -> None:
    if new["access", service].body["protocol"] == "tcp":
        raise Refused(
            say("{service} speaks tcp: the mesh sees no answers there that could be judged", service=service),
            hint=say("`aic up` replaces it without a lost connection"),
        )
