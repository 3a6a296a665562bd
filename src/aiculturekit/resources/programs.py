"""Running a tool's programs as the user who runs its server."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from aiculturekit.errors import Failed
from aiculturekit.language import say

_USUAL = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def prefix(uid: int | None) -> tuple[str, ...]:
    """Words that give up root before the command."""
    return () if uid is None else ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups")


def run(command: Sequence[str | Path], *, uid: int | None, directory: Path, seconds: float = 60.0) -> str:
    """Its output. Blocks. Raises Failed with its last lines."""
    try:
        done = subprocess.run(
            [*prefix(uid), *command],
            check=False,
            cwd=directory,
            env=_USUAL,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        raise _late(command, seconds) from None
    if done.returncode != 0:
        raise _failed(command, done.stderr or done.stdout)
    output: str = done.stdout.decode("utf-8", "replace")
    return output


async def ask(
    command: Sequence[str | Path],
    *,
    uid: int | None,
    directory: Path,
    given: bytes = b"",
    environment: Mapping[str, str] | None = None,
    seconds: float = 30.0,
) -> str:
    """Its output, when it was `given` this on its standard input. Raises Failed with its last lines."""
    process = await asyncio.create_subprocess_exec(
        *prefix(uid),
        *command,
        cwd=directory,
        env={**_USUAL, **(environment or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            output, trouble = await process.communicate(given)
    except TimeoutError:
        raise _late(command, seconds) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise _failed(command, trouble or output)
    return output.decode("utf-8", "replace")


def _late(command: Sequence[str | Path], seconds: float) -> Failed:
    return Failed(say("{program} was not done within {seconds:g} s", program=Path(command[0]).name, seconds=seconds))


def _failed(command: Sequence[str | Path], said: bytes) -> Failed:
    lines = said.decode("utf-8", "replace").strip().splitlines()[-10:]
    return Failed(say("{program} failed: {said}", program=Path(command[0]).name, said="\n".join(lines)))
