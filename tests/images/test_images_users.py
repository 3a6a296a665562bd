"""Who an image runs as."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiculturekit.errors import Mistake
from aiculturekit.images import users
from aiculturekit.images.users import User

PASSWD = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:1000:1001::/home/web:/bin/sh\nodd:x:one:two::/:/bin/sh\n"
GROUP = "root:x:0:web\nweb:x:1001:\nlogs:x:7:web,other\nweird:x:nine:web\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text(PASSWD)
    (tmp_path / "etc" / "group").write_text(GROUP)
    return tmp_path


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("web", User(1000, 1001, (7,), "/home/web")),
        ("1000", User(1000, 1001, (7,), "/home/web")),
        ("web:logs", User(1000, 7, (), "/home/web")),
        ("5:6", User(5, 6)),
        ("5", User(5, users.NOBODY)),
        ("", User(users.NOBODY, users.NOBODY)),
        ("root", User(users.NOBODY, users.NOBODY)),
        ("0:0", User(users.NOBODY, users.NOBODY)),
        ("web:0", User(1000, users.NOBODY, (7,), "/home/web")),
    ],
)
def test_it_is_looked_up_in_the_image_and_never_root(root: Path, said: str, found: User) -> None:
    assert users.find(said, root=root) == found


@pytest.mark.parametrize("said", ["nobody-here", "web:nowhere", "odd", "-1"])
def test_who_is_not_known_is_refused(root: Path, said: str) -> None:
    with pytest.raises(Mistake, match="does not know"):
        users.find(said, root=root)


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(Mistake):
        users.find("daemon", root=tmp_path)
    assert users.find("7", root=tmp_path) == User(7, users.NOBODY)
