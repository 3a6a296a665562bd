"""A server's files on disk, before it runs: made once as a whole, never touched where they do not fit."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from aiculturekit.errors import Failed, Refused
from aiculturekit.language import say
from aiculturekit.resources import copies, processes, programs
from aiculturekit.resources.backends.mysql import engines, scripts
from aiculturekit.resources.backends.mysql.engines import Engine
from aiculturekit.resources.servers import Ground

_SETTINGS = """\
[mysqld]
datadir = {data}
socket = {socket}
pid_file = {sockets}/mysqld.pid
init_file = {birth}
bind_address = 127.0.0.1
skip_name_resolve
skip_log_bin
character_set_server = utf8mb4
max_connections = 200
innodb_buffer_pool_size = 64M
loose_innodb_log_file_size = {log}
loose_innodb_redo_log_capacity = 64M
innodb_use_native_aio = OFF
key_buffer_size = 1M
loose_aria_pagecache_buffer_size = 8M
loose_local_infile = OFF
loose_mysqlx = OFF
"""
"""Native asynchronous writes would go on while the process stands still, which is how it is copied. `loose_`: one of the two has it."""
_STATISTICS = ("mutex", "rwlock", "cond", "file", "stage")
_DIGESTS = "".join(
    [
        "performance_schema = ON\n",
        "loose_performance_schema_digests_size = 200\n",
        "loose_performance_schema_max_digest_length = 512\n",
        "loose_performance_schema_max_sql_text_length = 0\n",
        "loose_performance_schema_max_thread_instances = 210\n",
        "loose_performance_schema_session_connect_attrs_size = 0\n",
        *(f"loose_performance_schema_max_{what}_classes = 0\n" for what in (*_STATISTICS, "memory")),
        *(
            f"loose_performance_schema_max_{what} = 0\n"
            for what in (
                *(
                    f"{what}_instances"
                    for what in (*_STATISTICS[:4], "socket", "table", "program", "prepared_statements")
                ),
                *("table_handles", "metadata_locks", "index_stat", "table_lock_stat"),
            )
        ),
        *(f"loose_performance_schema_{what}_size = 0\n" for what in ("accounts", "hosts", "users")),
        *(
            f"loose_performance_schema_events_{what}_history{length}_size = 0\n"
            for what in ("statements", "waits", "stages", "transactions")
            for length in ("", "_long")
        ),
    ]
)
"""Its statistics count statements, and nothing else: all of them would take 100 MB, these take 12."""
_LOG_SIZE = "48M"
_SCRATCH = "innodb_flush_log_at_trx_commit = 0\nloose_debug_no_sync = ON\n"
_INITIALISING = 300.0
_PARTS = ("ibdata1", "mysql")


def is_contained(ground: Ground) -> bool:
    return bool(ground.body.get("image"))


def seen(ground: Ground) -> Path:
    """The folder of what the server reads and writes: that of a container has no other."""
    return ground.folder / "data" if is_contained(ground) else ground.folder


def data(ground: Ground) -> Path:
    return seen(ground) / "mysql" if is_contained(ground) else ground.folder / "data"


def sockets(ground: Ground) -> Path:
    """The daemon keeps notes of its own beside those of a container."""
    return ground.sockets / "inside" if is_contained(ground) else ground.sockets


def socket(ground: Ground) -> Path:
    return sockets(ground) / "mysql.sock"


def settings(ground: Ground) -> Path:
    return seen(ground) / "mysqld.cnf"


def options(ground: Ground) -> Path:
    """The file by which the programs of a client find the server and are let in: for its user alone."""
    return ground.folder / "client.cnf"


def key(ground: Ground) -> str:
    """The administrator's password: beside the data, for whom the data belongs to. Blocks."""
    file = ground.folder / "aic.key"
    if not file.exists():
        processes.write(file, processes.secret(), uid=ground.uid)
    return file.read_text()


def ensure(ground: Ground, engine: Engine) -> None:
    """Data that fits this server is there, with the settings that we give it. Blocks. Raises Failed, Refused."""
    if is_contained(ground):
        processes.own_folder(seen(ground), uid=ground.uid)
        processes.own_folder(sockets(ground), uid=ground.uid)
    if data(ground).is_dir():
        _require_whole(ground)
        _require_kin(ground, engine)
        _forget_the_dead(ground)
    elif is_contained(ground):
        note(ground, engine)  # its data is made in the container
    else:
        _initialise(ground, engine)
    _configure(ground, engine)


def note(ground: Ground, engine: Engine) -> None:
    """This server is the one that has last had the data. Blocks."""
    text = json.dumps({"title": engine.title, "version": engine.version})
    processes.write(_noted(ground), text, uid=ground.uid)


def last(ground: Ground) -> tuple[str, str]:
    """(title, version) of the server that has last had the data; empty where nobody knows. Blocks."""
    try:
        found = json.loads(_noted(ground).read_text())
        return str(found["title"]), str(found["version"])
    except (OSError, ValueError, KeyError):
        return "", ""


def _noted(ground: Ground) -> Path:
    return ground.folder / "engine.json"


def _require_whole(ground: Ground) -> None:
    for part in _PARTS:
        if not (data(ground) / part).exists():
            raise Failed(
                say(
                    "resources/{name}: the data in {folder} is damaged: it has no {file}",
                    name=ground.name,
                    folder=data(ground),
                    file=part,
                ),
                hint=say("restore a snapshot or a backup of it; nothing was touched"),
            )


def _require_kin(ground: Ground, engine: Engine) -> None:
    """An older series of the same server is what each of them can take over; nothing else. The program with which MariaDB does is run on
    this machine only."""
    title, version = last(ground)
    known, wanted = engines.series(version), engine.series
    is_older = known <= wanted if not is_contained(ground) or not engine.is_mariadb else known == wanted
    if not title or (title == engine.title and (is_older or not known or not wanted)):
        return
    raise Refused(
        say(
            "resources/{name}: its data is of {found}, which {engine} cannot read; nothing was touched",
            name=ground.name,
            found=f"{title} {version}",
            engine=engine,
        ),
        hint=say(
            "install {found} or a later one; to move, save it there with `aic db dump` and load that into a new resource",
            found=f"{title} {version}",
        ),
    )


def _forget_the_dead(ground: Ground) -> None:
    """A MySQL that was killed leaves a note of its number, which may be anybody's by now: it would not start then."""
    try:
        processes.running(ground)
    except Failed:
        socket(ground).with_name("mysql.sock.lock").unlink(missing_ok=True)


def _initialise(ground: Ground, engine: Engine) -> None:
    """Under another name first: data that is there is whole."""
    fresh = ground.folder / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    if pristine := _pristine(ground, engine):
        copies.tree(pristine, fresh)
        copies.own(fresh, ground.uid)
    else:
        _make(ground, engine, fresh)
    note(ground, engine)
    fresh.rename(data(ground))


def _pristine(ground: Ground, engine: Engine) -> Path | None:
    """Data that nobody ever used, made once for all: copying it takes a fifth of the time. It belongs to the daemon's user, so that no
    server can change what later ones begin with. None where the cache can't be written."""
    if ground.cache is None:
        return None
    place = ground.cache / f"{engine.title}-{engine.version}-{_LOG_SIZE}"
    try:
        ground.cache.mkdir(parents=True, exist_ok=True)
        with place.with_name(f"{place.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not place.is_dir():
                _make_pristine(ground, engine, place)
    except OSError:
        return None
    return place


def _make_pristine(ground: Ground, engine: Engine, place: Path) -> None:
    fresh = place.with_name(f"{place.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    copies.own(fresh, ground.uid)
    _make(ground, engine, fresh)
    for file in (fresh / "auto.cnf", *fresh.glob("*.pem")):  # who a MySQL is, and its keys: each makes its own
        file.unlink(missing_ok=True)
    copies.own(fresh, os.geteuid())
    fresh.rename(place)


def _make(ground: Ground, engine: Engine, folder: Path) -> None:
    maker = engines.program("mariadb-install-db", "mysql_install_db")
    programs.run(_making(engine, folder, maker), uid=ground.uid, directory=ground.folder, seconds=_INITIALISING)


def making_inside(ground: Ground, engine: Engine) -> str:
    """For a shell in the image: data is there, whole. Raises Failed."""
    maker = engines.beside(ground.programs, engine, "mariadb-install-db", "mysql_install_db")
    fresh, whole = shlex.quote(f"{data(ground)}.new"), shlex.quote(str(data(ground)))
    make = shlex.join(map(str, _making(engine, Path(f"{data(ground)}.new"), maker)))
    return f"[ -d {whole} ] || {{ rm -rf {fresh} && {make} && mv {fresh} {whole}; }}"


def _making(engine: Engine, folder: Path, maker: Path | None) -> Sequence[str | Path]:
    usual = ["--no-defaults", f"--datadir={folder}"]
    if not engine.is_mariadb:
        return [engine.program, *usual, "--initialize-insecure"]
    if maker is None:
        raise Failed(
            say("{engine} is there, but not its mariadb-install-db", engine=engine),
            hint=say("install all of MariaDB's server; nothing was touched"),
        )
    return [
        maker,
        *usual,
        "--skip-test-db",
        "--auth-root-authentication-method=socket",
        f"--innodb-log-file-size={_LOG_SIZE}",
    ]


def _configure(ground: Ground, engine: Engine) -> None:
    password = key(ground)
    birth = seen(ground) / "birth.sql"
    statements = scripts.birth(password, is_mariadb=engine.is_mariadb)
    processes.write(birth, "".join(f"{statement};\n" for statement in statements), uid=ground.uid)
    text = _SETTINGS.format(
        data=data(ground), socket=socket(ground), sockets=sockets(ground), birth=birth, log=_LOG_SIZE
    )
    processes.write(settings(ground), text + _DIGESTS + (_SCRATCH if ground.is_scratch else ""), uid=ground.uid)
    found = f"[client]\nuser = {scripts.OWNER}\npassword = {password}\nsocket = {socket(ground)}\n"
    processes.write(options(ground), found, uid=ground.uid)
