"""From the documents that should be in force to those that are: write in the safe order, wait for Envoy's word, or
put back."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Mapping
from pathlib import Path

from aiculturekit.errors import Failed, HostTrouble, Unreachable
from aiculturekit.language import say
from aiculturekit.mesh import files
from aiculturekit.mesh.admins import Admin
from aiculturekit.mesh.envoy import listeners, names
from aiculturekit.mesh.envoy.documents import Json
from aiculturekit.mesh.envoy.stages import Stage, lagging, parsed, stages

TIMEOUT = 10.0
"""Seconds that Envoy may take for a stage; also how long an update waits for one that is just being started again."""
_FIGURES = r"(version_text|update_rejected|warming_clusters|total_listeners_warming)$"
_PAUSES = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032)
_REJECTED = re.compile(r"update rejected: (.+)")
_BIND = re.compile(r"cannot bind '([^']+):(\d+)': (.+)")


class Rejected(Exception):  # noqa: N818  # an answer, turned into an error of ours before it leaves this module
    """Envoy said no; the argument is its own words."""


class Updates:
    """The watched files in `folder` and the Envoy that reads them and writes `log`. Not for concurrent use."""

    def __init__(self, *, folder: Path, admin: Admin, log: Path) -> None:
        self._folder, self._admin, self._log = folder, admin, log

    def on_disk(self) -> dict[str, Json]:
        """All documents as they stand in the files."""
        paths = [self._folder / name for name in (names.LISTENERS, names.CLUSTERS)]
        paths += [path for kind in ("eds", "rds") for path in (self._folder / kind).glob("*.json")]
        found = {str(path.relative_to(self._folder)): parsed(files.read(path)) for path in paths}
        return {name: document for name, document in found.items() if document is not None}

    async def apply(self, new: Mapping[str, Json]) -> bool:
        """Make `new` be in force, all of it; whether that was a change. Idempotent. On Envoy's no the old files are
        back when this raises: HostTrouble for a port that is taken, Failed with Envoy's words for anything else."""
        old = self.on_disk()
        planned = stages(old, new)
        if not planned:
            return False
        rejections = await self._rejections()
        try:
            for stage in planned:
                self._write(stage)
                await self._in_force(rejections)
            await self._answering(old, new)
        except Rejected as words:
            await self._put_back(old, new)
            raise _explained(str(words)) from None
        except (Unreachable, TimeoutError) as error:
            await self._put_back(old, new)
            raise Failed(say("Envoy did not take up its new configuration in {seconds} s", seconds=TIMEOUT)) from error
        return True

    async def put_endpoints(self, file: str, document: Json, *, cluster: str) -> None:
        """Change one set of endpoints. Idempotent. Returns when it is in force, or at once where Envoy does not know
        the cluster."""
        if files.put(self._folder / file, files.text(document)):
            await self._wait(f"^cluster\\.{re.escape(cluster)}\\.version_text$", {file: document}, {})

    def _write(self, stage: Stage) -> None:
        for name, document in stage.items():
            files.put(self._folder / name, None if document is None else files.text(document))

    async def _rejections(self) -> dict[str, int]:
        """The counters of what was rejected so far, and the place in the log from which on later words are read."""
        figures = await self._figures(r"update_rejected$")
        counts = {name: int(str(value)) for name, value in figures.items()}
        return counts | {"log": self._log.stat().st_size if self._log.exists() else 0}

    async def _in_force(self, rejections: Mapping[str, int]) -> None:
        await self._wait(_FIGURES, self.on_disk(), rejections)

    async def _wait(self, pattern: str, wanted: Mapping[str, Json], rejections: Mapping[str, int]) -> None:
        """Until Envoy has all of `wanted` and nothing is warming. Raises Rejected, or TimeoutError."""
        deadline = time.monotonic() + TIMEOUT
        attempt = 0
        while True:
            with contextlib.suppress(Unreachable):
                figures = await self._figures(pattern)
                if rejections and any(_is_more(name, value, rejections) for name, value in figures.items()):
                    raise Rejected(self._words(rejections["log"]))
                warming = any(value for name, value in figures.items() if "warming" in name)
                if not warming and not lagging(figures, wanted):
                    return
            if time.monotonic() > deadline:
                print("LAG", warming, lagging(figures, wanted), figures)
                raise TimeoutError
            await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
            attempt += 1

    async def _answering(self, old: Mapping[str, Json], new: Mapping[str, Json]) -> None:
        """Until every new listener takes connections: the workers open them a moment after the main thread has them
        in force."""
        before, now = (
            listeners.ports(documents.get(names.LISTENERS, {}).get("resources", [])) for documents in (old, new)
        )
        for port in sorted(now.keys() - before.keys()):
            async with asyncio.timeout(TIMEOUT):
                while not await _is_open(port):  # noqa: ASYNC110  # Envoy sends no event
                    await asyncio.sleep(0.005)

    async def _put_back(self, old: Mapping[str, Json], new: Mapping[str, Json]) -> None:
        """The way back is an update as any other, from everything that may be in force."""
        stands = {**new, **self.on_disk()}
        if names.CLUSTERS not in old or names.LISTENERS not in old:
            return
        for stage in stages(stands, old):
            self._write(stage)
            with contextlib.suppress(TimeoutError, Unreachable):
                await self._wait(_FIGURES, self.on_disk(), {})

    async def _figures(self, pattern: str) -> dict[str, object]:
        answer = await self._admin.stats(pattern)
        return {item["name"]: item["value"] for item in answer["stats"] if "name" in item}

    def _words(self, offset: int) -> str:
        """What Envoy wrote about it since: the last thing is the whole story."""
        said = _REJECTED.findall((files.read(self._log) or b"")[offset:].decode("utf-8", "replace"))
        return said[-1].strip() if said else say("see {log}", log=self._log)


def _is_more(name: str, value: object, before: Mapping[str, int]) -> bool:
    return name.endswith("update_rejected") and int(str(value)) > before.get(name, 0)


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


async def _is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
