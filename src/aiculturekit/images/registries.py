"""Sending an image where it is wanted. What is there already is not sent again: the registry is asked first, and a blob that another of
its repositories has is mounted from there.

manifest there?   done, but for its tag
blobs             those that are missing: mounted, else uploaded, a few at a time
manifest          by its digest, then by its tag: from here on it can be pulled
attached          bill of materials and provenance, as referrers (OCI 1.1); in the fallback tag where the registry does not list them
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from aiculturekit import threads
from aiculturekit.errors import AicError, Failed
from aiculturekit.images import descriptors, references
from aiculturekit.images.blobs import Store
from aiculturekit.images.builds import Built
from aiculturekit.images.descriptors import INDEX, Descriptor
from aiculturekit.images.pulls import AT_ONCE
from aiculturekit.images.references import Reference
from aiculturekit.images.wires import Registry

_OTHERS = 8
"""Repositories that a blob is remembered to be in, for each registry."""


async def push(built: Built, *, store: Path, to: str) -> str:
    """Send the image to the repository that `to` names; its tag, or one made of the digest, names it there. Answers the reference that
    never means anything else: `REGISTRY/REPOSITORY@sha256:…`. Safe to repeat. Raises Mistake, Refused, Unreachable or Failed."""
    target = references.parse(to)
    room, line = Store(store), _Line(target, Store(store))
    blobs = [built.config, *(one.descriptor for one in built.layers)]
    await _sent(line, built.manifest, blobs, tag=target.tag or built.digest.partition(":")[2][:12])
    for kind, manifest in built.attached:
        document = await threads.run(room.document, manifest.digest)
        parts = [descriptors.described(one) for one in (document["config"], *document["layers"])]
        is_new, answer = await _sent(line, manifest, parts, tag="")
        if is_new and not answer.get("OCI-Subject"):
            await threads.run(line.listed, built.manifest, kind, manifest)
    return f"{target.registry}/{target.repository}@{built.digest}"


async def push_index(index: Descriptor, parts: Sequence[Built], *, store: Path, to: str) -> str:
    """The same for an image of several platforms, whose manifests go first."""
    target = references.parse(to)
    for built in parts:
        await push(built, store=store, to=_untagged(target))
    await _sent(_Line(target, Store(store)), index, [], tag=target.tag or index.hex[:12])
    return f"{target.registry}/{target.repository}@{index.digest}"


def _untagged(target: Reference) -> str:
    return f"{'http' if target.is_plain else 'https'}://{target.registry}/{target.repository}"


async def _sent(
    line: _Line, manifest: Descriptor, blobs: Sequence[Descriptor], *, tag: str
) -> tuple[bool, Mapping[str, str]]:
    """Whether the manifest was new there, and what the registry said when it took it."""
    if await threads.run(line.has_manifest, manifest):
        if tag:
            await threads.run(line.name, manifest, tag)
        return False, {}
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(blob: Descriptor) -> None:
        async with gate:
            await threads.run(line.send, blob)

    await asyncio.gather(*map(one, {blob.digest: blob for blob in blobs}.values()))
    answer = await threads.run(line.name, manifest, manifest.digest)
    if tag:
        await threads.run(line.name, manifest, tag)
    return True, answer


class _Line:
    """One repository, for one push. All methods block."""

    def __init__(self, target: Reference, store: Store) -> None:
        self._registry = Registry(target.registry, is_plain=target.is_plain)
        self._repository, self._store = target.repository, store
        self._root = f"/v2/{target.repository}"
        self._scope = f"repository:{target.repository}:pull,push"

    def has_manifest(self, manifest: Descriptor) -> bool:
        return self._is_there(f"{self._root}/manifests/{manifest.digest}", {"Accept": manifest.media_type})

    def _is_there(self, path: str, headers: Mapping[str, str]) -> bool:
        with self._registry.ask("HEAD", path, scope=self._scope, headers=headers, right=(200, 404)) as answer:
            return answer.status == 200

    def send(self, blob: Descriptor) -> None:
        if not self._is_there(f"{self._root}/blobs/{blob.digest}", {}):
            place = self._begun(blob)
            if place is not None:
                self._upload(blob, place)
        self._remember(blob)

    def _begun(self, blob: Descriptor) -> str | None:
        """Where to upload it; None: it was mounted from another repository."""
        for repository in self._others(blob):
            more = f" repository:{repository}:pull"
            if (place := self._opened({"mount": blob.digest, "from": repository}, more=more)) is None:
                return None
            with (
                contextlib.suppress(AicError),
                self._registry.ask("DELETE", place, scope=self._scope, right=(204, 404)),
            ):
                pass
        return self._opened({})

    def _opened(self, wanted: Mapping[str, str], *, more: str = "") -> str | None:
        path = f"{self._root}/blobs/uploads/" + (f"?{urlencode(wanted)}" if wanted else "")
        headers = {"Content-Length": "0"}
        with self._registry.ask(
            "POST", path, scope=self._scope + more, headers=headers, body=b"", right=(201, 202)
        ) as answer:
            return None if answer.status == 201 else self._registry.location(answer)

    def _upload(self, blob: Descriptor, place: str) -> None:
        where = f"{place}{'&' if '?' in place else '?'}digest={quote(blob.digest)}"
        with self._store.path(blob.digest).open("rb") as content:
            headers = {"Content-Type": "application/octet-stream"}
            with self._registry.ask(
                "PUT", where, scope=self._scope, headers=headers, body=content, length=blob.size, right=(201, 204)
            ):
                pass

    def name(self, manifest: Descriptor, name: str) -> Mapping[str, str]:
        """Put the manifest under its digest or a tag."""
        return self._put(self._store.path(manifest.digest).read_bytes(), manifest.media_type, name)

    def _put(self, content: bytes, kind: str, name: str) -> Mapping[str, str]:
        path, headers = f"{self._root}/manifests/{name}", {"Content-Type": kind}
        with self._registry.ask(
            "PUT", path, scope=self._scope, headers=headers, body=content, length=len(content), right=(200, 201, 202)
        ) as answer:
            return dict(answer.headers.items())

    def listed(self, subject: Descriptor, kind: str, manifest: Descriptor) -> None:
        """Add it to the index under the tag `sha256-HEX`: how clients find referrers in a registry that does not list them."""
        tag = subject.digest.replace(":", "-")
        known = [one for one in self._listing(tag) if one["digest"] != manifest.digest]
        index = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [*known, {**manifest.as_dict(), "artifactType": kind}],
        }
        self._put(descriptors.written(index), INDEX, tag)

    def _listing(self, tag: str) -> list[dict[str, Any]]:
        path = f"{self._root}/manifests/{tag}"
        with self._registry.ask("GET", path, scope=self._scope, headers={"Accept": INDEX}, right=(200, 404)) as answer:
            raw = answer.read() if answer.status == 200 else b"{}"
        try:
            found: list[dict[str, Any]] = json.loads(raw).get("manifests") or []
        except ValueError as error:
            raise Failed(f"{self._registry.name}: {tag}") from error
        return found

    def _others(self, blob: Descriptor) -> list[str]:
        note = self._store.note("places", self._key(blob)) or {}
        return [one for one in note.get("repositories", []) if one != self._repository][:2]

    def _remember(self, blob: Descriptor) -> None:
        note = self._store.note("places", self._key(blob)) or {}
        known = [one for one in note.get("repositories", []) if one != self._repository]
        self._store.keep("places", self._key(blob), {"repositories": [self._repository, *known][:_OTHERS]})

    def _key(self, blob: Descriptor) -> str:
        return f"{quote(self._registry.name, safe='')}/{blob.hex}"
