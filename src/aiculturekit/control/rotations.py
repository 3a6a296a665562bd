"""New passwords for all who use a resource, without a failed request: two are valid while they are exchanged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiculturekit.control.operations import Operation, Operations
from aiculturekit.deploy.changes import Emit
from aiculturekit.errors import NotFound
from aiculturekit.language import say
from aiculturekit.plan.documents import Document
from aiculturekit.plan.steps import Step
from aiculturekit.state import releases
from aiculturekit.state.databases import Database
from aiculturekit.targets.local import Local
from aiculturekit.targets.local.stores import Stores


class Rotations:
    """What fails in the middle leaves the old passwords valid: the next rotation takes them away."""

    def __init__(self, *, database: Database, target: Local, stores: Stores, operations: Operations) -> None:
        self._database, self._target, self._stores, self._operations = database, target, stores, operations

    def rotate(self, app: str, name: str, *, author: str) -> Operation:
        """Valid beside the old, then given to the processes one by one, then alone. Raises NotFound."""
        server = _server(self._target.in_force(app), name)
        self._operations.refuse_held(app)

        async def work(emit: Emit) -> int | None:
            release = await self._database.run(_current, app)
            documents = self._target.in_force(app)
            await self._stores.renew(app, server, documents)
            for document in _users(documents, name):
                step = Step("update", document, before=document, why=say("another password"))
                await self._target.perform(
                    app,
                    step=step,
                    release=release or 0,
                    progress=lambda workload, message: emit("progress", {"workload": workload, "message": message}),
                )
                emit("step", {"index": -1, **step.as_dict(), "state": "done"})
            await self._stores.retire(app, server, documents)
            return release

        return self._operations.start(app, verb="rotate", author=author, work=work)


def _server(documents: Iterable[Document], name: str) -> Document:
    found = next((document for document in documents if document.key == ("server", name)), None)
    if found is None:
        raise NotFound(
            say("no server of ours plays {name}", name=repr(name[:60])), hint=say("`aic resources` lists them")
        )
    return found


def _users(documents: Iterable[Document], name: str) -> list[Document]:
    """What runs with the password; jobs and migrations are given the new one when they run next."""
    return [
        document
        for document in documents
        if document.kind == "workload"
        and any((need["kind"], need["name"]) == ("resources", name) for need in document.body["needs"])
    ]


def _current(connection: Any, app: str) -> int | None:
    current = releases.current(connection, app)
    return current.number if current else None
