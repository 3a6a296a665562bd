"""A layer unpacked: what it may do to the folder, and what it may not."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from aiculturekit.errors import BuildFailed
from aiculturekit.images.extractions import Extraction

Made = tuple[str, bytes | str, bytes]
"""Name, content or target, tar's own letter for the kind."""
FILE, LINK, HARD, FOLDER, PIPE, CHARACTER, BLOCK = (
    tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE,
)  # fmt: skip


def entry(name: str, data: bytes | str = b"x", kind: bytes = FILE) -> Made:
    return name, data, kind


def packed(entries: Iterable[Made], *, mode: int = 0o644) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data, kind in entries:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.uid, info.gid = (
                kind,
                0o755 if kind == FOLDER else mode,
                os.geteuid(),
                os.getegid(),
            )
            if isinstance(data, str):
                info.linkname = data
            else:
                info.size = len(data) if kind == FILE else 0
            tar.addfile(info, io.BytesIO(data) if isinstance(data, bytes) and kind == FILE else None)
    return raw.getvalue()


def extract(folder: Path, *entries: Made, mode: int = 0o644) -> Path:
    """The layer over what the folder's root holds."""
    root, plain = folder / "root", packed(entries, mode=mode)
    root.mkdir(exist_ok=True)
    (folder / "layer").write_bytes(gzip.compress(plain))
    Extraction(root).extract(folder / "layer", diff_id=f"sha256:{hashlib.sha256(plain).hexdigest()}")
    return root


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What must stay as it is."""
    file = tmp_path / "outside"
    file.write_text("untouched")
    return file


def test_later_layers_change_replace_and_take_away(tmp_path: Path) -> None:
    extract(tmp_path, entry("a/one"), entry("a/two"), entry("b/three"), entry("c/four"), entry("d/five"))
    root = extract(
        tmp_path, entry("a/.wh.one", b""), entry("b/.wh..wh..opq", b""), entry("b/new"), entry("d", b"now a file")
    )
    root = extract(
        tmp_path, entry("c/four", b"changed"), entry("./e/six/"), entry("f", "a/two", HARD), entry("p", b"", PIPE)
    )
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    assert found == ["a", "a/two", "b", "b/new", "c", "c/four", "d", "e", "e/six", "f", "p"]
    assert (root / "c/four").read_bytes() == b"changed" and (root / "d").read_bytes() == b"now a file"
    assert (root / "f").samefile(root / "a/two")


def test_what_a_layer_brings_stays_though_it_takes_away_around_it(tmp_path: Path) -> None:
    """An opaque folder may be said after what it holds."""
    extract(tmp_path, entry("a/old"), entry("a/b/old"))
    root = extract(
        tmp_path, entry("a", b"", FOLDER), entry("a/b", b"", FOLDER), entry("a/b/new"), entry("a/.wh..wh..opq", b"")
    )
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == ["a", "a/b", "a/b/new"]


def test_a_folder_that_is_a_link_is_followed_within_the_image(tmp_path: Path) -> None:
    """As in Debian, where /bin is usr/bin, and in images that say it with a path from the root."""
    extract(tmp_path, entry("usr/bin/sh"), entry("bin", "usr/bin", LINK), entry("sbin", "/usr/bin", LINK))
    root = extract(tmp_path, entry("bin/ls"), entry("sbin/ip"), entry("sbin/.wh.sh", b""))
    assert names(root / "usr/bin") == ["ip", "ls"] and (root / "bin").is_symlink()


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/../outside", "a/.."])
def test_names_that_lead_upwards_are_refused(tmp_path: Path, outside: Path, name: str) -> None:
    for bad in (entry(name), entry(name, b"", FOLDER), entry("z", name, HARD)):
        with pytest.raises(BuildFailed, match="out of its folder"):
            extract(tmp_path, bad)
    assert outside.read_text() == "untouched"


def test_links_lead_nowhere_outside(tmp_path: Path, outside: Path) -> None:
    before = names(tmp_path)
    root = extract(
        tmp_path,
        entry("up", "../../../../../../../..", LINK),
        entry(f"up{tmp_path}/outside", b"written through"),
        entry("direct", str(outside), LINK),
        entry("direct", b"replaced"),
        entry("hard", str(outside), LINK),
        entry("same", "hard", HARD),
    )
    assert outside.read_text() == "untouched" and (root / "direct").read_bytes() == b"replaced"
    assert (root / "same").is_symlink(), "the link itself, not what it leads to"
    assert [name for name in names(tmp_path) if name not in ("layer", "root")] == before
    with pytest.raises(BuildFailed, match="not there"):
        extract(tmp_path, entry("stolen", f"up{outside}x", HARD))
    with pytest.raises(BuildFailed, match="circle"):
        extract(tmp_path, entry("one", "two", LINK), entry("two", "one", LINK), entry("one/file"))


def test_what_is_taken_away_is_within_too(tmp_path: Path, outside: Path) -> None:
    extract(tmp_path, entry("up", str(tmp_path), LINK))
    extract(tmp_path, entry("up/.wh.outside", b""), entry("up/.wh..wh..opq", b""))
    for name in (".wh...", "a/.wh..", ".wh."):
        with pytest.raises(BuildFailed):
            extract(tmp_path, entry(name, b""))
    assert outside.read_text() == "untouched"


@pytest.mark.parametrize("kind", [CHARACTER, BLOCK])
def test_devices_are_refused_and_those_of_dev_left_out(tmp_path: Path, kind: bytes) -> None:
    root = extract(tmp_path, entry("dev/null", b"", kind), entry("after"))
    assert [path.name for path in root.iterdir() if path.name != "dev"] == ["after"]
    assert not (root / "dev" / "null").exists()
    with pytest.raises(BuildFailed, match="device"):
        extract(tmp_path, entry("etc/disk", b"", kind))


def test_folders_have_a_greatest_depth(tmp_path: Path) -> None:
    """What is deeper than a program's stack could never be removed again."""
    extract(tmp_path, entry("/".join("a" * 200)))
    for bad in (entry("/".join("a" * 1000)), entry("/".join("a" * 300), b"", FOLDER)):
        with pytest.raises(BuildFailed, match="too deep"):
            extract(tmp_path, bad)


def test_nobody_becomes_somebody_else(tmp_path: Path) -> None:
    root = extract(tmp_path, entry("su"), mode=0o6755)
    assert (root / "su").stat().st_mode & 0o7777 == 0o755


def test_what_is_damaged_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    layer = tmp_path / "layer"
    for content in (b"\x1f\x8bnothing", gzip.compress(b"no tar" * 500), gzip.compress(packed([entry("a")]))[:40]):
        layer.write_bytes(content)
        with pytest.raises(BuildFailed):
            Extraction(root).extract(layer, diff_id="sha256:0")
    layer.write_bytes(packed([entry("a")]))
    with pytest.raises(BuildFailed, match="not what its image says"):
        Extraction(root).extract(layer, diff_id="sha256:0")
