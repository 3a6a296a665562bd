"""The code of a workload as entries of a layer: what `trees` counts as code, less what a .dockerignore names and what may be secret."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from aiculturekit import trees
from aiculturekit.images import ignores
from aiculturekit.images.ignores import Rule
from aiculturekit.images.tars import EPOCH, Entry

IGNORED = (
    ".env", ".env.*", ".netrc", ".npmrc", ".pypirc", "id_rsa*", "id_ed25519*", ".gitignore", ".gitattributes",
    ".dockerignore", ".aicignore", "Dockerfile*",
)  # fmt: skip
"""Names that no image needs, or that must not leave the machine unless a rule `!NAME` of .dockerignore says so."""
EVERYWHERE = trees.IGNORED
"""Names that are no code anywhere."""
_YEARS = 10 * 365 * 86_400


def entries(directory: Path, *, under: str) -> list[Entry]:
    """Everything, sorted, below the folder `under` of the image. Blocks."""
    found = [_entry(directory, path, under) for path in paths(directory)]
    return sorted(found, key=lambda entry: entry.name)


def digest(directory: Path) -> str:
    """64 hex digits for names, contents, links and the right to run. Blocks."""
    total = hashlib.sha256()
    for path in sorted(paths(directory)):
        name = path.relative_to(directory).as_posix().encode("utf-8", "surrogateescape")
        is_link = path.is_symlink()
        content = hashlib.sha256(str(path.readlink()).encode("utf-8", "surrogateescape")) if is_link else _hashed(path)
        kind = b"link" if is_link else b"program" if _is_executable(path) else b"file"
        total.update(b"\0".join([name, kind, content.digest()]))
    return total.hexdigest()


def _hashed(path: Path) -> hashlib._Hash:
    """Without holding it in memory: a model or a film may be part of the code."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256")


def _is_executable(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o100)


def paths(directory: Path) -> Iterator[Path]:
    """Files and links that belong into an image."""
    names = [*trees.rules(directory), *IGNORED]
    own = _rules(directory)
    for folder, folders, files in os.walk(directory):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        kept = [
            name for name in folders if name not in links and _is_kept(directory, Path(folder, name), names, own, True)
        ]
        folders[:] = sorted(kept)
        yield from (
            Path(folder, name)
            for name in [*files, *links]
            if _is_kept(directory, Path(folder, name), names, own, False)
        )


def _rules(directory: Path) -> tuple[Rule, ...]:
    file = directory / ".dockerignore"
    return ignores.rules(file.read_text("utf-8", "replace")) if file.is_file() else ()


def _is_kept(directory: Path, path: Path, names: list[str], own: Sequence[Rule], is_folder: bool) -> bool:
    place = path.relative_to(directory).as_posix()
    if is_folder and ignores.may_hold(place, own):
        return True
    said = ignores.verdict(place, own)
    if said is not None:
        return not said
    if not is_folder and not path.is_symlink() and not path.is_file():  # a socket or a pipe
        return False
    return not any(trees.is_ignored(part, names) for part in Path(place).parts)


def _entry(directory: Path, path: Path, under: str) -> Entry:
    name = f"{under}/{path.relative_to(directory).as_posix()}"
    if path.is_symlink():
        return Entry(name, "link", str(path.readlink()))
    return Entry(name, "file", path, _is_executable(path), _mtime(path))


def _mtime(path: Path) -> int:
    """A moment that the content decides. One and the same for all would make web servers, which form an ETag of size and time, answer
    "not modified" for a file that did change; the real one differs with every clone."""
    value = int.from_bytes(_hashed(path).digest()[:4], "big")
    return EPOCH + value % _YEARS
