"""One deploy of an application at a time, whatever machine it comes from: a Lease in its namespace, renewed while it is held.

A holder that died does not renew: its lock runs out after a quarter of a minute by our own clock, from when we first saw it as it is (other
machines' clocks may be wrong). (https://kubernetes.io/docs/concepts/architecture/leases/)
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from aiculturekit.errors import AicError, Busy
from aiculturekit.language import say
from aiculturekit.targets.kubernetes.answers import Conflicted
from aiculturekit.targets.kubernetes.clients import Client

log = logging.getLogger(__name__)
LASTS = 15
"""Seconds after which a lock that nobody renews is anybody's."""
_RENEWED, _ASKED = 4.0, 1.0
_ANSWERED = 5.0
"""Seconds for one renewal: an answer that never comes must not take the next attempt's time."""
_API = "coordination.k8s.io/v1"
Tell = Callable[[str], None]
Json = dict[str, Any]


class Lock:
    """Held or not; `require` says so before each change."""

    def __init__(self, client: Client, *, app: str, namespace: str, holder: str, labels: Mapping[str, str]) -> None:
        self._client, self._app, self._name, self._namespace = client, app, f"aic-{app}", namespace
        self._holder, self._labels = holder, dict(labels)
        self._until = 0.0
        self._renewing = asyncio.Lock()

    @property
    def left(self) -> float:
        """Seconds until it runs out by this machine's clock, below zero when it did. May be asked from any thread."""
        return self._until - time.monotonic()

    @property
    def is_held(self) -> bool:
        return self.left >= 0

    async def require(self) -> None:
        """Where it ran out (the cluster did not answer for so long) it is held on as long as nobody else took it. Raises Busy."""
        if not self.is_held and not await self._renewed():
            raise Busy(
                say("the cluster did not answer for so long that the lock of {app} ran out", app=self._app),
                hint=say("run the command again: it carries on from what is there"),
            )

    @contextlib.asynccontextmanager
    async def held(self, *, patience: float, tell: Tell) -> AsyncIterator[None]:
        """Waits for its turn, at most `patience` seconds. Raises Busy with who has it."""
        await self._take(patience, tell)
        renewing = asyncio.create_task(self._renew(), name=f"lock of {self._app}")
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
            self._until = 0.0
            await self._give_back()

    async def _take(self, patience: float, tell: Tell) -> None:
        end, told = time.monotonic() + patience, ""
        seen, since = None, time.monotonic()
        while True:
            asked_at = time.monotonic()
            found = await self._client.get(_API, "Lease", self._name, namespace=self._namespace)
            version = found["metadata"]["resourceVersion"] if found else None
            if version != seen:
                seen, since = version, time.monotonic()
            other = _other(found, self._holder)
            if not other or time.monotonic() - since > LASTS:
                if await self._write(found, self._holder):
                    self._until = asked_at + LASTS
                    return
                continue
            if time.monotonic() > end:
                raise Busy(
                    say("{app} is being deployed by {holder}", app=self._app, holder=other),
                    hint=say("wait for it to end, then try again"),
                )
            if told != other:
                tell(say("waiting for {holder}, who is deploying it", holder=other))
                told = other
            await asyncio.sleep(_ASKED)

    async def _renew(self) -> None:
        pause = _RENEWED
        while True:
            await asyncio.sleep(pause)
            pause = _ASKED  # after a failure there is time for two more
            try:
                async with asyncio.timeout(_ANSWERED):
                    is_ours = await self._renewed()
            except (AicError, TimeoutError) as error:
                log.warning("the lock of %s could not be renewed: %s", self._app, str(error) or type(error).__name__)
                continue
            if not is_ours:
                self._until = 0.0
                return
            pause = _RENEWED

    async def _renewed(self) -> bool:
        """Whether it is still ours."""
        async with self._renewing:
            asked_at = time.monotonic()
            found = await self._client.get(_API, "Lease", self._name, namespace=self._namespace)
            if found is None or _other(found, self._holder) or not await self._write(found, self._holder):
                return False
            self._until = asked_at + LASTS
            return True

    async def _give_back(self) -> None:
        try:
            found = await self._client.get(_API, "Lease", self._name, namespace=self._namespace)
            if found and not _other(found, self._holder):
                await self._write(found, "")
        except AicError as error:  # it runs out by itself
            log.warning("the lock of %s could not be given back: %s", self._app, error.message)

    async def _write(self, found: Json | None, holder: str) -> bool:
        """Whether it was ours to write."""
        lease = self._lease(holder)
        try:
            if found is None:
                await self._client.create(lease)
            else:
                lease["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
                await self._client.replace(lease)
        except Conflicted:
            again = await self._client.get(_API, "Lease", self._name, namespace=self._namespace) or {"spec": {}}
            return bool(again["spec"].get("holderIdentity", "") == holder != "")
        return True

    def _lease(self, holder: str) -> Json:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        spec = {"holderIdentity": holder, "leaseDurationSeconds": LASTS, "renewTime": now}
        metadata = {"name": self._name, "namespace": self._namespace, "labels": self._labels}
        return {"apiVersion": _API, "kind": "Lease", "metadata": metadata, "spec": spec}


def _other(lease: Mapping[str, Any] | None, holder: str) -> str:
    """Who else has it."""
    found = (lease or {}).get("spec", {}).get("holderIdentity") or ""
    return "" if found == holder else str(found)
