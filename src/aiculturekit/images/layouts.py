"""Images in files: an OCI layout in a folder, and the archive that `docker load` and `podman load` read."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiculturekit.errors import HostTrouble, Mistake
from aiculturekit.images import descriptors
from aiculturekit.images.blobs import Store
from aiculturekit.images.descriptors import INDEX, NAME, Descriptor
from aiculturekit.language import say

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


def find(folder: Path, *, tag: str) -> Descriptor:
    """The image of this tag in a layout; the only one when the tag is empty. Raises Mistake."""
    try:
        listed = json.loads((folder / "index.json").read_bytes())["manifests"]
        found = [one for one in listed if _is_named(one, tag)]
        if len(found) == 1:
            return descriptors.described(found[0])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Mistake(
            say("{folder} is no OCI layout: {error}", folder=folder, error=error),
            hint=say("write oci:DIRECTORY, or oci:DIRECTORY:TAG"),
        ) from error
    names = ", ".join(str(_name(one)) for one in listed)
    raise Mistake(
        say("{folder} has no single image {tag}", folder=folder, tag=repr(tag)),
        hint=say("there is {known}", known=names or "-"),
    )


def _name(record: Mapping[str, Any]) -> str:
    return str((record.get("annotations") or {}).get(NAME, ""))


def _is_named(record: Mapping[str, Any], tag: str) -> bool:
    """What only belongs to an image (an SBOM) is none itself."""
    if "artifactType" in record:
        return False
    return not tag or _name(record) == tag or _name(record).endswith(f":{tag}")


def write(
    folder: Path, images: Mapping[str, Descriptor], *, store: Store, beside: Sequence[Mapping[str, Any]] = ()
) -> None:
    """A layout with these images by their names, and what refers to them. What else the folder holds stays. Raises HostTrouble. Blocks."""
    listed = [{**one.as_dict(), "annotations": {NAME: name}} for name, one in images.items()]
    try:
        for one in [*images.values(), *(descriptors.described(record) for record in beside)]:
            for blob in reachable(one, store=store):
                _copied(store.path(blob.digest), folder / "blobs" / "sha256" / blob.hex)
        (folder / "oci-layout").write_bytes(_LAYOUT)
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*listed, *beside]}
        draft = folder / ".index.json"
        draft.write_bytes(descriptors.written(index))
        draft.replace(folder / "index.json")
    except OSError as error:
        raise _unwritable(folder, error) from error


def reachable(one: Descriptor, *, store: Store) -> list[Descriptor]:
    """The manifest's parts, then the manifest itself: the order in which they may be sent."""
    document = store.document(one.digest)
    parts = document.get("manifests") or [document["config"], *document["layers"]]
    found: dict[str, Descriptor] = {}
    for part in map(descriptors.described, parts):
        inner = reachable(part, store=store) if "manifests" in document else [part]
        found |= {blob.digest: blob for blob in inner}
    return [*found.values(), one]


def _copied(source: Path, target: Path) -> None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(source, draft)
        draft.replace(target)


def archive(file: Path, images: Mapping[str, Descriptor], *, store: Store) -> None:
    """A docker-archive with these images by their names (NAME:TAG). Raises HostTrouble. Blocks."""
    draft = file.with_name(f".{file.name}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as tar:
            listed, written = [], set[str]()
            for name, one in images.items():
                listed.append(_archived(tar, name, one, store, written))
            _add(tar, "manifest.json", json.dumps(listed).encode())
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise _unwritable(file, error) from error


def _archived(tar: tarfile.TarFile, name: str, one: Descriptor, store: Store, written: set[str]) -> dict[str, Any]:
    manifest = store.document(one.digest)
    config = descriptors.described(manifest["config"])
    diff_ids = store.document(config.digest)["rootfs"]["diff_ids"]
    layers = [f"{diff_id.partition(':')[2]}.tar" for diff_id in diff_ids]
    for layer, record in zip(layers, manifest["layers"], strict=True):
        if layer not in written:
            written.add(layer)
            _add_plain(tar, layer, store.path(record["digest"]), store)
    if (place := f"{config.hex}.json") not in written:
        written.add(place)
        _add(tar, place, store.path(config.digest).read_bytes())
    return {"Config": place, "RepoTags": [name], "Layers": layers}


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def _add_plain(tar: tarfile.TarFile, name: str, packed: Path, store: Store) -> None:
    """Unpacked, as the archive's readers expect; a layer that was never packed goes as it is."""
    with store.scratch() as folder, packed.open("rb") as raw:
        plain = folder / "layer"
        is_packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        with plain.open("wb") as out:
            shutil.copyfileobj(gzip.GzipFile(fileobj=raw) if is_packed else raw, out, 1 << 20)
        info = tarfile.TarInfo(name)
        info.size = plain.stat().st_size
        with plain.open("rb") as content:
            tar.addfile(info, content)


def _unwritable(place: Path, error: OSError) -> HostTrouble:
    return HostTrouble(
        say("{folder} can't be written: {error}", folder=place, error=error.strerror or str(error)),
        hint=say("name another directory: -o DIRECTORY"),
    )
