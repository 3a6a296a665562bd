"""What a target is. Required: `check`, `observe`, `perform`. A target is given documents and never sees the application file's text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from aiculturekit.errors import Problem
from aiculturekit.plan.documents import Document
from aiculturekit.plan.steps import Step
from aiculturekit.spec.models import Application

Progress = Callable[[str, str], None]
"""Called with (document name, message) while a step is under way."""


class Target(Protocol):
    def check(self, application: Application) -> list[Problem]:
        """What this target cannot do, each with its place in the file. Pure; touches nothing."""
        ...

    async def observe(self, app: str) -> list[Document]:
        """The documents in force: what was applied and is still there in reality. Idempotent."""
        ...

    async def perform(self, app: str, *, step: Step, release: int, progress: Progress) -> None:
        """Make one step true. Idempotent: performed again after a crash it ends in the same state. Raises Failed, having
        left what served before as it was; raises Again where the same call may succeed later."""
        ...


@runtime_checkable
class Foreseeing(Protocol):
    """A target that can begin early with what takes long and touches nothing in force."""

    def foresee(self, app: str, steps: Sequence[Step], *, progress: Progress) -> None:
        """These steps will be performed. Returns at once; what fails in the background fails again, and is told, when it is performed."""
        ...
