"""The short-lived programs that handle keys and certificates, so that the daemon never does.

Each is a module that answers lines: a question in JSON on its standard input, the answer on its standard output (`lines`). To load what it
needs takes it 0.15 s, a question a few milliseconds: so it stays for a moment after an answer, and can be begun before the first. It ends
when its input does, with the daemon at the latest.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiculturekit import bytecodes
from aiculturekit.errors import HostTrouble
from aiculturekit.language import say

KEPT = 5.0
"""Seconds that a program waits for another question."""
_TIMEOUT = 60.0
_LONGEST = 64 * 1024 * 1024
"""Bytes of an answer."""


class Program:
    """`name` is its module in this package, `folders` are its options. Questions are put one after the other."""

    def __init__(self, name: str, folders: Mapping[str, Path]) -> None:
        self._name, self._folders = name, folders
        self._process: asyncio.subprocess.Process | None = None
        self._end: asyncio.TimerHandle | None = None
        self._lock = asyncio.Lock()

    async def begin(self) -> None:
        """It loads while others work: a question comes soon. Raises OSError."""
        async with self._lock:
            await self._running()
            self._keep()

    async def asked(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Its answer. Raises HostTrouble."""
        async with self._lock:
            self._hold()
            is_kept = self._process is not None
            answer = await self._exchanged(request)
            if answer is None and is_kept:  # it ended since the last question, by a hand that is not ours
                await self._failure()
                answer = await self._exchanged(request)
            if answer is None:
                raise await self._failure()
            self._keep()
        found: dict[str, Any] = json.loads(answer)
        return found

    async def close(self) -> None:
        """It ends now."""
        async with self._lock:
            self._hold()
            process, self._process = self._process, None
            if process is not None:
                _kill(process)
                await process.wait()

    async def _exchanged(self, request: Mapping[str, Any]) -> bytes | None:
        """None when it ended without an answer. Whoever gives up waiting ends it: the answer must not be another question's."""
        process = await self._running()
        try:
            async with asyncio.timeout(_TIMEOUT):
                with contextlib.suppress(ConnectionError):
                    _input(process).write(json.dumps(request).encode() + b"\n")
                    await _input(process).drain()
                return await _output(process).readline() or None
        except TimeoutError as error:
            self._drop()
            raise HostTrouble(
                say("the certificate authority did not answer in {seconds} s", seconds=_TIMEOUT)
            ) from error
        except BaseException:
            self._drop()
            raise

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            options = [text for name, folder in self._folders.items() for text in (f"--{name}", str(folder))]
            command = [*bytecodes.python(), "-m", f"aiculturekit.mesh.{self._name}", *options]
            pipe = asyncio.subprocess.PIPE
            self._process = await asyncio.create_subprocess_exec(
                *command, env=bytecodes.environment(), stdin=pipe, stdout=pipe, stderr=pipe, limit=_LONGEST
            )
        return self._process

    async def _failure(self) -> HostTrouble:
        """Why it ended, in its own last words; it is gone when this returns."""
        process, self._process = self._process, None
        err = (await process.communicate())[1] if process else b""
        said = err.decode("utf-8", "replace").strip().splitlines()
        return HostTrouble(
            say(
                "the certificate authority in {folder} failed: {error}",
                folder=self._folders.get("ca", self._name),
                error=(said or ["?"])[-1],
            ),
            hint=say("is the folder writable, and the disk not full?"),
        )

    def _keep(self) -> None:
        self._hold()
        self._end = asyncio.get_running_loop().call_later(KEPT, self._let_go)

    def _hold(self) -> None:
        if self._end is not None:
            self._end.cancel()
        self._end = None

    def _let_go(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _input(process).close()

    def _drop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _kill(process)


async def asked(name: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of a program that is asked once. Raises HostTrouble."""
    program = Program(name, {})
    try:
        return await program.asked(request)
    finally:
        await program.close()


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def _input(process: asyncio.subprocess.Process) -> asyncio.StreamWriter:
    if process.stdin is None:
        raise TypeError("it was started with pipes")
    return process.stdin


def _output(process: asyncio.subprocess.Process) -> asyncio.StreamReader:
    if process.stdout is None:
        raise TypeError("it was started with pipes")
    return process.stdout
