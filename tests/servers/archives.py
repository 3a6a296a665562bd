"""Images for tests: archives in OCI's layout, made of files on this machine. The same files make the same bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
_OCI = "application/vnd.oci.image"


@dataclasses.dataclass(frozen=True)
class Image:
    """`content` says what stands at a path in it: a file here, a text, the target of a link (`Link`), or a directory's mode."""

    reference: str
    content: Mapping[str, Path | bytes | Link | int]
    command: Sequence[str]
    user: str = "65534:65534"
    environment: Sequence[str] = (PATH,)


@dataclasses.dataclass(frozen=True)
class Link:
    target: str


def write(image: Image, *, to: Path) -> Path:
    """The archive, under its name only when it is whole."""
    blobs: dict[str, bytes] = {}
    layer = _blob(blobs, _layer(image.content), f"{_OCI}.layer.v1.tar")
    config = {
        "architecture": _MACHINES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": [*image.command], "Env": [*image.environment], "User": image.user},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": _blob(blobs, _json(config), f"{_OCI}.config.v1+json"),
        "layers": [layer],
    }
    top = _blob(blobs, _json(manifest), f"{_OCI}.manifest.v1+json")
    names = {
        "io.containerd.image.name": image.reference,
        "org.opencontainers.image.ref.name": image.reference.rsplit(":", 1)[1],
    }
    index = {"schemaVersion": 2, "manifests": [top | {"annotations": names}]}
    draft = to.with_name(f".{to.name}")
    with tarfile.open(draft, "w") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(archive, "index.json", _json(index))
        for digest, data in blobs.items():
            _add(archive, f"blobs/sha256/{digest}", data)
    return draft.rename(to)


def _blob(blobs: dict[str, bytes], data: bytes, kind: str) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    blobs[digest] = data
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}


def _layer(content: Mapping[str, Path | bytes | Link | int]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in sorted(content):
            _add(archive, name, content[name])
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, what: Path | bytes | Link | int) -> None:
    info = tarfile.TarInfo(name)
    if isinstance(what, Link):
        info.type, info.linkname = tarfile.SYMTYPE, what.target
        archive.addfile(info)
    elif isinstance(what, int):
        info.type, info.mode = tarfile.DIRTYPE, what
        archive.addfile(info)
    else:
        data = what if isinstance(what, bytes) else what.read_bytes()
        is_program = isinstance(what, Path) and what.stat().st_mode & 0o111
        info.size, info.mode = len(data), 0o755 if is_program else 0o644
        archive.addfile(info, io.BytesIO(data))


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
