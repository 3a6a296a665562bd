"""Who has a certificate, until when, and the call of the authority for those who need one. No key is ever seen here."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from aiculturekit.mesh import files, rotations
from aiculturekit.mesh.envoy import names
from aiculturekit.mesh.identities import Identity
from aiculturekit.mesh.programs import Program
from aiculturekit.mesh.rotations import Leaf, Lives, Root

_EARLY = 0.1
"""Part of a life by which a renewal is brought forward when another makes the call anyway: one call for many workloads."""
_LIVES = Lives()


class Certificates:
    """The SDS files under `mesh`, issued by the authority in `ca`. `mark` spreads the moments of renewal between nodes; `on_change` is
    called when files have changed."""

    def __init__(
        self,
        *,
        ca: Path,
        mesh: Path,
        lives: Lives = _LIVES,
        mark: str = "",
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._mesh, self.lives, self._mark = mesh, lives, mark
        self._authority = Program("authority", {"ca": ca, "mesh": mesh})
        self._on_change = on_change
        self._index = mesh / "sds" / "index.json"
        self._trust_domain, self._leaves = "", dict[str, Leaf]()
        self.roots: tuple[Root, ...] = ()
        """Those in the trust bundle, oldest first."""
        self.signer = ""
        self._lock = asyncio.Lock()

    def open(self) -> None:
        """Remember what was issued before. Raises OSError."""
        raw = files.read(self._index)
        # A file that is spoilt, or of an older form, is a file that is not there: all is issued anew.
        with contextlib.suppress(ValueError, TypeError, KeyError):
            record: Mapping[str, Any] = json.loads(raw) if raw else {}
            leaves = {name: Leaf(**leaf) for name, leaf in record.get("leaves", {}).items()}
            self._take(record, record.get("trust_domain", ""), leaves)

    async def begin(self) -> None:
        """The authority loads meanwhile, where nobody has a certificate yet: the first application is about to come. Raises OSError."""
        if not self._leaves:
            await self._authority.begin()

    async def close(self) -> None:
        await self._authority.close()

    @property
    def identities(self) -> list[Identity]:
        """Everybody who has a certificate."""
        return [_identity(name) for name in sorted(self._leaves)]

    def leaves(self) -> dict[Identity, Leaf]:
        """What each of them has now."""
        return {_identity(name): leaf for name, leaf in sorted(self._leaves.items())}

    def soonest(self) -> float | None:
        """When the first of all certificates ends, in seconds since the epoch; None where there is none."""
        return min((leaf.ends for leaf in self._leaves.values()), default=None)

    async def ensure(self, wanted: Iterable[Identity], *, trust_domain: str, now: float) -> list[Identity]:
        """Issue for those who have no good certificate; answers who got one. Idempotent; takes 0.15 s at most where
        there is something to issue, nothing otherwise. Raises HostTrouble."""
        listed = list(wanted)
        async with self._lock:
            if trust_domain != self._trust_domain:
                self._leaves = {}
            if not any(self._is_due(identity, now) for identity in listed):
                return []
            early = now + _EARLY * self.lives.leaf
            due = [identity for identity in listed if self._is_due(identity, now) or self._is_due(identity, early)]
            await self._call(due, trust_domain=trust_domain)
            return due

    async def renew(self, *, now: float) -> list[Identity]:
        """`ensure` for everybody who has one; also takes the roots a step further where one is due."""
        issued = await self.ensure(self.identities, trust_domain=self._trust_domain, now=now) if self._leaves else []
        if not issued and self._leaves and self._has_step(now):
            async with self._lock:
                await self._call([], trust_domain=self._trust_domain)
        return issued

    async def prepare(self, *, trust_domain: str, rotate: bool = False) -> None:
        """There is a root when this returns. `rotate` makes a new one, which signs after a while; nothing where one is on its way
        already. Raises HostTrouble."""
        async with self._lock:
            if trust_domain != self._trust_domain:
                self._leaves = {}
            await self._call([], trust_domain=trust_domain, rotate=rotate)

    def forget(self, *, but: Iterable[Identity]) -> None:
        """Remove the certificates of everybody else."""
        kept = {"/".join(identity) for identity in but}
        gone = [identity for identity in self.identities if "/".join(identity) not in kept]
        for identity in gone:
            (self._mesh / names.secret_file(identity)).unlink(missing_ok=True)
            self._leaves.pop("/".join(identity), None)
        if gone:
            self._write()

    def _has_step(self, now: float) -> bool:
        """Whether a root has to be made, begins to sign or leaves the bundle."""
        plan = rotations.planned(self.roots, lives=self.lives, now=now)
        return (
            plan.is_new_wanted or plan.trusted != self.roots or plan.signer is None or plan.signer.name != self.signer
        )

    def _is_due(self, identity: Identity, now: float) -> bool:
        """It is time, or its file is gone."""
        leaf = self._leaves.get("/".join(identity))
        if leaf is None or not (self._mesh / names.secret_file(identity)).exists():
            return True
        return rotations.is_due(leaf, lives=self.lives, now=now, mark=self._mark)

    async def _call(self, due: list[Identity], *, trust_domain: str, rotate: bool = False) -> None:
        lives = dataclasses.asdict(self.lives)
        request = {"trust_domain": trust_domain, "identities": due, "lives": lives, "rotate": rotate}
        answer = await self._authority.asked(request)
        issued = {name: Leaf(**leaf) for name, leaf in answer["leaves"].items()}
        self._take(answer, trust_domain, {**self._leaves, **issued})
        self._write()
        self._on_change()

    def _take(self, record: Mapping[str, Any], trust_domain: str, leaves: dict[str, Leaf]) -> None:
        roots = tuple(Root(**root) for root in record.get("roots", []))
        self.roots, self.signer = roots, record.get("signer", "")
        self._trust_domain, self._leaves = trust_domain, leaves

    def _write(self) -> None:
        record = {
            "trust_domain": self._trust_domain,
            "leaves": {name: dataclasses.asdict(leaf) for name, leaf in self._leaves.items()},
            "roots": [dataclasses.asdict(root) for root in self.roots],
            "signer": self.signer,
        }
        files.put(self._index, files.text(record))


def _identity(name: str) -> Identity:
    app, _, workload = name.partition("/")
    return app, workload
