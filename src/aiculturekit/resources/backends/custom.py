"""A resource that is any command: it gets $PORT, and $DATA for what must stay; what it gives to others is what `outputs` says.

It is the application's own code, so it runs in the application's directory and as its user, as a service does. It has no users of ours:
who needs it reaches it, and nobody else does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiculturekit.resources.servers import Credential, Ground, Launch
from aiculturekit.resources.tools import Tool


class Custom:
    def tool(self, body: Mapping[str, Any]) -> Tool | None:
        return None

    def prepare(self, ground: Ground) -> Launch:
        folder = ground.body.get("directory")
        return Launch(
            ground.body["run"],
            probe=ground.body.get("probe") or {"kind": "tcp"},
            environment={"DATA": str(ground.folder.resolve())},
            directory=Path(folder) if folder else None,
        )

    async def settle(self, ground: Ground, credentials: Sequence[Credential]) -> None:
        return

    def url(self, ground: Ground, credential: Credential, *, host: str, port: int) -> str:
        given: str = ground.body.get("outputs", {}).get("url", "tcp://${host}:${port}")
        return given.replace("${host}", host).replace("${port}", str(port))
