"""Looking into buckets: signed requests of the daemon's own key, which only read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

from aiculturekit import threads
from aiculturekit.errors import Failed, NotFound
from aiculturekit.language import say
from aiculturekit.resources import processes, signatures
from aiculturekit.resources.backends.s3 import OWNER, secret
from aiculturekit.resources.inspections.shapes import Figure, Inspection, Row
from aiculturekit.resources.servers import Ground

_PATIENCE = 5.0
_LONGEST, _SHOWN = 8 * 2**20, 100_000
_PAGE, _PAGES = 1000, 10
"""Objects that one request answers with, and requests for one bucket: what is beyond is not counted."""
_GOOD_FOR = 60.0
_known: dict[Path, tuple[float, Inspection]] = {}
"""A resource's folder -> when its objects were listed, and what was found."""


class S3:
    up = "s3_up"

    async def inspect(self, ground: Ground) -> Inspection:
        names = _texts(await _get(ground, "/"), "Bucket", "Name")
        found = {name: await _objects(ground, name, "", limit=_PAGE * _PAGES) for name in names}
        inspection = _inspection(found)
        _known[ground.folder] = time.monotonic(), inspection
        return inspection

    async def glance(self, ground: Ground) -> Inspection:
        """Listing thousands of objects takes the server a second: once a minute will do."""
        at, found = _known.get(ground.folder, (0.0, None))
        if found is None or time.monotonic() - at > _GOOD_FOR:
            return await self.inspect(ground)
        await _get(ground, "/")
        return found

    async def listed(self, ground: Ground, what: str, *, within: str, search: str, limit: int) -> list[Row]:
        """`search` is the beginning of BUCKET/NAME."""
        bucket, slash, prefix = search.partition("/")
        names = [name for name in _texts(await _get(ground, "/"), "Bucket", "Name") if name.startswith(bucket)]
        found: list[Row] = []
        for name in [name for name in names if not slash or name == bucket]:
            found += await _objects(ground, name, prefix, limit=limit - len(found))
        return found

    async def opened(self, ground: Ground, what: str, *, within: str, name: str) -> Row:
        raw = await _get(ground, f"/{name}", extra={"range": f"bytes=0-{_SHOWN - 1}"})
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = say("it is no text; its first bytes: {bytes}", bytes=raw[:64].hex(" "))
        return {"name": name, "content": text}


def _inspection(contents: Mapping[str, Sequence[Row]]) -> Inspection:
    buckets: list[Row] = [{"name": name, "objects": len(rows), "bytes": _size(rows)} for name, rows in contents.items()]
    figures = [
        figure
        for row in buckets
        for figure in (
            Figure("s3_objects", "gauge", "Objects in the bucket.", row["objects"], {"bucket": row["name"]}),
            Figure("s3_objects_size_sum_bytes", "gauge", "Their size.", row["bytes"], {"bucket": row["name"]}),
        )
    ]
    rows = [row for listed in contents.values() for row in listed]
    return Inspection(
        version="",
        size_bytes=_size(rows),
        sections={"buckets": buckets, "objects": rows[:50]},
        figures=tuple(figures),
    )


async def _objects(ground: Ground, bucket: str, prefix: str, *, limit: int) -> list[Row]:
    found: list[Row] = []
    after = ""
    while len(found) < limit:
        count = min(_PAGE, limit - len(found))
        query = {"list-type": "2", "max-keys": str(count), "prefix": prefix, "start-after": after}
        page = _entries(await _get(ground, f"/{bucket}", query=query))
        found += [
            {"name": f"{bucket}/{one['Key']}", "bytes": int(one["Size"]), "at": one["LastModified"]} for one in page
        ]
        if len(page) < count:
            break
        after = page[-1]["Key"]
    return found


async def _get(
    ground: Ground, path: str, *, query: Mapping[str, str] | None = None, extra: Mapping[str, str] | None = None
) -> bytes:
    """The body of the answer. Raises NotFound, Failed, OSError."""
    key = await threads.run(secret, ground)
    given = dict(query or {})
    signed = signatures.headers("GET", path, host="localhost", key=OWNER, secret=key, at=time.time(), query=given)
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**signed, **(extra or {})}.items())
    target = quote(path) + (f"?{urlencode(given, quote_via=quote)}" if given else "")
    try:
        async with asyncio.timeout(_PATIENCE), processes.dialled(ground) as (reader, writer):
            writer.write(f"GET {target} HTTP/1.0\r\n{lines}\r\n".encode())
            await writer.drain()
            answer = await _all(reader)
    except TimeoutError:
        raise Failed(say("the server did not answer within {seconds:g} s", seconds=_PATIENCE)) from None
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1]) if len(head.split()) > 1 else 0
    if status == 404:
        raise NotFound(say("there is no object {name}", name=path[1:]))
    if status not in (200, 206):
        raise Failed(say("the server answered {status}", status=status))
    return body


async def _all(reader: asyncio.StreamReader) -> bytes:
    """Everything until it closes; what is beyond the longest answer is left."""
    found = b""
    while len(found) < _LONGEST and (chunk := await reader.read(65536)):
        found += chunk
    return found


def _entries(raw: bytes) -> list[dict[str, str]]:
    return [{_tag(part): part.text or "" for part in one} for one in _parts(raw) if _tag(one) == "Contents"]


def _texts(raw: bytes, parent: str, name: str) -> list[str]:
    return [part.text or "" for one in _parts(raw) if _tag(one) == parent for part in one if _tag(part) == name]


def _parts(raw: bytes) -> list[ElementTree.Element]:
    """Of our own server's answer."""
    try:
        return list(ElementTree.fromstring(raw).iter())  # noqa: S314
    except ElementTree.ParseError:
        raise Failed(say("the server's answer cannot be read")) from None


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _size(rows: Sequence[Row]) -> int:
    return sum(row["bytes"] for row in rows)
