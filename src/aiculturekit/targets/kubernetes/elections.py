"""Which of a platform's daemons acts: the one that holds a Lease, for as long as it holds it.

    one waits     asks each second, and takes the Lease when nobody has it or its holder did not renew for a quarter of a minute
    one leads     renews it; the Service sends requests to the pod that has the label LEADER, which it gives itself
    it loses it   its process ends shortly before, by a thread of its own: an event loop that is stuck renews nothing and hears of nothing

A holder is a pod: a process that is started again in it has what the one before had, which is dead. Whoever was stopped for longer than
the Lease lasts wakes up as nobody: `require` says so before each change in the cluster, the state's own term within each transaction.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from aiculturekit.errors import AicError, Busy
from aiculturekit.language import say
from aiculturekit.targets.kubernetes.clients import Client
from aiculturekit.targets.kubernetes.locks import Lock

log = logging.getLogger(__name__)
LEADER = "aiculturekit.dev/leader"
"""The label of the pod that leads."""
_LOOKED = 0.2
"""Seconds between looks at whether the Lease is still held."""
_EARLIER = 3.0
"""Seconds by which a leader ends before another one may begin: what it asked of the cluster last has arrived by then."""
LOST = 75
"""The exit code of a daemon that lost it (EX_TEMPFAIL): it is started again, and waits."""


def _end() -> None:
    log.critical("the Lease was lost: another daemon may lead now")
    logging.shutdown()
    os._exit(LOST)


@contextlib.asynccontextmanager
async def led(
    client: Client,
    *,
    name: str,
    namespace: str,
    pod: str,
    labels: Mapping[str, str],
    end: Callable[[], None] = _end,
) -> AsyncIterator[Lock]:
    """Waits for its turn, for as long as it takes; leads within the block, and gives the Lease back after it."""
    lock = Lock(client, app=name, namespace=namespace, holder=pod, labels=labels)
    async with lock.held(patience=math.inf, tell=log.info):
        with _watched(lock, end):
            await mark(client, namespace=namespace, pod=pod, labels=labels)
            yield lock


def require(lock: Lock) -> None:
    """Raises Busy where it ran out, even if nobody took it: what leads is known to all, or does not lead."""
    if not _leads(lock):
        raise Busy(say("another daemon has taken over since"), hint=say("it carries on what was under way: ask again"))


async def mark(client: Client, *, namespace: str, pod: str, labels: Mapping[str, str]) -> None:
    """Requests come to this pod, and to no other one of those with `labels`."""
    chosen = ",".join(f"{key}={value}" for key, value in labels.items())
    for one in await client.listed("v1", "Pod", namespace=namespace, labels=chosen, is_short=True):
        name = one["metadata"]["name"]
        if name != pod and LEADER in one["metadata"].get("labels", {}):
            with contextlib.suppress(AicError):  # it is gone by now, and gets no requests
                await client.apply(_labelled(name, namespace, labels), is_forced=True)
    await client.apply(_labelled(pod, namespace, {**labels, LEADER: "true"}), is_forced=True)


@contextlib.contextmanager
def _watched(lock: Lock, end: Callable[[], None]) -> Iterator[None]:
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(_LOOKED):
            if not _leads(lock):
                end()
                return

    watcher = threading.Thread(target=watch, name="lease", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()


def _leads(lock: Lock) -> bool:
    return lock.left > _EARLIER


def _labelled(pod: str, namespace: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod, "namespace": namespace, "labels": dict(labels)},
    }
