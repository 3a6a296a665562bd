"""The machine's promises, held against any order of events: no I/O, no clock but the one it is told."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aiculturekit.engine.machine import LOOP_RESTARTS, TRIAL_EXITS, Machine, Order, Terms


class World(RuleBasedStateMachine):
    """Obeys every order as the shell would, and lets anything happen in between."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.machine = Machine(Terms(startup=5, grace=2, fails=2, live_fails=2))
        self.lives = False
        self.is_published = False
        self.killed = False
        self.gone = False
        self.obey(self.machine.begin(self.now))

    def obey(self, orders: list[Order]) -> None:
        for order in orders:
            assert not self.gone, "nothing is ordered after the end"
            match order:
                case "spawn":
                    assert not self.lives, "two processes at once"
                    self.lives, self.killed = True, False
                case "publish":
                    assert self.lives and self.machine.state == "ready"
                    self.is_published = True
                case "withdraw":
                    self.is_published = False
                case "kill":
                    self.killed = True
                case "gone":
                    self.gone = True

    @rule(seconds=st.floats(0.01, 40))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.obey(self.machine.tick(self.now))

    @rule(is_well=st.booleans())
    def probe(self, is_well: bool) -> None:
        if self.lives:
            self.obey(self.machine.probed(self.now, is_well=is_well, message="x"))

    @rule(is_well=st.booleans())
    def liveness(self, is_well: bool) -> None:
        if self.lives:
            self.obey(self.machine.lived(is_well=is_well, message="x"))

    @precondition(lambda self: self.lives)
    @rule(code=st.sampled_from([0, 1, 127, -9, None]))
    def process_ends(self, code: int | None) -> None:
        self.lives = False
        self.obey(self.machine.exited(self.now, code=code))

    @rule()
    def stop(self) -> None:
        self.obey(self.machine.stop(self.now))

    @invariant()
    def only_what_is_ready_is_published(self) -> None:
        if self.is_published:
            assert self.machine.state == "ready" and self.lives

    @invariant()
    def it_never_waits_for_nothing(self) -> None:
        """Without a process there is a deadline, or the end."""
        if not self.lives and not self.gone:
            assert self.machine.deadline is not None

    def teardown(self) -> None:
        """A stop always ends in gone, whatever came before: the process ends when it is killed."""
        self.obey(self.machine.stop(self.now))
        for _ in range(5):
            if self.gone:
                return
            if self.lives and self.killed:
                self.process_ends(-9)
            self.time_passes(3.0)
        assert self.gone


World.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestMachine = World.TestCase


def started(terms: Terms | None = None) -> Machine:
    machine = Machine(terms or Terms())
    assert machine.begin(0) == ["spawn"]
    return machine


def test_on_trial_a_missing_command_fails_at_once_and_exits_after_some() -> None:
    machine = started()
    assert machine.exited(0.1, code=127) == ["gone"]
    assert (machine.state, machine.is_gone) == ("failed", True)
    machine, now = started(), 0.0
    for _ in range(TRIAL_EXITS - 1):
        assert machine.exited(now, code=1) == []
        assert machine.state == "backoff"
        now = machine.deadline or 0.0
        assert machine.tick(now) == ["spawn"]
    assert machine.exited(now, code=3) == ["gone"]
    assert "exit code 3" in machine.reason


def test_what_was_ready_once_is_restarted_for_ever_with_growing_pauses() -> None:
    machine, now, pauses = started(), 0.0, []
    for _ in range(LOOP_RESTARTS + 4):
        machine.probed(now, is_well=True)
        assert machine.exited(now, code=1)[0] == "withdraw"
        pauses.append((machine.deadline or 0.0) - now)
        now = machine.deadline or 0.0
        assert machine.tick(now) == ["spawn"]
    assert pauses == sorted(pauses) and pauses[0] < 0.5 and pauses[-1] <= 30
    machine.exited(now, code=1)
    assert machine.state == "crash_loop"


def test_an_unready_replica_is_withdrawn_after_enough_bad_answers_and_comes_back() -> None:
    machine = started(Terms(fails=2))
    assert machine.probed(1, is_well=True) == ["publish"]
    assert machine.probed(2, is_well=False) == []
    assert machine.probed(3, is_well=False) == ["withdraw"]
    assert machine.probed(4, is_well=True) == ["publish"]


def test_a_stop_that_is_ignored_ends_in_a_kill() -> None:
    machine = started(Terms(grace=2))
    machine.probed(1, is_well=True)
    assert machine.stop(5) == ["withdraw", "term"]
    assert machine.tick(6.9) == []
    assert machine.tick(7) == ["kill"]
    assert machine.exited(7.1, code=-9) == ["gone"]
    assert "did not stop within 2 s" in machine.reason


def test_a_job_ends_well_or_fails_and_is_not_restarted() -> None:
    machine = started(Terms(is_job=True))
    assert machine.exited(1, code=0) == ["gone"]
    assert machine.state == "exited"
    machine = started(Terms(is_job=True))
    assert machine.exited(1, code=9) == ["gone"]
    assert machine.state == "failed"
    machine = started(Terms(is_job=True, startup=10))
    assert machine.tick(10) == ["kill", "gone"]
    assert "not done within 10 s" in machine.reason
