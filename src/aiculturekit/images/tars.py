"""Layers: entries in, a compressed tar out, byte for byte the same each time."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from aiculturekit.images import descriptors
from aiculturekit.images.blobs import Store
from aiculturekit.images.descriptors import Descriptor

EPOCH = 315_532_800
"""1980-01-01, the time of every entry that has no other: a zip file knows nothing before it."""
_LEVEL = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One name in a layer. `data` is a file's content or where it is, or a link's target. All belong to root: what runs may not
    change it."""

    name: str
    kind: Literal["file", "folder", "link"]
    data: Path | bytes | str = b""
    is_executable: bool = False
    mtime: int = EPOCH


@dataclasses.dataclass(frozen=True, slots=True)
class Layer:
    """A layer as the manifest names it (`descriptor`) and as the config does: `diff_id` is the digest of the tar itself. `title` says
    what it holds."""

    descriptor: Descriptor
    diff_id: str
    title: str

    def as_dict(self) -> dict[str, Any]:
        return {"descriptor": self.descriptor.as_dict(), "diff_id": self.diff_id, "title": self.title}


def layer(record: dict[str, Any]) -> Layer:
    return Layer(descriptors.described(record["descriptor"]), record["diff_id"], record["title"])


def make(entries: Iterable[Entry], *, title: str, store: Store) -> Layer:
    """The layer, kept in the store. Folders on the way to an entry are added. Blocks."""
    with store.scratch() as folder:
        draft = folder / "layer"
        with draft.open("wb") as raw:
            packed = _Counting(raw)
            # GzipFile writes no name and no time when told so; level and format are zlib's own.
            with gzip.GzipFile(
                filename="", mode="wb", compresslevel=_LEVEL, fileobj=cast(Any, packed), mtime=0
            ) as pressed:
                plain = _Counting(cast(BinaryIO, pressed))
                _write(complete(entries), plain)
        descriptor = Descriptor(descriptors.GZIP, packed.digest, packed.size)
        if not store.has(descriptor):
            store.adopt(draft, digest=descriptor.digest)
        return Layer(descriptor, plain.digest, title)


def complete(entries: Iterable[Entry]) -> list[Entry]:
    """Sorted, each name once (the last one counts), with the folders above them."""
    named = {entry.name: entry for entry in entries}
    for name in list(named):
        for above in list(Path(name).parents)[:-1]:
            named.setdefault(str(above), Entry(str(above), "folder"))
    return [named[name] for name in sorted(named)]


def _write(entries: list[Entry], stream: _Counting) -> None:
    with tarfile.open(fileobj=cast(Any, stream), mode="w|", format=tarfile.PAX_FORMAT, bufsize=1 << 20) as tar:
        for entry in entries:
            info = _info(entry)
            if entry.kind != "file":
                tar.addfile(info)
            elif isinstance(entry.data, Path):
                with entry.data.open("rb") as content:
                    tar.addfile(info, content)
            else:
                tar.addfile(info, io.BytesIO(cast(bytes, entry.data)))


def _info(entry: Entry) -> tarfile.TarInfo:
    info = tarfile.TarInfo(entry.name)
    info.mtime, info.mode = entry.mtime, 0o755 if entry.kind == "folder" or entry.is_executable else 0o644
    if entry.kind == "folder":
        info.type = tarfile.DIRTYPE
    elif entry.kind == "link":
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(entry.data), 0o777
    else:
        info.size = entry.data.stat().st_size if isinstance(entry.data, Path) else len(cast(bytes, entry.data))
    return info


class _Counting:
    """Passes on what is written, and knows its digest and size."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._total, self.size = stream, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self._total.update(data)
        self.size += len(data)
        return self._stream.write(data)

    def flush(self) -> None:
        self._stream.flush()

    @property
    def digest(self) -> str:
        return f"sha256:{self._total.hexdigest()}"
