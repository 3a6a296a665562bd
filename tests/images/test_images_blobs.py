"""The store: what is damaged or half written is never there."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

import pytest

from aiculturekit.errors import Failed
from aiculturekit.images import contents, descriptors
from aiculturekit.images.blobs import Store
from aiculturekit.images.descriptors import Descriptor

CONTENT = b"content"
WANTED = Descriptor("x", descriptors.digest(CONTENT), len(CONTENT))


def test_what_arrives_damaged_is_not_kept(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for damaged in (b"contenT", CONTENT[:-1], b""):
        with pytest.raises(Failed, match="damaged"):
            store.receive(io.BytesIO(damaged), WANTED)
        assert not store.has(WANTED) and list(tmp_path.iterdir()) == []
    store.receive(io.BytesIO(CONTENT), WANTED)
    assert store.has(WANTED) and store.path(WANTED.digest).read_bytes() == CONTENT


def test_a_blob_of_another_size_is_written_anew(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.put(CONTENT, media_type="x") == WANTED
    store.path(WANTED.digest).write_bytes(b"cont")
    assert not store.has(WANTED)
    store.put(CONTENT, media_type="x")
    assert store.has(WANTED)


def test_a_note_that_is_not_whole_is_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep("builds", "a", {"b": 1})
    assert store.note("builds", "a") == {"b": 1} and store.note("builds", "b") is None
    (tmp_path / "builds" / "a.json").write_text('{"b": ')
    assert store.note("builds", "a") is None


def test_what_a_killed_process_left_goes_after_a_day(tmp_path: Path) -> None:
    for name, age in ((".new-old", 90_000), (".new-young", 60)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    Store(tmp_path).tidy()
    assert [path.name for path in tmp_path.iterdir()] == [".new-young"]


def test_the_code_s_digest_is_of_names_contents_links_and_the_right_to_run(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "b").symlink_to("a")
    seen = [contents.digest(tmp_path)]
    os.utime(tmp_path / "a", (1, 1))
    assert contents.digest(tmp_path) == seen[0]
    for change in (
        lambda: (tmp_path / "a").chmod(0o755),
        lambda: (tmp_path / "a").write_text("y"),
        lambda: (tmp_path / "a").rename(tmp_path / "c"),
        lambda: ((tmp_path / "b").unlink(), (tmp_path / "b").symlink_to("c")),
        lambda: ((tmp_path / "b").unlink(), (tmp_path / "b").write_text("c")),
    ):
        change()
        seen.append(contents.digest(tmp_path))
    assert len(set(seen)) == len(seen)
