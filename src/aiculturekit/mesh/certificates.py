"""Who has a certificate, until when, and the call of the authority for those who need one. No key is ever seen here."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aiculturekit.errors import HostTrouble
from aiculturekit.language import say
from aiculturekit.mesh import files
from aiculturekit.mesh.envoy import names
from aiculturekit.mesh.identities import Identity

_TIMEOUT = 30.0
_EARLY = 300.0
"""Seconds by which a renewal is brought forward when another makes the call anyway: few calls for many workloads."""


class Certificates:
    """The SDS files under `mesh`, issued by the authority in `ca`."""

    def __init__(self, *, ca: Path, mesh: Path) -> None:
        self._ca, self._mesh = ca, mesh
        self._index = mesh / "sds" / "index.json"
        self._trust_domain, self._spans = "", dict[str, list[float]]()
        self._lock = asyncio.Lock()

    def open(self) -> None:
        """Remember what was issued before. Raises OSError."""
        raw = files.read(self._index)
        with contextlib.suppress(ValueError):  # a file that is spoilt is a file that is not there: all is issued anew
            record: Mapping[str, Any] = json.loads(raw) if raw else {}
            self._trust_domain, self._spans = record.get("trust_domain", ""), dict(record.get("valid", {}))

    @property
    def identities(self) -> list[Identity]:
        """Everybody who has a certificate."""
        return [(app, name) for app, _, name in (key.partition("/") for key in sorted(self._spans))]

    async def ensure(self, wanted: Iterable[Identity], *, trust_domain: str, now: float) -> list[Identity]:
        """Issue for those who have no good certificate; answers who got one. Idempotent; takes about 0.15 s where
        there is something to issue, nothing otherwise. Raises HostTrouble."""
        listed = list(wanted)
        async with self._lock:
            if trust_domain != self._trust_domain:
                self._spans = {}
            due = [identity for identity in listed if self._is_due(identity, now)]
            if not due:
                return []
            due = [identity for identity in listed if self._is_due(identity, now + _EARLY)]
            spans = await self._issue(due, trust_domain)
            self._trust_domain, self._spans = trust_domain, {**self._spans, **spans}
            self._write()
            return due

    async def renew(self, *, now: float) -> list[Identity]:
        """`ensure` for everybody who has one."""
        return await self.ensure(self.identities, trust_domain=self._trust_domain, now=now) if self._spans else []

    def forget(self, *, but: Iterable[Identity]) -> None:
        """Remove the certificates of everybody else."""
        kept = {"/".join(identity) for identity in but}
        gone = [identity for identity in self.identities if "/".join(identity) not in kept]
        for identity in gone:
            (self._mesh / names.secret_file(identity)).unlink(missing_ok=True)
            self._spans.pop("/".join(identity), None)
        if gone:
            self._write()

    def _is_due(self, identity: Identity, now: float) -> bool:
        """Half of its life is over, or it does not start yet (a clock that was set back), or its file is gone."""
        span = self._spans.get("/".join(identity))
        if span is None or not (self._mesh / names.secret_file(identity)).exists():
            return True
        return not span[0] <= now < (span[0] + span[1]) / 2

    async def _issue(self, due: list[Identity], trust_domain: str) -> dict[str, list[float]]:
        request = json.dumps({"trust_domain": trust_domain, "identities": due}).encode()
        program = [
            sys.executable,
            "-m",
            "aiculturekit.mesh.authority",
            "--ca",
            str(self._ca),
            "--mesh",
            str(self._mesh),
        ]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*program, stdin=pipe, stdout=pipe, stderr=pipe)
        try:
            out, err = await asyncio.wait_for(process.communicate(request), _TIMEOUT)
        except TimeoutError as error:
            raise HostTrouble(
                say("the certificate authority did not answer in {seconds} s", seconds=_TIMEOUT)
            ) from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        if process.returncode:
            said = err.decode("utf-8", "replace").strip().splitlines()
            raise HostTrouble(
                say(
                    "the certificate authority in {folder} failed: {error}",
                    folder=self._ca,
                    error=said[-1] if said else "?",
                ),
                hint=say("is the folder writable, and the disk not full?"),
            )
        spans: dict[str, list[float]] = json.loads(out)
        return spans

    def _write(self) -> None:
        files.put(self._index, files.text({"trust_domain": self._trust_domain, "valid": self._spans}))
