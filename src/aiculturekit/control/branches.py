"""Copies of a resource for a test or a try."""

from __future__ import annotations

from typing import Any

from aiculturekit.control import times
from aiculturekit.control.operations import Operations
from aiculturekit.targets.local import Local
from aiculturekit.targets.local import branches as kept


class Branches:
    """Opening takes the application's turn: nobody changes what is just being copied."""

    def __init__(self, *, target: Local, store: kept.Branches, operations: Operations) -> None:
        self._target, self._store, self._operations = target, store, operations

    def listed(self, app: str) -> list[dict[str, Any]]:
        """Those that are open, oldest first, without the way in."""
        return [_shown(branch) for branch in self._store.of(app)]

    async def open(self, app: str, name: str) -> dict[str, Any]:
        """With its URL, which nobody is told again. Raises NotFound, Failed."""
        async with self._operations.turn(app):
            branch = await self._store.open(app, name, documents=self._target.in_force(app))
        return _shown(branch) | {"url": branch.url}

    async def close(self, app: str, identifier: str) -> dict[str, Any]:
        """Raises NotFound."""
        return _shown(await self._store.close(app, identifier))


def _shown(branch: kept.Branch) -> dict[str, Any]:
    return {
        "id": branch.id,
        "app": branch.app,
        "resource": branch.resource,
        "created_at": times.iso(branch.created_at),
        "seconds": round(branch.seconds, 3),
    }
