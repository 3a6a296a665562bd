"""The log of refused calls: one JSON line each, written by Envoy, read once, kept small."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

from aiculturekit.mesh import identities
from aiculturekit.mesh.nodes import Refusal

LIMIT = 1024 * 1024
"""Bytes after which the file is emptied."""
_EVERY = 0.5
_CHUNK = 64 * 1024


def parse(line: bytes | str) -> Refusal | None:
    """The refusal in a line; None for a line that is none (cut, foreign, or of a peer without an identity)."""
    try:
        record = json.loads(line)
        who = identities.parse(record["peer"] or "")
        if who is None:
            return None
        method, path = record["method"] or "", record["path"] or ""
        return Refusal(float(record["at"]), record["app"], who[1], record["target"], method, path)
    except (ValueError, KeyError, TypeError):
        return None


async def follow(path: Path) -> AsyncIterator[Refusal]:
    """Every refusal from now on, for ever. One reader only: it empties the file when it has grown over the limit,
    which Envoy, who appends, does not notice. A caller in a loop can write faster than anybody needs to know: the
    oldest unread are skipped."""
    offset, rest = _size(path), b""
    while True:
        await asyncio.sleep(_EVERY)
        size = _size(path)
        if size < offset:
            offset, rest = 0, b""
        if size - offset > _CHUNK:
            offset, rest = size - _CHUNK, b""
        if size > offset:
            chunk = _read(path, offset)
            offset += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if refusal := parse(line):
                    yield refusal
        if offset > LIMIT:
            shorten(path)


def shorten(path: Path) -> None:
    """Empty a file that another process appends to."""
    if path.exists():
        os.truncate(path, 0)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _read(path: Path, offset: int) -> bytes:
    with path.open("rb") as log:
        log.seek(offset)
        return log.read(_CHUNK)
