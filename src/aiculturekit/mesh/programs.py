"""The short-lived programs that handle keys and certificates, so that the daemon never does."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiculturekit.errors import HostTrouble
from aiculturekit.language import say

_TIMEOUT = 60.0


async def asked(program: str, folders: Mapping[str, Path], request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of the authority, in a process of its own. Raises HostTrouble."""
    options = [text for name, folder in folders.items() for text in (f"--{name}", str(folder))]
    command = [sys.executable, "-m", f"aiculturekit.mesh.{program}", *options]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        out, err = await asyncio.wait_for(process.communicate(json.dumps(request).encode()), _TIMEOUT)
    except TimeoutError as error:
        raise HostTrouble(say("the certificate authority did not answer in {seconds} s", seconds=_TIMEOUT)) from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    if process.returncode:
        said = err.decode("utf-8", "replace").strip().splitlines()
        raise HostTrouble(
            say(
                "the certificate authority in {folder} failed: {error}",
                folder=folders.get("ca", program),
                error=(said or ["?"])[-1],
            ),
            hint=say("is the folder writable, and the disk not full?"),
        )
    answer: dict[str, Any] = json.loads(out)
    return answer
