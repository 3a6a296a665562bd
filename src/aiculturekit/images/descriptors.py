"""The words of the OCI image specification 1.1: media types, descriptors, and the one form in which a document is written. Pure."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Mapping
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
GZIP = f"{LAYER}+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
NAME = "org.opencontainers.image.ref.name"
"""Annotation: the tag of an image in a layout."""

SOURCE, REVISION = "org.opencontainers.image.source", "org.opencontainers.image.revision"
"""Labels: the repository, and the commit in it."""

_DOCKER = {
    "application/vnd.docker.distribution.manifest.v2+json": MANIFEST,
    "application/vnd.docker.distribution.manifest.list.v2+json": INDEX,
    "application/vnd.docker.container.image.v1+json": CONFIG,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": GZIP,
    "application/vnd.docker.image.rootfs.diff.tar": LAYER,
}
MANIFESTS = (MANIFEST, INDEX, *(docker for docker, oci in _DOCKER.items() if oci in (MANIFEST, INDEX)))
"""What is accepted where a manifest is asked for."""


@dataclasses.dataclass(frozen=True, slots=True)
class Descriptor:
    """One blob: what it is, its digest (`sha256:HEX`) and its size in bytes."""

    media_type: str
    digest: str
    size: int

    def as_dict(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}

    @property
    def hex(self) -> str:
        return self.digest.partition(":")[2]


def described(record: Mapping[str, Any]) -> Descriptor:
    """A descriptor as somebody wrote it; Docker's media types become OCI's, for the bytes are the same."""
    kind = str(record["mediaType"])
    return Descriptor(_DOCKER.get(kind, kind), str(record["digest"]), int(record["size"]))


def kind(document: Mapping[str, Any]) -> str:
    """What a manifest is, whether it says so or not."""
    said = str(document.get("mediaType", ""))
    return _DOCKER.get(said, said) or (INDEX if "manifests" in document else MANIFEST)


def written(document: Mapping[str, Any]) -> bytes:
    """Equal documents are equal bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def moment(epoch: int) -> str:
    """Seconds since 1970 as RFC 3339."""
    return datetime.datetime.fromtimestamp(epoch, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def key(*parts: object) -> str:
    """64 hex digits that name these values (text, numbers, lists and mappings of them)."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
