"""The log that a server writes ahead of its data (WAL), in parts of 16 MB: how it is kept, how a copy follows it, the names of its parts.

A server runs as somebody without a network, so all that it does with a part that is full is to leave a copy in a folder beside its data.
The folder's name is that of the log: data that begins anew (a new cluster, a copy of one) begins a log of its own, since two that have
the same past write different parts of the same name. (https://www.postgresql.org/docs/18/continuous-archiving.html)
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from aiculturekit.resources import copies, programs
from aiculturekit.resources.servers import Ground

TIMEOUT = 60
"""Seconds after which a part is closed though it is not full, if anything was written: what a lost disk can cost, together with the time
until it is carried away."""
FETCHED = f"{copies.OWN}/fetched"
"""Where a copy that is to follow a log finds its parts, below the resource's folder."""
_LOG = "log-"
_IN_EACH = 256
"""Parts of 16 MB in 4 GB, by which the last eight digits of a name count."""
_BEGINNING = re.compile(r"START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)")


def spool(ground: Ground) -> Path | None:
    """Where the server leaves the closed parts of its log; None: it keeps none. Blocks."""
    found = sorted((ground.folder / copies.OWN).glob(f"{_LOG}*"))
    return found[0] if found else None


def ensure(ground: Ground) -> None:
    """There is a spool where the log is kept. Blocks. Raises Failed."""
    if is_kept(ground) and spool(ground) is None:
        name = f"{_LOG}{time.strftime('%Y%m%dt%H%M%Sz', time.gmtime())}-{secrets.token_hex(3)}"
        programs.run(["mkdir", "-p", ground.folder / copies.OWN / name], uid=ground.uid, directory=ground.folder)


def is_kept(ground: Ground) -> bool:
    return bool(ground.body.get("archive")) and not ground.is_scratch


def settings(ground: Ground) -> Mapping[str, str]:
    """What the server is told about its log."""
    if rewind := ground.body.get("rewind"):
        return _following(rewind["at"])
    place = spool(ground)
    return _keeping(place.name) if place and is_kept(ground) else {}


def _keeping(name: str) -> Mapping[str, str]:
    """The command runs in the cluster's folder. A part that is there already is the same one (a crash between the copy and the note of it),
    or the command fails, and the server keeps the part and tries again."""
    to = f"../{copies.OWN}/{name}"
    command = (
        f"set -e; if [ -e {to}/%f ]; then exec cmp -s %p {to}/%f; fi; "
        f"cp %p {to}/.%f.new; sync {to}/.%f.new; mv {to}/.%f.new {to}/%f; sync {to}"
    )
    return {"archive_mode": "on", "archive_timeout": f"'{TIMEOUT}s'", "archive_command": f"'{command}'"}


def _following(at: str) -> Mapping[str, str]:
    """Nobody is let in before the moment is reached."""
    part = f"../{FETCHED}/%f.gz"
    return {
        "hot_standby": "off",
        "restore_command": f"'test -f {part} && gzip -dc {part} > %p'",
        "recovery_target_time": f"'{at}'",
        "recovery_target_timeline": "'current'",
        "recovery_target_action": "'promote'",
    }


def first(cluster: Path) -> str | None:
    """The part that a base backup begins in; None for a copy of a server that stood still, which no log continues. Blocks."""
    try:
        found = _BEGINNING.search((cluster / "backup_label").read_text())
    except OSError:
        return None
    return found[1] if found else None


def following(parts: Collection[str], *, first: str) -> list[str]:
    """Those of the parts that a copy which begins in `first` needs, in order. Pure."""
    return sorted(part for part in parts if part[:8] == first[:8] and _number(part) >= _number(first))


def missing(parts: Collection[str], *, first: str) -> list[str]:
    """Those that should stand between `first` and the last, and do not. Pure."""
    there = {_number(part) for part in following(parts, first=first)}
    wanted = range(_number(first), max(there, default=_number(first)) + 1)
    return [_name(first[:8], number) for number in wanted if number not in there]


def _number(part: str) -> int:
    return int(part[8:16], 16) * _IN_EACH + int(part[16:], 16)


def _name(timeline: str, number: int) -> str:
    return f"{timeline}{number // _IN_EACH:08X}{number % _IN_EACH:08X}"


def rewinding(body: Mapping[str, Any], *, at: str) -> dict[str, Any]:
    """The body of a copy that becomes what it was `at` a moment (as PostgreSQL reads one) when it is started."""
    return {key: value for key, value in body.items() if key != "archive"} | {"rewind": {"at": at}}
