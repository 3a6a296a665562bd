"""Requests for placements, kept from the moment that they are accepted until their operation is in the journal.

An operation may wait for its turn, or for another machine's deploy, before anything of it is journalled. A daemon that is killed then has
said yes to something that nobody else knows of: the next one finds the request here, and begins it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from aiculturekit.control import times
from aiculturekit.control.operations import Operation, Operations
from aiculturekit.control.placements import Caller, Placement, Placements
from aiculturekit.deploy.changes import Change
from aiculturekit.deploy.pipeline import Pipeline
from aiculturekit.errors import Again, AicError, Busy, Failed, NotFound
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.plan.steps import Step
from aiculturekit.state import operations as journal
from aiculturekit.state import requests
from aiculturekit.state.databases import Database
from aiculturekit.targets.kubernetes.standings import Wishes

log = logging.getLogger(__name__)
_PAUSE = 1.0
Json = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """`arguments` are plain JSON: for a deploy the parcel (`parcels`), else what the verb of the same name takes. `secrets` are values by
    reference: they are never kept, so that a daemon that begins it again does without, and says which it misses."""

    verb: str
    key: str
    arguments: Json
    caller: Caller
    secrets: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False, hash=False)


class Arrivals:
    """Takes requests, and carries on those that the last daemon took and did not come to."""

    def __init__(self, *, database: Database, placements: Placements, operations: Operations) -> None:
        self._database, self._placements, self._operations = database, placements, operations
        self._following: set[asyncio.Task[None]] = set()

    async def take(self, request: Request) -> Operation:
        """Raises what the verb refuses; then it is forgotten."""
        kept = dataclasses.replace(request, secrets={}, caller=dataclasses.replace(request.caller, variables={}))
        text = json.dumps(dataclasses.asdict(kept))
        return await self._begin(await self._database.run(requests.keep, text), request)

    async def resume(self) -> None:
        """In their order, behind what is resumed from the journal. What an older version wrote otherwise must not keep this one from
        leading: it stays where it is."""
        for name, text in await self._database.run(requests.waiting):
            try:
                await self._begin(name, _read(text))
            except AicError as error:
                log.warning("%s was taken, and can't be done: %s", text[:200], error.message)
            except (LookupError, TypeError, ValueError) as error:
                log.error("%s was taken by another version, and can't be read: %r", text[:200], error)

    async def told(self, name: str) -> Json:
        """What became of a request, whichever daemon took it, in the shape of an operation. Raises NotFound for one that ended before there
        was anything to journal, with the daemon that took it."""
        with contextlib.suppress(NotFound):
            return self._operations.get(name).as_dict()
        if found := await self._database.run(requests.operation, name):
            return _told(name, found)
        for waiting, text in await self._database.run(requests.waiting):
            if waiting == name:
                return {"id": name, "app": _read(text).key, "state": "running"}
        raise NotFound(say("no operation {id}", id=name))

    async def foresee(self, parcel: Json) -> Sequence[Step]:
        """What deploying it would do now, and why. Touches nothing."""
        wish = _wish(parcel, Caller())
        async with self._placements.target(_placement(parcel), Wishes(secrets=parcel["secrets"])) as target:
            wish = dataclasses.replace(wish, documents=await target.numbered(wish.documents))
            return await Pipeline(database=self._database, target=target).plan(wish)

    async def close(self) -> None:
        """What has not begun stays kept."""
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)

    async def _begin(self, name: str, request: Request) -> Operation:
        request = dataclasses.replace(request, caller=dataclasses.replace(request.caller, request=name))
        try:
            operation = await self._started(request)
        except AicError:
            await self._forget(name)
            raise
        task = asyncio.create_task(self._follow(name, operation), name=f"arrival of {request.key}")
        self._following.add(task)
        task.add_done_callback(self._following.discard)
        return operation

    async def _started(self, request: Request) -> Operation:
        given, caller = request.arguments, request.caller
        match request.verb:
            case "down":
                return await self._placements.down(request.key, caller=caller, volumes=given["volumes"])
            case "rollback":
                return await self._placements.rollback(request.key, number=given["number"], caller=caller)
            case "traffic":
                return await self._placements.shift(
                    request.key, service=given["service"], weights=given["weights"], caller=caller
                )
        return await self._deploy(given, caller, request.secrets)

    async def _deploy(self, parcel: Json, caller: Caller, secrets: Mapping[str, str]) -> Operation:
        placement, wish = _placement(parcel), _wish(parcel, caller)
        await self._placements.remember(placement)
        wishes = Wishes(takes_over=parcel["force_conflicts"], secrets=secrets)
        return self._operations.start(
            placement.key,
            verb="deploy",
            author=caller.author,
            work=lambda emit: self._placements.make(placement, wish, emit, wishes),
            identifier=caller.request,
        )

    async def _follow(self, name: str, operation: Operation) -> None:
        """The journal forgets it in the transaction in which it takes the operation up; one that changes nothing ends without."""
        async for kind, _ in operation.follow():
            if kind == "done":
                await self._forget(name)

    async def _forget(self, name: str) -> None:
        """However long the state does not answer: what was told to have failed must not begin by itself one day."""
        while True:
            try:
                await self._database.run(requests.forget, name)
            except Busy:  # another daemon has it by now
                log.warning("%s was left to another daemon", name)
            except Again as error:
                log.warning("%s can't be forgotten yet: %s", name, error.message)
                await asyncio.sleep(_PAUSE)
                continue
            return


def _told(name: str, operation: journal.Operation) -> Json:
    state = operation.state if operation.state in ("running", "done") else "failed"
    given_up = Failed(say("it was given up for a later one"), hint=say("run the command again"))
    return {
        "id": name,
        "app": operation.app,
        "verb": operation.verb,
        "author": operation.author,
        "state": state,
        "release": operation.release if state == "done" else None,
        "error": operation.error or (given_up.as_dict() if state == "failed" else None),
        "started_at": times.iso(operation.started_at),
        "finished_at": times.iso(operation.finished_at),
    }


def _read(text: str) -> Request:
    record = json.loads(text)
    return Request(record["verb"], record["key"], record["arguments"], Caller(**record["caller"]))


def _placement(parcel: Json) -> Placement:
    return Placement(parcel["app"], parcel["environment"], parcel["target"])


def _wish(parcel: Json, caller: Caller) -> Change:
    return Change(
        app=_placement(parcel).key,
        verb="deploy",
        documents=tuple(Document.from_dict(one) for one in parcel["documents"]),
        author=caller.author,
        reason=caller.reason,
        environment=parcel["environment"],
        file=parcel["file"],
        text=parcel["text"],
        keeps_holds=True,
        request=caller.request,
    )
