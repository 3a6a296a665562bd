"""Renewals that fail are tried again and told, early and often, and no more often than that."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from aiculturekit.mesh import renewals
from aiculturekit.mesh.certificates import Certificates
from aiculturekit.mesh.renewals import Renewals
from aiculturekit.mesh.rotations import Lives


class Clock:
    """The time of day, which a test moves; the monotonic clock follows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.moved = 0.0
        monotonic = time.monotonic
        monkeypatch.setattr(renewals.time, "monotonic", lambda: monotonic() + self.moved)

    def now(self) -> float:
        return time.time() + self.moved


async def test_a_renewal_that_fails_is_told_and_tried_until_it_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, told = Clock(monkeypatch), list[str]()
    certificates = Certificates(ca=tmp_path / "ca", mesh=tmp_path / "mesh", lives=Lives(leaf=3600))
    tending = Renewals(certificates, on_event=told.append, clock=clock.now)
    await certificates.ensure([("shop", "pay")], trust_domain="aic.local", now=clock.now())
    first = certificates.leaves()["shop", "pay"]
    await tending.tend()
    assert told == [] and tending.trouble == "", "nothing is due"

    calls = 0

    async def fails(*_: object, **__: object) -> None:
        nonlocal calls
        calls += 1
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(certificates, "_call", fails)
        clock.moved = 0.56 * 3600
        for _ in range(9):
            await tending.tend()
        assert calls == 1, "not again at once"
        assert told == [
            "the mesh's certificates could not be renewed: no space left on device; the first of them ends in 26 min"
        ]
        assert tending.trouble == "no space left on device"
        for _ in range(30):
            clock.moved += 60
            await tending.tend()
        assert 10 <= calls <= 31, "again and again"
        assert 5 <= len(told) <= 8, "every five minutes"
        assert told[-1].endswith("ends in 0 min") or told[-1].endswith("ends in 1 min")
    clock.moved += 600
    await tending.tend()
    assert told[-1] == "the mesh's certificates are renewed again" and tending.trouble == ""
    assert certificates.leaves()["shop", "pay"].serial != first.serial


async def test_a_machine_that_slept_for_days_renews_at_the_first_look(tmp_path: Path) -> None:
    """The monotonic clock stands still while it sleeps."""
    slept = 0.0
    certificates = Certificates(ca=tmp_path / "ca", mesh=tmp_path / "mesh")
    tending = Renewals(certificates, on_event=print, clock=lambda: time.time() + slept)
    assert tending.interval <= 2
    await certificates.ensure([("shop", "pay")], trust_domain="aic.local", now=time.time())
    first = certificates.leaves()["shop", "pay"]
    slept = 3 * 86400.0
    await tending.tend()
    assert certificates.leaves()["shop", "pay"] != first


async def test_two_hundred_identities_are_renewed_by_one_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = Certificates(ca=tmp_path / "ca", mesh=tmp_path / "mesh")
    wanted = [("shop", f"w{number:03}") for number in range(200)]
    calls, call = 0, certificates._call

    async def counted(due: list[tuple[str, str]], **options: object) -> None:
        nonlocal calls
        calls += 1
        await call(due, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(certificates, "_call", counted)
    for number in range(0, 200, 50):  # they came at different times, so they are due at different times
        await certificates.ensure(wanted[number : number + 50], trust_domain="aic.local", now=time.time())
    calls = 0
    assert await certificates.renew(now=time.time() + 0.56 * 3600) == wanted
    assert calls == 1
