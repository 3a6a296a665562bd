"""The image that a workload's own layers lie upon: found, fetched once, looked into, and known from then on without a network."""

from __future__ import annotations

import dataclasses
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiculturekit import threads
from aiculturekit.errors import Again, BuildFailed, Failed, Mistake, Refused
from aiculturekit.images import descriptors, facts, layouts, pulls, references
from aiculturekit.images.blobs import Store
from aiculturekit.images.descriptors import GZIP, INDEX, LAYER, Descriptor
from aiculturekit.images.facts import Facts
from aiculturekit.images.references import Reference
from aiculturekit.images.tars import Layer, layer
from aiculturekit.language import say

MIRROR = "AIC_REGISTRY_MIRROR"
"""Variable of the environment: HOST[/PATH] instead of Docker Hub, or REGISTRY=HOST[/PATH]; several with commas. Asked first."""
Progress = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Base:
    """One base for one platform. `digest` is its manifest's; `config` the image configuration's document."""

    reference: str
    digest: str
    config: Mapping[str, Any] = dataclasses.field(hash=False)
    layers: tuple[Layer, ...]
    facts: Facts

    @property
    def is_layout(self) -> bool:
        return self.reference.startswith("oci:")

    def as_dict(self) -> dict[str, Any]:
        return {
            "reference": self.reference,
            "digest": self.digest,
            "config": self.config,
            "layers": [one.as_dict() for one in self.layers],
            "facts": self.facts.as_dict(),
        }


async def find(
    text: str, *, platform: str, store: Store, is_fresh: bool, mirrors: str | None, progress: Progress
) -> Base:
    """The base that `text` names. What is in the store is used as it is, unless `is_fresh` asks its registry for what the name means now.
    Raises Mistake, Refused, Unreachable or Failed."""
    reference = references.parse(text)
    name = descriptors.key(_identity(reference), platform)
    known = await threads.run(store.note, "bases", name)
    if known and not reference.is_layout and not is_fresh and (found := _whole(known, store)):
        return found
    manifest = await fetched(reference, platform, store, mirrors, progress)
    if known and known["digest"] == manifest.digest and (found := _whole(known, store)):
        return found
    found = await threads.run(_opened, str(reference), manifest, platform, store)
    await threads.run(store.keep, "bases", name, found.as_dict())
    return found


def _identity(reference: Reference) -> str:
    return f"oci:{Path(reference.repository).absolute()}:{reference.tag}" if reference.is_layout else str(reference)


def _whole(note: dict[str, Any], store: Store) -> Base | None:
    """None where a blob is missing: it is fetched again."""
    layers = tuple(layer(one) for one in note["layers"])
    if not all(store.has(one.descriptor) for one in layers):
        return None
    return Base(note["reference"], note["digest"], note["config"], layers, facts.facts(note["facts"]))


async def fetched(
    reference: Reference, platform: str, store: Store, mirrors: str | None, progress: Progress
) -> Descriptor:
    if reference.is_layout:
        return await threads.run(_copied, reference, platform, store)
    *before, last = [*mirrored(reference, os.environ.get(MIRROR, "") if mirrors is None else mirrors), reference]
    progress(say("fetching {image}", image=reference))
    for place in before:
        try:
            return await pulls.pull(place, platform=platform, store=store)
        except (Again, Failed, Refused) as error:  # a mirror is a help, not a condition
            progress(
                say("the mirror {registry} does not have it: {error}", registry=place.registry, error=error.message)
            )
    return await pulls.pull(last, platform=platform, store=store)


def mirrored(reference: Reference, mirrors: str) -> list[Reference]:
    """Where else the image may be, by the words of AIC_REGISTRY_MIRROR. Raises Mistake."""
    found = []
    for word in mirrors.replace(",", " ").split():
        registry, _, place = word.rpartition("=")
        if (registry or references.DOCKER_HUB) == reference.registry:
            scheme, _, rest = place.rpartition("://")
            prefix = f"{scheme}://" if scheme else ""
            host = f"{prefix}{rest.rstrip('/')}"
            other = references.parse(f"{host}/{reference.repository}")
            found.append(dataclasses.replace(other, tag=reference.tag, digest=reference.digest))
    return found


def _copied(reference: Reference, platform: str, store: Store) -> Descriptor:
    """From a layout into the store."""
    folder = Path(reference.repository)
    top = layouts.find(folder, tag=reference.tag)
    outside = Store(folder)
    try:
        if top.media_type == INDEX:
            top = pulls.chosen(outside.document(top.digest), platform, str(reference))
        for blob in layouts.reachable(top, store=outside):
            if not store.has(blob):
                store.copy(outside.path(blob.digest), blob)
    except (OSError, ValueError, KeyError) as error:
        raise Mistake(
            say("{folder} is no OCI layout: {error}", folder=folder, error=error),
            hint=say("write oci:DIRECTORY, or oci:DIRECTORY:TAG"),
        ) from error
    return top


def _opened(name: str, manifest: Descriptor, platform: str, store: Store) -> Base:
    document = store.document(manifest.digest)
    config = store.document(document["config"]["digest"])
    blobs = [descriptors.described(one) for one in document["layers"]]
    _check(name, config, [blob.media_type for blob in blobs], platform)
    diff_ids = config["rootfs"]["diff_ids"]
    layers = tuple(Layer(blob, diff_id, "base") for blob, diff_id in zip(blobs, diff_ids, strict=True))
    try:
        known = facts.read(store.path(blob.digest) for blob in blobs)
    except (OSError, tarfile.TarError, EOFError) as error:
        raise BuildFailed(say("a layer of {image} can't be read: {error}", image=name, error=error)) from error
    return Base(name, manifest.digest, config, layers, known)


def _check(name: str, config: Mapping[str, Any], kinds: list[str], platform: str) -> None:
    found = f"{config.get('os')}/{config.get('architecture')}"
    if found != platform:
        raise Mistake(
            say("{image} is for {found}, not for {platform}", image=name, found=found, platform=platform),
            hint=say("name a base for {platform}, or another --platform", platform=platform),
        )
    if wrong := [kind for kind in kinds if kind not in (GZIP, LAYER)]:
        raise BuildFailed(
            say("a layer of {image} is packed in a way that can't be read here: {kind}", image=name, kind=wrong[0]),
            hint=say("take a tag or a registry that serves it with gzip"),
        )
