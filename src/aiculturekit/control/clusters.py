"""What can be seen of applications in clusters: what runs, what it prints, where it is. Reads only."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiculturekit import threads
from aiculturekit.control.placements import Caller, Placements
from aiculturekit.errors import AicError, NotFound
from aiculturekit.language import say
from aiculturekit.targets.kubernetes import kubeconfigs, sights
from aiculturekit.targets.kubernetes.answers import Ask
from aiculturekit.targets.kubernetes.objects import PORT
from aiculturekit.targets.kubernetes.target import Kubernetes

Json = dict[str, Any]
_APIS = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "Job": "batch/v1",
    "CronJob": "batch/v1",
    "Pod": "v1",
}
_AGAIN = 2.0
"""Seconds between two looks for new pods."""


class Clusters:
    def __init__(self, placements: Placements) -> None:
        self._placements = placements

    async def workloads(self, key: str, *, caller: Caller) -> list[Json]:
        placement = await self._placements.find(key, caller)
        async with self._placements.target(placement) as target:
            lists = await asyncio.gather(*(self._listed(target, kind) for kind in _APIS))
        found = dict(zip(_APIS, lists, strict=True))
        return sights.rows(key, found, pods=found["Pod"])

    async def pods(self, key: str, *, caller: Caller) -> list[Json]:
        """How each pod does, and why not better; those with trouble first."""
        placement = await self._placements.find(key, caller)
        async with self._placements.target(placement) as target:
            return sights.pod_rows(await self._pods(target, key, None))

    async def place(self, key: str, *, caller: Caller) -> Json:
        """For whoever goes there himself: context, namespace, the files of the kubeconfig."""
        placement = await self._placements.find(key, caller)
        cluster = placement.cluster
        files = await threads.run(kubeconfigs.files, cluster.kubeconfig, asked=placement.kubeconfig)
        return {
            "app": placement.app,
            "environment": placement.environment,
            "target": placement.target,
            "context": cluster.context,
            "namespace": cluster.namespace,
            "kubeconfig": [str(file) for file in files],
        }

    async def entry(self, key: str, *, caller: Caller) -> Json:
        """The service of a public path, the shortest one, as it is in force. Raises NotFound."""
        placement = await self._placements.find(key, caller)
        async with self._placements.target(placement) as target:
            await target.observe(key)
            entries = {one.name: one.body["service"] for one in target.in_force() if one.kind == "ingress"}
        if not entries:
            raise NotFound(
                say("{app} has no public path there", app=key),
                hint=say("`aic forward --app {app} WORKLOAD PORT` leads to any of its workloads", app=key),
            )
        path = min(entries)
        return {"path": path, "service": entries[path], "port": PORT}

    async def logs(self, key: str, *, workload: str | None, tail: int, caller: Caller) -> list[Json]:
        """By time."""
        placement = await self._placements.find(key, caller)
        async with self._placements.target(placement) as target:
            pods = await self._pods(target, key, workload)
            texts = await asyncio.gather(*(self._text(target, pod, tail) for pod in pods))
        found = [
            sights.log_record(key, pod, line)
            for pod, text in zip(pods, texts, strict=True)
            for line in text.splitlines()
        ]
        return sorted(found, key=lambda record: str(record["at"]))[-tail:] if tail else []

    async def follow(self, key: str, *, workload: str | None, tail: int, caller: Caller) -> AsyncIterator[Json]:
        """What pods print, those that come later too, until nobody listens any more."""
        placement = await self._placements.find(key, caller)
        async with self._placements.target(placement) as target:
            queue: asyncio.Queue[Json] = asyncio.Queue(maxsize=1000)
            reading = asyncio.create_task(self._read_all(target, key, workload, tail, queue))
            try:
                while True:
                    taking = asyncio.ensure_future(queue.get())
                    await asyncio.wait({taking, reading}, return_when=asyncio.FIRST_COMPLETED)
                    if not taking.done():
                        taking.cancel()
                        reading.result()
                        return
                    yield taking.result()
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def _read_all(
        self, target: Kubernetes, key: str, workload: str | None, tail: int, queue: asyncio.Queue[Json]
    ) -> None:
        known: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                for pod in await self._pods(target, key, workload, is_first=not known):
                    if pod["metadata"]["uid"] not in known:
                        reading = self._read(target, key, pod, tail if not known else 10_000, queue)
                        known[pod["metadata"]["uid"]] = asyncio.create_task(reading)
                await asyncio.sleep(_AGAIN)
        finally:
            for task in known.values():
                task.cancel()
            await asyncio.gather(*known.values(), return_exceptions=True)

    async def _read(self, target: Kubernetes, key: str, pod: Json, tail: int, queue: asyncio.Queue[Json]) -> None:
        """From the first line of a pod that is starting; a pod that goes ends it."""
        name = pod["metadata"]["name"]
        query = {"follow": "true", "timestamps": "true", "tailLines": str(tail), "container": _container(pod)}
        while True:
            with contextlib.suppress(AicError):
                path = f"/api/v1/namespaces/{target.cluster.namespace}/pods/{name}/log"
                async for line in target.client.lines(path, ask=Ask("get", f"Pod {name}", "pods/log"), **query):
                    await queue.put(sights.log_record(key, pod, line))
                return
            await asyncio.sleep(_AGAIN)

    async def _text(self, target: Kubernetes, pod: Json, tail: int) -> str:
        name = pod["metadata"]["name"]
        path = f"/api/v1/namespaces/{target.cluster.namespace}/pods/{name}/log"
        try:
            return await target.client.text(
                path,
                ask=Ask("get", f"Pod {name}", "pods/log"),
                timestamps="true",
                tailLines=str(tail),
                container=_container(pod),
            )
        except AicError:  # it has not started yet
            return ""

    async def _pods(self, target: Kubernetes, key: str, workload: str | None, *, is_first: bool = True) -> list[Json]:
        found = await self._listed(target, "Pod")
        pods = [pod for pod in found if workload is None or pod["metadata"].get("labels", {}).get("app") == workload]
        if not pods and workload and is_first:
            names = sorted({pod["metadata"].get("labels", {}).get("app", "") for pod in found})
            raise NotFound(
                say("{app} has no pods of {name}", app=key, name=workload),
                hint=say("there is {known}", known=", ".join(names) or "–"),
            )
        return pods

    async def _listed(self, target: Kubernetes, kind: str) -> list[Json]:
        labels = f"app.kubernetes.io/managed-by=aic,app.kubernetes.io/part-of={target.app}"
        return await target.client.listed(_APIS[kind], kind, namespace=target.cluster.namespace, labels=labels)


def _container(pod: Json) -> str:
    """The workload's own, not a mesh's beside it."""
    return str(pod["spec"]["containers"][0]["name"] if not (own := _own(pod)) else own)


def _own(pod: Json) -> str:
    app = pod["metadata"].get("labels", {}).get("app", "")
    return next((one["name"] for one in pod["spec"]["containers"] if one["name"] == app), "")
