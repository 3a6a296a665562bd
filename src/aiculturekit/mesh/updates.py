"""From the documents that should be in force to those that are: write in the safe order, wait for Envoy's word, or
put back."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import re
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from aiculturekit import namespaces
from aiculturekit.errors import Failed, HostTrouble, Unreachable
from aiculturekit.language import say
from aiculturekit.mesh import files
from aiculturekit.mesh.admins import Admin
from aiculturekit.mesh.envoy import clusters, documents, listeners, names
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.envoy.endpoints import Where
from aiculturekit.mesh.envoy.stages import Stage, lagging, parsed, stages

TIMEOUT = 10.0
"""Seconds that Envoy may take for a stage, or to be there again when it is just being started anew."""
_FIGURES = r"(version_text|update_rejected|warming_clusters|total_listeners_warming)$"
_PAUSES = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032)
_REJECTED = re.compile(r"update rejected: (.+?)(?=\n\[\d{4}-|\Z)", re.DOTALL)
_BIND = re.compile(r"cannot bind '([^']+):(\d+)': (.+)")


class Rejected(Exception):  # an answer, turned into an error of ours before it leaves this module
    """Envoy said no; the argument is its own words."""


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """How often each subscription was rejected before an update, and where in the log the words about it begin."""

    counts: Mapping[str, int]
    offset: int

    def is_passed(self, figures: Mapping[str, object]) -> bool:
        rejected = {name: int(str(value)) for name, value in figures.items() if name.endswith(".update_rejected")}
        return any(count > self.counts.get(name, 0) for name, count in rejected.items())


class Updates:
    """The watched files in `folder` and the Envoy that reads them and writes `log`. Not for concurrent use."""

    def __init__(self, *, folder: Path, admin: Admin, log: Path) -> None:
        self._folder, self._admin, self._log = folder, admin, log

    def on_disk(self) -> dict[str, Json]:
        """All documents as they stand in the files."""
        paths = [self._folder / name for name in (names.LISTENERS, names.CLUSTERS, names.TOKENS_FILE)]
        paths += (self._folder / "rds").glob("*.json")
        found = {str(path.relative_to(self._folder)): parsed(files.read(path)) for path in paths}
        return {name: document for name, document in found.items() if document is not None}

    async def apply(self, new: Mapping[str, Json]) -> bool:
        """Make `new` be in force, all of it; whether that was a change. Idempotent. On Envoy's no the old files are
        back when this raises: HostTrouble for a port that is taken, Failed with Envoy's words for
        anything else, OSError where it cannot write."""
        old = self.on_disk()
        planned = stages(old, new)
        try:
            mark = await self._mark()
            planned = planned or await self._unread(old)
            for stage in planned:
                await self._perform(stage, mark)
            await self._answering(old, new)
        except Rejected as words:
            await self._put_back(old)
            raise _explained(str(words)) from None
        except OSError as error:  # a TimeoutError is one
            await self._put_back(old)
            if not isinstance(error, TimeoutError):
                raise
            raise Failed(
                say("Envoy did not take up its new configuration within {seconds} s", seconds=TIMEOUT),
                hint=say("see {log}", log=self._log),
            ) from error
        return bool(planned)

    def drop_lost(self) -> None:
        """Before Envoy starts: a listener in a namespace that is gone would keep it from taking up any. The next `apply` has them
        again."""
        stands = self.on_disk().get(names.LISTENERS, {}).get("resources", [])
        kept = [listener for listener in stands if _is_there(listeners.namespace(listener))]
        if len(kept) < len(stands):
            files.put(self._folder / names.LISTENERS, files.text(documents.bundle(kept)))

    async def publish(self, cluster: str, *, ports: Iterable[Where]) -> None:
        """Put these replicas behind a cluster. Idempotent. Returns when it is in force, or at once where there is no
        such cluster. Raises TimeoutError, OSError."""
        path = self._folder / names.CLUSTERS
        old = parsed(files.read(path)) or documents.bundle([])
        new = documents.bundle(clusters.published(old["resources"], cluster, ports=ports))
        if new != old:
            await self._perform({names.CLUSTERS: new}, None)

    async def _perform(self, stage: Stage, mark: Mark | None) -> None:
        for name, document in stage.items():
            files.replace(self._folder / name, files.text(document))
        await self._wait(stage, mark=mark)

    async def _unread(self, old: Mapping[str, Json]) -> list[Stage]:
        """Files that stand right but are not in force: a daemon died over them, or a port was taken at the start."""
        late = lagging(await self._figures(_FIGURES), old)
        return [{name: old[name]} for name in late]

    async def _mark(self) -> Mark:
        figures = await self._patiently(r"update_rejected$")
        counts = {name: int(str(value)) for name, value in figures.items()}
        return Mark(counts, self._log.stat().st_size if self._log.exists() else 0)

    async def _wait(self, wanted: Mapping[str, Json], *, mark: Mark | None) -> None:
        """Until Envoy has all of `wanted` and nothing is warming. Raises Rejected, or TimeoutError."""
        async with asyncio.timeout(TIMEOUT):
            for pause in itertools.chain(_PAUSES, itertools.repeat(_PAUSES[-1])):
                figures = await self._patiently(_FIGURES)
                if mark and mark.is_passed(figures):
                    raise Rejected(self._words(mark.offset))
                is_warming = any(value for name, value in figures.items() if "warming" in name)
                if not is_warming and not lagging(figures, wanted):
                    return
                await asyncio.sleep(pause)

    async def _answering(self, old: Mapping[str, Json], new: Mapping[str, Json]) -> None:
        """Until every new listener takes connections: the workers open them a moment after the main thread has them
        in force."""
        before, now = (listeners.ports(files_.get(names.LISTENERS, {}).get("resources", [])) for files_ in (old, new))
        for namespace, host, port in sorted(now.keys() - before.keys(), key=str):
            async with asyncio.timeout(TIMEOUT):
                while not await _is_open(host, port, namespace):  # noqa: ASYNC110  # Envoy sends no event
                    await asyncio.sleep(0.005)

    async def _put_back(self, old: Mapping[str, Json]) -> None:
        """The way back is an update as any other, from everything that may be in force."""
        if names.CLUSTERS not in old or names.LISTENERS not in old:
            return
        for stage in stages(self.on_disk(), old):
            with contextlib.suppress(OSError):  # the error that led here is the one to tell
                await self._perform(stage, None)

    async def _patiently(self, pattern: str) -> dict[str, object]:
        """The figures, also of an Envoy that is just being started again. Raises TimeoutError."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                with contextlib.suppress(Unreachable):
                    return await self._figures(pattern)
                await asyncio.sleep(_PAUSES[-1])

    async def _figures(self, pattern: str) -> dict[str, object]:
        answer = await self._admin.stats(pattern)
        return {item["name"]: item["value"] for item in answer["stats"] if "name" in item}

    def _words(self, offset: int) -> str:
        """What Envoy wrote about it since: of an entry of many lines, the last is the reason."""
        said = _REJECTED.findall((files.read(self._log) or b"")[offset:].decode("utf-8", "replace"))
        lines = [line for line in said[-1].splitlines() if line.strip(" :")] if said else []
        return lines[-1].strip(" :") if lines else say("see {log}", log=self._log)


def _explained(words: str) -> Failed:
    if bind := _BIND.search(words):
        host, port, why = bind.groups()
        return HostTrouble(
            say("port {port} on {host} cannot be used: {why}", port=port, host=host, why=why.rstrip("\\n ")),
            hint=say("stop the program that uses it (lsof -i :{port}), or choose another port", port=port),
        )
    return Failed(
        say("Envoy refused its new configuration: {words}", words=words), hint=say("the former one stays in force")
    )


def _is_there(namespace: str | None) -> bool:
    return namespace is None or namespaces.is_there(Path(namespace))


async def _is_open(host: str, port: int, namespace: str | None) -> bool:
    try:
        dialled = namespaces.connection(Path(namespace)) if namespace else socket.socket()
        with dialled:
            dialled.setblocking(False)
            await asyncio.get_running_loop().sock_connect(dialled, (host, port))
    except OSError:
        return False
    return True
