"""Who an image runs as: the words of its configuration, looked up in its own /etc/passwd and /etc/group."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from aiculturekit.errors import Mistake
from aiculturekit.language import say

NOBODY = 65532
"""Who runs what names nobody, or root: the same number as in a cluster."""
_LARGEST = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class User:
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = "/"


def find(text: str, *, root: Path) -> User:
    """`USER`, `UID`, `USER:GROUP`; never root. Raises Mistake for a name that the image does not know."""
    name, _, group = text.partition(":")
    known = next((one for one in _lines(root, "passwd", 6) if name and name in (one[0], one[2])), None)
    uid = int(known[2]) if known else int(name or 0) if (name or "0").isdecimal() else None
    if uid is None:
        raise Mistake(
            say("the image runs as {user}, whom its /etc/passwd does not know", user=repr(name[:60])),
            hint=say("build it with a user that it has, or a number: USER 65532"),
        )
    if uid == 0:
        return User(NOBODY, NOBODY)
    gid = _gid(group, root) if group else int(known[3]) if known else NOBODY
    return User(uid, gid or NOBODY, _groups(known[0], gid, root) if known else (), known[5] if known else "/")


def _gid(group: str, root: Path) -> int:
    known = next((one for one in _lines(root, "group", 3) if one[0] == group), None)
    if known is None and not group.isdecimal():
        raise Mistake(
            say("the image runs in the group {group}, which its /etc/group does not know", group=repr(group[:60])),
            hint=say("build it with a user that it has, or a number: USER 65532"),
        )
    return int(known[2]) if known else int(group)


def _groups(name: str, gid: int, root: Path) -> tuple[int, ...]:
    """But root's: what belongs to it is not for who runs here."""
    found = {int(one[2]) for one in _lines(root, "group", 4) if name in one[3].split(",")}
    return tuple(sorted(found - {gid, 0}))


def _lines(root: Path, name: str, count: int) -> Iterator[list[str]]:
    """Those that have as many fields, with numbers where there should be numbers. A link is not followed: it may lead out of the image."""
    file = root / "etc" / name
    if (root / "etc").is_symlink() or file.is_symlink() or not file.is_file():
        return
    with file.open("rb") as stream:
        text = stream.read(_LARGEST).decode("utf-8", "replace")
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) >= count and all(
            one.isdecimal() for one in fields[2 : min(count, 4) if name == "passwd" else 3]
        ):
            yield fields
