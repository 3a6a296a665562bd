"""The log of what is not let through: one JSON line each, written by Envoy, read once, kept small."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

from aiculturekit.mesh import identities
from aiculturekit.mesh.envoy.names import GATEWAY
from aiculturekit.mesh.nodes import INGRESS, Refusal

LIMIT = 1024 * 1024
"""Bytes after which the file is emptied."""
_EVERY = 0.5
_SYSTEM = "system library:"
"""Begins the reason of a handshake that ended because the connection did: nothing was shown that could be refused."""
_CHUNK = 64 * 1024


def parse(line: bytes | str) -> Refusal | None:
    """The refusal in a line; None for a line that is none (cut, foreign, or of a peer without an identity)."""
    try:
        record = json.loads(line)
        who = identities.parse(record["peer"] or "")
        if record.get("door") == GATEWAY:
            return _foreign(record)
        if who is not None and "query" in record:
            return _outside(record, who[1])
        kind, detail = _reason(record)
        if (who is None and kind == "call") or _SYSTEM in (record.get("tls") or ""):
            return None
        return Refusal(
            at=float(record["at"]),
            app=record["app"],
            source=INGRESS if "code" in record else who[1] if who else "",
            target=record["target"],
            method=record["method"] or "",
            path=record["path"] or "",
            kind=kind,
            detail=detail,
            allowed=record.get("audit") == "denied",
        )
    except (ValueError, KeyError, TypeError):
        return None


def _foreign(record: dict[str, str]) -> Refusal:
    """Of another node: its whole SPIFFE ID is its name here."""
    at, app, target = float(record["at"]), record["app"], record["target"]
    method, path = record["method"] or "", record["path"] or ""
    return Refusal(at, app, source=record["peer"] or "", target=target, method=method, path=path, kind="foreign")


def _reason(record: dict[str, str]) -> tuple[Literal["call", "token", "claims", "check", "certificate"], str]:
    """Kind and detail: `tls` is in lines about handshakes, `code` (Envoy's response code details) in those of the ingress."""
    if reason := record.get("tls"):
        words = reason.rpartition("OPENSSL_internal:")[2].partition(":")[0]
        return "certificate", words.strip().lower().replace("_", " ")[:80]
    code = record.get("code") or ""
    if code.startswith("jwt_authn"):
        return "token", code.partition("{")[2].rstrip("}").replace("_", " ")
    if code.startswith("rbac"):
        return "claims", ""
    return ("check", code) if code.startswith("ext_authz") else ("call", "")


def _outside(record: dict[str, str], source: str) -> Refusal | None:
    """A name that was looked up, or greeted with, and is not declared: as the need that would allow it. None for one that was
    answered, and for the same question about other kinds of addresses."""
    name = (record["query"] or "").rstrip(".").lower()
    if not name or record.get("answers", "0") != "0" or record.get("type", "1") != "1":
        return None
    at = float(record["at"]) if "at" in record else time.time()
    return Refusal(at, record["app"], source, f"https://{name}" if "." in name else name, "", "")


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
