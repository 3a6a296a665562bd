"""Files that a server's user may have put a link in the place of."""

from __future__ import annotations

from pathlib import Path

from aiculturekit.resources import processes


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    for name in ("users", "users.new"):
        (tmp_path / name).symlink_to(outside)
        processes.write(tmp_path / "users", "text", uid=None)
        assert (tmp_path / "users").read_text() == "text" and not (tmp_path / "users").is_symlink()
        assert outside.read_text() == "untouched"
        (tmp_path / "users").unlink()


def test_what_is_written_is_for_its_user_alone(tmp_path: Path) -> None:
    processes.write(tmp_path / "key", "secret", uid=None)
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert processes.own_folder(tmp_path / "data", uid=None).stat().st_mode & 0o777 == 0o700
