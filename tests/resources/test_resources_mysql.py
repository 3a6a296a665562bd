"""What a MySQL or MariaDB is told, which of those that are installed is meant, and what is done with data before it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiculturekit.errors import Failed, Mistake, Refused
from aiculturekit.resources.backends.mysql import Mysql, databases, engines, folders, scripts
from aiculturekit.resources.backends.mysql.engines import Engine
from aiculturekit.resources.servers import Credential, Ground, Several

PASSWORD = "no'body \\ knows"
READER = Credential("web", "read", "web", PASSWORD)
MARIADB = Engine(Path("/usr/sbin/mariadbd"), "MariaDB", "10.11.19")
MYSQL = Engine(Path("/usr/sbin/mysqld"), "MySQL", "8.4.3")
SAYS = {
    "mariadbd": "mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)",
    "mysqld": "mysqld  Ver 8.4.3 for Linux on x86_64 (MySQL Community Server - GPL)",
    "old": "mysqld  Ver 5.7.44 for Linux on x86_64 (MySQL Community Server (GPL))",
}


def ground(folder: Path, **body: object) -> Ground:
    (folder / "run").mkdir(exist_ok=True)
    return Ground("shop", "users-db", {"type": "mysql", **body}, folder, folder / "run", Path())


def given(folder: Path, **programs: str) -> None:
    for name, says in programs.items():
        (folder / name).write_text(f"#!/bin/sh\necho '{SAYS[says]}'\n")
        (folder / name).chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose only programs are those in this folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(engines, "PLACES", ())
    return folder


def test_the_installed_servers_are_known_by_what_they_say(machine: Path) -> None:
    given(machine, mariadbd="mariadbd", mysqld="mysqld")
    assert [str(engine) for engine in engines.installed()] == ["MariaDB 10.11.19", "MySQL 8.4.3"]
    assert engines.chosen(None).title == "MariaDB"
    assert engines.chosen("8").title == engines.chosen("8.4").title == engines.chosen("8.4.3").title == "MySQL"
    for wanted in ("10.1", "8.4.30", "11"):
        with pytest.raises(Mistake) as raised:
            engines.chosen(wanted)
        assert f"MySQL {wanted} cannot be had" in raised.value.message
        assert "MariaDB 10.11.19, MySQL 8.4.3" in raised.value.hint and "url:" in raised.value.hint


def test_a_machine_without_one_is_told_what_to_install(machine: Path) -> None:
    given(machine, mysqld="old", brew="old", **{"apt-get": "old"})
    for version in ({}, {"version": "11.4"}):
        with pytest.raises(Mistake) as raised:
            Mysql().tool(version)
        assert "no MariaDB and no MySQL" in raised.value.message
        assert "mariadb" in raised.value.hint and "url: mysql://" in raised.value.hint


def test_mariadb_is_told_no_password_and_mysql_only_where_it_keeps_none() -> None:
    told = [*scripts.login(READER, ["users_db"], is_mariadb=True), *scripts.birth(PASSWORD, is_mariadb=True)]
    assert not any("knows" in statement for statement in told)
    assert scripts.identified("secret", is_mariadb=True).endswith("'*14E65567ABDB5135D0CFD9A70B3032C179A49EE7'")
    assert scripts.identified(PASSWORD, is_mariadb=False) == "IDENTIFIED BY 'no''body \\\\ knows'"


def test_a_reader_reads_a_writer_changes_rows_and_an_administrator_may_not_grant() -> None:
    read, write, admin = (scripts.PRIVILEGES[verb] for verb in ("read", "write", "admin"))
    assert read < write < admin
    assert not write & {"CREATE", "DROP", "ALTER", "TRIGGER", "CREATE ROUTINE"}
    assert not admin & {"GRANT OPTION", "SUPER", "FILE", "PROCESS", "CREATE USER"}
    assert "EXECUTE" not in read, "a procedure would run as who made it"


def test_a_grant_is_for_one_database_and_none_that_looks_like_it() -> None:
    grants = [one for one in scripts.login(READER, ["users_db"], is_mariadb=True) if one.startswith("GRANT")]
    assert grants == [r"GRANT SELECT, SHOW VIEW ON `users\_db`.* TO 'web'@'%'"]


def test_what_is_held_beyond_the_verb_is_taken_away() -> None:
    rows = [(r"users\_db", "SELECT"), (r"users\_db", "INSERT"), (r"users\_db", "DELETE"), ("gone", "SELECT")]
    assert scripts.surplus(READER, rows, ["users_db"]) == [
        r"REVOKE DELETE, INSERT ON `users\_db`.* FROM 'web'@'%'",
        "REVOKE SELECT ON `gone`.* FROM 'web'@'%'",
    ]
    assert scripts.surplus(READER, rows[:1], ["users_db"]) == []


def test_a_long_name_of_a_user_is_made_short_and_stays_its_own() -> None:
    long = "a-service-with-a-long-name-of-its-own"
    names = {scripts.user(f"{long}.migrate"), scripts.user(f"{long}.migrate~2"), scripts.user(long)}
    assert len(names) == 3 and all(len(name) <= 32 for name in names)
    assert scripts.user("web~2") == "web~2"


def test_each_database_has_a_url_of_its_own(tmp_path: Path) -> None:
    server, place = Mysql(), ground(tmp_path, databases=["audit"])
    assert databases(place.name, place.body) == ["users_db", "audit"]
    who = Credential("web", "read", "web~2", "p")
    assert server.url(place, who, host="h", port=1) == "mysql://web~2:p@h:1/users_db"
    assert isinstance(server, Several)
    assert server.further_urls(place, who, host="h", port=1) == {"audit": "mysql://web~2:p@h:1/audit"}


@pytest.mark.parametrize("name", ["mysql", "Sales", "a b", "x" * 64])
def test_a_database_with_an_impossible_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Mistake, match="no database can be called"):
        Mysql().prepare(ground(tmp_path, databases=[name]))


def made(at: Ground, engine: Engine) -> None:
    (folders.data(at) / "mysql").mkdir(parents=True)
    (folders.data(at) / "ibdata1").write_bytes(b"pages")
    folders.note(at, engine)


@pytest.mark.parametrize(
    "last",
    [
        Engine(Path(), "MariaDB", "11.4.2"),
        Engine(Path(), "MariaDB", "10.12.1"),
        Engine(Path(), "MySQL", "8.0.36"),
    ],
)
def test_data_that_the_server_cannot_read_is_left_as_it_is(tmp_path: Path, last: Engine) -> None:
    place = ground(tmp_path)
    made(place, last)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    with pytest.raises(Refused) as raised:
        folders.ensure(place, MARIADB)
    assert str(last) in raised.value.message and "MariaDB 10.11.19" in raised.value.message and raised.value.hint
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("version", ["10.11.19", "10.11.2", "10.6.1", "10.11.30"])
def test_data_of_the_same_series_or_an_older_one_is_taken_over(tmp_path: Path, version: str) -> None:
    place = ground(tmp_path)
    made(place, Engine(Path(), "MariaDB", version))
    folders.ensure(place, MARIADB)
    assert folders.last(place) == ("MariaDB", version), "noted when it has started"


@pytest.mark.parametrize("part", ["ibdata1", "mysql"])
def test_damaged_data_is_named_and_left(tmp_path: Path, part: str) -> None:
    place = ground(tmp_path)
    made(place, MARIADB)
    gone = folders.data(place) / part
    gone.rmdir() if gone.is_dir() else gone.unlink()
    with pytest.raises(Failed, match="damaged") as raised:
        folders.ensure(place, MARIADB)
    assert part in raised.value.message and "snapshot" in raised.value.hint


def test_files_with_a_password_are_for_their_user_alone(tmp_path: Path) -> None:
    place = ground(tmp_path)
    made(place, MYSQL)
    folders.ensure(place, MYSQL)
    secret = folders.key(place)
    holders = [file for file in tmp_path.rglob("*") if file.is_file() and secret in file.read_text("utf-8", "replace")]
    assert {file.name for file in holders} == {"aic.key", "client.cnf", "birth.sql"}
    assert {file.stat().st_mode & 0o777 for file in holders} == {0o600}


@pytest.mark.parametrize(
    ("program", "said", "found"),
    [
        ("usr/sbin/mariadbd", {"MARIADB_VERSION": "1:11.8.3+maria~ubu2404"}, ("MariaDB", "11.8.3", (11, 8))),
        ("usr/sbin/mysqld", {"MYSQL_VERSION": "8.4.6-1.el9", "MYSQL_MAJOR": "8.4"}, ("MySQL", "8.4.6", (8, 4))),
        ("opt/bitnami/mysql/bin/mysqld", {}, ("MySQL", "", ())),
    ],
)
def test_a_server_in_an_image_is_known_by_its_name_and_what_the_image_says(
    tmp_path: Path, program: str, said: dict[str, str], found: tuple[str, str, tuple[int, ...]]
) -> None:
    (tmp_path / program).parent.mkdir(parents=True)
    (tmp_path / program).symlink_to("/nowhere/on/this/machine")
    engine = engines.packaged(tmp_path, said)
    assert (engine.program, engine.title, engine.version, engine.series) == (Path("/", program), *found)


def test_an_image_without_a_server_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Mistake, match="no MariaDB and no MySQL"):
        engines.packaged(tmp_path, {})
