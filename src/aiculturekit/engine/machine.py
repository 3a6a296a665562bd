"""One replica's life as a machine without I/O: told what happened and when, it answers what to do.

    pending -> starting -> ready <-> unready
                  |  ^         |
                  v  |         v  (ended, or not alive)
               backoff / crash_loop          stopping -> gone
    A replica that was never ready yet ("on trial") may instead end in `failed`; a job ends in `exited` or `failed`.

All times are seconds of one monotonic clock. Sans I/O in the sense of https://sans-io.readthedocs.io/.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from aiculturekit.engine.workloads import State
from aiculturekit.language import say

Order = Literal["spawn", "term", "kill", "publish", "withdraw", "gone"]
"""spawn: start the process. term, kill: signal its group. publish, withdraw: it may, may no longer get requests. gone: forget it."""

FIRST_PAUSE, LONGEST_PAUSE, HEALTHY_AFTER = 0.2, 30.0, 60.0
LOOP_RESTARTS, LOOP_WINDOW = 5, 120.0
TRIAL_EXITS = 3
NOT_RUNNABLE = (126, 127)


@dataclasses.dataclass(frozen=True, slots=True)
class Terms:
    """What of a workload matters here: seconds to become ready and to stop, bad answers in a row, and whether it is a job."""

    startup: float = 30.0
    grace: float = 10.0
    fails: int = 3
    live_fails: int = 3
    is_job: bool = False


class Machine:
    """`deadline` is when `tick` wants to be called next; None when nothing is due."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.state: State = "pending"
        self.reason = ""
        self.restarts = 0
        self.exit_code: int | None = None
        self.deadline: float | None = None
        self.is_on_trial = True
        self.is_gone = False
        self.is_stopping = False
        self._cause = ""  # why we killed it: its exit would only tell of signal 9
        self._bad = self._dead = self._trial_exits = self._pauses = 0
        self._recent: list[float] = []
        self._ready_since: float | None = None

    @property
    def is_live(self) -> bool:
        """Whether a process should exist now."""
        return self.state in ("starting", "ready", "unready", "stopping")

    def begin(self, now: float) -> list[Order]:
        return self._spawn(now)

    def adopt(self, now: float, *, has_served: bool) -> list[Order]:
        """A process of an earlier daemon: one that was serving counts as ready until a probe says otherwise."""
        self.is_on_trial = False
        if self.terms.is_job or not has_served:
            self.state, self.deadline = "starting", now + self.terms.startup
            return []
        self.state, self.deadline, self._ready_since = "ready", None, now
        return ["publish"]

    def exited(self, now: float, *, code: int | None, why: str = "") -> list[Order]:
        """The process is gone; `code` is None where nobody could see it end."""
        if not self.is_live:
            return []
        was_ready, self.exit_code = self.state == "ready", code
        withdraw: list[Order] = ["withdraw"] if was_ready else []
        if self.is_stopping:
            return [*withdraw, *self._end("exited")]
        self.reason, self._cause = why or self._cause or _said(code), ""
        if self.terms.is_job:
            return self._end("exited" if code == 0 else "failed")
        if self.is_on_trial and self._is_hopeless(code):
            return self._end("failed")
        return [*withdraw, *self._pause(now)]

    def probed(self, now: float, *, is_well: bool, message: str = "") -> list[Order]:
        """An answer to the readiness probe."""
        if self.state not in ("starting", "ready", "unready"):
            return []
        if is_well:
            return self._well(now)
        self._bad += 1
        if self.state == "ready" and self._bad >= self.terms.fails:
            self.state, self.reason = "unready", message
            return ["withdraw"]
        if self.state != "ready":
            self.reason = message
        return []

    def lived(self, *, is_well: bool, message: str = "") -> list[Order]:
        """An answer to the liveness probe."""
        if self.state not in ("ready", "unready"):
            return []
        self._dead = 0 if is_well else self._dead + 1
        if self._dead < self.terms.live_fails:
            return []
        self._dead = 0
        self.reason = self._cause = say("not alive: {message}", message=message)
        return ["kill"]

    def stop(self, now: float) -> list[Order]:
        """End it for good. Idempotent."""
        if self.is_stopping or self.is_gone:
            return []
        self.is_stopping = True
        if not self.is_live:
            return self._end("exited")
        withdraw: list[Order] = ["withdraw"] if self.state == "ready" else []
        self.state, self.deadline = "stopping", now + self.terms.grace
        return [*withdraw, "term"]

    def tick(self, now: float) -> list[Order]:
        """The deadline has passed."""
        if self.deadline is None or now < self.deadline:
            return []
        self.deadline = None
        match self.state:
            case "stopping":
                return self._kill(now)
            case "backoff" | "crash_loop":
                self.restarts += 1
                return self._spawn(now)
            case "starting":
                return self._too_slow(now)
        return []

    def _kill(self, now: float) -> list[Order]:
        """Said again every second until the process is gone: a kill can't be refused, but it can be late."""
        self.deadline = now + 1.0
        self.reason = say("did not stop within {seconds:g} s and was killed", seconds=self.terms.grace)
        return ["kill"]

    def _too_slow(self, now: float) -> list[Order]:
        if self._cause:
            self.reason = self._cause
        elif self.terms.is_job:
            self.reason = say("not done within {seconds:g} s", seconds=self.terms.startup)
        else:
            last = f": {self.reason}" if self.reason else ""
            self.reason = say("not ready within {seconds:g} s{last}", seconds=self.terms.startup, last=last)
        if self.is_on_trial:
            return ["kill", *self._end("failed")]
        self.deadline, self._cause = now + 1.0, self.reason
        return ["kill"]

    def _spawn(self, now: float) -> list[Order]:
        self.state, self.deadline = "starting", now + self.terms.startup
        self._bad = self._dead = 0
        return ["spawn"]

    def _well(self, now: float) -> list[Order]:
        self._bad, self.reason = 0, ""
        if self.state == "ready":
            if self._ready_since is not None and now - self._ready_since > HEALTHY_AFTER:
                self._pauses = 0
            return []
        self.state, self.deadline, self.is_on_trial, self._ready_since = "ready", None, False, now
        return ["publish"]

    def _is_hopeless(self, code: int | None) -> bool:
        self._trial_exits += 1
        return code in NOT_RUNNABLE or self._trial_exits >= TRIAL_EXITS

    def _pause(self, now: float) -> list[Order]:
        self._recent = [at for at in self._recent if now - at < LOOP_WINDOW] + [now]
        is_loop = len(self._recent) >= LOOP_RESTARTS
        pause = min(FIRST_PAUSE * 2**self._pauses, LONGEST_PAUSE)
        self._pauses = min(self._pauses + 1, 16)
        self.state, self.deadline = "crash_loop" if is_loop else "backoff", now + pause
        return []

    def _end(self, state: State) -> list[Order]:
        self.state, self.deadline, self.is_gone = state, None, True
        return ["gone"]


def _said(code: int | None) -> str:
    match code:
        case None:
            return say("ended while no daemon was watching")
        case 127:
            return say("the command was not found (exit code 127)")
        case 126:
            return say("the command can't be executed (exit code 126)")
    return say("ended by signal {number}", number=-code) if code < 0 else say("ended with exit code {code}", code=code)
