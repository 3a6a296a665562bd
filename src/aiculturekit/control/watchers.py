"""`up --watch`: a change saved to disk is brought up at once; only what it touches restarts."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from aiculturekit.control.applications import Applications
from aiculturekit.engine import watching
from aiculturekit.errors import AicError
from aiculturekit.language import say
from aiculturekit.targets.local import Local

log = logging.getLogger(__name__)


class Watchers:
    """One watcher an application; asking again replaces it, taking the application down ends it."""

    def __init__(self, *, applications: Applications, target: Local) -> None:
        self._applications, self._target = applications, target
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def watch(self, file: Path, *, environment: str | None, app: str) -> None:
        if (task := self._tasks.pop(app, None)) is not None:
            task.cancel()
        self._tasks[app] = asyncio.create_task(self._watch(file, environment, app), name=f"watch {app}")

    async def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _watch(self, file: Path, environment: str | None, app: str) -> None:
        """The file's own folder is not watched as a whole: the file is, and the folders that code runs in."""
        while True:
            directories = await self._directories(file, environment)
            async for touched in watching.watch(directories):
                if app not in self._target.apps():
                    return
                reason = say("{names} changed on disk", names=", ".join(sorted(touched)))
                try:
                    operation = await self._applications.up(
                        file, environment=environment, reason=reason, author="watch"
                    )
                except AicError as error:  # a half-saved file: the next save may be whole
                    log.warning("watch %s: %s", app, error)
                    continue
                async for _ in operation.follow():
                    pass
                if "aic.yaml" in touched:
                    break

    async def _directories(self, file: Path, environment: str | None) -> dict[str, Path]:
        application = await self._applications.load(file, environment=environment)
        found = {name: service.directory for name, service in application.services.items()}
        found |= {f"{name}/{v}": d.directory for name, s in application.services.items() for v, d in s.versions.items()}
        found |= {name: job.directory for name, job in application.jobs.items()}
        found |= {name: one.directory for name, one in application.resources.items() if one.source is not None}
        return {**found, "aic.yaml": application.file}
