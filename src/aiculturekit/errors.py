"""Every error of the product, grouped by what the caller should do.

    AicError                    nothing else is ever shown to a user; anything else is our bug
    ├── Mistake                 mend the input, then try again              (exit code 1)
    │   ├── SpecError           the application file; carries every Problem found, not only the first
    │   ├── LocatorError        a backend or target URL
    │   ├── NotFound            no such application, workload, release …
    │   └── UsageError          the command line                            (exit code 2)
    ├── Refused                 a rule forbids it; nothing was touched      (exit code 3)
    │   ├── Protected           a plan would delete what `protect` names
    │   └── Unsupported         the target cannot do what the file asks; carries Problems
    ├── Again                   the same call may succeed later
    │   ├── Busy                another operation holds the application
    │   └── Unreachable         no daemon, no server, no answer             (exit code 3 for `aic status`)
    └── Failed                  it was tried and did not work; what was done has been undone
        ├── NeverReady          a revision did not become ready; carries its last log lines
        ├── BuildFailed         a workload's dependencies could not be installed; carries the output's tail
        └── HostTrouble         the machine: port taken, disk full, folder not writable, binary missing

A message says what happened and where; `hint` says what to do next.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an application file: where (`path` is the key path, `line` and `column` count from 1), what, what next."""

    path: str
    message: str
    hint: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        text = ": ".join(part for part in (where, self.path, self.message) if part)
        return f"{text}\n    {self.hint}" if self.hint else text

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


class AicError(Exception):
    """The root. `code` names the class on the wire; `exit_code` is what a shell sees."""

    code = "error"
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n    {self.hint}" if self.hint else self.message

    def as_dict(self) -> dict[str, Any]:
        """The error as the API and `--json` print it."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class _WithProblems(AicError):
    def __init__(self, problems: Sequence[Problem], *, message: str = "") -> None:
        super().__init__(message or "\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)

    def as_dict(self) -> dict[str, Any]:
        return super().as_dict() | {"problems": [problem.as_dict() for problem in self.problems]}


class _WithTail(AicError):
    def __init__(self, message: str, *, tail: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.tail = tuple(tail)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"    | {line}" for line in self.tail)])

    def as_dict(self) -> dict[str, Any]:
        return super().as_dict() | {"tail": list(self.tail)}


class Mistake(AicError):
    code = "mistake"


class SpecError(_WithProblems, Mistake):
    code = "spec"


class LocatorError(Mistake, ValueError):
    code = "locator"


class NotFound(Mistake):
    code = "not_found"


class UsageError(Mistake):
    code = "usage"
    exit_code = 2


class Refused(AicError):
    code = "refused"
    exit_code = 3


class Protected(Refused):
    code = "protected"


class Unsupported(_WithProblems, Refused):
    code = "unsupported"


class Again(AicError):
    code = "again"


class Busy(Again):
    code = "busy"


class Unreachable(Again):
    code = "unreachable"
    exit_code = 3


class Failed(AicError):
    code = "failed"


class NeverReady(_WithTail, Failed):
    code = "never_ready"


class BuildFailed(_WithTail, Failed):
    code = "build_failed"


class HostTrouble(Failed):
    code = "host_trouble"
