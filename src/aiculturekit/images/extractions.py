"""A layer's files over those of the layers below it, in a folder that nothing of them may leave.

What a layer says is not trusted: a name is followed within the folder alone, a link on the way leads where it would lead if the folder
were the root, and what would be written over is taken away first, so that nothing is written through a link. Devices are refused, and
rights that would make somebody another user (setuid, setgid, file capabilities) are left out.
(https://github.com/opencontainers/image-spec/blob/main/layer.md)
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import stat
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from aiculturekit.errors import BuildFailed
from aiculturekit.language import say

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_MOST_LINKS, _DEEPEST = 255, 255
_DEVICES_FROM = PurePosixPath("dev")
_CHUNK = 1 << 20


class Extraction:
    """One layer over what `root` holds. Blocks."""

    def __init__(self, root: Path) -> None:
        self._root, self._own = root, set[Path]()

    def extract(self, layer: Path, *, diff_id: str) -> None:
        """Raises BuildFailed for what is no layer, what leaves its folder, or is not what `diff_id` says; OSError."""
        with layer.open("rb") as raw:
            is_packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            plain = _Hashing(cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if is_packed else raw)
            try:
                with tarfile.open(fileobj=cast(Any, plain), mode="r|", bufsize=_CHUNK) as tar:
                    for member in tar:
                        self._put(tar, member)
                while plain.read(_CHUNK):
                    pass
            except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, ValueError, OverflowError) as error:
                raise BuildFailed(say("a layer can't be read: {error}", error=error)) from error
        if plain.digest != diff_id:
            raise BuildFailed(say("a layer is not what its image says: {digest}", digest=diff_id))

    def _put(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        name = _relative(member.name)
        if name == PurePosixPath():
            return
        folder = self._folder(name.parent)
        if name.name.startswith(_WHITEOUT):
            self._remove(folder, name.name)
            return
        place = folder / name.name
        if member.isdir():
            self._make_folder(place, member)
        elif member.isdev() and not member.isfifo():
            _refuse_device(name)
            return
        else:
            _clear(place)
            self._make(tar, member, place)
        self._own.add(place)

    def _make(self, tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
        if member.islnk():
            self._link(member, place)
            return
        if member.issym():
            place.symlink_to(member.linkname)
        elif member.isfifo():
            os.mkfifo(place)
        elif member.isreg():
            self._write(tar, member, place)
        else:
            raise BuildFailed(say("a layer holds something that is no file: {name}", name=_shown(member.name)))
        _own(place, member)

    def _link(self, member: tarfile.TarInfo, place: Path) -> None:
        source = _relative(member.linkname)
        try:
            os.link(self._folder(source.parent) / source.name, place, follow_symlinks=False)
        except OSError as error:
            raise BuildFailed(
                say("a layer links to what is not there: {name}", name=_shown(member.linkname))
            ) from error

    def _write(self, tar: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
        content = tar.extractfile(member)
        with place.open("xb") as out:
            if content is not None:
                shutil.copyfileobj(content, out, _CHUNK)
        moment = max(0.0, float(member.mtime))
        os.utime(place, (moment, moment))

    def _make_folder(self, place: Path, member: tarfile.TarInfo) -> None:
        """A folder that is there is kept, with other rights; a link to one counts for what it is, and gives way."""
        if place.is_symlink() or not place.is_dir():
            self._check_depth(place, PurePosixPath(member.name))
            _clear(place)
            place.mkdir()
        _own(place, member)

    def _folder(self, name: PurePosixPath) -> Path:
        """Where the folder of this name is, made where it is not: links are followed as if the root were the system's."""
        at, rest, links = self._root, [*reversed(name.parts)], 0
        while rest:
            part = rest.pop()
            if part in (".", "/"):
                continue
            if part == "..":
                at = at if at == self._root else at.parent
                continue
            place = at / part
            if place.is_symlink():
                links += 1
                if links > _MOST_LINKS:
                    raise BuildFailed(say("a layer's links lead in a circle: {name}", name=_shown(str(name))))
                target = PurePosixPath(place.readlink())
                at = self._root if target.is_absolute() else at
                rest += reversed(target.parts)
                continue
            if not place.is_dir():
                self._check_depth(place, name)
                _clear(place)
                place.mkdir()
                self._own.add(place)
            at = place
        return at

    def _check_depth(self, place: Path, name: PurePosixPath) -> None:
        """What removes a folder goes down into it, and has a bottom of its own."""
        if len(place.parts) - len(self._root.parts) > _DEEPEST:
            raise BuildFailed(say("a layer's folders are too deep: {name}", name=_shown(str(name))))

    def _remove(self, folder: Path, name: str) -> None:
        """What the layers below have; what this one brought stays, whatever the order."""
        if name == _OPAQUE:
            for entry in list(folder.iterdir()):
                self._remove_below(entry)
            return
        gone = name.removeprefix(_WHITEOUT)
        if gone.startswith(_WHITEOUT):  # an older file system's own notes
            return
        if gone in ("", ".", ".."):
            raise BuildFailed(say("a layer takes away what is no name: {name}", name=_shown(name)))
        self._remove_below(folder / gone)

    def _remove_below(self, place: Path) -> None:
        if place not in self._own:
            _clear(place)
        elif place.is_dir() and not place.is_symlink():
            for entry in list(place.iterdir()):
                self._remove_below(entry)


def _relative(name: str) -> PurePosixPath:
    """Without what would lead upwards: a name that has it is refused."""
    path = PurePosixPath(name.lstrip("/"))
    if ".." in path.parts or "\0" in name:
        raise BuildFailed(say("a layer leads out of its folder: {name}", name=_shown(name)))
    return path


def _shown(name: str) -> str:
    """It comes from outside: nothing in it may move a cursor."""
    return repr(name[:200])


def _refuse_device(name: PurePosixPath) -> None:
    """Those of /dev are left out, as every container is given its own."""
    if _DEVICES_FROM not in name.parents:
        raise BuildFailed(say("a layer holds a device: {name}", name=_shown(str(name))))


def _clear(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _own(place: Path, member: tarfile.TarInfo) -> None:
    if os.geteuid() == 0:
        os.chown(place, member.uid, member.gid, follow_symlinks=False)
    if not member.issym():
        place.chmod(member.mode & (0o777 | stat.S_ISVTX))


class _Hashing:
    """Passes on what is read, and knows its digest."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._total = stream, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        part = self._stream.read(size)
        self._total.update(part)
        return part

    @property
    def digest(self) -> str:
        return f"sha256:{self._total.hexdigest()}"
