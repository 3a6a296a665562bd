"""Whom the node's workloads trust, and who they are: its certificates for people and programs to see, its trust bundle to give away."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from aiculturekit.mesh import files, identities
from aiculturekit.mesh.certificates import Certificates
from aiculturekit.mesh.federations import Federation
from aiculturekit.mesh.renewals import Renewals
from aiculturekit.mesh.rotations import Root


@dataclasses.dataclass(frozen=True, slots=True)
class Svid:
    """The certificate that a workload shows now; times are seconds since the epoch."""

    app: str
    name: str
    id: str
    serial: str
    issued: float
    ends: float
    root: str


class Trust:
    """`domain` is the node's own trust domain; `ca` is the authority's folder."""

    def __init__(
        self, *, domain: str, ca: Path, certificates: Certificates, renewals: Renewals, federation: Federation
    ) -> None:
        self.domain, self.federation = domain, federation
        self._ca, self._certificates, self._renewals = ca, certificates, renewals

    def svids(self) -> list[Svid]:
        """Every workload's certificate, those of the ingress too."""
        return [
            Svid(*who, identities.uri(who, trust_domain=self.domain), leaf.serial, leaf.issued, leaf.ends, leaf.root)
            for who, leaf in self._certificates.leaves().items()
        ]

    @property
    def roots(self) -> tuple[Root, ...]:
        """Those in the trust bundle, oldest first; `signer` names the one that signs."""
        return self._certificates.roots

    @property
    def signer(self) -> str:
        return self._certificates.signer

    @property
    def trouble(self) -> str:
        """Why the last renewal failed; empty while all is well."""
        return self._renewals.trouble

    def left(self) -> float | None:
        """Seconds until the first certificate ends, negative when it has; None where there is none."""
        soonest = self._certificates.soonest()
        return None if soonest is None else soonest - time.time()

    async def bundle(self) -> dict[str, Any]:
        """The trust bundle as SPIFFE publishes it. Raises HostTrouble."""
        if not self.roots:
            await self._certificates.prepare(trust_domain=self.domain)
        document: dict[str, Any] = json.loads(files.read(self._ca / "bundle.json") or b"{}")
        return document

    async def rotate(self) -> tuple[Root, ...]:
        """Make a new root, which signs after a while, and answer with all; nothing is made while one follows another
        already. Raises HostTrouble."""
        before, signer = {root.name for root in self.roots}, self.signer
        await self._certificates.prepare(trust_domain=self.domain, rotate=True)
        self._renewals.tell_roots(before, signer)
        return self.roots
