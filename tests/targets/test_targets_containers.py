"""The folders that a container is given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aiculturekit.images.users import User
from aiculturekit.targets.local import containers

USER = User(65532, 65532)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_data_is_given_to_who_runs_in_it_and_nothing_beyond(tmp_path: Path) -> None:
    outside, data = tmp_path / "outside", tmp_path / "data"
    for folder in (outside, data / "deep"):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    (data / "link").symlink_to(outside)
    (data / "way").symlink_to(outside / "file")
    containers._give(data, USER)
    given = [data, data / "deep", data / "deep" / "file", data / "link", data / "way"]
    assert {one.lstat().st_uid for one in given} == {USER.uid}
    assert {one.stat().st_uid for one in (outside, outside / "file")} == {0}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An earlier container of the workload goes on writing while the next one is made ready."""
    outside, data = tmp_path / "outside", tmp_path / "data"
    for folder in (outside, data / "deep"):
        folder.mkdir(parents=True)
        (folder / "file").write_text("x")
    real = os.chown

    def chown(place: str | int, uid: int, gid: int, **rest: int | bool) -> None:
        if place == "deep":
            (data / "deep").rename(data / "moved")
            (data / "deep").symlink_to(outside)
        real(place, uid, gid, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "chown", chown)
    containers._give(data, USER)
    assert {one.stat().st_uid for one in (outside, outside / "file")} == {0}
