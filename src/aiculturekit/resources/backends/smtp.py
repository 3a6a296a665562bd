"""SMTP without a post office: mail is taken from who has a password, kept as files and never sent on."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.locator import Locator
from aiculturekit.resources import processes
from aiculturekit.resources.servers import Credential, Ground, Launch
from aiculturekit.resources.tools import Tool, wanted

_REQUIRED = ("atpublic==9.0.0", "attrs==26.1.0")


class Smtp:
    def tool(self, body: Mapping[str, Any]) -> Tool:
        return Tool("aiosmtpd", "aiosmtpd", wanted("smtp", body), "aiosmtpd", "", requires=_REQUIRED)

    def prepare(self, ground: Ground) -> Launch:
        processes.own_folder(ground.folder / "mails", uid=ground.uid)
        if not _users(ground).exists():
            processes.write(_users(ground), "{}", uid=ground.uid)
        words = [sys.executable, "-s", _PROGRAM, ground.folder.resolve(), str(ground.uid or 0)]
        return Launch(
            processes.noted(ground, words),
            probe={"kind": "tcp"},
            environment={"PYTHONPATH": str(ground.programs.parent), "PYTHONDONTWRITEBYTECODE": "1"},
            grace=5.0,
        )

    async def settle(self, ground: Ground, credentials: Sequence[Credential]) -> None:
        known = {one.user: {"verb": one.verb, "workload": one.workload, "digest": _digest(one)} for one in credentials}
        await threads.run(processes.write, _users(ground), json.dumps(known, indent=1), uid=ground.uid)

    def url(self, ground: Ground, credential: Credential, *, host: str, port: int) -> str:
        return Locator("smtp", hosts=((host, port),), username=credential.user, password=credential.password).reveal()


_PROGRAM = Path(__file__).parent.parent / "postboxes.py"
"""It drops root itself: nobody may be able to walk to the interpreter."""


def _users(ground: Ground) -> Path:
    return ground.folder / "users.json"


def _digest(credential: Credential) -> str:
    return hashlib.sha256(credential.password.encode()).hexdigest()
