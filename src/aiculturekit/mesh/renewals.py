"""The tending of certificates: renewed in time, tried again where that fails, and told early and often enough."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from aiculturekit.language import say
from aiculturekit.mesh.certificates import Certificates

log = logging.getLogger(__name__)

_TICK, _LOOKS = 2.0, 20
"""Seconds between looks at the clock, but so many looks in a life at least. Short, since a machine that slept wakes with certificates
that ended."""
_TOLD = 12
"""So many times in a life it is said that a renewal fails."""


class Renewals:
    """`trouble` is why the last attempt failed; empty while all is well."""

    def __init__(
        self, certificates: Certificates, *, on_event: Callable[[str], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._certificates, self._on_event, self._clock = certificates, on_event, clock
        self.trouble = ""
        self._pause, self._again, self._told = 0.0, 0.0, 0.0
        self._life = certificates.lives.leaf

    @property
    def interval(self) -> float:
        """Seconds between calls of `tend`."""
        return min(_TICK, self._life / _LOOKS)

    async def tend(self) -> None:
        """Renew what is due. After a failure the next attempts come slower and slower, twenty in a life at least."""
        if time.monotonic() < self._again:
            return
        known, signer = {root.name for root in self._certificates.roots}, self._certificates.signer
        try:
            await self._certificates.renew(now=self._clock())
        except Exception as error:  # whatever it was, the next attempt must come
            log.debug("no renewal", exc_info=True)
            self._failed(str(error))
            return
        if self.trouble:
            self._on_event(say("the mesh's certificates are renewed again"))
        self.trouble, self._pause, self._told = "", 0.0, 0.0
        self.tell_roots(known, signer)

    def tell_roots(self, known: set[str], signer: str) -> None:
        """What became of the roots since these were `known` and this was the `signer`."""
        now = {root.name: root for root in self._certificates.roots}
        if not known:
            return
        for root in now.values():
            if root.name not in known:
                moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(root.signs))
                self._on_event(
                    say("a new root certificate is in the trust bundle; it signs from {moment}", moment=moment)
                )
        if self._certificates.signer != signer:
            self._on_event(say("the new root certificate signs from now on"))
        if known - now.keys():
            self._on_event(say("the former root certificate left the trust bundle"))

    def _failed(self, why: str) -> None:
        self.trouble = why
        self._pause = min(self._life / _LOOKS, max(self.interval, self._pause * 2))
        self._again = time.monotonic() + self._pause
        if self._told and time.monotonic() - self._told < self._life / _TOLD:
            return
        self._told = time.monotonic()
        ends = self._certificates.soonest()
        left = max(0, round(((ends or 0.0) - self._clock()) / 60))
        self._on_event(
            say(
                "the mesh's certificates could not be renewed: {error}; the first of them ends in {minutes} min",
                error=why,
                minutes=left,
            )
        )
