"""Of several daemons one leads: the next one takes over when it ends, dies, or is cut off, and then nobody else does anything."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from aiculturekit.errors import Busy
from aiculturekit.targets.kubernetes import elections, locks
from aiculturekit.targets.kubernetes.elections import LEADER
from aiculturekit.targets.kubernetes.locks import Lock
from tests.targets.kubernetes.doubles import KINDS, Answer, Api, Lost

LABELS = {"app": "aic"}


@pytest.fixture
def api() -> Api:
    one = Api(kinds=KINDS)
    for name in ("a", "b"):
        one.objects["pods", "aic", name] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "aic", "labels": dict(LABELS), "resourceVersion": "1", "uid": name},
        }
    return one


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LASTS", 1.0)
    monkeypatch.setattr(locks, "_ASKED", 0.05)
    monkeypatch.setattr(locks, "_RENEWED", 0.2)
    monkeypatch.setattr(locks, "_ANSWERED", 0.3)
    monkeypatch.setattr(elections, "_LOOKED", 0.02)
    monkeypatch.setattr(elections, "_EARLIER", 0.2)


@contextlib.asynccontextmanager
async def leading(api: Api, pod: str, *, end: Callable[[], None] = lambda: None) -> AsyncIterator[Lock]:
    async with elections.led(api.client(), name="platform", namespace="aic", pod=pod, labels=LABELS, end=end) as lock:
        yield lock


def leaders(api: Api) -> list[str]:
    return [
        name
        for kind, _, name in api.objects
        if kind == "pods" and LEADER in api.get(kind, name, namespace="aic")["metadata"]["labels"]
    ]


async def test_one_leads_and_the_next_one_when_it_ends(api: Api) -> None:
    order: list[str] = []

    async def lead(pod: str) -> None:
        async with leading(api, pod):
            order.append(pod)
            assert leaders(api) == [pod]
            await asyncio.sleep(0.3)
            order.append(pod)

    await asyncio.gather(lead("a"), lead("b"))
    assert order in (["a", "a", "b", "b"], ["b", "b", "a", "a"])


async def test_a_process_that_is_started_again_in_its_pod_leads_at_once(api: Api) -> None:
    killed = Lock(api.client(), app="platform", namespace="aic", holder="a", labels=LABELS)
    await killed._take(1, print)
    async with asyncio.timeout(0.5):
        async with leading(api, "a"):
            assert leaders(api) == ["a"]


async def test_one_that_is_killed_is_followed_when_its_lease_has_run_out(api: Api) -> None:
    killed = Lock(api.client(), app="platform", namespace="aic", holder="a", labels=LABELS)
    await killed._take(1, print)
    began = asyncio.get_running_loop().time()
    async with leading(api, "b"):
        assert asyncio.get_running_loop().time() - began >= 0.9
        with pytest.raises(Busy):
            elections.require(killed)


async def test_one_that_is_cut_off_ends_before_the_next_one_begins(api: Api) -> None:
    """By its own watch, and however long its request hangs."""
    events: list[str] = []
    cut_off = api.client()

    def before(method: str, path: str) -> Answer | None:
        raise Lost

    async with elections.led(
        cut_off, name="platform", namespace="aic", pod="a", labels=LABELS, end=lambda: events.append("a ends")
    ) as lock:
        await asyncio.sleep(0.5)
        elections.require(lock)  # it was renewed, so that it lasted
        far = Api(kinds=KINDS)
        far.objects = api.objects  # the other one's way to the same cluster
        api.before = before
        async with leading(far, "b"):
            events.append("b begins")
            with pytest.raises(Busy):
                elections.require(lock)
    assert events[:2] == ["a ends", "b begins"]
    assert leaders(far) == ["b"]


async def test_it_does_not_wait_for_an_answer_that_never_comes(api: Api) -> None:
    ends: list[str] = []
    hanging = asyncio.Event()

    class Hanging(Api):
        async def request(self, method, url, **options):  # type: ignore[no-untyped-def]
            if hanging.is_set() and len(ends) == 0:
                hanging.clear()
                await asyncio.sleep(60)
            return await super().request(method, url, **options)

    slow = Hanging(kinds=KINDS)
    slow.objects = api.objects
    async with elections.led(
        slow.client(), name="platform", namespace="aic", pod="a", labels=LABELS, end=lambda: ends.append("a")
    ) as lock:
        hanging.set()
        await asyncio.sleep(1.5)
        elections.require(lock)
    assert ends == []
