"""An image's file system as a folder of this machine: unpacked once for each digest, read only from then on."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from aiculturekit import installers, threads
from aiculturekit.errors import BuildFailed, HostTrouble
from aiculturekit.images import descriptors
from aiculturekit.images.blobs import Store
from aiculturekit.images.descriptors import GZIP, LAYER, Descriptor
from aiculturekit.images.extractions import Extraction
from aiculturekit.language import say

_MARK = ".complete"
_PLACES = ("proc", "dev", "sys", "tmp", "etc")
_FILES = ("etc/hosts", "etc/resolv.conf", "etc/nsswitch.conf")
"""What a container's mounts lie upon: its own root is not written to."""


async def unpacked(manifest: Descriptor, *, store: Store, places: Collection[str] = ()) -> Path:
    """The folder, made if it is not there, with `places` as folders in it. Raises BuildFailed or HostTrouble."""
    folder = store.folder / "roots" / manifest.hex
    mark = folder / _MARK
    try:
        await threads.run(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
        async with installers.locked(folder.parent / f"{manifest.hex}.lock"):
            if not mark.exists():
                await threads.run(_unpack, manifest, store, folder / "root")
                mark.touch()
            await threads.run(_prepare, folder / "root", places)
    except OSError as error:
        raise HostTrouble(
            say(
                "the image can't be unpacked into {folder}: {error}", folder=folder, error=error.strerror or str(error)
            ),
            hint=say("free some space, or mend the permissions; `aic doctor` checks both"),
        ) from error
    return folder / "root"


def prune(store: Store, *, keep: Collection[Path]) -> None:
    """Remove the roots that are not in `keep`. Blocks."""
    for folder in (store.folder / "roots").glob("*"):
        if folder.is_dir() and folder / "root" not in keep:
            with contextlib.suppress(OSError):
                (folder / _MARK).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)


def _unpack(manifest: Descriptor, store: Store, root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    document = store.document(manifest.digest)
    config = store.document(document["config"]["digest"])
    for layer, diff_id in _layers(document, config):
        Extraction(root).extract(store.path(layer.digest), diff_id=diff_id)
    root.chmod(0o755)


def _layers(document: Mapping[str, Any], config: Mapping[str, Any]) -> list[tuple[Descriptor, str]]:
    layers = [descriptors.described(one) for one in document["layers"]]
    if wrong := [one.media_type for one in layers if one.media_type not in (GZIP, LAYER)]:
        raise BuildFailed(
            say("a layer is packed in a way that can't be read here: {kind}", kind=wrong[0]),
            hint=say("take a tag or a registry that serves it with gzip"),
        )
    contents = (config.get("rootfs") or {}).get("diff_ids") or []
    if len(contents) != len(layers):
        raise BuildFailed(
            say("its configuration knows {known} layers, and it has {found}", known=len(contents), found=len(layers))
        )
    return list(zip(layers, contents, strict=True))


def _prepare(root: Path, places: Collection[str]) -> None:
    for name in (*_PLACES, *places):
        _within(root, name).mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        file = root / name
        if file.is_symlink():
            file.unlink()
        if not file.exists():
            file.touch()


def _within(root: Path, name: str) -> Path:
    """Raises BuildFailed where the image has a link on the way: what is made must not be made elsewhere."""
    place = root
    for part in Path(name.lstrip("/")).parts:
        place = place / part
        if place.is_symlink():
            raise BuildFailed(
                say("the image has a link where something is mounted: {name}", name=f"/{name.lstrip('/')}")
            )
    return place
