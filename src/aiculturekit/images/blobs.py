"""Blobs by their digest, in the folders of an OCI layout, and notes of what was made of what. Written whole, by a rename."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from aiculturekit.errors import Failed
from aiculturekit.images import descriptors
from aiculturekit.images.descriptors import Descriptor
from aiculturekit.language import say

_CHUNK, _DAY = 1 << 20, 86_400


class Store:
    """Everything below one folder. All methods block; several processes may use one store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def folder(self) -> Path:
        return self._folder

    def path(self, digest: str) -> Path:
        algorithm, _, value = digest.partition(":")
        return self._folder / "blobs" / algorithm / value

    def has(self, descriptor: Descriptor) -> bool:
        with contextlib.suppress(OSError):
            return self.path(descriptor.digest).stat().st_size == descriptor.size
        return False

    def put(self, content: bytes, *, media_type: str) -> Descriptor:
        found = Descriptor(media_type, descriptors.digest(content), len(content))
        if not self.has(found):
            with self.draft(found.digest) as draft:
                draft.write(content)
        return found

    def put_document(self, document: Mapping[str, Any], *, media_type: str) -> Descriptor:
        return self.put(descriptors.written(document), media_type=media_type)

    def document(self, digest: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path(digest).read_bytes())
        return found

    def receive(self, stream: BinaryIO, wanted: Descriptor) -> None:
        """Keep what the stream holds. Raises Failed when it is not what the digest says; nothing is kept then."""
        total = hashlib.sha256()
        with self.draft(wanted.digest) as draft:
            while part := stream.read(_CHUNK):
                total.update(part)
                draft.write(part)
            if f"sha256:{total.hexdigest()}" != wanted.digest:
                raise Failed(
                    say("{digest} arrived damaged", digest=wanted.digest),
                    hint=say("run the command again; a proxy or mirror may be changing what passes"),
                )

    def copy(self, file: Path, wanted: Descriptor) -> None:
        with file.open("rb") as stream:
            self.receive(stream, wanted)

    def adopt(self, file: Path, *, digest: str) -> None:
        """Move a file here whose digest is known."""
        place = self.path(digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        file.replace(place)

    @contextlib.contextmanager
    def draft(self, digest: str) -> Iterator[BinaryIO]:
        """A file that takes its place when the block ends well."""
        with self.scratch() as folder:
            file = folder / "draft"
            with file.open("wb") as stream:
                yield stream
            self.adopt(file, digest=digest)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder on the same disk that goes with the block."""
        self._folder.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".new-", dir=self._folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def tidy(self) -> None:
        """Remove what somebody left who was killed: scratch folders that are older than a day."""
        for left in self._folder.glob(".new-*"):
            with contextlib.suppress(OSError):
                if left.stat().st_mtime < time.time() - _DAY:
                    shutil.rmtree(left, ignore_errors=True)

    def note(self, kind: str, name: str) -> dict[str, Any] | None:
        """What was noted under this name; None where there is nothing, or nothing whole."""
        try:
            found: dict[str, Any] = json.loads((self._folder / kind / f"{name}.json").read_bytes())
        except (OSError, ValueError):
            return None
        return found

    def keep(self, kind: str, name: str, note: Mapping[str, Any]) -> None:
        place = self._folder / kind / f"{name}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        with self.scratch() as folder:
            (folder / "note").write_bytes(descriptors.written(note))
            os.replace(folder / "note", place)  # noqa: PTH105  # over whatever is there
