"""An image from a registry into the store; blobs that are there already are not fetched."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Mapping
from typing import Any, BinaryIO, cast

from aiculturekit import threads
from aiculturekit.errors import Failed, Mistake
from aiculturekit.images import descriptors
from aiculturekit.images.blobs import Store
from aiculturekit.images.descriptors import INDEX, MANIFESTS, Descriptor
from aiculturekit.images.references import Reference
from aiculturekit.images.wires import Registry
from aiculturekit.language import say

AT_ONCE, _TRIES = 4, 3


async def pull(reference: Reference, *, platform: str, store: Store) -> Descriptor:
    """The manifest for this platform, with everything that it names. Raises Mistake, Refused, Unreachable or Failed."""
    registry = Registry(reference.registry, is_plain=reference.is_plain)
    manifest = await threads.run(_manifest, registry, reference, platform, store)
    document = store.document(manifest.digest)
    wanted = [descriptors.described(one) for one in (document["config"], *document["layers"])]
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(blob: Descriptor) -> None:
        async with gate:
            await threads.run(_blob, registry, reference.repository, blob, store)

    await asyncio.gather(*map(one, {blob.digest: blob for blob in wanted}.values()))
    return manifest


def _manifest(registry: Registry, reference: Reference, platform: str, store: Store) -> Descriptor:
    found = _document(registry, reference.repository, reference.name, store)
    document = store.document(found.digest)
    if found.media_type != INDEX:
        return found
    chosen_one = chosen(document, platform, str(reference))
    return _document(registry, reference.repository, chosen_one.digest, store)


def _document(registry: Registry, repository: str, name: str, store: Store) -> Descriptor:
    path, scope = f"/v2/{repository}/manifests/{name}", f"repository:{repository}:pull"
    raw, media_type = registry.document(path, scope=scope, accept=MANIFESTS)
    if name.startswith("sha256:") and descriptors.digest(raw) != name:
        raise Failed(
            say("{digest} arrived damaged", digest=name),
            hint=say("run the command again; a proxy or mirror may be changing what passes"),
        )
    try:
        document = json.loads(raw)
        kind = descriptors.kind({"mediaType": media_type, **document})
        if kind not in (INDEX, descriptors.MANIFEST) or not ("manifests" in document or "layers" in document):
            raise ValueError(kind)
    except (ValueError, TypeError) as error:
        raise Failed(
            say("{registry} answered with no image manifest: {error}", registry=registry.name, error=error)
        ) from error
    return store.put(raw, media_type=kind)


def chosen(index: Mapping[str, Any], platform: str, name: str) -> Descriptor:
    """The manifest for one platform. Raises Mistake."""
    system, _, architecture = platform.partition("/")
    known = [(one, one.get("platform") or {}) for one in index["manifests"]]
    for record, place in known:
        if (place.get("os"), place.get("architecture")) == (system, architecture):
            return descriptors.described(record)
    offered = sorted(
        {f"{place.get('os')}/{place.get('architecture')}" for _, place in known} - {"unknown/unknown", "None/None"}
    )
    raise Mistake(
        say("{image} is not there for {platform}", image=name, platform=platform),
        hint=say("there is {known}", known=", ".join(offered) or "-"),
    )


def _blob(registry: Registry, repository: str, blob: Descriptor, store: Store) -> None:
    """Fetched again where the line broke on the way."""
    path, scope = f"/v2/{repository}/blobs/{blob.digest}", f"repository:{repository}:pull"
    tries = 0
    while not store.has(blob):
        tries += 1
        with registry.ask("GET", path, scope=scope) as answer:
            try:
                store.receive(cast(BinaryIO, answer), blob)
            except (ConnectionError, TimeoutError, http.client.HTTPException, Failed) as error:
                if tries == _TRIES:
                    raise error if isinstance(error, Failed) else registry.unreachable(error) from error
