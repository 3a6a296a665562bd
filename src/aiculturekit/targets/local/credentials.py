"""Who is given which password: one user for each workload and resource, whose password nobody chooses and nobody sees."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from typing import Any

from aiculturekit.resources.servers import VERBS, Credential, Verb
from aiculturekit.state import credentials as rows
from aiculturekit.state.databases import Database

Users = Iterable[tuple[str, Verb]]
"""(workload, verb) of everybody who may use a resource."""


class Credentials:
    """The memory of the state database's `credentials`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: list[rows.Credential] = []

    async def open(self) -> None:
        self._held = await self._database.run(rows.all_of_them)

    async def ensure(self, app: str, resource: str, users: Users) -> list[Credential]:
        """All that are valid for these users, oldest first; who has none gets one. What is new is on disk before this returns."""
        verbs = strongest(users)
        for workload in verbs.keys() - {row.workload for row in self._of(app, resource)}:
            await self.add(app, resource, workload)
        return [_credential(row, verbs[row.workload]) for row in self._of(app, resource) if row.workload in verbs]

    async def add(self, app: str, resource: str, workload: str) -> None:
        """One more for the workload, which is given this one from now on; those that it has stay valid."""
        number = 1 + max((row.number for row in self._of(app, resource) if row.workload == workload), default=0)
        user = workload if number == 1 else f"{workload}~{number}"
        row = rows.Credential(app, resource, user, workload, number, secrets.token_urlsafe(24), time.time())
        await self._database.run(rows.put, row)
        self._held.append(row)

    def newest(self, app: str, resource: str, workload: str, *, verb: Verb) -> Credential | None:
        """The one that the workload is given."""
        mine = [row for row in self._of(app, resource) if row.workload == workload]
        return _credential(max(mine, key=lambda row: row.number), verb) if mine else None

    async def keep(self, app: str, resource: str, wanted: Iterable[str]) -> None:
        """Forget those of all other workloads, and all but the newest of these."""
        known = set(wanted)
        newest = {row.workload: row.user for row in sorted(self._of(app, resource), key=lambda row: row.number)}
        for row in self._of(app, resource):
            if row.workload not in known or newest[row.workload] != row.user:
                await self._database.run(_remove, row)
                self._held.remove(row)

    async def forget(self, app: str, resource: str) -> None:
        """The resource is gone."""
        await self._database.run(rows.forget, app, resource=resource)
        self._held = [row for row in self._held if (row.app, row.resource) != (app, resource)]

    def _of(self, app: str, resource: str) -> list[rows.Credential]:
        return [row for row in self._held if (row.app, row.resource) == (app, resource)]


def strongest(users: Users) -> dict[str, Verb]:
    """Workload -> the most that any document in force lets it do: while its verb changes, the process before still needs the other."""
    return dict(sorted(users, key=lambda user: VERBS.index(user[1])))


def _credential(row: rows.Credential, verb: Verb) -> Credential:
    return Credential(row.workload, verb, row.user, row.password)


def _remove(connection: Any, row: rows.Credential) -> None:
    rows.remove(connection, row.app, resource=row.resource, user=row.user)
