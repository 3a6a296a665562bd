"""Where data lies, and who may walk there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from aiculturekit.errors import HostTrouble
from aiculturekit.resources import places

ROOT = os.geteuid() == 0


def test_a_folder_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    made = places.create(tmp_path, "shop", "users-db", uid=None)
    (made / "kept").touch()
    assert places.create(tmp_path, "shop", "users-db", uid=None) == made == tmp_path / "data" / "shop" / "users-db"
    assert (made / "kept").exists()
    assert made.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not ROOT, reason="only root runs servers as somebody else")
def test_below_a_home_that_only_root_may_enter_data_lies_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "SITE", tmp_path / "site")
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    made = places.create(home, "shop", "users-db", uid=65534)
    assert made.is_symlink()
    real = made.resolve()
    assert real.is_relative_to(tmp_path / "site") and real.stat().st_uid == 65534
    assert places.create(home, "shop", "users-db", uid=65534).resolve() == real, "decided once"


@pytest.mark.skipif(not ROOT, reason="only root runs servers as somebody else")
def test_a_link_to_what_is_gone_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "SITE", tmp_path / "site")
    (tmp_path / "home").mkdir(mode=0o700)
    real = places.create(tmp_path / "home", "shop", "users-db", uid=65534).resolve()
    real.rmdir()
    assert places.create(tmp_path / "home", "shop", "users-db", uid=65534).resolve().is_dir()


def test_paths_of_sockets_are_short_and_differ(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 60)
    found = {places.sockets(deep, app, name, uid=None) for app in ("a" * 60, "b") for name in ("c" * 60, "d")}
    assert len(found) == 4
    assert all(len(str(place / ".s.PGSQL.65535.lock")) < 107 for place in found)


def test_a_folder_for_sockets_that_somebody_made_before_us_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places.tempfile, "gettempdir", lambda: str(tmp_path))
    shared = places.sockets(tmp_path, "shop", "db", uid=None).parent
    shutil.rmtree(shared)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    shared.symlink_to(theirs)
    with pytest.raises(HostTrouble, match="not a folder of ours alone"):
        places.sockets(tmp_path, "shop", "db", uid=None)
    shared.unlink()
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(HostTrouble, match="TMPDIR"):
        places.sockets(tmp_path, "shop", "db", uid=None)
    assert list(theirs.iterdir()) == []


def test_folders_for_sockets_go_with_their_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places.tempfile, "gettempdir", lambda: str(tmp_path))
    homes = [tmp_path / name for name in ("kept", "erased")]
    for home in homes:
        home.mkdir()
    kept, erased = (places.sockets(home, "shop", "db", uid=None) for home in homes)
    assert places.sockets(homes[0], "shop", "other", uid=None).parent == kept.parent
    somebodys = tmp_path / f"aic-{os.geteuid()}-elses"
    somebodys.mkdir()
    homes[1].rmdir()
    places.sweep()
    assert kept.is_dir() and somebodys.is_dir() and not erased.parent.exists()


def test_reachable_is_what_every_folder_above_lets_through(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert places.is_reachable(closed / "x", None)
    assert not places.is_reachable(closed / "x", 65534)
