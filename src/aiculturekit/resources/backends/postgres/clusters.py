"""A cluster's files on disk, before its server runs: made once as a whole, never touched where they do not fit."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import secrets
import shutil
import sys
from pathlib import Path

from aiculturekit.errors import Failed, Refused
from aiculturekit.language import say
from aiculturekit.resources import copies, processes, programs
from aiculturekit.resources.backends.postgres import trails
from aiculturekit.resources.backends.postgres.scripts import VIEWER
from aiculturekit.resources.servers import Ground

OWNER = "aic"
"""The administrator's name in every cluster."""
_SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "password_encryption": "'scram-sha-256'",
    "shared_buffers": "'32MB'",
    "max_connections": "200",
    "shared_preload_libraries": "'pg_stat_statements'",
    "log_min_error_statement": "'panic'",
    "log_line_prefix": "'%q%u@%d '",
    "max_wal_size": "'256MB'",
    "min_wal_size": "'32MB'",
    "wal_level": "'replica'",
}
"""A statement that fails may hold what nobody should read: the log names the error, not the statement."""
_ADMISSION = f"""local all {OWNER} peer map={OWNER}
local all {VIEWER} peer map={OWNER}
local replication {OWNER} peer map={OWNER}
host all {OWNER},{VIEWER} all reject
host all all 127.0.0.1/32 scram-sha-256
"""
_INITDB = (
    *("--username", OWNER, "--auth-local", "peer", "--auth-host", "scram-sha-256", "--encoding", "UTF8"),
    *("--locale-provider", "builtin", "--locale", "C.UTF-8", "--data-checksums", "--no-instructions", "--no-sync"),
)
_UNFLUSHED = "unflushed"
_SCRATCH = {"fsync": "off"}
"""A copy is recovered before it can be used, which flushes every file of it: a second for nothing."""


def folder(ground: Ground) -> Path:
    return ground.folder / "cluster"


def ensure(ground: Ground, *, version: str, package: str) -> None:
    """A cluster of this major version is there (made by the tool's `package`), with the settings that we give it. Blocks. Raises Failed,
    Refused."""
    cluster = folder(ground)
    if cluster.is_dir():
        _require_version(ground, version)
        _forget_the_dead(ground)
    else:
        _initialise(ground, package)
    trails.ensure(ground)
    _configure(ground)
    if "rewind" in ground.body:
        processes.write(cluster / "recovery.signal", "", uid=ground.uid)


def _require_version(ground: Ground, version: str) -> None:
    cluster = folder(ground)
    try:
        found = (cluster / "PG_VERSION").read_text().strip()
    except OSError:
        raise _damaged(ground, "PG_VERSION") from None
    if not (cluster / "global" / "pg_control").is_file():
        raise _damaged(ground, "global/pg_control")
    if found != version:
        raise Refused(
            say(
                "resources/{name}: its data is of PostgreSQL {found}, not {version}; nothing was touched",
                name=ground.name,
                found=found,
                version=version,
            ),
            hint=say(
                "write `version: {found}` where that can be had; to move, save it with the pg_dumpall of {found} and load that into a "
                "new resource",
                found=found,
            ),
        )


def _damaged(ground: Ground, file: str) -> Failed:
    return Failed(
        say(
            "resources/{name}: the data in {folder} is damaged: it has no {file}",
            name=ground.name,
            folder=folder(ground),
            file=file,
        ),
        hint=say("restore a snapshot or a backup of it; nothing was touched"),
    )


def _forget_the_dead(ground: Ground) -> None:
    """A server that was killed leaves postmaster.pid, whose number may be anybody's by now (after a reboot it often is): PostgreSQL would
    not start then. Only a process that works in the cluster's folder is a server of it, and keeps its file: PostgreSQL refuses a second."""
    file = folder(ground) / "postmaster.pid"
    try:
        pid = int(file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    if Path("/proc/self").exists() and not _works_in(pid, folder(ground)):
        file.unlink(missing_ok=True)


def _works_in(pid: int, cluster: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").resolve(strict=True) == cluster.resolve()
    except OSError:
        return False


def _initialise(ground: Ground, package: str) -> None:
    """Under another name first: a cluster that is there is whole."""
    fresh = folder(ground).with_name("cluster.new")
    shutil.rmtree(fresh, ignore_errors=True)
    if pristine := _pristine(ground, package):
        copies.tree(pristine, fresh)
        copies.own(fresh, ground.uid)
        _rename_system(ground, fresh)
    else:
        _initdb(ground, fresh)
    with (fresh / "postgresql.conf").open("a") as file:
        file.write("include_if_exists = 'aic.conf'\n")
    (ground.folder / _UNFLUSHED).touch()
    fresh.rename(folder(ground))


def _initdb(ground: Ground, place: Path) -> None:
    programs.run([ground.programs / "initdb", "-D", place, *_INITDB], uid=ground.uid, directory=ground.folder)


def _pristine(ground: Ground, package: str) -> Path | None:
    """A cluster that nobody ever used, made once for all: copying one takes a sixth of the time. It belongs to the daemon's user, so that
    no server can change what later ones begin with. None where the cache can't be written."""
    if ground.cache is None:
        return None
    digest = hashlib.sha256(repr((package, _INITDB)).encode()).hexdigest()[:8]
    place = ground.cache / f"cluster-{package}-{digest}"
    try:
        ground.cache.mkdir(parents=True, exist_ok=True)
        with place.with_name(f"{place.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.is_dir():
                _make_pristine(ground, place)
    except OSError:
        return None
    return place


def _make_pristine(ground: Ground, place: Path) -> None:
    fresh = place.with_name(f"{place.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    copies.own(fresh, ground.uid)
    _initdb(ground, fresh)
    copies.own(fresh, os.geteuid())
    fresh.rename(place)


def _rename_system(ground: Ground, cluster: Path) -> None:
    """A copy is a system of its own: by this number a log or a backup of another one is told apart. It is the first field of pg_control
    (src/include/catalog/pg_control.h); pg_resetwal writes the log anew with it, and the checksum that no longer fits."""
    with (cluster / "global" / "pg_control").open("r+b") as file:
        file.write(secrets.randbits(63).to_bytes(8, sys.byteorder))
    programs.run([ground.programs / "pg_resetwal", "-f", "-D", cluster], uid=ground.uid, directory=ground.folder)


def flush(ground: Ground) -> str:
    """For the shell, before the server: a new cluster's files are flushed to the disk while it starts, once. initdb's own flush would hold
    up everything; without any, a power cut in the first half minute could leave commits in files that are not there."""
    mark, prefix = ground.folder / _UNFLUSHED, " ".join(programs.prefix(ground.uid))
    quoted = processes.quoted
    initdb = quoted(ground.programs / "initdb", "--sync-only", "-D", folder(ground))
    return f"if [ -e {quoted(mark)} ]; then ({prefix} {initdb} >/dev/null && rm -f {quoted(mark)}) & fi; "


def _configure(ground: Ground) -> None:
    cluster = folder(ground)
    settings = {
        **_SETTINGS,
        "unix_socket_directories": f"'{ground.sockets}'",
        **(_SCRATCH if ground.is_scratch else {}),
        **trails.settings(ground),
    }
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    processes.write(cluster / "aic.conf", lines, uid=ground.uid)
    processes.write(cluster / "pg_hba.conf", _ADMISSION, uid=ground.uid)
    users = dict.fromkeys([pwd.getpwuid(ground.uid if ground.uid is not None else os.geteuid()).pw_name, "root"])
    lines = "".join(f"{OWNER} {user} {role}\n" for user in users for role in (OWNER, VIEWER))
    processes.write(cluster / "pg_ident.conf", lines, uid=ground.uid)
