"""Programs that are asked in lines: kept for a moment, begun ahead, and never out of step with their questions."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aiculturekit.errors import HostTrouble
from aiculturekit.mesh import processes, programs
from aiculturekit.mesh.programs import Program

QUESTION = {"trust_domain": "a.test", "pem": "no certificate"}


@pytest.fixture
async def program() -> AsyncIterator[Program]:
    made = Program("inspections", {})
    yield made
    await made.close()


def pid(program: Program) -> int:
    assert program._process is not None
    return program._process.pid


async def test_it_is_begun_once_and_answers_again_and_again(program: Program) -> None:
    await program.begin()
    first = pid(program)
    answers = await asyncio.gather(*(program.asked(QUESTION) for _ in range(5)))
    assert all(len(answer["faults"]) == 1 for answer in answers)
    assert pid(program) == first


async def test_it_ends_when_nobody_asks_and_comes_again(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "KEPT", 0.01)
    await program.asked(QUESTION)
    process = program._process
    assert process is None or await asyncio.wait_for(process.wait(), 30) == 0
    assert (await program.asked(QUESTION))["faults"]


async def test_one_that_was_killed_meanwhile_is_started_anew(program: Program) -> None:
    await program.asked(QUESTION)
    first = pid(program)
    os.kill(first, signal.SIGKILL)
    assert (await program.asked(QUESTION))["faults"]
    assert pid(program) != first


async def test_who_gives_up_leaves_no_answer_for_the_next(program: Program) -> None:
    asking = asyncio.create_task(program.asked(QUESTION))
    await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert program._process is None
    assert (await program.asked({"trust_domain": "a.test", "pem": ""}))["faults"]


async def test_its_last_words_are_told(program: Program) -> None:
    with pytest.raises(HostTrouble, match="KeyError: 'pem'"):
        await program.asked({})
    assert (await program.asked(QUESTION))["faults"], "the next question finds a new one"


async def test_asked_once_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    running = Program._running

    async def seen(self: Program) -> asyncio.subprocess.Process:
        process = await running(self)
        started.append(process.pid)
        return process

    monkeypatch.setattr(Program, "_running", seen)
    assert (await programs.asked("inspections", QUESTION))["faults"]
    assert len(started) == 1 and processes.started(started[0]) is None


async def test_an_answer_may_be_long(tmp_path: Path) -> None:
    authority = Program("authority", {"ca": tmp_path / "ca", "mesh": tmp_path / "mesh"})
    identities = [["shop", f"workload-{number:04}"] for number in range(500)]
    lives = {"leaf": 3600.0}
    try:
        answer = await authority.asked(
            {"trust_domain": "a.test", "identities": identities, "lives": lives, "rotate": False}
        )
    finally:
        await authority.close()
    assert len(answer["leaves"]) == 500 and len(str(answer)) > 64 * 1024
