"""Where a server's data lies, and who runs it.

Servers do not run as root. Where the daemon does, they are run by an unprivileged user, who must be able to walk to the data: below a
home that only root may enter (/root), it lies under /var/lib/aiculturekit instead, and the home has a link to it. Where the data of
a resource lies is decided once, when it is created.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

from aiculturekit.errors import HostTrouble
from aiculturekit.language import say
from aiculturekit.resources import copies

_HOME = "home"
"""A link to the home whose sockets lie beside it."""
SITE, SITE_CACHE = Path("/var/lib/aiculturekit"), Path("/var/cache/aiculturekit")
_NOBODY = 65534


def server_uid() -> int | None:
    """The number of the user who runs servers; None: the daemon's own."""
    return _NOBODY if os.geteuid() == 0 else None


def is_reachable(path: Path, uid: int | None) -> bool:
    """Whether that user may walk to the path: every folder above must let strangers through. A daemon's own user always may."""
    return uid is None or all(_lets_through(folder) for folder in path.resolve().parents)


def _lets_through(folder: Path) -> bool:
    try:
        return bool(folder.stat().st_mode & stat.S_IXOTH)
    except FileNotFoundError:
        return True


def cache(uid: int | None) -> Path:
    """Where tools are installed."""
    usual = user_cache_path("aiculturekit") / "tools"
    return usual if is_reachable(usual / "x", uid) else SITE_CACHE / "tools"


def folder(home: Path, app: str, name: str) -> Path:
    return home / "data" / app / name


def create(home: Path, app: str, name: str, *, uid: int | None) -> Path:
    """The folder of the resource's data, made if it is not there. Blocks; raises OSError."""
    place = folder(home, app, name)
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        _make(place, home, uid)
    return place


def site(home: Path) -> Path:
    """Where what this home cannot hold lies instead."""
    return SITE / _digest(home)


def _make(place: Path, home: Path, uid: int | None) -> None:
    if is_reachable(place, uid):
        real = place
    else:
        real = SITE / _digest(home) / place.parent.name / place.name
        place.unlink(missing_ok=True)  # a link to what is gone
    copies.put_back(real)
    real.mkdir(parents=True, exist_ok=True)
    real.chmod(0o700)
    if uid is not None:
        os.chown(real, uid, uid)
    if real != place:
        place.symlink_to(real)


def snapshots(home: Path, app: str, *, uid: int | None) -> Path:
    """Where the application's snapshots lie: where servers can reach them, as they must reach their data. Not made."""
    usual = home / "snapshots" / app
    return usual if is_reachable(usual / "x", uid) else SITE / _digest(home) / ".snapshots" / app


def sockets(home: Path, app: str, name: str, *, uid: int | None) -> Path:
    """A folder for a server's sockets, whose path must be short (107 bytes in all): below the machine's temporary folder. Blocks."""
    shared = Path(tempfile.gettempdir()) / f"aic-{os.geteuid()}-{_digest(home)}"
    shared.mkdir(mode=0o711, exist_ok=True)
    found = shared.lstat()  # anybody may make it before us, as a link to a place of theirs or of ours
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise HostTrouble(
            say("{folder} is not a folder of ours alone", folder=shared),
            hint=say("remove it, or set TMPDIR to a folder of your own"),
        )
    _note(shared / _HOME, home)
    place = shared / hashlib.sha256(f"{app}/{name}".encode()).hexdigest()[:12]
    place.mkdir(mode=0o700, exist_ok=True)
    if uid is not None:
        os.chown(place, uid, uid)
    return place


def _note(link: Path, home: Path) -> None:
    with contextlib.suppress(FileExistsError):
        link.symlink_to(home.resolve())


def sweep() -> None:
    """The folders of sockets whose home is gone are gone too: a home that was killed and erased leaves them. Blocks."""
    for shared in Path(tempfile.gettempdir()).glob(f"aic-{os.geteuid()}-*"):
        with contextlib.suppress(OSError):
            if shared.lstat().st_uid == os.geteuid() and not (shared / _HOME).readlink().exists():
                shutil.rmtree(shared, ignore_errors=True)


def _digest(home: Path) -> str:
    return hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12]
