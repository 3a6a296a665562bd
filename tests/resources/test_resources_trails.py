"""The names of the parts of PostgreSQL's log."""

from __future__ import annotations

import subprocess
from pathlib import Path

from aiculturekit.resources.backends.postgres import trails
from aiculturekit.resources.servers import Ground

A, B, C, D = (f"00000001{number:016X}" for number in (0xFE, 0xFF, 1 << 32, (1 << 32) + 1))


def test_a_part_is_followed_by_the_next_across_four_gigabytes() -> None:
    assert trails.missing([A, B, C, D], first=A) == []
    assert trails.missing([A, D], first=A) == [B, C]
    assert trails.missing([], first=B) == [B], "not even the one that the backup begins in"
    assert trails.missing([A, C], first=B) == [B]


def test_what_was_before_and_what_is_of_another_timeline_is_not_followed() -> None:
    other = f"00000002{C[8:]}"
    assert trails.following([D, A, other, C], first=B) == [C, D]


def test_where_a_backup_begins_is_read_from_its_label(tmp_path: Path) -> None:
    assert trails.first(tmp_path) is None
    (tmp_path / "backup_label").write_text(
        f"START WAL LOCATION: 0/FF000028 (file {B})\nCHECKPOINT LOCATION: 0/FF000080\n"
    )
    assert trails.first(tmp_path) == B


def test_only_a_server_with_a_backup_keeps_its_log_and_no_copy_has_it(tmp_path: Path) -> None:
    for body, is_scratch in (({}, False), ({"archive": True}, True)):
        ground = Ground("shop", "books", body, tmp_path, tmp_path, tmp_path, is_scratch=is_scratch)
        trails.ensure(ground)
        assert trails.settings(ground) == {} and trails.spool(ground) is None
    kept = Ground("shop", "books", {"archive": True}, tmp_path, tmp_path, tmp_path)
    trails.ensure(kept)
    spool = trails.spool(kept)
    assert spool is not None and spool.name in trails.settings(kept)["archive_command"]
    trails.ensure(kept)
    assert trails.spool(kept) == spool, "a server that starts again goes on with its log"


def test_a_part_is_left_whole_and_never_replaced_by_another(tmp_path: Path) -> None:
    """The command as the server's shell runs it, in the cluster's folder."""
    ground = Ground("shop", "books", {"archive": True}, tmp_path, tmp_path, tmp_path)
    trails.ensure(ground)
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    (cluster / "part").write_bytes(b"one" * 1000)
    text = trails.settings(ground)["archive_command"].strip("'").replace("%f", A).replace("%p", "part")

    def run() -> int:
        return subprocess.run(text, shell=True, cwd=cluster, check=False, capture_output=True).returncode

    assert run() == 0 == run(), "once more after a crash"
    (cluster / "part").write_bytes(b"two" * 1000)
    assert run() != 0
    spool = trails.spool(ground)
    assert spool is not None and [file.name for file in spool.iterdir()] == [A]
    assert (spool / A).read_bytes() == b"one" * 1000
