"""What takes long and touches nothing in force is begun early: the environments of the code that is about to run, while servers start."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from aiculturekit.deploy.targets import Progress
from aiculturekit.engine import environments
from aiculturekit.errors import AicError
from aiculturekit.plan.steps import Step
from aiculturekit.targets import nodes


class Foresights:
    """`cache` is where environments are kept."""

    def __init__(self, *, cache: Path) -> None:
        self._cache = cache
        self._tasks: set[asyncio.Task[None]] = set()

    def foresee(self, app: str, steps: Sequence[Step], *, progress: Progress) -> None:
        """One environment for each directory. Who needs it later waits for it at the same lock, and finds it there."""
        for directory, name in _directories(steps).items():
            task = asyncio.create_task(self._prepare(directory, name, progress), name=f"environment of {name}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _prepare(self, directory: str, name: str, progress: Progress) -> None:
        with contextlib.suppress(AicError):  # it is raised again by who needs it
            await environments.prepare(
                Path(directory), cache=self._cache, progress=lambda message: progress(name, message)
            )


def _directories(steps: Sequence[Step]) -> dict[str, str]:
    """Directory of code -> the first document that runs it."""
    found: dict[str, str] = {}
    for step in steps:
        if step.action != "delete" and step.document.kind in nodes.RUNNING and "image" not in step.document.body:
            found.setdefault(step.document.body["directory"], step.document.name)
    return found
