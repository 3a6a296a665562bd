"""Two folders that change places, whatever the file system can."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from aiculturekit.errors import HostTrouble
from aiculturekit.resources import copies, places


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("copy", "data"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "is").write_text(name)
    return tmp_path / "copy", tmp_path / "data"


def contents(pair: tuple[Path, Path]) -> list[str]:
    return [(folder / "is").read_text() for folder in pair]


def test_two_folders_change_places(pair: tuple[Path, Path]) -> None:
    copies.exchange(*pair)
    assert contents(pair) == ["data", "copy"]


class Library:
    """A C library without the call, or one whose file system does not know it."""

    def __init__(self, number: int | None) -> None:
        if number is not None:
            self.renameat2 = self.renamex_np = lambda *_: self._refuse(number)

    def _refuse(self, number: int) -> int:
        copies.ctypes.set_errno(number)
        return -1


@pytest.mark.parametrize("number", [None, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_there_is_no_such_call_three_renames_do_it(
    number: int | None, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies.ctypes, "CDLL", lambda *_, **__: Library(number))
    copies.exchange(*pair)
    assert contents(pair) == ["data", "copy"]
    assert sorted(one.name for one in pair[0].parent.iterdir()) == ["copy", "data"]


def test_what_cannot_be_exchanged_is_said_and_stays(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies.ctypes, "CDLL", lambda *_, **__: Library(errno.EXDEV))
    with pytest.raises(HostTrouble, match="change places"):
        copies.exchange(*pair)
    assert contents(pair) == ["copy", "data"]


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_rename_that_fails_leaves_both_where_they_were(
    step: int, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies.ctypes, "CDLL", lambda *_, **__: Library(None))
    whole, done = Path.rename, iter(range(1, 10))

    def rename(self: Path, target: Path) -> Path:
        if next(done) == step:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return whole(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(HostTrouble):
        copies.exchange(*pair)
    assert contents(pair) == ["copy", "data"]


def test_data_that_a_killed_exchange_took_away_is_found_again(tmp_path: Path) -> None:
    data = places.create(tmp_path, "shop", "books", uid=None)
    (data / "row").touch()
    data.rename(data.with_name(".books.0a1b2c3d.aside"))
    assert (places.create(tmp_path, "shop", "books", uid=None) / "row").exists()
